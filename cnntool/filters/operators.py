"""The table of edge operators and of what can be shown of them; needs no NumPy.

Lists, completion and the checks of options read it, so it must be at hand at once. What an operator
computes is in :mod:`cnntool.filters.edges`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cnntool.errors import NameNotFound, OptionError

__all__ = ["OPERATORS", "SHOWS", "SIGNED", "Operator", "check"]

_COMPASS = ("e", "se", "s", "sw", "w", "nw", "n", "ne")


@dataclass(frozen=True)
class Operator:
    """One way to find edges.

    Attributes:
        name: What ``--operator`` takes.
        summary: What it does, one line.
        kind: ``pair`` has two kernels at right angles, ``compass`` one for each of eight
            directions, ``lines`` marks thin lines.
        kernels: Names of its kernels: x and y of a pair, a compass clockwise from east.
    """

    name: str
    summary: str
    kind: Literal["pair", "compass", "lines"]
    kernels: tuple[str, ...] = ()


def _pair(name: str, summary: str) -> Operator:
    return Operator(name, summary, "pair", (f"{name}-x", f"{name}-y"))


def _compass(name: str, summary: str) -> Operator:
    return Operator(name, summary, "compass", tuple(f"{name}-{point}" for point in _COMPASS))


OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        _pair("sobel", "gradient with some smoothing, 3×3"),
        _pair("scharr", "gradient nearly alike in all directions, 3×3, four times Sobel's size"),
        _pair("prewitt", "gradient with plain averaging, 3×3"),
        Operator(
            "roberts", "gradient from two diagonal differences, 2×2", "pair",
            ("roberts-pos", "roberts-neg"),
        ),
        _compass("kirsch", "largest of eight strong edge kernels, 3×3"),
        _compass("robinson", "largest of eight turned Sobel kernels, 3×3"),
        _pair("freichen", "gradient weighted by distance, 3×3"),
        Operator("canny", "thin lines: ridges of the smoothed gradient, linked", "lines"),
    )
}  # fmt: skip
"""All operators by name, in the order of lists."""

SHOWS: dict[str, str] = {
    "magnitude": "how strong the edge is: √(x² + y²), or the largest of a compass",
    "x": "brightness rising to the right is positive (roberts: to the upper left)",
    "y": "brightness rising downwards is positive (roberts: to the upper right)",
    "angle": "where brightness rises to: 0..360° as 0..255, 0 right, 90° down, 180° left",
    "hsv": "colour picture: the angle as hue, the magnitude as brightness",
}
"""What ``--show`` takes, and what it means."""

SIGNED = frozenset({"x", "y"})
"""The shows whose values scatter about 0, as a zero-sum kernel's do."""


def check(operator: str, show: str = "magnitude") -> Operator:
    """The operator of that name, if it can show that.

    Raises:
        NameNotFound: No such operator or show.
        OptionError: Canny's lines have a magnitude only.

    Example:
        >>> check("sobel", "angle").kernels
        ('sobel-x', 'sobel-y')
    """
    if operator not in OPERATORS:
        raise NameNotFound.among("edge operator", operator, OPERATORS, "cnntool edges --help")
    if show not in SHOWS:
        raise NameNotFound.among("show", show, SHOWS, "cnntool edges --help")
    if OPERATORS[operator].kind == "lines" and show != "magnitude":
        raise OptionError(
            f"operator '{operator}' marks lines and has no '{show}' to show; "
            "take --show magnitude, or another operator"
        )
    return OPERATORS[operator]
