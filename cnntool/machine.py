"""What the machine offers this process."""

from __future__ import annotations

import os


def cores() -> int:
    """Cores that this process may run on.

    Example:
        >>> cores() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
