"""Bytes to standard output: all of them at once, and failures told apart.

A closed pipe is the reader's good right and stays a BrokenPipeError, which ends the process without
a word. A full disk or a closed descriptor behind it is a failure of the system like any other.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import sys
from collections.abc import Iterator
from typing import BinaryIO

from cnntool.errors import SystemFailure


def standard_output() -> BinaryIO:
    """Where data goes, as bytes; what was printed as text before is written first.

    Raises:
        SystemFailure: Standard output is closed.
    """
    if sys.stdout is None:
        raise _failure("standard output", OSError(errno.EBADF, os.strerror(errno.EBADF)))
    stream = sys.stdout.buffer
    with _failures(stream, "standard output"):
        sys.stdout.flush()
    return stream


def send(stream: BinaryIO, data: bytes, name: str = "standard output") -> None:
    """Write ``data`` to ``stream`` and flush it, so that a reader gets it now.

    Args:
        stream: Open for writing bytes.
        data: All of it is written.
        name: What a message calls the stream.

    Raises:
        BrokenPipeError: The reader has gone.
        SystemFailure: Disk full, descriptor closed and the like.
    """
    with _failures(stream, name):
        rest = memoryview(data)
        while rest:
            rest = rest[_written(stream, rest) :]
        _flush(stream)


def _written(stream: BinaryIO, data: memoryview) -> int:
    """How much of ``data`` the stream took: not all if it has no buffer (PYTHONUNBUFFERED)."""
    try:
        count: int | None = stream.write(data)
    except BlockingIOError as error:
        count = error.characters_written
    if not count:
        _wait_for(stream)
    return count or 0


def _flush(stream: BinaryIO) -> None:
    while True:
        try:
            stream.flush()
        except BlockingIOError:
            _wait_for(stream)
        else:
            return


def _wait_for(stream: BinaryIO) -> None:
    """Wait until a descriptor takes more that was left not to wait by a program before us."""
    select.select([], [stream], [])


@contextlib.contextmanager
def _failures(stream: BinaryIO, name: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_unwritten(stream)
        raise _failure(name, error) from error


def _failure(name: str, error: OSError) -> SystemFailure:
    failure = SystemFailure(f"{name}: cannot be written: {error.strerror or error}")
    failure.errno = error.errno
    return failure


def _drop_unwritten(stream: BinaryIO) -> None:
    """Point a broken stream at nothing: Python would try, and complain, again when it exits."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
