"""Kernels of rank 1: a column and a row whose outer product they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-12
"""Difference, as a share of the largest weight, that is rounding."""

EXACT = 2.0**53
"""Whole numbers up to here are exact as floats."""

Vectors = tuple[NDArray[Any], NDArray[Any]]


def rank_one_factors(kernel: NDArray[np.float64]) -> Vectors | None:
    """Column (height,) and row (width,), or None for kernels of another rank.

    A matrix has rank 1 where the column and the row through its largest weight explain all others.
    With this pivot the difference is at most twice the second singular value, so the test is as
    sharp as one by SVD. Whole matrices get whole factors, so that integer arithmetic stays exact.

    Example:
        >>> column, row = rank_one_factors(np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]))
        >>> column.tolist(), row.tolist()
        ([1.0, 2.0, 1.0], [-1.0, 0.0, 1.0])
    """
    kernel = np.asarray(kernel, np.float64)
    if np.array_equal(kernel, np.rint(kernel)) and np.abs(kernel).max(initial=0) < EXACT:
        whole = whole_factors(kernel.astype(np.int64))
        return None if whole is None else (whole[0].astype(float), whole[1].astype(float))
    y, x = divmod(int(np.argmax(np.abs(kernel))), kernel.shape[1])
    peak = kernel[y, x]
    # dividing the row, not the column, keeps the column's coefficients as they are written
    column, row = kernel[:, x].copy(), kernel[y] / peak
    rest = np.abs(np.outer(column, row) - kernel).max()
    return (column, row) if rest <= TOLERANCE * abs(peak) else None


def whole_factors(matrix: NDArray[np.int64]) -> Vectors | None:
    """Whole column and row of a whole matrix, or None.

    The row has no common divisor, so every whole matrix of rank 1 has such factors. The factor
    that averages has the positive sum, be it the row or else the column.

    Example:
        >>> whole_factors(np.array([[2, 4], [1, 2]]))
        (array([2, 1]), array([1, 2]))
    """
    first = next((line for line in matrix if line.any()), None)
    if first is None:
        return None
    row = first // np.gcd.reduce(first)
    at = int(np.flatnonzero(row)[0])
    column = matrix[:, at] // row[at]
    if not np.array_equal(np.outer(column, row), matrix):
        return None
    if (row.sum() or column.sum()) < 0:
        column, row = -column, -row
    return column, row
