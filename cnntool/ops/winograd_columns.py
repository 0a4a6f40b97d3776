"""What Winograd's algorithm does along the columns of its planes: plain windows, or tiles as well.

A plane is a sixth of the rows' work: (C, tile rows, columns, N). :class:`Windows` multiplies it as
im2col does, with kernels of any width. :class:`ColumnTiles` mixes six columns to six planes of
their own, which makes it F(4x4, 3x3): 2.25 products an output and channel pair instead of 4.5, for
the price of mixing in runs of N numbers. One plane at a time, so that it is still in the cache when
it is multiplied.

Shapes: kernels (O, C, 3, kw) with rows mixed, (6, O, kw, C). P is the number of positions in a
strip, J that of its column tiles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import prod
from typing import Any

from cnntool.backend import Array
from cnntool.ops import memory, products
from cnntool.ops import winograd_mixes as mixes
from cnntool.ops.correlation_methods import Scratch
from cnntool.ops.winograd_mixes import PLANES, TAPS, TILE

CACHED_BYTES = 1 << 20
"""Windows of so many planes are copied before they are multiplied: they stay in the cache."""


class Columns(ABC):
    """One way along the columns.

    Args:
        kw: Columns of the kernels.
        xp: numpy or cupy.
    """

    step = 1
    """Columns that come out together."""

    def __init__(self, kw: int, xp: Any) -> None:
        self.kw, self.xp = kw, xp

    def outputs(self, columns: int) -> int:
        """How many output columns are computed for so many: the last tile may be cut."""
        return -(-columns // self.step) * self.step

    def inputs(self, columns: int) -> int:
        """How many input columns they read."""
        return self.outputs(columns) + self.kw - 1

    @abstractmethod
    def kernels(self, rows: Array) -> Array:
        """Kernels (6, O, kw, C) as factors, one or several a plane."""

    @abstractmethod
    def multiply(self, kernels: Array, mixed: Array, product: Array, scratch: Scratch) -> None:
        """Fill the product (6, O, tiles · outputs · N) from planes (6, C, tiles, inputs, N)."""

    @abstractmethod
    def total(self, c: int, o: int, like: Array) -> Array:
        """Memory to sum gradients of factors in."""

    @abstractmethod
    def accumulate(
        self, mixed: Array, grads: Array, total: Array, scratch: Scratch, first: bool
    ) -> None:
        """Add a strip's part.

        Args:
            mixed: Planes (6, C, tiles, inputs, N) of its inputs.
            grads: Planes (6, O, tiles · outputs · N) of its outputs' gradients.
            total: The sums so far.
            scratch: Memory.
            first: Whether there are none so far.
        """

    @abstractmethod
    def gradient(self, total: Array, c: int, o: int) -> Array:
        """From the gradient of factors to that of kernels with rows mixed, (6, kw, C, O)."""


class Windows(Columns):
    """Windows copied out, one product a plane."""

    def kernels(self, rows: Array) -> Array:
        """(6, O, kw·C)."""
        return rows.reshape(*rows.shape[:2], -1)

    def multiply(self, kernels: Array, mixed: Array, product: Array, scratch: Scratch) -> None:
        """See :meth:`Columns.multiply`."""
        for planes, windows in self._windows(mixed, scratch):
            products.multiply(kernels[planes], windows, product[planes], self.xp)

    def total(self, c: int, o: int, like: Array) -> Array:
        """(6, kw·C, O)."""
        return memory.empty(self.xp, (PLANES, self.kw * c, o), like.dtype)

    def accumulate(
        self, mixed: Array, grads: Array, total: Array, scratch: Scratch, first: bool
    ) -> None:
        """See :meth:`Columns.accumulate`."""
        for planes, windows in self._windows(mixed, scratch):
            part = scratch("part", total[planes].shape)
            products.accumulate(windows, grads[planes], total[planes], part, self.xp, first=first)

    def gradient(self, total: Array, c: int, o: int) -> Array:
        """See :meth:`Columns.gradient`."""
        return total.reshape(PLANES, self.kw, c, o)

    def _windows(self, mixed: Array, scratch: Scratch) -> Iterator[tuple[slice, Array]]:
        """Some planes after others, and matrices (planes, kw·C, P) of their windows."""
        _, c, tiles, wide, n = mixed.shape
        columns = wide - self.kw + 1
        shape = self.kw, c, tiles, columns, n
        plane, channel, tile, column, image = mixed.strides
        views = self.xp.lib.stride_tricks.as_strided(
            mixed, (PLANES, *shape), (plane, column, channel, tile, column, image)
        )
        size = prod(shape) * mixed.itemsize
        together = min(PLANES, max(1, CACHED_BYTES // max(size, 1)))
        for first in range(0, PLANES, together):
            planes = slice(first, min(first + together, PLANES))
            count = planes.stop - first
            windows = scratch.matrix("windows", count * self.kw * c, tiles * columns * n)
            windows.reshape(count, *shape)[...] = views[planes]
            yield planes, windows.reshape(count, self.kw * c, -1)


class ColumnTiles(Columns):
    """Six columns mixed to six planes, for kernels of three columns."""

    step = TILE

    def kernels(self, rows: Array) -> Array:
        """(6, 6, O, C): plane of the rows, plane of the columns."""
        _, o, _, c = rows.shape
        factors = memory.empty(self.xp, (PLANES, PLANES, o, c), rows.dtype)
        mix = mixes.matrix(mixes.KERNEL, rows, self.xp)
        self.xp.matmul(mix, rows, out=factors.transpose(0, 2, 1, 3))
        return factors

    def multiply(self, kernels: Array, mixed: Array, product: Array, scratch: Scratch) -> None:
        """See :meth:`Columns.multiply`."""
        xp, o = self.xp, product.shape[1]
        tiles, inner, views = self._tiles(mixed, scratch)
        *_, down, across, n = inner.shape
        results = scratch.matrix("results", PLANES * o, down * across * n)
        # o down across 6 n
        outer = results.reshape(PLANES, o, down, across, n).transpose(1, 2, 3, 0, 4)
        results = results.reshape(PLANES, o, -1)
        into, out_of = mixes.matrix(mixes.INPUT, mixed, xp), mixes.matrix(mixes.OUTPUT, mixed, xp)
        for plane in range(PLANES):
            xp.matmul(into, views[plane], out=inner.transpose(1, 2, 3, 0, 4))
            products.multiply(kernels[plane], tiles, results, xp)
            target = product[plane].reshape(o, down, across, TILE, n)
            xp.matmul(out_of, outer, out=target)

    def total(self, c: int, o: int, like: Array) -> Array:
        """(6, 6, C, O)."""
        return memory.empty(self.xp, (PLANES, PLANES, c, o), like.dtype)

    def accumulate(
        self, mixed: Array, grads: Array, total: Array, scratch: Scratch, first: bool
    ) -> None:
        """See :meth:`Columns.accumulate`."""
        xp, o = self.xp, grads.shape[1]
        tiles, inner, views = self._tiles(mixed, scratch)
        *_, down, across, n = inner.shape
        spread = scratch.matrix("spread", PLANES * o, down * across * n)
        outer = spread.reshape(PLANES, o, down, across, n).transpose(1, 2, 3, 0, 4)
        spread = spread.reshape(PLANES, o, -1)
        part = scratch("part", total.shape[1:])
        into = mixes.matrix(mixes.INPUT, mixed, xp)
        back = mixes.matrix(mixes.OUTPUT, mixed, xp).T
        for plane in range(PLANES):
            xp.matmul(into, views[plane], out=inner.transpose(1, 2, 3, 0, 4))
            xp.matmul(back, grads[plane].reshape(o, down, across, TILE, n), out=outer)
            products.accumulate(tiles, spread, total[plane], part, xp, first=first)

    def gradient(self, total: Array, c: int, o: int) -> Array:
        """See :meth:`Columns.gradient`."""
        back = mixes.matrix(mixes.KERNEL, total, self.xp).T
        grad = self.xp.matmul(back, total.reshape(PLANES, PLANES, -1))
        return grad.reshape(PLANES, TAPS, c, o)

    def _tiles(self, mixed: Array, scratch: Scratch) -> tuple[Array, Array, Array]:
        """Matrices (6, C, P), the same as (6, C, tiles, J, N), and bands (6, C, tiles, J, 6, N)."""
        _, c, down, wide, n = mixed.shape
        across = (wide - TAPS + 1) // TILE
        matrices = scratch.matrix("tiles", PLANES * c, down * across * n)
        inner = matrices.reshape(PLANES, c, down, across, n)
        plane, channel, tile, column, image = mixed.strides
        views = self.xp.lib.stride_tricks.as_strided(
            mixed,
            (PLANES, c, down, across, PLANES, n),
            (plane, channel, tile, TILE * column, column, image),
        )
        return matrices.reshape(PLANES, c, -1), inner, views
