"""Histograms of oriented gradients of many pictures of one size.

The descriptors are those of :func:`cnntool.filters.hog`. Pictures lie along the last axis, so every
operation runs along many numbers in a row however small the pictures are: four times as fast as
picture by picture for 28×28 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import InputError, NameNotFound, ShapeError
from cnntool.filters.hog import CLIP, EPS, Plan, make_plan
from cnntool.filters.hog_gradients import bin_numbers, differences, root, strongest, ways
from cnntool.filters.words import HOG_NORMS
from cnntool.geometry import pair

PART_BYTES = 1 << 19
"""One array of a part of the pictures, of about ten; some share of the second-level cache."""

FEWEST = 8
"""Pictures of a part, however large they are."""


def hog_batch(
    images: Array,
    orientations: int = 9,
    cell: int | Sequence[int] = (8, 8),
    block: int | Sequence[int] = (3, 3),
    norm: str = "l2-hys",
    signed: bool = False,
    sqrt: bool = False,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> Array:
    """The descriptors of pictures of one size, one a column; see :func:`cnntool.filters.hog`.

    Args:
        images: Pictures; samples in any unit.
        orientations: Bins of a histogram, 1 to 360, over 180° or, ``signed``, 360°.
        cell: Rows and columns of a cell in pixels.
        block: Rows and columns of a block in cells.
        norm: 'l1', 'l1-sqrt', 'l2' or 'l2-hys'.
        signed: Whether rising and falling gradients differ.
        sqrt: Whether to take the root of the samples first.
        progress: Called now and then with the pictures that are done, and all.

    Shape:
        (C, H, W, N) -> (d, N), d as :func:`cnntool.filters.hog_length` has it; float64 for float64
        pictures, else float32.

    Raises:
        OptionError: A number below 1.
        NameNotFound: Unknown norm.
        ShapeError: Not (C, H, W, N), or the pictures hold no whole block.
        InputError: NaN or infinite samples, or ``sqrt`` of negative ones.

    Example:
        >>> ramp = np.tile(np.arange(16.0), (16, 1))
        >>> pictures = np.stack([ramp, ramp.T], axis=-1)[None]  # two of 16 x 16
        >>> hog_batch(pictures, orientations=2, cell=8, block=(2, 2), norm="l1").round(3).T.tolist()
        [[0.25, 0.0, 0.25, 0.0, 0.25, 0.0, 0.25, 0.0], [0.0, 0.25, 0.0, 0.25, 0.0, 0.25, 0.0, 0.25]]
    """
    if images.ndim != 4 or images.shape[0] < 1:
        raise ShapeError(
            f"pictures are (C, H, W, N), got shape {'x'.join(map(str, images.shape)) or '()'}"
        )
    _, h, w, total = images.shape
    plan = make_plan((h, w), orientations, cell, block, signed)
    if norm not in HOG_NORMS:
        raise NameNotFound.among("norm", norm, HOG_NORMS)
    xp = array_module(images)
    dtype = np.dtype(np.float64 if images.dtype == np.float64 else np.float32)
    features = xp.empty((plan.length, total), dtype=dtype)
    step = max(FEWEST, PART_BYTES // (h * w * ways(images.dtype, signed)[1].itemsize))
    for first in range(0, total, step):
        part = images[..., first : first + step]
        cells = _histograms(root(part) if sqrt else part, plan)
        features[:, first : first + step] = _blocks(cells, plan, norm, dtype)
        if progress is not None:
            progress(min(first + step, total), total)
    return features


def default_cell(size: int | Sequence[int]) -> int:
    """The side of a cell that parts pictures of this size into about seven, at least 2 pixels.

    Example:
        >>> default_cell(28), default_cell((64, 48)), default_cell(5)
        (4, 6, 2)
    """
    return max(2, min(pair(size, "size")) // 7)


def _histograms(images: Array, plan: Plan) -> Array:
    """Mean magnitude of each cell and bin: (cells down, cells across, orientations, N), float64."""
    xp = array_module(images)
    (rows, columns), (ch, cw), bins = plan.cells, plan.cell, plan.orientations
    channels, h, _, n = images.shape
    height, width = rows * ch, columns * cw
    by_slope, dtype = ways(images.dtype, plan.signed)
    planes = (
        xp.ascontiguousarray(images[c], dtype=None if images.dtype.kind == "f" else dtype)
        for c in range(channels)
    )
    # infinite samples and horizontal gradients are dealt with below
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        gradients = (_inner(plane, height, width, h, dtype) for plane in planes)
        g_row, g_col = next(gradients) if channels == 1 else strongest(gradients, images.dtype)
        # (cell of the pixel, bin, picture) as one number
        place = bin_numbers(g_row, g_col, bins, signed=plan.signed, by_slope=by_slope) * np.intp(n)
        cell = (xp.arange(height) // ch)[:, None] * columns + xp.arange(width) // cw
        place += cell[:, :, None] * (bins * n) + xp.arange(n)
        g_row *= g_row
        g_col *= g_col
        g_row += g_col
        magnitude = xp.sqrt(g_row, out=g_row)
        cells = xp.bincount(
            place.reshape(-1), magnitude.reshape(-1), minlength=rows * columns * bins * n
        ).reshape(rows, columns, bins, n)
    cells /= ch * cw
    if images.dtype.kind == "f" and not math.isfinite(float(cells.sum())):
        raise InputError("a picture holds NaN or infinite samples, which have no gradient")
    return cells


def _inner(plane: Array, height: int, width: int, h: int, dtype: Any) -> tuple[Array, Array]:
    """Gradients of what fills whole cells: (H, W, N) -> twice (height, width, N)."""
    return differences(plane[: height + 1], 0, height, h, width, dtype)


def _blocks(cells: Array, plan: Plan, norm: str, dtype: Any) -> Array:
    """Normalised blocks, one picture a column: (d, N)."""
    xp = array_module(cells)
    (down, across), (bh, bw), n = plan.blocks, plan.block, cells.shape[-1]
    weight = (cells if norm.startswith("l1") else cells * cells).sum(axis=2)
    corners = [(i, j) for i in range(bh) for j in range(bw)]
    total = sum(weight[i : i + down, j : j + across] for i, j in corners)
    scale = 1 / (total + EPS if norm.startswith("l1") else xp.sqrt(total + EPS * EPS))
    scale = scale.astype(dtype, copy=False)[:, :, None]
    cells = cells.astype(dtype, copy=False)
    blocks = xp.empty((down, across, bh, bw, plan.orientations, n), dtype=dtype)
    for i, j in corners:
        xp.multiply(cells[i : i + down, j : j + across], scale, out=blocks[:, :, i, j])
    if norm == "l1-sqrt":
        xp.sqrt(blocks, out=blocks)
    elif norm == "l2-hys":
        xp.minimum(blocks, CLIP, out=blocks)
        flat = blocks.reshape(down, across, -1, n)
        length = xp.einsum("abkn,abkn->abn", flat, flat) + EPS * EPS
        flat *= (1 / xp.sqrt(length))[:, :, None]
    return blocks.reshape(-1, n)
