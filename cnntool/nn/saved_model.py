"""A trained network with all that is needed to use it, and what must be true of one.

Everything is text, numbers in bounds, words of closed lists, and arrays whose names and shapes
follow from the specification. There is no name of a class or module in it, nothing to look up and
nothing to run.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import SpecError
from cnntool.grammar import shown
from cnntool.nn.contradictions import (
    MAX_ACTIVATION,
    Contradiction,
    check_activations,
    check_choice,
    check_number,
    tensor_shapes,
    told,
)
from cnntool.nn.facts import Shape, times
from cnntool.nn.generation import Generation, check_generation
from cnntool.nn.layer_rows import Trace
from cnntool.nn.shapes import trace
from cnntool.nn.spec import parse
from cnntool.nn.values import MAX_MAPS

TASKS = ("classify", "segment", "generate")
"""What networks are for: a class for a picture, a class for every pixel, pictures from numbers."""

COLORS: Mapping[str, int] = {"gray": 1, "rgb": 3}
"""Colour modes and their channels."""

FITS = ("stretch", "crop", "pad")
"""How pictures of other sizes are brought to that of the input."""

HOG_NORMS = ("l1", "l1-sqrt", "l2", "l2-hys")
"""How blocks of histograms of gradients are normalised."""

_SMALLEST, _LARGEST = 1e-6, 1e6  # float32 bears products and quotients of such numbers
_LONGEST_CLASS = 1000
_NAME = re.compile(r"(?:[a-z0-9][a-z0-9_.-]{0,99})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How a picture becomes the input: fitted to its size, then (samples · scale - mean) / std.

    Attributes:
        color: ``gray`` or ``rgb``.
        fit: ``stretch`` changes the proportions, ``crop`` cuts off what is too much, ``pad``
            surrounds with ``background``.
        scale: Factor on samples, which run from 0 to 255; from a millionth to a million.
        mean: What is subtracted then, one number for each channel, a million at most.
        std: What that is divided by, one number for each channel; from a millionth to a million.
        background: What surrounds the pictures of the training, from 0, black, to 1, white.
        brightness: Mean of the training's pictures, from 0 to 1, to tell pictures that are unlike
            them (black on white for white on black); None if unknown.

    Example:
        >>> Preprocessing(color="gray", mean=(0.1307,), std=(0.3081,)).channels
        1
    """

    color: str = "rgb"
    fit: str = "stretch"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    background: float = 0.0
    brightness: float | None = None

    @property
    def channels(self) -> int:
        """Channels of the pictures."""
        return COLORS[self.color]


