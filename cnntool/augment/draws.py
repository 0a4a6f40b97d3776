"""What is drawn for every picture: angles, factors, places.

Each word of the language has one function here, from uniform numbers to the numbers that it needs.
All are arrays (N,), one number a picture, where the batch lives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from cnntool.augment.amounts import Amount
from cnntool.augment.chance import Chance
from cnntool.augment.steps import Step
from cnntool.backend import Array, array_module

NEUTRAL: Mapping[str, float] = MappingProxyType({"factor": 1.0, "height": 1.0, "width": 1.0})
"""Numbers that change nothing, where that is not 0."""


@dataclass(frozen=True, eq=False)
class Draw:
    """What one step does to every picture of a batch.

    Attributes:
        step: The step.
        number: Its place among the steps, from 0.
        applied: Whether it is done at all, (N,) booleans; None if it is done to all.
        values: Numbers by name, (N,) each, with ones that change nothing where it is not done.
    """

    step: Step
    number: int
    applied: Array | None
    values: Mapping[str, Array]

    def __getitem__(self, name: str) -> Array:
        return self.values[name]


Uniforms = Array
"""(SLOTS, N) uniform numbers, of which the first decides about ``p``."""

Drawing = Callable[[Step, Uniforms, tuple[int, int]], dict[str, Array]]


def _between(u: Array, amount: Amount) -> Array:
    """From uniform numbers to numbers between two ends; both ends themselves if they are equal."""
    numbers = u * np.float32(amount.high - amount.low)
    numbers += np.float32(amount.low)
    return numbers


def _length(u: Array, amount: Amount, side: int, whole: bool = False) -> Array:
    """A length in pixels; whole pixels where it is given in pixels."""
    if not amount.pixels:
        numbers = _between(u, amount)
        numbers *= np.float32(side)
        return numbers
    if not whole:
        return _between(u, amount)
    xp = array_module(u)
    numbers = xp.floor(_between(u, Amount(amount.low, amount.high + 1)))
    return xp.minimum(numbers, np.float32(amount.high))


def _named(name: str) -> Drawing:
    def draw(step: Step, u: Uniforms, size: tuple[int, int]) -> dict[str, Array]:
        return {name: _between(u[1], step.amount("amount"))}

    return draw


def _flip(step: Step, u: Uniforms, size: tuple[int, int]) -> dict[str, Array]:
    return {}


def _shift(step: Step, u: Uniforms, size: tuple[int, int]) -> dict[str, Array]:
    return {
        "down": _length(u[1], step.amount("down"), size[0], whole=True),
        "across": _length(u[2], step.amount("across"), size[1], whole=True),
    }


def _crop(step: Step, u: Uniforms, size: tuple[int, int]) -> dict[str, Array]:
    """Shares of the sides, and how far the window's centre lies below and right of the middle.

    The window's outermost pixels lie within the picture's, so nothing beyond is ever seen.
    """
    xp = array_module(u)
    share = _between(u[1], step.amount("amount"))
    height = width = share
    ratio = step.real("ratio")
    if ratio > 1:
        # as likely wider as higher, by as much
        bend = xp.exp((u[2] - np.float32(0.5)) * np.float32(np.log(ratio)))
        height = xp.minimum(share / bend, np.float32(1))
        width = xp.minimum(share * bend, np.float32(1))

    def place(side: Array, pixels: int, number: Array) -> Array:
        return (number - np.float32(0.5)) * (1 - side) * np.float32(pixels - 1)

    return {
        "height": height,
        "width": width,
        "down": place(height, size[0], u[3]),
        "across": place(width, size[1], u[4]),
    }


def _shear(step: Step, u: Uniforms, size: tuple[int, int]) -> dict[str, Array]:
    return {
        "across": _between(u[1], step.amount("amount")),
        "down": _between(u[2], step.amount("down")),
    }


def _on_shorter_side(step: Step, u: Uniforms, size: tuple[int, int]) -> dict[str, Array]:
    return {"pixels": _length(u[1], step.amount("amount"), min(size))}


DRAWS: Mapping[str, Drawing] = MappingProxyType(
    {
        "hflip": _flip,
        "vflip": _flip,
        "rotate": _named("angle"),
        "shift": _shift,
        "scale": _named("factor"),
        "crop": _crop,
        "shear": _shear,
        "elastic": _on_shorter_side,
        "brightness": _named("factor"),
        "contrast": _named("factor"),
        "saturation": _named("factor"),
        "hue": _named("turn"),
        "blur": _named("sigma"),
        "noise": _named("sigma"),
        "cutout": _on_shorter_side,
    }
)
"""Word -> what is drawn for it."""


def draw(steps: Sequence[Step], chance: Chance, size: tuple[int, int]) -> tuple[Draw, ...]:
    """The numbers of all steps for the pictures of a batch.

    Args:
        steps: What is to be done.
        chance: Where the numbers come from.
        size: Rows and columns of the pictures.

    Example:
        >>> from cnntool.augment.language import parse
        >>> drawn, = draw(parse("rotate 15"), Chance(np, 3, seed=1, step=0), (28, 28))
        >>> drawn["angle"].round(1), drawn.applied
        (array([-2.6,  6.8, -6.8], dtype=float32), None)
    """
    xp = chance.xp
    table = chance.table(len(steps))
    found = []
    for number, step in enumerate(steps):
        u, p = table[number], step.real("p")
        values = DRAWS[step.word](step, u, size)
        applied = None
        if p < 1:
            applied = u[0] < np.float32(p)
            values = {
                name: xp.where(applied, value, np.float32(NEUTRAL.get(name, 0.0)))
                for name, value in values.items()
            }
        found.append(Draw(step, number, applied, values))
    return tuple(found)


def described(drawn: Sequence[Draw], image: int) -> list[dict[str, Any]]:
    """What was drawn for one picture, as plain values.

    Args:
        drawn: What was drawn, on the host.
        image: Number of the picture within the part of the batch.
    """
    rows = []
    for one in drawn:
        applied = one.applied is None or bool(one.applied[image])
        row: dict[str, Any] = {"word": one.step.word, "applied": applied}
        if applied:
            row.update((name, round(float(v[image]), 6)) for name, v in one.values.items())
        rows.append(row)
    return rows
