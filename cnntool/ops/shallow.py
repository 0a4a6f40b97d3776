"""Convolution with filters shallower than the input, which slide along its depth too.

A window of ``depth`` maps at a time is an ordinary input, so this is :mod:`cnntool.ops.convolution`
once for each place along the depth, with the same filters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.geometry import pair
from cnntool.ops.buffers import as_float
from cnntool.ops.conv_plan import Algorithm, PaddingLike, padding_sides
from cnntool.ops.convolution import conv2d, conv2d_vjp
from cnntool.ops.padding import border_mode, pad, pad_vjp

Size = int | Sequence[int]


def shallow_conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Size = 1,
    padding: PaddingLike = 0,
    dilation: Size = 1,
    padding_mode: str = "zeros",
    *,
    depth_stride: int = 1,
    threads: int = 1,
) -> Array:
    """Maps filtered with kernels that see ``depth`` maps at a time and slide along all of them.

    Every filter gives D = floor((C - depth) / depth_stride) + 1 maps, one for each place along the
    depth. Those of filter 0 come first.

    Args:
        x: Input maps.
        weight: One kernel a filter and map of its depth.
        bias: One number a filter, the same for all its maps.
        stride: Steps down and across, in pixels.
        padding: Pixels on every side, (rows, columns), (top, right, bottom, left), ``same`` or
            ``valid``. There is none along the depth.
        dilation: Distances of the kernel's elements, in pixels.
        padding_mode: What fills the padding, as for :func:`cnntool.ops.conv2d`.
        depth_stride: Step along the maps, >= 1.
        threads: Threads that share strips or filters.

    Shape:
        x (C, H, W, N), weight (O, depth, kh, kw), bias (O,) -> (O·D, H', W', N), H' as for conv2d.
        float32, float64 for float64.

    Raises:
        ShapeError: The filters are deeper than the input, or the padded input is smaller than a
            kernel.
        OptionError: A step below 1, or a padding that does not exist.

    Example:
        >>> import numpy as np
        >>> x = np.array([1.0, 10.0, 100.0]).reshape(3, 1, 1, 1)
        >>> k = np.array([[1.0, 1.0], [0.0, 2.0]]).reshape(2, 2, 1, 1)
        >>> shallow_conv2d(x, k).ravel().tolist()  # 1 + 10, 10 + 100; 2·10, 2·100
        [11.0, 110.0, 20.0, 200.0]
    """
    task = _Task.of(x, weight, bias, stride, padding, dilation, padding_mode, depth_stride)
    padded = pad(task.x, task.sides, task.mode) if any(task.sides) else task.x
    parts = (
        conv2d(
            padded[maps],
            task.weight,
            stride=stride,
            dilation=dilation,
            algorithm=task.algorithm,
            threads=threads,
        )
        for maps in task.windows()
    )
    return task.joined(parts, bias)


def shallow_conv2d_vjp(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Size = 1,
    padding: PaddingLike = 0,
    dilation: Size = 1,
    padding_mode: str = "zeros",
    *,
    depth_stride: int = 1,
    need_input_grad: bool = True,
) -> tuple[Array, Callable[[Array], tuple[Array | None, ...]]]:
    """:func:`shallow_conv2d` and its gradient.

    Args:
        x: As for :func:`shallow_conv2d`, like the others.
        weight: Kernels.
        bias: One number a filter.
        stride: Steps.
        padding: Padding.
        dilation: Distances.
        padding_mode: What fills the padding.
        depth_stride: Step along the maps.
        need_input_grad: Whether the gradient of ``x`` is wanted; the first layer needs none.

    Shape:
        backward: (O·D, H', W', N) -> gradients of x (None if not needed), weight, and bias if
        there is one.

    Example:
        >>> import numpy as np
        >>> x, k = np.array([1.0, 10.0, 100.0]).reshape(3, 1, 1, 1), np.ones((1, 2, 1, 1))
        >>> y, backward = shallow_conv2d_vjp(x, k)
        >>> [g.ravel().tolist() for g in backward(np.ones_like(y))]
        [[1.0, 2.0, 1.0], [11.0, 110.0]]
    """
    task = _Task.of(x, weight, bias, stride, padding, dilation, padding_mode, depth_stride)
    padded, unpad = task.x, None
    if any(task.sides):
        padded, unpad = pad_vjp(task.x, task.sides, task.mode)
    pairs = [
        conv2d_vjp(
            padded[maps],
            task.weight,
            stride=stride,
            dilation=dilation,
            algorithm=task.algorithm,
            need_input_grad=need_input_grad,
        )
        for maps in task.windows()
    ]
    y = task.joined((part for part, _ in pairs), bias)
    backwards = [part_backward for _, part_backward in pairs]
    del pairs  # their outputs stand in y

    def backward(grad_y: Array) -> tuple[Array | None, ...]:
        xp = array_module(padded)
        grads = task.split(grad_y.astype(padded.dtype, copy=False))
        grad_weight = xp.zeros(task.weight.shape, dtype=padded.dtype)
        total = xp.zeros(padded.shape, dtype=padded.dtype) if need_input_grad else None
        for place, (maps, part_backward) in enumerate(zip(task.windows(), backwards, strict=True)):
            grad_maps, grad_kernels = part_backward(xp.ascontiguousarray(grads[:, place]))
            grad_weight += grad_kernels
            if total is not None:
                total[maps] += grad_maps
        grad_x = total if total is None or unpad is None else unpad(total)
        if bias is None:
            return grad_x, grad_weight
        return grad_x, grad_weight, grads.sum(axis=(1, 2, 3, 4))

    return y, backward


@dataclass(frozen=True, eq=False)
class _Task:
    """One such convolution with everything normalised.

    Attributes:
        x: Input, as floats.
        weight: Kernels of the same type.
        sides: Padding at the top, right, bottom and left.
        mode: What fills it.
        step: Along the maps.
    """

    x: Array
    weight: Array
    sides: tuple[int, int, int, int]
    mode: str
    step: int

    @classmethod
    def of(
        cls,
        x: Array,
        weight: Array,
        bias: Array | None,
        stride: Size,
        padding: PaddingLike,
        dilation: Size,
        padding_mode: str,
        step: int,
    ) -> _Task:
        x = as_float(x)
        c, h, w, _ = x.shape
        o, depth, kh, kw = weight.shape
        if step < 1:
            raise OptionError(f"the step along the maps must be at least 1, got {step}")
        if not 1 <= depth <= c:
            raise ShapeError(
                f"filters of depth {depth} do not fit {c} input maps; take weights of shape "
                f"{o}x1x{kh}x{kw} to {o}x{c}x{kh}x{kw}"
            )
        if bias is not None and bias.shape != (o,):
            raise ShapeError(f"a bias of shape {bias.shape} does not fit; it must be {(o,)}")
        sides = padding_sides(
            padding, (h, w), (kh, kw), pair(stride, "stride"), pair(dilation, "dilation")
        )
        return cls(x, weight.astype(x.dtype, copy=False), sides, border_mode(padding_mode), step)

    @property
    def algorithm(self) -> Algorithm:
        """That of the convolutions; what filters single maps would fetch kernels from a device."""
        return "auto" if self.weight.shape[1] > 1 else "im2col"

    @property
    def places(self) -> int:
        """Places along the depth."""
        return int((self.x.shape[0] - self.weight.shape[1]) // self.step + 1)

    def windows(self) -> list[slice]:
        """The maps that the filters see at each place."""
        depth = self.weight.shape[1]
        return [slice(p * self.step, p * self.step + depth) for p in range(self.places)]

    def split(self, y: Array) -> Array:
        """(O·D, H', W', N) as (O, D, H', W', N), a view."""
        return y.reshape(self.weight.shape[0], self.places, *y.shape[1:])

    def joined(self, parts: Iterable[Array], bias: Array | None) -> Array:
        """Results (O, H', W', N) of all places as one, with the bias."""
        results = iter(parts)
        first = next(results)  # there is at least one place
        o, *rest = first.shape
        y = array_module(first).empty((o, self.places, *rest), dtype=first.dtype)
        y[:, 0] = first
        for place, part in enumerate(results, start=1):
            y[:, place] = part
        if bias is not None:
            y += bias.astype(y.dtype, copy=False).reshape(-1, 1, 1, 1, 1)
        return y.reshape(o * self.places, *rest)
