"""Random numbers that are no stream but a function of (seed, step, word, image).

Each is a 32-bit hash of a counter. So a run can be repeated from its seed and step, a batch that is
split over workers gets the numbers of the whole batch, a picture gets the same whatever stands
beside it, and a GPU gets those of a CPU. Nothing is copied between host and device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntool.backend import Array
from cnntool.ops.hashing import counted, key, mix

SLOTS = 8
"""Numbers that each word has for an image; one that needs more takes :meth:`Chance.hashes`."""

# what tells these numbers from those of dropout at the same seed and step
_PURPOSE = 0xA06
_IMAGES, _TABLE, _FIELDS = range(3)


def _key(*numbers: int) -> int:
    return key(*numbers, purpose=_PURPOSE)


class Chance:
    """The random numbers of one batch, or of a part of it.

    Args:
        xp: The library of the numbers.
        count: Number N of images.
        seed: Any whole number.
        step: Any whole number; another one for each batch.
        offset: Number of the first image within the whole batch.

    References:
        Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3 (counters instead of
        states). The hash: Wellons 2018, Prospecting for hash functions, constants found by
        TheIronBorn. Box and Muller 1958, A note on the generation of random normal deviates.

    Example:
        >>> whole = Chance(np, 5, seed=1, step=7).table(2)
        >>> part = Chance(np, 3, seed=1, step=7, offset=2).table(2)
        >>> whole.shape, bool((whole[..., 2:] == part).all())
        ((2, 8, 5), True)
    """

    def __init__(self, xp: Any, count: int, *, seed: int, step: int, offset: int = 0) -> None:
        self.xp, self.count = xp, count
        self._seed, self._step = seed, step
        self._images = counted(xp, offset, count, _key(seed, step, _IMAGES))

    def table(self, words: int) -> Array:
        """Uniform numbers for every word and image.

        Shape:
            (words, :data:`SLOTS`, N), float32, 0 <= u < 1 in steps of 2^-24.
        """
        rows = words * SLOTS
        h = counted(self.xp, 0, rows, _key(self._seed, self._step, _TABLE))
        h = mix(self.xp, h[:, None] ^ self._images[None, :])
        return _uniform(h).reshape(words, SLOTS, self.count)

    def hashes(self, word: int, first: int, count: int) -> Array:
        """Hashes ``first`` to ``first + count`` of a word for every image.

        Shape:
            (count, N), uint32.
        """
        h = counted(self.xp, first, count, _key(self._seed, self._step, _FIELDS, word))
        return mix(self.xp, h[:, None] ^ self._images[None, :])

    def uniforms(self, word: int, count: int) -> Array:
        """Uniform numbers of a word for every image.

        Shape:
            (count, N), float32, 0 <= u < 1 in steps of 2^-24.
        """
        return _uniform(self.hashes(word, 0, count))

    def normals(self, word: int, first: int, count: int) -> tuple[Array, Array]:
        """Twice as many normal numbers of a word for every image as hashes are taken.

        Shape:
            (count, N) each, float32, mean 0 and variance 1, at most 4.9.
        """
        xp, h = self.xp, self.hashes(word, first, count)
        # upper half: length, lower half: direction
        length = (h >> np.uint32(16)).astype(np.float32)
        length += np.float32(0.5)
        length *= np.float32(2**-16)
        xp.log(length, out=length)
        length *= np.float32(-2)
        xp.sqrt(length, out=length)
        angle = (h & np.uint32(0xFFFF)).astype(np.float32)
        angle *= np.float32(2 * np.pi / 2**16)
        one = xp.cos(angle)
        one *= length
        other = xp.sin(angle, out=angle)
        other *= length
        return one, other


def _uniform(hashes: Array) -> Array:
    numbers = (hashes >> np.uint32(8)).astype(np.float32)
    numbers *= np.float32(2**-24)
    return numbers
