"""A specification's text cut into words, values and marks, each with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cnntool.errors import SpecError
from cnntool.nn.nodes import Place

MAX_TEXT = 1_000_000
"""Longest text of a specification, in characters."""

_TOKEN = re.compile(
    r"""
    (?P<newline>\r\n|[\r\n])
  | (?P<space>[^\S\r\n]+|\#[^\r\n]*)
  | (?P<word>[^\W\d][\w-]*)
  | (?P<value>[\d.+-][\w.:+×-]*)
  | (?P<mark>[|(),*=])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text.

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


def tokens(text: str) -> list[Token]:
    """The pieces of a text; the last one is of kind ``end``.

    Raises:
        SpecError: It is too long, or a character belongs to no piece.

    Example:
        >>> [token.text for token in tokens("conv 8 3x5|relu  # the end")]
        ['conv', '8', '3x5', '|', 'relu', '']
    """
    if len(text) > MAX_TEXT:
        raise SpecError(
            f"the specification has {len(text)} characters; at most {MAX_TEXT} are read"
        )
    # lines end as _TOKEN says; a last empty one is none
    lines = len(re.split(r"\r\n|[\r\n]", text.rstrip()))
    found: list[Token] = []
    position, line, begin, fresh = 0, 1, 0, True
    while position < len(text):
        place = Place(line, position - begin + 1, lines)
        match = _TOKEN.match(text, position)
        if match is None:
            raise _stray(text[position], place)
        position = match.end()
        if match.lastgroup == "newline":
            line, begin, fresh = line + 1, position, True
        elif match.lastgroup != "space":
            found.append(Token(match.lastgroup or "", match[0], place, fresh))
            fresh = False
    found.append(Token("end", "", Place(line, position - begin + 1, lines), True))
    return found


def _stray(character: str, place: Place) -> SpecError:
    hint = {
        ";": "put | or a new line between layers",
        "[": "put groups into ( )",
        "{": "put groups into ( )",
        "'": "write names and numbers without quotes",
        '"': "write names and numbers without quotes",
    }.get(character, "a specification has words, numbers and | ( ) , * = #")
    return SpecError(
        f"unexpected '{shown(character)}' at {place}; {hint}", line=place.line, column=place.column
    )
