"""``hog`` and ``flatten``: one row of numbers a picture."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool.errors import InputError
from cnntool.filters.flatten import flatten
from cnntool.filters.hog import hog, hog_image, hog_length
from cnntool.filters.levels import Levels
from cnntool.folder.job import Done, Item
from cnntool.folder.outputs import OutputPlan
from cnntool.images.picture import Picture
from cnntool.images.reading import opened
from cnntool.images.resizing import resized
from cnntool.images.writing import encode
from cnntool.jobs.picture import grey


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

    def prepared(self, picture: Picture) -> Picture:
        """The picture in the wanted size and colour, without opacity."""
        if self.gray:
            picture = grey(picture)
        if picture.alpha:
            pixels = picture.pixels[..., :-1]
            pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
            picture = Picture(np.ascontiguousarray(pixels), format=picture.format)
        return picture if self.size is None else resized(picture, self.size)

    def measure(self, path: str) -> int:
        """Length of the row of the picture at ``path``."""
        with opened(path, limits=self.limits, kernels=2) as picture:
            return self.count(self.prepared(picture))

    def __call__(self, item: Item) -> Done:
        """Read, compute, check the length."""
        with opened(item.path, limits=self.limits, kernels=4) as picture:
            ready = self.prepared(picture)
            row = self.features(ready)
            if self.length and len(row) != self.length:
                raise InputError(
                    f"gives {len(row)} numbers, the first picture {self.length}; "
                    "bring all pictures to one size and colour with --size HxW and --gray"
                )
            done = Done(
                rows=({"path": item.path, "features": row},),
                paths=self.extras(item, ready),
                notes=picture.notes,
            )
        return done

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
        return self.count_of((height, width))

    def count_of(self, size: tuple[int, int]) -> int:
        """Length of the row of a picture of ``size``."""
        return hog_length(*size, orientations=self.orientations, cell=self.cell, block=self.block)

    def extras(self, item: Item, picture: Picture) -> tuple[str, ...]:
        """Writes the picture of the histograms."""
        if self.pictures is None:
            return ()
        options = {k: v for k, v in self._options.items() if k not in ("block", "norm")}
        levels = Levels(np.uint8, "rescale")
        drawing = Picture(levels.of(hog_image(picture.pixels, **options)))
        path = self.pictures.path(item, "hog")
        return (path,) if self.pictures.write(path, encode(drawing, "png")) else ()
