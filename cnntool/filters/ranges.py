"""The rules of ``--range`` for results that stay floats.

Integers are fitted by :mod:`cnntool.filters.levels`; here the same rules bring floats into
0..full range without rounding them.
"""

from __future__ import annotations

import math

from cnntool.backend import Array, array_module
from cnntool.errors import NameNotFound
from cnntool.filters.words import RANGES


def fit_floats(values: Array, mode: str, full_range: float = 255.0) -> Array:
    """Floats fitted into 0..``full_range``.

    Args:
        values: Results, floats.
        mode: ``clip`` cuts off; ``abs`` drops signs, then cuts off; ``offset`` adds half the
            range (128 of 255, 32768 of 65535), then cuts off; ``rescale`` stretches the smallest
            and largest finite value over the range; ``auto`` and ``raw`` leave values as they are.
        full_range: The largest sample: 255, or 65535 for 16 bits.

    Shape:
        Any; the result has the same shape and dtype, and lies on the same device.

    Raises:
        NameNotFound: The mode is unknown.

    Example:
        >>> import numpy as np
        >>> values = np.array([-80.0, 2.5, 300.0])
        >>> fit_floats(values, "abs").tolist(), fit_floats(values, "offset").tolist()
        ([80.0, 2.5, 255.0], [48.0, 130.5, 255.0])
    """
    if mode not in RANGES:
        raise NameNotFound.among("range", mode, RANGES)
    if mode in ("auto", "raw"):
        return values
    xp = array_module(values)
    kind = values.dtype.type
    if mode == "rescale":
        finite = xp.isfinite(values)
        low = float(xp.where(finite, values, math.inf).min())
        high = float(xp.where(finite, values, -math.inf).max())
        span = high - low if high > low else math.inf
        values = (values - kind(low)) * kind(full_range / span)
    elif mode == "abs":
        values = xp.abs(values)
    elif mode == "offset":
        values = values + kind((full_range + 1) // 2)
    return xp.clip(values, kind(0), kind(full_range))
