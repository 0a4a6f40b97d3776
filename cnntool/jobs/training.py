"""``train`` while it runs: checkpoints, signals and time, and what is left at the end."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cnntool import __version__
from cnntool.backend import Backend
from cnntool.errors import Diverged, ModelFileError, SystemFailure
from cnntool.files import quote
from cnntool.folder.signals import Stopped, noted_signals
from cnntool.jobs import training_results as results
from cnntool.jobs.training_plan import Plan, counted
from cnntool.jobs.training_results import Outcome
from cnntool.models import MODELS
from cnntool.nn.saved_model import Contradiction, SavedModel, check
from cnntool.predict.evaluation import Evaluation
from cnntool.predict.pixel_evaluation import PixelEvaluation
from cnntool.train import checkpoint, run_folder
from cnntool.train.session import Session

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


def session_of(
    chosen: Plan, device: Backend, threads: int, found: checkpoint.Checkpoint | None = None
) -> Session:
    """The training of a plan, or of a checkpoint.

    Raises:
        ModelFileError: What comes of it could not be saved as a model, or the checkpoint does not
            fit the network.
    """
    session = Session(
        chosen.options if found is None else found.options,
        chosen.dataset,
        device=device,
        threads=1 if device.is_gpu else threads,
        checkpoint=found,
    )
    try:
        check(_model(session, None))  # now, not after hours
    except Contradiction as error:
        raise ModelFileError(f"this network cannot be saved as a model: {error}") from None
    return session


def train(
    session: Session,
    folder: str,
    display: Display,
    *,
    every: float = CHECKPOINT_SECONDS,
    max_time: float | None = None,
    stop_after: int | None = None,
) -> Outcome:
    """Train until the end, and write all files of the run.

    Args:
        session: The training.
        folder: Of the run; it is there.
        display: Shows it.
        every: Seconds between checkpoints within an epoch.
        max_time: Seconds after which to stop and save.
        stop_after: Epochs after which to stop and save.

    Raises:
        Stopped: A signal asked to end; everything is saved.
        Diverged: Numbers that are not finite; the last finite checkpoint stays.
        SystemFailure: Files could not be written. If only the last checkpoint could not, the
            outcome says so instead.
    """
    deadline = None if max_time is None else time.monotonic() + max_time
    with noted_signals() as signals:
        watch = _Watch(session, display, folder, signals, every, deadline, stop_after)
        if session.progress.step == 0:
            watch.write()  # also the proof that the folder takes it
        watch.begin()
        try:
            session.run(watch, until=stop_after)
            watch.save(last=True)
        except Diverged as error:
            raise Diverged(f"{error.message}; {_last(folder)}") from error
    if signals:
        if watch.failure is None:
            display.note(_how_to_go_on(folder))
        raise Stopped(signals[0])
    outcome = _finish(session, folder)
    outcome.failure = watch.failure
    if not session.finished and watch.failure is None:
        outcome.notes.append(_how_to_go_on(folder))
    return outcome


@dataclass
class _Watch:
    """Saves while a training runs, and stops it."""

    session: Session
    display: Display
    folder: str
    signals: list[int]
    every: float
    deadline: float | None
    until: int | None
    saved: float = field(init=False)
    written: tuple[int, int] | None = None  # step and epoch of the last one
    failure: SystemFailure | None = None

    def __post_init__(self) -> None:
        self.saved = time.monotonic()
        self._began_at = self._now()

    def begin(self) -> None:
        """Show the epoch that comes next, if one does."""
        progress, session = self.session.progress, self.session
        if session.finished or self.stop() or progress.epoch == self.until:
            return
        self.display.epoch_begins(
            progress.epoch + 1, session.options.epochs, session.batches, progress.batch
        )

    def step(self, loss: float, images: int, lr: float) -> None:
        """See :class:`cnntool.train.session.Watcher`."""
        self.display.step(loss, images, lr)
        if time.monotonic() - self.saved > self.every:
            self.save()

    def epoch(self, row: Mapping[str, Any]) -> None:
        """See :class:`cnntool.train.session.Watcher`."""
        self.display.epoch_ends(row)
        try:
            run_folder.write_metrics(self.folder, self.session.progress.history)
        except SystemFailure as error:
            if self.failure is None:
                self.display.note(error.message)
        self.save()
        self.begin()

    def stop(self) -> bool:
        """Whether a signal came, or the time is up and something was done in it."""
        late = self.deadline is not None and time.monotonic() > self.deadline
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
            "device": session.network.device.name,
            "every": str(self.every),
            "cnntool": __version__,
        }
        checkpoint.save(self.folder, session.checkpoint(facts))
        self.written = self._now()

    def _now(self) -> tuple[int, int]:
        return self.session.progress.step, self.session.progress.epoch


def _how_to_go_on(folder: str) -> str:
    return f"saved; go on with: cnntool train --resume {quote(folder)}"


def interval(found: checkpoint.Checkpoint) -> float:
    """Seconds between checkpoints that a training was begun with."""
    try:
        return float(found.facts["every"])
    except (KeyError, ValueError):
        return CHECKPOINT_SECONDS


def otherwise(found: checkpoint.Checkpoint, session: Session) -> str:
    """In what a training goes on otherwise than it began, so that bits may differ; or nothing."""
    device, threads = session.network.device.name, str(session.threads)
    if (before := found.facts.get("device", device)) != device:
        now, then = f"on {device}", f"on {before}"
    elif (before := found.facts.get("threads", threads)) != threads:
        now, then = f"with {threads}", f"with --threads {before}"
    else:
        return ""
    return f"this run began {then}; {now} it goes on, but not to the same last bits"


def _last(folder: str) -> str:
    """Where the last finite state lies."""
    try:
        found, _ = checkpoint.newest(folder)
    except ModelFileError:
        return "there is no checkpoint yet"
    name = quote(os.path.join(folder, checkpoint.NAMES[1]))
    return f"{name} holds the state after step {found.progress.step}"


def _finish(session: Session, folder: str) -> Outcome:
    """Test, and write model, results and pictures."""
    outcome = Outcome(folder)
    options, progress = session.options, session.progress
    latest = session.network.state()
    session.use_best()
    try:
        preprocessor = session.preparation.preprocessor
        results.put_to_test(
            outcome, session.network, preprocessor, session.dataset, session.threads
        )
    except Diverged as error:
        raise Diverged(f"{error.message}; {_last(folder)}") from error
    model = _model(session, outcome.test)
    session.network.load(latest)
    run = results.facts(
        session.dataset,
        options.as_json(),
        outcome,
        threads=session.threads,
        device=session.network.device.name,
        parameters=int(session.network.parameters.size),
        best_epoch=progress.best or None,
        complete=session.finished,
        epochs=progress.history,
        seconds=progress.seconds,
    )
    results.write(outcome, model, progress.history, run, session.dataset, options.model)
    return outcome


def _model(session: Session, test: Evaluation | PixelEvaluation | None) -> SavedModel:
    """The model with the weights as they are now."""
    options = session.options
    return SavedModel(
        spec=options.spec,
        input=options.input,
        tensors=session.network.state(),
        task="segment" if session.dataset.segments else "classify",
        classes=options.classes,
        preprocessing=session.preparation.preprocessor.how,
        name=options.model if options.model in MODELS else "",
        history=results.history(options.dataset, options.seed, test, epochs=session.progress.epoch),
    )
