"""Transposed convolution: every input spreads its kernel over the output.

It is the gradient of a convolution with respect to its input, and that convolution is its own
gradient. So both are the strips of :mod:`cnntool.ops.im2col`, with the roles of input and output
exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.geometry import deconv_output_size, four_sides, pair
from cnntool.ops import im2col, memory
from cnntool.ops.buffers import as_float
from cnntool.ops.correlation_methods import Scratch, Steps
from cnntool.ops.padding import pad

Size = int | Sequence[int]


def _output_paddings(output_padding: Size, steps: Steps) -> tuple[int, int]:
    """Rows and columns to add; more than a step would be rows that no choice of size explains."""
    more = pair(output_padding, "output_padding")
    for added, stride, dilation in zip(more, steps.stride, steps.dilation, strict=True):
        if not 0 <= added < max(stride, dilation):
            raise OptionError(
                "output_padding must be smaller than the stride or the dilation and not negative; "
                f"got {added} for stride {stride} and dilation {dilation}"
            )
    return more


def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Array:
    """Maps enlarged by kernels: each input adds its multiple of the kernel at its place.

    Args:
        x: Input maps.
        weight: One kernel an input map and output map of its group.
        bias: One number an output map.
        stride: Distances of neighbouring inputs in the output, in pixels.
        padding: Pixels cut off on every side, (rows, columns), or (top, right, bottom, left).
        output_padding: Rows and columns added at the bottom and right, where no kernel may reach;
            below stride or dilation.
        groups: Independent groups of maps; C and O are divisible by it.
        dilation: Distances of the kernel's elements, in pixels.

    Shape:
        x (C, H, W, N), weight (C, O/groups, kh, kw), bias (O,) -> (O, H', W', N),
        H' = (H - 1)·stride - padding + dilation·(kh - 1) + output_padding + 1. float64 stays,
        smaller types become float32.

    Raises:
        ShapeError: Channels do not fit the weights, or nothing is left of the output.
        OptionError: ``output_padding`` out of range.

    References:
        Dumoulin, Visin 2016, A guide to convolution arithmetic for deep learning, section 4.

    Example:
        >>> import numpy as np
        >>> x = np.array([1.0, 10.0]).reshape(1, 1, 2, 1)
        >>> k = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)
        >>> conv_transpose2d(x, k, stride=2).ravel().tolist()
        [1.0, 2.0, 13.0, 20.0, 30.0]
    """
    return _Task.of(x, weight, stride, padding, output_padding, groups, dilation).forward(bias)


def conv_transpose2d_vjp(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
    *,
    need_input_grad: bool = True,
) -> tuple[Array, Callable[[Array], tuple[Array | None, ...]]]:
    """:func:`conv_transpose2d` and its gradient.

    Args:
        x: As for :func:`conv_transpose2d`, like the others.
        weight: Kernels.
        bias: One number an output map.
        stride: Distances of inputs.
        padding: What is cut off.
        output_padding: What is added.
        groups: Groups.
        dilation: Distances of the kernel's elements.
        need_input_grad: Whether the gradient of ``x`` is wanted; the first layer needs none.

    Shape:
        backward: (O, H', W', N) -> gradients of x (None if not needed), weight, and bias if there
        is one.

    Example:
        >>> import numpy as np
        >>> x, k = np.array([[[[1.0]], [[2.0]]]]), np.ones((1, 1, 2, 1))
        >>> y, backward = conv_transpose2d_vjp(x, k, stride=2)
        >>> [g.ravel().tolist() for g in backward(y)]
        [[2.0, 4.0], [5.0, 5.0]]
    """
    task = _Task.of(x, weight, stride, padding, output_padding, groups, dilation)

    def backward(grad_y: Array) -> tuple[Array | None, ...]:
        grads = task.backward(grad_y.astype(task.x.dtype, copy=False), need_input_grad)
        return grads if bias is None else (*grads, grad_y.sum(axis=(1, 2, 3)))

    return task.forward(bias), backward


@dataclass(frozen=True, eq=False)
class _Task:
    """One transposed convolution with everything normalised."""

    x: Array
    weight: Array
    sides: tuple[int, int, int, int]
    steps: Steps
    out: tuple[int, int]
    groups: int

    @classmethod
    def of(
        cls,
        x: Array,
        weight: Array,
        stride: Size,
        padding: Size,
        output_padding: Size,
        groups: int,
        dilation: Size,
    ) -> _Task:
        x = as_float(x)
        c, h, w, _ = x.shape
        inputs, share, kh, kw = weight.shape
        if inputs != c or groups < 1 or c % groups:
            raise ShapeError(
                f"{c} input maps in {groups} group(s) do not fit weights of shape "
                f"{inputs}x{share}x{kh}x{kw}; the first size must be the number of input maps, a "
                "multiple of the groups"
            )
        steps = Steps(pair(stride, "stride"), pair(dilation, "dilation"))
        top, right, bottom, left = sides = four_sides(padding)
        more = _output_paddings(output_padding, steps)
        (sy, sx), (dy, dx) = steps.stride, steps.dilation
        out = (
            deconv_output_size(h, kh, sy, top, bottom, dy, more[0]),
            deconv_output_size(w, kw, sx, left, right, dx, more[1]),
        )
        return cls(x, weight.astype(x.dtype, copy=False), sides, steps, out, groups)

    @property
    def patches(self) -> im2col.Patches:
        """Windows of the output, one an input."""
        _, h, w, n = self.x.shape
        kernel = self.weight.shape[2], self.weight.shape[3]
        return im2col.Patches(self.weight.shape[1], kernel, (h, w), n, self.steps)

    def group(self, number: int) -> tuple[slice, slice]:
        """Input maps and output maps of a group."""
        each, share = self.x.shape[0] // self.groups, self.weight.shape[1]
        return (
            slice(number * each, (number + 1) * each),
            slice(number * share, (number + 1) * share),
        )

    def forward(self, bias: Array | None) -> Array:
        xp, n = array_module(self.x), self.x.shape[3]
        top, right, bottom, left = self.sides
        (rows, columns), share = self.out, self.weight.shape[1]
        y = memory.empty(xp, (share * self.groups, rows, columns, n), self.x.dtype)
        scratch = Scratch(xp, self.x.dtype)
        whole = share, top + rows + bottom, left + columns + right, n
        for number in range(self.groups):
            maps, filters = self.group(number)
            spread = im2col.grad_input(
                self.x[maps], self.weight[maps], whole, self.patches, scratch
            )
            y[filters] = spread[:, top : top + rows, left : left + columns]
        if bias is not None:
            y += bias.astype(y.dtype, copy=False).reshape(-1, 1, 1, 1)
        return y

    def backward(self, grad_y: Array, need_input_grad: bool) -> tuple[Array | None, Array]:
        xp = array_module(self.x)
        around = pad(grad_y, self.sides) if any(self.sides) else grad_y
        scratch = Scratch(xp, self.x.dtype)
        grad_x = memory.empty(xp, self.x.shape, self.x.dtype) if need_input_grad else None
        grad_weight = memory.empty(xp, self.weight.shape, self.x.dtype)
        for number in range(self.groups):
            maps, filters = self.group(number)
            if grad_x is not None:
                im2col.forward(
                    around[filters], self.weight[maps], self.patches, target=grad_x[maps]
                )
            part = im2col.grad_weight(around[filters], self.x[maps], self.patches, scratch)
            grad_weight[maps] = part.reshape(grad_weight[maps].shape)
        return grad_x, grad_weight
