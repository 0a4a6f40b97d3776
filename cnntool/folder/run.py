"""A job over many inputs: results in the order of the inputs, memory that does not grow with them.

The main thread hands out a few items more than there are workers and takes the outcomes in order,
so that only those few are ever in memory, and signals always find somebody at home. A bad input
costs one line; a full disk ends the run, because the next item would meet it too.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from cnntool.errors import CnntoolError, OptionError
from cnntool.files import (
    complaint,
    one_line,
    remove_temporaries,
    send,
    standard_output,
    terminal_safe,
)
from cnntool.folder.inputs import Inputs
from cnntool.folder.job import Done, Job
from cnntool.folder.journal import Journal, Status
from cnntool.folder.workers import Outcome, Ticket, Workers
from cnntool.machine import cores

GRACE_SECONDS = 1.0
"""How long an interrupted run waits for what is being done."""

_WINDOW = 4  # items handed out for each worker: enough that none waits for a slow neighbour

OnError = Literal["continue", "stop"]
"""What a failed input does to the rest."""


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
        done: Inputs that succeeded.
        failed: Inputs and folders that did not.
        skipped: Inputs whose results existed, and files of folders that are no inputs.
        several: Whether there was more than one input to count, or a folder or list.
    """

    done: int = 0
    failed: int = 0
    skipped: int = 0
    several: bool = False

    @property
    def exit_code(self) -> int:
        """0 if nothing failed, else 1."""
        return 1 if self.failed else 0

    def __str__(self) -> str:
        return f"{self.done} done, {self.failed} failed, {self.skipped} skipped"


