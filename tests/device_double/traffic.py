"""What a program on a GPU pays for without noticing: counted."""

import contextlib
import dataclasses
import threading
import weakref

import numpy as np


class OutOfMemoryError(MemoryError):
    """As cupy.cuda.memory.OutOfMemoryError, a MemoryError too."""


@dataclasses.dataclass
class Traffic:
    """Counters since ``reset()``; ``limit`` bytes of memory make larger allocations fail."""

    uploads: int = 0
    uploaded_bytes: int = 0
    downloads: int = 0  # each also waits for the device
    downloaded_bytes: int = 0
    syncs: int = 0  # other waits
    atomics: int = 0
    float64: int = 0  # arrays of float64 or complex128 made
    operations: int = 0
    live_bytes: int = 0
    limit: int = 0

    def __post_init__(self) -> None:
        self._owners: set[int] = set()
        self._lock = threading.RLock()  # finalizers may run while it is held

    def reset(self) -> None:
        """Zero the counters and lift the limit; arrays that live on stay accounted for."""
        live = self.live_bytes
        for field in dataclasses.fields(self):
            setattr(self, field.name, field.default)
        self.live_bytes = live

    def upload(self, nbytes: int) -> None:
        with self._lock:
            self.uploads += 1
            self.uploaded_bytes += nbytes

    def download(self, nbytes: int) -> None:
        with self._lock:
            self.downloads += 1
            self.downloaded_bytes += nbytes

    def sync(self, times: int = 1) -> None:
        with self._lock:
            self.syncs += times

    def atomic(self) -> None:
        with self._lock:
            self.atomics += 1

    def result(self, buffer: np.ndarray) -> None:
        """Count one result; memory is counted once however many views share it."""
        owner = buffer
        while getattr(owner, "base", None) is not None:
            owner = owner.base
        with self._lock:
            self.operations += 1
            if not isinstance(owner, np.ndarray) or id(owner) in self._owners:
                return
            if self.limit and self.live_bytes + owner.nbytes > self.limit:
                raise OutOfMemoryError(
                    f"Out of memory allocating {owner.nbytes:,} bytes (allocated so far: "
                    f"{self.live_bytes:,} bytes, limit set to: {self.limit:,} bytes)."
                )
            if owner.dtype in (np.float64, np.complex128):
                self.float64 += 1
            self.live_bytes += owner.nbytes
            self._owners.add(id(owner))
            weakref.finalize(owner, self._freed, id(owner), owner.nbytes).atexit = False

    def _freed(self, owner: int, nbytes: int) -> None:
        with self._lock:
            self._owners.discard(owner)
            self.live_bytes -= nbytes


traffic = Traffic()


@contextlib.contextmanager
def no_transfers(allow_sync: bool = False, allow_float64: bool = False):
    """Fail if the block copies between host and device, waits, or makes float64 by accident."""
    watched = ["uploads", "downloads"]
    watched += [] if allow_sync else ["syncs"]
    watched += [] if allow_float64 else ["float64"]
    before = {name: getattr(traffic, name) for name in watched}
    yield traffic
    grown = {name: getattr(traffic, name) - before[name] for name in watched}
    hidden = {name: times for name, times in grown.items() if times}
    if hidden:
        raise AssertionError(f"hidden traffic between host and device: {hidden}")
