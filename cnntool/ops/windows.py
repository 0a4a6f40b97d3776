"""Windows that slide along the axes of an array, as pairs of slices.

A window with K taps along an axis is K pairs (outputs, inputs): tap a of the outputs ``outputs``
reads the inputs ``inputs``. Padding is never stored: a tap that would read it has shorter slices.
Folding strided slices is the fastest form on a CPU (long runs, no copies of windows) and on a GPU
(coalesced reads, no index arrays).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError
from cnntool.geometry import extent, pair, pool_output_size
from cnntool.ops import memory

Fold = Callable[..., Array]
"""A ufunc of two arrays with ``out=``: maximum, minimum, add."""

Index = tuple[slice, ...]

STRIP_BYTES = 1 << 20
"""Input that is folded at a time on a CPU: about the second-level cache of a core."""


@dataclass(frozen=True, slots=True)
class WindowAxis:
    """How a window slides along one axis.

    Attributes:
        size: Length of the input.
        kernel: Taps.
        stride: Step from one output to the next.
        padding: Positions in front of the input that windows may reach.
        dilation: Step from one tap to the next.
        out: Length of the output.
    """

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    out: int

    @property
    def trivial(self) -> bool:
        """Whether every output is the input at the same place."""
        return self.kernel == 1 and self.stride == 1 and self.padding == 0 and self.out == self.size

    @property
    def overlapping(self) -> bool:
        """Whether two windows may read the same input."""
        return self.stride < extent(self.kernel, self.dilation)

    def tap(self, number: int) -> tuple[slice, slice] | None:
        """Slices (outputs, inputs) of one tap; None when it reads padding only."""
        offset = number * self.dilation - self.padding
        first = max(0, -(offset // self.stride))  # ceil(-offset / stride)
        last = min(self.out - 1, (self.size - 1 - offset) // self.stride)
        if last < first:
            return None
        begin, end = first * self.stride + offset, last * self.stride + offset
        return slice(first, last + 1), slice(begin, end + 1, self.stride)

    def taps(self) -> list[tuple[int, slice, slice]]:
        """(number, outputs, inputs) of every tap that reads any input, in order."""
        found = ((number, self.tap(number)) for number in range(self.kernel))
        return [(number, *slices) for number, slices in found if slices is not None]

    def covers(self, outputs: slice) -> bool:
        """Whether these are all outputs."""
        return outputs == slice(0, self.out)

    def count(self, output: int, include_pad: bool = False) -> int:
        """Taps of one output that lie on the input, or on input and padding.

        The overhang of ``ceil_mode`` beyond the padding is never counted.
        """
        start = output * self.stride - self.padding
        limit = self.size + (self.padding if include_pad else 0)
        high = min(self.kernel, -((start - limit) // self.dilation))
        low = 0 if include_pad else max(0, -(start // self.dilation))
        return max(0, high - low)

    def counts(self, xp: Any, include_pad: bool = False) -> Array | int:
        """:meth:`count` of all outputs: one int if all are equal, else integers (out,)."""
        whole = self.count(self.out - 1, include_pad) == self.kernel
        if whole and (include_pad or self.count(0) == self.kernel):
            return self.kernel
        start = xp.arange(self.out) * self.stride - self.padding
        limit = self.size + (self.padding if include_pad else 0)
        high = xp.minimum(-((start - limit) // self.dilation), self.kernel)
        low = 0 if include_pad else xp.maximum(-(start // self.dilation), 0)
        return xp.maximum(high - low, 0)

    def part(self, first: int, last: int) -> tuple[WindowAxis, slice]:
        """The windows of outputs ``first`` to ``last`` (not included), and the inputs they read.

        The padding of such a part may be negative or large: it tells where its windows begin.
        """
        start = first * self.stride - self.padding
        end = (last - 1) * self.stride - self.padding + extent(self.kernel, self.dilation)
        low = min(max(start, 0), self.size)
        high = max(min(end, self.size), low)
        axis = WindowAxis(
            high - low, self.kernel, self.stride, low - start, self.dilation, last - first
        )
        return axis, slice(low, high)

    def sees_input(self) -> bool:
        """Whether every window reads at least one input: false only for large dilations."""
        return all(self.count(output) > 0 for output in range(self.out))


Axes = tuple[WindowAxis, WindowAxis, WindowAxis]
"""Windows along channels, rows and columns."""


def window_axes(
    shape: Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    depth: int = 1,
    depth_stride: int | None = None,
) -> Axes:
    """Channel, row and column axes of pooling windows, checked.

    Args:
        shape: (C, H, W, ...) of the input.
        kernel_size: Rows and columns of a window.
        stride: Steps down and right; None means the window itself.
        padding: Rows above and below, columns left and right; at most half the window.
        dilation: Distance between taps.
        ceil_mode: Whether windows may run off the far edge.
        depth: Channels that a window spans.
        depth_stride: Step along the channels; None means ``depth``.

    Raises:
        OptionError: A number that makes no window.
        ShapeError: The window does not fit.

    Example:
        >>> [axis.out for axis in window_axes((3, 6, 7, 1), (2, 3), None)]
        [3, 3, 2]
    """
    kernels = pair(kernel_size, "kernel_size")
    strides = kernels if stride is None else pair(stride, "stride")
    paddings, dilations = pair(padding, "padding"), pair(dilation, "dilation")
    step = depth if depth_stride is None else depth_stride
    names = ("the window", "the stride", "the dilation", "the depth", "the depth's stride")
    groups = (kernels, strides, dilations, (depth,), (step,))
    for name, values in zip(names, groups, strict=True):
        if min(values) < 1:
            raise OptionError(f"{name} must be at least 1, got {','.join(map(str, values))}")
    axes = [WindowAxis(shape[0], depth, step, 0, 1, _out(shape[0], depth, step, 0, 1, ceil_mode))]
    for i in range(2):
        k, s, p, d = kernels[i], strides[i], paddings[i], dilations[i]
        if not 0 <= p <= extent(k, d) // 2:
            raise OptionError(
                f"padding must be between 0 and half the window; got {p} for a window of "
                f"{extent(k, d)}, use at most {extent(k, d) // 2}"
            )
        size = shape[i + 1]
        axes.append(WindowAxis(size, k, s, p, d, _out(size, k, s, p, d, ceil_mode)))
    return axes[0], axes[1], axes[2]


def _out(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    return pool_output_size(size, kernel, stride, padding, dilation, ceil_mode)


def parts(x: Array, axes: Axes) -> list[tuple[Axes, Index, Index]]:
    """The work in pieces (windows, outputs, inputs) that fit the cache; one piece on a GPU.

    Pieces are strips of rows. A few maps in the last axis (a colour picture) are taken singly
    where windows step along the columns, because short inner loops cost more than the arithmetic.
    """
    depth, rows, columns = axes
    every = slice(None)
    if array_module(x) is not np or x.size == 0:
        return [(axes, (every,) * 4, (every,) * 4)]
    n = x.shape[3]
    strip = max(1, STRIP_BYTES * x.shape[1] // (x.nbytes * rows.stride))
    maps = [slice(i, i + 1) for i in range(n)] if columns.stride > 1 and n < 8 else [every]
    pieces: list[tuple[Axes, Index, Index]] = []
    for first in range(0, rows.out, strip):
        last = min(first + strip, rows.out)
        part, inputs = rows.part(first, last)
        for one in maps:
            outputs = (every, slice(first, last), every, one)
            pieces.append(((depth, part, columns), outputs, (every, inputs, every, one)))
    return pieces


def _along(number: int, cut: slice) -> tuple[slice, ...]:
    """An index that cuts one axis and keeps those before it."""
    return (*(slice(None),) * number, cut)


def fold_axis(x: Array, number: int, axis: WindowAxis, fold: Fold, empty: float) -> Array:
    """Every window along one axis folded into one number.

    Args:
        x: Input; not modified.
        number: Which axis of x.
        axis: The windows.
        fold: Joins two arrays, with ``out=``.
        empty: What padding counts as: the neutral element of ``fold`` in x's type.

    Shape:
        Length ``axis.size`` becomes ``axis.out`` along that axis; dtype kept.
    """
    if axis.trivial:
        return x
    xp = array_module(x)
    taps = axis.taps()
    full = [inputs for _, outputs, inputs in taps if axis.covers(outputs)]
    if len(full) >= 2:
        y = fold(x[_along(number, full[0])], x[_along(number, full[1])])
    elif full:
        y = x[_along(number, full[0])].copy()
    else:
        shape = list(x.shape)
        shape[number] = axis.out
        y = memory.full(xp, shape, empty, x.dtype)
    done = full[:2]
    for _, outputs, inputs in taps:
        if inputs in done:
            continue
        part = y[_along(number, outputs)]
        fold(part, x[_along(number, inputs)], out=part)
    return y


def spread_axis(grad: Array, number: int, axis: WindowAxis) -> Array:
    """Transpose of summing windows: every output added to all inputs that it came from.

    Shape:
        Length ``axis.out`` becomes ``axis.size`` along that axis.
    """
    if axis.trivial:
        return grad
    xp = array_module(grad)
    shape = list(grad.shape)
    shape[number] = axis.size
    spread = memory.zeros(xp, shape, grad.dtype)
    for _, outputs, inputs in axis.taps():
        part = spread[_along(number, inputs)]
        xp.add(part, grad[_along(number, outputs)], out=part)
    return spread
