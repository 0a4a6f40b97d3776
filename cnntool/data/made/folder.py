"""A made data set as a folder: ``train/`` and ``test/`` with ``images/`` and ``masks/``.

The folder is made beside its place and gets its name at the end, so it is there whole or not at
all. ``made.json`` says how it was made; only a folder that has one, and holds nothing but what was
made with it, is ever replaced.
"""

# names stay strings: bytes that are no text pass through
# ruff: noqa: PTH101, PTH104, PTH106, PTH112, PTH113, PTH114, PTH116, PTH121, PTH208
from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from cnntool.data.made import Kind, made
from cnntool.data.masks import IMAGES, MASKS
from cnntool.errors import OptionError
from cnntool.files import quote, system_failure, write_whole
from cnntool.images.picture import Picture
from cnntool.images.writing import encode

RECORD = "made.json"
"""Says how the folder was made."""

NAMES = "classes.txt"
"""Names of the classes, one a line."""

MOST = 1_000_000
"""Pictures to learn from."""

TEST_EVERY = 10
"""For so many pictures to learn from there is one to test with."""


def parts(count: int) -> dict[str, int]:
    """How many pictures each part has, for so many to learn from.

    Example:
        >>> parts(2000), parts(3)
        ({'train': 2000, 'test': 200}, {'train': 3, 'test': 1})
    """
    return {"train": count, "test": max(1, count // TEST_EVERY)}


def check(folder: str, *, force: bool) -> None:
    """Refuse a place that is taken.

    Raises:
        OptionError: It is, and ``force`` is off or what lies there was not made here.
    """
    if os.path.islink(folder) or os.path.isfile(folder):
        raise OptionError(f"{quote(folder)} exists and is no folder; choose another")
    if not os.path.isdir(folder):
        return
    if os.path.samefile(folder, os.curdir):
        raise OptionError(
            f"{quote(folder)} is the current folder, which cannot be replaced; name one below it"
        )
    if not os.listdir(folder):
        return
    if not _was_made(folder):
        raise OptionError(
            f"{quote(folder)} holds other files than a made data set; choose another folder"
        )
    if not force:
        raise OptionError(f"{quote(folder)} exists; -f (--force) replaces it")


def _was_made(folder: str) -> bool:
    """Whether a folder holds a made data set, and neither file nor folder besides."""
    try:
        with open(os.path.join(folder, RECORD), encoding="utf-8") as file:
            count = json.load(file)["count"]
        if not 1 <= count <= MOST:
            return False
        made = {*parts(count), *_files(count)}
        made |= {os.path.join(part, below) for part in parts(count) for below in (IMAGES, MASKS)}
        for above, folders, files in os.walk(folder, onerror=_raise):
            found = (os.path.relpath(os.path.join(above, n), folder) for n in (*folders, *files))
            if not made.issuperset(found):
                return False
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _files(count: int) -> Iterator[str]:
    """Names of all files of a data set, below its folder."""
    yield RECORD
    yield NAMES
    for part, many in parts(count).items():
        digits = len(str(many - 1))
        for below in (IMAGES, MASKS):
            yield from (os.path.join(part, below, f"{n:0{digits}}.png") for n in range(many))


def _raise(error: OSError) -> None:
    raise error


def make(
    kind: Kind,
    folder: str,
    count: int,
    *,
    size: tuple[int, int],
    seed: int,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Make a data set.

    Args:
        kind: What is in its pictures.
        folder: Where it goes.
        count: Pictures to learn from; there is a tenth as many to test with.
        size: Rows and columns.
        seed: At least 0.
        force: Whether what lies there is replaced.
        progress: Is told how many pictures are done, and how many there will be.

    Raises:
        OptionError: The place is taken.
        SystemFailure: It cannot be written.
    """
    check(folder, force=force)
    place = os.path.abspath(folder)
    above, name = os.path.split(place)
    try:
        os.makedirs(above, exist_ok=True)
        fresh = tempfile.mkdtemp(prefix=f".{name[:100]}.", suffix=".cnntool-tmp", dir=above)
    except OSError as error:
        raise system_failure(folder, error, "cannot be made") from error
    try:
        _fill(kind, fresh, count, size, seed, progress)
        umask = os.umask(0)
        os.umask(umask)
        mode = os.stat(place).st_mode & 0o777 if os.path.isdir(place) else 0o777 & ~umask
        os.chmod(fresh, mode)
        _name(fresh, place)
    except OSError as error:
        raise system_failure(folder, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _fill(
    kind: Kind,
    folder: str,
    count: int,
    size: tuple[int, int],
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    done, total = 0, sum(parts(count).values())
    for number, (part, many) in enumerate(parts(count).items()):
        digits = len(str(many - 1))
        below = Path(folder, part)
        (below / IMAGES).mkdir(parents=True)
        (below / MASKS).mkdir()
        for place in range(many):
            image, mask = made(kind, size, seed=seed, part=number, number=place)
            for where, pixels in ((IMAGES, image), (MASKS, mask)):
                file = below / where / f"{place:0{digits}}.png"
                write_whole(os.fspath(file), encode(Picture(pixels), "png"))
            done += 1
            if progress is not None:
                progress(done, total)
    write_whole(os.path.join(folder, NAMES), "".join(f"{c}\n" for c in kind.classes).encode())
    record = {"kind": kind.name, "count": count, "size": list(size), "seed": seed}
    write_whole(os.path.join(folder, RECORD), (json.dumps(record) + "\n").encode())


def _name(fresh: str, place: str) -> None:
    """Give the folder its name; what lay there goes when that is done."""
    if not os.path.isdir(place):
        os.rename(fresh, place)
        return
    aside = tempfile.mkdtemp(prefix=".old.", suffix=".cnntool-tmp", dir=os.path.dirname(place))
    old = os.path.join(aside, os.path.basename(place))
    os.rename(place, old)
    try:
        os.rename(fresh, place)
    except OSError:
        os.rename(old, place)  # if that fails too, it stays where it is
        os.rmdir(aside)
        raise
    shutil.rmtree(aside, ignore_errors=True)
