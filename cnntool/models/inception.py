"""Inception: kernels of several sizes and pooling side by side, their maps joined."""

from __future__ import annotations

from collections.abc import Callable

from cnntool.models.model import Model

_PAPER = "Szegedy et al. 2015, Going deeper with convolutions"

Conv = Callable[[int, int], str]
Sizes = tuple[int, int, int, int, int, int]
"""Maps of 1×1; of 1×1 before 3×3, of 3×3; of 1×1 before 5×5, of 5×5; of 1×1 behind pooling."""

_MODULES: dict[str, Sizes] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def _plain(channels: int, kernel: int) -> str:
    return f"conv {channels} {kernel}" + (f" pad={kernel // 2}" if kernel > 1 else "") + " | relu"


def _normalised(channels: int, kernel: int) -> str:
    pad = f" pad={kernel // 2}" if kernel > 1 else ""
    return f"conv {channels} {kernel}{pad} bias=no | batchnorm eps=0.001 | relu"


def inception_module(sizes: Sizes, *, wide: int = 5, conv: Conv = _plain) -> str:
    """Four branches, joined.

    Args:
        sizes: Maps of each convolution.
        wide: Kernel of the third branch.
        conv: Text of a convolution with its activation, from maps and kernel.

    Example:
        >>> print(inception_module((8, 4, 8, 2, 4, 4)))
        concat(
          conv 8 1 | relu,
          conv 4 1 | relu | conv 8 3 pad=1 | relu,
          conv 2 1 | relu | conv 4 5 pad=2 | relu,
          maxpool 3 1 pad=1 | conv 4 1 | relu
        )
    """
    one, before_three, three, before_wide, many, pooled = sizes
    branches = (
        conv(one, 1),
        f"{conv(before_three, 1)} | {conv(three, 3)}",
        f"{conv(before_wide, 1)} | {conv(many, wide)}",
        f"maxpool 3 1 pad=1 | {conv(pooled, 1)}",
    )
    return "concat(\n  " + ",\n  ".join(branches) + "\n)"


def inception(classes: int) -> str:
    """Four modules for pictures of 32×32."""
    return "\n".join(
        [
            "conv 32 3 pad=1 | relu",
            inception_module((16, 16, 24, 4, 8, 16)),
            inception_module((24, 24, 32, 8, 16, 24)),
            "maxpool 3 2 pad=1",
            inception_module((32, 32, 48, 8, 24, 24)),
            inception_module((48, 32, 64, 8, 24, 24)),
            f"globalavgpool | flatten | dropout 0.4 | dense {classes}",
        ]
    )


def googlenet(classes: int) -> str:
    """As torchvision's without auxiliary heads: batch normalisation, 3×3 in place of 5×5."""
    lines = [
        "conv 64 7 2 pad=3 bias=no | batchnorm eps=0.001 | relu | maxpool 3 2 ceil=yes",
        f"{_normalised(64, 1)} | {_normalised(192, 3)} | maxpool 3 2 ceil=yes",
    ]
    for name, sizes in _MODULES.items():
        lines.append(f"# {name}\n{inception_module(sizes, wide=3, conv=_normalised)}")
        if name == "3b":
            lines.append("maxpool 3 2 ceil=yes")
        elif name == "4e":
            lines.append("maxpool 2 ceil=yes")
    return "\n".join([*lines, f"globalavgpool | flatten | dropout 0.2 | dense {classes}"])


MODELS = (
    Model("inception", "four Inception modules for 32×32", _PAPER, (3, 32, 32), 10, inception),
    Model("googlenet", "GoogLeNet, as torchvision", _PAPER, (3, 224, 224), 1000, googlenet),
)
