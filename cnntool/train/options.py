"""What a training is: everything that its result depends on, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any

from cnntool.errors import ModelFileError, OptionError

CLASS_WEIGHTS = ("none", "balanced")
"""Whether rare classes count more: ``balanced`` gives every class the same share of the loss."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """All resolved options of one training.

    Attributes:
        dataset: Name or path, as it was given.
        model: Name of a built-in network, or ``custom``.
        spec: The network's specification.
        input: (C, H, W).
        classes: Names of the classes.
        epochs: Passes through the training pictures.
        batch_size: Pictures a step.
        optimizer: A key of :data:`cnntool.nn.optim.OPTIMISERS`.
        lr: Highest learning rate.
        momentum: Of sgd; with Nesterov's correction.
        schedule: A key of :data:`cnntool.nn.schedule.SCHEDULES`.
        warmup: Epochs in which the rate rises; None leaves it to the schedule.
        weight_decay: Of weights, not of biases and normalisation.
        dropout: Share for all dropout layers; None leaves the specification's.
        loss: A key of :data:`cnntool.nn.loss.LOSSES`.
        label_smoothing: Share of the targets that is spread over all classes.
        class_weight: One of :data:`CLASS_WEIGHTS`.
        augment: Random changes of pictures, in the language of ``cnntool augment``; empty if none.
        val_split: Share of the training pictures that is kept for choices.
        patience: Epochs without progress on these after which training ends; 0 means never.
        limit: Most training pictures; None means all.
        seed: Of weights, order, dropout and augmentation.
        size: (H, W) that pictures were brought to; None means their own.
        fit: How.
        color: ``gray`` or ``rgb``; None means their own.
        init: A key of :data:`cnntool.nn.init.SCHEMES`; empty picks by the network.
        start: The model that training begins with, as it was given; empty begins anew.
        new_head: Whether its last layer was replaced.
        freeze: Names of layers that keep their weights.
        preprocessing: What is done to pictures, by the names of
            :class:`cnntool.nn.saved_model.Preprocessing`, as that model has it; None takes it from
            the data.
        schedule_epochs: Epochs that the schedule was made for, if the training was extended
            afterwards; None means all.
    """

    dataset: str
    model: str
    spec: str
    input: tuple[int, ...]
    classes: tuple[str, ...]
    epochs: int = 10
    batch_size: int = 64
    optimizer: str = "adamw"
    lr: float = 1e-3
    momentum: float = 0.9
    schedule: str = "onecycle"
    warmup: float | None = None
    weight_decay: float = 0.0
    dropout: float | None = None
    loss: str = "cross-entropy"
    label_smoothing: float = 0.0
    class_weight: str = "none"
    augment: str = ""
    val_split: float = 0.0
    patience: int = 0
    limit: int | None = None
    seed: int = 0
    size: tuple[int, int] | None = None
    fit: str = "stretch"
    color: str | None = None
    init: str = ""
    start: str = ""
    new_head: bool = False
    freeze: tuple[str, ...] = ()
    preprocessing: Mapping[str, Any] | None = None
    schedule_epochs: int | None = None

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
            "epochs": (1, 1_000_000), "batch_size": (1, 1_000_000), "patience": (0, 1_000_000),
            "seed": (0, 2**62), "momentum": (0, 0.9999), "weight_decay": (0, 10),
            "label_smoothing": (0, 0.9), "val_split": (0, 0.9),
        }  # fmt: skip
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise OptionError(
                    f"{flag(name)} must be from {low} to {high}, got {value}", option=name
                )
        if not (isfinite(self.lr) and self.lr > 0):
            raise OptionError(f"--lr must be a number above 0, got {self.lr}", option="lr")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise OptionError(f"--dropout must be from 0 to below 1, got {self.dropout}")
        if self.warmup is not None and not 0 <= self.warmup <= self.epochs:
            raise OptionError(
                f"--warmup is a part of the training's {self.epochs} epochs, got {self.warmup:g}"
            )
        if self.class_weight not in CLASS_WEIGHTS:
            raise OptionError(
                f"--class-weight must be {' or '.join(CLASS_WEIGHTS)}, got '{self.class_weight}'"
            )

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Options:
        """From plain values, as :meth:`as_json` gives them.

        Raises:
            ModelFileError: There are others, or some are missing.
        """
        return cls(**plain_options(cls, values))


def plain_options(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a kind from plain values.

    Raises:
        ModelFileError: There are others, or some are missing.
    """
    known = {field.name for field in fields(kind)}
    if set(values) != known:
        wrong = sorted(set(values) ^ known)[0]
        raise ModelFileError(
            f"the checkpoint's options do not fit this version: '{wrong}' is not in both; "
            "start the training anew with -f"
        )
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }


def flag(name: str) -> str:
    """How an option is written.

    Example:
        >>> flag("batch_size")
        '--batch-size'
    """
    return "--" + name.replace("_", "-")
