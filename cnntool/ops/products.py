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
    if step >= columns:
        xp.matmul(a, b, out=out)
        return
    for left in range(0, columns, step):
        part = slice(left, left + step)
        xp.matmul(a, b[..., part], out=out[..., part])


def accumulate(a: Array, b: Array, total: Array, part: Array, xp: Any) -> None:
    """Add a @ bᵀ to ``total``, through ``part`` of the same shape.

    Shape:
        a (..., m, k), b (..., n, k) -> total (..., m, n).
    """
    length = a.shape[-1]
    step = _step(a.shape[-2], b.shape[-2], length, xp)
    if step < 512:  # sums of short products cost more than the copies
        step = max(length, 1)
    for left in range(0, length, step):
        cut = slice(left, left + step)
        xp.matmul(a[..., cut], b[..., cut].swapaxes(-1, -2), out=part)
        xp.add(total, part, out=total)
