"""Independent parts of one operation, shared out to threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise
from typing import TypeVar

Part = TypeVar("Part")


def share(
    parts: Sequence[Part], work: Callable[[Sequence[Part]], None], *, threads: int = 1
) -> None:
    """Call ``work`` with all parts, or from several threads with a run of neighbours each.

    Every thread takes a contiguous run: it walks through memory in order. The first error of any
    of them is raised when all have ended.

    Example:
        >>> done = []
        >>> share(range(5), done.extend, threads=2)
        >>> sorted(done)
        [0, 1, 2, 3, 4]
    """
    threads = max(1, min(threads, len(parts)))
    if threads == 1:
        work(parts)
        return
    cuts = [len(parts) * t // threads for t in range(threads + 1)]
    first, *others = [parts[begin:end] for begin, end in pairwise(cuts)]
    futures = [strip_threads().submit(work, part) for part in others]
    try:
        work(first)
    finally:
        wait(futures)
    for future in futures:
        future.result()


@cache
def strip_threads() -> ThreadPoolExecutor:
    """Threads that share strips; kept, because the memory of new ones has to be faulted in."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="cnntool-strips")


if hasattr(os, "register_at_fork"):
    # a forked process has none of these threads: it would wait for them for ever
    os.register_at_fork(after_in_child=strip_threads.cache_clear)
