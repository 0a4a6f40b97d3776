"""One training from its beginning, or from a checkpoint, to its end or until it is stopped.

A session knows data, network and optimiser, and goes through epochs. It shows nothing and writes
nothing but through :class:`Watcher`, so commands, tests and benchmarks run the same loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import Backend
from cnntool.data.batches import Batches
from cnntool.data.dataset import Dataset, Split
from cnntool.errors import Diverged, ModelFileError
from cnntool.nn import optim, parse, schedule
from cnntool.nn.network import Network
from cnntool.nn.optimiser import decaying
from cnntool.nn.predictor import Predictor
from cnntool.nn.step import TrainingStep
from cnntool.train.checkpoint import Checkpoint
from cnntool.train.options import Options
from cnntool.train.preparation import Preparation
from cnntool.train.progress import Progress

LOOK_EVERY = 50
"""Steps after which a GPU is asked for the loss: asking waits for it."""


class Watcher(Protocol):
    """What wants to know how a training goes."""

    def step(self, loss: float, images: int, lr: float) -> None:
        """A step is done."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """An epoch is done; the row has the names of :data:`cnntool.train.progress.ROW_NAMES`."""

    def stop(self) -> bool:
        """Whether to stop after this step. Asked after every step; may save meanwhile."""


@dataclass(frozen=True)
class Scores:
    """How well a network does on pictures.

    Attributes:
        loss: Mean cross entropy.
        accuracy: Share that is told rightly.
        outputs: Logits (K, M).
    """

    loss: float
    accuracy: float
    outputs: NDArray[Any]


class Session:
    """A training.

    Args:
        options: What it is.
        dataset: What it learns from.
        device: Where.
        threads: Workers that share batches.
        checkpoint: What to go on from; None begins anew.

    Raises:
        ModelFileError: The checkpoint does not fit the network.
        SpecError: The network does not fit the data.
    """

    def __init__(
        self,
        options: Options,
        dataset: Dataset,
        *,
        device: Backend,
        threads: int = 1,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.options, self.dataset, self.threads = options, dataset, threads
        self.preparation = Preparation.of(dataset, options)
        self.network = Network(parse(options.spec), options.input, device=device)
        self.network.initialise(options.seed, options.init or None)
        self._pictures = Batches(dataset.train, options.batch_size, options.seed)
        self.batches = len(self._pictures)
        xp = device.xp
        choices = {"momentum": options.momentum, "nesterov": options.momentum > 0}
        self.optimiser = optim.create(
            options.optimizer,
            self.network.parameters.size,
            xp,
            self.network.dtype,
            decaying=decaying(self.network.places),
            weight_decay=options.weight_decay,
            **(choices if options.optimizer == "sgd" else {}),
        )
        warmup = None if options.warmup is None else round(options.warmup * self.batches)
        self.schedule = schedule.create(
            options.schedule, options.lr, options.epochs * self.batches, warmup
        )
        self.progress = Progress()
        self.best: dict[str, NDArray[Any]] = {}
        if checkpoint is not None:
            self._take(checkpoint)
        self._step = TrainingStep(
            self.network,
            self.optimiser,
            threads=threads,
            seed=options.seed,
            label_smoothing=options.label_smoothing,
            class_weights=self._class_weights(),
            prepare=self.preparation.batch,
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
    def finished(self) -> bool:
        """Whether all epochs are done, or patience ended them."""
        return self.progress.epoch >= self.options.epochs or self.progress.stopped_early

    def run(self, watcher: Watcher, *, until: int | None = None) -> bool:
        """Go on to the end.

        Args:
            watcher: Is told of every step and epoch, and may stop the training.
            until: Stop when so many epochs are complete.

        Returns:
            False if it was stopped within an epoch.

        Raises:
            Diverged: A loss is no finite number.
        """
        last = self.options.epochs if until is None else min(until, self.options.epochs)
        while self.progress.epoch < last and not self.progress.stopped_early:
            if not self._epoch(watcher):
                return False
        return True

    def _epoch(self, watcher: Watcher) -> bool:
        progress = self.progress
        xp = self.network.device.xp
        lr = 0.0
        began = time.perf_counter()
        for x, labels in self._pictures.epoch(progress.epoch, progress.batch):
            lr = self.schedule.lr(progress.step)
            loss = self._step(xp.asarray(x), xp.asarray(labels), lr)
            if not self.network.device.is_gpu or progress.step % LOOK_EVERY == 0:
                loss = float(loss)
                self._check(loss, lr)
            progress.count(loss, self._step.right, len(labels))
            now = time.perf_counter()
            progress.seconds += now - began
            progress.epoch_seconds += now - began
            began = now
            watcher.step(loss, len(labels), lr)
            if watcher.stop() and progress.batch < self.batches:
                return False
        self._close_epoch(watcher, lr)
        return True

    def _check(self, loss: float, lr: float) -> None:
        if not math.isfinite(loss):
            raise Diverged(
                f"training diverged in epoch {self.progress.epoch + 1}, step "
                f"{self.progress.step + 1}: the loss is {loss} at a learning rate of {lr:g}; "
                "take a smaller --lr"
            )

    def _close_epoch(self, watcher: Watcher, lr: float) -> None:
        progress = self.progress
        began = time.perf_counter()
        validation = None
        if self.dataset.validation is not None:
            validation = self.scores(self.dataset.validation)
            if validation.accuracy > progress.best_value:
                progress.best, progress.best_value = progress.epoch + 1, validation.accuracy
                self.best = self.network.state()
        speed = progress.seen / max(progress.epoch_seconds, 1e-9)
        progress.seconds += time.perf_counter() - began
        row = {
            "epoch": progress.epoch + 1,
            "train_loss": float(progress.loss) / max(progress.seen, 1),
            "train_accuracy": progress.right / max(progress.seen, 1),
            "val_loss": None if validation is None else validation.loss,
            "val_accuracy": None if validation is None else validation.accuracy,
            "lr": lr,
            "images_per_second": speed,
            "seconds": progress.seconds,
        }
        progress.close_epoch(row)
        waited = progress.epoch - progress.best
        if self.options.patience and validation is not None:
            progress.stopped_early = waited >= self.options.patience
        watcher.epoch(row)

    def scores(self, split: Split) -> Scores:
        """How well the network does, as it is now."""
        outputs = self.outputs(split)
        peaks = outputs.max(axis=0)
        logs = np.log(np.exp(outputs - peaks).sum(axis=0)) + peaks
        hits = outputs[split.labels, np.arange(len(split))]
        loss = float((logs - hits).mean(dtype=np.float64)) if len(split) else math.nan
        right = outputs.argmax(axis=0) == split.labels
        return Scores(loss, float(right.mean()) if len(split) else math.nan, outputs)

    def outputs(self, split: Split) -> NDArray[Any]:
        """Logits (K, M) for pictures, prepared as in prediction."""
        device, many = self.network.device, 2048
        pictures = Batches(split, many, None)
        parts = []
        for first in range(0, len(split), many):
            x, _ = pictures.take(np.arange(first, min(first + many, len(split))))
            prepared = self.preparation.picture(device.xp.asarray(x))
            parts.append(device.to_host(self._predictor(prepared)))
        return np.concatenate(parts, axis=-1)

    def use_best(self) -> None:
        """Take the weights of the best epoch, if there was a validation."""
        if self.best:
            self.network.load(self.best)

    def checkpoint(self, facts: Mapping[str, str]) -> Checkpoint:
        """The training as it is now; later steps do not change it.

        Raises:
            Diverged: Weights are not finite.
        """
        return Checkpoint(
            self.options,
            replace(self.progress, history=list(self.progress.history)),
            self.network.state(),
            {
                name: np.array(self.network.device.to_host(value))
                for name, value in self.optimiser.state().items()
            },
            dict(self.best),
            dict(facts),
        )

    def _take(self, checkpoint: Checkpoint) -> None:
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
        counts = np.bincount(self.dataset.train.labels, minlength=len(self.dataset.classes))
        weights = counts.sum() / (len(counts) * np.maximum(counts, 1))
        return self.network.device.xp.asarray(weights.astype(np.float32))
