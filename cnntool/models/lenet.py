"""LeNet, as published and as it is taught today."""

from __future__ import annotations

from cnntool.models.model import Model

_PAPER = "LeCun et al. 1998, Gradient-based learning applied to document recognition"


def lenet(classes: int) -> str:
    """Sigmoids, average pooling, softmax; all maps of the first pool feed all of the second conv.

    The paper connects only some of them, scales its pools by weights, squashes with a scaled tanh,
    and ends in radial basis functions.
    """
    return (
        "conv 6 5 pad=2 | sigmoid | avgpool 2\n"
        "conv 16 5 | sigmoid | avgpool 2\n"
        f"flatten | dense 120 | sigmoid | dense 84 | sigmoid | dense {classes} | softmax"
    )


def lenet5(classes: int) -> str:
    """ReLU, max pooling; what comes out are logits."""
    return (
        "conv 6 5 pad=2 | relu | maxpool 2 | conv 16 5 | relu | maxpool 2 | flatten | "
        f"dense 120 | relu | dense 84 | relu | dense {classes}"
    )


MODELS = (
    Model("lenet", "LeNet of 1998: sigmoid, average pooling", _PAPER, (1, 28, 28), 10, lenet),
    Model("lenet5", "LeNet-5 as taught: ReLU, max pooling", _PAPER, (1, 28, 28), 10, lenet5),
)
