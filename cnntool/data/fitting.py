"""Pictures of any size and kind into what a network sees: one size, one colour mode, 8 bits.

The one way from a picture file to (C, H, W): training and prediction both take it, so that a
network is never shown anything else than what it learned from. In this order:

1. What is transparent is shown on white paper.
2. Colour becomes grey, or grey becomes three equal channels.
3. ``stretch`` brings the picture to the size and changes its proportions; ``crop`` first cuts the
   largest middle part with the right proportions; ``pad`` makes it fit inside, in the middle, and
   surrounds it. Resampling is bilinear with antialiasing, masks take the nearest pixel.
4. Samples of 16 bits and floats (0..255) are rounded to 8 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import InputError, NameNotFound
from cnntool.filters.channels import luma
from cnntool.images.picture import Picture
from cnntool.images.resizing import resized

FITS = ("stretch", "crop", "pad")
"""Ways to bring a picture to a size."""

COLORS = {"gray": 1, "rgb": 3}
"""Colour modes and their channels."""


class Placement(NamedTuple):
    """Which part of a picture goes where.

    Attributes:
        top: First row of the part that is taken.
        left: Its first column.
        height: Its rows.
        width: Its columns.
        size: Rows and columns that it becomes.
        offset: Row and column where it lies in the result.
    """

    top: int
    left: int
    height: int
    width: int
    size: tuple[int, int]
    offset: tuple[int, int]


def placement(height: int, width: int, size: tuple[int, int], fit: str) -> Placement:
    """How a picture is brought to ``size``.

    Args:
        height: Rows of the picture, >= 1.
        width: Columns of the picture, >= 1.
        size: Rows and columns of the result, each >= 1.
        fit: One of :data:`FITS`.

    Raises:
        NameNotFound: There is no such fit.

    Example:
        >>> placement(10, 30, (5, 5), "crop")
        Placement(top=0, left=10, height=10, width=10, size=(5, 5), offset=(0, 0))
        >>> placement(10, 30, (6, 6), "pad")
        Placement(top=0, left=0, height=10, width=30, size=(2, 6), offset=(2, 0))
    """
    if fit not in FITS:
        raise NameNotFound.among("fit", fit, FITS)
    rows, columns = size
    if fit == "crop":
        # exact in integers; at least one pixel of a very narrow picture stays
        taken_h = min(height, max(1, round_half_up(width * rows, columns)))
        taken_w = min(width, max(1, round_half_up(height * columns, rows)))
        top, left = (height - taken_h) // 2, (width - taken_w) // 2
        return Placement(top, left, taken_h, taken_w, size, (0, 0))
    if fit == "pad":
        made_h = min(rows, max(1, round_half_up(height * columns, width)))
        made_w = min(columns, max(1, round_half_up(width * rows, height)))
        offset = (rows - made_h) // 2, (columns - made_w) // 2
        return Placement(0, 0, height, width, (made_h, made_w), offset)
    return Placement(0, 0, height, width, size, (0, 0))


def round_half_up(numerator: int, denominator: int) -> int:
    """The nearest whole number to a fraction of positive numbers.

    Example:
        >>> round_half_up(5, 2), round_half_up(4, 3)
        (3, 1)
    """
    return (2 * numerator + denominator) // (2 * denominator)


def prepared(
    picture: Picture,
    color: str,
    size: tuple[int, int] | None = None,
    fit: str = "stretch",
    background: float = 0.0,
) -> NDArray[np.uint8]:
    """A picture as a network takes it.

    Args:
        picture: As the reader gives it.
        color: ``gray`` or ``rgb``.
        size: Rows and columns; None keeps the picture's.
        fit: ``stretch``, ``crop`` or ``pad``.
        background: What surrounds a padded picture, from 0, black, to 1, white.

    Returns:
        (C, H, W), a new array.

    Raises:
        NameNotFound: There is no such fit or colour mode.
        InputError: The picture has a strange number of channels, or holds NaN.

    Example:
        >>> grey = Picture(np.array([[0, 200]], np.uint8))
        >>> prepared(grey, "gray", (3, 2), "pad").tolist()
        [[[0, 0], [0, 200], [0, 0]]]
    """
    if color not in COLORS:
        raise NameNotFound.among("colour mode", color, COLORS)
    pixels = fitted(picture, gray=color == "gray", size=size, fit=fit)
    return framed(pixels, COLORS[color], size, background)


def fitted(
    picture: Picture, *, gray: bool, size: tuple[int, int] | None = None, fit: str = "stretch"
) -> NDArray[np.uint8]:
    """Steps 1 to 4 without the frame of ``pad``.

    Args:
        picture: As the reader gives it.
        gray: Turn colour to grey.
        size: Rows and columns; None keeps the picture's.
        fit: ``stretch``, ``crop`` or ``pad``.

    Returns:
        (H, W) or (H, W, 3); with ``pad`` one side may be smaller than asked for.

    Raises:
        InputError: The picture has a strange number of channels, or holds NaN.
        NameNotFound: There is no such fit.
    """
    if picture.alpha:
        picture = on_white(picture)
    pixels = picture.pixels
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        raise InputError(f"{pixels.shape[2]} channels; pictures have one, or red, green and blue")
    if gray and pixels.ndim == 3:
        pixels = luma(pixels)
    if size is not None:
        top, left, height, width, made, _ = placement(pixels.shape[0], pixels.shape[1], size, fit)
        part = pixels[top : top + height, left : left + width]
        pixels = resized(replace(picture, pixels=part, alpha=False), made).pixels
    return _eight_bits(pixels, picture.full_range)


def framed(
    pixels: NDArray[np.uint8],
    channels: int,
    size: tuple[int, int] | None = None,
    background: float = 0.0,
) -> NDArray[np.uint8]:
    """Planes (C, H, W) of fitted pixels, in the middle of a frame where they are smaller.

    Args:
        pixels: (H, W) or (H, W, 3).
        channels: 1 or 3; grey becomes three equal channels.
        size: Rows and columns of the result; None: those of the pixels.
        background: The frame's brightness, from 0 to 1.
    """
    height, width = pixels.shape[:2]
    rows, columns = size or (height, width)
    planes = pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if (height, width) == (rows, columns):
        out = np.empty((channels, rows, columns), np.uint8)
    else:
        out = np.full((channels, rows, columns), round(255 * background), np.uint8)
    top, left = (rows - height) // 2, (columns - width) // 2
    out[:, top : top + height, left : left + width] = planes
    return out


def brightness_of_edges(pictures: Iterable[NDArray[np.uint8] | None]) -> float:
    """What pictures are surrounded with so that it goes unnoticed: 0, black, or 1, white.

    White if the edges of most pictures are bright, as on paper.

    Args:
        pictures: (H, W) or (H, W, 3) each; None is passed over.

    Example:
        >>> brightness_of_edges([np.full((3, 3), 250, np.uint8)])
        1.0
    """
    bright = 0
    counted = 0
    for picture in pictures:
        if picture is not None:
            edges = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
            mean = sum(float(e.sum(dtype=np.int64)) for e in edges) / sum(e.size for e in edges)
            bright += mean >= 128
            counted += 1
    return 1.0 if 2 * bright > counted else 0.0


def on_white(picture: Picture) -> Picture:
    """The picture on white paper, without opacity.

    Example:
        >>> clear = Picture(np.array([[[10, 0], [10, 255]]], np.uint8), alpha=True)
        >>> on_white(clear).pixels.tolist()
        [[255, 10]]
    """
    full = picture.full_range
    opacity = picture.pixels[..., -1:].astype(np.float32) / np.float32(full)
    colour = picture.pixels[..., :-1].astype(np.float32)
    pixels = full + (colour - full) * opacity
    if picture.pixels.dtype.kind in "iu":
        pixels = np.rint(pixels)
    pixels = pixels.astype(picture.pixels.dtype)
    if pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return replace(picture, pixels=pixels, alpha=False)


def nearest(mask: NDArray[np.uint8], size: tuple[int, int], fit: str) -> NDArray[np.uint8]:
    """A mask brought to ``size`` as its picture is, each pixel from the nearest one.

    Args:
        mask: (H, W).
        size: Rows and columns.
        fit: ``stretch``, ``crop`` or ``pad``.

    Returns:
        A new array; with ``pad`` without its frame, as :func:`fitted` gives pictures.

    Example:
        >>> nearest(np.array([[1, 2]], np.uint8), (2, 4), "stretch").tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    top, left, height, width, made, _ = placement(mask.shape[0], mask.shape[1], size, fit)
    # the middle of each new pixel lies in an old one
    rows = top + (2 * np.arange(made[0]) + 1) * height // (2 * made[0])
    columns = left + (2 * np.arange(made[1]) + 1) * width // (2 * made[1])
    return mask[np.ix_(rows, columns)]


def _eight_bits(pixels: NDArray[np.generic], full_range: float) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    values = pixels.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError("NaN or infinity among its samples; repair them first")
    if full_range > 255:
        values = values / np.float32(full_range / 255)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
