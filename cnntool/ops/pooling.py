"""Pooling with windows: maximum, minimum, average, sum, p-norm, each with its gradient.

All of them are separable: windows are folded along the rows, then along the columns (and first
along the channels, where a window is deeper than one). Only where the place of a maximum matters
are all taps compared, in :mod:`cnntool.ops.winners`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError
from cnntool.ops import memory
from cnntool.ops.windows import Axes, Fold, fold_axis, parts, spread_axis, window_axes
from cnntool.ops.winners import Backward, least, positions_of, winners, winners_backward

Size = int | Sequence[int]


def float_type(x: Array) -> Any:
    """The type that averages of x have: float64 for float64 and 32-bit integers, else float32."""
    return np.result_type(x.dtype, np.float32)


def _fold(x: Array, axes: Axes, fold: Fold, empty: float, dtype: Any) -> Array:
    """Every window folded into one number of type ``dtype``."""
    xp = array_module(x)
    pieces = parts(x, axes)
    shape = (*(axis.out for axis in axes), x.shape[3])
    whole = memory.empty(xp, shape, dtype) if len(pieces) > 1 else None
    for windows, outputs, inputs in pieces:
        y = x[inputs].astype(dtype, copy=False)
        for number, axis in enumerate(windows):
            y = fold_axis(y, number, axis, fold, empty)
        if whole is None:
            return y.copy() if xp.may_share_memory(y, x) else y
        whole[outputs] = y
    return whole


def _extreme(x: Array, axes: Axes, largest: bool) -> Array:
    xp = array_module(x)
    fold = xp.maximum if largest else xp.minimum
    return _fold(x, axes, fold, least(x.dtype, largest), x.dtype)


def max_pool2d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    depth: int = 1,
    depth_stride: int | None = None,
) -> Any:
    """The largest value of each window.

    Args:
        x: Maps, of any real type.
        kernel_size: Rows and columns of a window.
        stride: Steps down and right; None means the window.
        padding: Rows above and below, columns left and right, at most half the window; they count
            as minus infinity.
        dilation: Distance between the taps of a window.
        ceil_mode: Whether windows may run off the bottom and right edge, if they begin inside.
        return_indices: Whether to return (y, indices) with the position r·W + c of each maximum in
            its plane, int64; of equal values the first in row-major order.
        depth: Channels that a window spans.
        depth_stride: Step along the channels; None means ``depth``.

    Shape:
        (C, H, W, N) -> (C', H', W', N), H' = (H + 2·padding - dilation·(kernel_size - 1) - 1) /
        stride + 1 rounded down (up in ``ceil_mode``), C' = (C - depth) / depth_stride + 1; dtype
        kept. A NaN makes its windows NaN.

    Raises:
        OptionError: A number that makes no window; indices of windows deeper than one channel.
        ShapeError: The window does not fit.

    Example:
        >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
        >>> max_pool2d(x, 2).ravel().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """
    axes = window_axes(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, depth, depth_stride
    )
    if not return_indices:
        return _extreme(x, axes, largest=True)
    y, winner = winners(x, axes, largest=True)
    return y, positions_of(winner, axes)


def max_pool2d_vjp(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    depth: int = 1,
    depth_stride: int | None = None,
) -> tuple[Any, Backward]:
    """:func:`max_pool2d` and its gradient, which goes to the cell that held the maximum.

    Shape:
        backward: gradient of y (not of the indices) -> (C, H, W, N).

    Example:
        >>> y, backward = max_pool2d_vjp(np.array([1.0, 3, 2, 0]).reshape(1, 2, 2, 1), 2)
        >>> backward(np.ones_like(y)).ravel().tolist()
        [0.0, 1.0, 0.0, 0.0]
    """
    axes = window_axes(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, depth, depth_stride
    )
    y, winner = winners(x, axes, largest=True)
    result = (y, positions_of(winner, axes)) if return_indices else y
    return result, winners_backward(x.shape, axes, winner)


def min_pool2d(
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
    """The smallest value of each window; padding counts as infinity. See :func:`max_pool2d`."""
    axes = window_axes(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, depth, depth_stride
    )
    return _extreme(x, axes, largest=False)


def min_pool2d_vjp(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    *,
    depth: int = 1,
    depth_stride: int | None = None,
) -> tuple[Array, Backward]:
    """:func:`min_pool2d` and its gradient, which goes to the first smallest cell."""
    axes = window_axes(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, depth, depth_stride
    )
    y, winner = winners(x, axes, largest=False)
    return y, winners_backward(x.shape, axes, winner)


def _sum(x: Array, axes: Axes) -> Array:
    return _fold(x, axes, array_module(x).add, 0.0, float_type(x))


def _sum_backward(axes: Axes, grad_y: Array) -> Array:
    for number in (2, 1, 0):
        grad_y = spread_axis(grad_y, number, axes[number])
    return grad_y


def sum_pool2d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    *,
    dilation: Size = 1,
    depth: int = 1,
    depth_stride: int | None = None,
) -> Array:
    """The sum of each window; padding counts as 0. Arguments as for :func:`max_pool2d`.

    Shape:
        (C, H, W, N) -> (C', H', W', N); float64 stays, smaller types become float32.

    Example:
        >>> sum_pool2d(np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1), 2).ravel().tolist()
        [10.0, 18.0, 42.0, 50.0]
    """
    axes = window_axes(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, depth, depth_stride
    )
    return _sum(x, axes)


def sum_pool2d_vjp(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    *,
    dilation: Size = 1,
    depth: int = 1,
    depth_stride: int | None = None,
) -> tuple[Array, Backward]:
    """:func:`sum_pool2d` and its gradient: every cell gets the gradients of its windows."""
    axes = window_axes(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, depth, depth_stride
    )
    return _sum(x, axes), lambda grad_y: _sum_backward(axes, grad_y)


def _divisor(axes: Axes, xp: Any, dtype: Any, include_pad: bool, override: float | None) -> Any:
    """What sums are divided by: a number, or an array that broadcasts to the output."""
    if override is not None:
        if override == 0 or not isfinite(override):
            raise OptionError(f"divisor_override must be a number other than 0, got {override}")
        return override
    divisor: Any = 1
    for number, axis in enumerate(axes):
        count = axis.counts(xp, include_pad)
        if not isinstance(count, int):
            count = xp.maximum(count, 1).astype(dtype)
            count = count.reshape([-1 if i == number else 1 for i in range(4)])
        divisor = divisor * count
    return divisor


def avg_pool2d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
    *,
    dilation: Size = 1,
    depth: int = 1,
    depth_stride: int | None = None,
) -> Array:
    """The mean of each window; padding counts as 0. Other arguments as for :func:`max_pool2d`.

    Args:
        x: Maps.
        kernel_size: Rows and columns of a window.
        stride: Steps down and right; None means the window.
        padding: Rows above and below, columns left and right, at most half the window.
        ceil_mode: Whether windows may run off the far edge; what lies beyond the padding is never
            counted.
        count_include_pad: Whether padding counts as pixels of value 0, or not at all.
        divisor_override: Divide by this instead of by the number of pixels.
        dilation: Distance between taps.
        depth: Channels that a window spans.
        depth_stride: Step along the channels; None means ``depth``.

    Shape:
        (C, H, W, N) -> (C', H', W', N); float64 stays, smaller types become float32.

    Example:
        >>> avg_pool2d(np.arange(16.0).reshape(1, 4, 4, 1), 2).ravel().tolist()
        [2.5, 4.5, 10.5, 12.5]
    """
    axes = window_axes(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, depth, depth_stride
    )
    divisor = _divisor(axes, array_module(x), float_type(x), count_include_pad, divisor_override)
    y = _sum(x, axes)
    y /= divisor
    return y


def avg_pool2d_vjp(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: float | None = None,
    *,
    dilation: Size = 1,
    depth: int = 1,
    depth_stride: int | None = None,
) -> tuple[Array, Backward]:
    """:func:`avg_pool2d` and its gradient."""
    axes = window_axes(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, depth, depth_stride
    )
    divisor = _divisor(axes, array_module(x), float_type(x), count_include_pad, divisor_override)
    y = _sum(x, axes)
    y /= divisor
    return y, lambda grad_y: _sum_backward(axes, grad_y / divisor)


def _check_norm(norm_type: float) -> None:
    if not (isfinite(norm_type) and norm_type >= 1):
        raise OptionError(f"norm_type must be a number from 1 on, got {norm_type}")


def lp_pool2d(
    x: Array,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
    *,
    padding: Size = 0,
    dilation: Size = 1,
    depth: int = 1,
    depth_stride: int | None = None,
) -> Array:
    """The p-norm (sum of |x|^p)^(1/p) of each window; padding counts as 0.

    Args:
        x: Maps.
        norm_type: p, at least 1: 1 is the sum of absolute values, 2 the Euclidean norm.
        kernel_size: Rows and columns of a window.
        stride: Steps down and right; None means the window.
        ceil_mode: Whether windows may run off the far edge. The norm is then that of the pixels
            that exist; torch enlarges it by the share that is missing.
        padding: Rows above and below, columns left and right, at most half the window.
        dilation: Distance between taps.
        depth: Channels that a window spans.
        depth_stride: Step along the channels; None means ``depth``.

    Shape:
        (C, H, W, N) -> (C', H', W', N); float64 stays, smaller types become float32.

    Example:
        >>> lp_pool2d(np.array([3.0, 4.0]).reshape(1, 1, 2, 1), 2, (1, 2)).item()
        5.0
    """
    _check_norm(norm_type)
    axes = window_axes(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, depth, depth_stride
    )
    return _norm(x, axes, norm_type)


def _norm(x: Array, axes: Axes, p: float) -> Array:
    xp = array_module(x)
    x = x.astype(float_type(x), copy=False)
    powers = x * x if p == 2 else xp.abs(x) if p == 1 else xp.abs(x) ** p
    y = _sum(powers, axes)
    if p == 2:
        xp.sqrt(y, out=y)
    elif p != 1:
        y **= 1 / p
    return y


def lp_pool2d_vjp(
    x: Array,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
    *,
    padding: Size = 0,
    dilation: Size = 1,
    depth: int = 1,
    depth_stride: int | None = None,
) -> tuple[Array, Backward]:
    """:func:`lp_pool2d` and its gradient sign(x)·(|x| / y)^(p-1); 0 where a window is all zeros."""
    _check_norm(norm_type)
    axes = window_axes(
        x.shape, kernel_size, stride, padding, dilation, ceil_mode, depth, depth_stride
    )
    y = _norm(x, axes, norm_type)

    def backward(grad_y: Array) -> Array:
        xp = array_module(x)
        if norm_type == 1:
            return xp.sign(x) * _sum_backward(axes, grad_y)
        share = grad_y / xp.where(y > 0, y, 1) ** (norm_type - 1)
        grad_x = _sum_backward(axes, share)
        if norm_type == 2:
            return grad_x * x
        return grad_x * xp.sign(x) * xp.abs(x) ** (norm_type - 1)

    return y, backward
