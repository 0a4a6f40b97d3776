"""``cnntool kernels``."""

from __future__ import annotations

import click

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, common_options, option, table_options
from cnntool.cli.streams import emit, emit_bytes
from cnntool.cli.types import KernelName
from cnntool.files import standard_output, write_whole
from cnntool.images.formats import by_suffix
from cnntool.report.tables import TableWriter

COLUMNS = ("name", "size", "sum", "separable", "summary")


@click.command(
    cls=Command,
    short_help="List the named kernels, or show one.",
    examples="""
    cnntool kernels                        all kernels
    cnntool kernels sobel-x gaussian:1.4   their matrices
    cnntool kernels log:2 --png log.png    a picture of a kernel
    cnntool kernels --json                 everything, for programs
    """,
)
@click.argument("names", metavar="[NAME…]", nargs=-1, type=KernelName())
@option(
    "--png",
    metavar="FILE.png|-",
    type=click.Path(allow_dash=True),
    help="Write a picture of the matrix.",
)
@option("-f", "--force", is_flag=True, help="Overwrite an existing file.")
@table_options("table")
@common_options
def command(run: RunOptions, names: tuple[str, ...], png: str | None, form: str) -> None:
    """List the named kernels, or show one.

    Kernels lie on the picture as they are written, without flipping: sobel-x is positive where
    brightness rises to the right. Any of them, any matrix and any @file serves 'convolve -k'.
    """
    from cnntool.jobs.kernels import kernel_lines, kernel_picture, kernel_rows

    if png is not None:
        if len(names) != 1:
            raise click.UsageError("--png shows one kernel; name it")
        if png == "-":
            emit_bytes(kernel_picture(names[0]))
            return
        if by_suffix(png) != "png":
            raise click.UsageError(f"--png writes PNG; '{png}' does not end in .png")
        write_whole(png, kernel_picture(names[0]), force=run.force)
        emit(png)
        return
    if names and form == "table":
        for line in kernel_lines(names):
            emit(line)
        return
    columns = COLUMNS if form in ("table", "csv", "tsv") else None
    with TableWriter(form, standard_output(), columns) as writer:
        for row in kernel_rows(names, matrices=columns is None):
            writer.row(row)
