"""Small networks of our own, and the plain perceptron to compare them with."""

from __future__ import annotations

from cnntool.models.model import Model

_PERCEPTRON = "Rumelhart et al. 1986, Learning representations by back-propagating errors"


def mlp(classes: int) -> str:
    """Two hidden layers: what there was before convolutions."""
    return f"flatten | dense 300 | relu | dense 100 | relu | dense {classes}"


def cnn_mnist(classes: int) -> str:
    """Two convolutions for pictures of 28×28, small enough to learn 60 000 of them in seconds."""
    return f"conv 8 5 | relu | maxpool 2\nconv 32 5 | relu | maxpool 2\nflatten | dense {classes}"


def cnn_cifar(classes: int) -> str:
    """Six convolutions with batch normalisation for pictures of 32×32."""
    return (
        "(conv 32 3 pad=1 bias=no | batchnorm | relu)*2 | maxpool 2\n"
        "(conv 64 3 pad=1 bias=no | batchnorm | relu)*2 | maxpool 2\n"
        "(conv 128 3 pad=1 bias=no | batchnorm | relu)*2 | globalavgpool\n"
        f"flatten | dropout 0.2 | dense {classes}"
    )


MODELS = (
    Model("mlp", "perceptron with two hidden layers", _PERCEPTRON, (1, 28, 28), 10, mlp),
    Model("cnn-mnist", "small CNN for 28×28", "", (1, 28, 28), 10, cnn_mnist),
    Model("cnn-cifar", "small CNN for 32×32", "", (3, 32, 32), 10, cnn_cifar),
)
