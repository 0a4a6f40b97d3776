"""Gaussian and Laplacian pyramids, and the way back.

A Gaussian level is the one above it blurred (1 4 6 4 1, over 16, both ways) and halved; a Laplacian
level is what a Gaussian level holds more than the next one enlarged again. The last Laplacian level
is the last Gaussian one, so adding up from there gives the picture back. Both steps work in strips
of rows, so that no more than the levels themselves is ever in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.ops.padding import pad

STRIP_BYTES = 1 << 19
"""Floats of a strip of rows on a CPU; a few arrays of this size are in use at a time."""


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
    xp = array_module(image)
    h, w = image.shape[:2]
    half = xp.empty((-(-h // 2), -(-w // 2), *image.shape[2:]), dtype=_float_type(image))
    for strip in _strips(half):
        # rows 2i - 2 to 2i + 2 of the picture make row i
        first, last = 2 * strip.start - 2, 2 * strip.stop + 1
        rows = _as_maps(image[max(first, 0) : last])
        rows = pad(rows, (max(-first, 0), 0, max(last - h, 0), 0), "reflect")
        columns = pad(_halve(rows, 1), (0, 2, 0, 2), "reflect")
        _as_maps(half[strip])[...] = _halve(columns, 2)
    return half


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
    xp = array_module(image)
    large = xp.empty((h, w, *image.shape[2:]), dtype=_float_type(image))
    for strip, rows in _expanded(image, large):
        large[strip] = rows
    return large


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
    most = max_levels(h, w)
    if levels > most:
        raise ShapeError(
            f"a picture of {h} x {w} has {most} level{'s' if most != 1 else ''} at most, "
            f"got {levels}; "
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
        for strip, rows in _expanded(smaller, pyramid[level]):
            pyramid[level][strip] -= rows
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
    size = xp.maximum(image.max(), -image.min())
    for level in reversed(levels[:-1]):
        size = xp.maximum(size, xp.maximum(level.max(), -level.min()))
        smaller, image = image, _as_float(level)
        for strip, rows in _expanded(smaller, image):
            image[strip] += rows
    # every level rounds its sum and the enlargement: a few halves of a unit in the last place
    error = size * (4 * len(levels) * float(np.finfo(image.dtype).eps))
    for strip in _strips(image):
        part = image[strip]
        whole = xp.rint(part)
        image[strip] = xp.where(xp.abs(part - whole) <= error, whole, part)
    return image


def _strips(image: Array) -> list[slice]:
    """Strips of an even number of rows that fit the cache; all rows on a GPU."""
    h = image.shape[0]
    if array_module(image) is not np:
        return [slice(0, h)]
    step = max(4, STRIP_BYTES * h // image.nbytes // 2 * 2)
    return [slice(first, min(first + step, h)) for first in range(0, h, step)]


def _expanded(image: Array, like: Array) -> Iterator[tuple[slice, Array]]:
    """The enlarged picture strip by strip, in the size of ``like``.

    The border reflects the row of pixels and zeros: in front it skips the first pixel; behind it
    skips the last one where the size is odd, else the last one repeats.
    """
    xp = array_module(image)
    (h, w), n = like.shape[:2], image.shape[0]
    for strip in _strips(like):
        # pixel i and its neighbours make rows 2i and 2i + 1
        first, last = strip.start // 2 - 1, -(-strip.stop // 2) + 1
        rows = [_as_maps(image[max(first, 0) : last])]
        if first < 0:
            rows.insert(0, _as_maps(image[min(1, n - 1)][None]))
        if last > n:
            rows.append(_as_maps(image[max(n - 1 - h % 2, 0)][None]))
        tall = _double(xp.concatenate(rows, axis=1), 1, strip.stop - strip.start)
        wide = pad(tall, (0, 0, 0, 1), "reflect")
        wide = pad(wide, (0, 1, 0, 0), "reflect" if w % 2 else "edge")
        yield strip, _double(wide, 2, w).reshape(strip.stop - strip.start, *like.shape[1:])


def _taps(x: Array, number: int, start: int, count: int, step: int) -> Array:
    """``count`` places of one axis of (1, H, W, C), ``step`` apart."""
    cut = slice(start, start + step * (count - 1) + 1 if count else start, step)
    return x[:, cut] if number == 1 else x[:, :, cut]


def _channels(x: Array, number: int) -> list[slice]:
    """All channels at once, or singly along the columns on a CPU: short inner loops are slow."""
    if number == 1 or x.shape[3] > 7 or array_module(x) is not np:
        return [slice(None)]
    return [slice(i, i + 1) for i in range(x.shape[3])]


def _halve(x: Array, number: int) -> Array:
    """Blur one axis with 1 4 6 4 1 over 16 and keep every second place; x reaches 2 beyond."""
    xp = array_module(x)
    shape = list(x.shape)
    out = shape[number] = (x.shape[number] - 3) // 2
    y = xp.empty(shape, dtype=x.dtype)
    for channel in _channels(x, number):
        part, half = x[..., channel], y[..., channel]
        xp.add(_taps(part, number, 1, out, 2), _taps(part, number, 3, out, 2), out=half)
        half *= 4
        half += _taps(part, number, 0, out, 2)
        half += _taps(part, number, 4, out, 2)
        half += 6 * _taps(part, number, 2, out, 2)
        half *= 1 / 16
    return y


def _double(x: Array, number: int, size: int) -> Array:
    """Enlarge one axis to ``size`` by 1 6 1 over 8 and, between, 4 4 over 8; x reaches 1 beyond.

    Those are the taps of 1 4 6 4 1 that do not fall on the zeros put between, times two.
    """
    xp = array_module(x)
    even, odd = -(-size // 2), size // 2
    shape = list(x.shape)
    shape[number] = size
    y = xp.empty(shape, dtype=x.dtype)
    for channel in _channels(x, number):
        part, double = x[..., channel], y[..., channel]
        evens = _taps(double, number, 0, even, 2)
        xp.multiply(_taps(part, number, 1, even, 1), 6, out=evens)
        evens += _taps(part, number, 0, even, 1)
        evens += _taps(part, number, 2, even, 1)
        evens *= 1 / 8
        odds = _taps(double, number, 1, odd, 2)
        xp.add(_taps(part, number, 1, odd, 1), _taps(part, number, 2, odd, 1), out=odds)
        odds *= 0.5
    return y


def _float_type(image: Array) -> Any:
    """float64 stays, smaller types become float32."""
    return np.result_type(image.dtype, np.float32)


def _as_float(image: Array) -> Array:
    """A copy in floats."""
    return image.astype(_float_type(image))


def _as_maps(image: Array) -> Array:
    """(H, W[, C]) -> (1, H, W, C), in floats; a view if it holds floats."""
    x = image.astype(_float_type(image), copy=False)
    return x[None, :, :, None] if x.ndim == 2 else x[None]


def _check(image: Array) -> None:
    if image.ndim not in (2, 3) or min(image.shape) < 1:
        raise ShapeError(
            f"a picture is (H, W) or (H, W, C) and not empty, got shape {_times(image.shape)}"
        )


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