def run(
    job: Job,
    inputs: Inputs,
    *,
    jobs: int = 1,
    on_error: OnError = "continue",
    report: str | None = None,
    force: bool = False,
    skip_existing: bool = False,
    debug: bool = False,
    print0: bool = False,
    emit_path: Callable[[str], None] | None = None,
    emit_row: Callable[[Mapping[str, object]], None] | None = None,
    emit_payload: Callable[[bytes], None] | None = None,
    emit_note: Callable[[str], None] | None = None,
    emit_failure: Callable[[str], None] | None = None,
    emit_trace: Callable[[str], None] | None = None,
    emit_summary: Callable[[Summary], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Do ``job`` for every input; how it went.

    All callables are called in the main thread and in the order of the inputs, whatever ``jobs``
    is. Sentences come without the tool's name in front, as one line that is safe on a terminal.

    Args:
        job: What to do with an item.
        inputs: What to do it with.
        jobs: Threads; 0 means one for each core.
        on_error: ``stop`` hands out nothing more after the first failed input.
        report: File that gets one line of JSON for each input.
        force: Replace the file of ``report``.
        skip_existing: Leave out inputs all of whose outputs exist.
        debug: Show the traceback of unexpected errors.
        print0: The default ``emit_path`` ends paths with NUL instead of newline.
        emit_path: Gets each file written; by default it is printed.
        emit_row: Gets each table row; by default they are dropped.
        emit_payload: Gets bytes for standard output; by default they are written there.
        emit_note: Gets sentences worth knowing; by default they go to stderr.
        emit_failure: Gets a sentence for each failed input; by default they go to stderr.
        emit_trace: Gets lines of tracebacks; by default they go to stderr.
        emit_summary: Gets the counts at the end, however the run ends but by a closed pipe; by
            default they go to stderr if there was something to count.
        progress: Gets the numbers of inputs finished and of all.

    Raises:
        CnntoolError: What a job raised that ends the run, after what was being done is finished.
            Results written before stay, and the report tells them.
        KeyboardInterrupt: As received; what was being done had a second to finish, and no
            temporary file is left.
        BrokenPipeError: Nobody reads the output any more.

    Example:
        >>> class Shout:
        ...     def outputs(self, item):
        ...         return (item.path.upper(),)
        ...     def __call__(self, item):
        ...         return Done(paths=self.outputs(item))
        >>> from cnntool.folder.job import Item
        >>> summary = run(
        ...     Shout(), Inputs([Item("a"), Item("b")]), jobs=2, emit_path=print, emit_summary=print
        ... )
        A
        B
        2 done, 0 failed, 0 skipped
    """
    if jobs < 0:
        raise OptionError(f"--jobs is 0 for all cores or a number of threads, got {jobs}")
    count = min(jobs or cores(), max(1, len(inputs.items)))
    journal = None if report is None else Journal(report, force=force)
    listeners = _Listeners(
        path=emit_path or (_print0_path if print0 else _print_path),
        row=emit_row or _ignore,
        payload=emit_payload or _write_payload,
        note=emit_note or _warn,
        failure=emit_failure or _warn,
        trace=emit_trace or _show,
        summary=emit_summary or _print_summary,
        progress=progress or _ignore,
    )
    stop_early = on_error == "stop"
    session = _Run(job, inputs, count, stop_early, skip_existing, debug, journal, listeners)
    try:
        return session.go()
    except KeyboardInterrupt:
        remove_temporaries()
        raise


@dataclass(frozen=True)
class _Listeners:
    """Who is told what."""

    path: Callable[[str], None]
    row: Callable[[Mapping[str, object]], None]
    payload: Callable[[bytes], None]
    note: Callable[[str], None]
    failure: Callable[[str], None]
    trace: Callable[[str], None]
    summary: Callable[[Summary], None]
    progress: Callable[[int, int], None]


class _Run:
    """One run in progress."""

    def __init__(
        self,
        job: Job,
        inputs: Inputs,
        count: int,
        stop_early: bool,
        skip_existing: bool,
        debug: bool,
        journal: Journal | None,
        listeners: _Listeners,
    ) -> None:
        self.job = job
        self.inputs = inputs
        self.stop_early = stop_early
        self.debug = debug
        self.journal = journal
        self.tell = listeners
        self.workers = Workers(job, count, skip_existing)
        self.pending: deque[Ticket] = deque()
        self.finished = self.done = self.failed = 0
        self.skipped = inputs.skipped

    def go(self) -> Summary:
        try:
            self.all_items()
        except BaseException as error:
            # an error of ours leaves time to finish; a signal or a closed pipe does not
            self.wind_down(None if isinstance(error, CnntoolError) else GRACE_SECONDS)
            with contextlib.suppress(CnntoolError, OSError):
                # who closed the pipe has seen enough
                self.finish(silent=isinstance(error, BrokenPipeError))
            raise
        self.finish()
        return self.summary()

    def all_items(self) -> None:
        for path, reason in self.inputs.notes:
            self.tell.note(complaint(path, reason))
        for path, reason in self.inputs.failures:
            self.fail(path, [reason])
        if self.stop_early and self.failed:
            return
        items = iter(self.inputs.items)
        room = _WINDOW * self.workers.count
        while True:
            while len(self.pending) < room and (item := next(items, None)) is not None:
                self.pending.append(self.workers.submit(item))
            if not self.pending:
                return
            outcome = self.pending[0].wait()
            ticket = self.pending.popleft()
            if outcome is None:  # nobody cancels here
                raise RuntimeError("an item was cancelled in the middle of a run")
            if outcome.short_of_memory:
                outcome = self.try_alone(ticket, outcome)
            self.settle(ticket, outcome)
            if outcome.stop is not None:
                raise outcome.stop
            if self.stop_early and self.failed:
                self.wind_down(None)
                return

    def try_alone(self, ticket: Ticket, outcome: Outcome) -> Outcome:
        """Do an item again with all memory to itself, if others may have taken it before."""
        if self.workers.count == 1 or any(map(os.path.exists, self.job.outputs(ticket.item))):
            return outcome
        for other in self.pending:
            other.wait()
        return self.workers.submit(ticket.item).wait() or outcome

    def settle(self, ticket: Ticket, outcome: Outcome) -> None:
        """Count an outcome and tell it: the journal first, which is not for eyes."""
        path = ticket.item.path
        if outcome.kept is not None:
            self.skipped += 1
            self.note_down(path, "skipped", outputs=outcome.kept, seconds=outcome.seconds)
        elif outcome.done is not None and not outcome.done.failures:
            self.done += 1
            self.note_down(path, "done", outputs=outcome.done.paths, seconds=outcome.seconds)
            self.tell_results(path, outcome.done)
        else:
            done = outcome.done or Done()
            reasons = list(done.failures) or [outcome.reason or str(outcome.stop)]
            self.tell_results(path, done)
            # what stops the run is told by who catches it
            self.fail(path, reasons, done.paths, outcome.seconds, told=outcome.stop is not None)
            if self.debug:
                for line in outcome.trace.splitlines():
                    self.tell.trace(one_line(line, limit=1000))
        self.finished += 1
        self.tell.progress(self.finished, len(self.inputs.items))

    def tell_results(self, path: str, done: Done) -> None:
        for row in done.rows:
            self.tell.row(row)
        if done.payload is not None:
            self.tell.payload(done.payload)
        for written in done.paths:
            self.tell.path(written)
        for note in done.notes:
            self.tell.note(complaint(path, note))

    def fail(
        self,
        path: str,
        reasons: list[str],
        outputs: tuple[str, ...] = (),
        seconds: float = 0.0,
        told: bool = False,
    ) -> None:
        self.failed += 1
        error = "; ".join(reasons)
        self.note_down(path, "failed", outputs=outputs, error=error, seconds=seconds)
        if not told:
            for reason in reasons:
                self.tell.failure(complaint(path, reason))

    def note_down(
        self,
        path: str,
        status: Status,
        *,
        outputs: tuple[str, ...] = (),
        error: str | None = None,
        seconds: float,
    ) -> None:
        if self.journal is not None:
            self.journal.add(path, status, outputs=outputs, error=error, seconds=seconds)

    def wind_down(self, seconds: float | None) -> None:
        """Hand out nothing more; wait for what is being done, and tell what it became.

        Args:
            seconds: How long to wait in all; None: until it is done.
        """
        self.workers.cancel()
        end = None if seconds is None else time.monotonic() + seconds
        while self.pending:
            outcome = self.pending[0].wait(None if end is None else end - time.monotonic())
            ticket = self.pending.popleft()
            if outcome is None or (end is not None and outcome.done and outcome.done.rows):
                continue  # long rows would take longer than there is time
            # the run ends for a first reason already
            with contextlib.suppress(CnntoolError, OSError):
                self.settle(ticket, outcome)

    def finish(self, silent: bool = False) -> None:
        self.workers.cancel()
        try:
            if self.journal is not None:
                self.journal.commit()
        finally:
            if not silent:
                self.tell.summary(self.summary())

    def summary(self) -> Summary:
        return Summary(self.done, self.failed, self.skipped, self.inputs.several)


def _ignore(*_: object) -> None:
    """Nobody listens."""


def _print_path(path: str) -> None:
    stream = standard_output()
    # a terminal must not act on a name; a pipe gets its bytes
    shown = terminal_safe(path) if stream.isatty() else path
    send(stream, os.fsencode(shown) + b"\n")


def _print0_path(path: str) -> None:
    send(standard_output(), os.fsencode(path) + b"\0")


def _write_payload(data: bytes) -> None:
    send(standard_output(), data)


def _print_summary(summary: Summary) -> None:
    if summary.several:
        _warn(str(summary))


def _warn(sentence: str) -> None:
    _show(f"cnntool: {sentence}")


def _show(line: str) -> None:
    # words that nobody can read are no reason to stop
    with contextlib.suppress(OSError):
        if sys.stderr is not None:
            print(line, file=sys.stderr, flush=True)
