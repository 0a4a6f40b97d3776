"""Which padding, kernel or stride gives an output of a wanted size?

Along one axis every candidate is tried, so that the answers agree with the layers whatever their
rules of rounding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice, product
from typing import Literal, get_args

from cnntool.errors import NameNotFound, OptionError
from cnntool.geometry import extent
from cnntool.nn.calculator import Question
from cnntool.nn.facts import Misfit
from cnntool.nn.values import MAX_PIXELS
from cnntool.nn.windows import AXES, ends, sides

Unknown = Literal["padding", "kernel", "stride"]
UNKNOWNS: tuple[Unknown, ...] = get_args(Unknown)
"""What :func:`solve` finds."""

MOST_ANSWERS = 100
"""Answers that :func:`solve` gives at most."""

Amount = int | tuple[int, int]
"""A value along one axis: a number, or padding (before, after)."""


def solve(question: Question, unknown: Unknown, wanted: tuple[int, int]) -> list[Question]:
    """All values of one setting that give an output of ``wanted`` rows and columns.

    Values that serve rows and columns alike come alone, if there are any; else all pairs. Padding
    that is the same at both ends comes first.

    Args:
        question: The layer; what it says of the unknown does not count.
        unknown: What to find.
        wanted: Rows and columns of the output.

    Raises:
        OptionError: Nothing gives this output; the message says what comes near.

    Example:
        >>> asked = Question(kind="conv", input=(1, 28, 28), kernel=(5, 5))
        >>> [found.padding for found in solve(asked, "padding", (28, 28))]
        [(2, 2, 2, 2)]
        >>> [found.stride for found in solve(asked, "stride", (6, 6))]
        [(4, 4)]
    """
    if question.kind == "dense":
        raise OptionError("a dense layer has no window; solve conv, pool, deconv or local")
    if unknown not in UNKNOWNS:
        raise NameNotFound.among("unknown", unknown, UNKNOWNS)
    rows, columns = (_values(question, unknown, axis, wanted[axis]) for axis in range(2))
    both = [(value, value) for value in rows if value in columns]
    pairs = islice(both or product(rows, columns), MOST_ANSWERS)
    return [_filled(question, unknown, *pair) for pair in pairs]


def _values(question: Question, unknown: Unknown, axis: int, wanted: int) -> list[Amount]:
    """Values that give ``wanted`` along one axis.

    Raises:
        OptionError: There are none.
    """
    line = _along(question, unknown, axis)
    outs: dict[Amount, int] = {}
    for value in _candidates(line, unknown, wanted):
        try:
            outs[value] = _filled(line, unknown, value, value).window().out[0]
        except Misfit:
            continue
    found = [value for value, out in outs.items() if out == wanted]
    if not found:
        near = sorted(outs, key=lambda value: abs(outs[value] - wanted))[:2]
        told = ", ".join(f"{unknown} {_amount(value)} gives {outs[value]}" for value in near)
        raise OptionError(
            f"no {unknown} gives {wanted} {AXES[axis]} from {line.input[1]}; "
            + (told or "no window fits; take a larger input or other settings")
        )
    return found


def _amount(value: Amount) -> str:
    """A value for people."""
    if isinstance(value, int):
        return str(value)
    before, after = value
    return str(before) if before == after else f"{before} + {after}"


def _along(question: Question, unknown: Unknown, axis: int) -> Question:
    """The question about a square that is along both axes what it is along one."""
    size = question.input[1 + axis]

    def twice(pair: tuple[int, int]) -> tuple[int, int]:
        return pair[axis], pair[axis]

    padding = question.padding
    if unknown == "padding":
        padding = (0, 0, 0, 0)
    elif not isinstance(padding, str):
        padding = sides(*[ends(padding)[axis]] * 2)
    return replace(
        question,
        input=(question.input[0], size, size),
        kernel=(1, 1) if unknown == "kernel" else twice(question.size),
        stride=None if question.stride is None or unknown == "stride" else twice(question.stride),
        padding=padding,
        dilation=twice(question.dilation),
        output_padding=twice(question.output_padding),
    )


def _candidates(line: Question, unknown: Unknown, wanted: int) -> Iterable[Amount]:
    """Values worth trying along one axis, better ones first."""
    size, steps = line.input[1], line.steps[0]
    pads = 0 if isinstance(line.padding, str) else line.padding[0] + line.padding[2]
    if unknown != "padding":
        longest = wanted + pads + 1 if line.kind == "deconv" else size + pads
        return range(1, min(longest, MAX_PIXELS) + 1)
    reach = extent(line.size[0], line.dilation[0])
    if line.kind == "deconv":
        totals = [max(0, (size - 1) * steps + reach + line.output_padding[0] - wanted)]
    elif line.kind == "pool":
        totals = list(range(2 * (reach // 2) + 1))
    else:
        least = max(0, (wanted - 1) * steps + reach - size)
        totals = list(range(least, least + steps))
    halves = [(total // 2, total - total // 2) for total in totals]
    fair = sorted(halves, key=lambda half: half[0] != half[1])
    return [half for half in fair if half[1] <= MAX_PIXELS]


def _filled(question: Question, unknown: Unknown, rows: Amount, columns: Amount) -> Question:
    """The question with its unknown filled in, for rows and columns."""
    if isinstance(rows, tuple) and isinstance(columns, tuple):
        return replace(question, padding=sides(rows, columns))
    if isinstance(rows, tuple) or isinstance(columns, tuple):
        raise TypeError("padding has two ends along both axes")
    if unknown == "kernel":
        return replace(question, kernel=(rows, columns))
    return replace(question, stride=(rows, columns))
