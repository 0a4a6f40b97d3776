"""A batch split over threads: each computes its part with the same weights.

Threads take neighbouring images. What needs the whole batch (statistics of batch normalisation,
gradients) is summed in the order of the parts, so the same seed and the same number of threads
give the same bits. With fewer images than threads the batch stays whole, and single operations
share their strips and filters out instead.

The interpreter runs Python in one thread at a time, and hands over when a long NumPy call begins;
a waiting thread asks for its turn after 5 ms, which is a whole step of a small network. So while
threads work, they ask after 0.1 ms.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Barrier, BrokenBarrierError
from types import TracebackType
from typing import TypeVar

import numpy as np

from cnntool.backend import Array
from cnntool.nn.network import Network
from cnntool.ops import memory

SWITCH_SECONDS = 1e-4

Result = TypeVar("Result")


@dataclass(frozen=True)
class Shard:
    """One thread's part of a batch.

    Attributes:
        number: From 0.
        images: Which of the batch.
        all_reduce: Sum over the parts; None if there is one.
        threads: Threads that its operations may use.
    """

    number: int
    images: slice
    all_reduce: Callable[[Array], Array] | None = field(default=None, repr=False)
    threads: int = 1


class Shards:
    """Threads that share batches, and memory that their steps use again.

    Args:
        threads: How many; the calling thread is one of them.

    Example:
        >>> with Shards(2) as shards:
        ...     shards.map(5, lambda shard: shard.images)
        [slice(0, 2, None), slice(2, 5, None)]
    """

    def __init__(self, threads: int = 1) -> None:
        self.threads = max(1, threads)
        self._pools = [memory.Pool() for _ in range(self.threads)]
        self._workers: ThreadPoolExecutor | None = None

    def __enter__(self) -> Shards:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads."""
        if self._workers is not None:
            self._workers.shutdown()
            self._workers = None

    def map(self, images: int, work: Callable[[Shard], Result]) -> list[Result]:
        """Call ``work`` once for each part of a batch, at the same time; results in order.

        Args:
            images: How many the batch has.
            work: What to do; it may call the shard's ``all_reduce``, if every part does so
                equally often.

        Raises:
            Exception: What the first part that failed raised.
        """
        count = self.threads if images >= self.threads else 1
        cuts = [images * t // count for t in range(count + 1)]
        if count == 1:
            only = Shard(0, slice(0, images), threads=self.threads)
            with self._pools[0].used():
                return [work(only)]
        sums = _Sums(count)
        shards = [
            Shard(number, slice(cuts[number], cuts[number + 1]), sums.reducer(number))
            for number in range(count)
        ]

        def part(shard: Shard) -> Result:
            try:
                with self._pools[shard.number].used():
                    return work(shard)
            except BaseException:
                sums.barrier.abort()  # nobody waits for this part any more
                raise

        if self._workers is None:
            self._workers = ThreadPoolExecutor(self.threads - 1, "cnntool-shard")
        with _quick_turns():
            futures = [self._workers.submit(part, shard) for shard in shards[1:]]
            failures: list[BaseException] = []
            results: list[Result] = []
            try:
                results.append(part(shards[0]))
            except BaseException as error:
                failures.append(error)
            wait(futures)
        for future in futures:
            error = future.exception()
            if error is None:
                results.append(future.result())
            else:
                failures.append(error)
        for failure in failures:
            if not isinstance(failure, BrokenBarrierError):
                raise failure
        return results

    def predict(
        self, network: Network, x: Array, *, batch: int = 64, logits: bool = False
    ) -> Array:
        """See :meth:`Network.predict`."""
        xp = network.device.xp
        parts: list[Array | None] = [None] * x.shape[-1]

        def work(shard: Shard) -> None:
            start, stop = shard.images.start, shard.images.stop
            for first in range(start, max(stop, start + 1), batch):
                images = slice(first, min(first + batch, stop))
                part = xp.ascontiguousarray(x[..., images]).astype(network.dtype, copy=False)
                y, _ = network.forward(part, network.run(threads=shard.threads), logits=logits)
                parts[first] = y

        if not x.shape[-1]:
            return xp.zeros((*network.output, 0), dtype=network.dtype)
        if network.device.is_gpu:
            work(Shard(0, slice(0, x.shape[-1])))
        else:
            self.map(x.shape[-1], work)
        return xp.concatenate([part for part in parts if part is not None], axis=-1)


class _Sums:
    """Sums over parts that meet: each adds up all arrays in the same order."""

    def __init__(self, count: int) -> None:
        self.barrier = Barrier(count)
        self.arrays: list[Array] = [np.empty(0)] * count

    def reducer(self, number: int) -> Callable[[Array], Array]:
        """The sum as one part calls it."""

        def all_reduce(array: Array) -> Array:
            self.arrays[number] = array
            self.barrier.wait()
            total = self.arrays[0] + self.arrays[1]
            for other in self.arrays[2:]:
                total += other
            self.barrier.wait()  # nobody goes on, and changes its array, before all have read
            return total

        return all_reduce


@contextmanager
def _quick_turns() -> Iterator[None]:
    """Let waiting threads ask for their turn soon."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
