"""Gradients of pictures and the bins of their orientations, for one picture or many.

Arrays may have axes behind rows and columns (the pictures of a batch): all pictures are treated
alike. For 8- and 16-bit pictures no angle is computed: the slope of the gradient has reached the
slopes of the same edges.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import InputError


def ways(dtype: Any, signed: bool) -> tuple[bool, Any]:
    """Whether bins are found by slopes, and the type in which differences are computed.

    Differences of 8-bit samples are so few that slopes of float32 find the bins of all of them.

    Args:
        dtype: Of the samples.
        signed: Whether bins span 360°; slopes tell only half of that.
    """
    by_slope = dtype in (np.uint8, np.uint16) and not signed
    return by_slope, np.dtype(np.float32 if by_slope and dtype == np.uint8 else np.float64)


def root(image: Array) -> Array:
    """The square root of all samples, in floating point.

    Raises:
        InputError: Negative samples.
    """
    xp = array_module(image)
    if image.dtype.kind != "u" and image.size and float(image.min()) < 0:
        raise InputError(
            f"sqrt needs samples of at least 0; the smallest is {float(image.min()):g}"
        )
    return xp.sqrt(image if image.dtype.kind == "f" else image.astype(np.float64))


def differences(
    strip: Array, top: int, bottom: int, h: int, width: int, dtype: Any
) -> tuple[Array, Array]:
    """Differences of neighbours, downwards and to the right, of rows ``top`` to ``bottom``.

    Args:
        strip: These rows and one more on each side. It ends at the picture's border, where
            gradients across it are 0.
        top: First row.
        bottom: Row behind the last.
        h: Rows of the picture.
        width: Columns wanted.
        dtype: Of the results.

    Shape:
        (rows and neighbours, W, …) -> twice (rows, width, …).
    """
    xp = array_module(strip)
    rows = bottom - top
    shape = (rows, width, *strip.shape[2:])
    g_row = xp.empty(shape, dtype=dtype)
    g_col = xp.empty(shape, dtype=dtype)
    low, high = int(top == 0), rows - int(bottom == h)
    g_row[:low] = 0
    g_row[high:] = 0
    xp.subtract(strip[2:, :width], strip[:-2, :width], out=g_row[low:high])
    inside = strip[1 - low : 1 - low + rows]
    right = min(width, strip.shape[1] - 1)
    g_col[:, 0] = 0
    g_col[:, right:] = 0
    xp.subtract(inside[:, 2 : right + 1], inside[:, : right - 1], out=g_col[:, 1:right])
    return g_row, g_col


def strongest(gradients: Iterable[tuple[Array, Array]], dtype: Any) -> tuple[Array, Array]:
    """Of the gradients of several channels, at each pixel those of largest magnitude.

    Args:
        gradients: Downwards and to the right, of one channel after the other, at least one; the
            first of equal ones is taken.
        dtype: Of the samples.
    """
    best: Array = None
    for g_row, g_col in gradients:
        xp = array_module(g_row)
        if dtype.kind == "f":
            # rounds like scikit-image's, so that near ties fall the same way
            magnitude = xp.hypot(g_row.astype(dtype, copy=False), g_col.astype(dtype, copy=False))
        else:
            magnitude = g_row * g_row + g_col * g_col  # exact
        if best is None:
            best, best_row, best_col = magnitude, g_row, g_col
            continue
        larger = magnitude > best
        best = xp.maximum(best, magnitude)
        best_row = xp.where(larger, g_row, best_row)
        best_col = xp.where(larger, g_col, best_col)
    return best_row, best_col


def bin_numbers(g_row: Array, g_col: Array, bins: int, *, signed: bool, by_slope: bool) -> Array:
    """The bin of each gradient's angle; an angle on an edge belongs to the bin above it.

    Args:
        g_row: Differences downwards.
        g_col: Differences to the right.
        bins: How many.
        signed: Whether they span 360° instead of 180°.
        by_slope: See :func:`ways`.

    Returns:
        Whole numbers below ``bins``, of 8 bits where they suffice, else of 16.

    Example:
        >>> right, down = np.array([1.0, 0.0, -1.0]), np.array([0.0, 1.0, 0.0])
        >>> bin_numbers(down, right, 4, signed=True, by_slope=False).tolist()
        [0, 1, 2]
    """
    xp = array_module(g_row)
    turn = 360 if signed else 180
    # edges are rounded to float32 as scikit-image's are
    width = np.float32(turn / bins)
    edges = [float(width * np.float32(i)) for i in range(1, bins)]
    if by_slope:
        place, edges = _slopes(g_row, g_col), [_slope(edge) for edge in edges]
    else:
        place = _angles(g_row, g_col, turn)
    count = xp.zeros(place.shape, dtype=np.uint8 if bins <= 256 else np.uint16)
    reached = xp.empty(place.shape, dtype=np.bool_)
    for edge in edges:
        xp.greater_equal(place, edge, out=reached)
        count += reached.view(np.uint8)
    return count


def _slopes(g_row: Array, g_col: Array) -> Array:
    """Minus the cotangent of each angle modulo 180°: rises with the angle, costs one division.

    It finds the bin of every difference of 8- or 16-bit samples.
    """
    xp = array_module(g_row)
    slope = g_col / g_row
    xp.negative(slope, out=slope)
    return xp.where(g_row == 0, g_row.dtype.type(-np.inf), slope)  # angle 0, which includes 180°


def _slope(degrees: float) -> float:
    """Minus the cotangent, exact where it is a whole number."""
    exact = {45.0: -1.0, 90.0: 0.0, 135.0: 1.0}
    return exact[degrees] if degrees in exact else -1 / math.tan(math.radians(degrees))


def _angles(g_row: Array, g_col: Array, turn: int) -> Array:
    """Angles in degrees modulo ``turn``; differences of floats may lie a rounding from an edge."""
    xp = array_module(g_row)
    angle = xp.arctan2(g_row, g_col)
    xp.rad2deg(angle, out=angle)  # -180..180
    angle = xp.where(angle < 0, angle + turn, angle)
    return xp.where(angle == 180, 0.0, angle) if turn == 180 else angle
