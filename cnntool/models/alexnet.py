"""AlexNet: the two-group network of 2012, and the one-tower variant that torchvision has."""

from __future__ import annotations

from cnntool.models.model import Model

_PAPER = "Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks"
_ONE_TOWER = "Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks"


def alexnet(classes: int) -> str:
    """Layer for layer as in torchvision."""
    return (
        "conv 64 11 4 pad=2 | relu | maxpool 3 2\n"
        "conv 192 5 pad=2 | relu | maxpool 3 2\n"
        "conv 384 3 pad=1 | relu\n"
        "conv 256 3 pad=1 | relu\n"
        "conv 256 3 pad=1 | relu | maxpool 3 2\n"
        "adaptiveavgpool 6 | flatten\n"
        "dropout 0.5 | dense 4096 | relu\n"
        "dropout 0.5 | dense 4096 | relu\n"
        f"dense {classes}"
    )


def alexnet_2012(classes: int) -> str:
    """Two groups where two cards did not speak to each other, local response normalisation.

    The paper's α = 10⁻⁴ weighs a sum; ``lrn`` takes the mean of its 5 maps, so alpha is 5·10⁻⁴.
    The paper says 224×224, but its maps of 55×55 need 227×227.
    """
    norm = "lrn 5 alpha=0.0005 k=2"
    return (
        f"conv 96 11 4 | relu | {norm} | maxpool 3 2\n"
        f"conv 256 5 pad=2 groups=2 | relu | {norm} | maxpool 3 2\n"
        "conv 384 3 pad=1 | relu\n"
        "conv 384 3 pad=1 groups=2 | relu\n"
        "conv 256 3 pad=1 groups=2 | relu | maxpool 3 2\n"
        "flatten\n"
        "dense 4096 | relu | dropout 0.5\n"
        "dense 4096 | relu | dropout 0.5\n"
        f"dense {classes}"
    )


MODELS = (
    Model(
        "alexnet", "AlexNet in one tower, as torchvision", _ONE_TOWER, (3, 224, 224), 1000, alexnet
    ),
    Model(
        "alexnet-2012",
        "AlexNet of 2012: two groups, local response normalisation",
        _PAPER,
        (3, 227, 227),
        1000,
        alexnet_2012,
    ),
)
