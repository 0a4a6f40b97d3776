"""Convolution of maps as networks mean it: cross-correlation, channels summed, kernels not flipped.

Pictures are the case of one input channel: ``image[None]`` is (1, H, W, channels), and each filter
is a :class:`~cnntool.ops.correlation.Correlation`. With several input channels it is matrix
products over strips of windows (:mod:`cnntool.ops.im2col`), for kernels of three rows the algorithm
of :mod:`cnntool.ops.winograd`, for few filters :mod:`cnntool.ops.tiles`.
:func:`cnntool.ops.conv_plan.choose_algorithm` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cnntool.backend import Array, array_module
from cnntool.ops import depthwise, im2col, memory, tiles
from cnntool.ops.conv_plan import (
    WINOGRAD,
    Algorithm,
    Convolution,
    PaddingLike,
    plan,
    working_type,
)
from cnntool.ops.correlation import Correlation, Frame
from cnntool.ops.correlation_methods import Scratch
from cnntool.ops.epilogue import Epilogue
from cnntool.ops.padding import pad, pad_vjp
from cnntool.ops.sharing import share
from cnntool.ops.winograd import Winograd

SHARED = 10_000_000
"""Products from which on sharing a convolution out to threads pays: it costs 0.1 ms."""


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: PaddingLike = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    *,
    algorithm: Algorithm = "auto",
    threads: int = 1,
) -> Array:
    """Maps filtered with a bank of kernels (cross-correlation, as torch's conv2d).

    Args:
        x: Input maps.
        weight: One kernel an output map and input map of its group.
        bias: One number an output map.
        stride: Steps down and across, in pixels.
        padding: Pixels on every side, (rows, columns), (top, right, bottom, left), ``same`` or
            ``valid``.
        dilation: Distances of the kernel's elements, in pixels.
        groups: Independent groups of maps; C and O are divisible by it.
        padding_mode: What fills the padding: ``zeros reflect replicate circular max`` or any word
            of :data:`cnntool.ops.padding.MODES`.
        algorithm: Force one; all agree to rounding.
        threads: Threads that share strips or filters.

    Shape:
        x (C, H, W, N), weight (O, C/groups, kh, kw), bias (O,) -> (O, H', W', N),
        H' = floor((H + padding - d(kh-1) - 1) / stride) + 1. float32, float64 for float64.

    Raises:
        ShapeError: Channels do not fit the weights, or the padded input is smaller than a kernel.
        OptionError: An algorithm that cannot do this, or a padding that does not exist.

    Example:
        >>> import numpy as np
        >>> x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
        >>> conv2d(x, np.ones((1, 1, 2, 3), np.float32))[0, :, :, 0]
        array([[18., 24.],
               [42., 48.],
               [66., 72.]], dtype=float32)
    """
    task = plan(x, weight, stride, padding, dilation, groups, padding_mode, algorithm)
    return convolve(task, x, weight, bias, threads=threads)


def conv2d_vjp(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: PaddingLike = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    *,
    algorithm: Algorithm = "auto",
    need_input_grad: bool = True,
) -> tuple[Array, Callable[[Array], tuple[Array | None, ...]]]:
    """:func:`conv2d` and its gradient.

    Args:
        x: As for :func:`conv2d`, like the others.
        weight: Kernels.
        bias: One number an output map.
        stride: Steps.
        padding: Padding.
        dilation: Distances.
        groups: Groups.
        padding_mode: What fills the padding.
        algorithm: Force one.
        need_input_grad: Whether the gradient of ``x`` is wanted; the first layer needs none.

    Shape:
        backward: (O, H', W', N) -> gradients of x (None if not needed), weight, and bias if there
        is one.

    Example:
        >>> import numpy as np
        >>> x, k = np.ones((1, 2, 3, 1)), np.ones((1, 1, 1, 2))
        >>> y, backward = conv2d_vjp(x, k)
        >>> [g.ravel().tolist() for g in backward(np.ones_like(y))]
        [[1.0, 2.0, 1.0, 1.0, 2.0, 1.0], [4.0, 4.0]]
    """
    task = plan(x, weight, stride, padding, dilation, groups, padding_mode, algorithm)
    y = convolve(task, x, weight, bias)

    def backward(grad_y: Array) -> tuple[Array | None, ...]:
        return gradients(task, x, weight, bias, grad_y, need_input_grad)

    return y, backward


def convolve(
    task: Convolution,
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    scale: Array | None = None,
    relu: bool = False,
    threads: int = 1,
) -> Array:
    """The convolution of a plan, with scale, bias and ReLU while strips are in the cache."""
    xp, kind = array_module(x), working_type(x)
    y = memory.empty(xp, task.out, kind)
    weight = weight.astype(kind, copy=False)
    if scale is not None and weight.size < y.size:
        weight, scale = weight * scale.astype(kind, copy=False).reshape(-1, 1, 1, 1), None
    if task.products < SHARED:
        threads = 1
    finish = Epilogue.of(scale, bias, relu, kind)
    if task.algorithm == "maps" and depthwise.pays(task.shape, task.weight, task.out, task.groups):
        padded = padded_input(x, task.sides, task, kind)
        depthwise.forward(padded, weight, task.steps, y, threads=threads)
        finish(y)
    elif task.algorithm == "maps":
        _each_map(x, weight, y, task, threads)
        finish(y)
    elif task.algorithm == "tiles":
        windows = task.tiled

        def spread(product: Array, filters: slice, rows: slice, columns: slice) -> None:
            quads = product.reshape(len(tiles.PLACES), task.weight[0], *product.shape[1:])
            for quad, (row, column) in zip(quads, tiles.PLACES, strict=True):
                finish(quad)
                lines = y[:, 2 * rows.start + row : 2 * rows.stop : 2]
                lines = lines[:, :, 2 * columns.start + column : 2 * columns.stop : 2]
                lines[...] = quad[:, : lines.shape[1], : lines.shape[2]]

        padded = padded_input(x, task.tiled_sides, task, kind)
        im2col.forward(padded, tiles.expand(weight, xp), windows, spread)
    elif task.algorithm in WINOGRAD:
        source, sides = _zero_framed(x, task, kind)
        method = _winograd(task, source.shape, task.out, sides, xp, threads)
        method.forward(source, weight, y, finish)
    else:
        padded = padded_input(x, task.sides, task, kind)
        for number in range(task.groups):
            maps, kernels = task.group(number)
            im2col.forward(
                padded[maps], weight[kernels], task.patches, finish.part(kernels).sink,
                target=y[kernels], threads=threads,
            )  # fmt: skip
    return y


def gradients(
    task: Convolution,
    x: Array,
    weight: Array,
    bias: Array | None,
    grad_y: Array,
    need_input_grad: bool,
) -> tuple[Array | None, ...]:
    """Gradients of x (None if not needed), weight, and bias if there is one."""
    kind = working_type(x)
    grad_y = grad_y.astype(kind, copy=False)
    if task.algorithm == "tiles":
        quads = _quads(grad_y, task.tiled, array_module(x))
        grad_x, grad_weight = tile_gradients(task, x, weight, quads, need_input_grad)
    else:
        grad_weight = _weight_gradient(x, grad_y, task, kind)
        grad_x = None
        if need_input_grad:
            grad_x = _input_gradient(x, weight.astype(kind, copy=False), grad_y, task)
    if bias is None:
        return grad_x, grad_weight
    return grad_x, grad_weight, grad_y.sum(axis=(1, 2, 3))


def tile_gradients(
    task: Convolution, x: Array, weight: Array, quads: Array, need_input_grad: bool
) -> tuple[Array | None, Array]:
    """Gradients of x (None if not needed) and weight from those of output tiles.

    Args:
        task: The convolution.
        x: Its input.
        weight: Its kernels.
        quads: Gradients (4·O, tile rows, tile columns, N) of the outputs in tiles; outputs that no
            tile covers have none.
        need_input_grad: Whether the gradient of x is wanted.
    """
    xp, kind = array_module(x), working_type(x)
    windows, sides = task.tiled.of_size(quads.shape[1:3]), task.tiled_sides
    scratch = Scratch(xp, kind)
    padded = padded_input(x, sides, task, kind)
    part = im2col.grad_weight(padded, quads, windows, scratch)
    grad_weight = tiles.fold(part.reshape(-1, task.weight[1], *windows.kernel))
    if not need_input_grad:
        return None, grad_weight
    kernels = tiles.expand(weight.astype(kind, copy=False), xp)
    grad = im2col.grad_input(quads, kernels, padded.shape, windows, scratch)
    return _without_frame(x, grad, sides, task), grad_weight


def padded_input(x: Array, sides: tuple[int, int, int, int], task: Convolution, kind: Any) -> Array:
    """The input with its frame; what tiles read beyond it is zeros that nothing keeps."""
    x = x.astype(kind, copy=False)
    if any(task.sides) and task.mode != "constant":
        x = pad(x, task.sides, task.mode)
        top, right, bottom, left = (wide - own for wide, own in zip(sides, task.sides, strict=True))
        sides = top, right, bottom, left
    return pad(x, sides) if any(sides) else x


def _zero_framed(x: Array, task: Convolution, kind: Any) -> tuple[Array, tuple[int, int, int, int]]:
    """The input and the zeros around it that are left to the algorithm."""
    if task.mode == "constant":
        return x.astype(kind, copy=False), task.sides
    return padded_input(x, task.sides, task, kind), (0, 0, 0, 0)


def _winograd(
    task: Convolution,
    shape: tuple[int, int, int, int],
    out: tuple[int, int, int, int],
    sides: tuple[int, int, int, int],
    xp: Any,
    threads: int = 1,
) -> Winograd:
    square = task.algorithm == "winograd"
    return Winograd(shape, out, sides, task.weight[3], xp, square, threads)


def _weight_gradient(x: Array, grad_y: Array, task: Convolution, kind: Any) -> Array:
    xp = array_module(x)
    if task.algorithm in WINOGRAD:
        source, sides = _zero_framed(x, task, kind)
        method = _winograd(task, source.shape, task.out, sides, xp)
        return method.grad_weight(source, grad_y)
    scratch = Scratch(xp, kind)
    padded = padded_input(x, task.sides, task, kind)
    if task.groups == task.shape[0] > 1:
        return depthwise.grad_weight(padded, grad_y, task.weight, task.steps)
    grad = xp.empty(task.weight, dtype=kind)
    for number in range(task.groups):
        maps, filters = task.group(number)
        part = im2col.grad_weight(padded[maps], grad_y[filters], task.patches, scratch)
        grad[filters] = part.reshape(grad[filters].shape)
    return grad


def _quads(grad_y: Array, windows: im2col.Patches, xp: Any) -> Array:
    """Gradients of outputs as those of tiles: (O, oh, ow, N) -> (4·O, tiles, tiles, N)."""
    o, _, _, n = grad_y.shape
    quads = memory.empty(xp, (len(tiles.PLACES), o, *windows.out, n), grad_y.dtype)
    for quad, (row, column) in zip(quads, tiles.PLACES, strict=True):
        part = grad_y[:, row :: tiles.SIDE, column :: tiles.SIDE]
        quad[:, part.shape[1] :] = 0
        quad[:, :, part.shape[2] :] = 0
        quad[:, : part.shape[1], : part.shape[2]] = part
    return quads.reshape(len(tiles.PLACES) * o, *windows.out, n)


def _input_gradient(x: Array, weight: Array, grad_y: Array, task: Convolution) -> Array:
    xp = array_module(x)
    if task.algorithm in WINOGRAD:
        # a full correlation with the turned kernels, without the rows that padding takes away
        source = x.shape if task.mode == "constant" else _framed_shape(task)
        top, right, bottom, left = task.sides if task.mode == "constant" else (0, 0, 0, 0)
        tall, wide = task.weight[2] - 1, task.weight[3] - 1
        around = tall - top, wide - right, tall - bottom, wide - left
        grad = memory.empty(xp, source, weight.dtype)
        turned = weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
        _winograd(task, grad_y.shape, source, around, xp).forward(grad_y, turned, grad)
        return grad if task.mode == "constant" else _without_frame(x, grad, task.sides, task)
    scratch = Scratch(xp, weight.dtype)
    shape = _framed_shape(task)
    if task.groups == 1:
        grad = im2col.grad_input(grad_y, weight, shape, task.patches, scratch)
        return _without_frame(x, grad, task.sides, task)
    if task.groups == task.shape[0] > 1:
        grad = depthwise.grad_input(grad_y, weight, shape, task.steps)
        return _without_frame(x, grad, task.sides, task)
    grad = memory.empty(xp, shape, weight.dtype)
    for number in range(task.groups):
        maps, filters = task.group(number)
        part = grad[maps].shape
        grad[maps] = im2col.grad_input(
            grad_y[filters], weight[filters], part, task.patches, scratch
        )
    return _without_frame(x, grad, task.sides, task)


def _framed_shape(
    task: Convolution, sides: tuple[int, int, int, int] | None = None
) -> tuple[int, int, int, int]:
    top, right, bottom, left = task.sides if sides is None else sides
    c, h, w, n = task.shape
    return c, h + top + bottom, w + left + right, n


def _without_frame(
    x: Array, grad: Array, sides: tuple[int, int, int, int], task: Convolution
) -> Array:
    """The gradient of x from that of the framed input."""
    if not any(sides):
        return grad
    top, _, _, left = sides
    if task.mode == "constant":
        return grad[:, top : top + x.shape[1], left : left + x.shape[2]]
    own_top, own_right, own_bottom, own_left = task.sides
    tall, wide = x.shape[1] + own_top + own_bottom, x.shape[2] + own_left + own_right
    _, unpad = pad_vjp(x.astype(grad.dtype, copy=False), task.sides, task.mode)
    return unpad(grad[:, :tall, :wide])


def _each_map(x: Array, weight: Array, y: Array, task: Convolution, threads: int) -> None:
    """One input map a filter: pictures, and depthwise convolution."""
    xp = array_module(x)
    kernels = weight[:, 0] if xp.__name__ == "numpy" else xp.asnumpy(weight[:, 0])
    each = y.shape[0] // x.shape[0]
    frame = Frame(task.sides, task.mode)

    def work(outputs: Sequence[int]) -> None:
        for output in outputs:
            source, kernel = x[output // each], kernels[output]
            work = Correlation(kernel, source.shape, x.dtype, frame=frame, steps=task.steps, xp=xp)
            y[output] = work(source)

    share(range(y.shape[0]), work, threads=threads)
