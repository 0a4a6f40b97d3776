"""Convolution, ReLU and max pooling as one operation: what most networks begin with.

Bias and ReLU are applied while a strip of the result is in the cache. With few filters the outputs
come as 2x2 tiles (:mod:`cnntool.ops.tiles`), and a 2x2 max pool takes the largest of four planes
before anything is stored: the full-size result never exists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cnntool.backend import Array, array_module
from cnntool.geometry import pair
from cnntool.ops import im2col, memory, tiles
from cnntool.ops.activations import masked_by
from cnntool.ops.activations import relu as rectified
from cnntool.ops.conv_plan import Algorithm, Convolution, PaddingLike, plan, working_type
from cnntool.ops.convolution import convolve, gradients, padded_input, tile_gradients
from cnntool.ops.pooling import max_pool2d, max_pool2d_vjp

Backward = Callable[[Array], tuple[Array | None, ...]]


def conv2d_relu_pool(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: PaddingLike = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    *,
    scale: Array | None = None,
    relu: bool = True,
    pool: int | Sequence[int] = 1,
    algorithm: Algorithm = "auto",
    threads: int = 1,
) -> Array:
    """``max_pool2d(relu(conv2d(x, …)), pool)``.

    Args:
        x: As for :func:`~cnntool.ops.convolution.conv2d`, like those up to ``padding_mode``.
        weight: Kernels.
        bias: One number an output map.
        stride: Steps.
        padding: Padding.
        dilation: Distances.
        groups: Groups.
        padding_mode: What fills the padding.
        scale: A factor for each output map, before the bias: what batch normalisation comes to in
            prediction.
        relu: Whether there is a ReLU.
        pool: Rows and columns of the pooling windows, which are also its steps; 1 is none.
        algorithm: Force one.
        threads: Threads that share strips or filters.

    Shape:
        That of conv2d, pooled: rows and columns divided by ``pool``, rounded down.

    Raises:
        ShapeError: As conv2d and max_pool2d.
        OptionError: As conv2d.

    Example:
        >>> import numpy as np
        >>> x = np.arange(16.0).reshape(1, 4, 4, 1) - 10
        >>> conv2d_relu_pool(x, np.ones((1, 1, 1, 1)), pool=2)[0, :, :, 0]
        array([[0., 0.],
               [3., 5.]])
    """
    task = plan(x, weight, stride, padding, dilation, groups, padding_mode, algorithm)
    size = pair(pool, "pool")
    if _in_tiles(task, size, relu) and scale is None:
        return _pooled_tiles(task, x, weight, bias)[0]
    y = convolve(task, x, weight, bias, scale=scale, relu=relu, threads=threads)
    return y if size == (1, 1) else max_pool2d(y, size)


def conv2d_relu_pool_vjp(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: PaddingLike = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    *,
    relu: bool = True,
    pool: int | Sequence[int] = 1,
    algorithm: Algorithm = "auto",
    need_input_grad: bool = True,
) -> tuple[Array, Backward]:
    """:func:`conv2d_relu_pool` and its gradient. ``backward`` may overwrite what it is given.

    Shape:
        backward: gradient of y -> gradients of x (None if not needed), weight, and bias if there
        is one.

    Example:
        >>> import numpy as np
        >>> x = np.array([1.0, -2.0, 3.0, 4.0]).reshape(1, 2, 2, 1)
        >>> y, backward = conv2d_relu_pool_vjp(x, np.ones((1, 1, 1, 1)), pool=2)
        >>> [g.ravel().tolist() for g in backward(np.ones_like(y))]
        [[0.0, 0.0, 0.0, 1.0], [4.0]]
    """
    task = plan(x, weight, stride, padding, dilation, groups, padding_mode, algorithm)
    size = pair(pool, "pool")
    if _in_tiles(task, size, relu):
        y, wins = _pooled_tiles(task, x, weight, bias, keep=True)

        def from_tiles(grad_y: Array) -> tuple[Array | None, ...]:
            grad = masked_by(y, grad_y, out=grad_y)
            grad_bias = grad.sum(axis=(1, 2, 3))
            grad_x, grad_weight = tile_gradients(
                task, x, weight, _unpooled(grad, wins), need_input_grad
            )
            return (grad_x, grad_weight) if bias is None else (grad_x, grad_weight, grad_bias)

        return y, from_tiles
    convolved = convolve(task, x, weight, bias, relu=relu)
    pooled, unpool = convolved, None
    if size != (1, 1):
        pooled, unpool = max_pool2d_vjp(convolved, size)

    def backward(grad_y: Array) -> tuple[Array | None, ...]:
        if relu:
            grad_y = masked_by(pooled, grad_y, out=grad_y)
        if unpool is not None:
            grad_y = unpool(grad_y)
        return gradients(task, x, weight, bias, grad_y, need_input_grad)

    return pooled, backward


def _in_tiles(task: Convolution, size: tuple[int, int], relu: bool) -> bool:
    """Whether pooling happens inside output tiles."""
    even = size == (tiles.SIDE, tiles.SIDE) and min(task.out[1:3]) >= tiles.SIDE
    return task.algorithm == "tiles" and even and relu


def _pooled_tiles(
    task: Convolution, x: Array, weight: Array, bias: Array | None, keep: bool = False
) -> tuple[Array, Array | None]:
    """The result, and which output of each tile it is: three arrays of booleans.

    They tell whether the right one of the upper two wins, the right one of the lower two, and the
    lower of these winners. Of equals the first in row-major order wins, as in max_pool2d.
    """
    xp, kind = array_module(x), working_type(x)
    o, rows, columns, n = task.out
    windows = task.tiled.of_size((rows // tiles.SIDE, columns // tiles.SIDE))
    y = memory.empty(xp, (o, *windows.out, n), kind)
    wins = memory.empty(xp, (3, *y.shape), bool) if keep else None
    shift = None if bias is None else bias.astype(kind, copy=False).reshape(-1, 1, 1, 1)

    def store(product: Array, filters: slice, down: slice, across: slice) -> None:
        a, b, c, d = product.reshape(len(tiles.PLACES), o, *product.shape[1:])
        target = y[:, down, across]
        if wins is not None:
            xp.greater(b, a, out=wins[0][:, down, across])
            xp.greater(d, c, out=wins[1][:, down, across])
        xp.maximum(a, b, out=a)
        xp.maximum(c, d, out=c)
        if wins is not None:
            xp.greater(c, a, out=wins[2][:, down, across])
        xp.maximum(a, c, out=target)
        if shift is not None:  # bias and ReLU change nothing about which is the largest
            xp.add(target, shift, out=target)
        rectified(target, out=target)

    padded = padded_input(x, task.sides, task, kind)
    im2col.forward(padded, tiles.expand(weight.astype(kind, copy=False), xp), windows, store)
    return y, wins


def _unpooled(grad: Array, wins: Any) -> Array:
    """Gradients of pooled outputs as those of tiles: (O, h, w, N) -> (4·O, h, w, N)."""
    xp = array_module(grad)
    quads = memory.empty(xp, (len(tiles.PLACES), *grad.shape), grad.dtype)
    a, b, c, d = quads
    xp.multiply(grad, wins[2], out=c)  # the lower winners'
    xp.subtract(grad, c, out=a)
    xp.multiply(a, wins[0], out=b)
    xp.subtract(a, b, out=a)
    xp.multiply(c, wins[1], out=d)
    xp.subtract(c, d, out=c)
    return quads.reshape(-1, *grad.shape[1:])
