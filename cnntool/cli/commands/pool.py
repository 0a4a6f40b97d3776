"""``cnntool pool``."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, option, picture_options
from cnntool.cli.running import run_pictures
from cnntool.cli.types import Numbers
from cnntool.filters.words import POOL_KINDS, RANGES


@click.command(
    cls=Command,
    short_help="Shrink pictures by max, average and other pooling.",
    examples="""
    cnntool pool photo.jpg --size 2                  photo.max2.jpg, half as large
    cnntool pool photo.jpg --kind avg --size 4 -o small.png
    cnntool pool a.png --indices a.npz -o p.png      keep the places for 'unpool'
    cnntool pool a.png --kind adaptive-avg --size 7,5 -o 7x5.png
    """,
)
@option("--kind", type=click.Choice(POOL_KINDS), default="max", help="What a window becomes.")
@option(
    "--size",
    type=Numbers("N|H,W|D,H,W", (1, 2, 3), low=1),
    default="2",
    help="Window, D across channels; the output's size for adaptive kinds.",
)
@option(
    "--stride",
    type=Numbers("N|H,W|D,H,W", (1, 2, 3), low=1),
    help="Steps, in the forms of --size.  [default: the window]",
)
@option("--padding", type=Numbers("N[,M]"), default="0", help="Rows, columns added on each side.")
@option("--dilation", type=Numbers("N[,M]", low=1), default="1", help="Distance of the taps.")
@option("--ceil", "ceil_mode", is_flag=True, help="Keep windows that run off the far edge.")
@option("--exclude-pad", is_flag=True, help="Leave the padding out of averages.")
@option(
    "--indices",
    metavar="FILE.npz",
    type=click.Path(),
    help="Write where the maxima were, for 'unpool'; one input.",
)
@option(
    "--range",
    "range_",
    type=click.Choice(RANGES),
    default="auto",
    help="How results become 8 or 16 bit; auto: clip.",
)
@option("--gray", is_flag=True, help="Turn colour to grey first.")
@option("--depth", type=click.Choice(("8", "16")), help="Bits of outputs.  [default: the input's]")
@picture_options()
def command(
    run: RunOptions,
    size: tuple[int, ...],
    stride: tuple[int, ...] | None,
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    range_: str,
    indices: str | None,
    depth: str | None,
    **options: Any,
) -> None:
    """Shrink pictures by max, average and other pooling.

    Windows, padding, dilation and ceil follow the rules of torch's pooling layers.
    """
    if indices is not None:
        if options["kind"] != "max":
            raise click.UsageError("--indices goes with --kind max")
        if len(run.paths) != 1 or run.files_from is not None or run.recursive:
            raise click.UsageError("--indices takes exactly one input")
        if run.skip_existing:
            raise click.UsageError(
                "--indices and the picture belong together; use -f, not --skip-existing"
            )
        if not indices.endswith(".npz"):
            raise click.UsageError(f"--indices '{indices}' must end in .npz")

    def make(**shared: Any) -> Any:
        from cnntool.jobs.pool import PoolJob

        return PoolJob(
            size=_two(size),
            stride=None if stride is None else _two(stride),
            padding=_two(padding),
            dilation=_two(dilation),
            range=range_,
            indices=indices or "",
            depth=int(depth or 0),
            **options,
            **shared,
        )

    run_pictures(run, make)


def _two(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """One number stands for both directions."""
    return numbers * 2 if len(numbers) == 1 else numbers
