"""``cnntool merge``."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, option, picture_options
from cnntool.cli.running import run_one
from cnntool.filters.words import SPACES


@click.command(
    cls=Command,
    short_help="Merge channel pictures into one colour picture.",
    examples="""
    cnntool merge photo.R.png photo.G.png photo.B.png -o photo.png
    cnntool merge photo.H.png photo.S.png photo.V.png --space hsv -o photo.png
    """,
)
@option("--space", type=click.Choice(SPACES), default="rgb", help="Colour space of the channels.")
@option("--depth", type=click.Choice(("8", "16")), help="Bits of the output.")
@picture_options(device=None)
def command(run: RunOptions, space: str, depth: str | None) -> None:
    """Merge channel pictures into one colour picture.

    The inverse of split, bit for bit in RGB. One file a channel, opacity last.
    """
    if run.output is None:
        raise click.UsageError("merge needs -o OUT")

    def make(*, paths: tuple[str, ...], **shared: Any) -> Any:
        from cnntool.jobs.channels import MergeJob, check_count

        check_count(space, len(paths))
        return MergeJob(space=space, paths=paths, depth=int(depth or 0), **shared)

    run_one(run, make)
