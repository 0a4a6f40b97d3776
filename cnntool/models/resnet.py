"""ResNet: blocks that add to their input. Layer for layer as in torchvision."""

from __future__ import annotations

from collections.abc import Callable

from cnntool.models.model import Model

_PAPER = "He et al. 2016, Deep residual learning for image recognition"
_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
_WIDTHS = (64, 128, 256, 512)


def _conv(channels: int, kernel: int, stride: int = 1) -> str:
    step = f" {stride}" if stride > 1 else ""
    pad = f" pad={kernel // 2}" if kernel > 1 else ""
    return f"conv {channels} {kernel}{step}{pad} bias=no | batchnorm"


def _block(width: int, stride: int, *, bottleneck: bool, shortcut: bool) -> str:
    """One sum and its ReLU; a shortcut of 1×1 where the shape changes."""
    if bottleneck:
        # the stride stands in the 3×3 convolution, as in torchvision; the paper has it before
        main = (
            f"{_conv(width, 1)} | relu | {_conv(width, 3, stride)} | relu | {_conv(4 * width, 1)}"
        )
        out = 4 * width
    else:
        main = f"{_conv(width, 3, stride)} | relu | {_conv(width, 3)}"
        out = width
    around = f", {_conv(out, 1, stride)}" if shortcut else ""
    return f"residual({main}{around}) | relu"


def resnet(depth: int) -> Callable[[int], str]:
    """The network with that many layers that have weights: 18, 34 or 50."""
    bottleneck = depth >= 50

    def build(classes: int) -> str:
        lines = [f"{_conv(64, 7, 2)} | relu | maxpool 3 2 pad=1"]
        for stage, (count, width) in enumerate(zip(_BLOCKS[depth], _WIDTHS, strict=True)):
            stride = 2 if stage else 1
            changes = stage > 0 or bottleneck
            first = _block(width, stride, bottleneck=bottleneck, shortcut=changes)
            rest = _block(width, 1, bottleneck=bottleneck, shortcut=False)
            if first == rest:
                lines.append(f"({rest})*{count}")
            else:
                lines += [first, f"({rest})*{count - 1}" if count > 2 else rest]
        return "\n".join([*lines, f"globalavgpool | flatten | dense {classes}"])

    return build


MODELS = tuple(
    Model(
        f"resnet{depth}", f"ResNet with {depth} layers", _PAPER, (3, 224, 224), 1000, resnet(depth)
    )
    for depth in _BLOCKS
)
