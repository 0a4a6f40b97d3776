"""What a supervised training makes small, of a batch that may be split over workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cnntool import ops
from cnntool.backend import Array
from cnntool.errors import NameNotFound, OptionError

LOSSES = ("cross-entropy", "dice", "both")
"""How surprised a network is by the true classes; how badly regions overlap; the sum of these."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss of class scores against class numbers.

    Attributes:
        kind: One of :data:`LOSSES`; ``dice`` and ``both`` are for pixels.
        label_smoothing: Share of the targets that is spread over all classes, in cross entropy.
        class_weights: What each class counts, (K,); None counts all alike.
        ignore: Label of what has no class.

    Raises:
        NameNotFound: There is no such kind.
        OptionError: The label smoothing is out of range, or given to Dice alone.

    Example:
        >>> import numpy as np
        >>> loss = Loss()
        >>> labels = np.array([0, 1])
        >>> value, backward = loss.vjp(np.zeros((2, 2)), labels, loss.measure(labels), 2)
        >>> round(float(value), 4), backward().tolist()
        (0.6931, [[-0.25, 0.25], [0.25, -0.25]])
    """

    kind: str = "cross-entropy"
    label_smoothing: float = 0.0
    class_weights: Array | None = field(default=None, repr=False)
    ignore: int = -100

    def __post_init__(self) -> None:
        if self.kind not in LOSSES:
            raise NameNotFound.among("loss", self.kind, LOSSES)
        if not 0 <= self.label_smoothing < 1:
            raise OptionError(
                f"label smoothing is a share from 0 to below 1, got {self.label_smoothing}"
            )
        if self.label_smoothing and self.kind == "dice":
            raise OptionError("label smoothing is for cross entropy; Dice has no use for it")

    def measure(self, labels: Array) -> Array | float:
        """What a mean over these labels divides by: the sum over all parts of a batch is its own.

        Args:
            labels: Class numbers (N,), or of pixels (H, W, N).
        """
        if self.class_weights is None and labels.ndim == 1:
            return float(labels.shape[0])
        return ops.cross_entropy_divisor(labels, self.class_weights, self.ignore)

    def vjp(
        self, logits: Array, labels: Array, measure: Array | float, images: int
    ) -> tuple[Array, Callable[[], Array]]:
        """The loss of part of a batch, as its share of the whole batch's, and its gradient.

        Args:
            logits: (K, N), or (K, H, W, N).
            labels: (N,), or (H, W, N).
            measure: :meth:`measure` of the whole batch.
            images: How many the whole batch has.
        """
        weights, ignore = self.class_weights, self.ignore
        terms = []
        if self.kind != "dice":
            terms.append(
                ops.cross_entropy_vjp(
                    logits, labels, weights, ignore, label_smoothing=self.label_smoothing,
                    divisor=measure,
                )
            )  # fmt: skip
        if self.kind != "cross-entropy":
            terms.append(ops.dice_loss_vjp(logits, labels, weights, ignore, divisor=float(images)))
        if len(terms) == 1:
            return terms[0]
        (one, one_back), (other, other_back) = terms

        def backward() -> Array:
            grad = one_back()
            grad += other_back()
            return grad

        return one + other, backward
