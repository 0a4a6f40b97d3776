"""Digits of MNIST in random sizes and colours over textures."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from cnntool.data.made.textures import Floats, texture

CLASSES = ("background", *"0123456789")

_INK = 0.5  # share of ink from which on a pixel belongs to the digit
_MOST = 4  # digits in a picture
_TRIES = 20  # places that are tried for a digit


def picture(
    rng: np.random.Generator, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture of one to four digits side by side over a texture, and the class of each pixel.

    Shape:
        (H, W) -> (H, W, 3) and (H, W): 0 for the background, 1 + d for a digit d.
    """
    digits, labels = _digits()
    image, mask = texture(rng, size), np.zeros(size, np.uint8)
    taken = np.zeros(size, bool)
    for _ in range(rng.integers(1, _MOST + 1)):
        number = int(rng.integers(len(digits)))
        side = int(rng.uniform(0.3, 0.6) * min(size))
        if side < 8:
            side = min(8, *size)
        ink = _scaled(digits[number] / 255, side)
        place = _free(rng, taken, side)
        if place is None:
            continue
        down, across = (slice(first, first + side) for first in place)
        taken[down, across] = True
        part = image[down, across]
        part += ink[..., None] * (_ink_colour(rng, part) - part)
        mask[down, across][ink >= _INK] = labels[number] + 1
    return np.rint(image).astype(np.uint8), mask


@cache
def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(M, 28, 28) and (M,): those to learn from."""
    from cnntool.data import mnist

    train = mnist.load().train
    return train.images[:, 0], train.labels


def _scaled(digit: Floats, side: int) -> Floats:
    """A digit (28, 28) as (side, side), with straight lines between its pixels."""
    count = len(digit)
    places = np.clip((np.arange(side) + 0.5) * count / side - 0.5, 0, count - 1)
    low = np.minimum(places.astype(np.int64), count - 2)
    rest = places - low
    rows = digit[low] + rest[:, None] * (digit[low + 1] - digit[low])
    found: Floats = rows[:, low] + rest * (rows[:, low + 1] - rows[:, low])
    return found


def _free(rng: np.random.Generator, taken: NDArray[np.bool_], side: int) -> tuple[int, int] | None:
    """Where a digit has room: row and column; None if no place was found."""
    for _ in range(_TRIES):
        row, column = (int(rng.integers(0, length - side + 1)) for length in taken.shape)
        if not taken[row : row + side, column : column + side].any():
            return row, column
    return None


def _ink_colour(rng: np.random.Generator, ground: Floats) -> Floats:
    """A colour that is well lighter or darker than what it is painted on."""
    mean = ground.mean()
    colour = rng.uniform(0, 255, 3)
    target = rng.uniform(190, 255) if mean < 127 else rng.uniform(0, 65)
    found: Floats = np.clip(colour + target - colour.mean(), 0, 255)
    return found
