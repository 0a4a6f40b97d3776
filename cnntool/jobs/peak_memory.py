"""The most memory that a computation held: this process, its worker processes, or a GPU's pool."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cnntool.backend import Backend

_PROCESS = Path("/proc/self")


def peak_memory(device: Backend) -> int | None:
    """Bytes that were needed at most so far; None where the system does not tell.

    On a CPU it is the peak of this process and what its worker processes now hold for themselves,
    so ask before they go home. On a GPU it is what CuPy took from the card.

    Args:
        device: Where the work was done.

    Example:
        >>> from cnntool import backend
        >>> peak_memory(backend.get("cpu")) != 0
        True
    """
    if device.is_gpu:
        return int(device.xp.get_default_memory_pool().total_bytes())
    own = _own_peak()
    return None if own is None else own + sum(map(_private, workers(_PROCESS)))


def _own_peak() -> int | None:
    # ru_maxrss would begin with the peak of the process that started this one
    found = _kibibytes(_PROCESS / "status", "VmHWM")
    if found or sys.platform == "win32":
        return found
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def workers(process: Path) -> list[int]:
    """Processes that a process has forked, on Linux; none where the system does not tell.

    Example:
        >>> workers(Path("/no/such/process"))
        []
    """
    found: list[int] = []
    for file in process.glob("task/*/children"):
        try:
            found += map(int, file.read_text("ascii").split())
        except OSError:  # the thread has ended, or a kernel without this file
            continue
    return found


def _private(pid: int) -> int:
    """Memory that a process shares with no other."""
    file = Path(f"/proc/{pid}/smaps_rollup")
    return (_kibibytes(file, "Private_Dirty") or 0) + (_kibibytes(file, "Private_Clean") or 0)


def _kibibytes(file: Path, name: str) -> int | None:
    """A size in a list of sizes, in bytes."""
    try:
        found = re.search(rf"(?m)^{name}:\s*(\d+) kB", file.read_text("ascii"))
    except (OSError, UnicodeDecodeError):
        return None
    return 1024 * int(found[1]) if found else None
