"""Where in the original every pixel of a moved picture is read.

All moves of a picture become one map, from places in the result to places in the original, so that
a picture is read once however many moves there are. Places are counted from the middle of the
picture, in pixels, down and to the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnntool.augment.chance import Chance
from cnntool.augment.draws import Draw
from cnntool.augment.elastic import Field
from cnntool.backend import Array

Number = Array | float


class Places:
    """The places that every picture of a batch is read at.

    Begins as the pixels' own places; every move changes the result's places before the moves that
    were added earlier.

    Args:
        xp: The library of the batch.
        size: Rows and columns of the pictures.
        count: How many there are.
    """

    def __init__(self, xp: Any, size: tuple[int, int], count: int) -> None:
        self._xp, self._size, self._count = xp, size, count
        # row read = yy·down + yx·right + y0, column read = xy·down + xx·right + x0
        self._yy: Number = 1.0
        self._yx: Number = 0.0
        self._y0: Number = 0.0
        self._xy: Number = 0.0
        self._xx: Number = 1.0
        self._x0: Number = 0.0
        self._fields: list[Field] = []
        self._lines: tuple[Array, ...] = ()

    def turn(self, yy: Number, yx: Number, xy: Number, xx: Number) -> None:
        """Read at (yy·down + yx·right, xy·down + xx·right)."""
        self._yy, self._yx = self._yy * yy + self._yx * xy, self._yy * yx + self._yx * xx
        self._xy, self._xx = self._xy * yy + self._xx * xy, self._xy * yx + self._xx * xx

    def stretch(self, down: Number, right: Number) -> None:
        """Read ``down`` and ``right`` times as far from the middle."""
        self._yy, self._yx = self._yy * down, self._yx * right
        self._xy, self._xx = self._xy * down, self._xx * right

    def move(self, down: Number, right: Number) -> None:
        """Read ``down`` and ``right`` pixels further."""
        self._y0 = self._y0 + self._yy * down + self._yx * right
        self._x0 = self._x0 + self._xy * down + self._xx * right

    def bend(self, field: Field) -> None:
        """Read further by a field."""
        self._fields.append(field)

    def rows(self, rows: slice) -> tuple[Array, Array]:
        """Rows and columns of the original that some rows of the result are read at.

        Shape:
            (rows, W, N) each, float32, counted from the first pixel; fresh arrays.
        """
        if not self._lines:
            self._lines = self._prepared()
        y_down, y_right, x_down, x_right = self._lines
        y, x = y_down[rows] + y_right, x_down[rows] + x_right
        for field in self._fields:
            down, right = field.rows(rows)
            y += down
            x += right
        return y, x

    def _prepared(self) -> tuple[Array, ...]:
        """The parts of a place that rows and columns of the result give."""
        xp, kind = self._xp, np.float32
        middle = [kind((side - 1) / 2) for side in self._size]
        down, right = (
            xp.arange(side, dtype=kind) - half
            for side, half in zip(self._size, middle, strict=True)
        )
        down, right = down[:, None, None], right[:, None]
        one = xp.ones(self._count, dtype=kind)  # what no move touched becomes an array too
        return (
            down * (self._yy * one) + (self._y0 * one + middle[0]),
            right * (self._yx * one),
            down * (self._xy * one) + (self._x0 * one + middle[1]),
            right * (self._xx * one),
        )


def places(
    drawn: Sequence[Draw], fields: Sequence[Field], chance: Chance, size: tuple[int, int]
) -> Places:
    """Where the pictures are read after all moves.

    Args:
        drawn: What was drawn for the words of geometry.
        fields: For every elastic word, in order, its field.
        chance: The random numbers of the batch.
        size: Rows and columns of the pictures.
    """
    xp = chance.xp
    found, waiting = Places(xp, size, chance.count), iter(fields)
    for one in drawn:
        word = one.step.word
        if word == "hflip":
            found.stretch(1.0, _sign(xp, one))
        elif word == "vflip":
            found.stretch(_sign(xp, one), 1.0)
        elif word == "rotate":
            cos, sin = _cos_sin(xp, one["angle"])
            found.turn(cos, sin, -sin, cos)
        elif word == "shift":
            found.move(-one["down"], -one["across"])
        elif word == "scale":
            found.stretch(1 / one["factor"], 1 / one["factor"])
        elif word == "crop":
            found.move(one["down"], one["across"])
            found.stretch(one["height"], one["width"])
        elif word == "shear":
            across, down = (xp.tan(one[name] * _RADIANS) for name in ("across", "down"))
            found.turn(1.0, down, across, across * down + 1)
        else:
            found.bend(next(waiting))
    return found


_RADIANS = np.float32(np.pi / 180)


def _sign(xp: Any, drawn: Draw) -> Number:
    """-1 where a picture is flipped."""
    if drawn.applied is None:
        return -1.0
    return xp.where(drawn.applied, np.float32(-1), np.float32(1))


def _cos_sin(xp: Any, degrees: Array) -> tuple[Array, Array]:
    """Cosine and sine, exactly 0 and 1 where they are."""
    quarters = xp.rint(degrees * np.float32(1 / 90))
    rest = (degrees - quarters * np.float32(90)) * _RADIANS
    cos, sin = xp.cos(rest), xp.sin(rest)
    quarter = quarters - xp.floor(quarters * np.float32(0.25)) * np.float32(4)  # 0, 1, 2 or 3
    odd = (quarter == 1) | (quarter == 3)
    sign_cos = xp.where((quarter == 1) | (quarter == 2), np.float32(-1), np.float32(1))
    sign_sin = xp.where(quarter >= 2, np.float32(-1), np.float32(1))
    return sign_cos * xp.where(odd, sin, cos), sign_sin * xp.where(odd, cos, sin)
