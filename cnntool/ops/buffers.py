"""Where elementwise results go: into new arrays, or into one that the caller wants to reuse.

Fresh large arrays cost page faults at every step of a training. So elementwise operations and
their gradients take ``out=``: an array of the result's shape and type that is overwritten. It may
be the input itself, then the operation works in place.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import ShapeError
from cnntool.ops import memory
from cnntool.ops.pooling import float_type


class Backward(Protocol):
    """The gradient of an operation with one array argument, elementwise in its result."""

    def __call__(self, grad_y: Array, *, out: Array | None = None) -> Array:
        """The gradient of the argument.

        Args:
            grad_y: Gradient of the result.
            out: Where to put the answer; may be ``grad_y``. None makes a new array.
        """
        ...


def as_float(x: Array) -> Array:
    """``x`` in the type that results have: float64 stays, smaller types become float32."""
    return x.astype(float_type(x), copy=False)


def destination(like: Array, out: Array | None) -> Array:
    """``out``, or a new array shaped like ``like``.

    Raises:
        ShapeError: ``out`` does not fit.

    Example:
        >>> destination(np.zeros((2, 3), np.float32), None).shape
        (2, 3)
    """
    if out is None:
        return memory.empty(array_module(like), like.shape, like.dtype)
    if out.shape != like.shape or out.dtype != like.dtype:
        raise ShapeError(
            f"out must have shape {like.shape} and type {like.dtype} like the result; "
            f"got {out.shape} and {out.dtype}"
        )
    return out


def flat_destination(flat: Array, shape: tuple[int, ...], out: Array | None) -> Array:
    """``out`` of the shape before flattening, as a view (C, M); or a new array.

    Raises:
        ShapeError: ``out`` does not fit, or its memory has gaps.
    """
    if out is None:
        return destination(flat, None)
    if not out.flags.c_contiguous:
        raise ShapeError("out must be one contiguous block of memory; give an array that owns it")
    destination(flat.reshape(shape), out)
    return out.reshape(flat.shape)


def bits_type(x: Array) -> Any:
    """The integer type as wide as the floats of ``x``.

    Multiplying a number's bits by 1 or 0 keeps it or makes it zero. It is as fast as multiplying
    the number, and infinities and NaN become zeros too.
    """
    return np.int64 if np.dtype(x.dtype).itemsize == 8 else np.int32
