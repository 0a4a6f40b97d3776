"""How far a training has come: what a checkpoint says beside the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

ROW_NAMES = (
    "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_mean_iou", "lr",
    "images_per_second", "seconds",
)  # fmt: skip
"""Columns of ``metrics.csv``: accuracies as shares, seconds since the training began."""

ONLY_OF_PIXELS = ("val_mean_iou",)
"""Columns that are left out where pictures have one class each."""


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        epoch: Epochs that are complete.
        batch: Batches of the next epoch that are complete.
        step: Steps in all.
        loss: Sum of the losses of this epoch's pictures so far.
        seen: How many there were.
        right: How many of them, or of their pixels, were told rightly.
        counted: How many of these have a class.
        seconds: Time spent, over all sessions.
        epoch_seconds: Of these in this epoch.
        history: One row an epoch, see :data:`ROW_NAMES`.
        best: Epoch with the best validation, from 1; 0 if there is none.
        best_value: Its accuracy, or mean intersection over union.
        stopped_early: Whether patience ended the training.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss: float = 0.0
    seen: int = 0
    right: int = 0
    counted: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: int = 0
    best_value: float = -1.0
    stopped_early: bool = False

    def count(self, loss: float, images: int, right: int, counted: int) -> None:
        """Take note of one step."""
        self.batch += 1
        self.step += 1
        self.loss += loss * images
        self.seen += images
        self.right += right
        self.counted += counted

    def close_epoch(self, row: Mapping[str, Any]) -> None:
        """Take note of the end of an epoch."""
        self.history.append(dict(row))
        self.epoch += 1
        self.batch = self.seen = self.right = self.counted = 0
        self.loss = self.epoch_seconds = 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values; numbers come back bit by bit."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Progress:
        """From plain values.

        Raises:
            TypeError: Some are missing, or unknown, or of another kind.
        """
        found = cls(**values)
        check_progress(found, ("epoch", "batch", "step", "seen"), ROW_NAMES)
        return found


def check_progress(found: Any, counts: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse what no progress can be.

    Args:
        found: A progress, made of values from a file.
        counts: Names of whole numbers that are not negative.
        columns: Names that rows of its history may have.

    Raises:
        TypeError: A value is of another kind, or out of range.
    """
    for place in fields(found):
        value = getattr(found, place.name)
        kind = type(getattr(type(found)(), place.name))
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise TypeError(f"'{place.name}' is no {kind.__name__}")
    if any(getattr(found, name) < 0 for name in counts):
        raise TypeError("a count is negative")
    if not all(isinstance(row, dict) and set(row) <= set(columns) for row in found.history):
        raise TypeError("'history' has other columns")
