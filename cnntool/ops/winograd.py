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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool.backend import Array
from cnntool.ops import memory, products
from cnntool.ops.activations import relu as rectified
from cnntool.ops.correlation_methods import Scratch
from cnntool.ops.sharing import share

KERNEL_ROWS = 3
_PLANES, _TILE = 6, 4  # planes of a tile, output rows of a tile

STRIP_NUMBERS = 1 << 15
"""Aim for channels · tile rows · columns · images of a strip: 128 kB a plane."""

# G: kernel rows -> planes, for the points 0, 1, -1, 2, -2 and infinity
_KERNEL = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)

Sink = Callable[[Array, int, int], None]


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
        pieces = min(columns, max(1, row // (4 * STRIP_NUMBERS)))
        wide = -(-columns // pieces)
        return [
            Strip(tile, min(tiles, total - tile), left, min(wide, columns - left))
            for tile in range(0, total, tiles)
            for left in range(0, columns, wide)
        ]

    def forward(
        self, x: Array, weight: Array, y: Array, bias: Array | None = None, *, relu: bool = False
    ) -> None:
        """Fill y (O, oh, ow, N), with bias and ReLU while strips are in the cache."""
        o = weight.shape[0]
        kernels = transform_kernels(weight, self.xp)
        shift = None if bias is None else bias.reshape(-1, 1)

        def work(strips: Sequence[Strip]) -> None:
            scratch = Scratch(self.xp, y.dtype)
            for strip in strips:
                planes = self.planes(x, strip, scratch)
                product = scratch("product", (_PLANES, o, planes.shape[2]))
                products.multiply(kernels, planes, product, self.xp)
                if shift is not None:  # plane 1 is added to all four rows
                    self.xp.add(product[1], shift, out=product[1])
                self._mix_outputs(product, y, strip, scratch, relu)

        share(self.strips(), work, threads=self.threads)

    def grad_weight(self, x: Array, grad_y: Array) -> Array:
        """Gradient (O, C, 3, kw): the transposed algorithm."""
        c, o = self.shape[0], self.out[0]
        inner = self.kw * c
        scratch = Scratch(self.xp, grad_y.dtype)
        total = memory.zeros(self.xp, (_PLANES, inner, o), grad_y.dtype)
        part = scratch("part", total.shape)
        for strip in self.strips():
            planes = self.planes(x, strip, scratch)
            grads = self._grad_planes(grad_y, strip, scratch)
            products.accumulate(planes, grads, total, part, self.xp)
        g = self.xp.asarray(np.array(_KERNEL, grad_y.dtype))
        # (3, 6) @ (6, kw c o) -> 3 kw c o -> o c 3 kw
        grad = (g.T @ total.reshape(_PLANES, -1)).reshape(KERNEL_ROWS, self.kw, c, o)
        return grad.transpose(3, 2, 0, 1)

    def planes(self, x: Array, strip: Strip, scratch: Scratch) -> Array:
        """The six planes of a strip with its windows along the columns: (6, kw·C, P)."""
        c, _, _, n = self.shape
        rows = self._padded(x, strip, scratch)
        wide = rows.shape[2]
        mixed = scratch("mixed", (_PLANES, c, strip.tiles, wide * n))
        _mix_inputs(rows.reshape(c, rows.shape[1], wide * n), mixed, scratch)
        windows = scratch("windows", (_PLANES, self.kw, c, strip.tiles, strip.columns, n))
        mixed = mixed.reshape(_PLANES, c, strip.tiles, wide, n)
        for column in range(self.kw):
            windows[:, column] = mixed[:, :, :, column : column + strip.columns]
        return windows.reshape(_PLANES, self.kw * c, -1)

    def _padded(self, x: Array, strip: Strip, scratch: Scratch) -> Array:
        """The input that a strip reads, with zeros around it: (C, 4·tiles + 2, wide, N)."""
        c, height, width, n = self.shape
        tall = _TILE * strip.tiles + KERNEL_ROWS - 1
        wide = strip.columns + self.kw - 1
        top, left = _TILE * strip.tile - self.sides[0], strip.left - self.sides[3]
        rows = scratch("rows", (c, tall, wide, n))
        first, last = _inside(top, tall, height)
        start, stop = _inside(left, wide, width)
        rows[:, :first] = 0
        rows[:, last:] = 0
        rows[:, first:last, :start] = 0
        rows[:, first:last, stop:] = 0
        rows[:, first:last, start:stop] = x[:, top + first : top + last, left + start : left + stop]
        return rows

    def _mix_outputs(
        self, product: Array, y: Array, strip: Strip, scratch: Scratch, relu: bool
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
                if relu:
                    rectified(lines, out=lines)

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
        return planes.reshape(_PLANES, o, -1)


def transform_kernels(weight: Array, xp: Any) -> Array:
    """(O, C, 3, kw) -> (6, O, kw·C): G k, one matrix a plane."""
    o, c, tall, kw = weight.shape
    g = xp.asarray(np.array(_KERNEL, weight.dtype))
    rows = memory.empty(xp, (tall, o, kw, c), weight.dtype)
    rows[...] = weight.transpose(2, 0, 3, 1)
    # (6, 3) @ (3, o kw c)
    return (g @ rows.reshape(tall, -1)).reshape(_PLANES, o, kw * c)


def _inside(first: int, count: int, size: int) -> tuple[int, int]:
    """Which of ``count`` positions from ``first`` on lie in 0..size, as a range of 0..count."""
    begin = min(max(0, -first), count)
    return begin, max(begin, min(count, size - first))


def _mix_inputs(rows: Array, mixed: Array, scratch: Scratch) -> None:
    """Bᵀ d: from rows (C, 4·tiles + 2, L) to planes (6, C, tiles, L)."""
    xp, tiles = scratch.xp, mixed.shape[2]
    d = [rows[:, i : i + _TILE * (tiles - 1) + 1 : _TILE] for i in range(_PLANES)]
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
