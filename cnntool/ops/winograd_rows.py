"""Rows of maps as tiles of Winograd's algorithm see them, and their mixing.

A tile row gives four output rows and reads six input rows, its band. A band of one map is a matrix
(6, columns·N) as it lies in memory, so a matrix (6, 6) times it mixes all of it in one product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cnntool.backend import Array
from cnntool.ops.winograd_mixes import TILE


@dataclass(frozen=True)
class Strip:
    """Part of the output: rows of tiles, and columns."""

    tile: int
    tiles: int
    left: int
    columns: int

    @property
    def rows(self) -> slice:
        """Its output rows; the last ones may not exist."""
        return slice(TILE * self.tile, TILE * (self.tile + self.tiles))


class Bands:
    """Maps (C, H, W, N) as bands of rows, one for each tile row; neighbours may share rows.

    Args:
        maps: The maps.
        above: Rows of the first band that lie above the maps.
        span: Rows of a band.
        xp: numpy or cupy.
    """

    def __init__(self, maps: Array, above: int, span: int, xp: Any) -> None:
        if not maps.flags.c_contiguous:
            maps = xp.ascontiguousarray(maps)
        c, height, width, n = maps.shape
        self.maps, self.above, self.span = maps, above, span
        # tile rows whose bands lie wholly inside: they are seen as one array
        self.begin = max(0, -(-above // TILE))
        self.end = max(self.begin, (height - span + above) // TILE + 1)
        down, across = maps.strides[0], maps.strides[1]
        top = min(TILE * self.begin - above, height)
        self.inner = xp.lib.stride_tricks.as_strided(
            maps[:, top:],
            (c, self.end - self.begin, span, width * n),
            (down, TILE * across, across, maps.itemsize),
        )

    def of(self, strip: Strip) -> Iterator[tuple[slice, slice, Array]]:
        """(tiles of the strip, rows of their bands, view (C, tiles, rows, columns·N))."""
        c, height, width, n = self.maps.shape
        first, last = strip.tile, strip.tile + strip.tiles
        run = slice(strip.left * n, (strip.left + strip.columns) * n)
        begin, end = max(first, self.begin), min(last, self.end)
        if begin < end:
            inner = self.inner[:, begin - self.begin : end - self.begin, :, run]
            yield slice(begin - first, end - first), slice(0, self.span), inner
        for tile in range(first, last):
            if not begin <= tile < end:
                top = TILE * tile - self.above
                low, high = inside(top, self.span, height)
                rows = self.maps[:, None, top + low : top + high]
                rows = rows.reshape(c, 1, high - low, width * n)[..., run]
                yield slice(tile - first, tile - first + 1), slice(low, high), rows

    def mix(self, matrix: Array, strip: Strip, planes: Array, xp: Any) -> None:
        """Fill planes (6, C, tiles, columns·N) with the matrix (6, span) times the bands."""
        target = planes.transpose(1, 2, 0, 3)
        for tiles, rows, lines in self.of(strip):
            xp.matmul(matrix[:, rows], lines, out=target[:, tiles])

    def fill(self, matrix: Array, planes: Array, strip: Strip, xp: Any) -> None:
        """Fill the bands with the matrix (span, 6) times planes (6, C, tiles, columns·N)."""
        source = planes.transpose(1, 2, 0, 3)
        for tiles, rows, lines in self.of(strip):
            xp.matmul(matrix[rows], source[:, tiles], out=lines)


def inside(first: int, count: int, size: int) -> tuple[int, int]:
    """Which of ``count`` positions from ``first`` on lie in 0..size, as a range of 0..count.

    Example:
        >>> inside(-1, 6, 4)
        (1, 5)
    """
    begin = min(max(0, -first), count)
    return begin, max(begin, min(count, size - first))
