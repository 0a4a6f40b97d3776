"""``pool`` shrinks pictures, ``unpool`` puts maxima back where they were."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnntool.filters.pool import dropped, pool, unpool
from cnntool.folder.job import Item
from cnntool.images.picture import Picture
from cnntool.jobs.indices import pack_indices, read_indices
from cnntool.jobs.picture import Named, PictureJob, Target

INDICES = "indices"
"""The word for the positions among the results."""


@dataclass(frozen=True, kw_only=True)
class PoolJob(PictureJob):
    """Pooling by torch's rules.

    Attributes:
        kind: A word of :data:`cnntool.filters.words.POOL_KINDS`.
        size: Window (H, W) or (D, H, W); the output's size for adaptive kinds.
        stride: Steps down and across; none: the window.
        padding: Rows and columns around the picture.
        dilation: Distances of the taps.
        ceil_mode: Windows may run off the far edge.
        exclude_pad: Averages leave the padding out.
        indices: File for the positions of the maxima; '' writes none.
    """

    kind: str = "max"
    size: tuple[int, ...] = (2, 2)
    stride: tuple[int, ...] | None = None
    padding: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    ceil_mode: bool = False
    exclude_pad: bool = False
    indices: str = ""

    def whats(self) -> tuple[str, ...]:
        """``max2``, ``avg2x3``, ``global-max``."""
        if self.kind.startswith("global"):
            return (self.kind,)
        square = len(set(self.size)) == 1 and len(self.size) == 2
        text = str(self.size[0]) if square else "x".join(map(str, self.size))
        return (f"{self.kind}{text}",)

    def place(self, item: Item, what: str) -> str:
        """The file of positions has a name of its own."""
        return self.indices if what == INDICES else super().place(item, what)

    def outputs(self, item: Item) -> tuple[str, ...]:
        """The picture, and the positions."""
        return (*super().outputs(item), *([self.indices] if self.indices else []))

    def buffers(self) -> int:
        """Sums and averages are floats; medians sort whole windows."""
        taps = int(np.prod(self.size)) if self.kind == "median" else 1
        return 0 if self.kind in ("max", "min") and not self.indices else 1 + taps

    def size_out(self, picture: Picture) -> tuple[int, int]:
        """Adaptive pooling makes what it is asked for, larger than the picture too."""
        if self.kind.startswith("adaptive"):
            return self.size[-2], self.size[-1]
        return super().size_out(picture)

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """The pooled picture."""
        geometry: dict[str, Any] = {
            "size": self.size,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }
        pixels = self.on_device(picture.pixels)
        values, positions = pool(
            pixels,
            self.kind,
            exclude_pad=self.exclude_pad,
            return_indices=bool(self.indices),
            **geometry,
        )
        if positions is not None:
            yield INDICES, pack_indices(self.on_host(positions), picture.pixels.shape[:2])
        note = dropped(picture.pixels.shape, self.kind, **geometry)
        notes += [note] if note else []
        depth = self.size[0] if len(self.size) == 3 else 1
        result = replace(picture, pixels=self.on_host(values), alpha=picture.alpha and depth == 1)
        full_range = self.full_range(picture)
        yield self.whats()[0], self.ranged(result, target, full_range, notes)


@dataclass(frozen=True, kw_only=True)
class UnpoolJob(PictureJob):
    """Zeros, and the values where they came from.

    Attributes:
        indices: The file that ``pool --indices`` wrote.
    """

    indices: str

    def whats(self) -> tuple[str, ...]:
        """``unpooled``."""
        return ("unpooled",)

    def size_out(self, picture: Picture) -> tuple[int, int]:
        """The size before pooling, as the file says."""
        return read_indices(self.indices)[1]

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """The unpooled picture."""
        positions, size = read_indices(self.indices)
        pixels = unpool(self.on_device(picture.pixels), self.on_device(positions), size)
        result = replace(picture, pixels=self.on_host(pixels))
        yield "unpooled", self.fitted(result, target)
