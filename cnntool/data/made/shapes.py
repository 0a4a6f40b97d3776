"""Ellipses, rectangles and triangles, one over another, each with a texture of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnntool.data.made.textures import Floats, texture

CLASSES = ("background", "ellipse", "rectangle", "triangle")

_FINE = 3  # samples of a pixel along each side
_MOST = 5  # shapes in a picture


def picture(
    rng: np.random.Generator, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture of one to five shapes over a texture, and the class of each pixel.

    A pixel belongs to the shape that covers at least half of it; edges are smooth.

    Shape:
        (H, W) -> (H, W, 3) and (H, W).
    """
    image, mask = texture(rng, size), np.zeros(size, np.uint8)
    for _ in range(rng.integers(1, _MOST + 1)):
        kind = int(rng.integers(1, len(CLASSES)))
        covered = _coverage(rng, kind, size)
        surface = texture(rng, size)
        image += covered[..., None] * (surface - image)
        mask[covered >= 0.5] = kind
    return np.rint(image).astype(np.uint8), mask


def _coverage(rng: np.random.Generator, kind: int, size: tuple[int, int]) -> Floats:
    """Which share of each pixel a shape covers, (H, W)."""
    height, width = size
    side = min(size)
    # places of the samples from the middle of the shape, turned by its angle
    down = _samples(height) - np.float32(rng.uniform(0.1, 0.9) * height)
    right = _samples(width).T - np.float32(rng.uniform(0.1, 0.9) * width)
    angle = rng.uniform(0, 2 * np.pi)
    sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    x, y = right * cosine + down * sine, down * cosine - right * sine
    wide, high = (rng.uniform(0.12, 0.3, 2) * side).astype(np.float32)
    if kind == 1:
        inside = (x / wide) ** 2 + (y / high) ** 2 <= 1
    elif kind == 2:
        inside = (abs(x) <= wide) & (abs(y) <= high)
    else:
        # from a base of 2·wide at y = high to a point at y = -high
        inside = (y <= high) & (abs(x) * 2 * high <= wide * (y + high))
    parts = inside.reshape(height, _FINE, width, _FINE)
    covered: Floats = parts.mean(axis=(1, 3))
    return covered


def _samples(length: int) -> NDArray[np.float32]:
    """Places of the samples along a side, in pixels, as a column."""
    places = np.arange(length * _FINE, dtype=np.float32) + np.float32(0.5)
    places /= _FINE
    return places[:, None]
