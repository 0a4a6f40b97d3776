"""What a model makes of pictures with a class for every pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.data.masks import IGNORED
from cnntool.errors import InputError, ShapeError
from cnntool.predict import metrics
from cnntool.predict.classifier import Classifier
from cnntool.predict.metrics import ClassScores, Counts, Shares
from cnntool.predict.words import check_pixel_measure


@dataclass(frozen=True, eq=False)
class PixelEvaluation:
    """Predictions and truth, pixel by pixel.

    Attributes:
        classes: Names, in the order of the numbers.
        confusion: How often pixels of each class (row) were taken for each (column), (K, K).
        losses: Mean cross entropy of each picture's pixels, (N,).
        overlaps: Mean intersection over union of the classes in each picture, (N,).

    Example:
        >>> found = PixelEvaluation(
        ...     ("road", "tree"), np.array([[5, 1], [2, 2]]), np.array([0.5]), np.array([0.5])
        ... )
        >>> found.accuracy, found.iou.round(3).tolist(), round(found.mean_iou, 3)
        (0.7, [0.625, 0.4], 0.512)
    """

    classes: tuple[str, ...]
    confusion: Counts
    losses: NDArray[np.float64]
    overlaps: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def accuracy(self) -> float:
        """Share of pixels that are told rightly."""
        return metrics.accuracy(self.confusion)

    @property
    def loss(self) -> float:
        """Mean cross entropy over pictures."""
        return float(self.losses.mean())

    @cached_property
    def iou(self) -> Shares:
        """Intersection over union of each class; NaN for classes that never occur."""
        return metrics.iou(self.confusion)

    @cached_property
    def dice(self) -> Shares:
        """Dice coefficient of each class; NaN for classes that never occur."""
        return metrics.dice(self.confusion)

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that occur."""
        return metrics.mean_of_classes(self.iou)

    @property
    def mean_dice(self) -> float:
        """Mean over the classes that occur."""
        return metrics.mean_of_classes(self.dice)

    @cached_property
    def per_class(self) -> list[ClassScores]:
        """Precision, recall, F1 and pixels of each class."""
        return metrics.per_class(self.confusion)

    def worst(self, most: int) -> NDArray[np.int64]:
        """Numbers of the pictures with the least overlap, the worst first."""
        return np.argsort(self.overlaps, kind="stable")[:most]

    def measure(self, name: str) -> float:
        """A number that is better when it is higher, by its name.

        Raises:
            NameNotFound: There is no such number.
        """
        check_pixel_measure(name)
        return {"accuracy": self.accuracy, "mean-iou": self.mean_iou, "dice": self.mean_dice}[name]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values; null stands for classes that never occur."""
        return {
            "accuracy": self.accuracy,
            "mean_iou": _plain(self.mean_iou),
            "dice": _plain(self.mean_dice),
            "loss": self.loss,
            "per_class": self.rows(),
            "confusion": self.confusion.tolist(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a class; None stands for classes that never occur."""
        return [
            {
                "label": self.classes[scores.number],
                "iou": _plain(self.iou[scores.number]),
                "dice": _plain(self.dice[scores.number]),
                "precision": scores.precision,
                "recall": scores.recall,
                "pixels": scores.support,
            }
            for scores in self.per_class
        ]


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def evaluate_pixels(
    classify: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    classes: Sequence[str],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> PixelEvaluation:
    """Let a network tell the classes of pixels, and compare.

    Args:
        classify: The network.
        images: Samples 0..255.
        labels: True class numbers; :data:`cnntool.data.masks.IGNORED` is none.
        classes: Names of the network's classes.
        progress: Is told how many pictures are done, and how many there are.

    Shape:
        (M, C, H, W) and (M, H, W).

    Raises:
        ShapeError: Pictures or masks do not fit the network.
        InputError: There are no pictures, no pixel has a class, or a label is none.
        ModelFileError: The network gives numbers that are not finite.
    """
    wanted = (len(images), *classify.network.output[1:])
    if images.shape[1:] != classify.preprocess.shape or labels.shape != wanted:
        raise ShapeError(
            f"pictures of shape {images.shape} with masks of shape {labels.shape} do not fit a "
            f"network from {classify.preprocess.shape} to {classify.network.output}"
        )
    if not len(images):
        raise InputError("there are no pictures to evaluate")
    count = len(classes)
    confusion = np.zeros((count, count), np.int64)
    losses, overlaps = np.zeros(len(images)), np.full(len(images), np.nan)
    for first in range(0, len(images), classify.round):
        some = slice(first, first + classify.round)
        logits = classify(np.ascontiguousarray(images[some].transpose(1, 2, 3, 0)))
        found = logits.argmax(axis=0)
        for place, truth in enumerate(labels[some], first):
            own = np.ascontiguousarray(logits[..., place - first])
            counts = truth != IGNORED
            part = metrics.confusion_matrix(truth[counts], found[..., place - first][counts], count)
            confusion += part
            if counts.any():
                losses[place] = metrics.cross_entropy(own[:, counts], truth[counts]).mean()
                overlaps[place] = metrics.mean_of_classes(metrics.iou(part))
        if progress is not None:
            progress(min(some.stop, len(images)), len(images))
    if not confusion.any():
        raise InputError("no pixel of the masks has a class; there is nothing to compare with")
    return PixelEvaluation(tuple(classes), confusion, losses, np.nan_to_num(overlaps, nan=1.0))
