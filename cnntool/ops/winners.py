"""Which tap of a window holds its maximum: the ground of gradients, positions and unpooling.

All taps compete in row-major order, and the number of the winner is kept, one byte an output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.ops import memory
from cnntool.ops.windows import STRIP_BYTES, Axes, Index, parts

Backward = Callable[[Array], Array]


def least(dtype: Any, largest: bool = True) -> Any:
    """What never wins a maximum (or minimum): -inf (inf), or the end of an integer type."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return -np.inf if largest else np.inf
    if dtype.kind == "b":
        return not largest
    limits = np.iinfo(dtype)
    return limits.min if largest else limits.max


def taps_of(axes: Axes) -> list[tuple[int, Index, Index]]:
    """(number in row-major order, outputs, inputs) of every tap that reads any input."""
    _, rows, columns = axes
    found = []
    for taps in product(*(axis.taps() for axis in axes)):
        (a, *_), (b, *_), (c, *_) = taps
        number = (a * rows.kernel + b) * columns.kernel + c
        found.append((number, tuple(t[1] for t in taps), tuple(t[2] for t in taps)))
    return found


def _first_taps(axes: Axes, xp: Any) -> Array:
    """The first tap of every window that reads no padding in front: (D, oh, ow, 1) integers."""
    first: Array = 0
    for number, axis in enumerate(axes):
        start = xp.arange(axis.out) * axis.stride - axis.padding
        tap = xp.maximum(-(start // axis.dilation), 0)
        first = first * axis.kernel + tap.reshape([-1 if i == number else 1 for i in range(4)])
    return first


def winners(x: Array, axes: Axes, largest: bool) -> tuple[Array, Array]:
    """Extremes and the numbers of the taps that hold them.

    The first of equal ones wins; NaN wins over everything, the last NaN over the others.
    """
    xp = array_module(x)
    shape = (*(axis.out for axis in axes), x.shape[3])
    small = np.min_scalar_type(prod(axis.kernel for axis in axes) - 1)
    y, winner = memory.empty(xp, shape, x.dtype), memory.empty(xp, shape, small)
    floating = x.dtype.kind == "f"
    for windows, outputs, inputs in parts(x, axes):
        best, place = y[outputs], winner[outputs]
        # asking a device whether there is a NaN would wait for it; on a CPU it saves half the work
        _duel(x[inputs], windows, best, place, largest, nan=floating and xp is not np)
        if floating and xp is np and np.isnan(best.max(initial=0)):
            _duel(x[inputs], windows, best, place, largest, nan=True)
    return y, winner


def _duel(x: Array, axes: Axes, best: Array, place: Array, largest: bool, nan: bool) -> None:
    """Let the taps of ``x`` compete in order; write the extremes and the winners' numbers."""
    xp = array_module(x)
    beats, keep = (xp.greater, xp.maximum) if largest else (xp.less, xp.minimum)
    small = place.dtype
    taps = taps_of(axes)
    if taps and taps[0][0] == 0 and _covers(axes, taps[0][1]):
        best[...] = x[taps[0][2]]
        place[...] = 0
        taps = taps[1:]
    else:
        best[...] = least(x.dtype, largest)
        place[...] = _first_taps(axes, xp).astype(small)
    if nan:  # a first tap may be NaN as well
        taps = taps_of(axes)
    for number, outputs, inputs in taps:
        tap, before = x[inputs], best[outputs]
        wins = beats(tap, before)
        if nan:
            xp.logical_or(wins, tap != tap, out=wins)
        marks = wins.view(small) if small.itemsize == 1 else wins.astype(small)
        marks *= small.type(number)
        # numbers grow, so of two winners the larger is the later one
        target = place[outputs]
        xp.maximum(target, marks, out=target)
        keep(before, tap, out=before)


def _covers(axes: Axes, outputs: Index) -> bool:
    return all(axis.covers(cut) for axis, cut in zip(axes, outputs, strict=True))


def winners_backward(shape: Sequence[int], axes: Axes, winner: Array) -> Backward:
    """The gradient of extremes: each goes to the cell that won.

    Args:
        shape: Of the input.
        axes: The windows.
        winner: Numbers of the winning taps.
    """

    def backward(grad_y: Array) -> Array:
        xp = array_module(grad_y)
        grad_x = memory.zeros(xp, shape, grad_y.dtype)
        apart = not any(axis.overlapping for axis in axes)
        for number, outputs, inputs in taps_of(axes):
            mine, target = winner[outputs] == number, grad_x[inputs]
            if apart:
                xp.multiply(grad_y[outputs], mine, out=target)
            else:
                target += grad_y[outputs] * mine
        return grad_x

    return backward


def positions_of(winner: Array, axes: Axes) -> Array:
    """Winning taps as positions r·W + c in the plane, int64."""
    depth, rows, columns = axes
    if not depth.trivial:
        raise OptionError(
            "positions of maxima are kept plane by plane; "
            f"return_indices needs a depth of 1, got {depth.kernel}"
        )
    if not (rows.sees_input() and columns.sees_input()):
        raise ShapeError(
            "some windows see nothing but padding, so no position holds their maximum; "
            "use less dilation or padding"
        )
    xp = array_module(winner)
    w, small = columns.size, winner.dtype.type
    # tap (a, b) of the window lies at a·dilation·W + b·dilation from its first tap, b = t - a·kw
    down = rows.dilation * w - columns.kernel * columns.dilation
    c, oh, ow, n = winner.shape
    row_base = ((xp.arange(oh) * rows.stride - rows.padding) * w)[:, None]
    column_base = memory.zeros(xp, (ow, n), xp.int64)
    column_base += (xp.arange(ow) * columns.stride - columns.padding)[:, None]
    column_base = column_base.reshape(ow * n)
    winner = winner.reshape(c, oh, ow * n)  # long rows
    positions = memory.empty(xp, winner.shape, xp.int64)
    step = max(1, STRIP_BYTES * oh // positions.nbytes) if xp is np else oh
    for first in range(0, oh, step):
        strip = slice(first, first + step)
        tap, place = winner[:, strip], positions[:, strip]
        place[...] = tap // small(columns.kernel)
        place *= down
        place += tap.astype(xp.int64) * columns.dilation
        place += row_base[strip]
        place += column_base
    return positions.reshape(c, oh, ow, n)