@dataclass(frozen=True, slots=True, kw_only=True)
class HogFeatures:
    """Histograms of oriented gradients, which a network gets instead of pictures.

    They are computed of the samples as they are, 0 to 255: the preprocessing says how the picture
    before them is made, and its ``scale``, ``mean`` and ``std`` are 1, 0 and 1.

    Attributes:
        size: Rows and columns of the pictures.
        orientations: Bins of a histogram, 1 to 360.
        cell: Rows and columns of a cell in pixels.
        block: Rows and columns of a block in cells.
        norm: One of :data:`HOG_NORMS`.
        signed: Whether bins span 360° instead of 180°.
        sqrt: Whether the root of the samples is taken first.

    Example:
        >>> HogFeatures(size=(28, 28), cell=(4, 4), block=(2, 2)).length
        1296
    """

    size: tuple[int, int]
    orientations: int = 9
    cell: tuple[int, int] = (8, 8)
    block: tuple[int, int] = (3, 3)
    norm: str = "l2-hys"
    signed: bool = False
    sqrt: bool = False

    @property
    def length(self) -> int:
        """How many numbers they are; 0 if the pictures hold no whole block."""
        sides = zip(self.size, self.cell, self.block, strict=True)
        blocks = [max(0, side // cell - block + 1) for side, cell, block in sides]
        return math.prod((*blocks, *self.block, self.orientations))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SavedModel:
    """A network as it lies in a file.

    Attributes:
        spec: Its specification, as it was written.
        input: Shape of its input: (C, H, W), or (n,).
        tensors: float32 arrays, each finite: the parameters and buffers of the specification, by
            the layer's name and their own (``0.conv.weight``), and no others.
        task: One of :data:`TASKS`.
        classes: Names of the classes in the order of the outputs, or none. A single output may
            tell two classes apart.
        preprocessing: How pictures are made ready; for ``generate``, how those that it imitates
            were.
        features: What the network gets instead of pictures; None: the pictures themselves.
        generation: How pictures are made, for ``generate``; None: of numbers alone, at once.
        name: Of the built-in network that it is, if it is one.
        history: What was done, in free words: options of the training, accuracy, version.
    """

    spec: str
    input: Shape
    tensors: Mapping[str, NDArray[np.float32]] = field(repr=False)
    task: str = "classify"
    classes: tuple[str, ...] = ()
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    features: HogFeatures | None = None
    generation: Generation | None = None
    name: str = ""
    history: Mapping[str, str] = field(default_factory=dict, repr=False)

    def trace(self) -> Trace:
        """All layers with their shapes.

        Raises:
            SpecError: The specification cannot be read, or does not fit the input.
        """
        return trace(parse(self.spec), self.input)


def check(model: SavedModel) -> dict[str, tuple[int, ...]]:
    """Refuse a model that contradicts itself, or that could not be used.

    Args:
        model: Its fields may have any type.

    Returns:
        Name and shape of each array, layer by layer.

    Raises:
        Contradiction: Something is wrong; the message says what, and what was expected.
    """
    _check_words(model)
    input = model.input
    if not (
        isinstance(input, tuple)
        and len(input) in (1, 3)
        and all(type(n) is int and 1 <= n <= MAX_MAPS for n in input)
    ):
        raise Contradiction(
            f"its input is {told(input)}; it must be (C, H, W) or (n,), each from 1 to {MAX_MAPS}"
        )
    try:
        found = model.trace()
    except SpecError as error:
        raise Contradiction(f"its specification cannot be used: {error}") from None
    check_activations(found)
    _check_preprocessing(model.preprocessing)
    _check_features(model)
    _check_task(model, found.output)
    shapes = tensor_shapes(found)
    if model.generation is not None:
        if model.task != "generate":
            raise Contradiction(f"it says how it generates, and its task is {model.task}")
        shapes |= check_generation(model.generation, found, len(model.classes))
    _check_tensors(model.tensors, shapes)
    return shapes


def _check_words(model: SavedModel) -> None:
    if not isinstance(model.spec, str):
        raise Contradiction("its specification is no text")
    if not isinstance(model.name, str) or not _NAME.fullmatch(model.name):
        raise Contradiction(
            f"its network is called {told(model.name)}; such names are of a-z, 0-9, '-', "
            "'.' and '_'"
        )
    check_choice("task", model.task, TASKS)
    if not isinstance(model.classes, tuple) or not all(_is_class(name) for name in model.classes):
        raise Contradiction(
            f"its classes are no names; each must be a text of 1 to {_LONGEST_CLASS} characters"
        )
    twice = next((name for name, count in Counter(model.classes).items() if count > 1), None)
    if twice is not None:
        raise Contradiction(f"two of its classes are called '{shown(twice)}'")
    history = model.history
    if not isinstance(history, Mapping) or not all(
        _is_text(key) and key and _is_text(value) for key, value in history.items()
    ):
        raise Contradiction("its history is not texts by name")


def _is_class(name: object) -> bool:
    return _is_text(name) and isinstance(name, str) and 0 < len(name) <= _LONGEST_CLASS


def _is_text(text: object) -> bool:
    """Whether it is a text that can be printed or is the name of a file."""
    if not isinstance(text, str):
        return False
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _check_preprocessing(given: Preprocessing) -> None:
    check_choice("colour mode", given.color, tuple(COLORS))
    check_choice("fit", given.fit, FITS)
    check_number("scale", given.scale, _SMALLEST, _LARGEST)
    check_number("background", given.background, 0, 1)
    if given.brightness is not None:
        check_number("brightness", given.brightness, 0, 1)
    for name, values, low in (("mean", given.mean, -_LARGEST), ("std", given.std, _SMALLEST)):
        if not isinstance(values, tuple) or len(values) != given.channels:
            raise Contradiction(f"its {name} must be one number a channel: {given.channels}")
        for value in values:
            check_number(name, value, low, _LARGEST)


def _check_features(model: SavedModel) -> None:
    """Features must be possible, and be what the network takes."""
    given, how = model.features, model.preprocessing
    if given is None:
        return
    if not isinstance(given, HogFeatures):
        raise Contradiction(f"its features are {told(given)}; they must be HogFeatures or None")
    for name in ("size", "cell", "block"):
        sides = getattr(given, name)
        if not (
            isinstance(sides, tuple)
            and len(sides) == 2
            and all(type(n) is int and 1 <= n <= MAX_MAPS for n in sides)
        ):
            raise Contradiction(
                f"the {name} of its features is {told(sides)}; it must be two whole numbers, rows "
                f"and columns, each from 1 to {MAX_MAPS}"
            )
    if type(given.orientations) is not int or not 1 <= given.orientations <= 360:
        raise Contradiction(
            f"its features have {told(given.orientations)} orientations; possible are 1 to 360"
        )
    check_choice("norm of features", given.norm, HOG_NORMS)
    if type(given.signed) is not bool or type(given.sqrt) is not bool:
        raise Contradiction("'signed' and 'sqrt' of its features must be true or false")
    pixels = how.channels * math.prod(given.size)
    if pixels > MAX_ACTIVATION:
        raise Contradiction(
            f"its pictures have {pixels} numbers, more than the {MAX_ACTIVATION} that a model file "
            "may ask for"
        )
    if model.task != "classify" or model.input != (given.length,):
        raise Contradiction(
            f"its features are {given.length} numbers; its task is {model.task} with the input "
            f"{times(model.input)}, where it must be classify with just these"
        )
    if (how.scale, *how.mean, *how.std) != (1, *(0,) * how.channels, *(1,) * how.channels):
        raise Contradiction(
            "its features are computed of samples as they are: its scale must be 1, its mean 0 and "
            "its std 1"
        )


def _check_task(model: SavedModel, output: Shape) -> None:
    """Input, output and classes must suit what the network is for."""
    pictures = output if model.task == "generate" else model.input
    if len(output) != (1 if model.task == "classify" else 3):
        form = "a vector" if model.task == "classify" else "maps C×H×W"
        raise Contradiction(
            f"its task is {model.task}, which needs {form}; it gives {times(output)}"
        )
    channels = model.preprocessing.channels
    if len(pictures) == 3 and pictures[0] != channels:
        which = "output" if model.task == "generate" else "input"
        raise Contradiction(
            f"the channels of its {which} are {pictures[0]}, those of {model.preprocessing.color} "
            f"pictures {channels}"
        )
    count, named = output[0], len(model.classes)
    if model.task != "generate" and named not in (0, count) and (count, named) != (1, 2):
        raise Contradiction(
            f"it has names for {named} classes; its outputs are {count}, and each needs a name, or "
            "none has one"
        )


def _check_tensors(given: Mapping[str, object], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """All arrays that the specification needs and no others, of its shapes, and finite."""
    missing = [name for name in shapes if name not in given]
    if missing:
        raise Contradiction(f"array {_some(missing)} of its specification is missing")
    extra = [name for name in given if name not in shapes]
    if extra:
        raise Contradiction(f"array {_some(extra)} belongs to no layer of its specification")
    for name, shape in shapes.items():
        array = given[name]
        if not isinstance(array, np.ndarray):
            kind = type(array).__name__
            raise Contradiction(f"array '{shown(name)}' is a {kind}; it must be one of NumPy")
        if array.dtype != np.float32:
            raise Contradiction(f"array '{shown(name)}' is {array.dtype}; it must be float32")
        if array.shape != shape:
            raise Contradiction(
                f"array '{shown(name)}' is {array.shape}; its specification needs {shape}"
            )
        _check_values(name, array)


def _check_values(name: str, array: NDArray[np.float32]) -> None:
    # a sum in float64 is finite exactly if all its terms are, and needs no memory
    with np.errstate(invalid="ignore"):
        total = float(np.sum(array, dtype=np.float64))
    if not math.isfinite(total):
        bad = array.size - np.count_nonzero(np.isfinite(array))
        raise Contradiction(
            f"{bad} of {array.size} numbers of array '{shown(name)}' are NaN or infinite; the "
            "training diverged, a smaller learning rate may help"
        )
    if name.endswith(".running_var") and array.min() < 0:
        raise Contradiction(f"array '{shown(name)}' holds variances below 0")


def _some(names: list[str]) -> str:
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return f"'{shown(names[0])}'{more}"
