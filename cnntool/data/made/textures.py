"""Textures by formula: gratings, clouds and stripes between two colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def texture(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """A texture of a random kind between two random colours.

    Shape:
        (H, W) -> (H, W, 3), 0..255.

    Example:
        >>> found = texture(np.random.default_rng(1), (3, 5))
        >>> found.shape, bool(found.min() >= 0), bool(found.max() <= 255)
        ((3, 5, 3), True, True)
    """
    kinds = (_clouds, _grating, _stripes)
    share = kinds[rng.integers(len(kinds))](rng, size)[..., None]
    first = rng.uniform(0, 255, 3)
    # near enough to be one surface, far enough to be seen
    second = np.clip(first + rng.uniform(20, 70) * rng.choice((-1, 1), 3), 0, 255)
    noise = rng.normal(0, rng.uniform(1, 8), (*size, 1))
    found: Floats = np.clip(first + share * (second - first) + noise, 0, 255)
    return found


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Smooth noise in three sizes, 0..1."""
    total, weight = np.zeros(size), 0.0
    for octave in range(3):
        cells = int(rng.integers(2, 4)) << octave
        total += _stretched(rng.random((cells + 1, cells + 1)), size) / 2**octave
        weight += 1 / 2**octave
    return total / weight


def _grating(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Waves in one direction, 0..1."""
    return 0.5 + 0.5 * np.sin(_phase(rng, size))


def _stripes(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Bars with sharp edges, 0 or 1."""
    return (np.sin(_phase(rng, size)) > rng.uniform(-0.5, 0.5)).astype(np.float64)


def _phase(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    rows, columns = np.ogrid[: size[0], : size[1]]
    angle, wave = rng.uniform(0, np.pi), rng.uniform(4, 16)  # pixels
    along = rows * np.sin(angle) + columns * np.cos(angle)
    found: Floats = 2 * np.pi * (along / wave + rng.random())
    return found


def _stretched(cells: Floats, size: tuple[int, int]) -> Floats:
    """(h, w) numbers at equal distances, with straight lines between them: (H, W)."""
    for axis, length in enumerate(size):
        places = np.linspace(0, cells.shape[axis] - 1, length)
        low = np.minimum(places.astype(np.int64), cells.shape[axis] - 2)
        rest = (places - low).reshape((-1, 1) if axis == 0 else (1, -1))
        first, second = cells.take(low, axis), cells.take(low + 1, axis)
        cells = first + rest * (second - first)
    return cells
