"""Folders of IDX files as MNIST and its kin come: pictures and labels of each part, plain or .gz.

The names: ``train-images-idx3-ubyte``, ``t10k-labels-idx1-ubyte.gz``, also with a point for the
last hyphens, and with the name of a set in front, as EMNIST has it
(``emnist-letters-test-images-idx3-ubyte.gz``).
"""

# names stay strings: bytes that are no text pass through
# ruff: noqa: PTH113, PTH208

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnntool.data.dataset import Dataset, Split
from cnntool.data.idx import read_idx
from cnntool.data.known import KNOWN
from cnntool.data.labels import number_labels
from cnntool.data.samples import as_pictures
from cnntool.errors import ModelFileError
from cnntool.files import one_line, quote

_NAME = re.compile(
    r"(?:(?P<set>.+?)-)??(?:(?P<part>train|t10k|test|val|valid|validation)-)?"
    r"(?P<what>images|labels)[-.]idx[134]-ubyte(?P<packed>\.gz)?",
    re.IGNORECASE,
)
_PARTS = {
    "train": "train", "t10k": "test", "test": "test",
    "val": "validation", "valid": "validation", "validation": "validation",
}  # fmt: skip
_LONGEST = 1 << 20  # bytes of a file of class names


@dataclass
class _Pair:
    """Files of one part."""

    images: str = ""
    labels: str = ""


def idx_sets(folder: str) -> dict[str, dict[str, _Pair]]:
    """The sets of IDX files in ``folder``: files of each part by the name of the set.

    The set of files without a name in front is ''.

    Raises:
        OSError: The folder cannot be read.
    """
    found: dict[str, dict[str, _Pair]] = {}
    # of a plain file and a packed one, the plain one is read
    for name in sorted(os.listdir(folder), reverse=True):
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        part = _PARTS[(match["part"] or "train").lower()]
        pair = found.setdefault(match["set"] or "", {}).setdefault(part, _Pair())
        setattr(pair, match["what"].lower(), os.path.join(folder, name))
    return found


def load_idx(folder: str, wanted: str = "") -> Dataset:
    """The data set of the IDX files in ``folder``.

    Args:
        folder: Where the files lie.
        wanted: Name of the set, if there are several: what stands before ``-train-images``.

    Raises:
        ModelFileError: Files are missing, damaged, or do not fit each other.
        LimitError: They are larger than the memory allows.
    """
    files = _chosen(folder, wanted)
    what = quote(folder)
    if "train" not in files:
        raise ModelFileError(f"{what}: no pictures to learn from (train-images-idx3-ubyte)")
    images: dict[str, NDArray[np.uint8]] = {}
    labels: dict[str, NDArray[np.generic]] = {}
    notes: list[str] = []
    emnist = os.path.basename(files["train"].images).lower().startswith("emnist")
    for part, pair in files.items():
        for kind, path in (("images", pair.images), ("labels", pair.labels)):
            if not path:
                raise ModelFileError(
                    f"{what}: no {kind} for {part}; pictures and labels are two files"
                )
        images[part], more = as_pictures(read_idx(pair.images), quote(pair.images))
        notes += more
        labels[part] = read_idx(pair.labels)
        if len(labels[part]) != len(images[part]):
            raise ModelFileError(
                f"{quote(pair.labels)}: {len(labels[part])} labels for {len(images[part])} pictures"
            )
        if emnist:
            images[part] = np.ascontiguousarray(images[part].swapaxes(2, 3))
    if emnist:
        notes.append("pictures of EMNIST lie on their side; they are turned upright")
    numbered = number_labels(labels, what, class_file(folder))
    classes = _named(folder, numbered.classes, files["train"].images)
    parts = {part: Split(images[part], numbered.parts[part]) for part in files}
    return Dataset(
        wanted or os.path.basename(os.path.abspath(folder)),
        classes,
        parts["train"],
        parts.get("test"),
        parts.get("validation"),
        color="gray" if parts["train"].images.shape[1] == 1 else "rgb",
        notes=(*notes, *numbered.notes),
    )


def _chosen(folder: str, wanted: str) -> Mapping[str, _Pair]:
    sets = idx_sets(folder)
    if wanted in sets:
        return sets[wanted]
    if len(sets) == 1 and not wanted:
        return next(iter(sets.values()))
    if not sets:
        raise ModelFileError(f"{quote(folder)}: no IDX files such as train-images-idx3-ubyte.gz")
    known = ", ".join(quote(os.path.join(folder, name)) for name in sorted(sets))
    raise ModelFileError(f"{quote(folder)}: several sets of IDX files; name one of {known}")


def _named(folder: str, classes: tuple[str, ...], images: str) -> tuple[str, ...]:
    """Names for classes that have only numbers: EMNIST's characters, or those of a known set."""
    numbers = tuple(map(str, range(len(classes))))
    if classes not in (numbers, tuple(map(str, range(1, len(classes) + 1)))):
        return classes
    mapping = re.sub(r"-train-images.*", "-mapping.txt", images)
    names = _characters(mapping) if mapping != images and os.path.isfile(mapping) else ()
    entry = KNOWN.get(os.path.basename(os.path.abspath(folder)).lower())
    if not names and entry is not None and classes == numbers:
        names = entry.classes
    return names if len(names) == len(classes) else classes


def class_file(folder: str) -> tuple[str, ...]:
    """Names of the classes in ``classes.txt``, one a line; nothing where there is no such file."""
    path = os.path.join(folder, "classes.txt")
    return tuple(_lines(path)) if os.path.isfile(path) else ()


def _characters(path: str) -> tuple[str, ...]:
    """Characters of EMNIST's mapping: lines of a class number and of codes, the first counts."""
    names: dict[int, str] = {}
    for line in _lines(path):
        numbers = [int(word) for word in line.split() if word.isdecimal()]
        if len(numbers) < 2 or not 32 < numbers[1] < 127:
            return ()
        names[numbers[0]] = chr(numbers[1])
    return tuple(names[number] for number in sorted(names))


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            lines = file.read(_LONGEST).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(
            f"{quote(path)}: names of classes cannot be read ({one_line(str(error), 80)})"
        ) from error
    return [line.strip() for line in lines if line.strip()]
