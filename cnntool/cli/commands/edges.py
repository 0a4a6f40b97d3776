"""``cnntool edges``."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, option, picture_options
from cnntool.cli.running import run_pictures
from cnntool.cli.types import Finite, FiniteRange
from cnntool.filters.operators import OPERATORS, SHOWS
from cnntool.filters.words import BORDERS, RANGES


@click.command(
    cls=Command,
    short_help="Find edges: gradient magnitude, angle, Canny.",
    examples="""
    cnntool edges photo.jpg                            photo.edges.jpg
    cnntool edges photo.jpg --operator canny --sigma 2 -o lines.png
    cnntool edges photo.jpg --show hsv -o angles.png   direction as colour
    cnntool edges photos/ -r -o edges/                 a tree of pictures, all cores
    """,
)
@option(
    "--operator",
    type=click.Choice(tuple(OPERATORS)),
    default="sobel",
    help="Pair of kernels, eight compass kernels (kirsch, robinson), or canny.",
)
@option(
    "--show",
    type=click.Choice(tuple(SHOWS)),
    default="magnitude",
    help="Strength, one derivative, the direction of rising brightness (0..360° clockwise from "
    "the right as 0..255), or direction as hue and strength as brightness.",
)
@option(
    "--range",
    "range_",
    type=click.Choice(RANGES),
    default="auto",
    help="How results become 8 or 16 bit; auto: abs for x and y, else clip.",
)
@option(
    "--border",
    type=click.Choice(BORDERS),
    metavar="|".join(BORDERS[:6]),
    default="reflect",
    help="What lies around the picture.",
)
@option("--border-value", type=Finite(), default=0.0, help="Value of the border 'constant'.")
@option("--sigma", type=FiniteRange(0), default=1.0, help="Smoothing of canny, in pixels.")
@option(
    "--low",
    type=FiniteRange(0),
    default=0.1,
    help="Lower threshold of canny, share of the full range.",
)
@option(
    "--high",
    type=FiniteRange(0),
    default=0.2,
    help="Upper threshold of canny, share of the full range.",
)
@option("--gray", is_flag=True, help="Turn colour to grey first.")
@option("--depth", type=click.Choice(("8", "16")), help="Bits of outputs.  [default: the input's]")
@picture_options()
def command(run: RunOptions, range_: str, depth: str | None, **options: Any) -> None:
    """Find edges: gradient magnitude, angle, Canny.

    The magnitude is the root of x² + y², per colour channel, cut off at the brightest sample.
    """

    def make(**shared: Any) -> Any:
        from cnntool.jobs.edges import EdgesJob

        return EdgesJob(range=range_, depth=int(depth or 0), **options, **shared)

    run_pictures(run, make)
