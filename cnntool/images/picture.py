"""The value that reading returns, filters work on and writing takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEEP_COLOR = "16-bit colour read as 8 bits a channel"
"""The note of a reader that had to drop the lower bits of a colour picture."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels as an array, and what the array alone does not tell.

    Attributes:
        pixels: (H, W) or (H, W, C), uint8, uint16, float32 or float64. Samples are 0..255, or
            0..65535 from 16-bit files, also as floats.
        alpha: Whether the last channel is opacity (LA, RGBA).
        format: Name of the file format that it was read from, a key of ``formats.FORMATS``.
        notes: What the reader had to do that the user may want to know, one sentence each.
        mode: How the file stores its pixels: Pillow's words ('1', 'P', 'RGB', 'I;16' …), P1 to P6
            for PNM, the dtype's name for .npy and PFM.
        icc: The colour profile that came with the picture, or nothing.
    """

    pixels: NDArray[np.generic]
    alpha: bool = False
    format: str = "png"
    notes: tuple[str, ...] = ()
    mode: str = ""
    icc: bytes = b""

    @property
    def full_range(self) -> float:
        """Largest sample: 65535 for uint16, else 255."""
        return 65535.0 if self.pixels.dtype == np.uint16 else 255.0

    @property
    def channels(self) -> int:
        """Number of channels, opacity included."""
        return 1 if self.pixels.ndim == 2 else int(self.pixels.shape[2])
