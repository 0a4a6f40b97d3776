"""``pyramid``: a picture into levels, and levels back into a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cnntool.errors import InputError
from cnntool.files import quote
from cnntool.filters.pyramid import collapse, gaussian_pyramid, laplacian_pyramid
from cnntool.folder.job import Done, Item
from cnntool.images.picture import Picture
from cnntool.images.reading import opened
from cnntool.jobs.picture import Named, PictureJob, Target


@dataclass(frozen=True, kw_only=True)
class PyramidJob(PictureJob):
    """One file a level.

    Attributes:
        kind: ``gaussian`` or ``laplacian``.
        count: Number of levels, the picture's own included.
        range: How Laplacian coefficients are fitted into integers, where asked to.
    """

    kind: str = "gaussian"
    count: int = 4
    range: str = "auto"

    def whats(self) -> tuple[str, ...]:
        """``l0``, ``l1`` and so on."""
        return tuple(f"l{level}" for level in range(self.count))

    def buffers(self) -> int:
        """Two thirds of a picture more than the picture, in floats, a few times over."""
        return 3

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """The levels, largest first."""
        build = gaussian_pyramid if self.kind == "gaussian" else laplacian_pyramid
        pixels = self.on_device(picture.pixels)
        for level, values in enumerate(build(pixels, self.count)):
            # the last Laplacian level is a picture again, the others scatter about 0
            signed = self.kind == "laplacian" and level < self.count - 1
            levels = self.levels(picture, target, self.range, signed)
            result = self.on_host(values)
            if levels is not None:
                result = levels.of(result)
                if note := levels.report.note():
                    notes.append(f"l{level}: {note}")
            yield f"l{level}", replace(picture, pixels=result)


@dataclass(frozen=True, kw_only=True)
class CollapseJob(PictureJob):
    """Laplacian levels, in any order, into the picture.

    Attributes:
        paths: The files of the levels.
    """

    paths: tuple[str, ...]

    def whats(self) -> tuple[str, ...]:
        """``collapsed``, where no name was given."""
        return ("collapsed",)

    def __call__(self, item: Item) -> Done:
        """Read all levels, collapse, write."""
        pictures = []
        for path in self.paths:
            with opened(path, limits=self.limits, kernels=3) as picture:
                pictures.append(picture)
        pictures.sort(key=lambda p: p.pixels.shape[0] * p.pixels.shape[1], reverse=True)
        first = pictures[0]
        for path, picture in zip(self.paths, pictures, strict=True):
            if picture.channels != first.channels:
                raise InputError(
                    f"{quote(path)} has {picture.channels} channels, others {first.channels}; "
                    "levels of one pyramid have the same channels"
                )
        notes: list[str] = []
        target = self.target(item, first, notes)
        values = self.on_host(collapse([self.on_device(p.pixels) for p in pictures]))
        levels = self.levels(first, target, "clip")
        result = replace(first, pixels=values if levels is None else levels.of(values))
        return self.deliver(item, target, [("collapsed", result)], notes)
