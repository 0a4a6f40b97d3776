"""Losses of numbers against numbers: squared error, and yes-or-no questions on logits.

A loss and its gradient are computed on the array's own device; a mean stays there as a 0-d array.
``backward()`` is the gradient of the loss itself, ``backward(g)`` that of g times the loss; it is
the gradient of the first argument only, as targets and weights are data.

Of a batch that is split, every shard passes the whole batch's divisor: then the losses of the
shards add up to the loss of the batch, and the gradients are those of the batch.
"""

from __future__ import annotations

from math import prod
from typing import Any, Literal, Protocol

from cnntool.backend import Array, array_module
from cnntool.errors import NameNotFound, OptionError, ShapeError
from cnntool.ops.activations import sigmoid
from cnntool.ops.buffers import as_float

Reduction = Literal["mean", "sum", "none"]
REDUCTIONS: tuple[Reduction, ...] = ("mean", "sum", "none")
"""Mean over what the loss counts, sum, or every term by itself."""


class LossBackward(Protocol):
    """The gradient of a loss with respect to its first argument."""

    def __call__(self, grad_loss: Array | float = 1.0) -> Array:
        """The gradient of ``grad_loss`` times the loss.

        Args:
            grad_loss: A number or 0-d array; an array like the loss if its reduction is 'none'.
        """
        ...


def in_type(value: Any, like: Array) -> Any:
    """A number as Python's own, an array in the type of ``like``: neither widens what it meets."""
    if isinstance(value, (int, float)):
        return float(value)
    return value.astype(like.dtype, copy=False)


def check_reduction(reduction: str, divisor: Array | float | None) -> None:
    """Refuse what is no reduction, and a divisor where nothing is divided.

    Raises:
        NameNotFound: Unknown word.
        OptionError: A divisor without a mean, or one that is not positive.
    """
    if reduction not in REDUCTIONS:
        raise NameNotFound.among("reduction", reduction, REDUCTIONS)
    if divisor is None:
        return
    if reduction != "mean":
        raise OptionError(f"a divisor needs reduction 'mean', got '{reduction}'")
    if isinstance(divisor, (int, float)) and not divisor > 0:
        raise OptionError(f"the divisor of a mean must be above 0, got {divisor}")


def _checked(x: Array, target: Array, reduction: str, divisor: Array | float | None) -> Array:
    """The target in the type of x."""
    check_reduction(reduction, divisor)
    if x.shape != target.shape:
        raise ShapeError(f"a target of shape {target.shape} does not fit values of {x.shape}")
    return target.astype(x.dtype, copy=False)


def _reduced(terms: Array, reduction: str, divisor: Array | float | None) -> tuple[Array, Any]:
    """The loss of all terms, and the number that it was divided by."""
    if reduction == "none":
        return terms, 1
    if reduction == "sum":
        return terms.sum(), 1
    # the mean of nothing is 0
    share = max(prod(terms.shape), 1) if divisor is None else in_type(divisor, terms)
    return terms.sum() / share, share


def mse_loss(
    x: Array, target: Array, reduction: str = "mean", *, divisor: Array | float | None = None
) -> Array:
    """Squared differences.

    Args:
        x: Predicted numbers.
        target: Wanted numbers.
        reduction: ``mean`` over all numbers, ``sum``, or ``none``.
        divisor: For a mean: what the sum is divided by; None means the number of numbers.

    Shape:
        Both the same -> 0-d, or unchanged for 'none'. float64 stays, smaller types become float32.

    Raises:
        ShapeError: The shapes differ.
        NameNotFound: Unknown reduction.
        OptionError: A divisor that is not positive, or without a mean.

    Example:
        >>> import numpy as np
        >>> float(mse_loss(np.array([1.0, 2.0]), np.array([1.0, 5.0])))
        4.5
    """
    return mse_loss_vjp(x, target, reduction, divisor=divisor)[0]


def mse_loss_vjp(
    x: Array, target: Array, reduction: str = "mean", *, divisor: Array | float | None = None
) -> tuple[Array, LossBackward]:
    """:func:`mse_loss` and its gradient 2·(x - target) / divisor.

    Example:
        >>> import numpy as np
        >>> loss, backward = mse_loss_vjp(np.array([1.0, 2.0]), np.array([1.0, 5.0]))
        >>> backward().tolist()
        [0.0, -3.0]
    """
    x = as_float(x)
    difference = x - _checked(x, target, reduction, divisor)
    loss, share = _reduced(difference * difference, reduction, divisor)

    def backward(grad_loss: Array | float = 1.0) -> Array:
        return difference * (2 * in_type(grad_loss, x) / share)

    return loss, backward


