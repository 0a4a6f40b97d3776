"""Colours of classes, the same in every picture: painted, laid over a picture, as a palette."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IGNORED = 255
"""The number of no class."""

_COLOURS = np.array(
    [
        (230, 60, 60), (60, 180, 75), (70, 110, 230), (250, 190, 40), (145, 60, 190),
        (70, 220, 220), (240, 110, 200), (160, 200, 60), (150, 100, 50), (128, 128, 0),
    ],
    np.uint8,
)  # fmt: skip
NO_CLASS = (224, 224, 192)
"""Colour of 255 in a palette."""
_DARK = (40, 40, 40)  # of 255 over a picture
_STRENGTH = np.float32(0.5)


def palette() -> NDArray[np.uint8]:
    """Red, green and blue of every number: class 0 is black, 255 light grey; ten colours repeat.

    Shape:
        (256, 3).

    Example:
        >>> palette()[[0, 1, 11]].tolist()
        [[0, 0, 0], [230, 60, 60], [230, 60, 60]]
    """
    colours = _COLOURS[(np.arange(256) - 1) % len(_COLOURS)]
    colours[0], colours[IGNORED] = 0, NO_CLASS
    return colours


def painted(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Class numbers as colours.

    Shape:
        (H, W) -> (H, W, 3).
    """
    found: NDArray[np.uint8] = palette()[labels]
    return found


def overlaid(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture with the colours of its classes; class 0 stays, 255 gets dark.

    Args:
        pixels: (h, w) or (h, w, C), a picture that may be smaller than its mask.
        labels: (H, W), class numbers.

    Shape:
        (h, w, 3).
    """
    h, w = pixels.shape[:2]
    rows, columns = (
        np.arange(small) * large // small for small, large in zip((h, w), labels.shape, strict=True)
    )
    nearest = labels[rows[:, None], columns]
    flat = pixels[..., None] if pixels.ndim == 2 else pixels
    colour = flat[..., :3] if flat.shape[2] > 2 else flat[..., :1].repeat(3, axis=2)
    paints = palette()
    paints[IGNORED] = _DARK
    share = np.where(nearest == 0, np.float32(0), _STRENGTH)[..., None]
    mixed: NDArray[np.uint8] = np.rint(
        colour * (1 - share) + paints.astype(np.float32)[nearest] * share
    ).astype(np.uint8)
    return mixed
