"""``cnntool unpool``."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, option, picture_options
from cnntool.cli.running import run_pictures


@click.command(
    cls=Command,
    short_help="Put max-pooled values back where they came from.",
    examples="""
    cnntool pool a.png --indices a.npz -o small.png
    cnntool unpool small.png --indices a.npz -o sparse.png   maxima in place, zeros elsewhere
    """,
)
@option(
    "--indices",
    metavar="FILE.npz",
    type=click.Path(),
    required=True,
    help="What 'pool --indices' wrote.",
)
@option("--depth", type=click.Choice(("8", "16")), help="Bits of outputs.  [default: the input's]")
@picture_options()
def command(run: RunOptions, indices: str, depth: str | None) -> None:
    """Put max-pooled values back where they came from."""

    def make(**shared: Any) -> Any:
        from cnntool.jobs.pool import UnpoolJob

        return UnpoolJob(indices=indices, depth=int(depth or 0), **shared)

    run_pictures(run, make, protected=(indices,))
