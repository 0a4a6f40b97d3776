"""Pictures in another size, by Pillow's resampling: smooth when shrinking, never aliased."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from cnntool.images.picture import Picture


def resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """The picture stretched to ``size``, bilinear, with antialiasing.

    Args:
        picture: Any picture.
        size: Height and width in pixels, each >= 1.

    Shape:
        (H, W[, C]) -> (size[0], size[1][, C]), dtype kept; integers round half to even.

    Example:
        >>> grey = Picture(np.array([[0, 100], [0, 100]], np.uint8))
        >>> resized(grey, (1, 1)).pixels
        array([[50]], dtype=uint8)
    """
    pixels = picture.pixels
    if pixels.shape[:2] == size:
        return picture
    planes = [pixels] if pixels.ndim == 2 else [pixels[..., c] for c in range(pixels.shape[2])]
    # one plane at a time in floats: 16 bits keep their precision, opacity bleeds nowhere
    made = [_plane(np.ascontiguousarray(plane), size) for plane in planes]
    result = made[0] if pixels.ndim == 2 else np.stack(made, axis=2)
    return replace(picture, pixels=result)


def _plane(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.fromarray(plane.astype(np.float32))
    values = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    if plane.dtype.kind in "iu":
        values = np.clip(np.rint(values), 0, np.iinfo(plane.dtype).max)
    return values.astype(plane.dtype)
