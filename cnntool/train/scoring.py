"""How well a network does on pictures while it is trained: what a validation tells.

Batches come one after another and are let go, so that a data set with a class for every pixel needs
no more memory than one with a class for a picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import Diverged
from cnntool.nn.loss import Loss
from cnntool.predict import metrics


@dataclass(frozen=True)
class Scores:
    """How well a network does.

    Attributes:
        loss: Mean over pictures.
        accuracy: Share of the pictures, or pixels, that are told rightly.
        mean_iou: Mean intersection over union of the classes; None if pictures have one class.
    """

    loss: float
    accuracy: float
    mean_iou: float | None = None

    @property
    def quality(self) -> float:
        """What the best epoch is chosen by; higher is better."""
        return self.accuracy if self.mean_iou is None else self.mean_iou


@dataclass
class Scorer:
    """Adds up batches.

    Args:
        classes: K.
        loss: What is told as the loss.

    Example:
        >>> scorer = Scorer(2, Loss())
        >>> scorer.add(np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([0, 1]))
        >>> round(scorer.scores().loss, 4), scorer.scores().accuracy
        (0.41, 0.5)
    """

    classes: int
    loss: Loss
    _confusion: NDArray[np.int64] = field(init=False)
    _total: float = field(init=False, default=0.0)
    _pictures: int = field(init=False, default=0)
    _of_pixels: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._confusion = np.zeros((self.classes, self.classes), np.int64)

    def add(self, logits: NDArray[np.float32], labels: NDArray[np.integer]) -> None:
        """Take a batch.

        Shape:
            (K, N) and (N,), or (K, H, W, N) and (H, W, N).

        Raises:
            Diverged: The network gives numbers that are not finite.
        """
        if not np.isfinite(logits).all():
            raise Diverged("the network gives numbers that are not finite; take a smaller --lr")
        self._of_pixels = labels.ndim > 1
        count = labels.shape[-1]
        wide = logits.astype(np.float64)
        value, _ = self.loss.vjp(wide, labels, self.loss.measure(labels), count)
        self._total += float(value) * count
        self._pictures += count
        counts = labels != self.loss.ignore
        found = logits.argmax(axis=0)
        self._confusion += metrics.confusion_matrix(labels[counts], found[counts], self.classes)

    def scores(self) -> Scores:
        """Of all batches so far."""
        return Scores(
            self._total / max(self._pictures, 1),
            metrics.accuracy(self._confusion),
            metrics.mean_of_classes(metrics.iou(self._confusion)) if self._of_pixels else None,
        )
