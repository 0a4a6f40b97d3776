r"""File names as people meet them: in messages, on terminals, in order.

A name is bytes, and anybody can make one that moves the cursor, renames the window or reads
backwards. No such byte may reach a terminal, and a person must be able to copy a name out of a
message into a shell. So messages show names as ``ls --quoting-style=shell-escape-always`` does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

MESSAGE_LIMIT = 300
"""Longest message in characters: a few lines of a narrow terminal."""

NAME_LIMIT = 100
"""Longest quoted name in a message, so that the reason still fits."""

_LETTER_ESCAPES = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
}
# what may stand between double quotes beside an apostrophe and mean itself in every shell
_PLAIN_WITH_APOSTROPHE = re.compile(r"[\w './+,@%:=-]*", re.UNICODE)
_DIGITS = re.compile(r"[0-9]+")


def quote(name: str, limit: int = NAME_LIMIT) -> str:
    r"""``name`` in shell quotes, with nothing in it that a terminal would act on.

    Control characters, invisible and direction-changing ones, and bytes that are no text become
    escapes that bash and zsh read back. A name longer than ``limit`` loses its middle.

    Args:
        name: A path, as Python gives it (undecodable bytes as lone surrogates).
        limit: Most characters of the result, at least 40.

    Example:
        >>> print(quote("cat.png"), quote("two\nlines"), quote("it's"))
        'cat.png' 'two'$'\n''lines' "it's"
    """
    quoted = _quote(name)
    kept = len(name)
    while len(quoted) > limit and kept > 2:
        # escapes make the length jumpy: shrink in proportion, and by one at least
        kept = max(2, min(kept - 1, kept * limit // len(quoted)))
        quoted = _quote(_without_middle(name, kept))
    return quoted


def one_line(text: str, limit: int = MESSAGE_LIMIT) -> str:
    r"""``text`` as one line that is safe on a terminal, at most ``limit`` characters long.

    Example:
        >>> print(one_line("bad\x1b[31m header\n"))
        bad\033[31m header
    """
    text = " ".join(text.split("\n")).strip()
    text = "".join(_escape(c) or c for c in text)
    return text if len(text) <= limit else _without_middle(text, limit - 1)


def complaint(path: str, reason: str) -> str:
    """The sentence about one input, safe on a terminal; ``-`` is called standard input.

    A reason that already begins with the quoted path does not get it twice. The sentence leaves
    room for the tool's name in front.

    Example:
        >>> print(complaint("cat.png", "truncated PNG"))
        'cat.png': truncated PNG
    """
    subject = "standard input" if path == "-" else quote(path)
    told = reason.startswith(subject)
    return one_line(reason if told else f"{subject}: {reason}", MESSAGE_LIMIT - len("cnntool: "))


def terminal_safe(name: str) -> str:
    r"""``name`` itself if a terminal shows it as it is, else :func:`quote` of it in full.

    Example:
        >>> print(terminal_safe("a b.png"), terminal_safe("a\tb"))
        a b.png 'a'$'\t''b'
    """
    return name if all(_escape(c) is None for c in name) else _quote(name)


def natural_key(name: str) -> tuple[str, str]:
    """Key for sorting names as people count: ``img2`` before ``img10``, ``b`` between A and C.

    Runs of the digits 0 to 9 compare as numbers of any length, other text without regard to case.
    Names that are equal so far compare as they are, so the order is total.

    Example:
        >>> sorted(["img10.png", "img2.png", "Img1.png"], key=natural_key)
        ['Img1.png', 'img2.png', 'img10.png']
    """
    return _DIGITS.sub(_as_number, name.casefold()), name


def _as_number(match: re.Match[str]) -> str:
    """A digit run so that comparing text compares numbers: '0', its length, its digits."""
    digits = match[0].lstrip("0")
    return "0" + chr(min(len(digits), 255)) + digits


def _escape(character: str) -> str | None:
    """What stands for a character that must not reach a terminal; None if it may."""
    if character.isprintable():
        return None
    if character in _LETTER_ESCAPES:
        return _LETTER_ESCAPES[character]
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))


def _quote(name: str) -> str:
    if "'" in name and name.isprintable() and _PLAIN_WITH_APOSTROPHE.fullmatch(name):
        return f'"{name}"'
    parts = ["'"]
    escaping = False
    for character in name:
        escape = _escape(character)
        if character == "'":  # ends either kind of quotes, stands outside, and begins plain ones
            parts.append(r"'\''")
            escaping = False
            continue
        if (escape is not None) != escaping:
            escaping = not escaping
            parts.append("'$'" if escaping else "''")
        parts.append(escape or character)
    parts.append("'")
    return "".join(parts)


def _without_middle(text: str, kept: int) -> str:
    """``kept`` characters of ``text`` around an ellipsis, more of its end than its beginning."""
    head = kept // 3
    return text[:head] + "…" + text[len(text) - (kept - head) :]


Predicate = Callable[[str], bool]
"""Tells from a file's name whether it is wanted."""
