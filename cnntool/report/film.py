"""Pictures that follow each other, as an animated GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST = 100
"""Pictures of a film; of more, so many at equal distances."""


def film(pictures: Sequence[NDArray[Any]], *, pause: int = 300, last: int = 2500) -> bytes:
    """A GIF that begins anew at its end.

    Args:
        pictures: One or more of the same size: (H, W) or (H, W, 3), uint8.
        pause: Milliseconds that each is shown.
        last: Of the last one.

    Example:
        >>> film([np.zeros((2, 3), np.uint8), np.ones((2, 3), np.uint8)])[:6]
        b'GIF89a'
    """
    chosen = [pictures[n] for n in shown_of(len(pictures))]
    images = [
        Image.fromarray(np.ascontiguousarray(pixels)).convert("P", palette=Image.Palette.ADAPTIVE)
        for pixels in chosen
    ]
    times = [pause] * (len(images) - 1) + [last]
    file = io.BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=times, loop=0)
    return file.getvalue()


def shown_of(count: int) -> list[int]:
    """Numbers of the pictures that are shown, the first and the last among them.

    Example:
        >>> shown_of(3), len(shown_of(1000)), shown_of(1000)[-1]
        ([0, 1, 2], 100, 999)
    """
    if count <= MOST:
        return list(range(count))
    return [round(n * (count - 1) / (MOST - 1)) for n in range(MOST)]
