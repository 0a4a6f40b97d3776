"""``train``: from what the user asked for to a run's folder with a trained model."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from cnntool import __version__, models
from cnntool.backend import Backend
from cnntool.data.dataset import Dataset
from cnntool.data.loading import load
from cnntool.errors import (
    Diverged,
    MissingPackage,
    ModelFileError,
    OptionError,
    SpecError,
    SystemFailure,
)
from cnntool.files import quote
from cnntool.folder.signals import Stopped, noted_signals
from cnntool.models import MODELS
from cnntool.nn import modelfile
from cnntool.nn.nodes import Chain, Layer
from cnntool.nn.shapes import trace
from cnntool.nn.spec import Spec, format_spec
from cnntool.predict import metrics
from cnntool.train import checkpoint, run_folder
from cnntool.train.options import Options
from cnntool.train.recipe import recipe_for
from cnntool.train.session import Scores, Session

CHECKPOINT_SECONDS = 60.0


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


@dataclass(frozen=True)
class Plan:
    """A training before it begins.

    Attributes:
        options: What it is.
        dataset: What it learns from.
        name: Of its run, for the folder.
    """

    options: Options
    dataset: Dataset
    name: str


def plan(
    source: str,
    model: str | None = None,
    find: Callable[[str, int | None], Spec] | None = None,
    **given: Any,
) -> Plan:
    """Load the data and resolve all options.

    Args:
        source: Name or path of the data set.
        model: Name of a built-in network, or a specification; None takes the recipe's.
        find: From a text to a network: :func:`cnntool.jobs.networks.network`.
        **given: Options by name; those that are None are left to the recipe.

    Raises:
        InputError: The data cannot be used.
        OptionError: Options that make no sense.
        SpecError: The network does not fit the data.
    """
    asked = {name: value for name, value in given.items() if value is not None}
    data = load(
        source,
        size=asked.get("size"),
        fit=asked.get("fit", "stretch"),
        color=asked.get("color"),
        limit=asked.get("limit"),
        val_split=asked.get("val_split", 0.0),
        seed=asked.get("seed", 0),
    )
    recipe = recipe_for(data)
    text = model or recipe.model
    spec = _network(text, data, find)
    chosen = text if text in MODELS else "custom"
    # another network than the recipe was chosen for still learns with its options
    options = Options(
        dataset=source,
        model=chosen,
        spec=_with_dropout(spec, asked.get("dropout")),
        input=data.shape,
        classes=data.classes,
        **{**recipe.options, **asked},
    )
    if options.batch_size > len(data.train):
        options = replace(options, batch_size=len(data.train))
    if options.patience and data.validation is None:
        raise OptionError(
            "--patience looks at validation pictures, and there are none; add --val-split 0.1"
        )
    return Plan(options, data, f"{data.name}-{chosen}")


def _network(text: str, data: Dataset, find: Callable[[str, int | None], Spec] | None) -> Spec:
    """The network for a data set, which must give one number for each class."""
    count = len(data.classes)
    if text in MODELS:
        spec = models.create(text, count, data.shape)
    else:
        spec = Spec.of(text) if find is None else find(text, None)
    found = trace(spec.chain, data.shape)
    if found.output != (count,):
        shape = "×".join(map(str, found.output))
        raise SpecError(
            f"the network ends in {shape} numbers, '{data.name}' has {count} classes; let it end "
            f"in dense {count}"
        )
    return spec


def _with_dropout(spec: Spec, share: float | None) -> str:
    """The text of a network, with all dropout layers at one share."""
    if share is None:
        return spec.text
    changed: list[Layer] = []

    def change(value: Any) -> Any:
        if isinstance(value, Layer):
            if value.word != "dropout":
                return value
            changed.append(value)
            rest = tuple((name, x) for name, x in value.given if name != "p")
            return replace(value, given=(("p", share), *rest))
        if isinstance(value, tuple):
            return tuple(change(item) for item in value)
        if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
            names = [
                n
                for n in ("items", "body", "main", "shortcut", "branches")
                if n in value.__dataclass_fields__
            ]
            return replace(value, **{name: change(getattr(value, name)) for name in names})
        return value

    chain = change(spec.chain)
    if not changed:
        raise OptionError("--dropout changes dropout layers, and the network has none")
    assert isinstance(chain, Chain)
    return format_spec(chain)


@dataclass
class Outcome:
    """What came of a training.

    Attributes:
        folder: Where everything lies.
        test: How well it does on the test pictures; None if there are none.
        confusion: Counts (true, predicted); None if there are none.
        confused: Lines about classes that are taken for others.
        written: Paths of the files.
        notes: What a person should know.
    """

    folder: str
    test: Scores | None = None
    confusion: Any = None
    confused: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def scores(self) -> dict[str, float] | None:
        """Accuracy and loss on the test pictures."""
        return (
            None if self.test is None else {"accuracy": self.test.accuracy, "loss": self.test.loss}
        )


@dataclass
class _Watch:
    """Saves while a training runs, and stops it."""

    session: Session
    display: Display
    folder: str
    facts: Mapping[str, str]
    signals: list[int]
    every: float
    deadline: float | None
    until: int | None
    saved: float = field(default_factory=time.monotonic)
    failure: SystemFailure | None = None

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
            self.display.note(error.message)
        self.save()
        progress, options = self.session.progress, self.session.options
        if not self.session.finished and not self.over():
            if self.until is None or progress.epoch < self.until:
                self.display.epoch_begins(progress.epoch + 1, options.epochs, self.session.batches)

    def stop(self) -> bool:
        """See :class:`cnntool.train.session.Watcher`."""
        return self.over()

    def over(self) -> bool:
        """Whether a signal came or the time is up."""
        late = self.deadline is not None and time.monotonic() > self.deadline
        return bool(self.signals) or late

    def save(self) -> None:
        """Save a checkpoint; a full disk does not end the training."""
        self.saved = time.monotonic()
        try:
            checkpoint.save(self.folder, self.session.checkpoint(self.facts))
            self.failure = None
        except SystemFailure as error:
            if self.failure is None:
                self.display.note(f"{error.message}; training goes on and tries again")
            self.failure = error


def train(
    session: Session,
    folder: str,
    display: Display,
    *,
    fingerprint: str,
    every: float = CHECKPOINT_SECONDS,
    max_time: float | None = None,
    stop_after: int | None = None,
) -> Outcome:
    """Train until the end, and write all files of the run.

    Args:
        session: The training.
        folder: Of the run.
        display: Shows it.
        fingerprint: Of the data.
        every: Seconds between checkpoints within an epoch.
        max_time: Seconds after which to stop and save.
        stop_after: Epochs after which to stop and save.

    Raises:
        Stopped: A signal asked to end; everything is saved.
        Diverged: Numbers that are not finite; the last finite checkpoint stays.
        SystemFailure: Files could not be written.
    """
    facts = {"fingerprint": fingerprint, "threads": str(session.threads), "cnntool": __version__}
    began = time.monotonic()
    with noted_signals() as signals:
        watch = _Watch(
            session, display, folder, facts, signals, every,
            None if max_time is None else began + max_time, stop_after,
        )  # fmt: skip
        if session.progress.step == 0:
            watch.save()  # also the proof that the folder can be written
            if watch.failure is not None:
                raise watch.failure
        if not session.finished:
            display.epoch_begins(
                session.progress.epoch + 1,
                session.options.epochs,
                session.batches,
                session.progress.batch,
            )
        try:
            session.run(watch, until=stop_after)
        except Diverged as error:
            raise Diverged(f"{error.message}; {_last(folder)}") from error
        if not session.finished:
            watch.save()
    if signals:
        raise Stopped(signals[0])
    outcome = _finish(session, folder, fingerprint)
    if watch.failure is not None:
        raise watch.failure
    return outcome


def _last(folder: str) -> str:
    """Where the last finite state lies."""
    try:
        found, _ = checkpoint.newest(folder)
    except ModelFileError:
        return "there is no checkpoint yet"
    name = quote(os.path.join(folder, checkpoint.NAMES[1]))
    return f"{name} holds the state after step {found.progress.step}"


def _finish(session: Session, folder: str, fingerprint: str) -> Outcome:
    """Test, and write model, results and pictures."""
    outcome = Outcome(folder)
    options, data, progress = session.options, session.dataset, session.progress
    latest = session.network.state()
    session.use_best()
    if data.test is not None:
        outcome.test = session.scores(data.test)
        outcome.confusion = metrics.confusion_matrix(
            data.test.labels, outcome.test.outputs.argmax(axis=0), len(data.classes)
        )
    model = modelfile.SavedModel(
        spec=options.spec,
        input=options.input,
        tensors=session.network.state(),
        classes=options.classes,
        preprocessing=session.preparation.preprocessor.how,
        name=options.model if options.model in MODELS else "",
        history=_history(session, outcome),
    )
    session.network.load(latest)
    path = os.path.join(folder, run_folder.MODEL)
    modelfile.save_model(path, model, force=True)
    outcome.written.append(path)
    run_folder.write_metrics(folder, progress.history)
    run_folder.write_run(folder, _facts(session, outcome, fingerprint))
    outcome.written += [os.path.join(folder, name) for name in (run_folder.METRICS, run_folder.RUN)]
    _pictures(session, outcome)
    return outcome


def _history(session: Session, outcome: Outcome) -> dict[str, str]:
    options, progress = session.options, session.progress
    found = {
        "cnntool": __version__,
        "dataset": options.dataset,
        "epochs": str(progress.epoch),
        "seed": str(options.seed),
    }
    if outcome.test is not None:
        found["test accuracy"] = f"{outcome.test.accuracy:.4f}"
    return found


def _facts(session: Session, outcome: Outcome, fingerprint: str) -> dict[str, Any]:
    """What ``run.json`` says."""
    options, data, progress = session.options, session.dataset, session.progress
    return {
        "options": options.as_json(),
        "threads": session.threads,
        "device": session.network.device.name,
        "versions": {
            "cnntool": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "data": {
            "name": data.name,
            "fingerprint": fingerprint,
            "train": len(data.train),
            "validation": 0 if data.validation is None else len(data.validation),
            "test": 0 if data.test is None else len(data.test),
        },
        "parameters": int(session.network.parameters.size),
        "test": outcome.scores,
        "best_epoch": progress.best or None,
        "complete": session.finished,
        "epochs": progress.history,
        "seconds": progress.seconds,
    }


def _pictures(session: Session, outcome: Outcome) -> None:
    """Confusion and curves, the latter if it can be drawn here."""
    from cnntool.report import confusion, curves

    folder = outcome.folder
    if outcome.confusion is not None and outcome.test is not None:
        title = f"{session.dataset.name}: test pictures"
        data = confusion.confusion_png(outcome.confusion, session.dataset.classes, title)
        outcome.confused = confusion.confused_pairs(outcome.confusion, session.dataset.classes)
        run_folder.write_picture(folder, run_folder.CONFUSION, data)
        outcome.written.append(os.path.join(folder, run_folder.CONFUSION))
    try:
        title = f"{session.dataset.name}: {session.options.model}"
        data = curves.curves_png(session.progress.history, title, outcome.scores)
    except MissingPackage as error:
        outcome.notes.append(error.message)
        return
    run_folder.write_picture(folder, run_folder.CURVES, data)
    outcome.written.append(os.path.join(folder, run_folder.CURVES))


def resumed(folder: str, epochs: int | None) -> tuple[checkpoint.Checkpoint, list[str]]:
    """The checkpoint of a run to go on from, with more epochs if asked for.

    Raises:
        ModelFileError: There is none, or its schedule cannot be extended.
    """
    from cnntool.nn import schedule

    found, complaints = checkpoint.newest(folder)
    options = found.options
    if epochs is not None and epochs != options.epochs:
        if epochs < found.progress.epoch:
            raise OptionError(
                f"{quote(folder)} has trained {found.progress.epoch} epochs already; --epochs must "
                "be at least as many"
            )
        if not schedule.extends(options.schedule):
            raise ModelFileError(
                f"{quote(folder)} was planned for {options.epochs} epochs: the schedule "
                f"'{options.schedule}' falls to its end there, so it cannot be extended to "
                f"{epochs}; start anew with --epochs {epochs}, or with --schedule constant or step"
            )
        found = replace(found, options=replace(options, epochs=epochs))
    return found, complaints


def check_data(found: checkpoint.Checkpoint, data: Dataset) -> None:
    """Refuse to go on with other data.

    Raises:
        ModelFileError: The data have changed; the message says in what.
    """
    options = found.options
    differences: Sequence[str] = [
        text
        for text, differs in (
            (f"classes {_list(options.classes)} became {_list(data.classes)}",
             options.classes != data.classes),
            (f"pictures of {options.input} became {data.shape}", options.input != data.shape),
            ("pictures or labels changed", found.facts.get("fingerprint") != data.fingerprint),
        )
        if differs
    ]  # fmt: skip
    if differences:
        raise ModelFileError(
            f"'{options.dataset}' is not what the training began with: {differences[0]}; bring it "
            "back, or start anew"
        )


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{len(names)} ({shown}{', …' if len(names) > 5 else ''})"


def session_of(
    chosen: Plan, device: Backend, threads: int, found: checkpoint.Checkpoint | None = None
) -> Session:
    """The training of a plan, or of a checkpoint."""
    options = chosen.options if found is None else found.options
    return Session(options, chosen.dataset, device=device, threads=threads, checkpoint=found)


def replan(found: checkpoint.Checkpoint) -> Plan:
    """The plan of a training that goes on, with its data loaded again.

    Raises:
        ModelFileError: The data have changed.
    """
    options = found.options
    data = load(
        options.dataset,
        size=options.size,
        fit=options.fit,
        color=options.color,
        limit=options.limit,
        val_split=options.val_split,
        seed=options.seed,
    )
    check_data(found, data)
    return Plan(options, data, f"{data.name}-{options.model}")


def describe(chosen: Plan, threads: int, device: str, folder: str) -> dict[str, str]:
    """What is said before a training: data, network, recipe, where."""
    options, data = chosen.options, chosen.dataset
    counts = np.bincount(data.train.labels, minlength=len(data.classes))
    parts = [f"{len(data.train)} training"]
    for name, part in (("validation", data.validation), ("test", data.test)):
        if part is not None:
            parts.append(f"{len(part)} {name}")
    found = trace(Spec.of(options.spec).chain, options.input)
    each = f"{counts.min()} to {counts.max()}" if counts.min() < counts.max() else f"{counts[0]}"
    where = device if device != "cpu" else f"{threads} core{'s' if threads > 1 else ''}"
    return {
        "data": f"{data.name}: {', '.join(parts)} pictures {'x'.join(map(str, data.shape))}, "
        f"{len(data.classes)} classes of {each}",
        "network": f"{options.model}: {found.params} parameters, {found.macs / 1e6:.3g} M MACs",
        "training": f"{options.optimizer}, lr {options.lr:g} {options.schedule}, batches of "
        f"{options.batch_size}, {options.epochs} epochs, seed {options.seed}, on {where}",
        "run": folder,
    }


def plan_lines(chosen: Plan) -> list[str]:
    """What ``--dry-run`` prints: options, classes with counts, shapes."""
    options, data = chosen.options, chosen.dataset
    lines = [
        f"{name} = {value}"
        for name, value in options.as_json().items()
        if name not in ("spec", "classes", "input")
    ]
    lines.append("classes:")
    counts = np.bincount(data.train.labels, minlength=len(data.classes))
    lines += [f"  {name}: {count}" for name, count in zip(data.classes, counts, strict=True)]
    lines.append("layers:")
    found = trace(Spec.of(options.spec).chain, options.input)
    lines += [
        f"  {row.name}: {'x'.join(map(str, row.output))}, {row.params} parameters"
        for row in found.rows
    ]
    return lines
