"""``cnntool flatten``."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.features import run_features
from cnntool.cli.options import RunOptions, option, picture_options, table_options
from cnntool.cli.types import Size


@click.command(
    cls=Command,
    short_help="Write pixels as rows, in the order of a network's flatten.",
    examples="""
    cnntool flatten digits/ -r --size 28x28 --gray --unit -o digits.npz
    cnntool flatten small.png --csv
    """,
)
@option("--size", type=Size(), metavar="HxW", help="Stretch every picture to this size first.")
@option("--gray", is_flag=True, help="Turn colour to grey first.")
@option("--unit", is_flag=True, help="Divide by the full range: samples 0..1.")
@table_options("tsv")
@picture_options(outputs=False, device=None)
def command(run: RunOptions, form: str, **options: Any) -> None:
    """Write pixels as rows, in the order of a network's flatten.

    Channel after channel, row after row: what a fully connected layer sees of a picture. Opacity is
    left out. The path comes first in each row; -o with the suffix .npy or .npz writes arrays. All
    rows have one length: --size and --gray make them equal.
    """

    def make(**shared: Any) -> Any:
        from cnntool.jobs.features import FlattenJob

        return FlattenJob(**options, **shared)

    run_features(run, make, form)
