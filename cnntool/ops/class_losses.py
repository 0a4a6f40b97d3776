"""Losses of class scores against class numbers: cross entropy, and the overlap of regions.

Scores are (K, …) with the classes first, class numbers have the shape of the rest. Softmax and
loss are one operation, and so are their gradients. ``backward`` and divisors are as in
:mod:`cnntool.ops.losses`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import InputError, OptionError, ShapeError
from cnntool.ops.activations import sigmoid, softmax
from cnntool.ops.buffers import as_float
from cnntool.ops.losses import LossBackward, check_reduction, in_type


def _labels(target: Array, classes: int, ignore_index: int) -> tuple[Array, Array]:
    """Class numbers (0 where ignored), and which count.

    Raises:
        InputError: A number that is no class. Looked for on the host only: on a device the look
            would make it wait, so there such a number gives a meaningless loss.
    """
    xp = array_module(target)
    if np.dtype(target.dtype).kind not in "iu":
        raise OptionError(f"class numbers must be integers, got {target.dtype}")
    counts = target != ignore_index
    labels = xp.where(counts, target, 0).astype(np.intp, copy=False)
    if xp is np and labels.size:
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            wrong = low if low < 0 else high
            raise InputError(
                f"a target of {wrong} is none of the {classes} classes 0 to {classes - 1}; "
                f"correct it, or pass ignore_index={wrong} for what has no class",
                target=wrong,
                classes=classes,
            )
    return labels, counts


def _class_weights(weight: Array | None, logits: Array, classes: int) -> Array | None:
    if weight is None:
        return None
    if weight.shape != (classes,):
        raise ShapeError(
            f"class weights of shape {weight.shape} do not fit {classes} classes; "
            f"they must be ({classes},)"
        )
    return weight.astype(logits.dtype, copy=False)


def _check_target(logits: Array, target: Array) -> None:
    if logits.ndim < 2 or target.shape != logits.shape[1:]:
        raise ShapeError(
            f"targets of shape {target.shape} do not fit scores of shape {logits.shape}; for "
            f"scores (K, …) they must be {logits.shape[1:]}"
        )


def _nonzero(total: Array) -> Array:
    """``total``, or 1 where it is 0: the mean of nothing is 0."""
    return total + (total == 0)


def cross_entropy_divisor(
    target: Array, weight: Array | None = None, ignore_index: int = -100
) -> Array | float:
    """What :func:`cross_entropy` divides by in a mean: the weights of all targets that count.

    Args:
        target: Class numbers, of the whole batch where it is split.
        weight: One number a class; None means 1.
        ignore_index: Class number of targets that do not count.

    Shape:
        (…) -> 0-d; 1 where nothing counts.

    Raises:
        InputError: A target is no class (looked for on the host only).

    Example:
        >>> float(cross_entropy_divisor(np.array([0, 2, 2, -100]), np.array([1.0, 1.0, 0.5])))
        2.0
    """
    if weight is None:
        return _nonzero((target != ignore_index).sum(dtype=np.float32))
    labels, counts = _labels(target, weight.shape[0], ignore_index)
    return _nonzero((array_module(target).take(as_float(weight), labels) * counts).sum())


def cross_entropy(
    logits: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    divisor: Array | float | None = None,
) -> Array:
    """How surprised the softmax of the scores is by the true classes: -ln of their shares.

    With label smoothing ε every target is 1 - ε of its class and ε/K of each of the K classes.

    Args:
        logits: Scores, not yet softmaxed.
        target: Class numbers from 0 on, integers.
        weight: One factor a class.
        ignore_index: Class number of targets that do not count.
        reduction: ``mean``: the sum divided by the sum of the weights of the targets; ``sum``; or
            ``none``.
        label_smoothing: ε, 0 to 1.
        divisor: For a mean: what the sum is divided by, as :func:`cross_entropy_divisor` gives it
            for a whole batch of which this is a shard.

    Shape:
        logits (K, N) and target (N,), or (K, H, W, N) and (H, W, N) -> 0-d, or that of the target
        for 'none'. float64 stays, smaller types become float32.

    Raises:
        InputError: A target is none of the K classes (looked for on the host only: on a device
            this would make it wait).
        ShapeError: The shapes do not fit.
        OptionError: Targets that are no integers; ``label_smoothing`` or ``divisor`` out of range.
        NameNotFound: Unknown reduction.

    References:
        Szegedy et al. 2016, Rethinking the Inception architecture, section 7 (label smoothing).
        Weights and means are torch's, but the mean of nothing is 0, not NaN.

    Example:
        >>> scores = np.array([[2.0, 0.0], [0.0, 0.0]])
        >>> cross_entropy(scores, np.array([0, 1]), reduction="none").round(4).tolist()
        [0.1269, 0.6931]
    """
    return cross_entropy_vjp(
        logits, target, weight, ignore_index, reduction, label_smoothing, divisor=divisor
    )[0]


def cross_entropy_vjp(
    logits: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    divisor: Array | float | None = None,
) -> tuple[Array, LossBackward]:
    """:func:`cross_entropy` and its gradient: softmax minus target, weighted.

    Example:
        >>> loss, backward = cross_entropy_vjp(np.zeros((2, 1)), np.array([1]))
        >>> backward().tolist()
        [[0.5], [-0.5]]
    """
    check_reduction(reduction, divisor)
    _check_target(logits, target)
    if not 0 <= label_smoothing <= 1:
        raise OptionError(f"label_smoothing must be between 0 and 1, got {label_smoothing}")
    xp, k = array_module(logits), logits.shape[0]
    z = as_float(logits).reshape(k, -1)  # (K, M)
    labels, counts = _labels(target.reshape(-1), k, ignore_index)
    weights = _class_weights(weight, z, k)

    share = xp.subtract(z, z.max(axis=0))
    places = labels * labels.shape[0] + xp.arange(labels.shape[0])
    hit = xp.take(share, places)  # scores of the true classes
    each = counts.astype(z.dtype)
    flat = each * (label_smoothing / k)  # of every class
    if weights is not None:
        each *= xp.take(weights, labels)
    sharp = each * (1 - label_smoothing)  # of the true class
    smooth = _sum_of_classes(share, weights) if label_smoothing else None
    xp.exp(share, out=share)
    total = share.sum(axis=0)
    share /= total
    xp.log(total, out=total)
    terms = (total - hit) * sharp
    mass = k if weights is None else weights.sum()
    if smooth is not None:
        terms += (mass * total - smooth) * flat
    loss: Array = terms.reshape(target.shape)
    scale: Any = 1
    if reduction == "mean":
        scale = _nonzero(each.sum()) if divisor is None else in_type(divisor, z)
    if reduction != "none":
        loss = terms.sum() / scale

    def backward(grad_loss: Array | float = 1.0) -> Array:
        factor = in_type(grad_loss, z) / scale
        if reduction == "none" and not isinstance(factor, float):
            factor = factor.reshape(-1)
        grad: Array = share * ((sharp + mass * flat) * factor)
        if smooth is not None:
            every = flat * factor
            grad -= every if weights is None else weights[:, None] * every
        # every place is named once, so this subtracts at each
        grad.reshape(-1)[places] -= sharp * factor
        return grad.reshape(logits.shape)

    return loss, backward


def _sum_of_classes(scores: Array, weights: Array | None) -> Array:
    return scores.sum(axis=0) if weights is None else weights @ scores


def dice_loss(
    logits: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    smooth: float = 1.0,
    *,
    divisor: Array | float | None = None,
) -> Array:
    """How badly predicted regions overlap the true ones: 1 - Dice, softly, mean over classes.

    For every class k and image, with p the softmax of the scores and t = 1 where k is the class::

        Dice = (2·Σ p·t + smooth) / (Σ p + Σ t + smooth)     sums over the pixels that count

    A loss per image is the mean of 1 - Dice over the classes, weighted by ``weight``. With a single
    map of scores p is its sigmoid, and t is 1 where the target is 1.

    Args:
        logits: Scores, not yet softmaxed.
        target: Class numbers from 0 on (0 and 1 for a single map), integers.
        weight: One number a class, 0 leaves it out; None means 1.
        ignore_index: Class number of pixels that do not count.
        reduction: ``mean`` over images, ``sum``, or ``none``.
        smooth: Pixels added to both, > 0, so that a class which is nowhere counts as found.
        divisor: For a mean: what the sum is divided by; None means the number of images.

    Shape:
        logits (K, H, W, N), target (H, W, N) -> 0-d, or (N,) for 'none'. float64 stays, smaller
        types become float32.

    Raises:
        InputError: A target is none of the classes (looked for on the host only).
        ShapeError: The shapes do not fit.
        OptionError: Targets that are no integers; ``smooth`` or ``divisor`` not above 0.
        NameNotFound: Unknown reduction.

    References:
        Milletari, Navab, Ahmadi 2016, V-Net, section 3 (there with squares in the denominator, two
        classes and no smoothing); Sudre et al. 2017, Generalised Dice overlap.

    Example:
        >>> scores = np.zeros((2, 1, 2, 1))  # two classes, one row of two pixels, undecided
        >>> float(dice_loss(scores, np.array([0, 1]).reshape(1, 2, 1)).round(4))
        0.3333
    """
    return dice_loss_vjp(logits, target, weight, ignore_index, reduction, smooth, divisor=divisor)[
        0
    ]


def dice_loss_vjp(
    logits: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    smooth: float = 1.0,
    *,
    divisor: Array | float | None = None,
) -> tuple[Array, LossBackward]:
    """:func:`dice_loss` and its gradient.

    Example:
        >>> scores, truth = np.zeros((1, 1, 2, 1)), np.array([0, 1]).reshape(1, 2, 1)
        >>> loss, backward = dice_loss_vjp(scores, truth)
        >>> backward().ravel().round(4).tolist()
        [0.0556, -0.1111]
    """
    check_reduction(reduction, divisor)
    if logits.ndim != 4:
        raise ShapeError(f"dice_loss takes scores (K, H, W, N), got shape {logits.shape}")
    _check_target(logits, target)
    if not smooth > 0:
        raise OptionError(f"smooth must be above 0, got {smooth}")
    xp, (k, *_, n) = array_module(logits), logits.shape
    z = as_float(logits)
    labels, counts = _labels(target, max(k, 2), ignore_index)
    weights = _class_weights(weight, z, k)
    classes = xp.arange(k).reshape(-1, 1, 1, 1) + (k == 1)
    truth = (labels == classes) & counts  # (K, H, W, N)
    p = softmax(z) if k > 1 else sigmoid(z)
    inside = p * counts
    twice = 2 * (inside * truth).sum(axis=(1, 2)) + smooth  # (K, N), as the next
    both = inside.sum(axis=(1, 2)) + truth.sum(axis=(1, 2), dtype=z.dtype) + smooth
    dice = twice / both
    importance = xp.full((k, 1), 1 / k, dtype=z.dtype) if weights is None else (
        (weights / _nonzero(weights.sum())).reshape(-1, 1)
    )  # fmt: skip
    loss: Array = ((1 - dice) * importance).sum(axis=0)
    scale: Any = 1
    if reduction == "mean":
        scale = max(n, 1) if divisor is None else in_type(divisor, z)
    if reduction != "none":
        loss = loss.sum() / scale

    def backward(grad_loss: Array | float = 1.0) -> Array:
        # d(1 - dice)/dp = (dice - 2·t) / both, at pixels that count
        factor = importance / both * (in_type(grad_loss, z) / scale)  # (K, N)
        grad = (dice * factor)[:, None, None] - (2 * factor)[:, None, None] * truth
        grad *= counts
        if k == 1:
            grad *= p
            grad *= 1 - p
            return grad
        grad -= (grad * p).sum(axis=0)
        grad *= p
        return grad

    return loss, backward
