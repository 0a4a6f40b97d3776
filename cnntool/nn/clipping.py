"""Gradient clipping: a single wild step must not throw a training off its path."""

from __future__ import annotations

from math import isfinite, sqrt

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.nn.optimiser import BLOCK, check_range

_EPS = 1e-6  # as torch: a gradient of zeros has a factor too


def clip_norm(gradients: Array, limit: float) -> Array | float:
    """Shorten all gradients together, in place, so that their norm is at most ``limit``.

    The factor is limit / (norm + 1e-6), never above 1. Gradients that are not finite stay so: a
    training that diverges shows.

    Args:
        gradients: They are changed.
        limit: Largest norm, > 0.

    Shape:
        (size,)

    Returns:
        The norm as it was: a number, or a 0-d array of the device, so that nothing waits for it.

    Raises:
        OptionError: The limit is not above 0.

    References:
        Pascanu, Mikolov, Bengio 2013, On the difficulty of training recurrent neural networks.

    Example:
        >>> g = np.array([3.0, 4.0])
        >>> clip_norm(g, 1.0), g.round(5).tolist()
        (5.0, [0.6, 0.8])
    """
    check_range("the limit of the gradients' norm", limit, above=0)
    xp = array_module(gradients)
    if xp is not np:
        length = xp.sqrt(xp.dot(gradients, gradients))
        gradients *= xp.minimum(limit / (length + _EPS), 1)
        return length
    total = 0.0
    for first in range(0, len(gradients), BLOCK):
        # squares of float32 leave its range where gradients explode
        block = gradients[first : first + BLOCK].astype(np.float64)
        block *= block
        total += float(block.sum())
    norm = sqrt(total)
    factor = limit / (norm + _EPS)
    if isfinite(norm) and factor < 1:
        gradients *= factor
    return norm
