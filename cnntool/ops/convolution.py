"""Convolution of maps as networks mean it: cross-correlation, channels summed, kernels not flipped.

Pictures are the case of one input channel: ``image[None]`` is (1, H, W, channels), and each filter
is a :class:`~cnntool.ops.correlation.Correlation`. With several input channels it is matrix
products over strips of windows (:mod:`cnntool.ops.im2col`), and for 3x3 kernels the algorithm of
:mod:`cnntool.ops.winograd`. :func:`choose_algorithm` is the one place that decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.geometry import conv_output_size, four_sides, pair, same_padding
from cnntool.ops import im2col, winograd
from cnntool.ops.correlation import Correlation, Frame, Steps
from cnntool.ops.correlation_methods import Scratch
from cnntool.ops.padding import border_mode, pad, pad_vjp

PaddingLike = str | int | Sequence[int]
Algorithm = Literal["auto", "maps", "im2col", "winograd"]


def padding_sides(
    padding: PaddingLike,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, int, int, int]:
    """Padding as (top, right, bottom, left) from a number, a pair, four sides or a word.

    Example:
        >>> padding_sides("same", (6, 6), (3, 4), (1, 1), (1, 1))
        (1, 2, 1, 1)
    """
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        (top, bottom), (left, right) = (
            same_padding(k, d, n, s)
            for k, d, n, s in zip(kernel, dilation, size, stride, strict=True)
        )
        return top, right, bottom, left
    if isinstance(padding, str):
        raise OptionError(f"unknown padding '{padding}'; use same, valid, N, H,W or T,R,B,L")
    return four_sides(padding)


@dataclass(frozen=True)
class Convolution:
    """One convolution with everything normalised: what the algorithms need to know.

    Attributes:
        shape: (C, H, W, N) of the input.
        weight: (O, C/groups, kh, kw).
        sides: Padding at the top, right, bottom and left.
        mode: What fills it.
        steps: Strides and dilations.
        groups: Independent groups of maps.
        out: (O, H', W', N) of the output.
        algorithm: The one that is used.
    """

    shape: tuple[int, int, int, int]
    weight: tuple[int, int, int, int]
    sides: tuple[int, int, int, int]
    mode: str
    steps: Steps
    groups: int
    out: tuple[int, int, int, int]
    algorithm: Algorithm

    def group(self, number: int) -> tuple[slice, slice]:
        """Input maps and filters of a group."""
        share, each = self.weight[1], self.weight[0] // self.groups
        return (
            slice(number * share, (number + 1) * share),
            slice(number * each, (number + 1) * each),
        )

    @property
    def patches(self) -> im2col.Patches:
        """The windows of one group."""
        _, share, kh, kw = self.weight
        return im2col.Patches(share, (kh, kw), self.out[1:3], self.out[3], self.steps)


def choose_algorithm(
    weight: tuple[int, int, int, int],
    out: tuple[int, int, int, int],
    steps: Steps,
    groups: int,
) -> Algorithm:
    """The fastest algorithm by shapes.

    Winograd's breaks even at 32 channels on both sides; below, its transforms cost more than they
    save.

    Example:
        >>> choose_algorithm((64, 32, 3, 3), (64, 16, 16, 8), Steps(), 1)
        'winograd'
        >>> choose_algorithm((64, 32, 3, 3), (64, 16, 16, 8), Steps((2, 2)), 1)
        'im2col'
    """
    o, share, kh, kw = weight
    if share == 1:
        return "maps"
    plain = steps == Steps() and groups == 1 and (kh, kw) == (3, 3)
    if plain and min(o, share) >= 32 and min(out[1:3]) >= 4:
        return "winograd"
    return "im2col"


def plan(
    x: Array,
    weight: Array,
    stride: int | Sequence[int],
    padding: PaddingLike,
    dilation: int | Sequence[int],
    groups: int,
    padding_mode: str,
    algorithm: Algorithm,
) -> Convolution:
    """Check the arguments of :func:`conv2d` and normalise them.

    Raises:
        ShapeError: Channels do not fit the weights, or the padded input is smaller than a kernel.
        OptionError: An algorithm that cannot do this, or a padding that does not exist.
    """
    c, h, w, n = x.shape
    o, share, kh, kw = weight.shape
    if groups < 1 or c % groups or o % groups or share != c // groups:
        raise ShapeError(
            f"{c} input maps in {groups} group(s) do not fit weights of shape "
            f"{o}x{share}x{kh}x{kw}; each group needs {max(c // max(groups, 1), 1)} input "
            f"maps, and the output maps must be divisible by the groups"
        )
    steps = Steps(pair(stride, "stride"), pair(dilation, "dilation"))
    sides = padding_sides(padding, (h, w), (kh, kw), steps.stride, steps.dilation)
    rows = conv_output_size(h, kh, steps.stride[0], sides[0], sides[2], steps.dilation[0])
    columns = conv_output_size(w, kw, steps.stride[1], sides[3], sides[1], steps.dilation[1])
    out = o, rows, columns, n
    if algorithm == "auto":
        algorithm = choose_algorithm(weight.shape, out, steps, groups)
    if algorithm == "winograd" and ((kh, kw) != (3, 3) or steps != Steps()):
        raise OptionError(
            f"winograd needs a 3x3 kernel, stride 1 and dilation 1; got {kh}x{kw}, stride "
            f"{steps.stride}, dilation {steps.dilation}; use im2col"
        )
    if algorithm == "maps" and share != 1:
        raise OptionError(f"'maps' filters one input map at a time, got {share}; use im2col")
    mode = border_mode(padding_mode)
    return Convolution(x.shape, weight.shape, sides, mode, steps, groups, out, algorithm)


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

    Shape:
        x (C, H, W, N), weight (O, C/groups, kh, kw), bias (O,) -> (O, H', W', N),
        H' = floor((H + padding - d(kh-1) - 1) / stride) + 1. float32, float64 for float64.

    Raises:
        ShapeError: Channels do not fit the weights, or the padded input is smaller than a kernel.
        OptionError: An algorithm that cannot do this, or a padding that does not exist.

    Example:
        >>> x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
        >>> conv2d(x, np.ones((1, 1, 2, 3), np.float32))[0, :, :, 0]
        array([[18., 24.],
               [42., 48.],
               [66., 72.]], dtype=float32)
    """
    task = plan(x, weight, stride, padding, dilation, groups, padding_mode, algorithm)
    xp, kind = array_module(x), _kind(x)
    y = xp.empty(task.out, dtype=kind)
    if task.algorithm == "maps":
        _each_map(x, weight, y, task)
    else:
        _products(_padded(x, task, kind), weight.astype(kind, copy=False), y, task)
    if bias is not None:
        y += bias.astype(kind, copy=False).reshape(-1, 1, 1, 1)
    return y


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
        >>> x, k = np.ones((1, 2, 3, 1)), np.ones((1, 1, 1, 2))
        >>> y, backward = conv2d_vjp(x, k)
        >>> [g.ravel().tolist() for g in backward(np.ones_like(y))]
        [[1.0, 2.0, 1.0, 1.0, 2.0, 1.0], [4.0, 4.0]]
    """
    task = plan(x, weight, stride, padding, dilation, groups, padding_mode, algorithm)
    y = conv2d(
        x, weight, bias, stride, task.sides, dilation, groups, padding_mode,
        algorithm=task.algorithm,
    )  # fmt: skip

    def backward(grad_y: Array) -> tuple[Array | None, ...]:
        kind = _kind(x)
        padded = _padded(x, task, kind)
        grad_weight = _weight_gradient(padded, grad_y, task)
        grad_x = None
        if need_input_grad:
            kernels = weight.astype(kind, copy=False)
            grad_x = _input_gradient(x, padded.shape, kernels, grad_y, task)
        if bias is None:
            return grad_x, grad_weight
        return grad_x, grad_weight, grad_y.sum(axis=(1, 2, 3))

    return y, backward


def _kind(x: Array) -> type[Any]:
    return np.float64 if x.dtype == np.float64 else np.float32


def _padded(x: Array, task: Convolution, kind: Any) -> Array:
    x = x.astype(kind, copy=False)
    return pad(x, task.sides, task.mode) if any(task.sides) else x


def _products(padded: Array, weight: Array, y: Array, task: Convolution) -> None:
    scratch = Scratch(array_module(padded), padded.dtype)
    for number in range(task.groups):
        maps, filters = task.group(number)
        if task.algorithm == "winograd":
            winograd.forward(padded[maps], weight[filters], y[filters], scratch)
        else:
            im2col.forward(padded[maps], weight[filters], y[filters], task.patches, scratch)


def _weight_gradient(padded: Array, grad_y: Array, task: Convolution) -> Array:
    scratch = Scratch(array_module(padded), padded.dtype)
    grad = scratch.xp.empty(task.weight, dtype=padded.dtype)
    for number in range(task.groups):
        maps, filters = task.group(number)
        part = im2col.grad_weight(padded[maps], grad_y[filters], task.patches, scratch)
        grad[filters] = part.reshape(grad[filters].shape)
    return grad


def _input_gradient(
    x: Array, shape: tuple[int, ...], weight: Array, grad_y: Array, task: Convolution
) -> Array:
    """Gradient of x: by Winograd where the forward pass is, else windows added back."""
    xp = array_module(x)
    if task.algorithm == "winograd" and task.mode == "constant" and max(task.sides) <= 2:
        top, right, bottom, left = task.sides
        # a full correlation with the turned kernels, without the rows that padding takes away
        around = pad(grad_y, (2 - top, 2 - right, 2 - bottom, 2 - left))
        grad = xp.empty(x.shape, dtype=weight.dtype)
        scratch = Scratch(xp, weight.dtype)
        for number in range(task.groups):
            maps, filters = task.group(number)
            turned = weight[filters].transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
            winograd.forward(around[filters], turned, grad[maps], scratch)
        return grad
    grad = xp.empty(shape, dtype=weight.dtype)
    scratch = Scratch(xp, weight.dtype)
    for number in range(task.groups):
        maps, filters = task.group(number)
        part = grad[maps].shape
        grad[maps] = im2col.grad_input(
            grad_y[filters], weight[filters], part, task.patches, scratch
        )
    if not any(task.sides):
        return grad
    _, unpad = pad_vjp(x.astype(weight.dtype, copy=False), task.sides, task.mode)
    return unpad(grad)


def _each_map(x: Array, weight: Array, y: Array, task: Convolution) -> None:
    """One input map a filter: pictures, and depthwise convolution."""
    xp = array_module(x)
    kernels = weight if xp is np else xp.asnumpy(weight)
    share = y.shape[0] // x.shape[0]
    frame = Frame(task.sides, task.mode)
    for output, kernel in enumerate(kernels[:, 0]):
        source = x[output // share]
        work = Correlation(kernel, source.shape, x.dtype, frame=frame, steps=task.steps, xp=xp)
        y[output] = work(source)
