"""A batch split over workers: each computes its part with the same weights.

Workers take neighbouring images. What needs the whole batch (statistics of batch normalisation,
gradients) is summed in the order of the parts, so the same seed and the same number of workers
give the same bits, be they threads or processes. With fewer images than workers the batch stays
whole, and single operations share their strips and filters out to threads instead.

A team is made for one piece of work, a function that is called once for each part of a batch.
Arrays that go in and out lie in memory that all workers see: :meth:`Team.empty` makes it.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Condition
from types import TracebackType
from typing import Any

import numpy as np

from cnntool.backend import Array
from cnntool.blas import one_thread
from cnntool.ops import memory
from cnntool.ops.normalization import AllReduce

SWITCH_SECONDS = 1e-3
"""After this time a thread that waits for the interpreter asks for its turn; 5 ms by default."""

UNEQUAL_SUMS = "the parts of a batch did not sum equally often"
"""What went wrong where one part waits for a sum that another does not take part in."""


@dataclass(frozen=True)
class Shard:
    """One worker's part of a batch.

    Attributes:
        number: From 0.
        images: Which of the batch.
        all_reduce: Sum over the parts; None if there is one.
        threads: Threads that its operations may use.
    """

    number: int
    images: slice
    all_reduce: AllReduce | None = field(default=None, repr=False)
    threads: int = 1


Work = Callable[[Shard, tuple[int, ...]], float]
"""What is done with a part of a batch; gets the numbers that :meth:`Team.run` was given."""


class Team(ABC):
    """Workers that share batches.

    Args:
        workers: How many; the calling thread is one of them.
        work: What each does with its part. If it calls the shard's ``all_reduce``, every part
            does so equally often.
    """

    def __init__(self, workers: int, work: Work) -> None:
        self.workers, self.work = max(1, workers), work
        self._pool = memory.Pool()

    def __enter__(self) -> Team:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Zeros that all workers see, if they are made before the first run or after ``close``."""

    @abstractmethod
    def close(self) -> None:
        """Send the workers home; the next run calls new ones."""

    @abstractmethod
    def _together(self, shards: list[slice], numbers: tuple[int, ...]) -> list[float]:
        """Work on several parts at once."""

    def memory(self) -> AbstractContextManager[memory.Pool]:
        """Let operations of the calling thread use the memory of earlier runs again."""
        return self._pool.used()

    def run(self, images: int, *numbers: int) -> list[float]:
        """Work on a batch; results in the order of its parts.

        Args:
            images: How many it has.
            numbers: What else the work wants to know, up to 7.

        Raises:
            Exception: What a part raised.
        """
        with one_thread():
            if images < self.workers or self.workers == 1:
                with self._pool.used():
                    return [self.work(Shard(0, slice(0, images), threads=self.workers), numbers)]
            cuts = [images * t // self.workers for t in range(self.workers + 1)]
            parts = [slice(cuts[t], cuts[t + 1]) for t in range(self.workers)]
            return self._together(parts, numbers)


class ThreadTeam(Team):
    """Threads of this process.

    The interpreter runs Python in one thread at a time, and where cores sleep when they wait, each
    hand-over costs about 50 µs: two threads are 1.1 times as fast as one on LeNet, where two
    processes are 1.9 times. So they serve where there are no processes to fork.

    Example:
        >>> with ThreadTeam(2, lambda shard, numbers: shard.images.stop + numbers[0]) as team:
        ...     team.run(5, 100)
        [102, 105]
    """

    def __init__(self, workers: int, work: Work) -> None:
        super().__init__(workers, work)
        self._pools = [self._pool, *(memory.Pool() for _ in range(self.workers - 1))]
        self._threads: ThreadPoolExecutor | None = None

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """See :meth:`Team.empty`."""
        return np.zeros(shape, dtype)

    def close(self) -> None:
        """See :meth:`Team.close`."""
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def _together(self, shards: list[slice], numbers: tuple[int, ...]) -> list[float]:
        meeting = _Meeting(len(shards))

        def part(number: int) -> float:
            try:
                with self._pools[number].used():
                    shard = Shard(number, shards[number], meeting.reducer(number))
                    return self.work(shard, numbers)
            finally:
                meeting.leave()

        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.workers - 1, "cnntool-worker")
        futures: list[Future[float]] = []
        first: float | None = None
        with _quick_turns():
            try:
                for number in range(1, len(shards)):
                    futures.append(self._threads.submit(part, number))
                with suppress(_Unmet):  # another part failed, and says why
                    first = part(0)
            finally:
                meeting.leave()  # after Ctrl-C before the first part too: nobody waits for it
                wait(futures)
        failures = [error for future in futures if (error := future.exception()) is not None]
        for failure in failures:
            if not isinstance(failure, _Unmet):
                raise failure
        if first is None or failures:
            raise RuntimeError(UNEQUAL_SUMS)
        return [first, *(future.result() for future in futures)]


class _Unmet(RuntimeError):
    """A part waits for another that has ended."""


class _Meeting:
    """Sums over threads that meet: each adds up all arrays in the same order."""

    def __init__(self, count: int) -> None:
        self.arrays: list[Array] = [np.empty(0)] * count
        self._changed = Condition()
        self._round = self._present = 0
        self._complete = True  # nobody has left

    def reducer(self, number: int) -> AllReduce:
        """The sum as one part calls it."""

        def all_reduce(array: Array) -> Array:
            self.arrays[number] = array
            self._meet()
            total = ordered_sum(self.arrays)
            self._meet()  # nobody goes on, and changes its array, before all have read
            return total

        return all_reduce

    def leave(self) -> None:
        """A part has ended, well or not: nobody waits for it any more."""
        with self._changed:
            self._complete = False
            self._changed.notify_all()

    def _meet(self) -> None:
        """Wait until all parts are here.

        Raises:
            _Unmet: One has left.
        """
        with self._changed:
            now = self._round
            self._present += 1
            if self._present == len(self.arrays):
                self._round, self._present = now + 1, 0
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._round > now or not self._complete)
            if self._round == now:
                raise _Unmet


def ordered_sum(arrays: list[Array]) -> Array:
    """A new array: the first plus the second, plus the third, and so on.

    Example:
        >>> ordered_sum([np.ones(2), np.ones(2), np.arange(2.0)]).tolist()
        [2.0, 3.0]
    """
    total: Array = arrays[0].copy()
    for other in arrays[1:]:
        total += other
    return total


@contextmanager
def _quick_turns() -> Iterator[None]:
    """Let waiting threads ask for their turn soon."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
