"""VGG: blocks of 3×3 convolutions, each followed by max pooling; blocks of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnntool.models.model import Model

_PAPER = "Simonyan & Zisserman 2015, Very deep convolutional networks for large-scale recognition"

_DEPTHS = {
    11: ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)),
    13: ((64, 2), (128, 2), (256, 2), (512, 2), (512, 2)),
    16: ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)),
    19: ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)),
}


def vgg_block(channels: int, convolutions: int, *, norm: bool = False) -> str:
    """One block: convolutions of 3×3 with ReLU at the same size, then half of it.

    Args:
        channels: Maps that come out of each convolution.
        convolutions: How many of them, at least 1.
        norm: Whether batch normalisation stands behind each, which then needs no bias.

    Example:
        >>> vgg_block(64, 2)
        '(conv 64 3 pad=1 | relu)*2 | maxpool 2'
        >>> vgg_block(64, 1, norm=True)
        'conv 64 3 pad=1 bias=no | batchnorm | relu | maxpool 2'
    """
    one = f"conv {channels} 3 pad=1" + (" bias=no | batchnorm | relu" if norm else " | relu")
    return (f"({one})*{convolutions}" if convolutions > 1 else one) + " | maxpool 2"


def vgg_blocks(sizes: Sequence[tuple[int, int]], *, norm: bool = False) -> str:
    """Blocks of (maps, convolutions), one a line.

    Example:
        >>> print(vgg_blocks([(8, 1), (16, 2)]))
        conv 8 3 pad=1 | relu | maxpool 2
        (conv 16 3 pad=1 | relu)*2 | maxpool 2
    """
    return "\n".join(vgg_block(*size, norm=norm) for size in sizes)


def vgg(depth: int) -> Callable[[int], str]:
    """The network with that many layers that have weights: 11, 13, 16 or 19."""

    def build(classes: int) -> str:
        return (
            f"{vgg_blocks(_DEPTHS[depth])}\n"
            "adaptiveavgpool 7 | flatten\n"
            "(dense 4096 | relu | dropout 0.5)*2\n"
            f"dense {classes}"
        )

    return build


def vgg_small(classes: int) -> str:
    """Three blocks for pictures of 32×32."""
    blocks = vgg_blocks([(32, 2), (64, 2), (128, 2)]).replace("\n", " | ")
    return f"{blocks} | flatten | dense {classes}"


MODELS = (
    *(
        Model(f"vgg{depth}", f"VGG with {depth} layers", _PAPER, (3, 224, 224), 1000, vgg(depth))
        for depth in _DEPTHS
    ),
    Model("vgg-small", "three VGG blocks for 32×32", _PAPER, (3, 32, 32), 10, vgg_small),
)
