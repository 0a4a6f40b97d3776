"""Max pooling of 2x2 windows as a contest of four arrays, one for each place in a window.

They are slices of the maps, or the planes that output tiles come in (:mod:`cnntool.ops.tiles`). The
upper two compete, then the lower two, then the winners, so three arrays of booleans tell who won:
half the time of the general way (:mod:`cnntool.ops.winners`). Of equals the first in row-major
order wins. A NaN wins, but gradients do not find their way to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from cnntool.backend import Array
from cnntool.ops.correlation_methods import Scratch

Quads = Sequence[Array]
"""The values at the upper left, upper right, lower left and lower right of every window."""


def quads_of(maps: Array) -> tuple[Array, Array, Array, Array]:
    """Views (C, H/2, W/2, N) of maps (C, H, W, N); an odd last row or column is in none.

    Example:
        >>> import numpy as np
        >>> [quad.item() for quad in quads_of(np.arange(6).reshape(1, 2, 3, 1))]
        [0, 1, 3, 4]
    """
    even = maps[:, : maps.shape[1] // 2 * 2, : maps.shape[2] // 2 * 2]
    return even[:, ::2, ::2], even[:, ::2, 1::2], even[:, 1::2, ::2], even[:, 1::2, 1::2]


def largest(quads: Quads, out: Array, wins: Sequence[Array] | None, scratch: Scratch) -> None:
    """Fill ``out`` with the largest of four.

    Args:
        quads: The four, each (C, h, w, N).
        out: Where the maxima go.
        wins: Three boolean arrays of the same shape: whether the right one of the upper two wins,
            the right one of the lower two, and the lower of these winners. None keeps no record.
        scratch: Memory for the winners: in one block they are compared along long runs.
    """
    xp, (a, b, c, d) = scratch.xp, quads
    upper, lower = scratch("upper", a.shape), scratch("lower", a.shape)
    if wins is not None:
        xp.greater(b, a, out=wins[0])
        xp.greater(d, c, out=wins[1])
    xp.maximum(a, b, out=upper)
    xp.maximum(c, d, out=lower)
    if wins is not None:
        xp.greater(lower, upper, out=wins[2])
    xp.maximum(upper, lower, out=out)


def spread(grad: Array, wins: Sequence[Array], quads: Quads, scratch: Scratch) -> None:
    """Fill four arrays with the gradients of maxima: each goes to the one that won."""
    xp, (a, b, c, d) = scratch.xp, quads
    upper, lower = scratch("upper", grad.shape), scratch("lower", grad.shape)
    right = scratch("right", grad.shape)
    xp.multiply(grad, wins[2], out=lower)
    xp.subtract(grad, lower, out=upper)
    for winners, record, left_place, right_place in ((upper, 0, a, b), (lower, 1, c, d)):
        xp.multiply(winners, wins[record], out=right)
        xp.subtract(winners, right, out=left_place)
        right_place[...] = right
