"""Pictures read at any places: all pictures of a batch at once, strip by strip.

A frame of one pixel is put around the pictures, and places beyond are brought back to it or into
the picture. So the four neighbours of every place exist, and they lie at fixed distances in the
flat array: one array of indices serves all four, and all channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnntool.augment.places import Places
from cnntool.backend import Array, array_module
from cnntool.ops import memory
from cnntool.ops.padding import pad

BLOCK = 1 << 13
"""Pixels read at a time on a CPU: a dozen arrays of them stay in the second-level cache."""

_EXACT = 1 << 24
"""Whole numbers up to here are exact in float32."""


def sample(x: Array, places: Places, border: str, fill: float, nearest: bool) -> Array:
    """Pictures read at other places.

    Args:
        x: Pictures.
        places: Where every pixel of the result is read.
        border: What lies around the pictures: ``constant reflect edge symmetric wrap``.
        fill: The value of the border 'constant'.
        nearest: Read the nearest pixel; else mix the four around the place.

    Shape:
        (C, H, W, N) -> the same, float32.
    """
    xp = array_module(x)
    c, h, w, n = x.shape
    framed = _framed(xp, x, border, fill)
    flat = framed.reshape(c, -1)
    y = memory.empty(xp, x.shape, np.float32)
    right, down = n, (w + 2) * n
    for rows in _strips(xp, h, w * n):
        row, column = places.rows(rows)
        _bring_back(xp, row, h, border)
        _bring_back(xp, column, w, border)
        if nearest:
            row += np.float32(0.5)
            column += np.float32(0.5)
            index = _index(xp, xp.floor(row), xp.floor(column), w, n, flat.shape[1])
            for channel in range(c):
                _take(xp, flat[channel], index, y[channel, rows])
            continue
        top, left = _before(xp, row, h), _before(xp, column, w)
        row -= top
        column -= left
        index = _index(xp, top, left, w, n, flat.shape[1])
        for channel in range(c):
            pixels, upper = flat[channel], y[channel, rows]
            lower, other = xp.empty_like(row), xp.empty_like(row)
            _take(xp, pixels, index, upper)
            _mix(xp, upper, _take(xp, pixels[right:], index, other), column)
            _take(xp, pixels[down:], index, lower)
            _mix(xp, lower, _take(xp, pixels[down + right :], index, other), column)
            _mix(xp, upper, lower, row)
    return y


def sample_labels(masks: Array, places: Places, outside: int) -> Array:
    """Masks read at other places: the label of the nearest pixel.

    Args:
        masks: Labels.
        places: Where every pixel of the result is read.
        outside: The label of everything beyond the masks.

    Shape:
        (K, H, W, N) -> the same, dtype kept.
    """
    xp = array_module(masks)
    k, h, w, n = masks.shape
    framed = pad(masks, 1, "constant", outside).reshape(k, -1)
    y = xp.empty(masks.shape, dtype=masks.dtype)
    for rows in _strips(xp, h, w * n):
        row, column = places.rows(rows)
        for place, side in ((row, h), (column, w)):
            place += np.float32(0.5)
            xp.floor(place, out=place)
            xp.clip(place, -1, side, out=place)
        index = _index(xp, row, column, w, n, framed.shape[1])
        for number in range(k):
            _take(xp, framed[number], index, y[number, rows])
    return y


def _strips(xp: Any, h: int, line: int) -> Iterator[slice]:
    """Rows that are read at a time; all at once on a device."""
    height = max(1, BLOCK // max(line, 1)) if xp is np else max(h, 1)
    for top in range(0, h, height):
        yield slice(top, min(top + height, h))


def _framed(xp: Any, x: Array, border: str, fill: float) -> Array:
    """The pictures in float32 with one pixel more on each side."""
    c, h, w, n = x.shape
    y = memory.empty(xp, (c, h + 2, w + 2, n), np.float32)
    y[:, 1:-1, 1:-1] = x
    if border == "constant":
        y[:, 0] = y[:, -1] = fill
        y[:, :, 0] = y[:, :, -1] = fill
        return y
    # what lies one pixel beyond the first and the last one, counted in the frame
    first, last = {
        "reflect": (min(2, h), max(h - 1, 1)),
        "wrap": (h, 1),
    }.get(border, (1, h))
    y[:, 0], y[:, -1] = y[:, first], y[:, last]
    first, last = {
        "reflect": (min(2, w), max(w - 1, 1)),
        "wrap": (w, 1),
    }.get(border, (1, w))
    y[:, :, 0], y[:, :, -1] = y[:, :, first], y[:, :, last]
    return y


def _bring_back(xp: Any, place: Array, side: int, border: str) -> None:
    """Bring places to -1..side, where the frame ends, in place.

    A border that repeats the picture does so for what lies between its pixels too, so places can
    be folded before they are rounded.
    """
    if border == "constant":
        xp.clip(place, -1, side, out=place)
        return
    if border == "edge" or side == 1:
        xp.clip(place, 0, side - 1, out=place)
        return
    if border == "wrap":
        _modulo(xp, place, side)
        return
    # there and back: about the middle of the outermost pixels, or about their outer edge
    edge = 0.5 if border == "symmetric" else 0.0
    period = 2 * side if border == "symmetric" else 2 * (side - 1)
    if edge:
        place += np.float32(edge)
    _modulo(xp, place, period)
    back = np.float32(period) - place
    xp.minimum(place, back, out=place)
    if edge:
        place -= np.float32(edge)


def _modulo(xp: Any, place: Array, period: int) -> None:
    """Bring places to 0..period; those that are there stay what they are."""
    times = place * np.float32(1 / period)
    xp.floor(times, out=times)
    times *= np.float32(period)
    place -= times
    xp.clip(place, 0, period, out=place)


def _before(xp: Any, place: Array, side: int) -> Array:
    """The pixel at or before a place, at most the last one, so that one more is in the frame."""
    whole = xp.floor(place)
    return xp.minimum(whole, np.float32(side - 1), out=whole)


def _index(xp: Any, row: Array, column: Array, w: int, n: int, size: int) -> Array:
    """Where pixels lie in the flat framed pictures; ``row`` is overwritten."""
    if size <= _EXACT:
        row *= np.float32(w + 2)
        row += column
        row *= np.float32(n)
        row += xp.arange(n, dtype=np.float32) + np.float32((w + 3) * n)
        return row.astype(np.intp)
    index = row.astype(np.intp)
    index *= w + 2
    index += column.astype(np.intp)
    index *= n
    index += xp.arange(n) + (w + 3) * n
    return index


def _take(xp: Any, flat: Array, index: Array, out: Array) -> Array:
    """``flat[index]`` into ``out``."""
    if xp is np:
        return np.take(flat, index, out=out, mode="clip")  # 'raise' would copy first
    out[...] = xp.take(flat, index)
    return out


def _mix(xp: Any, one: Array, other: Array, share: Array) -> None:
    """``one`` becomes (1 - share)·one + share·other, exactly one where share is 0."""
    xp.subtract(other, one, out=other)
    other *= share
    one += other
