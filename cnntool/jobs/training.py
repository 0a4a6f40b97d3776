"""``train`` of networks that tell classes: the session of a plan, and what is left at the end."""

from __future__ import annotations

from typing import Any

from cnntool.backend import Backend
from cnntool.data.dataset import Dataset
from cnntool.errors import Diverged, ModelFileError
from cnntool.jobs import training_results as results
from cnntool.jobs.training_plan import Plan, describe, plan_lines
from cnntool.jobs.training_results import Outcome
from cnntool.jobs.training_watch import Display, Limits, Watch, last_state, watched
from cnntool.models import MODELS
from cnntool.nn.contradictions import Contradiction
from cnntool.nn.saved_model import SavedModel, check
from cnntool.predict.evaluation import Evaluation
from cnntool.predict.pixel_evaluation import PixelEvaluation
from cnntool.train import checkpoint
from cnntool.train.session import Session

__all__ = ["describe", "plan_lines", "replan", "session_of", "train"]


def session_of(
    chosen: Plan,
    device: Backend,
    threads: int,
    found: checkpoint.Checkpoint[Any, Any] | None = None,
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
        weights=chosen.weights,
    )
    try:
        check(_model(session, None))  # now, not after hours
    except Contradiction as error:
        raise ModelFileError(f"this network cannot be saved as a model: {error}") from None
    return session


def replan(found: checkpoint.Checkpoint[Any, Any], data: Dataset) -> Plan:
    """The plan of a training that goes on, with its data loaded again."""
    options = found.options
    return Plan(options, data, f"{data.name}-{options.model}", data.notes)


def train(session: Session, folder: str, display: Display, **limits: Any) -> Outcome:
    """Train until the end, and write all files of the run.

    Args:
        session: The training.
        folder: Of the run; it is there.
        display: Shows it.
        **limits: Of :class:`cnntool.jobs.training_watch.Limits`.

    Raises:
        As :func:`cnntool.jobs.training_watch.watched`.
    """
    watch = Watch(session, display, folder, Limits(**limits))
    return watched(watch, lambda: _finish(session, folder))


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
        raise Diverged(f"{error.message}; {last_state(folder)}") from error
    model = _model(session, outcome.test)
    session.network.load(latest)
    run = results.facts(
        session.dataset,
        options.as_json(),
        outcome,
        threads=session.threads,
        device=session.device.name,
        parameters=int(session.network.parameters.size),
        best_epoch=progress.best or None,
        complete=session.finished,
        epochs=progress.history,
        seconds=progress.seconds,
    )
    epochs = results.Epochs(progress.history, session.columns)
    results.write(outcome, model, epochs, run, session.dataset, options.model)
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
