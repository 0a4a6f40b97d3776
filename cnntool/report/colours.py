"""Numbers as colours: scales from one number to another, and maps laid over pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnntool.filters.channels import luma

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
Stops = Sequence[Colour]
"""Colours at equal distances, from the lowest number to the highest."""

PAPER: Stops = ((255, 255, 255), (254, 217, 142), (244, 135, 75), (200, 45, 50), (125, 10, 45))
"""White over orange to dark red: for matrices, whose numbers stand on the colours."""

SIGNS: Stops = ((33, 90, 165), (120, 170, 215), (255, 255, 255), (240, 150, 120), (180, 30, 45))
"""Blue for negative, white for 0, red for positive."""

GLOW: Stops = (
    (4, 4, 20), (48, 18, 92), (120, 32, 120), (190, 52, 100), (236, 100, 62), (250, 172, 60),
    (252, 244, 180),
)  # fmt: skip
"""Black over violet and orange to light yellow, brighter all the way: for strengths from 0 on."""

NOT_FINITE: Colour = (200, 200, 200)
"""Grey, for what is no number."""

_OPACITY = 0.85  # of the strongest value laid over a picture


def coloured(parts: NDArray[np.floating], stops: Stops) -> NDArray[np.float64]:
    """Colours of numbers 0..1: (…) -> (…, 3), 0..255.

    Example:
        >>> coloured(np.array([0.0, 0.5]), ((0, 0, 0), (200, 100, 0))).tolist()
        [[0.0, 0.0, 0.0], [100.0, 50.0, 0.0]]
    """
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(parts, places, channel) for channel in zip(*stops, strict=True)], -1)


@dataclass(frozen=True, slots=True)
class Scale:
    """Colours between two numbers; what lies beyond gets the colour of the end.

    Attributes:
        low: The number of the first colour.
        high: The number of the last one.
        stops: The colours.

    Example:
        >>> scale = Scale.of(np.array([[-1.0, 4.0]]))
        >>> scale.low, scale.high, scale.signed
        (-4.0, 4.0, True)
    """

    low: float
    high: float
    stops: Stops

    @classmethod
    def of(cls, values: ArrayLike, *, signed: bool | None = None, spare: float = 0.0) -> Scale:
        """A scale for numbers: from 0 on, or as far to both sides of 0 where some are negative.

        Args:
            values: The numbers; what is not finite does not count.
            signed: Whether there are two sides; None looks.
            spare: Share of the largest numbers that may lie beyond the end, 0 to 1: a few
                extremes must not leave all others dark.
        """
        found = np.asarray(values, np.float64)
        found = found[np.isfinite(found)]
        signed = bool((found < 0).any()) if signed is None else signed
        sizes = np.sort(np.abs(found) if signed else np.maximum(found, 0))
        end = float(sizes[int((len(sizes) - 1) * (1 - spare))]) if len(sizes) else 0.0
        if not end and len(sizes):
            end = float(sizes[-1])
        end = end or 1.0
        return cls(-end, end, SIGNS) if signed else cls(0.0, end, GLOW)

    @property
    def signed(self) -> bool:
        """Whether it has two sides."""
        return self.low < 0

    def parts(self, values: ArrayLike) -> NDArray[np.float64]:
        """Numbers as shares 0..1 of the way from low to high."""
        numbers = np.nan_to_num(np.asarray(values, np.float64))
        return np.clip((numbers - self.low) / (self.high - self.low), 0, 1)

    def paint(self, values: ArrayLike) -> Pixels:
        """The colours of numbers: (…) -> (…, 3)."""
        numbers = np.asarray(values, np.float64)
        colours: Pixels = np.rint(coloured(self.parts(numbers), self.stops)).astype(np.uint8)
        colours[~np.isfinite(numbers)] = NOT_FINITE
        return colours

    def laid_over(self, picture: Pixels, values: ArrayLike) -> Pixels:
        """A picture in grey, coloured where the numbers are far from 0.

        Args:
            picture: Grey or RGB.
            values: A number for each of its pixels.

        Shape:
            (H, W[, 3]) and (H, W) -> (H, W, 3).

        Example:
            >>> scale = Scale(0, 1, ((0, 0, 0), (255, 0, 0)))
            >>> scale.laid_over(np.full((1, 2), 100, np.uint8), [[0.0, 1.0]]).tolist()
            [[[100, 100, 100], [232, 15, 15]]]
        """
        parts = self.parts(values)
        if self.signed:
            # a white middle would be fog: the ends alone colour, and weak values shine through
            strength = np.sqrt(np.abs(2 * parts - 1))
            colours = coloured(np.rint(parts), self.stops)
        else:
            strength, colours = parts, coloured(parts, self.stops)
        grey = luma(picture, dtype=np.float64)
        share = _OPACITY * strength[..., None]
        laid: Pixels = np.rint((1 - share) * grey[..., None] + share * colours).astype(np.uint8)
        return laid
