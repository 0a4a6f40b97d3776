"""Labels of others into class numbers 0, 1, 2 … and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import ModelFileError
from cnntool.files import natural_key, one_line

MOST_CLASSES = 100_000
"""More than this are no classes but numbers of something."""

_SPARE = 16  # classes that a small part of a data set may lack besides every second one


@dataclass(frozen=True)
class Numbered:
    """Class numbers of every part.

    Attributes:
        parts: (M,) int64 each, by the name of the part.
        classes: Names in the order of their numbers.
        notes: What a person should know.
    """

    parts: Mapping[str, NDArray[np.int64]]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def number_labels(
    parts: Mapping[str, NDArray[np.generic]], what: str, names: Sequence[str] = ()
) -> Numbered:
    """Class numbers for labels that are whole numbers or words.

    Whole numbers are class numbers from 0; their largest in ``train`` gives the number of classes,
    unless ``names`` does. If all from 1 on occur and 0 never does, they count from 1. If far fewer
    than half of the numbers up to the largest occur, they are taken for damaged. Words are classes
    in natural order. What occurs in ``train`` is known; other parts must not hold anything else.

    Args:
        parts: Labels (M,) or (M, 1) of each part; ``train`` must be among them.
        what: Subject of messages.
        names: Names of the classes, if they are known.

    Raises:
        ModelFileError: Labels that are no classes, or classes that were never trained.

    Example:
        >>> found = number_labels({"train": np.array(["dog", "cat", "dog"])}, "x")
        >>> found.classes, found.parts["train"].tolist()
        (('cat', 'dog'), [1, 0, 1])
    """
    flat, notes = {}, []
    for part, labels in parts.items():
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
            notes.append(f"{what}: labels of {part} in a column read as a row")
        if labels.ndim != 1:
            hint = ""
            if labels.ndim == 2:
                hint = "; turn one-hot rows into class numbers with argmax"
            raise ModelFileError(
                f"{what}: labels of {part} are an array of {'x'.join(map(str, labels.shape))}; "
                f"one label a picture is expected{hint}"
            )
        flat[part] = labels
    if flat["train"].dtype.kind in "US":
        found = _words(flat, what, names)
    else:
        found = _numbers(flat, what, names)
    return Numbered(found.parts, found.classes, (*notes, *found.notes))


def _words(parts: Mapping[str, NDArray[np.generic]], what: str, names: Sequence[str]) -> Numbered:
    texts = {part: _text(labels, f"{what}: labels of {part}") for part, labels in parts.items()}
    classes = tuple(names) or tuple(sorted(set(texts["train"]), key=natural_key))
    place = {name: number for number, name in enumerate(classes)}
    numbered = {}
    for part, words in texts.items():
        for word in words:
            if word not in place:
                raise ModelFileError(
                    f"{what}: label '{one_line(word, 40)}' of {part} is no class of train; "
                    f"it has {_some(classes)}"
                )
        numbered[part] = np.fromiter((place[word] for word in words), np.int64, len(words))
    return Numbered(numbered, classes)


def _text(labels: NDArray[np.generic], what: str) -> list[str]:
    if labels.dtype.kind == "U":
        return [str(label) for label in labels]
    if labels.dtype.kind == "S":
        try:
            return [bytes(label).decode() for label in labels]
        except UnicodeDecodeError as error:
            raise ModelFileError(f"{what} are bytes that are no UTF-8 text") from error
    raise ModelFileError(f"{what} are {labels.dtype.name}, those of train words")


def _numbers(parts: Mapping[str, NDArray[np.generic]], what: str, names: Sequence[str]) -> Numbered:
    whole = {part: _whole(labels, f"{what}: labels of {part}") for part, labels in parts.items()}
    train = whole["train"]
    notes: tuple[str, ...] = ()
    present = np.unique(train)
    if len(present) and not names:
        highest = int(present[-1])
        others = all(not len(labels) or int(labels.min()) >= 1 for labels in whole.values())
        if others and int(present[0]) == 1 and len(present) == highest >= 2:
            whole = {part: labels - 1 for part, labels in whole.items()}
            classes = tuple(map(str, range(1, highest + 1)))
            notes = (f"{what}: labels count from 1; class '1' has number 0",)
        else:
            if highest + 1 > 2 * len(present) + _SPARE:
                raise ModelFileError(
                    f"{what}: label {highest} where {len(present)} different ones occur; "
                    "labels are class numbers 0, 1, 2 …"
                )
            classes = tuple(map(str, range(highest + 1)))
    else:
        classes = tuple(names)
    for part, labels in whole.items():
        if len(labels) and int(labels.max()) >= len(classes):
            raise ModelFileError(
                f"{what}: label {int(labels.max())} of {part} is out of range: "
                f"{len(classes)} classes are 0 to {len(classes) - 1}"
            )
    return Numbered(whole, classes, notes)


def _whole(labels: NDArray[np.generic], what: str) -> NDArray[np.int64]:
    kind = labels.dtype.kind
    if kind not in "iufb":
        raise ModelFileError(
            f"{what} are of type {labels.dtype.name}; whole numbers or words are expected"
        )
    if kind == "f" and not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
        raise ModelFileError(f"{what} are fractions; whole numbers or words are expected")
    if labels.size and float(labels.min()) < 0:
        raise ModelFileError(f"{what} begin at {labels.min():g}; class numbers begin at 0")
    if labels.size and float(labels.max()) >= MOST_CLASSES:
        raise ModelFileError(
            f"{what} reach {labels.max():g}; at most {MOST_CLASSES} classes are possible"
        )
    return labels.astype(np.int64)


def _some(classes: Sequence[str]) -> str:
    """The first few names."""
    shown = ", ".join(f"'{one_line(name, 40)}'" for name in classes[:5])
    return f"{shown} and {len(classes) - 5} more" if len(classes) > 5 else shown
