"""The matrices of Winograd's F(4, 3): four outputs of three taps from six products, not twelve.

They belong to the points 0, 1, -1, 1/2, -2 and infinity. With these both ways along rows and
columns err by 3e-6 of the largest output (128 channels, float32); with the usual 0, ±1, ±2 it is
7e-6. Mixing is a matrix product, so the factors need not be small whole numbers.

References:
    Lavin and Gray 2016, Fast algorithms for convolutional neural networks, section 4.1.
    Barabasz, Anderson, Soodhalter, Gregg 2020, Error analysis and improving the accuracy of
    Winograd convolution for deep neural networks.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from cnntool.backend import Array

TAPS = 3
"""Taps of a kernel along the axis."""
TILE = 4
"""Outputs of a tile."""
PLANES = TILE + TAPS - 1
"""Inputs of a tile, and products."""

INPUT = (
    (1, -3 / 2, -2, 3 / 2, 1, 0),
    (0, -1, 1 / 2, 5 / 2, 1, 0),
    (0, 1, -5 / 2, 1 / 2, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 1 / 2, -1, -1 / 2, 1, 0),
    (0, 1, -3 / 2, -2, 3 / 2, 1),
)
"""Bᵀ of the paper: planes from inputs."""
KERNEL = (
    (1, 0, 0),
    (1 / 3, 1 / 3, 1 / 3),
    (-1 / 3, 1 / 3, -1 / 3),
    (-16 / 15, -8 / 15, -4 / 15),
    (1 / 15, -2 / 15, 4 / 15),
    (0, 0, 1),
)
"""G of the paper: planes from taps."""
OUTPUT = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 1 / 2, -2, 0),
    (0, 1, 1, 1 / 4, 4, 0),
    (0, 1, -1, 1 / 8, -8, 1),
)
"""Aᵀ of the paper: outputs from planes. Its second column adds plane 1 to all outputs."""

Matrix = tuple[tuple[float, ...], ...]


def matrix(values: Matrix, like: Array, xp: Any) -> Array:
    """One of the matrices, of the type and on the device of an array.

    Example:
        >>> import numpy as np
        >>> matrix(OUTPUT, np.zeros(1, np.float32), np) @ np.ones(6)
        array([ 5.   , -1.5  ,  6.25 , -6.875])
    """
    return _made(values, like.dtype.char, str(like.device), xp)


@cache
def _made(values: Matrix, kind: str, device: str, xp: Any) -> Array:
    """Made once a device, number by number: nothing is copied to it in a training step."""
    made = xp.zeros((len(values), len(values[0])), dtype=kind)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            if value:
                made[row, column] = value
    return made
