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
from cnntool.predict.pixel_evaluation import PixelEvaluation, evaluate_pixels
from cnntool.predict.preprocess import Preprocessor
from cnntool.train import run_folder

SAMPLES = 6
"""Test pictures that are shown with their masks."""


@dataclass
class Outcome:
    """What came of a training.

    Attributes:
        folder: Where everything lies.
        test: How well it does on the test pictures; None if there are none.
        samples: A picture of some test pictures with their masks; None if pictures have a class.
        details: Lines about it: classes that are taken for others, or each class's pixels.
        title: What they are.
        written: Paths of the files.
        notes: What a person should know.
        failure: Why the last checkpoint could not be written.
    """

    folder: str
    test: Evaluation | PixelEvaluation | None = None
    samples: bytes | None = None
    details: list[str] = field(default_factory=list)
    title: str = "most confused"
    written: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failure: SystemFailure | None = None

    @property
    def scores(self) -> dict[str, float] | None:
        """Accuracy and loss on the test pictures, and overlaps where pixels have classes."""
        if self.test is None:
            return None
        found = {"accuracy": self.test.accuracy, "loss": self.test.loss}
        if isinstance(self.test, PixelEvaluation):
            found |= {"mean_iou": self.test.mean_iou, "dice": self.test.mean_dice}
        return found


@dataclass(frozen=True)
class Epochs:
    """How a training went.

    Attributes:
        rows: One an epoch.
        columns: Of ``metrics.csv``.
    """

    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[str]


def put_to_test(
    outcome: Outcome, network: Network, preprocessor: Preprocessor, data: Dataset, threads: int
) -> None:
    """How well a network does on the test pictures, as ``evaluate`` tells it of the model's file.

    Raises:
        Diverged: It gives numbers that are not finite.
    """
    part = data.test
    if part is None:
        return
    with Classifier(network, preprocessor, threads=threads, pictures=len(part)) as classify:
        try:
            if not data.segments:
                outcome.test = evaluate(classify, part.images, part.labels, data.classes)
                return
            outcome.test = evaluate_pixels(classify, part.images, part.labels, data.classes)
        except ModelFileError as error:
            raise Diverged(error.message) from error
        from cnntool.images.writing import encode
        from cnntool.jobs.mask_sheets import mask_sheet, some

        sheet = mask_sheet(classify, part, some(len(part), SAMPLES), data.classes)
        outcome.samples = encode(sheet, "png")


def history(
    dataset: str, seed: int, test: Evaluation | PixelEvaluation | None, **others: object
) -> dict[str, str]:
    """What the model's file says of its training. Nothing that a second run would not say too."""
    found = {"cnntool": __version__, "dataset": dataset}
    found |= {name: str(value) for name, value in others.items()}
    found["seed"] = str(seed)
    if test is not None:
        found["test accuracy"] = f"{test.accuracy:.4f}"
    if isinstance(test, PixelEvaluation):
        found["test mean IoU"] = f"{test.mean_iou:.4f}"
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
    epochs: Epochs,
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
    run_folder.write_metrics(folder, epochs.rows, epochs.columns)
    written(run_folder.METRICS)
    run_folder.write_run(folder, run)
    written(run_folder.RUN)
    if outcome.test is not None:
        from cnntool.report import confusion

        counts, names = outcome.test.confusion, data.classes
        picture = confusion.confusion_png(counts, names, f"{data.name}: test pictures")
        if isinstance(outcome.test, PixelEvaluation):
            outcome.details, outcome.title = overlaps(outcome.test), "overlaps"
        else:
            outcome.details = confusion.confused_pairs(counts, names)
        run_folder.write_picture(folder, run_folder.CONFUSION, picture)
        written(run_folder.CONFUSION)
    if outcome.samples is not None:
        run_folder.write_picture(folder, run_folder.SAMPLES, outcome.samples)
        written(run_folder.SAMPLES)
    if epochs.rows:
        from cnntool.report import curves

        try:
            picture = curves.curves_png(epochs.rows, f"{data.name}: {title}", outcome.scores)
        except MissingPackage as error:
            outcome.notes.append(error.message)
            return
        run_folder.write_picture(folder, run_folder.CURVES, picture)
        written(run_folder.CURVES)


def overlaps(found: PixelEvaluation, most: int = 12) -> list[str]:
    """Lines about the overlap of each class, the worst first."""
    order = np.argsort(np.nan_to_num(found.iou, nan=2.0), kind="stable")[:most]
    return [
        f"{found.classes[k]}: IoU {found.iou[k]:.3f}, Dice {found.dice[k]:.3f}"
        for k in order
        if not np.isnan(found.iou[k])
    ]
