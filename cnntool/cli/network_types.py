"""What options about networks look like: shapes of inputs, windows, padding, networks."""

from __future__ import annotations

import re
from typing import Any

import click
from click.shell_completion import CompletionItem

from cnntool.grammar import BadValue
from cnntool.nn.values import MAX_MAPS, Kind

HOG = "hog-logreg"
"""A model that is no network."""


class InputShape(click.ParamType[tuple[int, ...]]):
    """``CxHxW``, ``HxW`` for one channel, or the length of a vector."""

    name = "CxHxW"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The form for the help."""
        return self.name

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """``28x28`` -> (1, 28, 28)."""
        if isinstance(value, tuple):
            return value
        sizes = _sizes(str(value), 3)
        if not sizes:
            self.fail(
                f"'{value}' is no input; write CxHxW such as 1x28x28, HxW for one channel, or the "
                f"length of a vector, each from 1 to {MAX_MAPS}"
            )
        return (1, *sizes) if len(sizes) == 2 else sizes


class OutputSize(click.ParamType[tuple[int, ...]]):
    """``HxW``, or one number: a square of maps, or the length of a vector."""

    name = "N|HxW"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The form for the help."""
        return self.name

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """``7`` -> (7,), ``7x5`` -> (7, 5)."""
        if isinstance(value, tuple):
            return value
        sizes = _sizes(str(value), 2)
        if not sizes:
            self.fail(
                f"'{value}' is no size; write HxW such as 14x14, or N, each from 1 to {MAX_MAPS}"
            )
        return sizes


def _sizes(text: str, most: int) -> tuple[int, ...]:
    """Numbers between ``x``, or nothing if the text is not that."""
    parts = re.split("[x×,]", text.strip(), flags=re.IGNORECASE)
    if len(parts) > most or not all(re.fullmatch(r"\d{1,7}", part, re.ASCII) for part in parts):
        return ()
    sizes = tuple(map(int, parts))
    return sizes if all(1 <= size <= MAX_MAPS for size in sizes) else ()


class Language(click.ParamType[Any]):
    """A value as specifications write it; commas serve as ``x`` and ``:``.

    Args:
        kind: What it may be.
        metavar: What help shows.
    """

    name = "value"

    def __init__(self, kind: Kind, metavar: str) -> None:
        self.kind, self.metavar = kind, metavar

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The forms for the help."""
        return self.metavar

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Text -> the value of the specification language."""
        if isinstance(value, tuple):
            return value
        text = str(value).strip()
        try:
            return self.kind.read(text.replace(",", ":" if text.count(",") == 3 else "x"))
        except BadValue:
            self.fail(f"'{value}' does not fit; write {self.kind.form}")


class NetworkName(click.ParamType[str]):
    """A built-in network or a specification; completes names and layers."""

    name = "network"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Text as it is."""
        return str(value)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """Names with what they are; files after ``@``."""
        if incomplete.startswith("@"):
            return [CompletionItem(incomplete, type="file")]
        from cnntool.jobs.networks import complete

        # the last word of a pipeline
        before, blank, word = incomplete.rpartition(" ")
        return [CompletionItem(before + blank + name, help=text) for name, text in complete(word)]


class TrainedName(NetworkName):
    """What can be trained: also the model that is no network."""

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """Networks, layers, and that model."""
        found = super().shell_complete(ctx, param, incomplete)
        if HOG.startswith(incomplete):
            found.append(CompletionItem(HOG, help="logistic regression on HOG features"))
        return found
