"""Matrices written as text: ``0 1 0; -1 2 -1; 0 1 0``, fractions, JSON, and how they are printed.

Whole numbers stay whole and fractions share one divisor, so ``1/9 1/9 …`` is the whole matrix of
ones over 9. Nothing here needs NumPy.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import islice
from typing import NoReturn

from cnntool.errors import OptionError
from cnntool.filters.kernel import EXACT, Kernel, Rows, count
from cnntool.filters.kernel_families import MAX_SIDE

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_VALUE = re.compile(rf"({_NUMBER})(?:/({_NUMBER}))?")
# a divisor behind the last row: '1 2 1; 2 4 2; 1 2 1 /16'
_DIVISOR = re.compile(rf"\s/\s*({_NUMBER})\s*$")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_SHOWN = 40

Value = int | float | Fraction


def shown(text: str, length: int = _SHOWN) -> str:
    r"""Text for a message: one line without control characters, cut at ``length``.

    Example:
        >>> shown("1 2" + chr(10) + "3 4"), shown("1 " * 30, 9)
        ('1 2\\n3 4', '1 1 1 1 …')
    """
    cut = text if len(text) <= length else text[: length - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def number(text: str, where: str) -> Value:
    """The number in ``text``: an int or a fraction where it is exactly one, else a float.

    Args:
        text: Such as ``-2``, ``.5``, ``1e-3``, ``1/9``; ``−`` is read as ``-``.
        where: What to call it in an error, such as ``row 2, value 3``.

    Raises:
        OptionError: It is no finite number, or divides by 0.

    Example:
        >>> number("1/9", "row 1"), number("-2", "row 1"), number("0.5", "row 1")
        (Fraction(1, 9), -2, 0.5)
    """
    plain = text.replace("−", "-")
    match = _VALUE.fullmatch(plain)
    if match is None:
        if _NOT_FINITE.fullmatch(plain):
            raise OptionError(f"{where} is '{shown(text)}'; weights must be finite numbers")
        raise OptionError(f"{where}: '{shown(text)}' is not a number")
    over, under = match.groups()
    if under and len(text) < 300 and over.lstrip("+-").isdigit() and under.lstrip("+-").isdigit():
        if int(under) == 0:
            raise OptionError(f"{where}: '{shown(text)}' divides by 0")
        return Fraction(int(over), int(under))
    value = _single(over, text, where)
    if under is None:
        return value
    divisor = _single(under, text, where)
    if divisor == 0:
        raise OptionError(f"{where}: '{shown(text)}' divides by 0")
    quotient = value / divisor
    if not math.isfinite(quotient):
        raise OptionError(f"{where}: '{shown(text)}' is too large")
    return quotient


def _single(text: str, whole: str, where: str) -> int | float:
    value = float(text)
    if not math.isfinite(value):
        raise OptionError(f"{where}: '{shown(whole)}' is too large")
    # 1e3 and 2.0 are whole as well
    return int(value) if value == int(value) and abs(value) <= EXACT else value


def real(value: Value) -> float:
    """The value as an int or a float.

    Example:
        >>> real(Fraction(1, 4))
        0.25
    """
    return float(value) if isinstance(value, Fraction) else value


def kernel_of(
    rows: Iterable[Iterable[Value]],
    name: str,
    called: str = "",
    scale: float = 1,
    offset: float = 0,
) -> Kernel:
    """The kernel of parsed rows; fractions become whole weights over their common divisor.

    Args:
        rows: Numbers by rows.
        name: Name of the kernel.
        called: What to call it in an error; the name if empty.
        scale: Divisor of all weights.
        offset: Added to each result.

    Raises:
        OptionError: No rows, rows of different lengths, or more than 1001 a side.
    """
    values = [list(row) for row in rows]
    check_shape([len(row) for row in values], called or name)
    exact: list[int | Fraction] = [v for row in values for v in row if not isinstance(v, float)]
    common = 1
    if len(exact) == sum(map(len, values)):
        for value in exact:
            common = math.lcm(common, value.denominator)
            if common > EXACT:
                break
    whole = [[value * common for value in row] for row in values]
    if 1 < common <= EXACT and all(-EXACT <= v <= EXACT for row in whole for v in row):
        weights: Rows = tuple(tuple(int(v) for v in row) for row in whole)
        return Kernel(name, weights, "your own", "given", common * scale, offset)
    weights = tuple(
        tuple(float(v) if isinstance(v, Fraction) else v for v in row) for row in values
    )
    return Kernel(name, weights, "your own", "given", scale, offset)


def check_shape(lengths: Sequence[int], name: str) -> None:
    """Refuse what is no matrix or too large, given the number of values in each row.

    Raises:
        OptionError: Says which row.
    """
    if not lengths or not any(lengths):
        raise OptionError(f"kernel '{name}' holds no numbers; write rows such as '0 1 0; 1 -4 1'")
    for place, length in enumerate(lengths, start=1):
        if length != lengths[0]:
            raise OptionError(
                f"kernel '{name}': row {place} has {count(length, 'value')}, row 1 has "
                f"{lengths[0]}; all rows need the same number"
            )
    if max(len(lengths), lengths[0]) > MAX_SIDE:
        too_large(name)


def too_large(name: str) -> NoReturn:
    """Raise the error for a kernel with a side above the limit."""
    raise OptionError(f"kernel '{name}' is larger than {MAX_SIDE}×{MAX_SIDE}; take a smaller one")


def parse_rows(lines: Iterable[str], name: str, separators: str = r"\s,") -> list[list[Value]]:
    """Numbers of each line; blanks or single commas part them.

    Args:
        lines: One row each.
        name: What to call the kernel in an error.
        separators: Characters that part values, as in a regular expression's brackets.

    Raises:
        OptionError: A token is no number, or there are too many.
    """
    word = re.compile(rf"[^{separators}]+")
    rows = []
    for place, line in enumerate(islice(lines, MAX_SIDE + 2), start=1):
        marks = separators.replace(r"\s", "")
        if marks and re.search(rf"^\s*[{marks}]|[{marks}]\s*[{marks}]|[{marks}]\s*$", line):
            mark = next(c for c in line if c in marks)
            raise OptionError(f"kernel '{name}': row {place} has an empty place beside a '{mark}'")
        words = [match.group().strip() for match in islice(word.finditer(line), MAX_SIDE + 2)]
        if len(words) > MAX_SIDE + 1:
            too_large(name)
        rows.append(
            [
                number(word, f"kernel '{name}': row {place}, value {column}")
                for column, word in enumerate(words, start=1)
            ]
        )
    return rows


def parse_matrix(text: str, name: str, called: str = "") -> Kernel:
    """The kernel of an inline matrix.

    Args:
        text: Rows parted by ``;`` or line ends, values by blanks or commas; ``/N`` at the very
            end divides all.
        name: Name of the kernel.
        called: What to call it in an error; the name if empty.

    Raises:
        OptionError: Says which row or value makes no sense.

    Example:
        >>> parse_matrix("1 2 1; 2 4 2; 1 2 1 /16", "custom").scale
        16
        >>> parse_matrix("1/3, 1/3, 1/3", "custom").integers()
        (array([[1, 1, 1]]), 3)
    """
    called = called or name
    scale: float = 1
    tail = _DIVISOR.search(text)
    if tail:
        scale = real(number(tail.group(1), f"kernel '{called}': the divisor"))
        if scale == 0:
            raise OptionError(f"kernel '{called}' divides by 0")
        text = text[: tail.start()]
    lines: list[str] = []
    for part in text.splitlines():
        # blank lines are layout; a ';' at the end of a line says the same as the line's end
        part = part.strip().removesuffix(";")
        if part:
            lines.extend(part.split(";"))
    rows = parse_rows(lines, called)
    return kernel_of(rows, name, called, scale)


def parse_json(text: str, name: str, called: str = "") -> Kernel:
    """The kernel of ``[[…], …]``, ``[…]`` (one row) or ``{"weights": …, "scale": …, "offset": …}``.

    Raises:
        OptionError: It is no JSON, or not of this form.

    Example:
        >>> parse_json("[[0, 1, 0], [1, -4, 1], [0, 1, 0]]", "custom").total
        0.0
    """
    called = called or name
    try:
        # numbers stay text until their place is known
        found = json.loads(text, parse_int=_Digits, parse_float=_Digits, parse_constant=_Digits)
    except json.JSONDecodeError as error:
        raise OptionError(
            f"kernel '{called}' is not JSON: {error.msg} at line {error.lineno}, "
            f"character {error.colno}"
        ) from error
    except RecursionError as error:
        raise OptionError(
            f"kernel '{called}': lists in lists in lists; [[…], …] it must be"
        ) from error
    facts = found if isinstance(found, dict) else {"weights": found}
    unknown = sorted(set(facts) - {"weights", "scale", "offset", "name", "summary", "source"})
    if unknown or "weights" not in facts:
        raise OptionError(
            f"kernel '{called}': "
            + (f"unknown key '{shown(unknown[0])}'" if unknown else "no key 'weights'")
            + "; a kernel in JSON has weights, and if need be scale and offset"
        )
    rows = facts["weights"]
    if isinstance(rows, list) and rows and not any(isinstance(row, list) for row in rows):
        rows = [rows]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise OptionError(f"kernel '{called}': weights must be a list of rows, [[…], …]")
    values = [
        [
            _from_json(value, f"kernel '{called}': row {r}, value {c}")
            for c, value in enumerate(row, start=1)
        ]
        for r, row in enumerate(rows, start=1)
    ]
    scale, offset = (
        _from_json(facts.get(key, _Digits(default)), f"kernel '{called}': the {key}")
        for key, default in (("scale", "1"), ("offset", "0"))
    )
    if scale == 0:
        raise OptionError(f"kernel '{called}' divides by 0")
    return kernel_of(values, name, called, real(scale), real(offset))


class _Digits(str):
    """A number in JSON, as it is written there."""


def _from_json(value: object, where: str) -> Value:
    if not isinstance(value, _Digits):
        raise OptionError(f"{where} is {shown(json.dumps(value))}; a number is needed")
    return number(str(value), where)


def format_kernel(kernel: Kernel) -> str:
    """The matrix as inline text that reads back as the same weights and divisor.

    Example:
        >>> from cnntool.filters.kernels import KERNELS
        >>> format_kernel(KERNELS["gaussian-3"])
        '1 2 1; 2 4 2; 1 2 1 /16'
    """
    text = "; ".join(" ".join(map(_plain, row)) for row in kernel.weights)
    return text if kernel.scale == 1 else f"{text} /{_plain(kernel.scale)}"


def _plain(value: float) -> str:
    # repr of a float reads back exactly; whole ones need no '.0'
    return str(int(value)) if value == int(value) and abs(value) <= EXACT else repr(float(value))
