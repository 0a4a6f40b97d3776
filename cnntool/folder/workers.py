"""Threads that do items, and the boundary where everything that a job raises becomes a value.

The threads are daemons: one that hangs in a decoder cannot keep the process alive once it is asked
to end. ``concurrent.futures`` would wait for it at exit.
"""

from __future__ import annotations

import errno
import os
import queue
import threading
import time
import traceback
from dataclasses import dataclass

from cnntool.errors import CnntoolError, InputError, SystemFailure
from cnntool.files import complaint
from cnntool.folder.job import Done, Item, Job

# conditions of the machine that the next item would meet too
_STOPPING = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}


@dataclass(slots=True)
class Outcome:
    """What became of one item.

    Attributes:
        done: What the job gave; None if it raised or was not asked.
        kept: The files because of which it was not asked; None if it was.
        reason: Why it failed; '' if it did not.
        stop: What ends the run.
        short_of_memory: It failed for want of memory and may succeed alone.
        trace: The traceback of an unexpected error.
        seconds: Time that it took.
    """

    done: Done | None = None
    kept: tuple[str, ...] | None = None
    reason: str = ""
    stop: BaseException | None = None
    short_of_memory: bool = False
    trace: str = ""
    seconds: float = 0.0


def attempt(job: Job, item: Item, skip_existing: bool = False) -> Outcome:
    """Do ``item``; whatever it raises becomes part of the outcome.

    Args:
        job: What to do.
        item: What to do it with.
        skip_existing: Do not ask the job if all its outputs exist.
    """
    outcome = Outcome()
    started = time.perf_counter()
    try:
        if skip_existing:
            outputs = tuple(job.outputs(item))
            if outputs and all(map(os.path.exists, outputs)):
                outcome.kept = outputs
        if outcome.kept is None:
            outcome.done = job(item)
    except InputError as error:
        outcome.reason = str(error) or type(error).__name__
    except CnntoolError as error:
        outcome.stop = error
    except MemoryError:
        outcome.reason = "too big for the memory at hand; try fewer --jobs or a smaller result"
        outcome.short_of_memory = True
    except OSError as error:
        outcome.reason = error.strerror or str(error) or type(error).__name__
        if error.errno in _STOPPING:
            outcome.stop = SystemFailure(complaint(item.path, outcome.reason), errno=error.errno)
    except Exception as error:  # noqa: BLE001 - decoders raise anything: one bad file is one failed item
        outcome.reason = f"internal error ({type(error).__name__}: {error}); --debug shows more"
        outcome.trace = traceback.format_exc()
    except BaseException as error:  # noqa: BLE001 - SystemExit in a thread would only end the thread
        outcome.stop = error
    outcome.seconds = time.perf_counter() - started
    return outcome


class Ticket:
    """An item handed to the workers, and later its outcome.

    Attributes:
        item: What to do.
        taken: Whether a worker has begun.
        outcome: None until it is done, and for ever if it was cancelled.
    """

    __slots__ = ("_unfinished", "item", "outcome", "taken")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.taken = False
        self.outcome: Outcome | None = None
        self._unfinished = threading.Lock()
        self._unfinished.acquire()

    def finish(self, outcome: Outcome | None) -> None:
        """Note the outcome and wake who waits; None cancels."""
        self.outcome = outcome
        self._unfinished.release()

    def wait(self, seconds: float | None = None) -> Outcome | None:
        """The outcome; None if it was cancelled or is not there after ``seconds``."""
        if seconds is None:
            # in steps, because not every system lets a signal through to a thread that waits
            while not self._unfinished.acquire(timeout=0.5):
                pass
            self._unfinished.release()
        elif self._unfinished.acquire(timeout=max(0.0, seconds)):
            self._unfinished.release()
        return self.outcome


class Workers:
    """Threads that do items; at least one, so that the main thread stays free for signals.

    Args:
        job: What each item is given to.
        count: Number of threads, at least 1.
        skip_existing: See :func:`attempt`.
    """

    def __init__(self, job: Job, count: int, skip_existing: bool = False) -> None:
        self.count = max(1, count)
        self._job = job
        self._skip_existing = skip_existing
        self._queue: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._threads = 0

    def submit(self, item: Item) -> Ticket:
        """Queue ``item``; a thread is added as long as there are fewer than asked for."""
        ticket = Ticket(item)
        self._queue.put(ticket)
        if self._threads < self.count:
            self._threads += 1
            threading.Thread(target=self._work, name="cnntool-worker", daemon=True).start()
        return ticket

    def cancel(self) -> None:
        """Cancel what no thread has begun, and let the threads end after what they do now."""
        while True:
            try:
                ticket = self._queue.get_nowait()
            except queue.Empty:
                break
            if ticket is not None:
                ticket.finish(None)
        for _ in range(self._threads):
            self._queue.put(None)

    def _work(self) -> None:
        while (ticket := self._queue.get()) is not None:
            ticket.taken = True
            ticket.finish(attempt(self._job, ticket.item, self._skip_existing))
            del ticket  # nothing of the last item is kept while waiting for the next
