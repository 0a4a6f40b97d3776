"""What the little languages share: places in a text, its pieces, and a reader that goes over them.

Networks (:mod:`cnntool.nn.spec`) and random changes of pictures (:mod:`cnntool.augment.language`)
are written as words, values and marks. Each language says what its pieces look like and mean.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a text.

    Attributes:
        line: From 1.
        column: From 1, in characters.
        lines: How many lines the text has; 0 where there is no text.

    Example:
        >>> print(Place(1, 12, lines=1), "-", Place(2, 3, lines=4))
        column 12 - line 2, column 3
    """

    line: int = 1
    column: int = 1
    lines: int = 0

    def __str__(self) -> str:
        column = f"column {self.column}"
        return column if self.lines <= 1 else f"line {self.line}, {column}"


NOWHERE = Place()
"""The place of what was not read from a text."""


class BadValue(ValueError):
    """A text or value that does not fit its setting."""


class Kind(ABC, Generic[Value]):
    """What a setting may be."""

    @property
    @abstractmethod
    def form(self) -> str:
        """What to write, for messages: ``a whole number from 1 to 10000``."""

    @abstractmethod
    def read(self, text: str) -> Value:
        """The value that a text means.

        Raises:
            BadValue: It means none.
        """

    @abstractmethod
    def write(self, value: Value) -> str:
        """The shortest text that means ``value``."""

    def check(self, value: object) -> Value:
        """``value`` as this kind has it: a pair for one number, say.

        Raises:
            BadValue: It is none of these values.
        """
        return self.read(str(value).lower() if isinstance(value, bool) else str(value))


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a text.

    Attributes:
        kind: ``word``, ``value``, ``mark`` or ``end``.
        text: As it is written.
        place: Where it begins.
        fresh: Whether it is the first of its line.
    """

    kind: str
    text: str
    place: Place
    fresh: bool

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else f"'{shown(self.text)}'"


def shown(text: str, limit: int = 40) -> str:
    r"""``text`` for a message: short, and nothing in it that a terminal would act on.

    Example:
        >>> print(shown("conv\x1b"), shown("a" * 99, 10))
        conv\x1b aaaaaaaaa…
    """
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def pieces(
    text: str, pattern: re.Pattern[str], stray: Callable[[str, Place], Exception]
) -> list[Token]:
    """The pieces of a text; the last one is of kind ``end``.

    Args:
        text: All of it.
        pattern: Its named groups are the kinds of pieces; ``space`` counts for nothing, ``newline``
            begins a line.
        stray: Makes the error for a character that belongs to no piece.

    Raises:
        Exception: What ``stray`` made.
    """
    # lines end as the patterns say; a last empty one is none
    lines = len(re.split(r"\r\n|[\r\n]", text.rstrip()))
    found: list[Token] = []
    position, line, begin, fresh = 0, 1, 0, True
    while position < len(text):
        place = Place(line, position - begin + 1, lines)
        match = pattern.match(text, position)
        if match is None:
            raise stray(text[position], place)
        position = match.end()
        if match.lastgroup == "newline":
            line, begin, fresh = line + 1, position, True
        elif match.lastgroup != "space":
            found.append(Token(match.lastgroup or "", match[0], place, fresh))
            fresh = False
    found.append(Token("end", "", Place(line, position - begin + 1, lines), True))
    return found


class Cursor:
    """Goes over the pieces of a text: what a parser is built on.

    Args:
        found: The pieces, from :func:`pieces`.
    """

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._next = 0

    @property
    def _token(self) -> Token:
        """The piece at hand."""
        return self._tokens[self._next]

    def _take(self) -> Token:
        """The piece at hand, and go on."""
        token = self._token
        self._next += 1
        return token

    def _at(self, mark: str) -> bool:
        """Whether the piece at hand is a mark."""
        return self._token.kind == "mark" and self._token.text == mark

    def _follows_key(self) -> bool:
        """Whether the word at hand is the key of ``key=value``."""
        if self._token.kind != "word":
            return False
        after = self._tokens[self._next + 1]
        return after.kind == "mark" and after.text == "="
