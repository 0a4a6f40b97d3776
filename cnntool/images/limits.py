"""How large an input may be, and one memory budget for all threads that work on inputs.

A file of 34 bytes can ask for a gigabyte, so every size is read from the header and judged before
anything is decoded. The rule: a picture of P pixels needs P x (17 + 12 x kernels) bytes. 17 is what
the most wasteful decoder takes a pixel (measured: transparent PNG, progressive JPEG), 12 is one
float32 RGB result a kernel. What threads hold at one time is kept in one ledger; a picture that
does not fit *now* waits, one that never fits is a :class:`LimitError`. Nothing here imports NumPy
or Pillow.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cnntool.errors import LimitError, NameNotFound

MIB = 1 << 20
GIB = 1 << 30

BYTES_PER_PIXEL = 17
BYTES_PER_PIXEL_AND_KERNEL = 12

_WAY_OUT = "--limits off lifts this limit"


@dataclass(frozen=True)
class Limits:
    """Bounds on one input; None lifts a bound.

    Attributes:
        name: The word of ``--limits``.
        memory_budget: Bytes that all inputs in work may need at one time.
        side: Largest width or height in pixels.
        file_size: Largest file in bytes.
        frames: Most pictures in one animation or multi-page file.
    """

    name: str
    memory_budget: int | None = None
    side: int | None = None
    file_size: int | None = None
    frames: int | None = None

    def check_file_size(self, nbytes: int) -> None:
        """Raise LimitError if a file of ``nbytes`` bytes is too large."""
        if self.file_size is not None and nbytes > self.file_size:
            raise LimitError(
                f"the file is larger than {in_words(self.file_size)}; {_WAY_OUT}",
                nbytes=nbytes,
            )

    def check_picture(self, width: int, height: int, frames: int = 1) -> None:
        """Raise LimitError if sides or the number of frames are too large."""
        if self.side is not None and max(width, height) > self.side:
            raise LimitError(
                f"{width} x {height} pixels: a side is longer than {self.side}; {_WAY_OUT}",
                width=width,
                height=height,
            )
        if self.frames is not None and frames > self.frames:
            raise LimitError(
                f"{frames} frames are more than {self.frames}; {_WAY_OUT}", frames=frames
            )


def physical_memory() -> int:
    """Bytes of memory that this process may use: the RAM, or less in a container or under ulimit.

    Where the system does not tell, 4 GiB.
    """
    known = [_machine_memory()]
    # a container's share: version 2 and version 1 of Linux control groups
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(name, encoding="ascii") as file:
                text = file.read(64).strip()
        except (OSError, ValueError):
            continue
        if text.isdigit():
            known.append(int(text))
    try:
        import resource
    except ImportError:  # not on Windows
        pass
    else:
        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        if soft != resource.RLIM_INFINITY:
            known.append(soft)
    return min((size for size in known if size > 0), default=4 * GIB)


def _machine_memory() -> int:
    if sys.platform == "win32":
        import ctypes

        class _MemoryStatus(ctypes.Structure):
            _fields_ = (
                ("length", ctypes.c_ulong),
                ("load", ctypes.c_ulong),
                ("total", ctypes.c_ulonglong),
                ("rest", ctypes.c_ulonglong * 6),
            )

        status = _MemoryStatus()
        status.length = ctypes.sizeof(status)
        done = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status.total) if done else 0
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


LIMITS: dict[str, Limits] = {
    "normal": Limits("normal", physical_memory() // 4, 65_500, 512 * MIB, 10_000),
    "strict": Limits("strict", GIB, 65_500, 512 * MIB, 1_000),
    "off": Limits("off"),
}
"""The choices of ``--limits``."""


def limits(name: str | Limits) -> Limits:
    """The profile called ``name``; a profile of one's own passes through.

    Raises:
        NameNotFound: There is no such profile.

    Example:
        >>> limits("strict").side
        65500
    """
    if isinstance(name, Limits):
        return name
    if name not in LIMITS:
        raise NameNotFound.among("limits profile", name, LIMITS)
    return LIMITS[name]


def memory_needed(pixels: int, kernels: int = 0) -> int:
    """Bytes that a picture of ``pixels`` pixels takes while ``kernels`` results are made of it.

    Example:
        >>> memory_needed(1_000_000, kernels=2)
        41000000
    """
    return pixels * (BYTES_PER_PIXEL + BYTES_PER_PIXEL_AND_KERNEL * kernels)


@contextmanager
def reserve(nbytes: int, profile: Limits, what: str = "this input") -> Iterator[None]:
    """Hold ``nbytes`` of the memory budget while the block runs; wait while others hold too much.

    Args:
        nbytes: Bytes needed, >= 0.
        profile: Whose budget applies.
        what: Subject of the error message, in the plural: "12000 x 9000 pixels".

    Raises:
        LimitError: The budget would not be enough even if nobody else held any of it.

    Example:
        >>> with reserve(10_000_000, limits("strict")):
        ...     pass
    """
    if profile.memory_budget is None:
        yield
        return
    owner = threading.get_ident()
    _LEDGER.take(owner, nbytes, profile, what)
    try:
        yield
    finally:
        _LEDGER.give_back(owner, nbytes)


class _Ledger:
    """Who holds how many bytes, and who waits, first come first served.

    A thread that already holds something and wants more goes to the front: it can finish and give
    back. If everybody who holds also waits, nobody could ever give back, so then the first of the
    queue is let through over the budget by its one request.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: dict[int, int] = {}
        self._queue: deque[int] = deque()

    def take(self, owner: int, nbytes: int, profile: Limits, what: str) -> None:
        budget = profile.memory_budget or 0
        with self._changed:
            own = self._held.get(owner, 0)
            if own + nbytes > budget:
                rest = f" besides {in_words(own)} already in use" if own else ""
                raise LimitError(
                    f"{what} need {in_words(nbytes)} of memory{rest}, "
                    f"the budget is {in_words(budget)}; {_WAY_OUT}",
                    needed=nbytes,
                    budget=budget,
                )
            if own:
                self._queue.appendleft(owner)
            else:
                self._queue.append(owner)
            try:
                while not self._may_go(owner, nbytes, budget):
                    self._changed.wait()
            finally:
                self._queue.remove(owner)
                self._changed.notify_all()
            self._held[owner] = self._held.get(owner, 0) + nbytes

    def give_back(self, owner: int, nbytes: int) -> None:
        with self._changed:
            self._held[owner] -= nbytes
            if self._held[owner] <= 0:
                del self._held[owner]
            self._changed.notify_all()

    def _may_go(self, owner: int, nbytes: int, budget: int) -> bool:
        if self._queue[0] != owner:
            return False
        if sum(self._held.values()) + nbytes <= budget:
            return True
        return all(holder in self._queue for holder in self._held)


_LEDGER = _Ledger()


def in_words(nbytes: int) -> str:
    """A number of bytes for people.

    Example:
        >>> in_words(1 << 30), in_words(800_000), in_words(12)
        ('1.0 GiB', '781.2 KiB', '12 bytes')
    """
    if nbytes < 1024:
        return f"{nbytes} bytes"
    size = float(nbytes)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        if size < 1024 or unit == "TiB":
            break
    return f"{size:.1f} {unit}"
