"""Colours weighted by their opacity while they are mixed, so that none comes out of nowhere."""

from __future__ import annotations

import numpy as np

from cnntool.backend import Array, array_module


def weighted(x: Array, full_range: float) -> Array:
    """Colours times opacity.

    Args:
        x: Pictures in float32; the last channel is opacity.
        full_range: Opacity of what is opaque.

    Shape:
        (C, H, W, N) -> the same; a new array. Opaque pixels are what they were.
    """
    xp, y = array_module(x), x.copy()
    opacity, full = y[-1:], np.float32(full_range)
    y[:-1] *= xp.where(opacity == full, np.float32(1), opacity / full)
    return y


def unweighted(x: Array, full_range: float) -> Array:
    """Colours divided by their opacity, in place; what nobody sees gets 0."""
    xp, opacity, full = array_module(x), x[-1:], np.float32(full_range)
    seen = (opacity != full) & (opacity > 0)
    x[:-1] *= xp.where(seen, full / xp.where(seen, opacity, full), np.float32(1))
    return x
