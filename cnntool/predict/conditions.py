"""Pictures as conditions of generators: made smaller, grey or incomplete, in batches.

All of them take pictures (C, H, W, N) with samples from -1 to 1, on a CPU or a GPU.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError
from cnntool.filters.pyramid import expand, reduce
from cnntool.nn.gan_spec import hole

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601)."""


def context_of(condition: str, x: Array) -> Array:
    """What a generator gets of pictures that it shall make larger, colour or fill.

    Args:
        condition: One of :data:`cnntool.nn.gan_spec.PICTURE_CONDITIONS`.
        x: The pictures as they should come out.

    Raises:
        OptionError: The pictures cannot be treated so.

    Example:
        >>> context_of("colorize", np.ones((3, 2, 4, 1), np.float32)).shape
        (1, 2, 4, 1)
    """
    if condition == "superres":
        return enlarged(halved(x))
    if condition == "colorize":
        return grey(x)
    return without_middle(x)


def halved(x: Array) -> Array:
    """Means of 2x2 pixels: (C, H, W, N) -> (C, H/2, W/2, N).

    Raises:
        OptionError: A side is odd.
    """
    c, h, w, n = x.shape
    if h % 2 or w % 2:
        raise OptionError(f"pictures of {h}x{w} cannot be halved; choose even sides with --size")
    return x.reshape(c, h // 2, 2, w // 2, 2, n).mean(axis=(2, 4))


def enlarged(x: Array) -> Array:
    """Twice as many rows and columns, bicubic: (C, h, w, N) -> (C, 2·h, 2·w, N).

    References:
        Keys 1981, Cubic convolution interpolation for digital image processing; a = -1/2.

    Example:
        >>> enlarged(np.ones((1, 2, 3, 1), np.float32)).shape
        (1, 4, 6, 1)
    """
    xp = array_module(x)
    c, h, w, n = x.shape
    rows = xp.matmul(_doubling(h, x, xp), x.reshape(c, h, w * n)).reshape(c * 2 * h, w, n)
    return xp.matmul(_doubling(w, x, xp), rows).reshape(c, 2 * h, 2 * w, n)


def _doubling(length: int, like: Array, xp: Any) -> Array:
    return xp.asarray(_bicubic(length).astype(like.dtype))


@cache
def _bicubic(length: int) -> NDArray[np.float64]:
    """The matrix (2·length, length) that doubles a line; beyond its ends nothing counts."""
    places = (np.arange(2 * length) + 0.5) / 2 - 0.5
    away = np.abs(places[:, None] - np.arange(length))
    near = 1.5 * away**3 - 2.5 * away**2 + 1
    far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    weights = np.where(away <= 1, near, np.where(away < 2, far, 0.0))
    found: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return found


def grey(x: Array) -> Array:
    """(3, H, W, N) -> (1, H, W, N).

    Raises:
        OptionError: The pictures have no colours.
    """
    if len(x) != 3:
        raise OptionError("colorize needs pictures in colour; these are grey")
    return (LUMA[0] * x[0] + LUMA[1] * x[1] + LUMA[2] * x[2])[None]


def without_middle(x: Array) -> Array:
    """The same pictures, their middles medium grey."""
    found = x.copy()
    rows, columns = hole(*x.shape[1:3])
    found[:, rows, columns] = 0
    return found


def smaller(x: Array, size: tuple[int, int]) -> Array:
    """The level of a Gaussian pyramid that has a size.

    Raises:
        OptionError: No level has it.

    Example:
        >>> smaller(np.ones((1, 28, 28, 2), np.float32), (7, 7)).shape
        (1, 7, 7, 2)
    """
    xp = array_module(x)
    before = tuple(x.shape[1:3])
    while tuple(x.shape[1:3]) != size:
        if min(x.shape[1:3]) <= min(size):
            raise OptionError(
                f"stages of {size[0]}x{size[1]} are no level of a pyramid over "
                f"{before[0]}x{before[1]}: each is half of the next, rounded up"
            )
        x = xp.stack([reduce(maps) for maps in x])
    return x


def larger(x: Array, size: tuple[int, int]) -> Array:
    """The level of a pyramid enlarged to the one above it, of a given size."""
    xp = array_module(x)
    shape = (*size, x.shape[3])
    return xp.stack([expand(maps, shape) for maps in x])
