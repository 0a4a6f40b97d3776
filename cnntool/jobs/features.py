"""``hog`` and ``flatten``: one row of numbers a picture."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool.errors import InputError, OptionError, ShapeError
from cnntool.filters.flatten import flatten
from cnntool.filters.hog import hog, hog_cells, hog_length
from cnntool.folder.job import Done, Item
from cnntool.folder.outputs import OutputPlan
from cnntool.images.limits import BYTES_PER_PIXEL_AND_KERNEL, memory_needed, reserve
from cnntool.images.limits import limits as limits_named
from cnntool.images.picture import Picture
from cnntool.images.reading import opened
from cnntool.images.resizing import resized
from cnntool.images.writing import encode
from cnntool.jobs.picture import grey
from cnntool.report.histograms import draw_histograms


@dataclass(frozen=True, kw_only=True)
class FeatureJob:
    """Reads a picture, gives one row: ``path`` and ``features``.

    Attributes:
        size: Height and width that every picture is stretched to; none leaves them.
        gray: Turn colour to grey first.
        limits: Profile of limits for reading.
        length: What every row must have; 0 takes any.
    """

    size: tuple[int, int] | None = None
    gray: bool = False
    limits: str = "normal"
    length: int = 0

    def outputs(self, item: Item) -> tuple[str, ...]:
        """No file of its own: rows go where the table goes."""
        return ()

    def features(self, picture: Picture) -> np.ndarray:
        """The row of one picture."""
        raise NotImplementedError(f"{type(self).__name__} makes no features")

    def count(self, picture: Picture) -> int:
        """Length of the row, without computing it."""
        raise NotImplementedError(f"{type(self).__name__} counts no features")

    def fixed_length(self) -> int:
        """Length of every row as the options tell it; 0 if it depends on the picture.

        Raises:
            OptionError: The size asked for gives no row at all.
        """
        raise NotImplementedError(f"{type(self).__name__} counts no features")

    def buffers(self) -> int:
        """Memory for the row and on the way to it, in float32 RGB copies of the picture."""
        return 1

    @contextmanager
    def prepared(self, path: str) -> Iterator[Picture]:
        """The picture at ``path`` in the wanted size and colour, without opacity."""
        kernels = self.buffers()
        # a picture that is stretched first needs the memory in its new size
        with opened(path, limits=self.limits, kernels=1 if self.size else kernels) as picture:
            if self.gray:
                picture = grey(picture)
            if picture.alpha:
                pixels = picture.pixels[..., :-1]
                pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
                picture = Picture(
                    np.ascontiguousarray(pixels), format=picture.format, notes=picture.notes
                )
            if self.size is None:
                yield picture
                return
            profile = limits_named(self.limits)
            profile.check_picture(self.size[1], self.size[0])
            what = f"--size {self.size[0]}x{self.size[1]}: these pixels"
            with reserve(memory_needed(math.prod(self.size), kernels), profile, what):
                yield resized(picture, self.size)

    def measure(self, path: str) -> int:
        """Length of the row of the picture at ``path``.

        Raises:
            InputError: It cannot be read, or gives no row.
        """
        with self.prepared(path) as picture:
            return self.count(picture)

    def __call__(self, item: Item) -> Done:
        """Read, compute, check the length."""
        with self.prepared(item.path) as picture:
            row = self.features(picture)
            if self.length and len(row) != self.length:
                raise InputError(
                    f"gives {len(row)} numbers, the first picture {self.length}; "
                    "bring all pictures to one size and colour with --size HxW and --gray"
                )
            return Done(
                rows=({"path": item.path, "features": row},),
                paths=self.extras(item, picture),
                notes=picture.notes,
            )

    def extras(self, item: Item, picture: Picture) -> tuple[str, ...]:
        """Files written beside the row."""
        return ()


@dataclass(frozen=True, kw_only=True)
class FlattenJob(FeatureJob):
    """Pixels in the order of a network's flatten: channel, row, column.

    Attributes:
        unit: Divide by the full range, so that samples are 0..1.
    """

    unit: bool = False

    def features(self, picture: Picture) -> np.ndarray:
        """All samples."""
        return np.asarray(flatten(picture.pixels, unit=self.unit))

    def count(self, picture: Picture) -> int:
        """H · W · C."""
        return int(picture.pixels.size)

    def fixed_length(self) -> int:
        """H · W in grey."""
        return math.prod(self.size) if self.size is not None and self.gray else 0


@dataclass(frozen=True, kw_only=True)
class HogJob(FeatureJob):
    """Histograms of oriented gradients.

    Attributes:
        orientations: Bins of a histogram.
        cell: Rows and columns of a cell, in pixels.
        block: Rows and columns of a block, in cells.
        norm: Normalisation of a block.
        signed: Directions over 360° instead of 180°.
        sqrt: Square root of the samples first.
        pictures: Names of the pictures of the histograms; none writes none.
    """

    orientations: int = 9
    cell: tuple[int, int] = (8, 8)
    block: tuple[int, int] = (3, 3)
    norm: str = "l2-hys"
    signed: bool = False
    sqrt: bool = False
    pictures: OutputPlan | None = None

    @functools.cached_property
    def _options(self) -> dict[str, Any]:
        return {
            "orientations": self.orientations,
            "cell": self.cell,
            "block": self.block,
            "norm": self.norm,
            "signed": self.signed,
            "sqrt": self.sqrt,
        }

    def outputs(self, item: Item) -> tuple[str, ...]:
        """The picture of the histograms, if wanted."""
        return () if self.pictures is None else (self.pictures.path(item, "hog"),)

    def features(self, picture: Picture) -> np.ndarray:
        """The descriptor."""
        return np.asarray(hog(picture.pixels, **self._options))

    def count(self, picture: Picture) -> int:
        """Length by formula."""
        height, width = picture.pixels.shape[:2]
        return self._length_of((height, width))

    def fixed_length(self) -> int:
        """Length by formula; colours do not change it."""
        if self.size is None:
            return 0
        try:
            return self._length_of(self.size)
        except ShapeError as error:
            shown = f"--size {self.size[0]}x{self.size[1]}"
            raise OptionError(f"{shown}: {error.message.replace('the image', 'it')}") from error

    def _length_of(self, size: tuple[int, int]) -> int:
        return hog_length(*size, orientations=self.orientations, cell=self.cell, block=self.block)

    def buffers(self) -> int:
        """Cells in float64 and blocks in float32, each with what is computed beside it."""
        cells = self.orientations / math.prod(self.cell)
        nbytes = cells * (2 * 8 + 2 * 4 * math.prod(self.block))
        return math.ceil(nbytes / BYTES_PER_PIXEL_AND_KERNEL)

    def extras(self, item: Item, picture: Picture) -> tuple[str, ...]:
        """Writes the picture of the histograms."""
        if self.pictures is None:
            return ()
        cells = hog_cells(
            picture.pixels, self.orientations, self.cell, signed=self.signed, sqrt=self.sqrt
        )
        height, width = picture.pixels.shape[:2]
        drawing = draw_histograms(cells, self.cell, (height, width), signed=self.signed)
        path = self.pictures.path(item, "hog")
        return (path,) if self.pictures.write(path, encode(Picture(drawing), "png")) else ()
