"""Random numbers that are no stream but a function: 32-bit hashes of counters.

A run can be repeated from its seed and step, a batch that is split over workers gets the numbers of
the whole batch, and a GPU gets those of a CPU, bit for bit. Nothing is copied to a device.

References:
    Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3 (counters instead of states).
    Wellons 2018, Prospecting for hash functions; constants found by TheIronBorn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntool.backend import Array

_ROUNDS = ((16, 0x21F0AAAD), (15, 0x735A2D97))
_LAST = 15


def key(*numbers: int, purpose: int = 0) -> int:
    """One 32-bit number from whole numbers of any size and sign, on the host.

    Args:
        numbers: What it depends on: seed, step, what it is for.
        purpose: Tells users apart that have the same numbers.

    Example:
        >>> key(1, 7) == key(1, 7), key(1, 7) == key(7, 1), key(-1) == key(1)
        (True, False, False)
    """
    found = purpose
    for number in numbers:
        rest = 2 * number if number >= 0 else -2 * number - 1
        while True:  # 32 bits at a time, at least once
            found = (found ^ (rest & 0xFFFFFFFF)) * 0x9E3779B1 & 0xFFFFFFFF
            for shift, factor in _ROUNDS:
                found = (found ^ found >> shift) * factor & 0xFFFFFFFF
            found ^= found >> _LAST
            rest >>= 32
            if not rest:
                break
    return found


def mix(xp: Any, h: Array, scratch: Array | None = None, *, whole: bool = True) -> Array:
    """Replace 32-bit numbers by their hashes, in place.

    Args:
        xp: NumPy or CuPy.
        h: uint32 numbers.
        scratch: As large; a new array if left out.
        whole: Whether the last shift is done. It changes low bits only, which a comparison with a
            threshold hardly sees.
    """
    scratch = xp.empty_like(h) if scratch is None else scratch
    for shift, factor in _ROUNDS:
        xp.right_shift(h, np.uint32(shift), out=scratch)
        xp.bitwise_xor(h, scratch, out=h)
        xp.multiply(h, np.uint32(factor), out=h)
    if whole:
        xp.right_shift(h, np.uint32(_LAST), out=scratch)
        xp.bitwise_xor(h, scratch, out=h)
    return h


def counted(xp: Any, first: int, count: int, start: int, *, whole: bool = True) -> Array:
    """Hashes of the numbers from ``first`` on, (count,), uint32; ``start`` is a :func:`key`."""
    h = xp.arange(count, dtype=np.uint32)
    h += np.uint32(first & 0xFFFFFFFF)
    h ^= np.uint32(start)
    return mix(xp, h, whole=whole)
