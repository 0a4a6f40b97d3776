"""Winograd's F(4, 3): four outputs of a convolution from six products instead of 12.

Down the rows always: six input rows are mixed into six planes (sums with small factors), each plane
is multiplied with its transformed kernel over channels and columns, and four output rows are mixed
from the six results. Along the columns there are plain windows, or tiles as well, which makes it
F(4x4, 3x3): see :mod:`cnntool.ops.winograd_columns`.

Mixing is a matrix product too: in (C, H, W, N) a band of six rows is a matrix (6, columns·N) as it
lies in memory, and (6, 6) times it gives a number of each plane in 0.12 ns, where passes of
additions took 0.5 ns (one core with AVX-512; 0.26 ns with AVX2).

A strip is one row of tiles, or several where maps are small: its planes stay in the cache.

Kernels have three rows and any number of columns; stride and dilation 1; padding with zeros.
Shapes: input (C, H, W, N), kernels (O, C, 3, kw), output (O, oh, ow, N). An infinite or NaN input
makes all outputs of the tiles that see it NaN.

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
from cnntool.ops import memory
from cnntool.ops import winograd_mixes as mixes
from cnntool.ops.correlation_methods import Scratch
from cnntool.ops.epilogue import Epilogue
from cnntool.ops.sharing import share
from cnntool.ops.winograd_columns import Columns, ColumnTiles, Windows
from cnntool.ops.winograd_mixes import PLANES, TAPS, TILE
from cnntool.ops.winograd_rows import Bands, Strip, inside

STRIP_NUMBERS = 1 << 15
"""Aim for channels · tile rows · columns · images of a strip: 128 kB a plane."""

NOTHING = Epilogue()


@dataclass(frozen=True)
class Winograd:
    """The algorithm for one geometry.

    Attributes:
        shape: (C, H, W, N) of the input.
        out: (O, oh, ow, N) of the output.
        sides: Zeros at the top, right, bottom and left; negative ones cut rows or columns off.
        kw: Columns of the kernels.
        xp: numpy or cupy.
        square: Whether there are tiles along the columns too; kernels are 3x3 then.
        threads: Threads that share strips.
    """

    shape: tuple[int, int, int, int]
    out: tuple[int, int, int, int]
    sides: tuple[int, int, int, int]
    kw: int
    xp: Any
    square: bool = False
    threads: int = 1

    @property
    def columns(self) -> Columns:
        """The way along the columns."""
        return (ColumnTiles if self.square else Windows)(self.kw, self.xp)

    def strips(self) -> list[Strip]:
        """All strips, in order; one on a device."""
        c, o = self.shape[0], self.out[0]
        _, rows, columns, n = self.out
        total = -(-rows // TILE)
        if self.xp is not np:
            return [Strip(0, total, 0, columns)]
        row = max(c, o) * columns * n
        tiles = max(1, min(total, STRIP_NUMBERS // max(row, 1)))
        if self.threads > 1:  # as many for each thread, all equally high
            rounds = -(-total // (tiles * self.threads))
            tiles = max(1, -(-total // (rounds * self.threads)))
        pieces = min(columns, max(1, row // (4 * STRIP_NUMBERS)))
        wide = self.columns.outputs(-(-columns // pieces))
        return [
            Strip(tile, min(tiles, total - tile), left, min(wide, columns - left))
            for tile in range(0, total, tiles)
            for left in range(0, columns, wide)
        ]

    def forward(self, x: Array, weight: Array, y: Array, finish: Epilogue = NOTHING) -> None:
        """Fill y (O, oh, ow, N), one block of memory; ``finish`` is applied in the cache."""
        xp, o, n = self.xp, self.out[0], self.out[3]
        columns = self.columns
        kernels = columns.kernels(mixed_kernels(weight, xp))
        shift = None
        if finish.scale is None and finish.shift is not None:
            shift, finish = finish.shift.reshape(-1, 1), Epilogue(relu=finish.relu)
        inputs, outputs = self._inputs(x), self._outputs(y)
        mix = mixes.matrix(mixes.OUTPUT, x, xp)

        def work(strips: Sequence[Strip]) -> None:
            scratch = Scratch(xp, y.dtype)
            for strip in strips:
                mixed = self._mixed(inputs, strip, columns, scratch)
                wide = columns.outputs(strip.columns) * n
                product = scratch.matrix("product", PLANES * o, strip.tiles * wide)
                product = product.reshape(PLANES, o, -1)
                columns.multiply(kernels, mixed, product, scratch)
                if shift is not None:  # plane 1 is added to all four rows
                    xp.add(product[1], shift, out=product[1])
                planes = product.reshape(PLANES, o, strip.tiles, wide)
                outputs.fill(mix, planes[..., : strip.columns * n], strip, xp)
                finish(y[:, strip.rows, strip.left : strip.left + strip.columns])

        share(self.strips(), work, threads=self.threads)

    def grad_weight(self, x: Array, grad_y: Array) -> Array:
        """Gradient (O, C, 3, kw): the transposed algorithm."""
        xp, c, o, n = self.xp, self.shape[0], self.out[0], self.out[3]
        columns, scratch = self.columns, Scratch(xp, grad_y.dtype)
        total = columns.total(c, o, grad_y)
        inputs, outputs = self._inputs(x), self._outputs(grad_y)
        mix = mixes.matrix(mixes.OUTPUT, x, xp).T
        for number, strip in enumerate(self.strips()):
            mixed = self._mixed(inputs, strip, columns, scratch)
            seen, wide = strip.columns * n, columns.outputs(strip.columns) * n
            grads, fresh = scratch.again("grads", (PLANES, o, strip.tiles, wide), seen)
            if fresh and seen < wide:
                grads[..., seen:] = 0
            outputs.mix(mix, strip, grads[..., :seen], xp)
            planes = grads.reshape(PLANES, o, -1)
            columns.accumulate(mixed, planes, total, scratch, first=number == 0)
        back = mixes.matrix(mixes.KERNEL, x, xp).T
        grad = xp.matmul(back, columns.gradient(total, c, o).reshape(PLANES, -1))
        # 3 kw c o -> o c 3 kw
        return grad.reshape(TAPS, self.kw, c, o).transpose(3, 2, 0, 1)

    def _inputs(self, x: Array) -> Bands:
        return Bands(x, self.sides[0], PLANES, self.xp)

    def _outputs(self, y: Array) -> Bands:
        return Bands(y, 0, TILE, self.xp)

    def _mixed(self, inputs: Bands, strip: Strip, columns: Columns, scratch: Scratch) -> Array:
        """The planes of a strip's input: (6, C, tiles, inputs, N)."""
        c, _, width, n = self.shape
        wide = columns.inputs(strip.columns)
        left = strip.left - self.sides[3]
        start, stop = inside(left, wide, width)
        mixed, fresh = scratch.again("mixed", (PLANES, c, strip.tiles, wide, n), (start, stop))
        if fresh:
            mixed[:, :, :, :start] = 0
            mixed[:, :, :, stop:] = 0
        if start < stop:
            seen = Strip(strip.tile, strip.tiles, left + start, stop - start)
            planes = mixed.reshape(PLANES, c, strip.tiles, wide * n)[..., start * n : stop * n]
            inputs.mix(mixes.matrix(mixes.INPUT, mixed, self.xp), seen, planes, self.xp)
        return mixed


def mixed_kernels(weight: Array, xp: Any) -> Array:
    """Kernels (O, C, 3, kw) with rows mixed: (6, O, kw, C)."""
    o, c, tall, kw = weight.shape
    rows = memory.empty(xp, (tall, o, kw, c), weight.dtype)
    rows[...] = weight.transpose(2, 0, 3, 1)
    planes = memory.empty(xp, (PLANES, o * kw * c), weight.dtype)
    xp.matmul(mixes.matrix(mixes.KERNEL, weight, xp), rows.reshape(tall, -1), out=planes)
    return planes.reshape(PLANES, o, kw, c)
