"""One training from its beginning, or from a checkpoint, to its end or until it is stopped.

A session knows data, network and optimiser, and goes through epochs. It shows nothing and writes
nothing but through :class:`Watcher`, so commands, tests and benchmarks run the same loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import Backend
from cnntool.data.batches import Batches
from cnntool.data.dataset import Dataset, Split
from cnntool.data.masks import IGNORED
from cnntool.errors import Diverged, ModelFileError
from cnntool.nn import optim, parse, schedule
from cnntool.nn.loss import Loss
from cnntool.nn.network import Network
from cnntool.nn.optimiser import decaying
from cnntool.nn.predictor import Predictor
from cnntool.nn.step import TrainingStep
from cnntool.train.checkpoint import Checkpoint
from cnntool.train.options import Options
from cnntool.train.preparation import Preparation
from cnntool.train.progress import ONLY_OF_PIXELS, ROW_NAMES, Progress
from cnntool.train.scoring import Scorer, Scores

LOOK_EVERY = 50
"""Steps after which a GPU is asked for the loss: asking waits for it."""

HOPELESS = 1e6
"""A mean loss above this is a divergence too: no network that learns is ever so wrong."""


class Watcher(Protocol):
    """What wants to know how a training goes."""

    def step(self, loss: float, images: int, lr: float) -> None:
        """A step is done."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """An epoch is done; the row has the names of :data:`cnntool.train.progress.ROW_NAMES`."""

    def stop(self) -> bool:
        """Whether to stop now. Asked after every step, and during validations."""


class _Interrupted(Exception):
    """A validation was broken off."""


class Session:
    """A training.

    Args:
        options: What it is.
        dataset: What it learns from.
        device: Where.
        threads: Workers that share batches.
        checkpoint: What to go on from; None begins anew.
        weights: First ones by name, where they are not random.

    Raises:
        ModelFileError: The checkpoint or the weights do not fit the network.
        SpecError: The network does not fit the data.
    """

    def __init__(
        self,
        options: Options,
        dataset: Dataset,
        *,
        device: Backend,
        threads: int = 1,
        checkpoint: Checkpoint[Options, Progress] | None = None,
        weights: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        self.options, self.dataset, self.threads, self.device = options, dataset, threads, device
        self.preparation = Preparation.of(dataset, options)
        self.network = Network(
            parse(options.spec), options.input, device=device, frozen=options.freeze
        )
        self.network.initialise(options.seed, options.init or None)
        if weights:
            self.network.load({**self.network.state(), **weights})
        self._pictures = Batches(dataset.train, options.batch_size, options.seed)
        self.batches = len(self._pictures)
        xp = device.xp
        choices = {"momentum": options.momentum, "nesterov": options.momentum > 0}
        self.optimiser = optim.create(
            options.optimizer,
            self.network.parameters.size,
            xp,
            self.network.dtype,
            decaying=[
                place for place in decaying(self.network.places) if place not in self.network.frozen
            ],
            weight_decay=options.weight_decay,
            **(choices if options.optimizer == "sgd" else {}),
        )
        warmup = None if options.warmup is None else round(options.warmup * self.batches)
        planned = (options.schedule_epochs or options.epochs) * self.batches
        self.schedule = schedule.create(options.schedule, options.lr, planned, warmup).extended(
            options.epochs * self.batches
        )
        self.progress = Progress()
        self.best: dict[str, NDArray[Any]] = {}
        if checkpoint is not None:
            self._take(checkpoint)
        self.loss = Loss(
            kind=options.loss,
            label_smoothing=options.label_smoothing,
            class_weights=self._class_weights(),
            ignore=IGNORED if dataset.segments else -100,
        )
        self._step = TrainingStep(
            self.network,
            self.optimiser,
            threads=threads,
            seed=options.seed,
            loss=self.loss,
            prepare=self.preparation.batch,
            moves_labels=self.preparation.moves_labels,
        )
        self._step.number = self.progress.step
        self._predictor = Predictor(self.network, threads=threads, batch=128, logits=True)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Send the workers home."""
        self._step.close()
        self._predictor.close()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of ``metrics.csv``."""
        if self.dataset.segments:
            return ROW_NAMES
        return tuple(name for name in ROW_NAMES if name not in ONLY_OF_PIXELS)

    @property
    def epochs(self) -> int:
        """How many there will be."""
        return self.options.epochs

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or patience ended them."""
        return self.progress.epoch >= self.options.epochs or self.progress.stopped_early

    def run(self, watcher: Watcher, *, until: int | None = None) -> bool:
        """Go on to the end.

        Args:
            watcher: Is told of every step and epoch, and may stop the training.
            until: Stop when so many epochs are complete.

        Returns:
            False if it was stopped before.

        Raises:
            Diverged: Numbers are no longer finite, or absurd.
        """
        last = self.options.epochs if until is None else min(until, self.options.epochs)
        while self.progress.epoch < last and not self.progress.stopped_early:
            if not self._steps(watcher) or not self._close_epoch(watcher):
                return False
            if watcher.stop():
                return self.progress.epoch >= last or self.progress.stopped_early
        return True

    def _steps(self, watcher: Watcher) -> bool:
        """The steps of an epoch that are still to be made; False if it was stopped among them."""
        progress = self.progress
        xp = self.network.device.xp
        began = time.perf_counter()
        for x, labels in self._pictures.epoch(progress.epoch, progress.batch):
            lr = self.schedule.lr(progress.step)
            loss = self._step(xp.asarray(x), xp.asarray(labels), lr)
            if not self.network.device.is_gpu or progress.step % LOOK_EVERY == 0:
                loss = float(loss)
                self._check("loss", loss, progress.step)
            images = labels.shape[-1]
            progress.count(loss, images, self._step.right, self._step.counted)
            now = time.perf_counter()
            progress.seconds += now - began
            progress.epoch_seconds += now - began
            began = now
            watcher.step(loss, images, lr)
            if watcher.stop() and progress.batch < self.batches:
                return False
        return True

    def _check(self, what: str, loss: float, step: int) -> None:
        if not loss <= HOPELESS:  # nor NaN
            raise Diverged(
                f"training diverged in epoch {self.progress.epoch + 1}, step {step + 1}: the "
                f"{what} is {loss:g} at a learning rate of {self.schedule.lr(step):g}; take a "
                "smaller --lr"
            )

    def _close_epoch(self, watcher: Watcher) -> bool:
        """What follows the last step of an epoch; False if it was stopped before it was done."""
        progress = self.progress
        began = time.perf_counter()
        self._check("mean loss", float(progress.loss) / progress.seen, progress.step - 1)
        validation = None
        if self.dataset.validation is not None:
            try:
                validation = self.scores(self.dataset.validation, watcher.stop)
            except _Interrupted:
                return False  # all batches are done: what goes on from here begins with it
            if validation.quality > progress.best_value:
                progress.best, progress.best_value = progress.epoch + 1, validation.quality
                self.best = self.network.state()
        speed = progress.seen / max(progress.epoch_seconds, 1e-9)
        progress.seconds += time.perf_counter() - began
        on_gpu = self.network.device.is_gpu  # where nobody counts
        row = {
            "epoch": progress.epoch + 1,
            "train_loss": float(progress.loss) / progress.seen,
            "train_accuracy": None if on_gpu else progress.right / max(progress.counted, 1),
            "val_loss": None if validation is None else validation.loss,
            "val_accuracy": None if validation is None else validation.accuracy,
            "lr": self.schedule.lr(progress.step - 1),
            "images_per_second": speed,
            "seconds": progress.seconds,
        }
        if validation is not None and validation.mean_iou is not None:
            row["val_mean_iou"] = validation.mean_iou
        progress.close_epoch(row)
        waited = progress.epoch - progress.best
        if self.options.patience and validation is not None:
            progress.stopped_early = waited >= self.options.patience
        watcher.epoch(row)
        return True

    def scores(self, split: Split, stop: Callable[[], bool] | None = None) -> Scores:
        """How well the network does, as it is now.

        Args:
            split: Pictures, at least one.
            stop: Asked now and then whether to break off.

        Raises:
            Diverged: The network gives numbers that are not finite.
        """
        device, many = self.network.device, self._predictor.batch * self.threads
        pictures = Batches(split, many, None)
        scorer = Scorer(len(self.dataset.classes), replace(self.loss, label_smoothing=0.0))
        for first in range(0, len(split), many):
            if stop is not None and stop():
                raise _Interrupted
            x, labels = pictures.take(np.arange(first, min(first + many, len(split))))
            prepared = self.preparation.picture(device.xp.asarray(x))
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                outputs = device.to_host(self._predictor(prepared))
            scorer.add(outputs, labels)
        return scorer.scores()

    def use_best(self) -> None:
        """Take the weights of the best epoch, if there was a validation."""
        if self.best:
            self.network.load(self.best)

    def checkpoint(self, facts: Mapping[str, str]) -> Checkpoint[Options, Progress]:
        """The training as it is now; later steps do not change it.

        Raises:
            Diverged: The loss is not finite.
        """
        loss = float(self.progress.loss)  # on a GPU it lies there
        if not math.isfinite(loss):
            self._check("loss", loss, self.progress.step - 1)
        return Checkpoint(
            self.options,
            replace(self.progress, loss=loss, history=list(self.progress.history)),
            self.network.state(),
            {
                name: np.array(self.network.device.to_host(value))
                for name, value in self.optimiser.state().items()
            },
            dict(self.best),
            dict(facts),
        )

    def _take(self, checkpoint: Checkpoint[Options, Progress]) -> None:
        xp = self.network.device.xp
        self.network.load(checkpoint.weights)
        self.optimiser.load_state({k: xp.asarray(v) for k, v in checkpoint.optimiser.items()})
        self.progress = replace(
            checkpoint.progress, history=[dict(row) for row in checkpoint.progress.history]
        )
        self.best = dict(checkpoint.best)
        if self.progress.batch > self.batches:
            raise ModelFileError("the checkpoint has more batches in an epoch than the data")

    def _class_weights(self) -> Any:
        if self.options.class_weight == "none":
            return None
        labels = self.dataset.train.labels
        if self.dataset.segments:
            labels = labels[labels != IGNORED]
        weights = balanced(labels, len(self.dataset.classes))
        return self.network.device.xp.asarray(weights.astype(np.float32))


def balanced(labels: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """What a picture or pixel of each class counts, so that all classes count alike; 1 on average.

    Shape:
        (M,) -> (K,).

    Example:
        >>> balanced(np.array([0, 0, 0, 1]), 2).round(4).tolist()
        [0.6667, 2.0]
    """
    counts = np.bincount(labels, minlength=classes)
    weights: NDArray[np.float64] = counts.sum() / (classes * np.maximum(counts, 1))
    return weights
