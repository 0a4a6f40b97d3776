"""Ending by a signal: clean up, then die by that very signal, so that shells and schedulers see it.

Ctrl-C, SIGTERM and a closed terminal all take one path: an exception in the main thread, which the
runner answers within a second. A second signal ends the process at once, still without litter.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from cnntool.files import remove_temporaries

_HANDLED = ("SIGINT", "SIGTERM", "SIGHUP")


class Stopped(KeyboardInterrupt):
    """A signal asks the process to end.

    Args:
        signum: The signal's number.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@contextmanager
def handle_signals() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into :class:`Stopped`; a second kills.

    A signal that the process was started to ignore (``nohup``, a background job) stays ignored.
    Outside of the main thread this does nothing, because Python handles signals there only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        if len(received) > 1:
            die_by(signum)
        raise Stopped(signum)

    previous = {}
    for name in _HANDLED:
        number = getattr(signal, name, None)
        # None: a handler that was not set from Python cannot be put back
        if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
            previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def die_by(signum: int) -> NoReturn:
    """Remove this process's temporaries and end it by ``signum``, as if it had no handler.

    Nothing is flushed and no thread is waited for.

    Args:
        signum: SIGINT, SIGTERM, SIGHUP or SIGPIPE.
    """
    remove_temporaries(final=True)
    if os.name != "nt":
        signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signum})
        os.kill(os.getpid(), signum)
    os._exit(128 + signum)


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Let the first SIGINT, SIGTERM or SIGHUP only be noted in the list; a second kills.

    For work that ends at a moment of its own choice, soon: a training saves its state first. The
    caller then raises :class:`Stopped`.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        if len(received) > 1:
            die_by(signum)

    previous = {}
    for name in _HANDLED:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
            previous[number] = signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
