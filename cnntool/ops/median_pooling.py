"""Median pooling by a sorting network.

The taps of all windows are sorted at once: a fixed list of exchanges, each a minimum and a maximum
of whole arrays. That vectorises (one exchange of 8-bit values costs less than 0.1 ns) and needs no
sort on a GPU. Exchanges that cannot reach the middle are left out. Large windows, for which the
list grows long, are left to NumPy's selection.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby, product
from math import prod

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import ShapeError
from cnntool.ops.pooling import Size, float_type
from cnntool.ops.windows import STRIP_BYTES, Axes, WindowAxis, window_axes
from cnntool.ops.winners import least, taps_of

DEVICE_BYTES = 1 << 28
"""Taps that are sorted at a time on a GPU."""

NETWORK_TAPS = {1: 256, 2: 100}
"""Taps up to which a network is faster than a selection on a CPU, by bytes of a value; else 50."""

Exchange = tuple[int, int, bool, bool]
"""Two lanes, and whether the smaller and the larger value are needed afterwards."""


@lru_cache(maxsize=64)
def network(lanes: int, wanted: tuple[int, ...]) -> tuple[Exchange, ...]:
    """Exchanges after which every wanted rank is in its lane.

    Args:
        lanes: How many values are sorted.
        wanted: Ranks that are needed, 0 the smallest.

    References:
        Batcher's merge exchange: Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M.

    Example:
        >>> network(3, (1,))
        ((0, 2, True, True), (0, 1, False, True), (1, 2, True, False))
    """
    exchanges = []
    top = 1 << max((lanes - 1).bit_length() - 1, 0)
    p = top if lanes > 1 else 0
    while p > 0:
        q, r, d = top, 0, p
        while True:
            exchanges += [(i, i + d) for i in range(lanes - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2
    needed, kept = set(wanted), []
    for low, high in reversed(exchanges):
        if low in needed or high in needed:
            kept.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(kept))


def median_pool2d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    depth: int = 1,
    depth_stride: int | None = None,
) -> Array:
    """The median of the pixels of each window; of an even number the mean of the middle two.

    Padding is not counted: a window at the border has fewer pixels. Arguments as for
    :func:`cnntool.ops.pooling.max_pool2d`.

    Shape:
        (C, H, W, N) -> (C', H', W', N); float64 stays, smaller types become float32. A NaN makes
        its windows NaN.

    Raises:
        OptionError: A number that makes no window.
        ShapeError: The window does not fit, or sees padding only.

    Example:
        >>> median_pool2d(np.array([9.0, 1, 2, 3]).reshape(1, 2, 2, 1), 2).item()
        2.5
    """
    axes = window_axes(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, depth, depth_stride
    )
    if not all(axis.sees_input() for axis in axes):
        raise ShapeError(
            "some windows see nothing but padding, so they have no median; "
            "use less dilation or padding"
        )
    xp = array_module(x)
    channels, rows, columns = axes
    n = x.shape[3]
    y = xp.empty((channels.out, rows.out, columns.out, n), dtype=float_type(x))
    row_bytes = prod(axis.kernel for axis in axes) * channels.out * columns.out * n
    limit = STRIP_BYTES if xp is np else DEVICE_BYTES
    strip = max(1, limit // max(row_bytes * x.dtype.itemsize, 1))
    for first in range(0, rows.out, strip):
        last = min(first + strip, rows.out)
        part, inputs = rows.part(first, last)
        _medians(x[:, inputs], (channels, part, columns), y[:, first:last])
    return y


def _runs(axis: WindowAxis) -> list[tuple[int, slice]]:
    """Stretches of outputs whose windows hold equally many inputs, as (number, outputs)."""
    found, start = [], 0
    for count, group in groupby(axis.count(output) for output in range(axis.out)):
        stop = start + len(list(group))
        found.append((count, slice(start, stop)))
        start = stop
    return found


def _medians(x: Array, axes: Axes, y: Array) -> None:
    """Write the medians of a strip into ``y``."""
    xp = array_module(x)
    total = prod(axis.kernel for axis in axes)
    taps = taps_of(axes)
    regions = list(product(*(_runs(axis) for axis in axes)))
    full = all(prod(count for count, _ in region) == total for region in regions)
    lanes = xp.empty((total, *y.shape), dtype=x.dtype)
    if not full:  # what is missing sorts to the end
        lanes[...] = least(x.dtype, largest=False)
    for number, outputs, inputs in taps:
        lanes[number][outputs] = x[inputs]
    ranks = tuple(sorted({rank for region in regions for rank in _middle(region)}))
    lane = list(lanes)
    if xp is not np or total <= NETWORK_TAPS.get(x.dtype.itemsize, 50):
        sort_lanes(lane, network(total, ranks))
    else:
        _select(lanes, lane, ranks)
    for region in regions:
        outputs = tuple(cut for _, cut in region)
        low, high = _middle(region)
        middle = lane[low][outputs].astype(y.dtype)
        if high != low:
            middle += lane[high][outputs]
            middle *= 0.5
        y[outputs] = middle


def _select(lanes: Array, lane: list[Array], ranks: Sequence[int]) -> None:
    """Put the values of the wanted ranks into ``lane``, by NumPy's own sorting."""
    largest = lanes.max(axis=0)  # NaN where any value is
    if len(ranks) > 2:
        lanes.sort(axis=0)
    for rank in ranks:
        if len(ranks) <= 2:
            lanes.partition(rank, axis=0)
        lane[rank] = lanes[rank].copy()
        if lanes.dtype.kind == "f":
            np.copyto(lane[rank], largest, where=np.isnan(largest))


def _middle(region: Sequence[tuple[int, slice]]) -> tuple[int, int]:
    """Ranks of the two middle values (twice the same for an odd number) of a region's windows."""
    count = prod(number for number, _ in region)
    return (count - 1) // 2, count // 2


def sort_lanes(lanes: list[Array], exchanges: Sequence[Exchange]) -> None:
    """Run a network on arrays of one shape; they are overwritten and change places in the list."""
    xp = array_module(lanes[0])
    spare = xp.empty_like(lanes[0])
    for low, high, need_low, need_high in exchanges:
        a, b = lanes[low], lanes[high]
        if need_low and need_high:
            xp.minimum(a, b, out=spare)
            xp.maximum(a, b, out=b)
            lanes[low], spare = spare, a
        elif need_low:
            xp.minimum(a, b, out=a)
        else:
            xp.maximum(a, b, out=b)
