"""Commands that write one result: where it goes, its format, and writing it."""

from __future__ import annotations

from collections.abc import Callable

import click

from cnntool.cli.options import FILES, F, RunOptions, option
from cnntool.cli.running import emit_path
from cnntool.cli.streams import emit_bytes
from cnntool.errors import OptionError
from cnntool.files import quote, write_whole
from cnntool.folder.inputs import Inputs
from cnntool.folder.outputs import check_result_file
from cnntool.images.formats import FORMATS, WRITABLE, by_suffix


def result_options(help: str) -> Callable[[F], F]:
    """``-o``, ``-f``, ``--format`` and ``--quality`` of commands that write one result."""

    def decorate(function: F) -> F:
        for decorator in (
            option("-f", "--force", is_flag=True, heading=FILES, help="Overwrite existing files."),
            option(
                "--quality",
                type=click.IntRange(1, 100),
                default=90,
                heading=FILES,
                help="Quality of JPEG and WebP.",
            ),
            option(
                "--format",
                type=click.Choice(WRITABLE),
                heading=FILES,
                help="Format of the result.  [default: by its suffix, else PNG]",
            ),
            option(
                "-o",
                "--output",
                metavar="OUT",
                type=click.Path(allow_dash=True),
                heading=FILES,
                help=help,
            ),
        ):
            function = decorator(function)
        return function

    return decorate


def claimed_format(run: RunOptions, path: str | None, model: str, also: str = "") -> str:
    """The format of the one result, once it is sure that it can be written.

    Args:
        run: What was asked for.
        path: Where it goes.
        model: The model file, which is never overwritten.
        also: A suffix that the command takes besides.

    Raises:
        OptionError: No place was named, it exists, is the model, or its suffix is unknown.
        SystemFailure: Its folder does not take files.
    """
    if not path:
        raise OptionError("where to? -o OUT.png writes a picture, -o OUT.npy the numbers")
    if path == "-":
        return run.format or "png"
    format = run.format or by_suffix(path)
    if format is None or not FORMATS[format].writes:
        suffixes = ", ".join([*(FORMATS[name].suffixes[0] for name in WRITABLE), *also.split()])
        raise OptionError(f"{quote(path)}: no picture has this suffix; use {suffixes}, or --format")
    claim(run, path, model)
    return format


def claim(run: RunOptions, path: str, model: str) -> None:
    """Make sure that the one result can be written.

    Raises:
        OptionError: It exists, or is the model.
        SystemFailure: Its folder does not take files.
    """
    check_result_file(path, Inputs(protected=(model,)), force=run.force)


def write_result(run: RunOptions, path: str, data: bytes, *, told: bool = True) -> None:
    """Write the one result whole; its name is printed, unless a table is printed instead."""
    if path == "-":
        emit_bytes(data)
        return
    write_whole(path, data, force=run.force)
    if told:
        emit_path(run, path)
