"""Gradient checking: compare a gradient with what the function does when its arguments move.

A check moves all arguments at once along random directions, so a function of a million numbers
costs a few evaluations. It must run in float64: in float32 rounding hides wrong gradients.

Functions with kinks (ReLU, max pooling) have no derivative there. A step over a kink is noticed,
because differences of a smooth function shrink in proportion with the step; then another direction
is tried with a step a tenth as long. Arguments from :func:`spaced` keep away from kinks by
themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import GateError, OptionError

Vjp = Callable[..., tuple[Array, Callable[..., Any]]]
"""``f_vjp(*arrays) -> (y, backward)``."""

STEP = 1e-5
"""Length of a step: at 1e-5 rounding (1e-16 / step) and curvature (step²) weigh the same."""

ATTEMPTS = 4
"""How often a direction that meets a kink is replaced."""


def spaced(rng: np.random.Generator, shape: tuple[int, ...], gap: float = 0.01) -> Array:
    """Numbers around zero in random order, any two at least ``gap`` apart and none at zero.

    Within ``gap / 2`` no two change their order and none its sign: no kink of ReLU or max pooling
    is near.

    Args:
        rng: Source of chance.
        shape: Shape of the result.
        gap: Distance of neighbours, > 0.

    Shape:
        ``shape``, float64 on the host.

    Example:
        >>> np.sort(spaced(np.random.default_rng(0), (4,), gap=1.0)).tolist()
        [-1.5, -0.5, 0.5, 1.5]
    """
    count = prod(shape)
    # whole numbers from the middle: for an odd count zero itself would be one of them
    ranks = rng.permutation(count) - count // 2 + 0.5
    return (ranks * gap).reshape(shape)


@dataclass(frozen=True)
class _Slopes:
    """What central differences along one direction tell.

    Attributes:
        value: The derivative, extrapolated from two steps.
        kink: Whether the differences do not shrink with the step as a smooth function's do.
    """

    value: float
    kink: bool


def check_gradient(
    f_vjp: Vjp,
    *arrays: Array,
    rng: np.random.Generator,
    directions: int = 3,
    step: float = STEP,
    tolerance: float = 1e-6,
) -> float:
    """Check the gradient that ``f_vjp`` gives, and return its largest relative error.

    The result y is multiplied by random numbers and summed; the derivative of that sum along a
    random direction must be the product of the gradient with the direction.

    Args:
        f_vjp: Takes ``arrays``, returns (y, backward); ``backward(grad_y)`` returns one gradient
            an array, or the gradient itself for a single array. Gradients that are None are not
            checked, and their arrays not moved. It must be the same function at each call: chance
            inside (dropout) needs a fixed seed.
        *arrays: float64 arguments. They are not modified.
        rng: Draws directions and the factors of y.
        directions: How many directions are tried.
        step: Length of a step relative to the largest argument's size (at least 1), > 0.
        tolerance: Largest error allowed, relative to the size of gradient and direction.

    Raises:
        GateError: The gradient is wrong, or has another shape than its array; or every direction
            meets a kink.
        OptionError: Arguments that are not float64, or none.

    Example:
        >>> def square_vjp(x):
        ...     return x * x, lambda grad_y: 2 * x * grad_y
        >>> x = np.array([1.0, -2.0, 3.0])
        >>> check_gradient(square_vjp, x, rng=np.random.default_rng(0)) < 1e-8
        True
        >>> def wrong_vjp(x):
        ...     return x * x, lambda grad_y: x * grad_y
        >>> check_gradient(wrong_vjp, x, rng=np.random.default_rng(0))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        cnntool.errors.GateError: the gradient is wrong: ...
    """
    _check_arguments(arrays)
    y, backward = f_vjp(*arrays)
    xp = array_module(y)
    grad_y = xp.asarray(rng.standard_normal(y.shape))
    moved, gradients = _gradients(backward(grad_y), arrays)
    largest = max((float(xp.abs(x).max()) for x in moved if x.size), default=0.0)
    length = step * max(1.0, largest)

    def value(*at: Array) -> float:
        return float((f_vjp(*at)[0] * grad_y).sum())

    noise = _noise(y, grad_y)
    worst = 0.0
    for _ in range(directions):
        worst = max(worst, _along(value, arrays, gradients, rng, length, tolerance, noise))
    return worst


def _noise(y: Array, grad_y: Array) -> float:
    """How far rounding alone may move the sum of y times its factors."""
    xp = array_module(y)
    return 8 * float(np.finfo(np.float64).eps) * float(xp.abs(y * grad_y).sum())


def _along(
    value: Callable[..., float],
    arrays: tuple[Array, ...],
    gradients: list[Array | None],
    rng: np.random.Generator,
    first: float,
    tolerance: float,
    noise: float,
) -> float:
    """Relative error along a direction that meets no kink, or GateError."""
    for length in (first / 10**attempt for attempt in range(ATTEMPTS)):
        ways = _direction(rng, gradients)
        told, squares = 0.0, 0.0
        for gradient, way in zip(gradients, ways, strict=True):
            if gradient is not None:
                told += float((gradient * way).sum())
                squares += float((gradient * gradient).sum())
        size = sqrt(squares)  # typical for that sum: directions have numbers of size 1
        slopes = _slopes(value, arrays, ways, length, noise, tolerance)
        error = abs(told - slopes.value)
        scale = max(size, abs(slopes.value), noise / length / tolerance)
        if error <= tolerance * scale:
            return error / scale if scale else 0.0
        if not slopes.kink:
            raise GateError(
                f"the gradient is wrong: along a random direction it says {told:.9g}, the "
                f"function changes by {slopes.value:.9g} (relative error {error / scale:.1e}, "
                f"allowed {tolerance:.0e})",
                told=told,
                measured=slopes.value,
            )
    raise GateError(
        f"no gradient to compare with: the function has kinks or jumps closer than {length:.0e} "
        f"in each of {ATTEMPTS} directions; check at other points, such as "
        "gradcheck.spaced(rng, shape)"
    )


def _slopes(
    value: Callable[..., float],
    arrays: tuple[Array, ...],
    ways: list[Array | None],
    length: float,
    noise: float,
    tolerance: float,
) -> _Slopes:
    def at(distance: float) -> float:
        moved = (
            x if way is None else x + distance * way for x, way in zip(arrays, ways, strict=True)
        )
        return value(*moved)

    middle = at(0.0)
    slope, bend = [], []
    for distance in (length, length / 2):
        above, below = at(distance), at(-distance)
        slope.append((above - below) / (2 * distance))
        bend.append((above - 2 * middle + below) / distance)
    # smooth: the slope stays and the bend halves with the step, up to terms of step²
    odd = max(abs(slope[0] - slope[1]), abs(bend[0] - 2 * bend[1]))
    allowed = tolerance * max(abs(slope[0]), abs(slope[1])) + 8 * noise / length
    return _Slopes((4 * slope[1] - slope[0]) / 3, odd > allowed)


def _direction(rng: np.random.Generator, gradients: list[Array | None]) -> list[Array | None]:
    return [
        None if g is None else array_module(g).asarray(rng.standard_normal(g.shape))
        for g in gradients
    ]


def _check_arguments(arrays: tuple[Array, ...]) -> None:
    if not arrays:
        raise OptionError("a gradient check needs at least one array")
    for number, x in enumerate(arrays):
        if x.dtype != np.float64:
            raise OptionError(
                f"a gradient check needs float64, argument {number} is {x.dtype}; "
                "convert it with x.astype('float64')"
            )


def _gradients(found: Any, arrays: tuple[Array, ...]) -> tuple[list[Array], list[Array | None]]:
    """The arrays that have gradients, and one gradient or None an array."""
    gradients = list(found) if isinstance(found, (tuple, list)) else [found]
    if len(gradients) != len(arrays):
        raise GateError(
            f"backward gives {len(gradients)} gradients for {len(arrays)} arrays; "
            "it must give one an array, None where there is none"
        )
    for number, (gradient, x) in enumerate(zip(gradients, arrays, strict=True)):
        if gradient is not None and gradient.shape != x.shape:
            raise GateError(f"gradient {number} has shape {gradient.shape}, its array {x.shape}")
    moved = [x for g, x in zip(gradients, arrays, strict=True) if g is not None]
    return moved, gradients


def numeric_gradient(
    f: Callable[..., Array], *arrays: Array, grad_y: Array, step: float = STEP
) -> tuple[Array, ...]:
    """Gradients of sum(f(*arrays)·grad_y), element by element: for tiny arguments.

    Args:
        f: Takes ``arrays``, returns an array; no gradient needed.
        *arrays: float64 arguments. They are not modified.
        grad_y: Factors of the result.
        step: How far each element is moved up and down, > 0.

    Shape:
        One gradient an array, shaped like it.

    Raises:
        OptionError: Arguments that are not float64, or none.

    Example:
        >>> x = np.array([1.0, -2.0, 3.0])
        >>> numeric_gradient(lambda v: v * v, x, grad_y=np.ones(3))[0].round(6).tolist()
        [2.0, -4.0, 6.0]
    """
    _check_arguments(arrays)
    answers = []
    for number, x in enumerate(arrays):
        xp = array_module(x)
        gradient = np.empty(x.size)
        for place in range(x.size):
            sums = []
            for sign in (1, -1):
                moved = x.copy()
                moved.reshape(-1)[place] += sign * step
                at = (*arrays[:number], moved, *arrays[number + 1 :])
                sums.append(float((f(*at) * grad_y).sum()))
            gradient[place] = (sums[0] - sums[1]) / (2 * step)
        answers.append(xp.asarray(gradient.reshape(x.shape)))
    return tuple(answers)
