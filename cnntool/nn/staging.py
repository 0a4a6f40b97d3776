"""Room for batches in memory that all workers of a team see."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from cnntool.backend import Array
from cnntool.nn.teams import Team

_FACTS = 10  # kind and width of the type, number of axes, up to seven sizes


class Staging:
    """One array at a time, of any shape and type that fits the room.

    What the array is like stands in shared memory too, so workers that were forked before see it.

    Example:
        >>> from cnntool.nn.teams import ThreadTeam
        >>> room = Staging(ThreadTeam(1, lambda shard, numbers: 0.0))
        >>> room.put(np.ones((2, 5), np.uint8))
        >>> room.holds(np.ones((3, 3), np.uint8)), room.holds(np.ones((11,), np.uint8))
        (True, False)
        >>> room.array.shape
        (2, 5)
    """

    def __init__(self, team: Team) -> None:
        self._team = team
        self._room: Array = None
        self._facts: Any = None

    def holds(self, x: Array) -> bool:
        """Whether an array fits; else workers have to be called anew after :meth:`put`."""
        return self.has(x.nbytes)

    def has(self, size: int) -> bool:
        """Whether there is room for so many bytes."""
        return self._room is not None and size <= self._room.nbytes

    def put(self, x: Array) -> None:
        """Copy an array in."""
        self.describe(x.shape, x.dtype)[...] = x

    def describe(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Make room for an array, and give it."""
        dtype = np.dtype(dtype)
        size = prod(shape) * dtype.itemsize
        if self._room is None or size > self._room.nbytes:
            self._room = self._team.empty((max(size, 1),), np.uint8)
            self._facts = self._team.empty((_FACTS,), np.int64)
        self._facts[: 3 + len(shape)] = ord(dtype.kind), dtype.itemsize, len(shape), *shape
        return self.array

    @property
    def array(self) -> Array:
        """What is in it."""
        kind, width, axes, *sizes = self._facts.tolist()
        shape = tuple(sizes[:axes])
        dtype = np.dtype(f"{chr(kind)}{width}")
        return self._room[: prod(shape) * width].view(dtype).reshape(shape)
