"""Blur, noise and holes: changes that are neither moves nor colours."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntool.augment.chance import Chance
from cnntool.augment.draws import Draw
from cnntool.backend import Array, array_module
from cnntool.ops import memory
from cnntool.ops.padding import pad

_BLOCK = 1 << 14


def blur(x: Array, drawn: Draw) -> Array:
    """Pictures smoothed by Gaussians, each by its own.

    A Gaussian reaches 4 sigma far, rounded to whole pixels; the pictures are mirrored at their
    outermost pixels.

    Args:
        x: Pictures in float32.
        drawn: What was drawn for the word ``blur``.

    Shape:
        (C, H, W, N) -> the same.
    """
    xp, sigma = array_module(x), drawn["sigma"]
    reach = xp.floor(sigma * np.float32(4) + np.float32(0.5))
    if xp is np:
        radius = int(reach.max(initial=0))
    else:  # a device would have to be waited for to ask it for the largest one
        radius = int(4 * drawn.step.amount("amount").high + 1)
    if radius == 0:
        return x
    taps = _taps(xp, sigma, reach, radius)
    _, h, w, n = x.shape
    framed = pad(x, radius, "reflect")
    y = memory.empty(xp, x.shape, x.dtype)
    height = max(1, _BLOCK // max(w * n, 1)) if xp is np else h
    for top in range(0, h, height):
        bottom = min(top + height, h)
        strip = framed[:, top : bottom + 2 * radius]
        y[:, top:bottom] = _smoothed(_smoothed(strip, taps, 1), taps, 2)
    return y


def _taps(xp: Any, sigma: Array, reach: Array, radius: int) -> list[Array]:
    """Weights from the middle outwards, (N,) each; 0 beyond a picture's own reach."""
    narrow = np.float32(-0.5) / xp.maximum(sigma * sigma, np.float32(1e-6))
    taps = [
        xp.where(reach >= away, xp.exp(narrow * np.float32(away * away)), np.float32(0))
        for away in range(radius + 1)
    ]
    total = taps[0] + 2 * sum(taps[1:])
    return [tap / total for tap in taps]


def _smoothed(x: Array, taps: list[Array], axis: int) -> Array:
    """Smoothed along an axis, which gets shorter by the reach on both ends."""
    radius = len(taps) - 1
    length = x.shape[axis] - 2 * radius

    def shifted(by: int) -> Array:
        part = slice(radius + by, radius + by + length)
        return x[:, part] if axis == 1 else x[:, :, part]

    y = shifted(0) * taps[0]
    for away in range(1, radius + 1):
        both = shifted(-away) + shifted(away)
        both *= taps[away]
        y += both
    return y


def add_noise(x: Array, drawn: Draw, chance: Chance, full_range: float) -> None:
    """Add Gaussian noise of its own to every sample.

    Args:
        x: Pictures (C, H, W, N) in float32 without gaps, written in place.
        drawn: What was drawn for the word ``noise``.
        chance: Where the noise comes from.
        full_range: Largest sample; sigma is in samples of 0..255.
    """
    xp, n = array_module(x), x.shape[-1]
    sigma = drawn["sigma"] * np.float32(full_range / 255)
    flat = x.reshape(-1, n)
    # one hash gives two numbers: for the first and for the second half of the samples
    half = -(-flat.shape[0] // 2)
    height = max(1, _BLOCK // max(n, 1)) if xp is np else max(half, 1)
    for first in range(0, half, height):
        count = min(height, half - first)
        noises = chance.normals(drawn.number, first, count)
        for start, noise in zip((first, half + first), noises, strict=True):
            part = flat[start : start + count]
            noise *= sigma
            part += noise[: part.shape[0]]


def cut_out(x: Array, drawn: Draw, chance: Chance, full_range: float) -> None:
    """Cover squares whose middles lie anywhere in the picture; some reach beyond it.

    Args:
        x: Pictures (C, H, W, N) in float32, written in place.
        drawn: What was drawn for the word ``cutout``.
        chance: Where the places come from.
        full_range: Largest sample; the fill is in samples of 0..255.

    References:
        DeVries and Taylor 2017, Improved regularization of convolutional neural networks with
        cutout.
    """
    xp, (_, h, w, _) = array_module(x), x.shape
    fill = np.float32(drawn.step.real("fill") * full_range / 255)
    side = _side(xp, drawn)
    row, column = (xp.arange(length, dtype=np.float32)[:, None] for length in (h, w))
    found = corners(drawn, chance, (h, w))
    for number in range(found.shape[0]):
        top, left = found[number, 0], found[number, 1]
        down = (row >= top) & (row < top + side)  # (H, N)
        across = (column >= left) & (column < left + side)  # (W, N)
        hole = down[:, None] & across[None]
        for channel in range(x.shape[0]):
            x[channel] = xp.where(hole, fill, x[channel])


def corners(drawn: Draw, chance: Chance, size: tuple[int, int]) -> Array:
    """First rows and first columns of the squares of :func:`cut_out`.

    Args:
        drawn: What was drawn for the word ``cutout``.
        chance: Where the places come from.
        size: Rows and columns of the pictures.

    Shape:
        (count, 2, N), whole numbers in float32, also below 0.
    """
    xp, count = chance.xp, int(drawn.step.real("count"))
    middles = chance.uniforms(drawn.number, 2 * count).reshape(count, 2, chance.count)
    half = xp.floor(_side(xp, drawn) * np.float32(0.5))
    for axis, length in enumerate(size):
        middle = middles[:, axis]
        middle *= np.float32(length)
        xp.floor(middle, out=middle)
        middle -= half
    return middles


def _side(xp: Any, drawn: Draw) -> Array:
    return xp.rint(drawn["pixels"])
