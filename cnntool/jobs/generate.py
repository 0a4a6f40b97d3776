"""``generate``: pictures of numbers and classes, on a sheet, in a film, or a file each."""

# names stay strings: bytes that are no text pass through
from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import InputError, OptionError
from cnntool.files import complaint, natural_key, quote, system_failure, write_whole
from cnntool.files.atomic import exists_error
from cnntool.images.formats import FORMATS
from cnntool.images.picture import Picture
from cnntool.images.reading import read_bytes
from cnntool.images.writing import encode
from cnntool.predict.generator import GROUP, Generator, samples_of
from cnntool.report.film import film, shown_of
from cnntool.report.grids import LARGEST, grid, planes_to_pixels
from cnntool.report.lettering import drawable

Pixels = NDArray[np.uint8]

MOST_COLUMNS = 20
"""Pictures in a row of a sheet, unless more are asked for."""

_CELL = 56  # pixels of a small picture on a sheet, at least
_GAP = 4


@dataclass(frozen=True, slots=True)
class Wish:
    """A picture to be made.

    Attributes:
        seed: Of its random numbers.
        number: Of its class, or the row of its vector; None if there is none.
        other: A second seed, for a picture between the two.
        share: Of the way to it, in hundredths of a percent.
    """

    seed: int
    number: int | None = None
    other: int | None = None
    share: int = 0

    def name(self, digits: int) -> str:
        """What its file is called.

        Example:
            >>> Wish(3).name(2), Wish(3, other=4, share=2500).name(1)
            ('03', '3-4-02500')
        """
        seed = f"{self.seed:0{digits}}"
        return seed if self.other is None else f"{seed}-{self.other:0{digits}}-{self.share:05}"


