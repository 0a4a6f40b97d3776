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
    """

    kind: str = "gaussian"
    count: int = 4

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
            result = replace(picture, pixels=self.on_host(values))
            yield (
                f"l{level}",
                self.ranged(
                    result,
                    target,
                    self.full_range(picture),
                    notes,
                    signed=signed,
                    title=f"l{level}",
                ),
            )


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
        parts = [(path, part(path, limits=self.limits, kernels=3)) for path in self.paths]
        parts.sort(key=lambda pair: pair[1].pixels.shape[0] * pair[1].pixels.shape[1], reverse=True)
        largest, first = parts[0]
        for path, picture in parts:
            if picture.channels != first.channels:
                raise InputError(
                    f"{quote(path)} has {channels_text(picture)}, {quote(largest)} "
                    f"{channels_text(first)}; levels of one pyramid have the same channels"
                )
        notes = [note for _, picture in parts for note in picture.notes]
        values = self.on_host(collapse([self.on_device(p.pixels) for _, p in parts]))
        whole = replace(first, pixels=values)
        if values.dtype.kind == "f" and self._is_deep(parts[0][1], values):
            whole = replace(whole, pixels=values)
        target = self.target(item, first, notes)
        return self.deliver(item, target, [("collapsed", whole)], Done(notes=tuple(notes)))
