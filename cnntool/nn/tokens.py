"""A specification's text cut into words, values and marks, each with its place."""

from __future__ import annotations

import re

from cnntool.errors import SpecError
from cnntool.grammar import Place, Token, pieces, shown

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
    return pieces(text, _TOKEN, _stray)


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
