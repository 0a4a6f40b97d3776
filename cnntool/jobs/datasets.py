"""``datasets``: what there is, what is in one of them, how one is downloaded or made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cnntool.data.known import KNOWN, Known, find
from cnntool.data.places import download_folder, found
from cnntool.errors import OptionError
from cnntool.files import quote, terminal_safe
from cnntool.images.limits import in_words
from cnntool.report.tables import Row

COLUMNS = ("name", "classes", "train", "test", "size", "color", "where", "summary")
"""Columns of the list."""

BUILT_IN = "built in"

SMALLEST = 16
"""Rows and columns of made pictures."""


def rows(*, full: bool) -> Iterator[Row]:
    """One row a known data set.

    Args:
        full: Give lists, licence and addresses too.
    """
    for entry in KNOWN.values():
        channels, *size = entry.shape
        folder = found(entry)
        row: dict[str, object] = {
            "name": entry.name,
            "classes": list(entry.classes) if full else len(entry.classes),
            "train": entry.train,
            "test": entry.test,
            ("shape" if full else "size"): list(entry.shape) if full else "x".join(map(str, size)),
            "color": "gray" if channels == 1 else "rgb",
            "where": _where(entry, folder),
            "summary": entry.summary,
        }
        if full:
            row |= {
                "path": folder,
                "download_bytes": entry.size or None,
                "licence": entry.licence,
                "page": entry.page,
            }
        yield row


def _where(entry: Known, folder: str | None) -> str:
    if not entry.files:
        return BUILT_IN
    return f"to download, {in_words(entry.size)}" if folder is None else folder


def describe(
    source: str, size: tuple[int, int] | None = None, fit: str = "stretch", color: str | None = None
) -> dict[str, Any]:
    """One data set, read completely.

    Args:
        source: What the user calls it.
        size: Size for pictures of several sizes.
        fit: How they are brought to it.
        color: ``gray`` or ``rgb``.

    Returns:
        ``name where task shape color parts classes fingerprint licence page notes``; ``parts``:
        pictures of each part; ``classes``: a row a class with its name and its pictures in each
        part (pixels, for segmentation).
    """
    import numpy as np

    from cnntool.data.loading import load

    data = load(source, size=size, fit=fit, color=color)
    entry = KNOWN.get(data.name) if data.name == source else None
    named = {"train": data.train, "validation": data.validation, "test": data.test}
    parts = {part: split for part, split in named.items() if split is not None}
    count = len(data.classes)
    counts = {
        part: np.bincount(split.labels.reshape(-1), minlength=count)
        for part, split in parts.items()
    }
    return {
        "name": data.name,
        "where": source if entry is None else _where(entry, found(entry)),
        "task": "segment" if data.segments else "classify",
        "shape": list(data.shape),
        "color": data.color,
        "parts": {part: len(split) for part, split in parts.items()},
        "classes": [
            {"number": number, "class": name}
            | {part: int(numbers[number]) for part, numbers in counts.items()}
            for number, name in enumerate(data.classes)
        ],
        "fingerprint": data.fingerprint,
        "licence": entry.licence if entry else None,
        "page": entry.page if entry else None,
        "notes": list(data.notes),
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """What stands below the table of classes: facts in words."""
    channels, height, width = found["shape"]
    parts = ", ".join(f"{part} {number}" for part, number in found["parts"].items())
    yield f"data set     {terminal_safe(found['name'])}, {terminal_safe(found['where'])}"
    shape = f"{height}x{width} {found['color']}, input {channels}x{height}x{width}"
    yield f"pictures     {parts}; {shape}"
    if found["task"] == "segment":
        yield "labels       a class for every pixel; the table counts pixels"
    if found["licence"]:
        yield f"licence      {found['licence']}; {found['page']}"
    yield f"fingerprint  {found['fingerprint']}"


def make(
    name: str,
    folder: str,
    count: int,
    *,
    size: tuple[int, int],
    seed: int,
    force: bool,
    progress: Callable[[int, int], None],
) -> str:
    """Make a data set; a sentence about it.

    Args:
        name: Of its kind.
        folder: Where it goes.
        count: Pictures to learn from.
        size: Rows and columns.
        seed: Of all that is drawn.
        force: Replace what is there.
        progress: Told of pictures done and pictures in all.

    Raises:
        NameNotFound: There is no such kind.
        OptionError: The place is taken, or pictures are too small.
        SystemFailure: It cannot be written.
    """
    from cnntool.data.made import find as find_kind
    from cnntool.data.made import folder as made

    kind = find_kind(name)
    if min(size) < SMALLEST:
        raise OptionError(
            f"pictures of {size[0]}x{size[1]} show nothing; --size takes {SMALLEST}x{SMALLEST} or "
            "more"
        )
    made.make(kind, folder, count, size=size, seed=seed, force=force, progress=progress)
    counts = ", ".join(f"{many} {part}" for part, many in made.parts(count).items())
    return (
        f"{counts} pictures {size[0]}x{size[1]} of {len(kind.classes)} classes; go on with: "
        f"cnntool train {quote(folder)}"
    )


def fetch(
    name: str,
    folder: str | None,
    *,
    force: bool,
    progress: Callable[[int, int], None],
    tell: Callable[[str], None],
) -> list[str]:
    """Download a known data set; the paths written.

    Args:
        name: Of the data set.
        folder: Where it goes; None: the user's cache.
        force: Replace other files there.
        progress: Told of bytes done and bytes in all.
        tell: Gets sentences for the user.

    Raises:
        NameNotFound: There is no such data set.
        OptionError: It is built in, or there is no place for it.
        SystemFailure: No mirror has it, or it cannot be written.
    """
    from cnntool.data.download import download

    entry = find(name)
    if not entry.files:
        raise OptionError(f"{name} is built in; there is nothing to download")
    folder = folder or download_folder(name)
    if folder is None:
        raise OptionError("there is no folder for downloads without a home; name one with -o")
    written = download(entry, folder, force=force, progress=progress, tell=tell)
    if not written:
        tell(f"{name} is in {quote(folder)} already")
    return written
