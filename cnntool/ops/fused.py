"""Convolution, ReLU and max pooling as one operation: what most networks begin with.

Bias and ReLU are applied while a strip of the result is in the cache. With few filters the outputs
come as 2x2 tiles (:mod:`cnntool.ops.tiles`), and a 2x2 max pool takes the largest of four planes
before anything is stored: the full-size result never exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.geometry import pair
from cnntool.ops import im2col, memory, quads, tiles
from cnntool.ops.activations import masked_by
from cnntool.ops.activations import relu as rectified
from cnntool.ops.conv_plan import Algorithm, Convolution, PaddingLike, plan, working_type
from cnntool.ops.convolution import convolve, gradients, padded_input, tile_gradients
from cnntool.ops.correlation_methods import Scratch
from cnntool.ops.pooling import max_pool2d, max_pool2d_vjp
from cnntool.ops.windows import STRIP_BYTES

Backward = Callable[[Array], tuple[Array | None, ...]]

NO_POOL, QUAD = (1, 1), (2, 2)


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
    y = convolve(task, x, weight, bias, scale=scale, relu=relu and size == NO_POOL, threads=threads)
    y = _pool(y, size)
    return rectified(y, out=y) if relu and size != NO_POOL else y


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
    pooled, unpool = _pool_vjp(convolve(task, x, weight, bias, relu=relu and size == NO_POOL), size)
    if relu and size != NO_POOL:  # it changes nothing about which is the largest
        rectified(pooled, out=pooled)

    def backward(grad_y: Array) -> tuple[Array | None, ...]:
        if relu:
            grad_y = masked_by(pooled, grad_y, out=grad_y)
        grad_bias = None if bias is None else grad_y.sum(axis=(1, 2, 3))
        inner = gradients(task, x, weight, None, unpool(grad_y), need_input_grad)
        return inner if bias is None else (*inner, grad_bias)

    return pooled, backward


def _pool(maps: Array, size: tuple[int, int]) -> Array:
    """Maxima of windows side by side; maps may be overwritten."""
    if size == NO_POOL:
        return maps
    return _pooled_quads(maps, keep=False)[0] if size == QUAD else max_pool2d(maps, size)


def _pool_vjp(maps: Array, size: tuple[int, int]) -> tuple[Array, Callable[[Array], Array]]:
    """:func:`_pool` and its gradient."""
    if size == NO_POOL:
        return maps, lambda grad: grad
    if size != QUAD:
        return max_pool2d_vjp(maps, size)
    y, wins = _pooled_quads(maps, keep=True)
    return y, lambda grad: _spread_quads(grad, wins, maps.shape)


def _in_tiles(task: Convolution, size: tuple[int, int], relu: bool) -> bool:
    """Whether pooling happens inside output tiles."""
    even = size == QUAD and min(task.out[1:3]) >= tiles.SIDE
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

    scratch = Scratch(xp, kind)

    def store(product: Array, filters: slice, down: slice, across: slice) -> None:
        four = product.reshape(len(tiles.PLACES), o, *product.shape[1:])
        target = y[:, down, across]
        record = None if wins is None else [win[:, down, across] for win in wins]
        quads.largest(four, target, record, scratch)
        if shift is not None:  # bias and ReLU change nothing about which is the largest
            xp.add(target, shift, out=target)
        rectified(target, out=target)

    padded = padded_input(x, task.sides, task, kind)
    im2col.forward(padded, tiles.expand(weight.astype(kind, copy=False), xp), windows, store)
    return y, wins


def _unpooled(grad: Array, wins: Any) -> Array:
    """Gradients of pooled outputs as those of tiles: (O, h, w, N) -> (4·O, h, w, N)."""
    xp = array_module(grad)
    four = memory.empty(xp, (len(tiles.PLACES), *grad.shape), grad.dtype)
    quads.spread(grad, wins, four, Scratch(xp, grad.dtype))
    return four.reshape(-1, *grad.shape[1:])


def _pooled_quads(maps: Array, keep: bool) -> tuple[Array, Array | None]:
    """Maxima of the 2x2 windows of maps, and who won."""
    xp = array_module(maps)
    c, h, w, n = maps.shape
    y = memory.empty(xp, (c, h // 2, w // 2, n), maps.dtype)
    wins = memory.empty(xp, (3, *y.shape), bool) if keep else None
    scratch = Scratch(xp, maps.dtype)
    for part in _in_cache(maps):
        record = None if wins is None else wins[:, part]
        quads.largest(quads.quads_of(maps[part]), y[part], record, scratch)
    return y, wins


def _spread_quads(grad: Array, wins: Array, shape: tuple[int, ...]) -> Array:
    """Gradients of maps (C, H, W, N) from those of their 2x2 maxima."""
    xp = array_module(grad)
    maps = memory.empty(xp, shape, grad.dtype)
    maps[:, grad.shape[1] * 2 :] = 0
    maps[:, :, grad.shape[2] * 2 :] = 0
    scratch = Scratch(xp, maps.dtype)
    for part in _in_cache(maps):
        quads.spread(grad[part], wins[:, part], quads.quads_of(maps[part]), scratch)
    return maps


def _in_cache(maps: Array) -> Iterator[slice]:
    """Maps that are worked on at a time."""
    if array_module(maps) is not np:
        yield slice(0, maps.shape[0])
        return
    step = max(1, STRIP_BYTES * maps.shape[0] // max(maps.nbytes, 1))
    for first in range(0, maps.shape[0], step):
        yield slice(first, first + step)
