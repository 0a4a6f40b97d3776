"""A picture as one row of numbers, in the order in which a network flattens its maps."""

from __future__ import annotations

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import ShapeError


def flatten(pixels: Array, *, unit: bool = False, full_range: float | None = None) -> Array:
    """All samples in the order channel, row, column.

    Args:
        pixels: Samples 0..255, or 0..65535 for uint16.
        unit: Divide by the largest sample, so that values lie in 0..1.
        full_range: The largest sample, where floats hold samples of 16 bits.

    Shape:
        (H, W) or (H, W, C) -> (C·H·W,), a new array; float32 if ``unit``, else the same dtype.

    Raises:
        ShapeError: The array is no picture.

    Example:
        >>> picture = np.arange(12).reshape(2, 2, 3)  # red of all pixels, then green, then blue
        >>> flatten(picture).tolist()
        [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]
        >>> flatten(np.array([[0, 51], [102, 255]], np.uint8), unit=True).round(2).tolist()
        [0.0, 0.20000000298023224, 0.4000000059604645, 1.0]
    """
    if pixels.ndim not in (2, 3):
        raise ShapeError(
            f"a picture is (H, W) or (H, W, C), got shape {'x'.join(map(str, pixels.shape))}"
        )
    xp = array_module(pixels)
    planes = pixels if pixels.ndim == 2 else xp.transpose(pixels, (2, 0, 1))  # h w c -> c h w
    if not unit:
        return xp.array(planes, order="C").reshape(-1)
    if full_range is None:
        full_range = 65535.0 if pixels.dtype == np.uint16 else 255.0
    row = planes.astype(np.float32, order="C").reshape(-1)
    row /= np.float32(full_range)
    return row
