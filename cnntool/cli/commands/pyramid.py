"""``cnntool pyramid``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, given, option, picture_options
from cnntool.cli.running import run_one, run_pictures
from cnntool.filters.words import PYRAMIDS, RANGES
from cnntool.images.formats import by_suffix


@click.command(
    cls=Command,
    short_help="Build Gaussian and Laplacian pyramids, and collapse them.",
    examples="""
    cnntool pyramid photo.jpg --levels 4                  photo.l0.jpg … photo.l3.jpg
    cnntool pyramid photo.png --kind laplacian -o levels/ levels/photo.l0.npy …
    cnntool pyramid levels/photo.l*.npy --collapse -o back.png
    """,
)
@option("--kind", type=click.Choice(PYRAMIDS), default="gaussian", help="Pictures, or differences.")
@option(
    "--levels",
    type=click.IntRange(1, 30),
    default=4,
    help="Number of levels, the picture's own included.",
)
@option("--collapse", is_flag=True, help="Put Laplacian levels together to the picture.")
@option(
    "--range",
    "range_",
    type=click.Choice(RANGES),
    default="auto",
    help="How Laplacian levels become 8 or 16 bit where --format asks for it.",
)
@option("--gray", is_flag=True, help="Turn colour to grey first.")
@option("--depth", type=click.Choice(("8", "16")), help="Bits of outputs.  [default: the input's]")
@picture_options()
def command(
    run: RunOptions,
    kind: str,
    levels: int,
    collapse: bool,
    range_: str,
    gray: bool,
    depth: str | None,
) -> None:
    """Build Gaussian and Laplacian pyramids, and collapse them.

    Each level is the one before blurred by 1 4 6 4 1 and halved. Laplacian levels hold what is
    lost on the way as floats (.npy), so that collapsing them gives the picture back exactly.
    """
    if collapse:
        useless = [f"--{word}" for word in ("kind", "levels", "gray") if given(word)]
        if useless:
            raise click.UsageError(f"--collapse takes levels as they are; leave out {useless[0]}")

        def make_one(**shared: Any) -> Any:
            from cnntool.jobs.pyramid import CollapseJob

            return CollapseJob(range=range_, depth=int(depth or 0), **shared)

        run_one(run, make_one)
        return

    def make(**shared: Any) -> Any:
        from cnntool.jobs.pyramid import PyramidJob

        return PyramidJob(
            kind=kind, count=levels, range=range_, gray=gray, depth=int(depth or 0), **shared
        )

    if kind == "laplacian" and run.format is None and by_suffix(run.name or "") is None:
        run = replace(run, format="npy")
    run_pictures(run, make)
