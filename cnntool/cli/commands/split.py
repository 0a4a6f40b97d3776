"""``cnntool split``."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, option, picture_options
from cnntool.cli.running import run_pictures
from cnntool.cli.types import Numbers
from cnntool.filters.words import SPACES


@click.command(
    cls=Command,
    short_help="Split pictures into one grey picture per channel.",
    examples="""
    cnntool split photo.jpg                        photo.R.jpg photo.G.jpg photo.B.jpg
    cnntool split photo.jpg --space hsv --channels H,V --format png
    cnntool split small.png --values               the matrices, as text
    cnntool split photo.jpg --values --crop 100,200,8,8
    """,
)
@option("--space", type=click.Choice(SPACES), default="rgb", help="Colour space.")
@option("--channels", metavar="R,G", help="Only these channels.  [default: all]")
@option("--values", is_flag=True, help="Print the matrices; no picture is written without -o.")
@option(
    "--crop",
    type=Numbers("T,L,H,W", (4,)),
    help="Print only this part: top, left, height, width.",
)
@option("--depth", type=click.Choice(("8", "16")), help="Bits of outputs.  [default: the input's]")
@picture_options(device=None)
def command(
    run: RunOptions,
    space: str,
    channels: str | None,
    values: bool,
    crop: tuple[int, int, int, int] | None,
    depth: str | None,
) -> None:
    """Split pictures into one grey picture per channel."""
    if crop is not None and not values:
        raise click.UsageError("--crop goes with --values")
    if values and run.output == "-":
        raise click.UsageError("-o - leaves no room on standard output for --values")
    wanted = tuple(name.strip() for name in (channels or "").split(",") if name.strip())
    writes = run.output is not None or not values

    def make(**shared: Any) -> Any:
        from cnntool.jobs.channels import SplitJob, check_names

        return SplitJob(
            space=space,
            channels=check_names(space, wanted),
            values=values,
            crop=crop,
            depth=int(depth or 0),
            write=writes,
            **shared,
        )

    run_pictures(run, make, writes=writes)
