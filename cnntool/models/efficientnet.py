"""EfficientNet-Lite: depthwise convolutions between two of 1×1, without squeeze-and-excitation.

The Lite variants leave out what small machines do badly: ReLU6 stands for swish, and stem and head
keep their widths whatever the size of the network.
"""

from __future__ import annotations

from cnntool.models.model import Model

_PAPER = (
    "Tan & Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks; "
    "Lite variants 2020"
)
# (blocks, kernel, stride of the first, widening, maps)
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_NORM = "batchnorm eps=0.001 momentum=0.01"


def _block(before: int, maps: int, kernel: int, stride: int, widening: int) -> str:
    """Widen by 1×1, filter map by map, narrow by 1×1; around it where nothing changes its shape."""
    step = f" {stride}" if stride > 1 else ""
    wide = f"conv {widening * before} 1 bias=no | {_NORM} | relu6 | " if widening > 1 else ""
    body = (
        f"{wide}depthwise {kernel}{step} pad=same bias=no | {_NORM} | relu6 | "
        f"conv {maps} 1 bias=no | {_NORM}"
    )
    return f"residual({body})" if stride == 1 and before == maps else body


def efficientnet_lite0(classes: int) -> str:
    """Layer for layer as the weights that the extra ``pretrained`` brings need it."""
    lines = [f"conv 32 3 2 pad=same bias=no | {_NORM} | relu6"]
    before = 32
    for blocks, kernel, stride, widening, maps in _STAGES:
        lines.append(_block(before, maps, kernel, stride, widening))
        if blocks > 1:
            again = _block(maps, maps, kernel, 1, widening)
            lines.append(f"({again})*{blocks - 1}" if blocks > 2 else again)
        before = maps
    lines.append(f"conv 1280 1 bias=no | {_NORM} | relu6")
    lines.append(f"globalavgpool | flatten | dropout 0.2 | dense {classes}")
    return "\n".join(lines)


MODELS = (
    Model(
        "efficientnet-lite0",
        "EfficientNet-Lite0, pretrained; depthwise, ReLU6",
        _PAPER,
        (3, 224, 224),
        1000,
        efficientnet_lite0,
    ),
)
