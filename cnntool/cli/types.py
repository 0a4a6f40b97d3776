"""What option values look like: pairs of numbers, sizes, padding, kernels."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

MOST_NUMBERS = 65_536
"""How many numbers a list of ranges may name."""

LARGEST_NUMBER = 9_999_999
"""The largest of them."""


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic only in new versions of click
    """Whole numbers separated by commas: ``N``, ``N,M`` and so on.

    Args:
        metavar: What help shows, one form a count: ``H,W|D,H,W``.
        counts: How many numbers are accepted.
        low: Smallest number.
    """

    name = "numbers"

    def __init__(self, metavar: str, counts: Sequence[int] = (1, 2), low: int = 0) -> None:
        self.metavar, self.counts, self.low = metavar, tuple(counts), low

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The forms for the help."""
        return self.metavar

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Text or numbers -> tuple."""
        if isinstance(value, int):
            value = (value,)
        if isinstance(value, str):
            if not re.fullmatch(r"\s*-?\d+(\s*,\s*-?\d+)*\s*", value):
                self.fail(f"'{value}' is not {self.metavar}: whole numbers between commas")
            value = tuple(int(part) for part in value.split(","))
        numbers = tuple(value)
        if len(numbers) not in self.counts:
            wanted = " or ".join(map(str, self.counts))
            self.fail(f"'{','.join(map(str, numbers))}' has {len(numbers)} numbers, not {wanted}")
        if min(numbers) < self.low:
            self.fail(f"{min(numbers)} is below {self.low}")
        return numbers


class PaddingType(Numbers):
    """Words for padding, or pixels: N, H,W or top,right,bottom,left."""

    name = "padding"

    def __init__(self, words: Sequence[str] = ("same", "valid", "full")) -> None:
        super().__init__("|".join(words) + "|N|H,W|T,R,B,L", (1, 2, 4))
        self.words = tuple(words)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """A word as it is, numbers as a tuple."""
        if isinstance(value, str) and value in self.words:
            return value
        if isinstance(value, str) and value[:1].isalpha():
            self.fail(f"'{value}' is not one of {', '.join(self.words)}, N, H,W or T,R,B,L")
        return super().convert(value, param, ctx)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """The words."""
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


class Size(click.ParamType):  # type: ignore[type-arg]  # generic only in new versions of click
    """Height and width as ``HxW``, or one number for a square."""

    name = "HxW"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """``128x64`` -> (128, 64)."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"\s*(\d+)(?:\s*[x×]\s*(\d+))?\s*", str(value))
        if match is None or int(match[1]) < 1 or int(match[2] or 1) < 1:
            self.fail(f"'{value}' is not a size; write HxW (rows x columns) such as 128x64")
        return int(match[1]), int(match[2] or match[1])


class NumberRanges(click.ParamType):  # type: ignore[type-arg]
    """Numbers and ranges: ``3``, ``0-7``, ``0-7,12``.

    Args:
        what: What is numbered.
        repeated: Whether a number that is named twice is kept twice.
    """

    name = "numbers"

    def __init__(self, what: str, *, repeated: bool = False) -> None:
        self.what, self.repeated = what, repeated

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The form for the help."""
        return "N-M,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """``0-2,5`` -> (0, 1, 2, 5)."""
        if isinstance(value, tuple | list):
            return tuple(value)
        numbers: list[int] = []
        for part in str(value).split(","):
            match = re.fullmatch(r"\s*(\d{1,20})\s*(?:-\s*(\d{1,20})\s*)?", part, re.ASCII)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if last < first:
                self.fail(f"'{value}' does not name {self.what}; write numbers and ranges: 0-7,12")
            if last > LARGEST_NUMBER:
                self.fail(f"'{value}': {self.what} go up to {LARGEST_NUMBER}")
            if len(numbers) + last - first >= MOST_NUMBERS:
                self.fail(f"'{value}' are more than {MOST_NUMBERS} {self.what}")
            numbers += range(first, last + 1)
        return tuple(numbers if self.repeated else dict.fromkeys(numbers))


class Finite(click.types.FloatParamType):
    """A number that is neither infinite nor NaN."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Text -> float."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"'{value}' is not a finite number")
        return number


class FiniteRange(click.FloatRange):
    """A number in a range; NaN is in none."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Text -> float."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"'{value}' is not a finite number")
        return number


class KernelName(click.ParamType):  # type: ignore[type-arg]  # generic only in new versions of click
    """Text of a kernel; completes names from the table.

    Several in one variable are parted by ``|``: a matrix has blanks, commas and semicolons.
    """

    name = "kernel"
    envvar_list_splitter = "|"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Text as it is; a matrix of a configuration file as JSON."""
        return value if isinstance(value, str) else json.dumps(value)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """Kernel names with what they do; files after ``@``."""
        if incomplete.startswith("@"):
            return [CompletionItem(incomplete, type="file")]
        from cnntool.filters.kernel_text import complete

        return [CompletionItem(name, help=summary) for name, summary in complete(incomplete)]
