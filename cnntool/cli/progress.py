"""How far a run has come: a bar on a terminal, else a line at every tenth of a long run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cnntool.cli.streams import warn

QUIET_SECONDS = 2.0
"""A run that is over by then needs no lines."""


@contextmanager
def follow(
    total: int, *, shown: bool, printing: bool = True
) -> Iterator[Callable[[int, int], None]]:
    """A function ``progress(done, total)`` that shows how far the run is, on stderr.

    A bar needs a terminal that shows nothing else: where the paths or rows of results are printed
    to the same terminal, they are the progress.

    Args:
        total: Inputs in all.
        shown: Whether the user wants to see anything.
        printing: Whether the run prints on standard output while it goes on.
    """
    if not shown or total < 2 or sys.stderr is None:
        yield lambda done, total: None
    elif not sys.stderr.isatty():
        yield _Tenths()
    elif printing and sys.stdout is not None and sys.stdout.isatty():
        yield lambda done, total: None
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
            task = bar.add_task("", total=total)
            yield lambda done, total: bar.update(task, completed=done)


@contextmanager
def follow_bytes(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A function ``progress(done, total)`` in bytes that shows how far a download is, on stderr."""
    if not shown or sys.stderr is None:
        yield lambda done, total: None
    elif not sys.stderr.isatty():
        yield _Tenths()
    else:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


class _Tenths:
    """One plain line at every 10 %."""

    def __init__(self) -> None:
        self.shown = 0
        self.begins = time.monotonic() + QUIET_SECONDS

    def __call__(self, done: int, total: int) -> None:
        tenth = done * 10 // total
        if self.shown < tenth < 10 and time.monotonic() >= self.begins:
            self.shown = tenth
            warn(f"{tenth * 10} % ({done} of {total})")
