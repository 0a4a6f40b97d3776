"""``pyramid``: a picture into levels, and levels back into a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import InputError
from cnntool.files import quote
from cnntool.filters.kernel import count
from cnntool.filters.pyramid import collapse, gaussian_pyramid, laplacian_pyramid
from cnntool.folder.job import Done, Item
from cnntool.images.picture import Picture
from cnntool.jobs.picture import Named, PictureJob, Target, part


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
        full_range = self.full_range(picture)
        for level, values in enumerate(build(pixels, self.count)):
            # the last Laplacian level is a picture again, the others scatter about 0
            signed = self.kind == "laplacian" and level < self.count - 1
            what = f"l{level}"
            result = replace(picture, pixels=self.on_host(values))
            if signed and target.dtype is not None:
                result = _opaque(result)
            yield what, self.ranged(result, target, full_range, notes, signed=signed, title=what)


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
        parts.sort(key=lambda pair: math.prod(pair[1].pixels.shape[:2]), reverse=True)
        largest, first = parts[0]
        for path, picture in parts:
            if picture.channels != first.channels:
                raise InputError(
                    f"{quote(path)} has {count(picture.channels, 'channel')}, {quote(largest)} "
                    f"{first.channels}; levels of one pyramid have the same channels"
                )
        notes = [note for _, picture in parts for note in picture.notes]
        values = self.on_host(collapse([self.on_device(p.pixels) for _, p in parts]))
        deep = first.pixels.dtype == np.uint16 or self._is_deep(values, parts[-1][1].pixels)
        # only its shape and type matter
        like = np.broadcast_to(np.uint16(0) if deep else np.uint8(0), values.shape)
        target = self.target(item, replace(first, pixels=like), notes)
        if not deep and self.depth != 8 and values.max() > 255.5 and target.dtype is not None:
            notes.append("samples taken as 0..255; for levels of a 16-bit picture use --depth 16")
        whole = replace(first, pixels=values)
        whole = self.ranged(whole, target, 65535.0 if deep else 255.0, notes)
        return self.deliver(item, target, [("collapsed", whole)], Done(notes=tuple(notes)))

    def _is_deep(self, whole: NDArray[np.generic], smallest: NDArray[np.generic]) -> bool:
        """Whether samples are 0..65535: floats do not say, but values beyond 8 bits do."""
        if self.depth == 16:
            return True
        return bool(smallest.max() > 2 * 255) or bool(whole.max() > 2 * 255)


def _opaque(picture: Picture) -> Picture:
    """The picture without opacity: differences of it are none."""
    if not picture.alpha:
        return picture
    colour = picture.pixels[..., :-1]
    return replace(picture, pixels=colour if colour.shape[2] > 1 else colour[..., 0], alpha=False)
