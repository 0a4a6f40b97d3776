"""A team of processes: forked once, told by pipes, fed and read through shared memory.

Each has an interpreter of its own, so none waits for another's Python. They are copies of this
process from the moment of the first run: they know the work and everything it refers to, and see
what changes later only where it lies in shared memory. They hold nothing that has to be saved.
When this process ends, however it ends, their pipes close and they end too.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from cnntool import errors
from cnntool.backend import Array
from cnntool.errors import CnntoolError, SystemFailure
from cnntool.nn.teams import UNEQUAL_SUMS, Shard, Team, ThreadTeam, Work, ordered_sum
from cnntool.ops import memory
from cnntool.ops.normalization import AllReduce

MOST_NUMBERS = 7
_TASK = struct.Struct("<qqq7q")  # first and last image, how many numbers, the numbers
_RESULT = struct.Struct("<d")
_LENGTH = struct.Struct("<I")
_READY, _DONE, _FAILED, _GO = b"+", b"=", b"!", b">"
_LONGEST = 4000  # characters of a message
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""What ends this process; its workers leave it to that, and end because it does."""


def forks() -> bool:
    """Whether processes can be forked here: on Linux. On a Mac system libraries break in them.

    Example:
        >>> isinstance(forks(), bool)
        True
    """
    return sys.platform == "linux"


def team(workers: int, work: Work, *, reduced: int = 0) -> Team:
    """The fastest kind of team that this machine has.

    Args:
        workers: How many; the calling process is one of them.
        work: What each does with its part of a batch.
        reduced: Most numbers that ``all_reduce`` is called with.
    """
    if workers > 1 and forks():
        return ProcessTeam(workers, work, reduced=reduced)
    return ThreadTeam(workers, work)


