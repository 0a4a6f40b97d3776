"""A folder with a folder of pictures for each class, optionally below ``train/ val/ test/``.

::

    pets/cat/1.jpg           pets/train/cat/1.jpg
    pets/cat/2.jpg           pets/val/cat/7.jpg
    pets/dog/1.jpg           pets/test/dog/9.jpg

The folder's name is the name of the class, classes are numbered in natural order, and pictures may
lie in folders further down. Hidden files, ``Thumbs.db`` and files that are no pictures by their
suffix are passed over.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cnntool.data.choosing import limited
from cnntool.data.dataset import Dataset, Split
from cnntool.data.pictures import (
    Gathered,
    Wish,
    assemble,
    bad_notes,
    counted,
    gather,
    size_counts,
)
from cnntool.errors import ModelFileError, NameNotFound
from cnntool.files import WalkLog, natural_key, quote, walk
from cnntool.images.formats import KNOWN_SUFFIXES

PARTS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Names of folders, in small letters -> the part that they hold."""

UNLABELLED = "pictures"
"""The one class of pictures that have none."""

_SUFFIXES = tuple(KNOWN_SUFFIXES)


@dataclass
class Listing:
    """Picture files of one part, before any is opened.

    Attributes:
        classes: Names of the folders, in natural order.
        paths: All files, class after class.
        labels: Place in ``classes`` of each file.
        loose: Pictures that lie beside the folders.
        other: Files that are no pictures by their suffix.
        failures: (path, reason) of folders that could not be read.
    """

    classes: tuple[str, ...]
    paths: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    loose: int = 0
    other: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


def part_folders(folder: str) -> dict[str, str]:
    """Folder of each part, if ``folder`` is divided into parts; one of them is ``train``.

    Raises:
        ModelFileError: Two folders hold the same part.
        OSError: The folder cannot be read.
    """
    found: dict[str, str] = {}
    for name in _subfolders(folder):
        part = PARTS.get(name.lower())
        if part is None:
            continue
        path = os.path.join(folder, name)
        if part in found:
            raise ModelFileError(
                f"{quote(folder)}: {quote(os.path.basename(found[part]))} and {quote(name)} are "
                f"both folders for {part}; keep one"
            )
        found[part] = path
    if "train" not in found:
        return {}
    return {part: found[part] for part in ("train", "validation", "test") if part in found}


def load_class_folders(
    folder: str,
    wish: Wish | None = None,
    *,
    limit: int | None = None,
    seed: int = 0,
    classes: Sequence[str] = (),
    unlabelled: bool = False,
) -> Dataset:
    """The data set of the pictures in ``folder``.

    Args:
        folder: Holds a folder for each class, or ``train/`` and others that do.
        wish: Size, fit and colour; by default all as they are.
        limit: Read no more than this many pictures of ``train``, each class its share.
        seed: Chooses them.
        classes: Names and order of the classes, if a network has fixed them; folders of other
            names are an error then.
        unlabelled: Take pictures that lie in no folder of a class, if there are no such folders,
            as of the class :data:`UNLABELLED`.

    Raises:
        ModelFileError: No classes, classes that do not fit each other, pictures of several sizes,
            too many bad files.
        LimitError: The pictures need too much memory.
    """
    wish = wish or Wish()
    folders = part_folders(folder) or {"train": folder}
    divided = folders["train"] != folder
    listings = {part: list_classes(path, unlabelled=unlabelled) for part, path in folders.items()}
    names = tuple(classes) or listings["train"].classes
    notes: list[str] = []
    if divided:
        notes += _left_out(folder, folders)
    for part, listing in listings.items():
        notes += _check(listing, folders[part], part, names, known=bool(classes))
    if limit is not None:
        _limit(listings["train"], limit, seed)

    found = {p: gather(listing.paths, wish, quote(folder)) for p, listing in listings.items()}
    if wish.size is None:
        _check_sizes(found, folder)
    colored = sum(gathered.colored for gathered in found.values())
    color = wish.color or ("rgb" if colored else "gray")
    background = wish.surround(found["train"].pixels)
    notes += _told(found, wish, color, colored)
    splits = {}
    for part, gathered in found.items():
        listing = listings[part]
        good = np.array([pixels is not None for pixels in gathered.pixels], np.bool_)
        labels = np.array(listing.labels, np.int64).reshape(-1)[good]
        paths = tuple(path for path, kept in zip(listing.paths, good, strict=True) if kept)
        images = assemble(gathered, wish, color, background)
        splits[part] = Split(images, labels, paths)
    return Dataset(
        os.path.basename(os.path.abspath(folder)),
        names,
        splits["train"],
        splits.get("test"),
        splits.get("validation"),
        color=color,
        fit=wish.fit if wish.size is not None else "",
        background=background,
        notes=tuple(notes),
    )


