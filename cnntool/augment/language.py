"""The little language of random changes: ``hflip p=0.5 | rotate 15 | brightness 0.2``.

Grammar::

    steps  = step { separator step }      separator: '|', or a new line before a word
    step   = word { value } { key '=' value }

``#`` begins a comment. Nothing here loads NumPy.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from cnntool.augment.amounts import Value
from cnntool.augment.steps import Step, check_steps, normal_step
from cnntool.augment.words import ALIASES, WORDS, Word, canonical
from cnntool.errors import OptionError
from cnntool.grammar import Entry, Place, Token, WordCursor, pieces, shown, taker

EXAMPLE = "hflip p=0.5 | rotate 15 | brightness 0.2"

MAX_TEXT = 10_000
"""Longest text, in characters."""

_TOKEN = re.compile(
    r"""
    (?P<newline>\r\n|[\r\n])
  | (?P<space>[^\S\r\n]+|\#[^\r\n]*)
  | (?P<word>[^\W\d][\w-]*)
  | (?P<value>[\d.+-][\w.:+-]*)
  | (?P<mark>[|=,])
    """,
    re.VERBOSE,
)


def parse(text: str) -> tuple[Step, ...]:
    """The changes that a text asks for.

    Args:
        text: Words with ``|`` or new lines between them.

    Raises:
        OptionError: It is no such text; the message says where, what was found and what would fit.
            Facts: ``line`` and ``column``, both from 1.

    Example:
        >>> [step.word for step in parse("hflip p=0.5 | rotate 15 | brightness 0.2")]
        ['hflip', 'rotate', 'brightness']
        >>> parse("rotat 15")
        Traceback (most recent call last):
          ...
        cnntool.errors.OptionError: unknown word 'rotat' at column 1; did you mean 'rotate'?
    """
    return _Parser(text).steps()


def format_steps(steps: Sequence[Step]) -> str:
    """The shortest text that means these changes, in one line and one spelling.

    Example:
        >>> format_steps(parse("RandomRotation -15:15 p=1 | shift 0.10 0.2 fill=0"))
        'rotate 15 | shift 0.1 0.2 fill=0'
    """
    return " | ".join(map(_format_step, steps))


def _format_step(step: Step) -> str:
    given, parts, gap = dict(step.given), [step.word], False
    for setting in step.entry.settings:
        flip = setting.name == "p" and setting.label  # p=0.5 reads better than 0.5
        if setting.name not in given and not flip:
            gap = gap or bool(setting.label)
            continue
        text = setting.kind.write(given.get(setting.name, step[setting.name]))
        placed = setting.label and not flip and not gap
        parts.append(text if placed else f"{setting.name}={text}")
    return " ".join(parts)


def _error(message: str, place: Place, **facts: object) -> OptionError:
    return OptionError(message, line=place.line, column=place.column, **facts)


def _stray(character: str, place: Place) -> OptionError:
    hints = {
        ";": "put | or a new line between changes",
        "%": "write shares, 0.1 for 10 %",
        "'": "write words and numbers without quotes",
        '"': "write words and numbers without quotes",
        ":": "write a range without blanks, as 0.8:1.2",
        "±": "write 15 for -15 to 15",
    }
    hint = hints.get(character, "there are words, numbers and | = #")
    return _error(f"unexpected '{shown(character)}' at {place}; {hint}", place)


def _tokens(text: str) -> list[Token]:
    if len(text) > MAX_TEXT:
        raise OptionError(f"the changes take {len(text)} characters; at most {MAX_TEXT} are read")
    return pieces(text, _TOKEN, _stray)


class _Parser(WordCursor[Value]):
    def __init__(self, text: str) -> None:
        super().__init__(_tokens(text))

    def steps(self) -> tuple[Step, ...]:
        if self._token.kind == "end":
            raise _error(
                f"the text is empty; write changes with | between them, such as '{EXAMPLE}'",
                self._token.place,
            )
        found = [self._step()]
        while self._token.kind != "end":
            if self._at("|"):
                self._take()
            found.append(self._step())
        return check_steps(found)

    def _step(self) -> Step:
        start = self._token
        if start.kind != "word" or self._follows_key():
            raise self._no_word()
        self._take()
        entry = WORDS.get(canonical(start.text))
        if entry is None:
            raise _unknown(start)
        values: dict[str, Value] = {}
        while not self._at("|") and self._token.kind != "end":
            token = self._token
            if self._follows_key():
                self._keyed(entry, values, start)
            elif token.kind == "value":
                self._placed(entry, values, start)
            elif token.kind == "word" and token.fresh:
                break
            else:
                raise self._stray(entry, start)
        for setting in entry.settings:
            if setting.required and setting.name not in values:
                raise _error(
                    f"'{start.text}' at {start.place} needs {setting.label}, {setting.summary}; "
                    f"write {entry.usage}, such as '{entry.example}'",
                    start.place,
                )
        return normal_step(entry, values, start.place)

    def _error(self, message: str, place: Place) -> OptionError:
        return _error(message, place)

    def _keys(self, entry: Entry[Value]) -> str:
        names = [s.name for s in entry.settings if not s.label or s.name == "p"]
        return f" and {', '.join(names)}=…"

    def _no_word(self) -> OptionError:
        token = self._token
        if token.kind not in ("mark", "end") and not self._follows_key():
            return _error(
                f"expected a word at {token.place}, found {token}; write one first, such as "
                f"'{EXAMPLE}'",
                token.place,
            )
        entry = WORDS.get(canonical(token.text))
        if entry is not None:
            return _error(
                f"{token} at {token.place} is followed by '='; write {entry.usage}, such as "
                f"'{entry.example}'",
                token.place,
            )
        where = f"before {token} at {token.place}"
        if token.kind == "end":
            before = self._tokens[self._next - 1]
            where = f"after {before} at {before.place}, where the text ends"
        return _error(f"a word is missing {where}; write one such as 'hflip'", token.place)

    def _stray(self, entry: Word, start: Token) -> OptionError:
        token = self._token
        if token.kind == "word" and canonical(token.text) in WORDS:
            return _error(
                f"'{start.text}' at {start.place} is followed by {token} at {token.place}; put | "
                "between changes",
                token.place,
            )
        hint = "put | between changes"
        if token.kind == "word":
            setting = taker(entry, token.text)
            hint = (
                f"write {setting.name}={shown(token.text)}"
                if setting
                else f"'{start.text}' takes {entry.usage}{self._keys(entry)}"
            )
        elif token.text == "=":
            hint = "write key=value, such as p=0.5"
        return _error(
            f"unexpected {token} at {token.place} behind '{start.text}'; {hint}", token.place
        )


def _unknown(start: Token) -> OptionError:
    plain = canonical(start.text)
    # names of other libraries only where none of ours is near: huerotate is near to rotat
    near = difflib.get_close_matches(plain, WORDS, cutoff=0.65)
    near = near or difflib.get_close_matches(plain, ALIASES, cutoff=0.65)
    words = list(dict.fromkeys(map(canonical, near)))
    hint = (
        "did you mean " + " or ".join(f"'{word}'" for word in words) + "?"
        if words
        else f"there are {', '.join(WORDS)}"
    )
    return _error(
        f"unknown word '{shown(start.text)}' at {start.place}; {hint}", start.place, near=words
    )
