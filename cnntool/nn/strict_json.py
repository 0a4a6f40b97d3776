"""JSON read to the letter, for files that nobody vouches for.

Python's own reader takes the last of two equal keys, and reads NaN, Infinity and numbers that
become infinite. Here each of these is an error, and so is everything else that it raises.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import NoReturn

from cnntool.grammar import shown

MOST_DIGITS = 20
"""Digits of a whole number: 64 bits and a sign need no more."""


class NotStrict(ValueError):
    """A text that is no JSON, or not plain enough; the message is the reason."""


def parse(text: str) -> object:
    """The value of a JSON text: dict, list, str, int, float, bool or None.

    Args:
        text: The whole text. Its length bounds time and memory: the caller limits it.

    Raises:
        NotStrict: It is no JSON, a key stands twice in an object, a number is not finite or has
            too many digits, or it is nested too deep.

    Example:
        >>> parse('{"a": [1, 2.5, null]}')
        {'a': [1, 2.5, None]}
        >>> parse('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ...
        cnntool.nn.strict_json.NotStrict: the key 'a' stands twice in one object
    """
    try:
        found: object = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_real,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        raise NotStrict(f"no JSON: {error.msg.lower()} at character {error.pos + 1}") from None
    except RecursionError:
        raise NotStrict("JSON that is nested too deep") from None
    return found


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key in found if counts[key] > 1)
        raise NotStrict(f"the key '{shown(twice)}' stands twice in one object")
    return found


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise NotStrict(f"a number of {len(text)} digits; at most {MOST_DIGITS} are read")
    return int(text)


def _real(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotStrict(f"the number {shown(text)} is too large")
    return number


def _constant(text: str) -> NoReturn:
    raise NotStrict(f"{text} is no JSON number")