def shared(shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros that processes forked from now on share with this one.

    Raises:
        MemoryError: There is not so much memory.

    Example:
        >>> shared((2, 3), np.float32).sum()
        np.float32(0.0)
    """
    dtype = np.dtype(dtype)
    count = prod(shape)
    size = max(count * dtype.itemsize, 1)
    try:
        room = mmap.mmap(-1, size)
    except OSError as error:
        raise MemoryError(f"no {size} bytes to share with processes: {error.strerror}") from error
    return np.frombuffer(room, dtype, count).reshape(shape)


@dataclass
class _Worker:
    """One forked process, as its parent sees it."""

    pid: int
    tasks: int  # file descriptors
    answers: int

    def tell(self, message: bytes) -> None:
        """Send a message."""
        try:
            os.write(self.tasks, message)
        except BrokenPipeError:
            self.lost()

    def read(self, count: int) -> bytes:
        """Wait for a message."""
        data = _read(self.answers, count)
        if len(data) < count:
            self.lost()
        return data

    def result(self) -> float:
        """Wait for the end of its work."""
        kind = self.read(1)
        if kind == _DONE:
            return float(_RESULT.unpack(self.read(_RESULT.size))[0])
        self.refuse(kind)

    def refuse(self, kind: bytes) -> NoReturn:
        """Raise what a message says that was not expected."""
        if kind == _FAILED:
            (length,) = _LENGTH.unpack(self.read(_LENGTH.size))
            raise _Failure.unpacked(self.read(length)).error()
        raise RuntimeError(UNEQUAL_SUMS)

    def lost(self) -> NoReturn:
        """Raise that it has ended by itself."""
        raise SystemFailure(
            f"worker process {self.pid} ended unexpectedly, perhaps for want of memory; "
            "try --threads 1 or a smaller batch"
        )


@dataclass(frozen=True)
class _Failure:
    """An exception, as a worker tells of it.

    Attributes:
        kind: Name of its class; that of a base class if it is more special than those of
            :mod:`cnntool.errors` or Python's own.
        message: Its text.
        trace: Where it came from.
    """

    kind: str
    message: str
    trace: str

    @classmethod
    def of(cls, error: BaseException) -> _Failure:
        """What is told of an exception."""
        known = (errors.__name__, "builtins")
        kind = next(base for base in type(error).__mro__ if base.__module__ in known)
        trace = "".join(traceback.format_exception(error))
        return cls(kind.__name__, str(error)[:_LONGEST], trace[-_LONGEST:])

    def packed(self) -> bytes:
        """As bytes."""
        fields = (self.kind, self.message, self.trace)
        return "\0".join(text.replace("\0", " ") for text in fields).encode("utf-8", "replace")

    @classmethod
    def unpacked(cls, data: bytes) -> _Failure:
        """From :meth:`packed`."""
        return cls(*data.decode("utf-8", "replace").split("\0"))

    def error(self) -> Exception:
        """The exception again if it is meant for users, else a RuntimeError: a bug."""
        kind = getattr(errors, self.kind, None)
        found: Exception
        if isinstance(kind, type) and issubclass(kind, CnntoolError):
            found = kind(self.message)
        elif self.kind == "MemoryError":
            found = MemoryError(self.message)
        else:
            found = RuntimeError(f"a worker process failed: {self.kind}: {self.message}")
        found.add_note(f"in a worker process:\n{self.trace}")
        return found


class ProcessTeam(Team):
    """Forked processes; this one takes the first part.

    Example:
        >>> with ProcessTeam(2, lambda shard, numbers: shard.images.stop + numbers[0]) as team:
        ...     team.run(5, 100)
        [102, 105.0]
    """

    def __init__(self, workers: int, work: Work, *, reduced: int = 0) -> None:
        super().__init__(workers, work)
        self._crew: list[_Worker] = []
        self._owner = os.getpid()
        self._slots = shared((self.workers, max(reduced, 1) * 8), np.uint8)

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """See :meth:`Team.empty`."""
        return shared(shape, dtype)

    def close(self) -> None:
        """See :meth:`Team.close`; what they are doing is broken off."""
        if os.getpid() != self._owner:
            return  # a copy in a worker of another team: these are not its children
        with _signals_held():
            crew, self._crew = self._crew, []
            for worker in crew:
                os.close(worker.tasks)
                os.close(worker.answers)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
            for worker in crew:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(worker.pid, 0)

    def __del__(self) -> None:
        # at the very end of this process they end by themselves
        if getattr(self, "_crew", None) and not sys.is_finalizing():
            self.close()

    def _together(self, shards: list[slice], numbers: tuple[int, ...]) -> list[float]:
        if len(numbers) > MOST_NUMBERS:
            raise ValueError(f"{len(numbers)} numbers, at most {MOST_NUMBERS} can be passed on")
        filled = (*numbers, *(0 for _ in range(MOST_NUMBERS - len(numbers))))
        try:
            while len(self._crew) < len(shards) - 1:
                self._fork(len(self._crew) + 1)
            for worker, part in zip(self._crew, shards[1:], strict=True):
                worker.tell(_TASK.pack(part.start, part.stop, len(numbers), *filled))
            with self._pool.used():
                first = self.work(Shard(0, shards[0], self._first_sum), numbers)
            return [first, *(worker.result() for worker in self._crew)]
        except BaseException:  # also Ctrl-C: nobody may wait for what never comes
            self.close()
            raise

    def _first_sum(self, array: Array) -> Array:
        """The sum over all parts, as this process calls it."""
        arrays = [array]
        for number, worker in enumerate(self._crew, 1):
            kind = worker.read(1)
            if kind != _READY:
                worker.refuse(kind)
            arrays.append(self._slot(number, array))
        total = ordered_sum(arrays)
        self._slot(0, array)[...] = total
        for worker in self._crew:
            worker.tell(_GO)
        return total

    def _slot(self, number: int, like: Array) -> Array:
        room = self._slots.shape[1]
        if like.nbytes > room:
            raise ValueError(
                f"a sum of {like.nbytes} bytes over the parts of a batch; this team was made for "
                f"{room} at most"
            )
        return self._slots[number, : like.nbytes].view(like.dtype).reshape(like.shape)

    def _fork(self, number: int) -> None:
        """Make one more worker.

        Raises:
            SystemFailure: The system has no more processes or pipes.
        """
        pipes: list[int] = []
        with _signals_held():
            try:
                pipes += os.pipe()
                pipes += os.pipe()
                with warnings.catch_warnings():
                    # threads of this process do not live on in the copy, and hold nothing it needs
                    warnings.simplefilter("ignore", DeprecationWarning)
                    pid = os.fork()
            except OSError as error:
                for descriptor in pipes:
                    os.close(descriptor)
                raise SystemFailure(
                    f"no worker process can be made ({error.strerror}); try --threads 1"
                ) from error
            task_out, task_in, answer_out, answer_in = pipes
            if pid == 0:
                try:
                    for signum in _SIGNALS:
                        signal.signal(signum, signal.SIG_IGN)
                    os.close(task_in)
                    os.close(answer_out)
                    for sibling in self._crew:
                        os.close(sibling.tasks)
                        os.close(sibling.answers)
                    self._serve(number, task_out, answer_in)
                finally:
                    os._exit(1)  # never back into the parent's code
            self._crew.append(_Worker(pid, task_in, answer_out))
            os.close(task_out)
            os.close(answer_in)

    def _serve(self, number: int, tasks: int, answers: int) -> NoReturn:
        """What a worker does all its life."""

        def all_reduce(array: Array) -> Array:
            self._slot(number, array)[...] = array
            os.write(answers, _READY)
            if not _read(tasks, 1):
                os._exit(0)
            return self._slot(0, array).copy()

        reduce: AllReduce = all_reduce
        with memory.Pool().used():
            while True:
                message = _read(tasks, _TASK.size)
                if len(message) < _TASK.size:
                    os._exit(0)
                start, stop, count, *numbers = _TASK.unpack(message)
                shard = Shard(number, slice(start, stop), reduce)
                try:
                    value = self.work(shard, tuple(numbers[:count]))
                    os.write(answers, _DONE + _RESULT.pack(value))
                except BrokenPipeError:
                    os._exit(0)
                except BaseException as error:  # noqa: BLE001 - told to the parent, which raises
                    told = _Failure.of(error).packed()
                    os.write(answers, _FAILED + _LENGTH.pack(len(told)) + told)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Let signals wait meanwhile, so that Ctrl-C leaves no worker without a record.

    Their handlers run in the main thread, whichever thread gets them, so blocking them in one
    thread would not be enough. In other threads there is nothing to wait for.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {
        signum: handler for signum in _SIGNALS if callable(handler := signal.getsignal(signum))
    }
    received: list[tuple[int, FrameType | None]] = []
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [handlers[at[0]](*at) for at in received])  # as the last of all
        for signum, handler in handlers.items():
            stack.callback(signal.signal, signum, handler)
            signal.signal(signum, lambda *at: received.append(at))
        yield


def _read(descriptor: int, count: int) -> bytes:
    """So many bytes, fewer where the other side has gone."""
    data = b""
    while len(data) < count:
        more = os.read(descriptor, count - len(data))
        if not more:
            break
        data += more
    return data
