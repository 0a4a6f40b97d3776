"""Kinds of settings: how each is written, what it may be, how it is read back.

Every number is bounded, so that no text can ask for more than arithmetic on it can bear.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cnntool import grammar
from cnntool.grammar import BadValue
from cnntool.nn.nodes import Value

Sides = tuple[int, int, int, int] | str
"""Padding as (top, right, bottom, left), or the word ``same``."""

MAX_MAPS = 1_000_000
"""Most maps, or numbers of a vector, that a setting may ask for."""

MAX_PIXELS = 10_000
"""Longest kernel, stride, padding and dilation."""

_WHOLE = re.compile(r"\d{1,15}", re.ASCII)
_REAL = re.compile(r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})(e[+-]?\d{1,3})?", re.ASCII | re.I)
_CROSS = re.compile("[x×]", re.IGNORECASE)


Kind = grammar.Kind[Value]
"""What a setting of a layer may be."""


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number."""

    low: int = 1
    high: int = MAX_MAPS

    @property
    def form(self) -> str:
        """Range in words."""
        return f"a whole number from {self.low} to {self.high}"

    def read(self, text: str) -> int:
        """``12`` -> 12."""
        return _whole(text, self.low, self.high)

    def write(self, value: Value) -> str:
        """Decimal digits."""
        return str(value)


@dataclass(frozen=True)
class Real(Kind):
    """A number; ``open_high`` excludes the upper end, ``open_low`` the lower one."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    @property
    def form(self) -> str:
        """Range in words."""
        low = f"above {self.low:g}" if self.open_low else f"from {self.low:g}"
        high = f"below {self.high:g}" if self.open_high else f"to {self.high:g}"
        return f"a number {low} {'and ' if self.open_low or self.open_high else ''}{high}"

    def read(self, text: str) -> float:
        """``1e-3`` -> 0.001."""
        if not _REAL.fullmatch(text):
            raise BadValue
        number = float(text) + 0.0  # -0.0 is 0.0
        low = number > self.low if self.open_low else number >= self.low
        high = number < self.high if self.open_high else number <= self.high
        if not (low and high and math.isfinite(number)):
            raise BadValue
        return number

    def write(self, value: Value) -> str:
        """The fewest digits that read back the same."""
        text = repr(float(value))  # type: ignore[arg-type]
        return text.removesuffix(".0")


@dataclass(frozen=True)
class Pair(Kind):
    """Rows and columns: ``5`` for both, or ``3x5``."""

    low: int = 1
    high: int = MAX_PIXELS

    @property
    def form(self) -> str:
        """Both forms and the range."""
        return f"N or HxW, {self.low} to {self.high}"

    def read(self, text: str) -> tuple[int, int]:
        """``5`` -> (5, 5), ``3x5`` -> (3, 5)."""
        numbers = _wholes(_CROSS.split(text), self.low, self.high)
        if len(numbers) > 2:
            raise BadValue
        return numbers[0], numbers[-1]

    def write(self, value: Value) -> str:
        """One number where both are equal."""
        h, w = _numbers(value)
        return f"{h}" if h == w else f"{h}x{w}"

    def check(self, value: object) -> tuple[int, int]:
        """Also one int, and two."""
        return self.read(_joined(value, "x"))


@dataclass(frozen=True)
class Padding(Kind):
    """Four sides: ``N``, ``HxW`` or ``T:R:B:L``, and ``same`` where that makes sense."""

    same: bool = True

    @property
    def form(self) -> str:
        """All forms and the range."""
        word = ", or same" if self.same else ""
        return f"N, HxW or T:R:B:L (top, right, bottom, left) of 0 to {MAX_PIXELS}{word}"

    def read(self, text: str) -> Sides:
        """``1x2`` -> (1, 2, 1, 2)."""
        if self.same and text.lower() == "same":
            return "same"
        if ":" in text:
            numbers = _wholes(text.split(":"), 0, MAX_PIXELS)
            if len(numbers) != 4:
                raise BadValue
            return numbers[0], numbers[1], numbers[2], numbers[3]
        h, w = Pair(0).read(text)
        return h, w, h, w

    def write(self, value: Value) -> str:
        """The shortest of the three forms."""
        if isinstance(value, str):
            return value
        top, right, bottom, left = _numbers(value)
        if (top, right) != (bottom, left):
            return f"{top}:{right}:{bottom}:{left}"
        return f"{top}" if top == right else f"{top}x{right}"

    def check(self, value: object) -> Sides:
        """Also one, two and four ints."""
        if isinstance(value, str):
            return self.read(value)
        count = len(value) if isinstance(value, Sequence) else 1
        return self.read(_joined(value, ":" if count == 4 else "x"))


@dataclass(frozen=True)
class Flag(Kind):
    """``yes`` or ``no``."""

    form = "yes or no"

    def read(self, text: str) -> bool:
        """``yes`` -> True."""
        if text.lower() not in ("yes", "no"):
            raise BadValue
        return text.lower() == "yes"

    def write(self, value: Value) -> str:
        """``yes`` or ``no``."""
        return "yes" if value else "no"

    def check(self, value: object) -> bool:
        """True or False."""
        return self.read(self.write(value) if isinstance(value, bool) else str(value))


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def form(self) -> str:
        """The words."""
        return ", ".join(self.words[:-1]) + " or " + self.words[-1]

    def read(self, text: str) -> str:
        """The word in lower case."""
        if text.lower() not in self.words:
            raise BadValue
        return text.lower()

    def write(self, value: Value) -> str:
        """The word."""
        return str(value)


@dataclass(frozen=True)
class Maps(Kind):
    """Channels, rows and columns: ``16x5x5``."""

    form = f"CxHxW such as 16x5x5, each from 1 to {MAX_MAPS}"

    def read(self, text: str) -> tuple[int, int, int]:
        """``16x5x5`` -> (16, 5, 5)."""
        numbers = _wholes(_CROSS.split(text), 1, MAX_MAPS)
        if len(numbers) != 3:
            raise BadValue
        return numbers[0], numbers[1], numbers[2]

    def write(self, value: Value) -> str:
        """Numbers with ``x`` between."""
        return _joined(value, "x")

    def check(self, value: object) -> tuple[int, int, int]:
        """Also three ints."""
        return self.read(_joined(value, "x"))


def _whole(text: str, low: int, high: int) -> int:
    if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
        raise BadValue
    return int(text)


def _wholes(texts: Sequence[str], low: int, high: int) -> tuple[int, ...]:
    return tuple(_whole(text, low, high) for text in texts)


def _numbers(value: Value) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"sizes and sides are tuples, not {type(value).__name__}")
    return value


def _joined(value: object, mark: str) -> str:
    if isinstance(value, tuple | list):
        return mark.join(map(str, value))
    return str(value)
