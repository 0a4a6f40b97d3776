"""Threads of the library behind NumPy's matrix products: how many it uses, and one for a while.

Workers that share a batch fill the cores already. If each product starts threads of its own beside
them, they wait for each other: on 2 cores, a training step of a SegNet took 1000 ms with OpenBLAS's
own choice of 2 threads and 90 ms with one.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, local
from typing import NamedTuple

import numpy as np

_LIBRARIES = ("openblas", "mkl_rt", "blis", "flexiblas")
_FUNCTIONS = (
    *(
        (f"{p}openblas_get_num_threads{s}", f"{p}openblas_set_num_threads{s}")
        for p in ("scipy_", "")
        for s in ("64_", "_64", "")
    ),
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
    ("bli_thread_get_num_threads", "bli_thread_set_num_threads"),
    ("flexiblas_get_num_threads", "flexiblas_set_num_threads"),
)
"""Names of functions that tell how many threads there are, and that change it."""


class _Threads(NamedTuple):
    """How the library is asked and told."""

    get: Callable[[], int]
    set: Callable[[int], None]


def threads() -> int | None:
    """Threads that a matrix product uses now; None if the library does not tell.

    Example:
        >>> threads() != 0
        True
    """
    found = _found()
    return None if found is None else int(found.get())


@contextmanager
def one_thread() -> Iterator[None]:
    """Let matrix products of this process use one thread each, where the library can be told.

    Several threads may be in here at once: the last one to leave brings the number back.

    Example:
        >>> with one_thread():
        ...     threads() in (1, None)
        True
    """
    found = _found()
    if found is None:
        yield
        return
    _enter(found)
    try:
        yield
    finally:
        _leave(found)


_lock = Lock()
_inside = 0
_before = 1
_mine = local()


def _enter(found: _Threads) -> None:
    global _inside, _before
    with _lock:
        if not _inside:
            _before = int(found.get())
            if _before != 1:
                found.set(1)
        _inside += 1
        _mine.depth = getattr(_mine, "depth", 0) + 1


def _leave(found: _Threads) -> None:
    global _inside
    with _lock:
        _inside -= 1
        _mine.depth -= 1
        if not _inside and _before != 1:
            found.set(_before)


def _after_fork() -> None:
    """In a new process no thread is in here but the one that forked, if it is."""
    global _lock, _inside
    left = _inside - getattr(_mine, "depth", 0)
    _lock = Lock()
    _inside -= left
    found = _found() if left and not _inside else None
    if found is not None and _before != 1:
        found.set(_before)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.cache
def _found() -> _Threads | None:
    """The functions of the first library that has them, NumPy's own first."""
    for path in _paths():
        try:
            library = ctypes.CDLL(path)  # loaded already: this only finds it again
        except OSError:
            continue
        for get, set in _FUNCTIONS:
            if hasattr(library, get) and hasattr(library, set):
                return _Threads(getattr(library, get), getattr(library, set))
    return None


def _paths() -> Iterator[str]:
    """Paths of loaded libraries for matrix products, NumPy's own first."""
    package = Path(np.__file__).parent
    bundled = (package.parent / "numpy.libs", package / ".dylibs")  # Linux and Windows, macOS
    for folder in bundled:
        yield from (str(path) for path in sorted(folder.glob("*openblas*")))
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    loaded = {line.partition("/")[2] for line in maps.splitlines() if "/" in line}
    for path in sorted(loaded):
        if any(name in path.rpartition("/")[2] for name in _LIBRARIES):
            yield "/" + path