def _per_element(value: Any, name: str, logits: Array) -> Any:
    """A weight ready to broadcast: vectors lie along the channels."""
    if value is None or isinstance(value, (int, float)):
        return value if value is None else float(value)
    c = logits.shape[0]
    if value.ndim == 1 and value.shape[0] in (1, c):
        value = value.reshape(-1, *(1,) * (logits.ndim - 1))
    fits = value.ndim == logits.ndim and all(
        a in (1, b) for a, b in zip(value.shape, logits.shape, strict=True)
    )
    if not fits and value.ndim:
        raise ShapeError(
            f"{name} of shape {value.shape} does not fit logits of {logits.shape}; use one "
            f"number, ({c},) for the channels, or {logits.shape}"
        )
    return value.astype(logits.dtype, copy=False)


def binary_cross_entropy_with_logits(
    logits: Array,
    target: Array,
    weight: Array | float | None = None,
    reduction: str = "mean",
    pos_weight: Array | float | None = None,
    *,
    divisor: Array | float | None = None,
) -> Array:
    """Cross entropy of independent yes-or-no questions, computed from logits without overflow.

    Every term is -weight·(pos_weight·t·ln σ(z) + (1 - t)·ln(1 - σ(z))), σ the logistic curve.

    Args:
        logits: Scores z, any size; σ(z) is the probability of yes.
        target: t, 1 for yes and 0 for no, or a probability between.
        weight: Factor of every term: a number, one a channel, or an array like the logits. It does
            not change what a mean divides by.
        reduction: ``mean`` over all terms, ``sum``, or ``none``.
        pos_weight: Factor of yes: a number, one a channel, or an array like the logits; 3 counts
            every yes thrice.
        divisor: For a mean: what the sum is divided by; None means the number of terms.

    Shape:
        logits and target (C, H, W, N) or (C, N) or any other -> 0-d, or unchanged for 'none'.
        float64 stays, smaller types become float32.

    Raises:
        ShapeError: The shapes do not fit.
        NameNotFound: Unknown reduction.
        OptionError: A divisor that is not positive, or without a mean.

    Example:
        >>> import numpy as np
        >>> z, t = np.array([[0.0, 1000.0]]), np.array([[1.0, 1.0]])
        >>> binary_cross_entropy_with_logits(z, t, reduction="none").round(4).tolist()
        [[0.6931, 0.0]]
    """
    return binary_cross_entropy_with_logits_vjp(
        logits, target, weight, reduction, pos_weight, divisor=divisor
    )[0]


def binary_cross_entropy_with_logits_vjp(
    logits: Array,
    target: Array,
    weight: Array | float | None = None,
    reduction: str = "mean",
    pos_weight: Array | float | None = None,
    *,
    divisor: Array | float | None = None,
) -> tuple[Array, LossBackward]:
    """:func:`binary_cross_entropy_with_logits` and its gradient.

    Without ``pos_weight`` it is (σ(z) - t)·weight / divisor.

    Example:
        >>> import numpy as np
        >>> z, t = np.array([[0.0, 1000.0]]), np.array([[1.0, 0.0]])
        >>> loss, backward = binary_cross_entropy_with_logits_vjp(z, t)
        >>> float(loss.round(2)), backward().tolist()
        (500.35, [[-0.25, 0.5]])
    """
    z = as_float(logits)
    xp = array_module(z)
    t = _checked(z, target, reduction, divisor)
    w = _per_element(weight, "weight", z)
    yes = _per_element(pos_weight, "pos_weight", z)
    yes_share = t if yes is None else yes * t
    # -ln σ(z) = ln(1 + exp(-|z|)) + max(-z, 0); put together so that no two terms cancel
    terms = xp.log1p(xp.exp(-xp.abs(z)))
    if yes is not None:
        terms *= 1 - t + yes_share
    terms += xp.maximum(z, 0) * (1 - t)
    terms -= xp.minimum(z, 0) * yes_share
    if w is not None:
        terms *= w
    loss, share = _reduced(terms, reduction, divisor)

    def backward(grad_loss: Array | float = 1.0) -> Array:
        grad = sigmoid(z)
        if yes is not None:
            grad *= 1 - t + yes_share
        grad -= yes_share
        if w is not None:
            grad *= w
        grad *= in_type(grad_loss, z) / share
        return grad

    return loss, backward
