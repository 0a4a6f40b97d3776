"""Histograms of oriented gradients, by scikit-image's definition.

1. Gradients: differences of the two neighbours, not halved, 0 at the picture's border. In colour,
   each pixel takes the channel with the largest magnitude.
2. Each cell's histogram of orientations, weighted by magnitude, divided by the cell's pixels. What
   does not fill a cell at the bottom and right gives gradients to its neighbours, nothing more.
3. Overlapping blocks of cells, each normalised, one after the other.

The bin of an angle is the number of bin edges that it has reached. Strips of cells keep all of it
in the cache. :mod:`cnntool.filters.hog_batch` has the same for many pictures at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import InputError, NameNotFound, OptionError, ShapeError
from cnntool.filters.hog_gradients import bin_numbers, differences, root, strongest, ways
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
    plan = make_plan(image.shape, orientations, cell, block, signed)
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
    return make_plan((height, width), orientations, cell, block, signed=False).length


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
    return _histograms(image, make_plan(image.shape, orientations, cell, (1, 1), signed), sqrt)


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
    plan = make_plan(image.shape, orientations, cell, (1, 1), signed)
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
class Plan:
    """Checked sizes; pairs are (rows, columns).

    Attributes:
        orientations: Bins of a histogram.
        signed: Whether they span 360°.
        cell: Pixels of a cell.
        block: Cells of a block.
        cells: Whole cells of a picture.
        blocks: Blocks of a picture.
    """

    orientations: int
    signed: bool
    cell: tuple[int, int]
    block: tuple[int, int]
    cells: tuple[int, int]
    blocks: tuple[int, int]

    @property
    def length(self) -> int:
        """Numbers of a descriptor."""
        return math.prod((*self.blocks, *self.block, self.orientations))


def make_plan(
    shape: Sequence[int],
    orientations: int,
    cell: int | Sequence[int],
    block: int | Sequence[int],
    signed: bool,
) -> Plan:
    """The sizes for pictures of ``shape``; arguments and errors as :func:`hog`."""
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
    return Plan(
        orientations, signed, cells, blocks, (rows, columns), (rows - bh + 1, columns - bw + 1)
    )


def _result_type(image: Array) -> Any:
    return np.dtype(np.float64 if image.dtype == np.float64 else np.float32)


def _histograms(image: Array, plan: Plan, sqrt: bool) -> Array:
    """Mean magnitude of each cell and bin: (cells down, cells across, orientations), float64."""
    xp = array_module(image)
    if sqrt:
        image = root(image)
    (rows, columns), (ch, cw), bins = plan.cells, plan.cell, plan.orientations
    width = columns * cw
    by_slope, dtype = ways(image.dtype, plan.signed)
    # where the histogram of each column's cell begins among the histograms of one row of cells
    start = xp.repeat(xp.arange(columns) * bins, cw)
    cells = xp.empty((rows, columns, bins), dtype=np.float64)
    step = max(1, STRIP_BYTES // (width * ch * dtype.itemsize)) if xp is np else rows
    # infinite samples and horizontal gradients are dealt with below
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for first in range(0, rows, step):
            count = min(step, rows - first)
            g_row, g_col = _gradients(image, first * ch, (first + count) * ch, width, dtype)
            bin_ = bin_numbers(g_row, g_col, bins, signed=plan.signed, by_slope=by_slope)
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
        return differences(strip.reshape(strip.shape[:2]), top, bottom, h, width, dtype)
    planes = (xp.ascontiguousarray(strip[:, :, channel]) for channel in range(strip.shape[2]))
    gradients = (differences(plane, top, bottom, h, width, dtype) for plane in planes)
    return strongest(gradients, image.dtype)


def _blocks(cells: Array, plan: Plan, norm: str, dtype: Any) -> Array:
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
