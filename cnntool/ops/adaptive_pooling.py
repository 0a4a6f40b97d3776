"""Pooling to a given size, and over whole maps.

Output i of an axis sees the inputs from floor(i·size/out) to ceil((i+1)·size/out): regions that
cover everything and overlap by at most one pixel. Rows are reduced first, then columns, one call a
region.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.ops.pooling import float_type
from cnntool.ops.winners import Backward

Target = int | None | Sequence[int | None]
Regions = list[slice]


def _regions(x: Array, output_size: Target) -> tuple[Regions, Regions]:
    sizes = (
        (output_size,) * 2 if output_size is None or isinstance(output_size, int) else output_size
    )
    if len(sizes) != 2:
        raise OptionError(f"output_size takes one number or two (height, width), got {len(sizes)}")
    h, w = x.shape[1:3]
    if h == 0 or w == 0:
        raise ShapeError(f"a map of {h} x {w} has nothing to pool")
    both = []
    for size, wanted in zip((h, w), sizes, strict=True):
        out = size if wanted is None else int(wanted)
        if out < 1:
            raise OptionError(f"output_size must be at least 1, got {out}")
        both.append([slice(i * size // out, -(-(i + 1) * size // out)) for i in range(out)])
    return both[0], both[1]


def _counts(regions: Regions, xp: Any, dtype: Any) -> Array | int:
    """Lengths of the regions: one int if they are equal, else an array computed where x lives."""
    lengths = {region.stop - region.start for region in regions}
    if len(lengths) == 1:
        return lengths.pop()
    size, out = regions[-1].stop, len(regions)
    i = xp.arange(out)
    return (-(-(i + 1) * size // out) - i * size // out).astype(dtype)


def _divide(y: Array, rows: Regions, columns: Regions) -> Array:
    xp = array_module(y)
    count_rows, count_columns = _counts(rows, xp, y.dtype), _counts(columns, xp, y.dtype)
    if not isinstance(count_rows, int):
        count_rows = count_rows[:, None, None]
    if not isinstance(count_columns, int):
        count_columns = count_columns[:, None]
    return y / (count_rows * count_columns)


def adaptive_avg_pool2d(x: Array, output_size: Target) -> Array:
    """The means of regions that divide each map into a given number of rows and columns.

    Args:
        x: Maps.
        output_size: Rows and columns of the result, each >= 1; None keeps the size.

    Shape:
        (C, H, W, N) -> (C, H', W', N); float64 stays, smaller types become float32. Sums of
        integers are exact.

    Raises:
        OptionError: A size below 1.
        ShapeError: A map without pixels.

    Example:
        >>> import numpy as np
        >>> adaptive_avg_pool2d(np.arange(5.0).reshape(1, 1, 5, 1), (1, 2)).ravel().tolist()
        [1.0, 3.0]
    """
    rows, columns = _regions(x, output_size)
    xp = array_module(x)
    wide = xp.int64 if x.dtype.kind in "iub" else x.dtype
    c, _, w, n = x.shape
    tall = xp.empty((c, len(rows), w, n), dtype=wide)
    for i, region in enumerate(rows):
        tall[:, i] = x[:, region].sum(axis=1, dtype=wide)
    y = xp.empty((c, len(rows), len(columns), n), dtype=wide)
    for j, region in enumerate(columns):
        y[:, :, j] = tall[:, :, region].sum(axis=2)
    return _divide(y.astype(float_type(x), copy=False), rows, columns)


def adaptive_avg_pool2d_vjp(x: Array, output_size: Target) -> tuple[Array, Backward]:
    """:func:`adaptive_avg_pool2d` and its gradient."""
    rows, columns = _regions(x, output_size)
    shape = x.shape

    def backward(grad_y: Array) -> Array:
        xp = array_module(grad_y)
        share = _divide(grad_y, rows, columns)
        wide = xp.zeros((shape[0], len(rows), *shape[2:]), dtype=grad_y.dtype)
        for j, region in enumerate(columns):
            wide[:, :, region] += share[:, :, j : j + 1]
        grad_x = xp.zeros(shape, dtype=grad_y.dtype)
        for i, region in enumerate(rows):
            grad_x[:, region] += wide[:, i : i + 1]
        return grad_x

    return adaptive_avg_pool2d(x, output_size), backward


def adaptive_max_pool2d(x: Array, output_size: Target, return_indices: bool = False) -> Any:
    """The maxima of regions that divide each map into a given number of rows and columns.

    Args:
        x: Maps.
        output_size: Rows and columns of the result, each >= 1; None keeps the size.
        return_indices: Whether to return (y, indices) with the position r·W + c of each maximum
            in its plane, int64; of equal values the first in row-major order.

    Shape:
        (C, H, W, N) -> (C, H', W', N), dtype kept.

    Raises:
        OptionError: A size below 1.
        ShapeError: A map without pixels.

    Example:
        >>> import numpy as np
        >>> y, indices = adaptive_max_pool2d(np.array([1, 7, 3]).reshape(1, 3, 1, 1), (2, 1), True)
        >>> y.ravel().tolist(), indices.ravel().tolist()
        ([7, 7], [1, 1])
    """
    rows, columns = _regions(x, output_size)
    xp = array_module(x)
    c, h, w, n = x.shape
    tall = xp.empty((c, len(rows), w, n), dtype=x.dtype)
    for i, region in enumerate(rows):
        tall[:, i] = x[:, region].max(axis=1)
    y = xp.empty((c, len(rows), len(columns), n), dtype=x.dtype)
    for j, region in enumerate(columns):
        y[:, :, j] = tall[:, :, region].max(axis=2)
    if not return_indices:
        return y
    # of each column the first row that holds its maximum; then the smallest position of all
    place = xp.empty(tall.shape, dtype=xp.int64)
    for i, region in enumerate(rows):
        place[:, i] = x[:, region].argmax(axis=1) + region.start
    place *= w
    place += xp.arange(w)[:, None]
    indices = xp.empty(y.shape, dtype=xp.int64)
    for j, region in enumerate(columns):
        values = tall[:, :, region]
        holds = values == y[:, :, j : j + 1]
        if x.dtype.kind == "f":
            holds = xp.logical_or(holds, values != values)
        indices[:, :, j] = xp.where(holds, place[:, :, region], h * w).min(axis=2)
    return y, indices


def adaptive_max_pool2d_vjp(
    x: Array, output_size: Target, return_indices: bool = False
) -> tuple[Any, Backward]:
    """:func:`adaptive_max_pool2d` and its gradient, which goes to the first largest cell."""
    y, indices = adaptive_max_pool2d(x, output_size, return_indices=True)
    shape = x.shape

    def backward(grad_y: Array) -> Array:
        xp = array_module(grad_y)
        c, h, w, n = shape
        grad_x = xp.zeros(c * h * w * n, dtype=grad_y.dtype)
        channel = xp.arange(c).reshape(c, 1, 1, 1) * (h * w)
        # regions overlap: one cell may win twice
        xp.add.at(grad_x, ((indices + channel) * n + xp.arange(n)).reshape(-1), grad_y.reshape(-1))
        return grad_x.reshape(shape)

    return ((y, indices) if return_indices else y), backward


def global_avg_pool2d(x: Array) -> Array:
    """The mean of each map: (C, H, W, N) -> (C, 1, 1, N)."""
    return adaptive_avg_pool2d(x, 1)


def global_avg_pool2d_vjp(x: Array) -> tuple[Array, Backward]:
    """:func:`global_avg_pool2d` and its gradient."""
    return adaptive_avg_pool2d_vjp(x, 1)


def global_max_pool2d(x: Array, return_indices: bool = False) -> Any:
    """The largest value of each map: (C, H, W, N) -> (C, 1, 1, N), with its position on request."""
    return adaptive_max_pool2d(x, 1, return_indices)


def global_max_pool2d_vjp(x: Array, return_indices: bool = False) -> tuple[Any, Backward]:
    """:func:`global_max_pool2d` and its gradient, which goes to the first largest cell."""
    return adaptive_max_pool2d_vjp(x, 1, return_indices)
