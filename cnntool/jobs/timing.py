"""Any job with its duration noted: what ``-vv`` shows."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from cnntool.folder.job import Done, Item, Job


@dataclass(frozen=True)
class Timed:
    """A job that also notes how long each item took.

    Attributes:
        job: What is timed.

    Example:
        >>> class Idle:
        ...     def outputs(self, item):
        ...         return ()
        ...     def __call__(self, item):
        ...         return Done()
        >>> Timed(Idle())(Item("a.png")).notes
        ('0.000 s',)
    """

    job: Job

    def outputs(self, item: Item) -> tuple[str, ...]:
        """Those of the job."""
        return self.job.outputs(item)

    def __call__(self, item: Item) -> Done:
        """Do the item, with one more note."""
        started = time.perf_counter()
        done = self.job(item)
        return replace(done, notes=(*done.notes, f"{time.perf_counter() - started:.3f} s"))
