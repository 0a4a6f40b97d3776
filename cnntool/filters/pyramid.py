"""Gaussian and Laplacian pyramids, and the way back.

A Gaussian level is the one above it blurred (1 4 6 4 1, over 16, both ways) and halved; a Laplacian
level is what a Gaussian level holds more than the next one enlarged again. The last Laplacian level
is the last Gaussian one, so adding up from there gives the picture back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.ops.padding import pad


def max_levels(height: int, width: int) -> int:
    """Levels until one pixel is left, the picture's own included.

    Example:
        >>> max_levels(5, 3), max_levels(1, 1)
        (4, 1)
    """
    return 1 + (max(height, width) - 1).bit_length()


def reduce(image: Array) -> Array:
    """The next Gaussian level: blurred, then every second row and column.

    Shape:
        (H, W[, C]) -> (ceil(H/2), ceil(W/2)[, C]); float64 stays, smaller types become float32.

    Example:
        >>> reduce(np.ones((5, 4))).shape
        (3, 2)
    """
    _check(image)
    maps = _as_maps(image)
    return _as_picture(_halve(_halve(maps, 1), 2), image.ndim)


def expand(image: Array, shape: Sequence[int]) -> Array:
    """The inverse of :func:`reduce` in size: zeros put between, blurred with twice the weight.

    Args:
        image: Picture.
        shape: (H, W) of the result, of which ``image`` is half, rounded up; more is ignored.

    Shape:
        (ceil(H/2), ceil(W/2)[, C]) -> (H, W[, C]); float64 stays, smaller types become float32.

    Raises:
        ShapeError: ``shape`` does not halve to the picture's.

    Example:
        >>> expand(np.array([[0.0, 16.0]]), (1, 4)).tolist()
        [[4.0, 8.0, 14.0, 16.0]]
    """
    _check(image)
    h, w = int(shape[0]), int(shape[1])
    if (-(-h // 2), -(-w // 2)) != tuple(image.shape[:2]):
        raise ShapeError(
            f"a picture of {image.shape[0]} x {image.shape[1]} cannot become {h} x {w}; "
            f"a picture of {-(-h // 2)} x {-(-w // 2)} could"
        )
    return _as_picture(_double(_double(_as_maps(image), 1, h), 2, w), image.ndim)


def gaussian_pyramid(image: Array, levels: int = 4) -> list[Array]:
    """The picture, and ever smaller ones: I_0 = I, I_(k+1) = reduce(I_k).

    Args:
        image: Picture.
        levels: How many, the picture included; 1 to :func:`max_levels`.

    Shape:
        (H, W[, C]) -> levels of ceil(H/2^k) x ceil(W/2^k); float64 stays, smaller types become
        float32.

    Raises:
        OptionError: Fewer than 1 level.
        ShapeError: Not a picture, or more levels than it has.

    References:
        Burt and Adelson 1983, The Laplacian pyramid as a compact image code.

    Example:
        >>> [level.shape for level in gaussian_pyramid(np.zeros((9, 6)), 3)]
        [(9, 6), (5, 3), (3, 2)]
    """
    _check(image)
    if levels < 1:
        raise OptionError(f"a pyramid has at least 1 level, got {levels}")
    h, w = image.shape[:2]
    if levels > max_levels(h, w):
        raise ShapeError(
            f"a picture of {h} x {w} has {max_levels(h, w)} levels at most, got {levels}; "
            f"{levels} levels need {2 ** (levels - 2) + 1} rows or columns"
        )
    pyramid = [_as_float(image)]
    while len(pyramid) < levels:
        pyramid.append(reduce(pyramid[-1]))
    return pyramid


def laplacian_pyramid(image: Array, levels: int = 4) -> list[Array]:
    """What each Gaussian level adds to the next one: h_k = I_k - expand(I_(k+1)), last h_K = I_K.

    Args:
        image: Picture.
        levels: How many; 1 to :func:`max_levels`.

    Shape:
        As :func:`gaussian_pyramid`. All but the last level scatter about 0.

    Raises:
        OptionError, ShapeError: As :func:`gaussian_pyramid`.

    References:
        Burt and Adelson 1983. Denton et al. 2015, Deep generative image models using a Laplacian
        pyramid of adversarial networks, section 2.2.

    Example:
        >>> [float(np.abs(level).max()) for level in laplacian_pyramid(np.full((4, 4), 7.0), 3)]
        [0.0, 0.0, 7.0]
    """
    pyramid = gaussian_pyramid(image, levels)
    for level, smaller in enumerate(pyramid[1:]):
        pyramid[level] = pyramid[level] - expand(smaller, pyramid[level].shape)
    return pyramid


def collapse(levels: Sequence[Array]) -> Array:
    """The picture of a Laplacian pyramid: I_K = h_K, I_k = h_k + expand(I_(k+1)).

    Samples that lie within the rounding error of a whole number become that number: pictures of 8
    and 16 bits come back exactly, others to rounding.

    Args:
        levels: Largest first.

    Shape:
        Levels of ceil(H/2^k) x ceil(W/2^k)[, C] -> (H, W[, C]); float64 stays, smaller types
        become float32.

    Raises:
        OptionError: No level.
        ShapeError: Sizes or channels that do not belong together.

    Example:
        >>> image = np.arange(35, dtype=np.uint8).reshape(5, 7)
        >>> collapse(laplacian_pyramid(image, 3)).astype(np.uint8).tolist() == image.tolist()
        True
    """
    if not levels:
        raise OptionError("collapse needs at least 1 level, got none")
    for number, level in enumerate(levels):
        _check(level)
        larger = levels[max(number - 1, 0)]
        h, w = larger.shape[:2]
        wanted = (-(-h // 2), -(-w // 2), *larger.shape[2:]) if number else tuple(larger.shape)
        if tuple(level.shape) != wanted:
            raise ShapeError(
                f"level {number} is {_times(level.shape)}, but half of level {number - 1} is "
                f"{_times(wanted)}; levels go from the largest to the smallest"
            )
    xp = array_module(levels[0])
    image = _as_float(levels[-1])
    size = xp.abs(image).max()
    for level in reversed(levels[:-1]):
        image = level + expand(image, level.shape)
        size = xp.maximum(size, xp.abs(level).max())
    # every level rounds its sum and the enlargement: a few halves of a unit in the last place
    error = size * (4 * len(levels) * float(np.finfo(image.dtype).eps))
    whole = xp.rint(image)
    return xp.where(xp.abs(image - whole) <= error, whole, image)


def _halve(x: Array, number: int) -> Array:
    """Blur one axis of (1, H, W, C) with 1 4 6 4 1 over 16, and keep every second place."""
    size = x.shape[number]
    out = -(-size // 2)
    padding = (2, 0, 2, 0) if number == 1 else (0, 2, 0, 2)
    wide = pad(x, padding, "reflect")

    def taps(offset: int) -> Array:
        cut = slice(offset, offset + 2 * out - 1, 2)
        return wide[:, cut] if number == 1 else wide[:, :, cut]

    blurred = taps(1) + taps(3)
    blurred *= 4
    blurred += taps(0)
    blurred += taps(4)
    blurred += 6 * taps(2)
    blurred *= 1 / 16
    return blurred


def _double(x: Array, number: int, size: int) -> Array:
    """Enlarge one axis of (1, H, W, C) to ``size``: 1 6 1 over 8 between 4 4 over 8.

    Those are the taps of 1 4 6 4 1 that do not fall on the zeros put between, times two. The
    border reflects the enlarged row: in front it skips the first pixel; behind too where ``size``
    is odd, else it repeats the last.
    """
    xp = array_module(x)
    even, odd = -(-size // 2), size // 2
    front = (1, 0, 0, 0) if number == 1 else (0, 0, 0, 1)
    back = (0, 0, 1, 0) if number == 1 else (0, 1, 0, 0)
    wide = pad(pad(x, front, "reflect"), back, "reflect" if size % 2 else "edge")
    shape = list(x.shape)
    shape[number] = size
    y = xp.empty(shape, dtype=x.dtype)
    head = (slice(None),) * number

    def taps(offset: int, count: int) -> Array:
        return wide[(*head, slice(offset, offset + count))]

    evens = y[(*head, slice(0, None, 2))]
    xp.multiply(taps(1, even), 6, out=evens)
    evens += taps(0, even)
    evens += taps(2, even)
    evens *= 1 / 8
    odds = y[(*head, slice(1, None, 2))]
    xp.add(taps(1, odd), taps(2, odd), out=odds)
    odds *= 0.5
    return y


def _as_float(image: Array) -> Array:
    """A float copy: float64 stays, smaller types become float32."""
    return image.astype(np.result_type(image.dtype, np.float32))


def _as_maps(image: Array) -> Array:
    """(H, W[, C]) -> (1, H, W, C), in floats."""
    x = image.astype(np.result_type(image.dtype, np.float32), copy=False)
    return x[None, :, :, None] if x.ndim == 2 else x[None]


def _as_picture(x: Array, ndim: int) -> Array:
    return x[0] if ndim == 3 else x[0, :, :, 0]


def _check(image: Array) -> None:
    if image.ndim not in (2, 3) or min(image.shape) < 1:
        raise ShapeError(
            f"a picture is (H, W) or (H, W, C) and not empty, got shape {_times(image.shape)}"
        )


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
