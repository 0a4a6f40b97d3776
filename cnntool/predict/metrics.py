"""How well predictions agree with the truth: counts of classes, and the shares made of them.

Everything is counted in whole numbers and divided once, in float64. Where a share would be 0/0, a
convention holds: a class that is never predicted has precision 0, a class without pictures recall
0, a class with neither F1 0, as in scikit-learn. In segmentation a class that is neither there nor
predicted has no overlap at all: NaN, and means leave it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnntool.errors import InputError, OptionError, ShapeError

Counts = NDArray[np.int64]
"""Confusion matrix (K, K): rows are true classes, columns predicted ones."""

Shares = NDArray[np.float64]

NO_CLASS = -100
"""Label of pixels that have none; they are not counted."""


@dataclass(frozen=True, slots=True)
class ClassScores:
    """How well one class is recognised.

    Attributes:
        number: Of the class.
        precision: Share of right ones among those that were taken for it.
        recall: Share of those that belong to it which were taken for it.
        f1: Harmonic mean of both.
        support: How many belong to it.
    """

    number: int
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Confused:
    """One class taken for another.

    Attributes:
        true: Number of the class that they belong to.
        predicted: Number of the class that they were taken for.
        count: How often.
        share: Of all that belong to the true class.
    """

    true: int
    predicted: int
    count: int
    share: float


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike, classes: int) -> Counts:
    """How often each class was taken for each.

    Args:
        labels: True class numbers; :data:`NO_CLASS` is left out.
        predictions: Predicted class numbers, as many.
        classes: K, how many classes there are, >= 1.

    Shape:
        Any two of one shape -> (K, K), rows true, columns predicted.

    Raises:
        ShapeError: Labels and predictions differ in shape.
        InputError: A number is no class.

    Example:
        >>> confusion_matrix([0, 0, 1, 2], [0, 1, 1, 0], 3).tolist()
        [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    """
    truth, guess = _numbers(labels), _numbers(predictions)
    if truth.shape != guess.shape:
        raise ShapeError(f"{truth.shape} labels do not fit {guess.shape} predictions")
    counted = truth != NO_CLASS
    if not counted.all():
        truth, guess = truth[counted], guess[counted]
    for what, numbers in (("label", truth), ("prediction", guess)):
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < classes:
            worst = numbers.min() if numbers.min() < 0 else numbers.max()
            raise InputError(f"{what} {worst} is no class; there are {classes}, from 0")
    places = truth.ravel() * classes + guess.ravel()
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def accuracy(confusion: Counts) -> float:
    """Share of right predictions; of none at all 0.

    Of pixels it is called pixel accuracy.

    Example:
        >>> accuracy(np.array([[3, 1], [0, 4]]))
        0.875
    """
    return _ratio(np.trace(confusion), confusion.sum()).item()


def per_class(confusion: Counts) -> list[ClassScores]:
    """Precision, recall, F1 and support of each class; 0/0 counts as 0.

    Example:
        >>> for scores in per_class(np.array([[3, 1], [0, 0]])):
        ...     print(scores.precision, scores.recall, round(scores.f1, 3), scores.support)
        1.0 0.75 0.857 4
        0.0 0.0 0.0 0
    """
    right = np.diagonal(confusion)
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _ratio(right, predicted), _ratio(right, support)
    f1 = _ratio(2 * right, support + predicted)
    columns = (precision.tolist(), recall.tolist(), f1.tolist(), support.tolist())
    return [ClassScores(k, *scores) for k, scores in enumerate(zip(*columns, strict=True))]


def most_confused(confusion: Counts, most: int = 5) -> list[Confused]:
    """The pairs of classes that are mistaken most often, the worst first.

    Pairs of one count stand in the order of their share, then of their numbers.

    Args:
        confusion: Rows true, columns predicted.
        most: Longest list.

    Example:
        >>> most_confused(np.array([[5, 2, 0], [1, 9, 0], [2, 0, 0]]), 2)
        [Confused(true=2, predicted=0, count=2, share=1.0), \
Confused(true=0, predicted=1, count=2, share=0.2857142857142857)]
    """
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    shares = _ratio(wrong, confusion.sum(axis=1)[:, None])
    # lexsort: the last key counts first
    order = np.lexsort((-shares.ravel(), -wrong.ravel()))[:most]
    rows, columns = np.unravel_index(order, wrong.shape)
    return [
        Confused(int(t), int(p), int(wrong[t, p]), float(shares[t, p]))
        for t, p in zip(rows, columns, strict=True)
        if wrong[t, p]
    ]


def ranks(scores: ArrayLike, labels: ArrayLike) -> NDArray[np.int64]:
    """How many classes are rated above the true one; 0 where the prediction is right.

    Of equal scores the class with the smaller number stands first, as with ``argmax``.

    Args:
        scores: Higher is more likely; finite.
        labels: True class numbers.

    Shape:
        (K, N) and (N,) -> (N,).

    Raises:
        ShapeError: They do not fit each other.
        InputError: A label is no class.

    Example:
        >>> ranks([[0.7, 0.2], [0.1, 0.4], [0.2, 0.4]], [2, 2]).tolist()
        [1, 1]
    """
    values, truth = _scores_and_labels(scores, labels)
    own = np.take_along_axis(values, truth[None], axis=0)
    earlier = np.arange(len(values))[:, None] < truth
    above: NDArray[np.int64] = ((values > own) | ((values == own) & earlier)).sum(axis=0)
    return above


def top_k(found: NDArray[np.int64], k: int) -> float:
    """Share of inputs whose true class is among the ``k`` best; of none at all 0.

    Args:
        found: What :func:`ranks` gave.
        k: >= 1.

    Raises:
        OptionError: k is below 1.

    Example:
        >>> top_k(np.array([0, 2, 1, 7]), 2)
        0.5
    """
    if k < 1:
        raise OptionError(f"the k best classes are 1 or more, got {k}")
    return _ratio((found < k).sum(), found.size).item()


def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Shares:
    """Loss of each input: minus the logarithm of its true class's share of the softmax.

    Args:
        logits: Scores before the softmax; finite.
        labels: True class numbers.

    Shape:
        (K, N) and (N,) -> (N,), float64.

    Raises:
        ShapeError: They do not fit each other.
        InputError: A label is no class.

    Example:
        >>> cross_entropy([[0.0, 1000.0], [0.0, 0.0]], [1, 1]).round(3).tolist()
        [0.693, 1000.0]
    """
    values, truth = _scores_and_labels(logits, labels)
    values = values.astype(np.float64) - values.max(axis=0)
    own = np.take_along_axis(values, truth[None], axis=0)[0]
    losses: Shares = np.log(np.exp(values).sum(axis=0)) - own
    return losses


def iou(confusion: Counts) -> Shares:
    """Intersection over union of each class (Jaccard index); NaN for classes that never occur.

    Args:
        confusion: Of pixels, rows true, columns predicted.

    Shape:
        (K, K) -> (K,).

    Example:
        >>> iou(np.array([[2, 1, 0], [1, 4, 0], [0, 0, 0]])).round(3).tolist()
        [0.5, 0.667, nan]
    """
    right = np.diagonal(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    return _ratio(right, union, empty=np.nan)


def dice(confusion: Counts) -> Shares:
    """Dice coefficient of each class, 2·|A∩B| / (|A| + |B|); NaN for classes that never occur.

    Shape:
        (K, K) -> (K,).

    Example:
        >>> dice(np.array([[2, 2], [0, 0]])).round(3).tolist()
        [0.667, 0.0]
    """
    both = confusion.sum(axis=0) + confusion.sum(axis=1)
    return _ratio(2 * np.diagonal(confusion), both, empty=np.nan)


def mean_of_classes(values: ArrayLike) -> float:
    """The mean over the classes that have a value; NaN where none has.

    Example:
        >>> mean_of_classes([0.5, np.nan, 1.0])
        0.75
    """
    array = np.asarray(values, np.float64)
    there = array[~np.isnan(array)]
    return float(there.mean()) if there.size else float("nan")


def _ratio(part: Any, whole: Any, empty: float = 0.0) -> Shares:
    """``part / whole``, and ``empty`` where there is nothing."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    out: Shares = np.full(part.shape, empty)
    np.divide(part, whole, out=out, where=whole != 0)
    return out


def _numbers(values: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise InputError(f"class numbers are whole numbers, got {array.dtype}")
    return array.astype(np.int64)


def _scores_and_labels(
    scores: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    values, truth = np.asarray(scores), _numbers(labels)
    if values.ndim != 2 or not len(values) or truth.shape != values.shape[1:]:
        raise ShapeError(
            f"scores of shape {values.shape} and labels of shape {truth.shape} do not fit; they "
            "must be (K, N) and (N,)"
        )
    if truth.size and not 0 <= truth.min() <= truth.max() < len(values):
        worst = truth.min() if truth.min() < 0 else truth.max()
        raise InputError(f"label {worst} is no class; there are {len(values)}, from 0")
    return values, truth
