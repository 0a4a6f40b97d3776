"""Any training while it runs: checkpoints, signals and time, and what a person sees of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cnntool import __version__
from cnntool.backend import Backend
from cnntool.data.dataset import Dataset
from cnntool.errors import Diverged, ModelFileError, SystemFailure
from cnntool.files import quote
from cnntool.folder.signals import Stopped, noted_signals
from cnntool.jobs.training_plan import counted
from cnntool.jobs.training_results import Outcome
from cnntool.train import checkpoint, run_folder

CHECKPOINT_SECONDS = 60.0
"""Time between checkpoints within an epoch."""


class Display(Protocol):
    """What shows a training; see :mod:`cnntool.cli.training_display`."""

    def epoch_begins(self, number: int, of: int, batches: int, done: int = 0) -> None:
        """An epoch begins."""

    def step(self, loss: float, images: int, lr: float) -> None:
        """A step is done."""

    def epoch_ends(self, row: Mapping[str, Any]) -> None:
        """An epoch is done."""

    def note(self, text: str) -> None:
        """Something that a person should know."""


class Trained(Protocol):
    """What a session has that is watched: :class:`cnntool.train.session.Session` and its like."""

    dataset: Dataset
    device: Backend
    threads: int
    batches: int
    progress: Any

    @property
    def columns(self) -> Sequence[str]:
        """Names of the columns of ``metrics.csv``."""
        ...

    @property
    def epochs(self) -> int:
        """How many there will be."""
        ...

    @property
    def finished(self) -> bool:
        """Whether all are done."""
        ...

    def run(self, watcher: Any, *, until: int | None = None) -> bool:
        """Go on to the end."""
        ...

    def checkpoint(self, facts: Mapping[str, str]) -> checkpoint.Checkpoint[Any, Any]:
        """The training as it is now."""
        ...


@dataclass(frozen=True)
class Limits:
    """When a training is saved, and when it stops before its end.

    Attributes:
        every: Seconds between checkpoints within an epoch.
        max_time: Seconds after which to stop and save.
        stop_after: Epochs after which to stop and save.
    """

    every: float = CHECKPOINT_SECONDS
    max_time: float | None = None
    stop_after: int | None = None


def watched(watch: Watch, finish: Callable[[], Outcome]) -> Outcome:
    """Train until the end, and write all files of the run.

    Args:
        watch: The training, its folder and what shows it.
        finish: Tests, and writes model, results and pictures.

    Raises:
        Stopped: A signal asked to end; everything is saved.
        Diverged: Numbers that are not finite; the last finite checkpoint stays.
        SystemFailure: Files could not be written. If only the last checkpoint could not, the
            outcome says so instead.
    """
    session, display, folder = watch.session, watch.display, watch.folder
    with noted_signals() as signals:
        watch.signals = signals
        if session.progress.step == 0:
            watch.write()  # also the proof that the folder takes it
        watch.show_next()
        try:
            session.run(watch, until=watch.limits.stop_after)
            watch.save(last=True)
        except Diverged as error:
            raise Diverged(f"{error.message}; {last_state(folder)}") from error
    if signals:
        if watch.failure is None:
            display.note(how_to_go_on(folder))
        raise Stopped(signals[0])
    outcome = finish()
    outcome.failure = watch.failure
    if not session.finished and watch.failure is None:
        outcome.notes.append(how_to_go_on(folder))
    return outcome


@dataclass
class Watch:
    """Saves while a training runs, and stops it.

    Args:
        session: The training.
        display: Shows it.
        folder: Of the run; it is there.
        limits: When it is saved and stopped.
    """

    session: Trained
    display: Display
    folder: str
    limits: Limits = Limits()
    signals: Sequence[int] = ()
    saved: float = field(init=False)
    written: tuple[int, int] | None = None  # step and epoch of the last one
    failure: SystemFailure | None = None

    def __post_init__(self) -> None:
        self.saved = time.monotonic()
        most = self.limits.max_time
        self._deadline = None if most is None else time.monotonic() + most
        self._began_at = self._now()

    def show_next(self) -> None:
        """Show the epoch that comes next, if one does."""
        progress, session = self.session.progress, self.session
        if session.finished or self.stop() or progress.epoch == self.limits.stop_after:
            return
        self.display.epoch_begins(
            progress.epoch + 1, session.epochs, session.batches, progress.batch
        )

    def step(self, loss: float, images: int, lr: float) -> None:
        """See :class:`cnntool.train.session.Watcher`."""
        self.display.step(loss, images, lr)
        if time.monotonic() - self.saved > self.limits.every:
            self.save()

    def epoch(self, row: Mapping[str, Any]) -> None:
        """See :class:`cnntool.train.session.Watcher`."""
        self.display.epoch_ends(row)
        try:
            history, columns = self.session.progress.history, self.session.columns
            run_folder.write_metrics(self.folder, history, columns)
        except SystemFailure as error:
            if self.failure is None:
                self.display.note(error.message)
        self.save()
        self.show_next()

    def warn(self, text: str) -> None:
        """See :class:`cnntool.train.adversarial.GanWatcher`."""
        self.display.note(text)

    def stop(self) -> bool:
        """Whether a signal came, or the time is up and something was done in it."""
        late = self._deadline is not None and time.monotonic() > self._deadline
        # else a validation that takes longer would be begun for ever
        return bool(self.signals) or (late and self._now() != self._began_at)

    def save(self, *, last: bool = False) -> None:
        """Save a checkpoint; a full disk does not end the training."""
        if self._now() == self.written and self.failure is None:
            return
        self.saved = time.monotonic()
        try:
            self.write()
        except SystemFailure as error:
            if self.failure is None and not last:
                self.display.note(f"{error.message}; training goes on and tries again")
            elif last and self.signals:
                self.display.note(f"{error.message}; what was trained since is lost")
            self.failure = error
            return
        if self.failure is not None:
            self.display.note("the checkpoint could be written now")
            self.failure = None

    def write(self) -> None:
        """Write a checkpoint.

        Raises:
            SystemFailure: That is impossible.
            Diverged: There is nothing to go on from.
        """
        session = self.session
        facts = {
            "fingerprint": session.dataset.fingerprint,
            "pictures": counted(session.dataset),
            "threads": str(session.threads),
            "device": session.device.name,
            "every": str(self.limits.every),
            "cnntool": __version__,
        }
        checkpoint.save(self.folder, session.checkpoint(facts))
        self.written = self._now()

    def _now(self) -> tuple[int, int]:
        return self.session.progress.step, self.session.progress.epoch


def how_to_go_on(folder: str) -> str:
    """What to say of a training that is stopped."""
    return f"saved; go on with: cnntool train --resume {quote(folder)}"


def last_state(folder: str) -> str:
    """Where the last finite state lies."""
    try:
        found, _ = checkpoint.newest(folder)
    except ModelFileError:
        return "there is no checkpoint yet"
    name = quote(os.path.join(folder, checkpoint.NAMES[1]))
    return f"{name} holds the state after step {found.progress.step}"


def interval(found: checkpoint.Checkpoint[Any, Any]) -> float:
    """Seconds between checkpoints that a training was begun with."""
    try:
        return float(found.facts["every"])
    except (KeyError, ValueError):
        return CHECKPOINT_SECONDS


def otherwise(found: checkpoint.Checkpoint[Any, Any], session: Trained) -> str:
    """In what a training goes on otherwise than it began, so that bits may differ; or nothing."""
    device, threads = session.device.name, str(session.threads)
    if (before := found.facts.get("device", device)) != device:
        now, then = f"on {device}", f"on {before}"
    elif (before := found.facts.get("threads", threads)) != threads:
        now, then = f"with {threads}", f"with --threads {before}"
    else:
        return ""
    return f"this run began {then}; {now} it goes on, but not to the same last bits"
