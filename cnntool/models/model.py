"""One built-in network: what the table says of it, and how its text is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cnntool.nn.facts import Shape


@dataclass(frozen=True)
class Model:
    """A network that has a name.

    Attributes:
        name: How it is called.
        summary: What it is, one line.
        paper: Where it comes from, one line; empty if it is our own.
        input: Shape of the input that it is made for.
        classes: How many classes it tells apart, of pictures or of pixels.
        build: The specification for a number of classes.
    """

    name: str
    summary: str
    paper: str
    input: Shape
    classes: int
    build: Callable[[int], str]
