"""Many picture files into one array (M, C, H, W) in their order, large ones by a few threads.

Bad files are left out and named; pictures of different sizes are an error that counts them, because
a size must be chosen by a person. How much memory the result takes is known and judged before it
fills.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnntool.data import memory
from cnntool.data.fitting import COLORS, FITS, brightness_of_edges, fitted, framed
from cnntool.errors import InputError, ModelFileError, NameNotFound
from cnntool.files import complaint
from cnntool.images.reading import inspect, opened, read_bytes
from cnntool.machine import cores

MOST_THREADS = 8

MOST_NAMED = 10
"""Bad files that notes name."""

_TRIED = 4  # files that tell how long one takes
_WORTH_THREADS = 1.5e-3  # seconds a file from which threads are faster
_PORTION = 16  # files a task: little overhead, and a stop is answered soon
_WAY_OUT = "choose a smaller --size, or take a part with --limit"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What pictures shall become.

    Attributes:
        size: Rows and columns; None: all pictures have the same already.
        fit: ``stretch``, ``crop`` or ``pad``.
        color: ``gray`` or ``rgb``; None: grey if all pictures are.
        background: What surrounds padded pictures, from 0 to 1; None: black or white, as their
            edges are.
    """

    size: tuple[int, int] | None = None
    fit: str = "stretch"
    color: str | None = None
    background: float | None = None

    def surround(self, pictures: Iterable[NDArray[np.uint8] | None]) -> float:
        """The background for a data set with these pictures, (H, W) or (H, W, 3) each."""
        if self.fit != "pad" or self.size is None:
            return 0.0
        return brightness_of_edges(pictures) if self.background is None else self.background

    def check(self) -> None:
        """Raise NameNotFound for unknown words."""
        if self.fit not in FITS:
            raise NameNotFound.among("fit", self.fit, FITS)
        if self.color is not None and self.color not in COLORS:
            raise NameNotFound.among("colour mode", self.color, COLORS)


@dataclass
class Gathered:
    """Pictures of many files.

    Attributes:
        pixels: One array a file, (H, W) or (H, W, 3) uint8; None for a bad file.
        originals: Rows and columns of each file before any fitting; (0, 0) for a bad one.
        modes: How many have each mode of storage.
        notes: How many the reader had something to say about.
        bad: (path, reason) of files that are no pictures.
    """

    pixels: list[NDArray[np.uint8] | None] = field(default_factory=list)
    originals: list[tuple[int, int]] = field(default_factory=list)
    modes: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[str, str]] = field(default_factory=list)

    @property
    def sizes(self) -> Counter[tuple[int, int]]:
        """How many good files have each size, before any fitting."""
        return Counter(size for size in self.originals if size != (0, 0))

    @property
    def colored(self) -> int:
        """Pictures with colour channels."""
        return sum(pixels is not None and pixels.ndim == 3 for pixels in self.pixels)


@dataclass(frozen=True)
class _Taken:
    """What became of one file."""

    pixels: NDArray[np.uint8] | None = None
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    notes: tuple[str, ...] = ()
    reason: str = ""


