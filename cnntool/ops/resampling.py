"""Resize maps: nearest neighbour and bilinear, by torch's rules.

Positions are ratios of whole numbers and stay exact: they are computed in integers, where the map
lives, and only the weights become floats. Rows are resampled first, then columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from cnntool.backend import Array, array_module
from cnntool.errors import NameNotFound, OptionError, ShapeError
from cnntool.geometry import pair
from cnntool.ops import memory
from cnntool.ops.pooling import float_type

Mode = Literal["nearest", "bilinear"]
MODES: tuple[Mode, ...] = ("nearest", "bilinear")

Scale = float | Sequence[float]


@dataclass(frozen=True, slots=True)
class _Axis:
    """How one axis is resampled: output i lies at (a·i + b) / d of the input's positions.

    ``places`` outputs apart, two outputs never read the same input.
    """

    size: int
    out: int
    a: int
    b: int
    d: int

    @property
    def trivial(self) -> bool:
        return self.size == self.out and self.a == self.d and self.b == 0

    @property
    def places(self) -> int:
        return -(-self.d // self.a) if self.a else self.out

    def before(self, xp: Any) -> Array:
        """The input at or before every output: (out,) integers from -1 on."""
        return (xp.arange(self.out) * self.a + self.b) // self.d

    def share(self, xp: Any, before: Array, dtype: Any) -> Array:
        """The share of the input behind every output, 0 to 1; ready to broadcast."""
        beyond = xp.arange(self.out) * self.a + self.b - before * self.d
        return beyond.astype(dtype) / self.d

    def clamp(self, xp: Any, places: Array) -> Array:
        """Positions outside the map moved to its edge."""
        return xp.minimum(xp.maximum(places, 0), self.size - 1)


def _sizes(
    x: Array, size: int | Sequence[int] | None, scale_factor: Scale | None
) -> list[tuple[int, int, Fraction]]:
    """(input length, output length, inputs per output) of rows and columns."""
    if (size is None) == (scale_factor is None):
        raise OptionError("interpolate takes either size or scale_factor")
    lengths = x.shape[1:3]
    if min(lengths) < 1:
        raise ShapeError(f"a map of {lengths[0]} x {lengths[1]} cannot be resized")
    if size is not None:
        outs: tuple[int, ...] = pair(size, "size")
        steps = [Fraction(n, max(out, 1)) for n, out in zip(lengths, outs, strict=True)]
    else:
        scales = (
            (scale_factor, scale_factor)
            if isinstance(scale_factor, (int, float))
            else tuple(scale_factor or ())
        )
        if len(scales) != 2 or not all(0 < s < float("inf") for s in scales):
            raise OptionError(f"scale_factor takes one or two numbers above 0, got {scale_factor}")
        exact = [Fraction(s).limit_denominator(1 << 20) for s in scales]
        outs = tuple(int(n * s) for n, s in zip(lengths, scales, strict=True))
        steps = [1 / s if s else Fraction(1) for s in exact]
    if min(outs) < 1:
        raise OptionError(f"a map cannot be resized to {outs[0]} x {outs[1]}; use at least 1 x 1")
    return list(zip(lengths, outs, steps, strict=True))


def _axes(
    x: Array,
    size: int | Sequence[int] | None,
    scale_factor: Scale | None,
    mode: str,
    align_corners: bool,
) -> tuple[_Axis, _Axis]:
    if mode not in MODES:
        raise NameNotFound.among("interpolation mode", mode, MODES)
    if align_corners and mode == "nearest":
        raise OptionError("align_corners needs mode 'bilinear'; 'nearest' has no corners to align")
    axes = []
    for n, out, step in _sizes(x, size, scale_factor):
        p, q = step.numerator, step.denominator
        if mode == "nearest":
            axes.append(_Axis(n, out, p, 0, q))
        elif align_corners:
            axes.append(_Axis(n, out, n - 1 if out > 1 else 0, 0, max(out - 1, 1)))
        else:  # (i + 1/2)·step - 1/2
            axes.append(_Axis(n, out, 2 * p, p - q, 2 * q))
    return axes[0], axes[1]


def interpolate(
    x: Array,
    size: int | Sequence[int] | None = None,
    scale_factor: Scale | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
) -> Array:
    """Maps of another size.

    Args:
        x: Maps.
        size: Rows and columns of the result, >= 1; or
        scale_factor: how many times as many rows and columns, > 0 (rounded down). Positions then
            follow from the factor, not from the rounded size, as in torch.
        mode: 'nearest' copies the pixel at floor(i·step); 'bilinear' mixes the nearest two of each
            direction, without smoothing when it shrinks.
        align_corners: For bilinear: corner pixels keep their place, else the picture's outer edge
            does.

    Shape:
        (C, H, W, N) -> (C, H', W', N). 'nearest' keeps the dtype; 'bilinear' makes float32 of
        smaller types.

    Raises:
        OptionError: Not one of size and scale_factor, or a size below 1.
        NameNotFound: Unknown mode.
        ShapeError: A map without pixels.

    Example:
        >>> import numpy as np
        >>> x = np.array([10.0, 20.0]).reshape(1, 1, 2, 1)
        >>> interpolate(x, (1, 4), mode="bilinear").ravel().tolist()
        [10.0, 12.5, 17.5, 20.0]
        >>> interpolate(x, (1, 4)).ravel().tolist()
        [10.0, 10.0, 20.0, 20.0]
    """
    y = x
    smooth = mode == "bilinear"
    for number, axis in enumerate(_axes(x, size, scale_factor, mode, align_corners), start=1):
        if axis.trivial:
            continue
        y = _mix(y, number, axis) if smooth else _copy_nearest(y, number, axis)
    dtype = float_type(x) if smooth else x.dtype
    return y.astype(dtype) if y is x else y.astype(dtype, copy=False)


def _copy_nearest(x: Array, number: int, axis: _Axis) -> Array:
    xp = array_module(x)
    if axis.d % axis.a == 0 and axis.b == 0 and axis.out == axis.size * (axis.d // axis.a):
        # a whole number of copies of each pixel: no index array
        times = axis.d // axis.a
        shape = list(x.shape)
        shape.insert(number + 1, times)
        copies = xp.broadcast_to(xp.expand_dims(x, number + 1), shape)
        shape[number : number + 2] = [axis.out]
        return copies.reshape(shape)
    return xp.take(x, axis.clamp(xp, axis.before(xp)), axis=number)


def _line(number: int) -> list[int]:
    """Shape of a vector that lies along one of four axes."""
    return [-1 if i == number else 1 for i in range(4)]


def _mix(x: Array, number: int, axis: _Axis) -> Array:
    xp = array_module(x)
    dtype = float_type(x)
    before = axis.before(xp)
    share = axis.share(xp, before, dtype).reshape(_line(number))
    y = xp.take(x, axis.clamp(xp, before), axis=number).astype(dtype, copy=False)
    step = xp.take(x, axis.clamp(xp, before + 1), axis=number).astype(dtype, copy=False)
    step -= y
    step *= share
    y += step
    return y


def interpolate_vjp(
    x: Array,
    size: int | Sequence[int] | None = None,
    scale_factor: Scale | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
) -> tuple[Array, Callable[[Array], Array]]:
    """:func:`interpolate` and its gradient: every pixel gets the shares of what it went into.

    Example:
        >>> import numpy as np
        >>> y, backward = interpolate_vjp(np.zeros((1, 1, 2, 1)), scale_factor=(1, 3))
        >>> backward(np.ones_like(y)).ravel().tolist()
        [3.0, 3.0]
    """
    axes = _axes(x, size, scale_factor, mode, align_corners)
    y = interpolate(x, size, scale_factor, mode, align_corners)

    def backward(grad_y: Array) -> Array:
        grad = grad_y
        for number in (2, 1):
            axis = axes[number - 1]
            if not axis.trivial:
                grad = _spread(grad, number, axis, smooth=mode == "bilinear")
        return grad.copy() if grad is grad_y else grad

    return y, backward


def _spread(grad: Array, number: int, axis: _Axis, smooth: bool) -> Array:
    """Transpose of the resampling along one axis."""
    xp = array_module(grad)
    shape = list(grad.shape)
    shape[number] = axis.size + 2  # one place beyond each edge, folded in at the end
    spread = memory.zeros(xp, shape, grad.dtype)
    head = (slice(None),) * number

    def give(source: Array, places: Array) -> None:
        # of outputs this far apart no two share an input, so plain additions are safe
        for first in range(min(axis.places, axis.out)):
            target = places[first :: axis.places]
            spread[(*head, target)] += source[(*head, slice(first, None, axis.places))]

    before = axis.before(xp)
    if smooth:
        behind = grad * axis.share(xp, before, grad.dtype).reshape(_line(number))
        give(grad - behind, before + 1)
        give(behind, before + 2)
    else:
        give(grad, before + 1)
    inside = spread[(*head, slice(1, -1))]
    inside[(*head, 0)] += spread[(*head, 0)]
    inside[(*head, -1)] += spread[(*head, -1)]
    return inside.copy()
