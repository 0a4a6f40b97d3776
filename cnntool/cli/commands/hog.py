"""``cnntool hog``."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.features import run_features
from cnntool.cli.options import RunOptions, option, picture_options, table_options
from cnntool.cli.types import Numbers, Size
from cnntool.filters.words import HOG_NORMS


@click.command(
    cls=Command,
    short_help="Extract HOG features: one row per picture.",
    examples="""
    cnntool hog photos/ -r --size 128x64 > features.tsv
    cnntool hog *.png --size 64x64 -o features.npz       features (n, d) and paths (n,)
    cnntool hog photo.jpg --visualize hog.png            the histograms as a picture
    cnntool hog --dry-run --size 128x64                  the length of a row
    """,
)
@option("--orientations", type=click.IntRange(1, 360), default=9, help="Bins of a histogram.")
@option("--cell", type=Numbers("N|H,W", low=1), default="8", help="Size of a cell in pixels.")
@option("--block", type=Numbers("N|H,W", low=1), default="3", help="Size of a block in cells.")
@option("--norm", type=click.Choice(HOG_NORMS), default="l2-hys", help="Normalisation of a block.")
@option("--signed", is_flag=True, help="Directions over 360° instead of 180°.")
@option("--sqrt", is_flag=True, help="Take the square root of the samples first.")
@option("--size", type=Size(), metavar="HxW", help="Stretch every picture to this size first.")
@option("--gray", is_flag=True, help="Turn colour to grey first.")
@option(
    "--visualize",
    metavar="OUT",
    type=click.Path(),
    help="Draw the histograms: a file for one input, a folder for several.",
)
@option("--dry-run", is_flag=True, help="Print the length of a row and stop.")
@table_options("tsv")
@picture_options(outputs=False, device=None)
def command(
    run: RunOptions,
    form: str,
    cell: tuple[int, ...],
    block: tuple[int, ...],
    visualize: str | None,
    dry_run: bool,
    **options: Any,
) -> None:
    """Extract HOG features: one row per picture.

    Histograms of oriented gradients (Dalal and Triggs 2005) as scikit-image defines them; colour
    pictures use the channel with the steepest gradient, opacity is left out. The path comes first
    in each row; -o with the suffix .npy or .npz writes arrays. All rows have one length: a picture
    that gives another one fails, --size makes them equal.
    """
    chosen = options | {"cell": _two(cell), "block": _two(block)}

    def make(**shared: Any) -> Any:
        from cnntool.jobs.features import HogJob

        return HogJob(**chosen, **shared)

    run_features(run, make, form, visualize=visualize, dry_run=dry_run)


def _two(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return numbers * 2 if len(numbers) == 1 else numbers
