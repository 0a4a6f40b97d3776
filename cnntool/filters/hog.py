"""Histograms of oriented gradients, by scikit-image's definition.

1. Gradients: differences of the two neighbours, not halved, 0 at the picture's border. In colour,
   each pixel takes the channel with the largest magnitude.
2. Each cell's histogram of orientations, weighted by magnitude, divided by the cell's pixels. What
   does not fill a cell at the bottom and right gives gradients to its neighbours, nothing more.
3. Overlapping blocks of cells, each normalised, one after the other.

The bin of an angle is the number of bin edges that it has reached. For 8- and 16-bit pictures no
angle is computed: the slope of the gradient has reached the slopes of the same edges. Strips of
cells keep all of it in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import InputError, NameNotFound, OptionError, ShapeError
from cnntool.filters.words import HOG_NORMS
from cnntool.geometry import pair

EPS = 1e-5
"""Added to block norms, so that flat blocks give zeros."""

CLIP = 0.2
"""Limit of 'l2-hys' after the first normalisation."""

STRIP_BYTES = 1 << 18
"""One array of a strip of gradients, of about ten; a share of the second-level cache."""


def hog(
    image: Array,
    orientations: int = 9,
    cell: int | Sequence[int] = (8, 8),
    block: int | Sequence[int] = (3, 3),
    norm: str = "l2-hys",
    signed: bool = False,
    sqrt: bool = False,
) -> Array:
    """The descriptor of a picture: all block histograms, row after row.

    Args:
        image: Picture; samples in any unit (the norm removes it, but for the small constant 1e-5).
        orientations: Bins of a histogram, 1 to 360, over 180° or, ``signed``, 360°.
        cell: Rows and columns of a cell in pixels.
        block: Rows and columns of a block in cells.
        norm: 'l1', 'l1-sqrt' (and its root), 'l2', or 'l2-hys' (l2, clipped at 0.2, l2 again).
        signed: Whether rising and falling gradients differ: 0..360°.
        sqrt: Whether to take the root of the samples first.

    Shape:
        (H, W) or (H, W, C) -> (blocks down · blocks across · rows · columns of a block ·
        orientations,), in this order; see :func:`hog_length`. float64 for float64 pictures, else
        float32.

    Raises:
        OptionError: A number below 1, or ``sqrt`` of negative samples.
        NameNotFound: Unknown norm.
        ShapeError: The picture holds no whole block.
        InputError: NaN or infinite samples.

    References:
        Dalal and Triggs 2005, Histograms of oriented gradients for human detection, section 6;
        without the Gaussian window in a block, without interpolation between bins, as
        scikit-image's ``skimage.feature.hog``. One difference: where an angle just below 180°
        rounds to it, scikit-image loses the pixel; here it counts as 0°.

    Example:
        >>> ramp = np.tile(np.arange(16.0), (16, 1))
        >>> hog(ramp, orientations=2, cell=8, block=(2, 2), norm="l1").round(3).tolist()
        [0.25, 0.0, 0.25, 0.0, 0.25, 0.0, 0.25, 0.0]
    """
    plan = _plan(image.shape, orientations, cell, block, signed)
    if norm not in HOG_NORMS:
        raise NameNotFound.among("norm", norm, HOG_NORMS)
    cells = _histograms(image, plan, sqrt)
    return _blocks(cells, plan, norm, _result_type(image)).reshape(-1)


def hog_length(
    height: int,
    width: int,
    orientations: int = 9,
    cell: int | Sequence[int] = (8, 8),
    block: int | Sequence[int] = (3, 3),
) -> int:
    """How many numbers :func:`hog` gives for a picture of ``height`` x ``width`` pixels.

    Raises:
        OptionError: A number below 1.
        ShapeError: The picture holds no whole block.

    Example:
        >>> hog_length(128, 64, block=2)
        3780
    """
    plan = _plan((height, width), orientations, cell, block, signed=False)
    return math.prod((*plan.blocks, *plan.block, plan.orientations))


def hog_cells(
    image: Array,
    orientations: int = 9,
    cell: int | Sequence[int] = (8, 8),
    signed: bool = False,
    sqrt: bool = False,
) -> Array:
    """The histograms themselves, before blocks and norms; arguments and errors as :func:`hog`.

    Shape:
        (H, W[, C]) -> (cells down, cells across, orientations), float64: sums of the magnitudes
        of each bin, divided by the pixels of a cell.

    Example:
        >>> ramp = np.tile(np.arange(16.0), (16, 1))
        >>> hog_cells(ramp, orientations=2, cell=8)[0, 0].tolist()  # 2 but in the first column
        [1.75, 0.0]
    """
    return _histograms(image, _plan(image.shape, orientations, cell, (1, 1), signed), sqrt)


def hog_image(
    image: Array,
    orientations: int = 9,
    cell: int | Sequence[int] = (8, 8),
    signed: bool = False,
    sqrt: bool = False,
) -> Array:
    """A drawing of the histograms: in each cell one line per bin, as bright as the bin is large.

    Lines lie along the edges, that is, across the middle gradient of their bin; with ``signed``
    opposite directions share a line.

    Args:
        image: Picture.
        orientations: Bins of a histogram.
        cell: Rows and columns of a cell in pixels.
        signed: Whether bins span 360° instead of 180°.
        sqrt: Whether to take the root of the samples first.

    Shape:
        (H, W[, C]) -> (H, W), float64 for float64 pictures, else float32; sums of histogram values
        (mean magnitudes), not fitted to any range.

    Raises:
        OptionError, ShapeError, InputError: As :func:`hog`.

    Example:
        >>> ramp = np.tile(np.arange(6.0), (6, 1))
        >>> for row in hog_image(ramp, orientations=2, cell=6) > 0:
        ...     print("".join("-#"[int(bright)] for bright in row))
        ------
        ----#-
        ---#--
        --#---
        -#----
        ------
    """
    plan = _plan(image.shape, orientations, cell, (1, 1), signed)
    cells = _histograms(image, plan, sqrt)
    xp = array_module(image)
    h, w = image.shape[:2]
    drawing = xp.zeros((h, w), dtype=_result_type(image))
    (rows, columns), (ch, cw) = plan.cells, plan.cell
    radius = max(min(ch, cw) // 2 - 1, 0)
    turn = 2 * math.pi if signed else math.pi
    for o in range(orientations):
        angle = turn * (o + 0.5) / orientations
        for r, c in _line(ch // 2, cw // 2, radius, angle):
            # the same place of every cell at once
            drawing[r : rows * ch : ch, c : columns * cw : cw] += cells[:, :, o]
    return drawing


@dataclass(frozen=True, slots=True)
class _Plan:
    """Checked sizes; pairs are (rows, columns)."""

    orientations: int
    signed: bool
    cell: tuple[int, int]
    block: tuple[int, int]
    cells: tuple[int, int]
    blocks: tuple[int, int]


def _plan(
    shape: Sequence[int],
    orientations: int,
    cell: int | Sequence[int],
    block: int | Sequence[int],
    signed: bool,
) -> _Plan:
    cells, blocks = pair(cell, "cell"), pair(block, "block")
    for name, values in (("cell", cells), ("block", blocks)):
        if min(values) < 1:
            raise OptionError(f"{name} must be at least 1 x 1, got {values[0]} x {values[1]}")
    if not 1 <= orientations <= 360:
        raise OptionError(f"orientations must be from 1 to 360, got {orientations}")
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] < 1):
        raise ShapeError(f"a picture is (H, W) or (H, W, C), got shape {'x'.join(map(str, shape))}")
    h, w = shape[:2]
    (ch, cw), (bh, bw) = cells, blocks
    if h < ch * bh or w < cw * bw:
        raise ShapeError(
            f"hog needs at least {ch * bh} rows and {cw * bw} columns for "
            f"{bh}x{bw} blocks of {ch}x{cw} cells; the image has {h} x {w}",
            needed=(ch * bh, cw * bw),
            found=(h, w),
        )
    rows, columns = h // ch, w // cw
    return _Plan(
        orientations, signed, cells, blocks, (rows, columns), (rows - bh + 1, columns - bw + 1)
    )


def _result_type(image: Array) -> Any:
    return np.dtype(np.float64 if image.dtype == np.float64 else np.float32)


def _histograms(image: Array, plan: _Plan, sqrt: bool) -> Array:
    """Mean magnitude of each cell and bin: (cells down, cells across, orientations), float64."""
    xp = array_module(image)
    if sqrt:
        image = _root(image)
    (rows, columns), (ch, cw), bins = plan.cells, plan.cell, plan.orientations
    width = columns * cw
    by_slope = image.dtype in (np.uint8, np.uint16) and not plan.signed
    # differences of 8-bit samples are so few that float32 finds the bins of all of them
    dtype = np.dtype(np.float32 if by_slope and image.dtype == np.uint8 else np.float64)
    # where the histogram of each column's cell begins among the histograms of one row of cells
    start = xp.repeat(xp.arange(columns) * bins, cw)
    cells = xp.empty((rows, columns, bins), dtype=np.float64)
    step = max(1, STRIP_BYTES // (width * ch * dtype.itemsize)) if xp is np else rows
    # infinite samples and horizontal gradients are dealt with below
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for first in range(0, rows, step):
            count = min(step, rows - first)
            g_row, g_col = _gradients(image, first * ch, (first + count) * ch, width, dtype)
            bin_ = _bins(g_row, g_col, bins, plan.signed, by_slope)
            place = bin_.reshape(count, ch, width) + start
            place += (xp.arange(count) * (columns * bins))[:, None, None]
            g_row *= g_row
            g_col *= g_col
            g_row += g_col
            magnitude = xp.sqrt(g_row, out=g_row)
            cells[first : first + count] = xp.bincount(
                place.reshape(-1), magnitude.reshape(-1), minlength=count * columns * bins
            ).reshape(count, columns, bins)
    cells /= ch * cw
    if image.dtype.kind == "f" and not math.isfinite(float(cells.sum())):
        raise InputError("the image holds NaN or infinite samples, which have no gradient")
    return cells


def _root(image: Array) -> Array:
    """The square root of all samples, in floating point."""
    xp = array_module(image)
    if image.dtype.kind != "u" and image.size and float(image.min()) < 0:
        raise InputError(
            f"sqrt needs samples of at least 0; the smallest is {float(image.min()):g}"
        )
    return xp.sqrt(image if image.dtype.kind == "f" else image.astype(np.float64))


def _gradients(image: Array, top: int, bottom: int, width: int, dtype: Any) -> tuple[Array, Array]:
    """Differences of neighbours, downwards and to the right, of some rows: (rows, width) each.

    Of several channels the one with the largest magnitude, the first of equal ones.
    """
    xp = array_module(image)
    h = image.shape[0]
    above, below = max(top - 1, 0), min(bottom + 1, h)
    strip = image[above:below]
    if strip.dtype.kind != "f":
        strip = strip.astype(dtype)
    if strip.ndim == 2 or strip.shape[2] == 1:
        return _differences(strip.reshape(strip.shape[:2]), top, bottom, h, width, dtype)
    best: Array = None
    for channel in range(strip.shape[2]):
        plane = xp.ascontiguousarray(strip[:, :, channel])
        g_row, g_col = _differences(plane, top, bottom, h, width, dtype)
        if image.dtype.kind == "f":
            # rounds like scikit-image's, so that near ties fall the same way
            magnitude = xp.hypot(
                g_row.astype(image.dtype, copy=False), g_col.astype(image.dtype, copy=False)
            )
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


def _differences(
    strip: Array, top: int, bottom: int, h: int, width: int, dtype: Any
) -> tuple[Array, Array]:
    """Gradients of rows ``top`` to ``bottom`` from a strip that has a row more on each side.

    The strip ends at the picture's border, where gradients across it are 0.
    """
    xp = array_module(strip)
    rows = bottom - top
    g_row = xp.empty((rows, width), dtype=dtype)
    g_col = xp.empty((rows, width), dtype=dtype)
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


def _bins(g_row: Array, g_col: Array, bins: int, signed: bool, by_slope: bool) -> Array:
    """The bin of each gradient's angle; an angle on an edge belongs to the bin above it."""
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


