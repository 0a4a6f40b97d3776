"""What is known of a layer once the shape of its input is: output, parameters, arithmetic.

A rule is a function from settings and input shape to :class:`Facts`. Rules stand with their layers
in :mod:`window_rules`, :mod:`pool_rules` and :mod:`other_rules`; the table of words names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

from cnntool.nn.fields import Field
from cnntool.nn.settings import Settings

Shape = tuple[int, ...]
"""(C, H, W) for maps, (n,) for a vector."""

MAX_NUMBERS = 2**40
"""Most numbers of one layer's output: a terabyte and more, no machine holds them."""


class Misfit(ValueError):
    """A shape that a layer cannot have.

    Attributes:
        reason: What is wrong, with the formula and its numbers.
        fix: Two ways out.
    """

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}; {fix}")
        self.reason, self.fix = reason, fix


@dataclass(frozen=True, slots=True)
class Tensor:
    """One array that belongs to a layer.

    Attributes:
        name: As torch calls it: ``weight``, ``bias``, ``running_mean``.
        shape: As torch orders it.
    """

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


def _stays(before: Field) -> Field:
    return before


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a rule finds.

    Attributes:
        output: Shape of the output.
        parameters: What training changes.
        buffers: What is kept beside it (running averages).
        macs: Multiplications with an addition each, for one input, without the bias.
        kernel: Rows and columns of the window.
        stride: Its steps down and right.
        padding: Top, right, bottom, left, in pixels.
        field: From the receptive field of the input's positions to that of the output's.
        dense: Parameters of a fully connected layer between the same shapes.
        local: Parameters of a layer whose every output has weights of its own.
    """

    output: Shape
    parameters: tuple[Tensor, ...] = ()
    buffers: tuple[Tensor, ...] = ()
    macs: int = 0
    kernel: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    padding: tuple[int, int, int, int] | None = None
    field: Callable[[Field], Field] = field(default=_stays, compare=False)
    dense: int | None = None
    local: int | None = None


Rule = Callable[[Settings, Shape], Facts]
"""From settings and the input's shape to facts.

Raises:
    Misfit: The layer cannot have this input.
"""


def times(shape: Shape) -> str:
    """A shape for people.

    Example:
        >>> times((8, 5, 5)), times((120,)), times((1,))
        ('8×5×5', '120 numbers', '1 number')
    """
    if len(shape) == 1:
        return f"{shape[0]} number{'s' if shape[0] != 1 else ''}"
    return "×".join(map(str, shape))


def maps(shape: Shape) -> tuple[int, int, int]:
    """Channels, rows and columns of an input that must be maps.

    Raises:
        Misfit: It is a vector.
    """
    if len(shape) != 3:
        raise Misfit(
            "it slides over maps C×H×W, not over a vector",
            f"put reshape CxHxW before it (C·H·W = {shape[0]}), or use dense",
        )
    return shape[0], shape[1], shape[2]


def check_numbers(output: Shape) -> None:
    """Refuse an output that no machine holds.

    Raises:
        Misfit: It has more than :data:`MAX_NUMBERS` numbers.
    """
    if prod(output) > MAX_NUMBERS:
        raise Misfit(
            "its output would have more than 2^40 numbers",
            "take a smaller input or size, or a larger stride before it",
        )
