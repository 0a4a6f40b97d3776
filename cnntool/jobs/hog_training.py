"""``train --model hog-logreg``: a run without epochs, whose search has one best end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnntool.data.dataset import Dataset
from cnntool.errors import OptionError
from cnntool.files import quote
from cnntool.jobs import training_results as results
from cnntool.jobs.training_plan import class_lines, describe_data, load_pictures
from cnntool.jobs.training_results import Outcome
from cnntool.nn.network import Network
from cnntool.nn.saved_model import Preprocessing
from cnntool.nn.spec import parse
from cnntool.predict.preprocess import Preprocessor
from cnntool.train import run_folder
from cnntool.train.hog_logreg import L2, NAME, fit
from cnntool.train.options import CLASS_WEIGHTS, flag
from cnntool.train.progress import ONLY_OF_PIXELS, ROW_NAMES
from cnntool.train.session import balanced

TAKEN = ("weight_decay", "class_weight", "limit", "seed", "size", "fit", "color")
"""Options that mean something to it."""


@dataclass(frozen=True)
class HogPlan:
    """A fit before it begins.

    Attributes:
        source: Name or path of the data set, as it was given.
        dataset: What it learns from.
        weight_decay: Strength of the regularisation.
        balanced: Whether rare classes count more.
        asked: The other options of :data:`TAKEN`.
    """

    source: str
    dataset: Dataset
    weight_decay: float
    balanced: bool
    asked: dict[str, Any]

    @property
    def name(self) -> str:
        """Of its run, for the folder."""
        return f"{self.dataset.name}-{NAME}"

    def as_json(self) -> dict[str, Any]:
        """All options, called as those of networks."""
        return {
            "dataset": self.source,
            "model": NAME,
            "input": self.dataset.shape,
            "classes": self.dataset.classes,
            "weight_decay": self.weight_decay,
            "class_weight": CLASS_WEIGHTS[self.balanced],
            "limit": self.asked.get("limit"),
            "seed": self.asked.get("seed", 0),
            "size": self.asked.get("size"),
            "fit": self.asked.get("fit", "stretch"),
            "color": self.asked.get("color"),
        }


def plan(source: str, **given: Any) -> HogPlan:
    """Load the data.

    Args:
        source: Name or path of the data set.
        **given: Options of :class:`cnntool.train.options.Options` by name; None is not given.

    Raises:
        InputError: The data cannot be used.
        OptionError: One of the options means nothing to it.
    """
    asked = {name: value for name, value in given.items() if value not in (None, ())}
    for name in asked:
        if name not in TAKEN:
            taken = ", ".join(map(flag, TAKEN))
            raise OptionError(f"{flag(name)} means nothing to {NAME}, which takes {taken}")
    data = load_pictures(source, asked)
    if data.segments:
        raise OptionError(
            f"{quote(source)}: every pixel has a class there, and {NAME} tells one class of a "
            "picture; take --model unet or segnet"
        )
    weights = asked.pop("class_weight", CLASS_WEIGHTS[0]) == CLASS_WEIGHTS[1]
    return HogPlan(source, data, asked.pop("weight_decay", L2), weights, asked)


def train(
    chosen: HogPlan,
    folder: str,
    *,
    threads: int = 1,
    max_time: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Fit, and write all files of the run; its folder is made when there is something to write.

    Args:
        chosen: What is fitted.
        folder: Of the run.
        threads: Threads that share the pictures.
        max_time: Seconds after which the search ends where it is.
        progress: Is told how far it is, in hundredths.

    Raises:
        ShapeError: The pictures are too small.
        SystemFailure: Files could not be written.
    """
    data, began = chosen.dataset, time.monotonic()
    late = False

    def report(stage: str, done: int, total: int, loss: float | None) -> bool:
        nonlocal late
        if progress is not None:
            progress((50 if stage == "steps" else 0) + 50 * done // total, 100)
        late = max_time is not None and time.monotonic() - began > max_time
        return late

    weights = balanced(data.train.labels, len(data.classes)) if chosen.balanced else None
    brightness = data.train.images.mean(dtype=np.float64) / 255
    found = fit(
        data.train,
        data.classes,
        l2=chosen.weight_decay,
        class_weight=None if weights is None else [float(weight) for weight in weights],
        preprocessing=Preprocessing(
            color=data.color,
            fit=data.fit or chosen.asked.get("fit", "stretch"),
            background=data.background,
            brightness=round(float(brightness), 4),
        ),
        threads=threads,
        report=report,
    )
    seconds = time.monotonic() - began
    outcome = Outcome(folder)
    network = Network(parse(found.model.spec), found.model.input)
    network.load(found.model.tensors)
    results.put_to_test(outcome, network, Preprocessor.of(found.model), data, threads)
    seed = chosen.asked.get("seed", 0)
    model = replace(found.model, history=results.history(chosen.source, seed, outcome.test))
    run = results.facts(
        data,
        chosen.as_json(),
        outcome,
        threads=threads,
        device="cpu",
        parameters=int(network.parameters.size),
        train={"accuracy": found.accuracy, "loss": found.loss},
        iterations=found.iterations,
        complete=not late,
        epochs=[],
        seconds=seconds,
    )
    columns = [name for name in ROW_NAMES if name not in ONLY_OF_PIXELS]
    with run_folder.held(folder, new=True):
        results.write(outcome, model, results.Epochs([], columns), run, data, NAME)
    return outcome


def describe(chosen: HogPlan, threads: int, folder: str) -> dict[str, str]:
    """What is said before a fit."""
    cores = f"{threads} core{'s' if threads > 1 else ''}"
    return {
        **describe_data(chosen.dataset),
        "model": f"{NAME}: logistic regression on histograms of gradients",
        "training": f"L-BFGS, weight decay {chosen.weight_decay:g}, on {cores}",
        "run": folder,
    }


def plan_lines(chosen: HogPlan) -> list[str]:
    """What ``--dry-run`` prints: options, classes with counts."""
    options = chosen.as_json()
    names = [name for name in options if name not in ("input", "classes")]
    return [*(f"{name} = {options[name]}" for name in names), *class_lines(chosen.dataset)]
