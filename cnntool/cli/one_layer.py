"""``shape --layer``: the options about one layer, and the question that they ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import click

from cnntool.cli.network_types import Language, OutputSize
from cnntool.cli.options import option
from cnntool.nn.calculator import KINDS, Kind, Question
from cnntool.nn.solver import UNKNOWNS, Unknown
from cnntool.nn.values import MAX_MAPS, Padding, Pair

_WINDOWED = ("conv", "pool", "deconv", "local")
_WEIGHTED = ("conv", "deconv", "dense", "local")

LAYERS_WITH: Mapping[str, tuple[str, ...]] = {
    "kernel": _WINDOWED,
    "stride": _WINDOWED,
    "padding": _WINDOWED,
    "dilation": _WINDOWED,
    "output_padding": ("deconv",),
    "groups": ("conv", "deconv"),
    "filters": _WEIGHTED,
    "ceil_mode": ("pool",),
    "bias": _WEIGHTED,
}
"""What may be said of one layer -> the layers that have it."""

_OPTIONS = (
    option("--layer", type=click.Choice(KINDS), help="Calculate one layer instead of a network."),
    option("--kernel", type=Language(Pair(), "N|HxW"), help="Its window."),
    option(
        "--stride", type=Language(Pair(), "N|HxW"), help="Its steps.  [default: 1; pool: kernel]"
    ),
    option(
        "--padding",
        type=Language(Padding(), "N|HxW|T:R:B:L|same"),
        help="Its padding; four sides are top, right, bottom, left.  [default: 0]",
    ),
    option(
        "--dilation", type=Language(Pair(), "N|HxW"), help="Distance of its taps.  [default: 1]"
    ),
    option(
        "--output-padding",
        type=Language(Pair(0), "N|HxW"),
        help="What deconv adds at the bottom and right.  [default: 0]",
    ),
    option(
        "--groups",
        type=click.IntRange(1, MAX_MAPS),
        metavar="N",
        help="Groups of conv, deconv.  [default: 1]",
    ),
    option(
        "--filters",
        type=click.IntRange(1, MAX_MAPS),
        metavar="N",
        help="Maps, or numbers of dense, that come out.  [default: 1]",
    ),
    option("--ceil", "ceil_mode", is_flag=True, default=None, help="Round sizes of pool up."),
    option("--bias/--no-bias", default=None, help="Whether it adds biases.  [default: bias]"),
    option("--solve", type=click.Choice(UNKNOWNS), help="Find what gives the size of --output."),
    option(
        "--output",
        "wanted",
        type=OutputSize(),
        help="Rows and columns that --solve shall reach, or the numbers of dense.",
    ),
)


def layer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as keyword arguments."""
    for decorate in reversed(_OPTIONS):
        function = decorate(function)
    return function


def _flag(name: str) -> str:
    """A parameter as the user writes it."""
    word = {"ceil_mode": "ceil", "wanted": "output"}.get(name, name)
    return "--" + word.replace("_", "-")


def question(
    shape: tuple[int, ...] | None, about: Mapping[str, Any]
) -> tuple[Question, Unknown | None, tuple[int, int]] | None:
    """What the options ask: the layer, what to find, and the size that is wanted.

    Args:
        shape: Of the input.
        about: Values of the options of :func:`layer_options`.

    Returns:
        None if they ask nothing.

    Raises:
        click.UsageError: One is missing, or does not go with the others.
    """
    given = {name: value for name, value in about.items() if value is not None}
    kind: Kind | None = given.pop("layer", None)
    if kind is None:
        if given:
            raise click.UsageError(f"{_flag(next(iter(given)))} goes with --layer")
        return None
    unknown: Unknown | None = given.pop("solve", None)
    wanted: tuple[int, ...] | None = given.pop("wanted", None)
    for name in given:
        if kind not in LAYERS_WITH[name]:
            raise click.UsageError(f"{_flag(name)} goes with {' or '.join(LAYERS_WITH[name])}")
    if shape is None:
        raise click.UsageError("--layer needs --input, such as --input 28x28")
    if len(shape) == 1 and kind != "dense":
        raise click.UsageError(f"{kind} slides over rows and columns; give --input 28x28, say")
    if kind != "dense" and "kernel" not in given and unknown != "kernel":
        raise click.UsageError(f"{kind} needs --kernel, such as --kernel 3 or 3x5")
    if kind == "dense":
        if unknown is not None:
            raise click.UsageError(f"dense has no {unknown}; --solve goes with a window")
        if wanted is not None and "filters" in given:
            raise click.UsageError("--output and --filters say the same of dense; leave one out")
        if wanted is not None:
            given["filters"] = prod(wanted)
    elif (unknown is None) != (wanted is None):
        raise click.UsageError("--solve and --output go together: what to find, and for which size")
    if unknown in given:
        raise click.UsageError(f"--solve {unknown} finds --{unknown}; leave it out")
    rows, columns = (wanted[0], wanted[-1]) if wanted else (0, 0)
    return (
        Question(kind=kind, input=shape, **given),
        unknown,
        (rows, columns),
    )
