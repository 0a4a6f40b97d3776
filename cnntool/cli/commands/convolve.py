"""``cnntool convolve``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, option, picture_options
from cnntool.cli.running import run_pictures
from cnntool.cli.types import Finite, KernelName, Numbers, PaddingType
from cnntool.filters.words import BORDERS, METHODS, NORMALIZES, RANGES
from cnntool.images.formats import by_suffix


@click.command(
    cls=Command,
    short_help="Filter pictures with named or custom kernels.",
    examples="""
    cnntool convolve photo.jpg -k sobel-x                    photo.sobel-x.jpg
    cnntool convolve photo.jpg -k gaussian:sigma=2 -o soft.png
    cnntool convolve photos/ -r -k sharpen -o sharp/         a tree of pictures, all cores
    cnntool convolve a.png -k "0 1 0; 1 -4 1; 0 1 0" -o -    an inline matrix, to a pipe
    cnntool convolve a.png -k sobel-x -k sobel-y --grid      several kernels in one picture
    cnntool convolve a.png -k sobel-x --trace 10,20          the sum behind one pixel
    """,
)
@option(
    "-k",
    "--kernel",
    "kernels",
    type=KernelName(),
    multiple=True,
    required=True,
    metavar="KERNEL",
    help="Name (sobel-x), name with parameters (gaussian:sigma=1.4), matrix "
    "('0 1 0; -1 2 -1; 0 1 0' or JSON), or @file. Repeatable. See 'cnntool kernels'.",
)
@option("--padding", type=PaddingType(), default="same", help="How much to add around the picture.")
@option(
    "--border",
    type=click.Choice(BORDERS),
    metavar="|".join(BORDERS[:6]),
    default="reflect",
    help="What the padding holds. Row 1 2 3 4: reflect 3 2|1 2 3 4|3 2, symmetric 2 1|…|4 3, "
    "edge 1 1|…|4 4, wrap 3 4|…|1 2, constant 0 0|…|0 0, max: the largest value.",
)
@option("--border-value", type=Finite(), default=0.0, help="Value of the border 'constant'.")
@option("--stride", type=Numbers("N[,M]", low=1), default="1", help="Step down, across.")
@option("--dilation", type=Numbers("N[,M]", low=1), default="1", help="Distance of the elements.")
@option("--flip", is_flag=True, help="Turn the kernel by 180°: true convolution.")
@option(
    "--normalize",
    type=click.Choice(NORMALIZES),
    default="none",
    help="Divide the kernel by its sum, or by the sum of its absolute values.",
)
@option("--scale", type=Finite(), default=1.0, help="Multiply results.")
@option("--offset", type=Finite(), default=0.0, help="Add to results.")
@option(
    "--range",
    "range_",
    type=click.Choice(RANGES),
    default="auto",
    help="How results become 8 or 16 bit. auto: abs where the kernel sums to 0, else clip; "
    "offset: add half the range; rescale: smallest..largest; raw: floats only.",
)
@option("--linear", is_flag=True, help="Filter in linear light (undo the sRGB curve).")
@option("--gray", is_flag=True, help="Turn colour to grey first.")
@option("--depth", type=click.Choice(("8", "16")), help="Bits of outputs.  [default: the input's]")
@option("--method", type=click.Choice(METHODS), default="auto", help="How to compute; all agree.")
@option("--stack", is_flag=True, help="All kernels' results in one .npy (K, H, W[, C]).")
@option("--grid", is_flag=True, help="All kernels' results in one labelled picture.")
@option(
    "--trace",
    type=Numbers("R,C", (2,)),
    multiple=True,
    help="Print the sum behind output pixel R,C; no picture is written without -o.",
)
@option("--values", is_flag=True, help="Print the matrices; no picture is written without -o.")
@picture_options()
def command(
    run: RunOptions,
    kernels: tuple[str, ...],
    range_: str,
    gray: bool,
    depth: str | None,
    stack: bool,
    grid: bool,
    trace: tuple[tuple[int, int], ...],
    values: bool,
    **options: Any,
) -> None:
    """Filter pictures with named or custom kernels.

    Kernels lie on the picture as they are written, without flipping, as in convolutional networks.
    """
    if stack and grid:
        raise click.UsageError("--stack and --grid exclude each other")
    if trace or values:
        if run.output == "-":
            raise click.UsageError("-o - leaves no room on standard output for --trace or --values")
        if trace and options["linear"]:
            raise click.UsageError("--trace shows sums of stored values; leave out --linear")
    from cnntool.filters.kernel_text import parse_kernel, what_names

    chosen = tuple(parse_kernel(text) for text in kernels)
    words = tuple(what_names(kernels))

    def make(**shared: Any) -> Any:
        from cnntool.filters.convolve import Convolution
        from cnntool.jobs.convolve import ConvolveJob

        return ConvolveJob(
            kernels=chosen,
            words=words,
            options=Convolution(**options),
            range=range_,
            gray=gray,
            depth=int(depth or 0),
            stack=stack,
            grid=grid,
            trace=trace,
            values=values,
            write=writes,
            **shared,
        )

    writes = run.output is not None or not (trace or values)
    if stack:
        run = replace(run, format=_stack_format(run))
    files = tuple(text.strip()[1:] for text in kernels if text.strip().startswith("@"))
    run_pictures(run, make, writes=writes, protected=files)


def _stack_format(run: RunOptions) -> str:
    """A stack is an array, in whatever file it goes."""
    suffix = by_suffix(run.output or "")
    folder = (run.output or "").endswith("/")
    if run.format not in (None, "npy") or (suffix not in (None, "npy") and not folder):
        raise click.UsageError("--stack needs .npy; use -o NAME.npy or --format npy")
    return "npy"
