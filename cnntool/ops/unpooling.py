"""Unpooling: put pooled values back where the maxima were."""

from __future__ import annotations

from collections.abc import Sequence

from cnntool.backend import Array, array_module
from cnntool.errors import ShapeError
from cnntool.geometry import pair
from cnntool.ops import memory
from cnntool.ops.winners import Backward


def max_unpool2d(x: Array, indices: Array, output_size: int | Sequence[int]) -> Array:
    """Maps of zeros that hold every value of ``x`` at its stored position.

    The way up of SegNet: max pooling stores where each maximum was, unpooling puts values back
    there. Where windows overlapped, several values may share one position; they are equal if they
    came from one pooling, else any of them is kept.

    Args:
        x: Pooled maps.
        indices: Positions r·W + c in planes of ``output_size``, as ``max_pool2d`` returns them.
            Positions outside are the caller's fault and not looked for, because that would make a
            GPU wait.
        output_size: Rows and columns of the result.

    Shape:
        (C, H', W', N) -> (C, H, W, N), dtype of x.

    Raises:
        ShapeError: ``x`` and ``indices`` differ in shape.

    References:
        Badrinarayanan, Kendall, Cipolla 2017, SegNet, section 3.

    Example:
        >>> import numpy as np
        >>> x = np.array([7.0, 9.0]).reshape(1, 1, 2, 1)
        >>> max_unpool2d(x, np.array([1, 4]).reshape(x.shape), (2, 3))[0, :, :, 0]
        array([[0., 7., 0.],
               [0., 9., 0.]])
    """
    xp = array_module(x)
    h, w = pair(output_size, "output_size")
    y = memory.zeros(xp, (x.shape[0], h, w, x.shape[3]), x.dtype)
    y.reshape(-1)[_flat(x, indices, h * w)] = x.reshape(-1)
    return y


def max_unpool2d_vjp(
    x: Array, indices: Array, output_size: int | Sequence[int]
) -> tuple[Array, Backward]:
    """:func:`max_unpool2d` and its gradient with respect to ``x``: a look-up at the positions."""
    h, w = pair(output_size, "output_size")
    flat = _flat(x, indices, h * w)
    y = max_unpool2d(x, indices, output_size)
    return y, lambda grad_y: grad_y.reshape(-1)[flat].reshape(x.shape)


def _flat(x: Array, indices: Array, plane: int) -> Array:
    """Positions in planes as positions in the whole flattened result, one row of numbers."""
    if x.shape != indices.shape:
        raise ShapeError(
            f"values and positions must have one shape; got {x.shape} and {indices.shape}"
        )
    xp = array_module(x)
    c, _, _, n = x.shape
    channel = xp.arange(c).reshape(c, 1, 1, 1) * plane
    return ((indices + channel) * n + xp.arange(n)).reshape(-1)