def wishes(
    seeds: Sequence[int],
    numbers: Sequence[int | None],
    *,
    count: int | None = None,
    steps: int | None = None,
) -> list[Wish]:
    """The pictures to be made: each class with each seed.

    Args:
        seeds: Of random numbers.
        numbers: Of classes; one None if there are none.
        count: So many pictures in all, with seeds from the first one on, dealt to the classes in
            turn.
        steps: For pictures on the way from each seed to the next, so many steps each.

    Raises:
        OptionError: There is no way from one seed.

    Example:
        >>> [(wish.seed, wish.number) for wish in wishes([7], [0, 1], count=3)]
        [(7, 0), (8, 1), (9, 0)]
        >>> [wish.share for wish in wishes([7, 9], [None], steps=2)]
        [0, 5000, 10000]
    """
    if count is not None:
        return [Wish(seeds[0] + n, numbers[n % len(numbers)]) for n in range(count)]
    if steps is None:
        return [Wish(seed, number) for number in numbers for seed in seeds]
    if len(seeds) < 2:
        raise OptionError("--interpolate goes from seed to seed; name two or more: --seeds 3,8")
    found = []
    for number in numbers:
        for first, second in pairwise(seeds):
            found += [Wish(first, number, second, n * 10_000 // steps) for n in range(steps)]
        found.append(Wish(seeds[-2], number, seeds[-1], 10_000))
    return found


def made(
    generator: Generator, wanted: Sequence[Wish], vectors: NDArray[np.float32] | None = None
) -> Iterator[Pixels]:
    """The pictures, in their order: (H, W) or (H, W, 3) each.

    Args:
        generator: What makes them.
        wanted: Which.
        vectors: (M, K), of a generator that takes them.
    """
    for first in range(0, len(wanted), GROUP):
        some = wanted[first : first + GROUP]
        drawn = generator.draw([wish.seed for wish in some])
        if any(wish.other is not None for wish in some):
            others = [wish.seed if wish.other is None else wish.other for wish in some]
            shares = np.array([wish.share / 10_000 for wish in some])
            drawn = drawn.towards(generator.draw(others), shares)
        numbers = [wish.number or 0 for wish in some]
        condition = generator.condition(numbers)
        if vectors is not None:
            condition = np.ascontiguousarray(vectors[numbers].T)
        samples = samples_of(generator.pictures(drawn, condition))
        for n in range(len(some)):
            yield planes_to_pixels(samples[..., n])


def read_vectors(path: str, generator: Generator) -> NDArray[np.float32]:
    """The vectors of a ``.npy`` file, (M, K).

    Raises:
        InputError: It cannot be read.
        OptionError: It holds no vectors of the generator's length.
    """
    try:
        data = read_bytes(path)
    except InputError as error:
        raise InputError(complaint(path, error.message), path=path) from error
    try:
        found = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, TypeError, MemoryError, OverflowError) as error:
        message = complaint(path, "no array of numbers as numpy.save writes them")
        raise InputError(message, path=path) from error
    width = generator.generation.width
    fits = found.dtype.kind in "iufb" and found.ndim == 2 and found.shape[1] == width
    if not fits or not np.isfinite(found).all():
        shape = "x".join(map(str, found.shape)) or "no"
        raise OptionError(
            f"{quote(path)}: {shape} numbers; vectors of {width} are needed, one a row, all finite"
        )
    return found.astype(np.float32)


def sheet(
    generator: Generator,
    wanted: Sequence[Wish],
    pictures: Iterable[Pixels],
    *,
    columns: int | None = None,
    titles: Sequence[str] = (),
) -> Pixels:
    """All pictures on one sheet, a row a class where they fit: (H, W, 3).

    Args:
        generator: What made them.
        wanted: What they are.
        pictures: In that order.
        columns: Pictures in a row.
        titles: Names of the classes, which stand below the first picture of each.
    """
    rows = by_class(wanted)
    captions = None
    if columns is None and rows and len(rows[0]) <= MOST_COLUMNS:
        columns = len(rows[0])
        if titles and len(rows) > 1:
            captions = [
                "" if n else drawable(titles[wish.number or 0])
                for row in rows
                for n, wish in enumerate(row)
            ]
    side = max(generator.shape[1:])
    cell = side * max(1, -(-_CELL // side))
    if len(wanted) * (cell + _GAP) ** 2 > LARGEST:
        raise OptionError(
            f"{len(wanted)} pictures are too many for one sheet; -o DIR/ writes a file each"
        )
    return grid(list(pictures), columns=columns, captions=captions, cell=cell, gap=_GAP)


def by_class(wanted: Sequence[Wish]) -> list[list[Wish]]:
    """Pictures of each class, if they come class after class and are equally many; else nothing.

    Example:
        >>> [len(row) for row in by_class(wishes([7, 8, 9], [0, 1]))]
        [3, 3]
        >>> by_class(wishes([7], [0, 1], count=3))
        []
    """
    rows = [list(row) for _, row in groupby(wanted, key=lambda wish: wish.number)]
    numbers, lengths = {row[0].number for row in rows}, {len(row) for row in rows}
    return rows if len(numbers) == len(rows) and len(lengths) == 1 else []


def animation(generator: Generator, wanted: Sequence[Wish], vectors: Any = None) -> bytes:
    """A GIF: one picture of each class at a time, side by side; else one after another.

    Args:
        generator: What makes the pictures.
        wanted: Which; of very many, some at equal distances are made.
        vectors: (M, K), of a generator that takes them.
    """
    rows = by_class(wanted) or [list(wanted)]
    shown = shown_of(len(rows[0]))
    together = made(generator, [row[n] for n in shown for row in rows], vectors)
    side = max(generator.shape[1:])
    cell = side * max(1, -(-2 * _CELL // side))
    frames = [grid(list(islice(together, len(rows))), cell=cell, gap=_GAP) for _ in shown]
    return film(frames, pause=120, last=1000)


@dataclass(frozen=True)
class Folder:
    """A file for each picture, in a folder for each class.

    Attributes:
        path: Where.
        titles: Names of the classes, which their folders get; empty if there are none.
        format: A key of :data:`cnntool.images.formats.FORMATS`.
        quality: Of JPEG and WebP.
        force: Whether files that exist are replaced.
    """

    path: str
    titles: tuple[str, ...] = ()
    format: str = "png"
    quality: int = 90
    force: bool = False

    def names(self, wanted: Sequence[Wish]) -> list[str]:
        """Of the files.

        Raises:
            OptionError: A class cannot be a folder, or a file exists.
        """
        numbers = sorted({wish.number for wish in wanted if wish.number is not None})
        for number in numbers if self.titles else ():
            check_folder_name(self.titles[number])
        seeds = [wish.seed for wish in wanted] + [wish.other or 0 for wish in wanted]
        digits = max(4, len(str(max(seeds))))
        suffix = FORMATS[self.format].suffixes[0]
        found = []
        for wish in wanted:
            below = self.path
            if self.titles and wish.number is not None:
                below = os.path.join(below, self.titles[wish.number])
            elif wish.number is not None:
                below = os.path.join(below, f"vector-{wish.number}")
            found.append(os.path.join(below, wish.name(digits) + suffix))
        if not self.force:
            for name in found:
                if os.path.lexists(name):
                    raise exists_error(name)
        return found

    def write(
        self,
        names: Sequence[str],
        pictures: Iterable[Pixels],
        progress: Callable[[int, int], None],
    ) -> Iterator[str]:
        """Write the pictures, each whole; yields their names.

        Raises:
            SystemFailure: One cannot be written.
        """
        for folder in sorted({os.path.dirname(name) for name in names}, key=natural_key):
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                raise system_failure(folder, error, "cannot be made") from error
        for done, (name, pixels) in enumerate(zip(names, pictures, strict=True), 1):
            data = encode(Picture(pixels), self.format, quality=self.quality)
            write_whole(name, data, force=self.force)
            progress(done, len(names))
            yield name


def check_folder_name(label: str) -> None:
    """Refuse a class that cannot be the name of a folder.

    Raises:
        OptionError: It cannot.
    """
    if label in ("", ".", "..") or "/" in label or "\\" in label or "\0" in label:
        raise OptionError(
            f"the class {quote(label)} cannot be the name of a folder; -o FILE.png takes any"
        )
