"""What the little languages share: places in a text, its pieces, and a reader that goes over them.

Networks (:mod:`cnntool.nn.spec`) and random changes of pictures (:mod:`cnntool.augment.language`)
are written as words, values and marks. Each language says what its pieces look like and mean.
"""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

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


class Setting(Protocol[Value]):
    """What a word takes, as far as reading it goes."""

    @property
    def name(self) -> str:
        """Its key."""

    @property
    def label(self) -> str:
        """How it is called where it stands by its place; empty if it only has a key."""

    @property
    def kind(self) -> Kind[Value]:
        """What it may be."""


class Entry(Protocol[Value]):
    """A word of a language, as far as reading it goes."""

    @property
    def word(self) -> str:
        """How it is written."""

    @property
    def usage(self) -> str:
        """How it is written with what it takes by place."""

    @property
    def settings(self) -> Sequence[Setting[Value]]:
        """What it takes, those by place first."""


class WordCursor(Cursor, Generic[Value]):
    """Reads what follows a word: values by their place, and ``key=value``."""

    @abstractmethod
    def _error(self, message: str, place: Place) -> Exception:
        """The language's error, which knows its place."""

    @abstractmethod
    def _keys(self, entry: Entry[Value]) -> str:
        """What may be written ``key=value``, for messages: `` and p=…``."""

    def _placed(self, entry: Entry[Value], values: dict[str, Value], start: Token) -> None:
        """The value at hand, for the next setting that stands by its place."""
        token = self._take()
        placed = [setting for setting in entry.settings if setting.label]
        free = [setting for setting in placed if setting.name not in values]
        if not free:
            takes = f"takes {entry.usage}" if placed else "takes no numbers"
            raise self._error(
                f"'{start.text}' at {start.place} has one value too many, {token} at "
                f"{token.place}; it {takes}{self._keys(entry)}",
                token.place,
            )
        values[free[0].name] = self._value(entry, free[0], free[0].label, token)

    def _keyed(self, entry: Entry[Value], values: dict[str, Value], start: Token) -> None:
        """The ``key=value`` at hand."""
        key = self._take()
        self._take()
        name = key.text.lower()
        setting = next((setting for setting in entry.settings if setting.name == name), None)
        if setting is None:
            raise self._unknown_key(entry, start, key)
        if setting.name in values:
            raise self._error(
                f"{setting.name} of '{start.text}' is given twice, again at {key.place}; "
                "leave one out",
                key.place,
            )
        if self._token.kind not in ("word", "value") or self._follows_key():
            raise self._error(
                f"a value is missing after {key.text}= at {key.place}; it must be "
                f"{setting.kind.form}",
                key.place,
            )
        values[setting.name] = self._value(entry, setting, setting.name, self._take())

    def _value(
        self, entry: Entry[Value], setting: Setting[Value], name: str, token: Token
    ) -> Value:
        try:
            return setting.kind.read(token.text)
        except BadValue:
            raise self._error(
                f"{name} of '{entry.word}' is {token} at {token.place}; it must be "
                f"{setting.kind.form}",
                token.place,
            ) from None

    def _unknown_key(self, entry: Entry[Value], start: Token, key: Token) -> Exception:
        names = [setting.name for setting in entry.settings]
        near = difflib.get_close_matches(key.text.lower(), names, n=1, cutoff=0.5)
        takes = ", ".join(names) if names else "no keys"
        hint = f"did you mean '{near[0]}'?" if near else f"it takes {takes}"
        return self._error(
            f"'{start.text}' has no key '{shown(key.text)}' at {key.place}; {hint}", key.place
        )


def taker(entry: Entry[Value], text: str) -> Setting[Value] | None:
    """The first setting of a word that takes ``text``."""
    return next((setting for setting in entry.settings if _reads(setting, text)), None)


def _reads(setting: Setting[Value], text: str) -> bool:
    try:
        setting.kind.read(text)
    except BadValue:
        return False
    return True
