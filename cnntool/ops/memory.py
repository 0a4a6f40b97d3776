"""Memory that is used again: fresh large arrays cost a page fault every four kilobytes.

The system gives large arrays back to the machine when they are freed, and faults them in again at
the next step: writing a fresh one takes 0.9 ms for every 8 MB on the reference machine, one that
was there 0.14 ms. A :class:`Pool` keeps the memory instead. While it is the pool of a thread,
:func:`empty` takes blocks from it that nobody refers to any more, so nothing that is in use is ever
overwritten, and nobody has to say when an array is done with. Without a pool, and on a GPU (CuPy
has a pool of its own), :func:`empty` is the library's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from sys import getrefcount
from typing import Any

import numpy as np

from cnntool.backend import Array

SMALL_BYTES = 1 << 14
"""Below this the system's allocator is as fast."""

_ALIGNMENT = 64  # bytes: a line of the cache, and the widest vector
_local = threading.local()

_Block = tuple[Array, int]


def _unused_count() -> int:
    """What ``getrefcount`` tells of a block that only its pool knows."""
    blocks: list[_Block] = [(np.empty(1, np.uint8), 0)]
    return next(getrefcount(block[0]) for block in blocks)


_UNUSED = _unused_count()


class Pool:
    """Blocks of memory, used again when no array refers to them.

    For one thread: arrays may go to other threads, but only one takes blocks from it.

    Example:
        >>> pool = Pool()
        >>> with pool.used():
        ...     a = empty(np, (100, 100), np.float32)
        ...     address = a.ctypes.data
        ...     del a
        ...     b = empty(np, (99, 100), np.float32)
        >>> b.ctypes.data == address, pool.bytes
        (True, 40960)
    """

    def __init__(self) -> None:
        self._blocks: dict[int, list[_Block]] = {}

    @property
    def bytes(self) -> int:
        """Memory that it holds, used and unused."""
        return sum(size * len(blocks) for size, blocks in self._blocks.items())

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        """An uninitialised array."""
        dtype = np.dtype(dtype)
        size = prod(shape) * dtype.itemsize
        if size < SMALL_BYTES:
            return np.empty(shape, dtype)
        rounded = _rounded(size)
        blocks = self._blocks.setdefault(rounded, [])
        free = next((block for block in blocks if getrefcount(block[0]) == _UNUSED), None)
        if free is None:
            raw = np.empty(rounded + _ALIGNMENT, np.uint8)
            free = raw, -raw.ctypes.data % _ALIGNMENT
            blocks.append(free)
        raw, start = free
        return raw[start : start + size].view(dtype).reshape(shape)

    def trim(self) -> None:
        """Give back what is not in use."""
        for size in list(self._blocks):
            kept = [block for block in self._blocks[size] if getrefcount(block[0]) != _UNUSED]
            if kept:
                self._blocks[size] = kept
            else:
                del self._blocks[size]

    @contextmanager
    def used(self) -> Iterator[Pool]:
        """Let :func:`empty` take from this pool in the calling thread."""
        before = getattr(_local, "pool", None)
        _local.pool = self
        try:
            yield self
        finally:
            _local.pool = before


def _rounded(size: int) -> int:
    """The size of the block for ``size`` bytes: at most an eighth more, so that blocks fit again.

    Example:
        >>> _rounded(39_600), _rounded(40_000), _rounded(40_961)
        (40960, 40960, 45056)
    """
    step = 1 << max(size.bit_length() - 4, 0)
    return -(-size // step) * step


def empty(xp: Any, shape: Sequence[int], dtype: Any) -> Array:
    """An uninitialised array, in memory of the thread's pool if it has one."""
    pool = getattr(_local, "pool", None) if xp is np else None
    return xp.empty(shape, dtype=dtype) if pool is None else pool.empty(shape, dtype)


def zeros(xp: Any, shape: Sequence[int], dtype: Any) -> Array:
    """Zeros, in memory of the thread's pool if it has one."""
    if xp is not np or getattr(_local, "pool", None) is None:
        return xp.zeros(shape, dtype=dtype)
    fresh = empty(xp, shape, dtype)
    fresh.fill(0)
    return fresh


def full(xp: Any, shape: Sequence[int], value: Any, dtype: Any) -> Array:
    """One value everywhere, in memory of the thread's pool if it has one."""
    if xp is not np or getattr(_local, "pool", None) is None:
        return xp.full(shape, value, dtype=dtype)
    fresh = empty(xp, shape, dtype)
    fresh.fill(value)
    return fresh