def list_classes(folder: str, *, unlabelled: bool = False) -> Listing:
    """Classes and picture files below ``folder``, in natural order.

    Args:
        folder: Where.
        unlabelled: Without folders of classes, pictures are of the class :data:`UNLABELLED`.

    Raises:
        ModelFileError: The folder cannot be read.
    """
    try:
        names = _subfolders(folder)
    except OSError as error:
        raise ModelFileError(
            f"{quote(folder)}: cannot be read: {error.strerror or error}"
        ) from error
    listing = Listing(tuple(names))
    top = WalkLog()
    loose = [path for path, _ in walk(folder, recursive=False, wanted=_is_picture, log=top)]
    if unlabelled and not names and loose:
        return Listing((UNLABELLED,), loose, [0] * len(loose))
    listing.loose = len(loose)
    for number, name in enumerate(names):
        log = WalkLog()
        below = os.path.join(folder, name)
        for path, _ in walk(below, recursive=True, wanted=_is_picture, log=log):
            listing.paths.append(path)
            listing.labels.append(number)
        listing.other += log.other_suffix
        listing.failures += log.failures
    return listing


def _subfolders(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir()]
    return sorted((n for n in names if n.lower() != "__macosx"), key=natural_key)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES)


def _left_out(folder: str, folders: dict[str, str]) -> list[str]:
    """Folders beside train/ that are no part."""
    used = {os.path.basename(path) for path in folders.values()}
    others = [name for name in _subfolders(folder) if name not in used]
    return [f"folders beside train are left out: {', '.join(map(quote, others))}"] if others else []


def _check(
    listing: Listing, folder: str, part: str, names: tuple[str, ...], *, known: bool
) -> list[str]:
    """Refuse what cannot be learned from; notes on what is odd. Labels become numbers of names."""
    what = quote(folder)
    for path, reason in listing.failures:
        raise ModelFileError(f"{quote(path)}: {reason}")
    if not listing.classes:
        hint = ""
        if listing.loose:
            hint = f"; {listing.loose} pictures lie in it: put those of each class in a folder"
        raise ModelFileError(f"{what}: no folders of classes{hint}")
    if not listing.paths:
        hint = f"; {listing.other} files have other suffixes" if listing.other else ""
        raise ModelFileError(f"{what}: no pictures in its folders of classes{hint}")
    counts = Counter(listing.classes[label] for label in listing.labels)
    place = {name: number for number, name in enumerate(names)}
    for name in listing.classes:
        if name not in place and counts[name]:
            home = "of the network" if known else "in train"
            raise ModelFileError(
                f"{what}: {NameNotFound.among('class', name, names).message.rstrip('?')}"
                f"; it is no class {home}"
            )
    listing.labels = [place[listing.classes[label]] for label in listing.labels]
    notes = []
    empty = [name for name in listing.classes if not counts[name]]
    if empty and part == "train":
        plural = "classes have" if len(empty) > 1 else "class has"
        notes.append(f"{len(empty)} {plural} no pictures: {', '.join(map(quote, empty[:6]))}")
    if listing.loose:
        plural = "pictures beside the folders of classes are" if listing.loose > 1 else (
            "picture beside the folders of classes is"
        )  # fmt: skip
        notes.append(f"{what}: {listing.loose} {plural} left out")
    return notes


def _limit(listing: Listing, limit: int, seed: int) -> None:
    chosen = limited(np.array(listing.labels, np.int64), limit, seed)
    listing.paths = [listing.paths[number] for number in chosen]
    listing.labels = [listing.labels[number] for number in chosen]


def _check_sizes(found: dict[str, Gathered], folder: str) -> None:
    """Parts must agree; inside a part sizes agree already."""
    sizes = {part: next(iter(gathered.sizes)) for part, gathered in found.items() if gathered.sizes}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{part} {rows}x{columns}" for part, (rows, columns) in sizes.items())
        raise ModelFileError(
            f"{quote(folder)}: parts of different sizes: {shown}; choose one with --size HxW"
        )


def _told(found: dict[str, Gathered], wish: Wish, color: str, colored: int) -> list[str]:
    """What was found: sizes, modes, bad files."""
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()
    remarks: Counter[str] = Counter()
    for gathered in found.values():
        sizes += gathered.sizes
        modes += gathered.modes
        remarks += gathered.notes
    lines = [f"sizes found: {counted(size_counts(sizes))}; modes: {counted(modes)}"]
    grey = sum(modes.values()) - colored
    if wish.color is None and colored and grey:
        lines.append(
            f"{grey} grey pictures among {colored} in colour are read as rgb; "
            "--color gray reads all as grey"
        )
    lines += [f"{number} pictures: {remark}" for remark, number in sorted(remarks.items())]
    lines += bad_notes([bad for gathered in found.values() for bad in gathered.bad])
    return lines
