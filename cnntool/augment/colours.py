"""Brightness, contrast, saturation and hue of pictures, by numbers of each picture's own.

Brightness, contrast and saturation are straight lines in the samples: however many of them stand in
a row, pictures are written once, and nothing is cut off in between.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntool.augment.draws import Draw
from cnntool.backend import Array, array_module

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601)."""

_FINE = 64
"""Steps of a level in which greys are summed up: sums of whole numbers don't depend on order."""

_BLOCK = 1 << 14


class Line:
    """Samples times a factor and plus a number, both different for each picture, done later.

    Args:
        x: Pictures (C, H, W, N) in float32 with one or three channels of colour, written in place.
        full_range: Largest sample.
    """

    def __init__(self, x: Array, full_range: float) -> None:
        self._xp, self._x = array_module(x), x
        self._full = full_range
        self._factor: Array = None
        self._plus: Array = None
        self._saturation: Array = None
        self._mean: Array = None

    def add(self, drawn: Draw) -> None:
        """One of the words ``brightness``, ``contrast`` and ``saturation``."""
        factor = drawn["factor"]
        if drawn.step.word == "saturation":
            if self._x.shape[0] == 3:  # grey has none
                self._saturation = _times(self._saturation, factor)
            return
        plus = 0.0 if self._plus is None else self._plus * factor
        if drawn.step.word == "contrast":
            mean = self._mean_grey()
            if self._factor is not None:
                mean = mean * self._factor
            if self._plus is not None:
                mean = mean + self._plus
            plus = plus + mean * (1 - factor)
        if drawn.step.word == "contrast" or self._plus is not None:
            self._plus = plus
        self._factor = _times(self._factor, factor)

    def done(self) -> None:
        """Write what was added."""
        xp, x = self._xp, self._x
        if self._saturation is not None:
            for rows in _rows(xp, x):
                part = x[:, rows]
                grey = _grey(part)
                grey *= 1 - self._saturation
                part *= self._saturation
                part += grey
        if self._factor is not None:
            x *= self._factor
        if self._plus is not None:
            x += self._plus
        self._factor = self._plus = self._saturation = self._mean = None

    def _mean_grey(self) -> Array:
        """Mean grey of every picture as it was before, (N,); the same for any part of a batch."""
        if self._mean is None:
            xp, x = self._xp, self._x
            fine = np.float32(_FINE * 255 / self._full)
            total: Array = 0
            for rows in _rows(xp, x):
                levels = xp.rint(_grey(x[:, rows]) * fine).astype(np.int32)
                total = total + levels.sum(axis=(0, 1), dtype=np.int64)
            count = max(x.shape[1] * x.shape[2], 1)
            # in whole numbers as far as it goes: float64 is slow on many devices
            whole, rest = total // count, total % count
            mean = whole.astype(np.float32) + rest.astype(np.float32) / np.float32(count)
            self._mean = mean / fine
        return self._mean


def turn_hue(x: Array, drawn: Draw) -> None:
    """Turn the circle of colours; largest and smallest sample of every pixel stay.

    Args:
        x: Pictures (3, H, W, N) in float32, written in place; grey ones stay.
        drawn: What was drawn for the word ``hue``.

    References:
        Smith 1978, Color gamut transform pairs (the hexcone model).
    """
    xp = array_module(x)
    if x.shape[0] != 3:
        return
    turn = drawn["turn"]
    changed, sixths = turn != 0, turn * np.float32(6)
    for rows in _rows(xp, x):
        red, green, blue = x[0, rows], x[1, rows], x[2, rows]
        top = xp.maximum(xp.maximum(red, green), blue)
        span = top - xp.minimum(xp.minimum(red, green), blue)
        safe = xp.where(span > 0, span, np.float32(1))
        hue = xp.where(
            top == red,
            (green - blue) / safe,
            xp.where(top == green, (blue - red) / safe + 2, (red - green) / safe + 4),
        )
        hue += sixths
        for channel, first in zip((red, green, blue), (5, 3, 1), strict=True):
            k = hue + np.float32(first)
            k -= xp.floor(k * np.float32(1 / 6)) * np.float32(6)
            # falls from 1 to 0 and rises again: the channel's distance from the top
            share = xp.clip(xp.minimum(k, 4 - k), 0, 1)
            channel[...] = xp.where(changed, top - span * share, channel)


def _times(before: Array, factor: Array) -> Array:
    return factor if before is None else before * factor


def _grey(part: Array) -> Array:
    """Grey of pictures with one or three channels, (rows, W, N)."""
    if part.shape[0] != 3:
        return part.mean(axis=0) if part.shape[0] > 1 else part[0].copy()
    grey = part[0] * np.float32(LUMA[0])
    grey += part[1] * np.float32(LUMA[1])
    grey += part[2] * np.float32(LUMA[2])
    return grey


def _rows(xp: Any, x: Array) -> list[slice]:
    """Rows worked on at a time; all at once on a device."""
    _, h, w, n = x.shape
    height = max(1, _BLOCK // max(w * n, 1)) if xp is np else max(h, 1)
    return [slice(top, min(top + height, h)) for top in range(0, h, height)]