def gather(paths: Sequence[str], wish: Wish, what: str) -> Gathered:
    """Decode all files.

    Args:
        paths: Picture files.
        wish: What they shall become.
        what: Subject of messages: the folder.

    Raises:
        ModelFileError: Sizes differ though none was chosen, or more than half of the files are bad.
        LimitError: The pictures would need too much memory.
        SystemFailure: The system stopped it.
    """
    wish.check()
    found = Gathered()
    if wish.size is not None:
        channels = COLORS.get(wish.color or "gray", 1)
        _check_memory(len(paths), (channels, *wish.size))
    first = None
    for path, taken in zip(paths, _all(paths, wish), strict=True):
        found.pixels.append(taken.pixels)
        found.originals.append(taken.size)
        if taken.pixels is None:
            found.bad.append((path, taken.reason))
            continue
        if wish.size is None and first is None:
            first = taken.size
            _check_memory(len(paths), (taken.pixels.size // (first[0] * first[1]), *first))
        if wish.size is None and taken.size != first:
            raise _mixed(paths, what)
        found.modes[taken.mode] += 1
        found.notes.update(set(taken.notes))
    good = len(paths) - len(found.bad)
    if good < len(found.bad):
        path, reason = found.bad[0]
        raise ModelFileError(
            f"{what}: {len(found.bad)} of {len(paths)} pictures cannot be read; the first is "
            f"{complaint(path, reason)}"
        )
    return found


def assemble(found: Gathered, wish: Wish, color: str, background: float = 0.0) -> NDArray[np.uint8]:
    """The good pictures as one array (M, C, H, W); their own arrays are let go on the way.

    Args:
        found: From :func:`gather`.
        wish: What was wished then.
        color: ``gray`` or ``rgb``.
        background: What surrounds padded pictures, from 0 to 1.
    """
    good = [pixels for pixels in found.pixels if pixels is not None]
    found.pixels.clear()
    if not good:
        return np.empty((0, COLORS[color], *(wish.size or (0, 0))), np.uint8)
    height, width = wish.size or good[0].shape[:2]
    shape = (len(good), COLORS[color], height, width)
    _check_memory(shape[0], shape[1:])
    out = np.empty(shape, np.uint8)
    good.reverse()
    for place in out:
        place[:] = framed(good.pop(), COLORS[color], wish.size, background)
    return out


def bad_notes(bad: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Sentences about files that were left out."""
    if not bad:
        return ()
    files = "1 file that is no readable picture is" if len(bad) == 1 else (
        f"{len(bad)} files that are no readable pictures are"
    )  # fmt: skip
    lines = [f"{files} left out"]
    lines += [complaint(path, reason) for path, reason in bad[:MOST_NAMED]]
    if len(bad) > MOST_NAMED:
        lines.append(f"and {len(bad) - MOST_NAMED} more; 'cnntool check -r' lists them all")
    return tuple(lines)


def counted(counts: Counter[str], most: int = 6) -> str:
    """Kinds with their numbers, the most frequent first.

    Example:
        >>> counted(Counter({"RGB": 3, "L": 120}))
        'L (120), RGB (3)'
    """
    # equal numbers in the order of their names: the same files, the same words
    ranked = sorted(counts.items(), key=lambda kind: (-kind[1], kind[0]))
    shown = ", ".join(f"{kind} ({number})" for kind, number in ranked[:most])
    return shown + (f" and {len(ranked) - most} more" if len(ranked) > most else "")


def size_counts(sizes: Counter[tuple[int, int]]) -> Counter[str]:
    """Sizes in words, rows first."""
    return Counter({f"{rows}x{columns}": number for (rows, columns), number in sizes.items()})


def _all(paths: Sequence[str], wish: Wish) -> Iterator[_Taken]:
    """What became of each file, in order; large pictures by several threads.

    Threads share the interpreter lock: 28 x 28 pixels take 0.20 ms on one thread, 0.30 ms on two.
    """
    started = time.perf_counter()
    yield from (_take(path, wish) for path in paths[:_TRIED])
    slow = time.perf_counter() - started > _TRIED * _WORTH_THREADS
    paths = paths[_TRIED:]
    portions = [paths[start : start + _PORTION] for start in range(0, len(paths), _PORTION)]
    count = min(cores(), MOST_THREADS, len(portions))
    if count < 2 or not slow:
        yield from (_take(path, wish) for path in paths)
        return
    threads = ThreadPoolExecutor(count, "cnntool-reader")
    try:
        waiting = [threads.submit(_portion, portion, wish) for portion in portions[: 2 * count]]
        following = iter(portions[2 * count :])
        while waiting:
            yield from waiting.pop(0).result()
            portion = next(following, None)
            if portion is not None:
                waiting.append(threads.submit(_portion, portion, wish))
    finally:
        # a stop is not kept waiting by a few large photos
        threads.shutdown(wait=False, cancel_futures=True)


def _portion(paths: Sequence[str], wish: Wish) -> list[_Taken]:
    return [_take(path, wish) for path in paths]


def _take(path: str, wish: Wish) -> _Taken:
    try:
        with opened(path, kernels=1 if wish.size else 0) as picture:
            pixels = fitted(picture, gray=wish.color == "gray", size=wish.size, fit=wish.fit)
            rows, columns = picture.pixels.shape[:2]
            notes = picture.notes
            if picture.alpha:
                notes += ("transparent parts are shown on white",)
            return _Taken(pixels, (rows, columns), picture.mode, notes)
    except InputError as error:
        return _Taken(reason=str(error))


def _check_memory(count: int, shape: tuple[int, ...]) -> None:
    size = "x".join(map(str, shape))
    memory.check(count * int(np.prod(shape, dtype=object)), f"{count} pictures of {size}", _WAY_OUT)


def _mixed(paths: Sequence[str], what: str) -> ModelFileError:
    """The error that counts sizes, from the headers alone."""
    sizes: Counter[tuple[int, int]] = Counter()
    for path in paths:
        try:
            header = inspect(read_bytes(path))
        except InputError:
            continue
        sizes[header.height, header.width] += 1
    several = f"{len(sizes)} sizes" if len(sizes) > 1 else "one size but turned by their EXIF tags"
    return ModelFileError(
        f"{what}: pictures of {several}: {counted(size_counts(sizes))}; choose one with --size HxW",
        sizes=dict(sizes),
    )
