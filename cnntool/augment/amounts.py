"""Kinds of settings in the language of random changes: how each is written and what it may be.

Every number is bounded, so that no text can ask for more than arithmetic on it can bear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from cnntool import grammar
from cnntool.grammar import BadValue

MAX_PIXELS = 10_000
"""Longest length in pixels."""

_REAL = re.compile(r"[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})(e[+-]?\d{1,2})?", re.ASCII | re.I)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_SIGNED = re.compile(r"[+-]?\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Amount:
    """Two ends between which a number is drawn anew for every picture.

    Attributes:
        low: The lower end.
        high: The upper end, >= ``low``.
        pixels: Whether a length is in pixels; else it is a share of the picture's side.
    """

    low: float
    high: float
    pixels: bool = False


Value = Amount | float | int | str
"""A setting: two ends, a number, a word."""


Kind = grammar.Kind[Value]
"""What a setting of a change may be."""


@dataclass(frozen=True)
class Real(Kind):
    """A number in a range."""

    low: float
    high: float

    @property
    def form(self) -> str:
        """Range in words."""
        return f"a number from {self.low:g} to {self.high:g}"

    def read(self, text: str) -> float:
        """``0.5`` -> 0.5."""
        number = float(_decimal(text))
        if not self.low <= number <= self.high:
            raise BadValue
        return number

    def write(self, value: Value) -> str:
        """The fewest digits that read back the same."""
        return _text(Decimal(repr(value)))


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number in a range."""

    low: int
    high: int

    @property
    def form(self) -> str:
        """Range in words."""
        return f"a whole number from {self.low} to {self.high}"

    def read(self, text: str) -> int:
        """``12`` -> 12."""
        if not _WHOLE.fullmatch(text) or not self.low <= int(text) <= self.high:
            raise BadValue
        return int(text)

    def write(self, value: Value) -> str:
        """Decimal digits."""
        return str(value)


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words; others may mean the same."""

    words: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()

    @property
    def form(self) -> str:
        """The words."""
        return ", ".join(self.words[:-1]) + " or " + self.words[-1]

    def read(self, text: str) -> str:
        """The word in lower case."""
        word = dict(self.aliases).get(text.lower(), text.lower())
        if word not in self.words:
            raise BadValue
        return word

    def write(self, value: Value) -> str:
        """The word."""
        return str(value)


Single = Literal["around 0", "around 1", "up to", "down to", "exactly"]
"""What a single number stands for: -N..N, 1-N..1+N, 0..N, N..1, N..N."""


@dataclass(frozen=True)
class Range(Kind):
    """One number, or both ends as ``LOW:HIGH``.

    Attributes:
        single: What one number stands for.
        low: Smallest end.
        high: Largest end.
        unit: Of the numbers, for messages; empty if they have none.
        length: Whether it is a share of the side, with a decimal point, or pixels: ``2``, ``2px``
            or ``1.5px``. Other libraries part whole numbers from shares in the same way.
        whole: Whether pixels are whole.
        fixed: Whether it is one number and never two ends.

    Example:
        >>> Range("around 0", -180, 180).read("15")
        Amount(low=-15.0, high=15.0, pixels=False)
        >>> Range("around 1", 0, 10).read("0.2")
        Amount(low=0.8, high=1.2, pixels=False)
        >>> Range("around 1", 0, 10).write(Amount(0.8, 1.2)), Range("up to", 0, 9).read("1:2")
        ('0.2', Amount(low=1.0, high=2.0, pixels=False))
    """

    single: Single
    low: float
    high: float
    unit: str = ""
    length: bool = False
    whole: bool = False
    fixed: bool = False

    @property
    def form(self) -> str:
        """Both forms, with their bounds."""
        unit = f" {self.unit}" if self.unit else ""
        floor, ceiling = self._single_bounds()
        noun = "share of the side" if self.length else "number"
        text = f"a {noun} from {floor:g} to {ceiling:g}{unit}"
        text += "" if self.fixed else ", or LOW:HIGH"
        if (floor, ceiling) != (self.low, self.high):
            text += f" within {self.low:g} to {self.high:g}"
        if self.length:
            text += (
                ", or whole pixels such as 2" if self.whole else ", or pixels such as 2 or 1.5px"
            )
        return text

    def read(self, text: str) -> Amount:
        """``15``, ``-5:15``, ``2px``, ``1:3px``."""
        plain = text.lower()
        pixels = self.length and plain.endswith("px")
        words = plain.removesuffix("px" if pixels else "").split(":")
        parts = [_decimal(word) for word in words]
        if len(parts) > 2:
            raise BadValue
        if self.length and all(map(_SIGNED.fullmatch, words)) and any(parts):
            pixels = True
        low, high = parts if len(parts) == 2 else self._ends(parts[0])
        return self._checked(Amount(float(low), float(high), pixels))

    def write(self, value: Value) -> str:
        """One number where it means both ends."""
        if not isinstance(value, Amount):
            raise TypeError(f"an amount has two ends, not {value!r}")
        low, high = Decimal(repr(value.low)), Decimal(repr(value.high))
        number = self._number(low, high)
        text = _text(number) if number is not None else f"{_text(low)}:{_text(high)}"
        if value.pixels:
            return f"{text}px"
        if self.length and (low or high) and all(map(_SIGNED.fullmatch, text.split(":"))):
            text += ".0"  # whole numbers would be pixels
        return text

    def check(self, value: object) -> Amount:
        """Also an amount, and a pair of ends."""
        if isinstance(value, Amount):
            return self._checked(value)
        if isinstance(value, tuple | list) and len(value) == 2:
            return self.read(f"{value[0]}:{value[1]}")
        return self.read(str(value))

    def _ends(self, number: Decimal) -> tuple[Decimal, Decimal]:
        if number < 0:
            raise BadValue
        zero, one = Decimal(0), Decimal(1)
        return {
            "around 0": (zero - number, number),
            "around 1": (one - number, one + number),
            "up to": (zero, number),
            "down to": (number, one),
            "exactly": (number, number),
        }[self.single]

    def _number(self, low: Decimal, high: Decimal) -> Decimal | None:
        """The number that means these ends, if there is one."""
        number = low if self.single in ("down to", "exactly") else high
        if self.single == "around 1":
            number -= 1
        if number < 0:
            return None
        return number if self._ends(number) == (low, high) else None

    def _single_bounds(self) -> tuple[float, float]:
        if self.single == "around 0":
            return 0, min(-self.low, self.high)
        if self.single == "around 1":
            return 0, round(min(1 - self.low, self.high - 1), 12)
        if self.single == "up to":
            return 0, self.high
        return max(self.low, 0), self.high

    def _checked(self, value: Amount) -> Amount:
        low, high = float(value.low), float(value.high)
        floor, ceiling = self.low, self.high
        if value.pixels:
            if not self.length or (self.whole and not (low.is_integer() and high.is_integer())):
                raise BadValue
            ceiling = MAX_PIXELS
            floor = -ceiling if floor < 0 else 1 if floor > 0 else 0
        # also false where an end is not a number
        if not floor <= low <= high <= ceiling or (self.fixed and low != high):
            raise BadValue
        return Amount(low + 0.0, high + 0.0, value.pixels)  # -0.0 is 0.0


def _decimal(text: str) -> Decimal:
    if not _REAL.fullmatch(text):
        raise BadValue
    return Decimal(text)


def _text(number: Decimal) -> str:
    """The fewest digits, without an exponent where that is short."""
    plain = f"{number.normalize():f}"
    return plain if len(plain) <= 20 else str(number.normalize()).lower()
