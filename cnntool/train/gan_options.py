"""What an adversarial training is, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

from cnntool.errors import OptionError
from cnntool.nn.adversarial import GAN_LOSSES
from cnntool.train.options import flag, plain_options
from cnntool.train.progress import check_progress

GAN_ROW_NAMES = (
    "epoch", "stage", "d_loss", "g_loss", "real", "fake", "content", "kl", "variety", "lr",
    "images_per_second", "seconds",
)  # fmt: skip
"""Columns of ``metrics.csv``: losses of both networks, the discriminator's mean answers to real and
made pictures (1 is real), parts of the generator's loss, and how much made pictures differ from
each other, as a share of how much real ones do."""


@dataclass(frozen=True, kw_only=True)
class GanOptions:
    """All resolved options of one adversarial training.

    Attributes:
        dataset: Name or path, as it was given.
        model: Name of built-in networks, or ``custom``.
        spec: Their specification.
        input: (C, H, W) of the pictures.
        classes: Names of the classes.
        width: Numbers of the condition; 0 if it has none.
        epochs: Passes through the pictures of each stage.
        batch_size: Pictures a step.
        lr: Learning rate of both networks.
        gan_loss: A key of :data:`cnntool.nn.adversarial.GAN_LOSSES`.
        d_steps: Steps of the discriminator for each of the generator.
        label_smoothing: How far below 1 the target of real pictures is.
        content: What the distance to the true picture counts, where there is one.
        limit: Most pictures; None means all.
        seed: Of weights, order and random numbers.
        size: (H, W) that pictures were brought to; None means their own.
        fit: How.
        color: ``gray`` or ``rgb``; None means their own.
    """

    dataset: str
    model: str
    spec: str
    input: tuple[int, ...]
    classes: tuple[str, ...]
    width: int = 0
    epochs: int = 10
    batch_size: int = 64
    lr: float = 2e-4
    gan_loss: str = "nonsaturating"
    d_steps: int = 1
    label_smoothing: float = 0.1
    content: float = 0.0
    limit: int | None = None
    seed: int = 0
    size: tuple[int, int] | None = None
    fit: str = "stretch"
    color: str | None = None

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
            "epochs": (1, 1_000_000), "batch_size": (2, 1_000_000), "seed": (0, 2**62),
            "label_smoothing": (0, 0.9), "d_steps": (1, 100), "content": (0, 1e6),
        }  # fmt: skip
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise OptionError(
                    f"{flag(name)} must be from {low} to {high}, got {value}", option=name
                )
        if not (isfinite(self.lr) and self.lr > 0):
            raise OptionError(f"--lr must be a number above 0, got {self.lr}", option="lr")
        if self.gan_loss not in GAN_LOSSES:
            raise OptionError(
                f"--gan-loss must be {' or '.join(GAN_LOSSES)}, got '{self.gan_loss}'"
            )

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> GanOptions:
        """From plain values, as :meth:`as_json` gives them.

        Raises:
            ModelFileError: There are others, or some are missing.
        """
        return cls(**plain_options(cls, values))


@dataclass
class GanProgress:
    """Where an adversarial training stands.

    Attributes:
        stage: Stages that are complete.
        epoch: Epochs that are complete, over all stages.
        batch: Batches of the next epoch that are complete.
        step: Steps in all; those of the discriminator alone do not count.
        sums: Of this epoch's batches so far, each times its pictures, by the names of
            :data:`GAN_ROW_NAMES`.
        seen: How many pictures there were.
        seconds: Time spent, over all sessions.
        epoch_seconds: Of these in this epoch.
        history: One row an epoch.
        won: Epochs in a row in which the discriminator told nearly all apart.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seen: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    won: int = 0

    def count(self, values: Mapping[str, float], images: int) -> None:
        """Take note of one step."""
        self.batch += 1
        self.step += 1
        self.seen += images
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * images

    def close_epoch(self, row: Mapping[str, Any]) -> None:
        """Take note of the end of an epoch."""
        self.history.append(dict(row))
        self.epoch += 1
        self.batch = self.seen = 0
        self.sums = {}
        self.epoch_seconds = 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values; numbers come back bit by bit."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> GanProgress:
        """From plain values.

        Raises:
            TypeError: Some are missing, or unknown, or of another kind.
        """
        found = cls(**values)
        check_progress(found, ("stage", "epoch", "batch", "step", "seen"), GAN_ROW_NAMES)
        return found
