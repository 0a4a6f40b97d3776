"""Winograd's F(4, 3) down the rows: four output rows of a convolution from six products, not 12.

Six input rows are mixed into six planes (sums with small factors), each plane is multiplied with
its transformed kernel over channels and columns as one matrix product, and four output rows are
mixed from the six results. Columns are left alone: in (C, H, W, N) a row is W·N numbers in
one run, so every mix is a pass along long rows, while mixing columns (the usual F(2x2, 3x3)) walks
in steps of N. It takes twice as few products as plain windows, nearly as few as F(2x2, 3x3) (4.5
instead of 4 an output and channel pair), and half the passes: with 32 images of 32, 64 and 128
channels 100, 131 and 146 effective GFLOP/s on one core; F(2x2, 3x3) gave 60, 91 and 92, plain
windows 65, 76 and 84. Errors are 2e-6 of the largest output.

A strip is one row of tiles, or several where maps are small: its planes stay in the cache.

Kernels have three rows and any number of columns; stride and dilation 1; padding with zeros.
Shapes: input (C, H, W, N), kernels (O, C, 3, kw), output (O, oh, ow, N). P is the number of
positions in a strip, tile rows · columns · N.

References:
    Lavin and Gray 2016, Fast algorithms for convolutional neural networks, section 4.1.
    Winograd 1980, Arithmetic complexity of computations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool.backend import Array
from cnntool.ops import memory, products
from cnntool.ops.correlation_methods import Scratch
from cnntool.ops.epilogue import Epilogue
from cnntool.ops.sharing import share

KERNEL_ROWS = 3
_PLANES, _TILE = 6, 4  # planes of a tile, output rows of a tile

STRIP_NUMBERS = 1 << 15
"""Aim for channels · tile rows · columns · images of a strip: 128 kB a plane."""

NOTHING = Epilogue()


@dataclass(frozen=True)
class Strip:
    """Part of the output: rows of tiles and columns."""

    tile: int
    tiles: int
    left: int
    columns: int


@dataclass(frozen=True)
class Winograd:
    """The algorithm for one geometry.

    Attributes:
        shape: (C, H, W, N) of the input.
        out: (O, oh, ow, N) of the output.
        sides: Zeros at the top, right, bottom and left; negative ones cut rows or columns off.
        kw: Columns of the kernels.
        xp: numpy or cupy.
        threads: Threads that share strips.
    """

    shape: tuple[int, int, int, int]
    out: tuple[int, int, int, int]
    sides: tuple[int, int, int, int]
    kw: int
    xp: Any
    threads: int = 1

    def strips(self) -> list[Strip]:
        """All strips, in order; one on a device."""
        c, o = self.shape[0], self.out[0]
        _, rows, columns, n = self.out
        total = -(-rows // _TILE)
        if self.xp is not np:
            return [Strip(0, total, 0, columns)]
        row = max(c, o) * columns * n
        tiles = max(1, min(total, STRIP_NUMBERS // max(row, 1)))
        if self.threads > 1:  # as many for each thread, all equally high
            rounds = -(-total // (tiles * self.threads))
            tiles = max(1, -(-total // (rounds * self.threads)))
        pieces = min(columns, max(1, row // (4 * STRIP_NUMBERS)))
        wide = -(-columns // pieces)
        return [
            Strip(tile, min(tiles, total - tile), left, min(wide, columns - left))
            for tile in range(0, total, tiles)
            for left in range(0, columns, wide)
        ]

    def forward(self, x: Array, weight: Array, y: Array, finish: Epilogue = NOTHING) -> None:
        """Fill y (O, oh, ow, N); ``finish`` is applied while strips are in the cache."""
        o = weight.shape[0]
        kernels = transform_kernels(weight, self.xp)
        shift = None
        if finish.scale is None and finish.shift is not None:
            shift, finish = finish.shift.reshape(-1, 1), Epilogue(relu=finish.relu)

        def work(strips: Sequence[Strip]) -> None:
            scratch = Scratch(self.xp, y.dtype)
            for strip in strips:
                mixed = self._mixed(x, strip, scratch)
                product = scratch("product", (_PLANES, o, self._positions(strip)))
                for plane in range(_PLANES):
                    windows = self._windows(mixed[plane], strip, scratch)
                    products.multiply(kernels[plane], windows, product[plane], self.xp)
                if shift is not None:  # plane 1 is added to all four rows
                    self.xp.add(product[1], shift, out=product[1])
                self._mix_outputs(product, y, strip, scratch, finish)

        share(self.strips(), work, threads=self.threads)

    def grad_weight(self, x: Array, grad_y: Array) -> Array:
        """Gradient (O, C, 3, kw): the transposed algorithm."""
        c, o = self.shape[0], self.out[0]
        scratch = Scratch(self.xp, grad_y.dtype)
        total = memory.zeros(self.xp, (_PLANES, self.kw * c, o), grad_y.dtype)
        part = scratch("part", total.shape[1:])
        for strip in self.strips():
            mixed = self._mixed(x, strip, scratch)
            grads = self._grad_planes(grad_y, strip, scratch)
            for plane in range(_PLANES):
                windows = self._windows(mixed[plane], strip, scratch)
                products.accumulate(windows, grads[plane], total[plane], part, self.xp)
        grad = memory.empty(self.xp, (KERNEL_ROWS, self.kw * c, o), grad_y.dtype)
        near, far = total[1] + total[2], total[3] + total[4]
        grad[0] = total[0] / 4 - near / 6 + far / 24
        grad[1] = (total[2] - total[1]) / 6 + (total[3] - total[4]) / 12
        grad[2] = (far - near) / 6 + total[5]
        # 3 kw c o -> o c 3 kw
        return grad.reshape(KERNEL_ROWS, self.kw, c, o).transpose(3, 2, 0, 1)

    def _positions(self, strip: Strip) -> int:
        """P: columns of a strip's matrices."""
        return strip.tiles * strip.columns * self.out[3]

    def _windows(self, plane: Array, strip: Strip, scratch: Scratch) -> Array:
        """One plane (C, tiles, wide, N) with its windows along the columns: (kw·C, P).

        One at a time, so that it is still in the cache when it is multiplied.
        """
        c, tiles, _, n = plane.shape
        windows = scratch("windows", (self.kw, c, tiles, strip.columns, n))
        for column in range(self.kw):
            windows[column] = plane[:, :, column : column + strip.columns]
        return windows.reshape(self.kw * c, -1)

    def _mixed(self, x: Array, strip: Strip, scratch: Scratch) -> Array:
        """The planes of a strip's input: (6, C, tiles, columns + kw - 1, N)."""
        c, _, width, n = self.shape
        wide = strip.columns + self.kw - 1
        left = strip.left - self.sides[3]
        start, stop = _inside(left, wide, width)
        mixed = scratch("mixed", (_PLANES, c, strip.tiles, wide, n))
        mixed[:, :, :, :start] = 0
        mixed[:, :, :, stop:] = 0
        inner = mixed[:, :, :, start:stop]
        _mix_inputs(self._rows(x[:, :, left + start : left + stop], strip, scratch), inner, scratch)
        return mixed

    def _rows(self, x: Array, strip: Strip, scratch: Scratch) -> list[Array]:
        """Row 0 to 5 of every tile of a strip, each (C, tiles, columns, N); zeros beyond x."""
        height = self.shape[1]
        tall = _TILE * strip.tiles + KERNEL_ROWS - 1
        top = _TILE * strip.tile - self.sides[0]
        first, last = _inside(top, tall, height)
        if (first, last) != (0, tall):
            c, _, columns, n = x.shape
            rows = scratch("rows", (c, tall, columns, n))
            rows[:, :first] = 0
            rows[:, last:] = 0
            rows[:, first:last] = x[:, top + first : top + last]
            x, top = rows, 0
        span = _TILE * (strip.tiles - 1) + 1
        return [x[:, row : row + span : _TILE] for row in range(top, top + _PLANES)]

    def _mix_outputs(
        self, product: Array, y: Array, strip: Strip, scratch: Scratch, finish: Epilogue
    ) -> None:
        """Aᵀ m: from (6, O, P) to four rows of y a tile. The product is overwritten."""
        xp, (o, height, _, n) = self.xp, self.out
        m = product.reshape(_PLANES, o, strip.tiles, strip.columns, n)
        near_sum, far_sum = scratch("sum", m.shape[1:]), m[1]
        near_gap, far_gap = scratch("gap", m.shape[1:]), m[2]
        xp.add(m[1], m[2], out=near_sum)
        xp.subtract(m[1], m[2], out=near_gap)
        xp.add(m[3], m[4], out=far_sum)
        xp.subtract(m[3], m[4], out=far_gap)
        columns = slice(strip.left, strip.left + strip.columns)
        first = _TILE * strip.tile
        for row in range(_TILE):
            if row == 0:
                a, b = xp.add(m[0], near_sum, out=m[0]), far_sum
            elif row == 1:
                a, b = near_gap, xp.add(far_gap, far_gap, out=far_gap)
            elif row == 2:
                a, b = near_sum, xp.multiply(far_sum, far_sum.dtype.type(4), out=far_sum)
            else:
                xp.multiply(far_gap, far_gap.dtype.type(4), out=far_gap)
                a, b = xp.add(near_gap, far_gap, out=near_gap), m[5]
            lines = y[:, first + row : min(first + _TILE * strip.tiles, height) : _TILE, columns]
            count = lines.shape[1]
            if count:
                xp.add(a[:, :count], b[:, :count], out=lines)
                finish(lines)

    def _grad_planes(self, grad_y: Array, strip: Strip, scratch: Scratch) -> Array:
        """A g: six planes (6, O, P) of the gradients of a strip's four rows a tile."""
        xp, (o, _, _, n) = self.xp, self.out
        columns = slice(strip.left, strip.left + strip.columns)
        first, tall = _TILE * strip.tile, _TILE * strip.tiles
        lines = grad_y[:, first : first + tall, columns]
        if lines.shape[1] < tall:  # the last tile is not full
            longer = scratch("lines", (o, tall, strip.columns, n))
            longer[:, : lines.shape[1]] = lines
            longer[:, lines.shape[1] :] = 0
            lines = longer
        g = [lines[:, row::_TILE] for row in range(_TILE)]
        planes = scratch("grad planes", (_PLANES, o, strip.tiles, strip.columns, n))
        even, odd = planes[0], planes[5]
        xp.add(g[0], g[2], out=even)
        xp.add(g[1], g[3], out=odd)
        xp.add(even, odd, out=planes[1])
        xp.subtract(even, odd, out=planes[2])
        four, two = planes.dtype.type(4), planes.dtype.type(2)
        xp.multiply(g[2], four, out=even)
        xp.add(even, g[0], out=even)
        xp.multiply(g[3], four, out=odd)
        xp.add(odd, g[1], out=odd)
        xp.multiply(odd, two, out=odd)
        xp.add(even, odd, out=planes[3])
        xp.subtract(even, odd, out=planes[4])
        planes[0] = g[0]
        planes[5] = g[3]
        return planes.reshape(_PLANES, o, self._positions(strip))


