"""What a model makes of pictures whose classes are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import InputError, OptionError, ShapeError
from cnntool.predict import metrics
from cnntool.predict.classifier import Classifier
from cnntool.predict.metrics import ClassScores, Confused, Counts
from cnntool.predict.words import check_measure

TOP = (1, 2, 3, 5)
"""How many of the best classes are looked at, where there are more classes than that."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions and truth, picture by picture.

    Attributes:
        classes: Names, in the order of the numbers.
        labels: True class numbers, (N,).
        predictions: Predicted class numbers, (N,).
        ranks: How many classes were rated above the true one, (N,).
        losses: Cross entropies, (N,).
        scores: Shares of the predicted classes, (N,).

    Example:
        >>> found = Evaluation(
        ...     ("cat", "dog", "owl"), np.array([0, 1, 1]), np.array([0, 1, 0]),
        ...     np.array([0, 0, 1]), np.array([0.25, 0.25, 1.0]), np.array([0.8, 0.8, 0.6]),
        ... )
        >>> round(found.accuracy, 3), found.loss, found.top_k
        (0.667, 0.5, {1: 0.6666666666666666, 2: 1.0})
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    ranks: NDArray[np.int64]
    losses: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def confusion(self) -> Counts:
        """How often each class (row) was taken for each (column)."""
        return metrics.confusion_matrix(self.labels, self.predictions, len(self.classes))

    @property
    def accuracy(self) -> float:
        """Share of right predictions."""
        return metrics.accuracy(self.confusion)

    @property
    def loss(self) -> float:
        """Mean cross entropy."""
        return float(self.losses.mean())

    @property
    def top_k(self) -> dict[int, float]:
        """Share of pictures whose class is among the k best, for some k."""
        most = len(self.classes)
        return {k: metrics.top_k(self.ranks, k) for k in TOP if k == 1 or k < most}

    @cached_property
    def per_class(self) -> list[ClassScores]:
        """Precision, recall, F1 and support of each class."""
        return metrics.per_class(self.confusion)

    def mean(self, what: str) -> float:
        """Mean over all classes, each counting alike, of ``precision``, ``recall`` or ``f1``."""
        return metrics.mean_of_classes([getattr(scores, what) for scores in self.per_class])

    def most_confused(self, most: int = 5) -> list[Confused]:
        """The pairs of classes that were mistaken most often."""
        return metrics.most_confused(self.confusion, most)

    def worst(self, most: int) -> NDArray[np.int64]:
        """Numbers of the pictures with the highest losses, the worst first."""
        return np.argsort(-self.losses, kind="stable")[:most]

    def measure(self, name: str) -> float:
        """A number that is better when it is higher, by its name.

        Args:
            name: ``accuracy``, ``top-K``, ``precision``, ``recall`` or ``f1``.

        Raises:
            NameNotFound: There is no such number.
        """
        if k := check_measure(name):
            return metrics.top_k(self.ranks, k)
        return self.accuracy if name == "accuracy" else self.mean(name)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values; accuracies are shares."""
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "top_k": {str(k): share for k, share in self.top_k.items()},
            "per_class": self.rows(),
            "confusion": self.confusion.tolist(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a class."""
        return [
            {
                "label": self.classes[scores.number],
                "precision": scores.precision,
                "recall": scores.recall,
                "f1": scores.f1,
                "support": scores.support,
            }
            for scores in self.per_class
        ]


def evaluate(
    classify: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Let a classifier tell the classes of pictures, and compare.

    Args:
        classify: The network.
        images: Samples 0..255.
        labels: True class numbers.
        classes: Names of the network's classes.
        progress: Is told how many pictures are done, and how many there are.

    Shape:
        (M, C, H, W) and (M,).

    Raises:
        ShapeError: The pictures do not fit the network.
        InputError: There are no pictures, or a label is no class.
        ModelFileError: The network gives numbers that are not finite.
    """
    if images.shape[1:] != classify.preprocess.shape or len(images) != len(labels):
        raise ShapeError(
            f"{len(labels)} labels and pictures of shape {images.shape} do not fit; the network "
            f"needs (M, C, H, W) with {classify.preprocess.shape} for the last three"
        )
    if not len(images):
        raise InputError("there are no pictures to evaluate")
    parts = []
    for first in range(0, len(images), classify.round):
        some = slice(first, first + classify.round)
        logits = classify(np.ascontiguousarray(images[some].transpose(1, 2, 3, 0)))
        best = logits.argmax(axis=0)
        scores = np.take_along_axis(classify.scores(logits), best[None], axis=0)[0]
        truth = labels[some]
        losses = metrics.cross_entropy(logits, truth)
        parts.append((best, metrics.ranks(logits, truth), losses, scores))
        if progress is not None:
            progress(min(some.stop, len(images)), len(images))
    predictions, ranks, all_losses, all_scores = map(np.concatenate, zip(*parts, strict=True))
    return Evaluation(tuple(classes), labels, predictions, ranks, all_losses, all_scores)


def class_numbers(known: Sequence[str], given: Sequence[str], *, named: bool) -> NDArray[np.int64]:
    """Numbers of a model's classes for those of a data set.

    Args:
        known: The model's classes.
        given: The data set's.
        named: Whether the model's have names; else they are matched by number.

    Returns:
        For each number of the data set that of the model.

    Raises:
        OptionError: They are not the same classes.

    Example:
        >>> class_numbers(["cat", "dog"], ["dog", "cat"], named=True).tolist()
        [1, 0]
    """
    if not named:
        if len(known) != len(given):
            raise OptionError(
                f"the model tells {len(known)} classes without names, the data set has "
                f"{len(given)}; they must be the same"
            )
        return np.arange(len(given))
    missing = [name for name in known if name not in given]
    unknown = [name for name in given if name not in known]
    if missing or unknown:
        raise OptionError(
            f"the classes of model ({len(known)}) and data set ({len(given)}) differ: "
            + "; ".join(
                f"only the {whose} has {_some(names)}"
                for whose, names in (("model", missing), ("data set", unknown))
                if names
            )
        )
    numbers = {name: number for number, name in enumerate(known)}
    return np.array([numbers[name] for name in given], np.int64)


def _some(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(f"'{name[:30]}'" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
