"""PNG files whose samples are places in a palette: class numbers that look like something."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode_indexed(numbers: NDArray[np.uint8], palette: bytes) -> bytes:
    r"""A PNG file of numbers with a colour for each.

    Args:
        numbers: (H, W).
        palette: Red, green and blue of 256 numbers: with fewer, places would be stored in fewer
            bits than the highest numbers need.

    Example:
        >>> data = encode_indexed(np.array([[0, 255]], np.uint8), bytes(768))
        >>> data[:4], data[25]  # colour type 3: a palette
        (b'\x89PNG', 3)
    """
    image = Image.fromarray(np.ascontiguousarray(numbers)).convert("L")
    image.putpalette(palette)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
