"""The fully connected map: every output is a weighted sum of all features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import ShapeError
from cnntool.ops import memory
from cnntool.ops.buffers import as_float
from cnntool.ops.sharing import share

SHARED = 1 << 16
"""Weights from which on sharing outputs out to threads pays."""


def _check(x: Array, weight: Array, bias: Array | None) -> None:
    if x.ndim != 2:
        raise ShapeError(
            f"linear takes (features, N), got an array of shape {x.shape}; flatten maps first"
        )
    if weight.ndim != 2 or weight.shape[1] != x.shape[0]:
        raise ShapeError(
            f"weights of shape {weight.shape} do not fit {x.shape[0]} features; "
            f"they must be (outputs, {x.shape[0]})"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"a bias of shape {bias.shape} does not fit {weight.shape[0]} outputs")


def linear(x: Array, weight: Array, bias: Array | None = None, *, threads: int = 1) -> Array:
    """Weighted sums of features: weight @ x + bias.

    Args:
        x: Features, one column an image.
        weight: One row an output.
        bias: One number an output.
        threads: Threads that share the outputs, where there are many weights.

    Shape:
        x (I, N), weight (O, I), bias (O,) -> (O, N). float64 stays, smaller types become float32.

    Raises:
        ShapeError: The sizes do not fit.

    Example:
        >>> linear(np.array([[1.0], [2.0]]), np.array([[3.0, 4.0]]), np.array([0.5])).item()
        11.5
    """
    _check(x, weight, bias)
    x = as_float(x)
    weight = weight.astype(x.dtype, copy=False)
    xp, outputs = array_module(x), weight.shape[0]
    y = memory.empty(xp, (outputs, x.shape[1]), x.dtype)
    if threads == 1 or weight.size < SHARED or xp is not np:
        xp.matmul(weight, x, out=y)
    else:

        def work(parts: Sequence[slice]) -> None:
            for part in parts:
                np.matmul(weight[part], x, out=y[part])

        bounds = [outputs * t // threads for t in range(threads + 1)]
        share([slice(*ends) for ends in pairwise(bounds)], work, threads=threads)
    if bias is not None:
        y += bias.astype(x.dtype, copy=False).reshape(-1, 1)
    return y


def linear_vjp(
    x: Array, weight: Array, bias: Array | None = None, *, need_input_grad: bool = True
) -> tuple[Array, Callable[[Array], tuple[Array | None, ...]]]:
    """:func:`linear` and its gradient.

    Args:
        x: As for :func:`linear`, like the next two.
        weight: One row an output.
        bias: One number an output.
        need_input_grad: Whether the gradient of ``x`` is wanted; the first layer needs none.

    Shape:
        backward: (O, N) -> gradients of x (None if not needed), weight, and bias if there is one.

    Example:
        >>> y, backward = linear_vjp(np.array([[1.0], [2.0]]), np.array([[3.0, 4.0]]))
        >>> [g.tolist() for g in backward(np.ones((1, 1)))]
        [[[3.0], [4.0]], [[1.0, 2.0]]]
    """
    y = linear(x, weight, bias)

    def backward(grad_y: Array) -> tuple[Array | None, ...]:
        features = as_float(x)
        grad_y = grad_y.astype(features.dtype, copy=False)
        # the longer factor first: OpenBLAS is faster so
        wide = features.shape[0] > grad_y.shape[0]
        grad_weight = (features @ grad_y.T).T if wide else grad_y @ features.T
        grad_x = weight.astype(features.dtype, copy=False).T @ grad_y if need_input_grad else None
        if bias is None:
            return grad_x, grad_weight
        return grad_x, grad_weight, grad_y.sum(axis=1)

    return y, backward