def _blocks(cells: Array, plan: _Plan, norm: str, dtype: Any) -> Array:
    """Normalised blocks: (blocks down, blocks across, numbers of a block)."""
    xp = array_module(cells)
    (down, across), (bh, bw), bins = plan.blocks, plan.block, plan.orientations
    weight = (cells if norm.startswith("l1") else cells * cells).sum(axis=2)
    total = sum(weight[i : i + down, j : j + across] for i in range(bh) for j in range(bw))
    scale = 1 / (total + EPS if norm.startswith("l1") else xp.sqrt(total + EPS * EPS))
    scale = scale.astype(dtype, copy=False)[:, :, None, None]
    cells = cells.astype(dtype, copy=False)
    # the cells of one row of a block lie side by side: (down, across, rows, columns·bins), a view
    line, number = cells.strides[0], cells.strides[2]
    views = xp.lib.stride_tricks.as_strided(
        cells, (down, across, bh, bw * bins), (line, bins * number, line, number)
    )
    blocks = xp.empty(views.shape, dtype=dtype)
    size = bh * bw * bins
    step = max(1, STRIP_BYTES // (across * size * dtype.itemsize)) if xp is np else down
    for first in range(0, down, step):
        strip = slice(first, first + step)
        block = blocks[strip]
        xp.multiply(views[strip], scale[strip], out=block)
        if norm == "l1-sqrt":
            xp.sqrt(block, out=block)
        elif norm == "l2-hys":
            xp.minimum(block, CLIP, out=block)
            flat = block.reshape(-1, size)
            flat *= 1 / xp.sqrt(xp.einsum("ij,ij->i", flat, flat) + EPS * EPS)[:, None]
    return blocks.reshape(down, across, size)


def _line(row: int, column: int, radius: int, angle: float) -> Iterator[tuple[int, int]]:
    """Pixels of a line through (row, column), at right angles to a gradient of ``angle``.

    References:
        Bresenham 1965, Algorithm for computer control of a digital plotter.
    """
    # angles of exact thirds and halves must not fall on the wrong side of a whole number
    dr = round(radius * math.sin(angle), 9)
    dc = round(radius * math.cos(angle), 9)
    r0, c0 = math.floor(row - dc), math.floor(column + dr)
    r1, c1 = math.floor(row + dc), math.floor(column - dr)
    down, across = abs(r1 - r0), abs(c1 - c0)
    long, short = max(down, across), min(down, across)
    for i in range(long + 1):
        step = (2 * short * i + long) // (2 * long) if long else 0
        a, b = (i, step) if down > across else (step, i)
        yield r0 + (a if r1 > r0 else -a), c0 + (b if c1 > c0 else -b)
