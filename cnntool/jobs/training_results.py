"""What is left of a training: the model, how well it does, tables and pictures of that."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnntool import __version__
from cnntool.data.dataset import Dataset
from cnntool.errors import Diverged, MissingPackage, ModelFileError, SystemFailure
from cnntool.nn import modelfile
from cnntool.nn.network import Network
from cnntool.nn.saved_model import SavedModel
from cnntool.predict.classifier import Classifier
from cnntool.predict.evaluation import Evaluation, evaluate
from cnntool.predict.preprocess import Preprocessor
from cnntool.train import run_folder


@dataclass
class Outcome:
    """What came of a training.

    Attributes:
        folder: Where everything lies.
        test: How well it does on the test pictures; None if there are none.
        confused: Lines about classes that are taken for others.
        written: Paths of the files.
        notes: What a person should know.
        failure: Why the last checkpoint could not be written.
    """

    folder: str
    test: Evaluation | None = None
    confused: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failure: SystemFailure | None = None

    @property
    def scores(self) -> dict[str, float] | None:
        """Accuracy and loss on the test pictures."""
        if self.test is None:
            return None
        return {"accuracy": self.test.accuracy, "loss": self.test.loss}


def tested(
    network: Network, preprocessor: Preprocessor, data: Dataset, threads: int
) -> Evaluation | None:
    """How well a network does on the test pictures, as ``evaluate`` tells it of the model's file.

    Raises:
        Diverged: It gives numbers that are not finite.
    """
    part = data.test
    if part is None:
        return None
    with Classifier(network, preprocessor, threads=threads, pictures=len(part)) as classify:
        try:
            return evaluate(classify, part.images, part.labels, data.classes)
        except ModelFileError as error:
            raise Diverged(error.message) from error


def history(dataset: str, seed: int, test: Evaluation | None, **others: object) -> dict[str, str]:
    """What the model's file says of its training. Nothing that a second run would not say too."""
    found = {"cnntool": __version__, "dataset": dataset}
    found |= {name: str(value) for name, value in others.items()}
    found["seed"] = str(seed)
    if test is not None:
        found["test accuracy"] = f"{test.accuracy:.4f}"
    return found


def facts(
    data: Dataset, options: Mapping[str, Any], outcome: Outcome, **others: Any
) -> dict[str, Any]:
    """What ``run.json`` says of any training; ``others`` come last."""
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return {
        "options": options,
        "versions": {
            "cnntool": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "data": {"name": data.name, "fingerprint": data.fingerprint}
        | {name: 0 if part is None else len(part) for name, part in parts.items()},
        "test": outcome.scores,
        **others,
    }


def write(
    outcome: Outcome,
    model: SavedModel,
    epochs: Sequence[Mapping[str, Any]],
    run: Mapping[str, Any],
    data: Dataset,
    title: str,
) -> None:
    """Write all files of a run but the checkpoints, and note their paths.

    Raises:
        SystemFailure: One cannot be written.
    """
    folder = outcome.folder

    def written(name: str) -> None:
        outcome.written.append(os.path.join(folder, name))

    modelfile.save_model(os.path.join(folder, run_folder.MODEL), model, force=True)
    written(run_folder.MODEL)
    run_folder.write_metrics(folder, epochs)
    written(run_folder.METRICS)
    run_folder.write_run(folder, run)
    written(run_folder.RUN)
    if outcome.test is not None:
        from cnntool.report import confusion

        counts, names = outcome.test.confusion, data.classes
        picture = confusion.confusion_png(counts, names, f"{data.name}: test pictures")
        outcome.confused = confusion.confused_pairs(counts, names)
        run_folder.write_picture(folder, run_folder.CONFUSION, picture)
        written(run_folder.CONFUSION)
    if epochs:
        from cnntool.report import curves

        try:
            picture = curves.curves_png(epochs, f"{data.name}: {title}", outcome.scores)
        except MissingPackage as error:
            outcome.notes.append(error.message)
            return
        run_folder.write_picture(folder, run_folder.CURVES, picture)
        written(run_folder.CURVES)
