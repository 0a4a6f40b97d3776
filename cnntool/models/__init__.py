"""Built-in networks. Each is a specification: a text, or a short function that writes it.

Adding one is a function and a line in ``MODELS`` of its family's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cnntool.errors import NameNotFound, OptionError
from cnntool.models import (
    alexnet,
    efficientnet,
    inception,
    lenet,
    resnet,
    segmentation,
    small,
    vgg,
)
from cnntool.models.model import Model
from cnntool.nn.facts import Shape
from cnntool.nn.spec import Spec, parse
from cnntool.nn.values import MAX_MAPS

__all__ = ["MODELS", "Model", "create", "find"]

_FAMILIES = (lenet, small, alexnet, vgg, resnet, inception, efficientnet, segmentation)

MODELS: Mapping[str, Model] = MappingProxyType(
    {model.name: model for family in _FAMILIES for model in family.MODELS}
)
"""Name -> network, in the order in which they are listed."""


def find(name: str) -> Model:
    """The built-in network of a name.

    Raises:
        NameNotFound: There is none; the message suggests near ones.

    Example:
        >>> find("vgg16").input
        (3, 224, 224)
    """
    if name not in MODELS:
        raise NameNotFound.among("model", name, MODELS, "cnntool models")
    return MODELS[name]


def create(name: str, classes: int | None = None, input: Shape | None = None) -> Spec:
    """The specification of a built-in network.

    Args:
        name: A key of :data:`MODELS`.
        classes: How many classes it shall tell apart; None means the network's own number.
        input: (C, H, W) that it shall be used with; None means the network's own.

    Raises:
        NameNotFound: There is no such network.
        OptionError: A number of classes that makes no sense.

    Example:
        >>> create("lenet5", classes=26).text.splitlines()[-1].split(" | ")[-1]
        'dense 26'
    """
    model = find(name)
    count = model.classes if classes is None else classes
    if not 1 <= count <= MAX_MAPS:
        raise OptionError(f"{count} classes are impossible; use 1 to {MAX_MAPS}")
    text = model.build(count)
    shape = model.input if input is None else tuple(input)
    return Spec(text, parse(text), name, shape, count)
