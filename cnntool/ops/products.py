"""Matrix products cut so that OpenBLAS takes its fast way.

For products of up to a million multiplications OpenBLAS multiplies operands where they lie; larger
ones it copies into blocks first. With few rows the copying costs more than it brings: 32x96 times
96x1024 runs at 60 GFLOP/s as one product, at 100 as four of 256 columns (one core with AVX-512).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntool.backend import Array

_IN_PLACE = 1_000_000  # multiplications of a product that is not copied
_NARROW = 64  # columns: fewer are slow whichever way


def _step(rows: int, inner: int, columns: int, xp: Any) -> int:
    """Columns to multiply at a time."""
    step: int = _IN_PLACE // max(rows * inner, 1) // 32 * 32
    return columns if xp is not np or step < _NARROW else min(step, columns)


def multiply(a: Array, b: Array, out: Array, xp: Any) -> None:
    """Fill ``out`` with a @ b.

    Shape:
        a (..., m, k), b (..., k, n) -> out (..., m, n).

    Example:
        >>> out = np.empty((2, 700), np.float32)
        >>> multiply(np.ones((2, 1000), np.float32), np.ones((1000, 700), np.float32), out, np)
        >>> bool((out == 1000).all())
        True
    """
    columns = b.shape[-1]
    step = _step(a.shape[-2], a.shape[-1], columns, xp)
    pieces = columns // max(step, 1)
    whole = pieces * step
    if pieces > 1:
        # ... k (pieces step) -> ... pieces k step: one call, so that threads need not wait for
        # the interpreter after every piece
        xp.matmul(a[..., None, :, :], _pieces(b, pieces, step), out=_pieces(out, pieces, step))
    else:
        whole = 0
    if whole < columns:
        xp.matmul(a, b[..., whole:], out=out[..., whole:])


def _pieces(matrix: Array, pieces: int, step: int) -> Array:
    """View (..., pieces, rows, step) of the first columns of matrices (..., rows, columns)."""
    part = matrix[..., : pieces * step]
    return part.reshape(*matrix.shape[:-1], pieces, step).swapaxes(-2, -3)


def accumulate(
    a: Array, b: Array, total: Array, part: Array, xp: Any, *, first: bool = False
) -> None:
    """Add a @ bᵀ to ``total``, through ``part`` of the same shape.

    Args:
        a: Factors, (..., m, k).
        b: Other factors, (..., n, k).
        total: The sums, (..., m, n).
        part: Memory.
        xp: numpy or cupy.
        first: Whether nothing counts that ``total`` holds.
    """
    length = a.shape[-1]
    step = _step(a.shape[-2], b.shape[-2], length, xp)
    if step < 512:  # sums of short products cost more than the copies
        step = max(length, 1)
    if first and not length:
        total[...] = 0
    for left in range(0, length, step):
        cut = slice(left, left + step)
        fresh = first and left == 0
        xp.matmul(a[..., cut], b[..., cut].swapaxes(-1, -2), out=total if fresh else part)
        if not fresh:
            xp.add(total, part, out=total)
