"""Multinomial logistic regression, L2-regularised, fitted by L-BFGS.

The loss is the mean cross-entropy of softmax(W·s + b) plus ``l2/2`` times the sum of all squared
weights, where s are the features less their mean, divided by their deviation. No standardised copy
of the features is made: standardisation is part of weights and bias, in every step and at the end.

Matrix products have the type of the features; all sums over many of their results, the weights and
the search itself are float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import InputError, OptionError, ShapeError
from cnntool.ops.sharing import share

Report = Callable[[int, int, float], object]
"""Gets the number of the iteration, the most that there may be, and the loss."""

MEMORY = 10
"""Steps that L-BFGS remembers."""

_SLOPE, _GAIN = 1e-6, 1e-6  # largest part of the gradient, and share of the loss, at the end
_FLAT = 1e-6  # deviation below which a feature counts as constant


@dataclass(frozen=True, eq=False)
class Fit:
    """What was found.

    Attributes:
        weight: (K, d), for features as they are, in their type.
        bias: (K,), likewise.
        loss: Of the last step, regularisation included.
        iterations: Steps that were made.
        converged: Whether the search ended because nothing was left to gain.
    """

    weight: NDArray[Any]
    bias: NDArray[Any]
    loss: float
    iterations: int
    converged: bool


def fit_logistic(
    features: NDArray[Any],
    labels: NDArray[np.integer[Any]],
    classes: int,
    *,
    l2: float,
    max_iter: int = 100,
    class_weight: Sequence[float] | None = None,
    threads: int = 1,
    report: Report | None = None,
) -> Fit:
    """The weights of a linear classifier.

    Args:
        features: One column a sample, float32 or float64, finite.
        labels: Class of each sample, from 0.
        classes: K, at least 2; some may have no samples.
        l2: How strongly weights are drawn to 0, >= 0. As the loss is a mean, it does not depend on
            the number of samples; 1 / (l2·N) is what other programs call C.
        max_iter: Steps at most, >= 1.
        class_weight: How much a sample of each class counts, > 0; all the same if left out.
        threads: Threads that share the samples; how sums are rounded depends on it.
        report: Called after each step; the search ends where it answers True.

    Shape:
        (d, N), (N,) -> weight (K, d), bias (K,).

    Raises:
        OptionError: Numbers out of range.
        InputError: No samples, or labels that are no classes.
        ShapeError: Arrays that do not fit each other.

    References:
        Liu and Nocedal 1989, On the limited memory BFGS method for large scale optimization.

    Example:
        >>> two = np.array([[0.0, 1.0, 3.0, 4.0]])
        >>> fit = fit_logistic(two, np.array([0, 0, 1, 1]), 2, l2=0.01)
        >>> (fit.weight @ [[1.9, 2.1]] + fit.bias[:, None]).argmax(axis=0).tolist()
        [0, 1]
    """
    from scipy.optimize import minimize

    _check(features, labels, classes, l2, max_iter, class_weight)
    loss = Loss(features, labels, classes, l2, class_weight, threads)
    done, last = 0, 0.0

    # scipy tells by the name of the argument that this one wants the whole state
    def after(intermediate_result: Any) -> None:
        nonlocal done, last
        done, last = done + 1, float(intermediate_result.fun)
        if report is not None and report(done, max_iter, last):
            raise StopIteration

    found = minimize(
        loss,
        np.zeros(loss.size),
        jac=True,
        method="L-BFGS-B",
        callback=after,
        options={
            "maxiter": max_iter,
            # steps are tried once or twice; this many trials never end the search
            "maxfun": 20 * max_iter + 100,
            "maxcor": MEMORY,
            "gtol": _SLOPE,
            "ftol": _GAIN,
        },
    )
    weight, bias = loss.unfolded(found.x)
    return Fit(
        weight.astype(features.dtype),
        bias.astype(features.dtype),
        float(found.fun),
        int(found.nit),
        bool(found.success),
    )


class _Part(NamedTuple):
    """Sums over some of the samples: loss, and its gradients by bias and weights."""

    loss: float = 0.0
    grad_bias: NDArray[np.float64] = np.empty(0)
    grad_weight: NDArray[np.float64] = np.empty(0)


class Loss:
    """The loss and its gradient as functions of one vector: weights, row by row, then biases.

    Args:
        features: (d, N).
        labels: (N,).
        classes: K.
        l2: Regularisation.
        class_weight: How much a sample of each class counts.
        threads: Threads that share the samples.
    """

    def __init__(
        self,
        features: NDArray[Any],
        labels: NDArray[np.integer[Any]],
        classes: int,
        l2: float,
        class_weight: Sequence[float] | None = None,
        threads: int = 1,
    ) -> None:
        self.features, self.labels, self.classes, self.l2 = features, labels, classes, l2
        count, threads = len(labels), max(1, min(threads, len(labels)))
        cuts = [count * thread // threads for thread in range(threads + 1)]
        self._shares = [slice(first, end) for first, end in pairwise(cuts)]
        self.mean, self.deviation = _moments(features)
        weights = np.ones(len(labels))
        if class_weight is not None:
            weights = np.asarray(class_weight, np.float64)[labels]
        self._weights = (weights / weights.sum()).astype(features.dtype)  # (N,), together 1

    @property
    def size(self) -> int:
        """Length of the vector."""
        return self.classes * (len(self.features) + 1)

    def unfolded(self, vector: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Weights (K, d) and biases (K,) for features as they are."""
        standard, bias = self._parts(vector)
        weight = standard / self.deviation
        return weight, bias - weight @ self.mean

    def __call__(self, vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Loss and gradient at one place."""
        standard, _ = self._parts(vector)
        weight, bias = self.unfolded(vector)
        dtype, parts = self.features.dtype, [_Part()] * len(self._shares)
        weight, bias = weight.astype(dtype), bias.astype(dtype)[:, None]

        def work(numbers: Sequence[int]) -> None:
            for number in numbers:
                parts[number] = self._part(weight, bias, self._shares[number])

        share(range(len(parts)), work, threads=len(parts))
        loss = sum(part.loss for part in parts)
        grad_bias = np.sum([part.grad_bias for part in parts], axis=0)
        grad_weight = np.sum([part.grad_weight for part in parts], axis=0)
        grad_weight -= grad_bias[:, None] * self.mean
        grad_weight /= self.deviation
        grad_weight += self.l2 * standard
        penalty = 0.5 * self.l2 * float(np.vdot(standard, standard))
        return loss + penalty, np.concatenate([grad_weight.ravel(), grad_bias])

    def _part(self, weight: NDArray[Any], bias: NDArray[Any], chosen: slice) -> _Part:
        """What some samples give."""
        features, labels = self.features[:, chosen], self.labels[chosen]
        weights, samples = self._weights[chosen], np.arange(len(labels))
        scores = weight @ features  # K n
        scores += bias
        scores -= scores.max(axis=0)
        right = scores[labels, samples]
        np.exp(scores, out=scores)
        total = scores.sum(axis=0)
        loss = float(np.dot((np.log(total) - right).astype(np.float64), weights))
        # gradient of the loss by the scores: (share - [class is right]) · weight of the sample
        scores *= weights / total
        scores[labels, samples] -= weights
        return _Part(
            loss,
            scores.sum(axis=1, dtype=np.float64),
            (scores @ features.T).astype(np.float64),  # K d
        )

    def _parts(self, vector: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        cut = self.classes * len(self.features)
        return vector[:cut].reshape(self.classes, -1), vector[cut:]


def _moments(features: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each feature; 1 for those that are constant."""
    count = features.shape[1]
    mean = features.sum(axis=1, dtype=np.float64) / count
    variance = np.empty_like(mean)
    for row, (values, middle) in enumerate(zip(features, mean, strict=True)):
        apart = values - middle  # of one feature: a copy of all would take as much memory again
        variance[row] = np.dot(apart, apart) / count
    deviation = np.sqrt(variance)
    return mean, np.where(deviation > _FLAT, deviation, 1.0)


def _check(
    features: NDArray[Any],
    labels: NDArray[np.integer[Any]],
    classes: int,
    l2: float,
    max_iter: int,
    class_weight: Sequence[float] | None,
) -> None:
    if features.ndim != 2 or labels.shape != features.shape[1:]:
        raise ShapeError(
            f"features are (d, N) and labels (N,), got {features.shape} and {labels.shape}"
        )
    if classes < 2:
        raise OptionError(f"a classifier needs at least 2 classes, got {classes}")
    if not len(labels):
        raise InputError("there are no samples to learn from")
    if labels.min() < 0 or labels.max() >= classes:
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise InputError(f"label {wrong} is no class; labels are from 0 to {classes - 1}")
    if not 0 <= l2 < np.inf:
        raise OptionError(f"the L2 regularisation must be 0 or more, got {l2:g}")
    if max_iter < 1:
        raise OptionError(f"at least 1 iteration is needed, got {max_iter}")
    if class_weight is not None and (
        len(class_weight) != classes or not all(0 < weight < np.inf for weight in class_weight)
    ):
        raise OptionError(
            f"class weights must be {classes} numbers above 0, one a class, got "
            f"{', '.join(f'{weight:g}' for weight in class_weight)}"
        )