def transform_kernels(weight: Array, xp: Any) -> Array:
    """(O, C, 3, kw) -> (6, O, kw·C): G k, one matrix a plane.

    G belongs to the points 0, 1, -1, 2, -2 and infinity; its rows are written out, because an array
    of them would have to be copied to a device.
    """
    o, c, tall, kw = weight.shape
    rows = memory.empty(xp, (tall, o, kw, c), weight.dtype)
    rows[...] = weight.transpose(2, 0, 3, 1)
    rows = rows.reshape(tall, o, kw * c)
    planes = memory.empty(xp, (_PLANES, o, kw * c), weight.dtype)
    ends = rows[0] + rows[2]
    planes[0] = rows[0] / 4
    planes[1] = (ends + rows[1]) / -6
    planes[2] = (ends - rows[1]) / -6
    ends = rows[0] / 24 + rows[2] / 6
    middle = rows[1] / 12
    planes[3] = ends + middle
    planes[4] = ends - middle
    planes[5] = rows[2]
    return planes


def _inside(first: int, count: int, size: int) -> tuple[int, int]:
    """Which of ``count`` positions from ``first`` on lie in 0..size, as a range of 0..count."""
    begin = min(max(0, -first), count)
    return begin, max(begin, min(count, size - first))


def _mix_inputs(d: Sequence[Array], mixed: Array, scratch: Scratch) -> None:
    """Bᵀ d: from the six rows of tiles, each (C, tiles, …), to planes (6, C, tiles, …)."""
    xp = scratch.xp
    a, b = scratch("even", mixed.shape[1:]), scratch("odd", mixed.shape[1:])
    four = mixed.dtype.type(4)
    xp.multiply(d[2], four, out=a)
    xp.subtract(d[4], a, out=a)
    xp.multiply(d[1], four, out=b)
    xp.subtract(d[3], b, out=b)
    xp.add(a, b, out=mixed[1])  # -4d1 - 4d2 + d3 + d4
    xp.subtract(a, b, out=mixed[2])  # 4d1 - 4d2 - d3 + d4
    xp.subtract(d[4], d[2], out=a)
    xp.subtract(d[3], d[1], out=b)
    xp.add(b, b, out=b)
    xp.add(a, b, out=mixed[3])  # -2d1 - d2 + 2d3 + d4
    xp.subtract(a, b, out=mixed[4])  # 2d1 - d2 - 2d3 + d4
    xp.subtract(d[0], d[2], out=mixed[0])
    xp.multiply(mixed[0], four, out=mixed[0])
    xp.add(mixed[0], a, out=mixed[0])  # 4d0 - 5d2 + d4
    xp.add(b, b, out=b)
    xp.subtract(d[5], d[3], out=mixed[5])
    xp.subtract(mixed[5], b, out=mixed[5])  # 4d1 - 5d3 + d5
