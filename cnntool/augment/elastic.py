"""Smooth random fields of moves, for elastic distortion.

Independent random moves stand on a coarse grid, and cubic B-splines lie between them. That costs
four multiplications a pixel and direction, whatever the smoothness, where smoothing white noise
costs a wide filter; and any rows of a field can be had by themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntool.augment.chance import Chance
from cnntool.augment.draws import Draw
from cnntool.backend import Array


class Field:
    """A field of moves for every picture of a batch.

    Every move has the standard deviation that was drawn for its picture, in both directions, and
    moves further apart than four distances of the grid do not depend on each other.

    Args:
        drawn: What was drawn for the word ``elastic``.
        chance: Where the moves on the grid come from.
        size: Rows and columns of the pictures.

    References:
        Simard, Steinkraus and Platt 2003, Best practices for convolutional neural networks: the
        idea, with noise smoothed by a Gaussian. Ronneberger, Fischer and Brox 2015, U-Net,
        section 3.1: random moves on a coarse grid.
    """

    def __init__(self, drawn: Draw, chance: Chance, size: tuple[int, int]) -> None:
        xp = self._xp = chance.xp
        grid = drawn.step.amount("grid")
        spacing = max(1.0, grid.low if grid.pixels else grid.low * min(size))
        # one point before the first pixel, two behind the last
        points = [int((side - 1) / spacing) + 4 for side in size]
        moves = chance.normals(drawn.number, 0, points[0] * points[1])
        on_grid = xp.stack(moves).reshape(2, *points, chance.count)
        on_grid *= drawn["pixels"]
        down, self._right = (_splines(xp, side, spacing) for side in size)
        self._columns = _mixed(xp, on_grid, down, 1)  # 2 H points N

    def rows(self, rows: slice) -> tuple[Array, Array]:
        """Moves down and right in some rows.

        Shape:
            (rows, W, N) each, float32, in pixels.
        """
        down, right = _mixed(self._xp, self._columns[:, rows], self._right, 2)
        return down, right


def _splines(xp: Any, side: int, spacing: float) -> tuple[Array, list[Array]]:
    """For every pixel along a side its first point of the grid, and the shares of four points.

    Shares have a sum of squares of 1, so that the deviation is the same at every pixel.
    """
    kind = np.float32
    place = xp.arange(side, dtype=kind) * kind(1 / spacing)
    first = xp.floor(place)
    t = place - first
    s = 1 - t
    shares = [
        s * s * s,
        3 * t * t * t - 6 * t * t + 4,
        3 * s * s * s - 6 * s * s + 4,
        t * t * t,
    ]
    scale = 1 / xp.sqrt(sum(share * share for share in shares))
    return first.astype(np.intp), [share * scale for share in shares]


def _mixed(xp: Any, values: Array, splines: tuple[Array, list[Array]], axis: int) -> Array:
    """Values between the points along an axis of (2, rows, columns, N)."""
    first, shares = splines
    shape = [-1 if i == axis else 1 for i in range(4)]
    # elementwise on purpose: a matrix product would round differently for parts of a batch
    mixed = xp.take(values, first, axis=axis)
    mixed *= shares[0].reshape(shape)
    for number in (1, 2, 3):
        more = xp.take(values, first + number, axis=axis)
        more *= shares[number].reshape(shape)
        mixed += more
    return mixed
