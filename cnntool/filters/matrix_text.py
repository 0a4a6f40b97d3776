"""Matrices as text, the way that they stand on a blackboard."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

CHANNEL_NAMES = {1: ("L",), 2: ("L", "A"), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}
"""What the channels of a picture are called, by their number."""


def number_text(value: float) -> str:
    """A number without needless digits: whole ones as integers, others with six.

    Example:
        >>> number_text(3.0), number_text(-0.25), number_text(1 / 3)
        ('3', '-0.25', '0.333333')
    """
    value = float(value)
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.6g}"


def matrix_lines(matrix: NDArray[np.generic]) -> Iterator[str]:
    r"""Rows of a (H, W) matrix, columns aligned to the right.

    Example:
        >>> print("\n".join(matrix_lines(np.array([[9, 2], [-1, 14]]))))
         9  2
        -1 14
    """
    cells = [[number_text(value) for value in row] for row in matrix]
    width = max((len(cell) for row in cells for cell in row), default=0)
    for row in cells:
        yield " ".join(cell.rjust(width) for cell in row)


def planes(image: NDArray[np.generic]) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """(name, plane) of every channel of (H, W) or (H, W, C); the name of a lone plane is ''."""
    if image.ndim == 2 or image.shape[2] == 1:
        yield "", image.reshape(image.shape[:2])
        return
    for index, name in enumerate(CHANNEL_NAMES[image.shape[2]]):
        yield name, image[..., index]
