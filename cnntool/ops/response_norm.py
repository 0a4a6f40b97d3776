"""Local response normalisation: strong channels damp their neighbours at the same pixel.

It works on columns of (C, pixels) that stay in the cache through all passes.
"""

from __future__ import annotations

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError
from cnntool.ops.buffers import Backward, as_float, flat_destination

BLOCK_BYTES = 1 << 18
"""Aim for the part of an array that is worked on at a time on a CPU."""


def local_response_norm(
    x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """Every value divided by (k + alpha/size · sum of squares of neighbouring channels)^beta.

    Args:
        x: Maps or features.
        size: Channels of a neighbourhood, >= 1: size//2 before and (size-1)//2 behind; channels
            that do not exist count as zeros.
        alpha: Weight of the mean square. Krizhevsky's paper gives the weight of the sum:
            alpha = size times the paper's.
        beta: Exponent.
        k: Summand; with ``k`` > 0 nothing divides by zero.

    Shape:
        (C, …) unchanged. float64 stays, smaller types become float32.

    Raises:
        OptionError: ``size`` is below 1.

    References:
        Krizhevsky, Sutskever, Hinton 2012, ImageNet classification with deep convolutional neural
        networks, section 3.3; defaults and the neighbourhood of an even size are torch's.

    Example:
        >>> x = np.ones((3, 1))
        >>> local_response_norm(x, 3, alpha=3, beta=1, k=0)[:, 0].round(3).tolist()
        [0.5, 0.333, 0.5]
    """
    _check_size(size)
    xp, flat = array_module(x), as_float(x).reshape(x.shape[0], -1)
    y = xp.empty_like(flat)
    for part in _columns(flat):
        _, power = _divisors(flat[:, part], size, alpha, beta, k)
        xp.multiply(flat[:, part], power, out=y[:, part])
    return y.reshape(x.shape)


def local_response_norm_vjp(
    x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> tuple[Array, Backward]:
    """:func:`local_response_norm` and its gradient; it keeps x only.

    Example:
        >>> y, backward = local_response_norm_vjp(np.ones((3, 1)), 1, alpha=1, beta=1, k=1)
        >>> y[:, 0].tolist(), backward(np.ones((3, 1)))[:, 0].tolist()
        ([0.5, 0.5, 0.5], [0.0, 0.0, 0.0])
    """
    y = local_response_norm(x, size, alpha, beta, k)

    def backward(grad_y: Array, *, out: Array | None = None) -> Array:
        xp, flat = array_module(x), as_float(x).reshape(x.shape[0], -1)
        g = grad_y.astype(flat.dtype, copy=False).reshape(flat.shape)
        grad = flat_destination(flat, x.shape, out)
        for part in _columns(flat):
            values = flat[:, part]
            divisor, power = _divisors(values, size, alpha, beta, k)
            direct = power * g[:, part]
            divisor = direct / divisor
            divisor *= values
            # a channel is in the windows of those that it has behind and before it
            spread = _window_sum(divisor, (size - 1) // 2, size // 2)
            spread *= -2 * alpha * beta / size
            spread *= values
            xp.add(direct, spread, out=grad[:, part])
        return grad.reshape(x.shape)

    return y, backward


def _check_size(size: int) -> None:
    if size < 1:
        raise OptionError(f"local_response_norm needs a size of at least 1 channel, got {size}")


def _columns(flat: Array) -> list[slice]:
    """Columns of (C, M) that are worked on at a time; all at once on a device."""
    c, m = flat.shape
    if array_module(flat) is not np:
        return [slice(0, m)]
    width = max(1, BLOCK_BYTES // max(c * flat.itemsize, 1))
    return [slice(left, min(left + width, m)) for left in range(0, m, width)]


def _window_sum(values: Array, before: int, behind: int) -> Array:
    """Sums of every row of (C, m) and its neighbours."""
    total = values.copy()
    for distance in range(1, min(before, len(values) - 1) + 1):
        total[distance:] += values[:-distance]
    for distance in range(1, min(behind, len(values) - 1) + 1):
        total[:-distance] += values[distance:]
    return total


def _divisors(values: Array, size: int, alpha: float, beta: float, k: float) -> tuple[Array, Array]:
    """Divisors d = k + alpha/size · sums of squares, and d^-beta."""
    xp = array_module(values)
    divisor = _window_sum(values * values, size // 2, (size - 1) // 2)
    divisor *= alpha / size
    divisor += k
    if beta == 0.75:  # two roots are ten times as fast as a power (NumPy 2.4)
        power = xp.sqrt(divisor)
        power *= xp.sqrt(power)
        return divisor, xp.reciprocal(power, out=power)
    if beta == 1:
        return divisor, xp.reciprocal(divisor)
    return divisor, divisor**-beta
