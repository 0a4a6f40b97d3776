"""Options that many commands share, each declared once, and the values that they fill.

``@picture_options`` adds what every command over files takes and hands it to the command as one
``run: RunOptions``; ``@table_options`` adds the forms of a table.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import click
from click.core import ParameterSource

from cnntool.cli.command import HEADINGS, Option
from cnntool.cli.config import config_option
from cnntool.errors import OptionError
from cnntool.images.formats import WRITABLE

F = Callable[..., Any]
FILES, RUNNING = HEADINGS[1], HEADINGS[2]


@dataclass(frozen=True)
class RunOptions:
    """What the user asked of inputs, outputs and the run; the options of ``--help``."""

    paths: tuple[str, ...] = ()
    recursive: bool = False
    files_from: str | None = None
    null: bool = False
    root: str | None = None
    output: str | None = None
    name: str | None = None
    format: str | None = None
    quality: int = 90
    force: bool = False
    skip_existing: bool = False
    jobs: int = 0
    on_error: str = "continue"
    report: str | None = None
    limits: str = "normal"
    device: str = "cpu"
    quiet: bool = False
    verbose: int = 0
    progress: bool = True
    debug: bool = False


def option(*names: str, heading: str = HEADINGS[0], **attributes: Any) -> Callable[[F], F]:
    """``click.option`` under a heading."""
    return click.option(*names, cls=Option, heading=heading, **attributes)


INPUTS = (
    click.argument(
        "paths", metavar="IMG…", nargs=-1, type=click.Path(allow_dash=True), required=False
    ),
    option("-r", "--recursive", is_flag=True, heading=FILES, help="Descend into folders."),
    option(
        "--files-from",
        metavar="FILE|-",
        type=click.Path(allow_dash=True),
        heading=FILES,
        help="Read names of files from FILE or standard input, one a line.",
    ),
    option(
        "-0",
        "--null",
        is_flag=True,
        heading=FILES,
        help="Names end with NUL instead of a line feed, in lists read and printed.",
    ),
    option(
        "--root",
        metavar="DIR",
        type=click.Path(),
        heading=FILES,
        help="Keep names of --files-from relative to DIR in an output folder.",
    ),
)
OUTPUTS = (
    option(
        "-o",
        "--output",
        metavar="PATH",
        type=click.Path(allow_dash=True),
        heading=FILES,
        help="File, folder (ends with /), or - for standard output; else beside the input.",
    ),
    option(
        "--name",
        metavar="TEMPLATE",
        heading=FILES,
        help="Names of outputs.  [default: {stem}.{what}{ext}]",
    ),
    option(
        "--format",
        type=click.Choice(WRITABLE),
        heading=FILES,
        help="Format of outputs.  [default: the input's]",
    ),
    option(
        "--quality",
        type=click.IntRange(1, 100),
        default=90,
        heading=FILES,
        help="Quality of JPEG and WebP.",
    ),
    option("-f", "--force", is_flag=True, heading=FILES, help="Overwrite existing files."),
    option(
        "--skip-existing",
        is_flag=True,
        heading=FILES,
        help="Leave inputs alone whose outputs exist.",
    ),
)
TABLE_OUTPUT = (
    option(
        "-o",
        "--output",
        metavar="PATH",
        type=click.Path(allow_dash=True),
        heading=FILES,
        help="Write to this file instead of standard output.",
    ),
    option("-f", "--force", is_flag=True, heading=FILES, help="Overwrite an existing file."),
)
FOLDER_RUN = (
    option(
        "-j",
        "--jobs",
        type=click.IntRange(0),
        default=0,
        heading=RUNNING,
        help="Files at the same time; 0 = all cores. The order of results stays.",
    ),
    option(
        "--on-error",
        type=click.Choice(("continue", "stop")),
        default="continue",
        heading=RUNNING,
        help="What to do after a bad file.",
    ),
    option(
        "--report",
        metavar="FILE.jsonl",
        type=click.Path(),
        heading=RUNNING,
        help="Write one JSON line an input: path, status, outputs, error, seconds.",
    ),
    option(
        "--limits",
        type=click.Choice(("normal", "strict", "off")),
        default="normal",
        heading=RUNNING,
        help="Memory for pictures: a quarter of the RAM, 1 GiB, or no limit.",
    ),
)
DEVICE = option(
    "--device",
    metavar="cpu|gpu|gpu:N|auto",
    default="cpu",
    heading=RUNNING,
    help="Where to compute.",
)
DEVICE_AUTO = option(
    "--device",
    metavar="cpu|gpu|gpu:N|auto",
    default="auto",
    heading=RUNNING,
    help="Where to compute; auto = the first GPU if it works.",
)
COMMON = (
    option("-q", "--quiet", is_flag=True, heading=RUNNING, help="Print errors only."),
    option(
        "-v",
        "--verbose",
        count=True,
        heading=RUNNING,
        show_default=False,
        help="Say more: all notes, how it is computed; -vv: how long each file takes.",
    ),
    option(
        "--progress/--no-progress",
        default=True,
        heading=RUNNING,
        help="Show a bar on a terminal.",
    ),
    option("--debug", is_flag=True, heading=RUNNING, help="Show tracebacks."),
    config_option,
)


def given(parameter: str) -> bool:
    """Whether the user gave a value, on the command line or as a variable."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def refuse(parameters: tuple[str, ...], reason: str) -> None:
    """Refuse options that mean nothing to a model.

    Args:
        parameters: What they are called in the code.
        reason: Why, after the option's name.

    Raises:
        OptionError: One of them was given.
    """
    context = click.get_current_context()
    words = {param.name: param.opts[-1] for param in context.command.params}
    for name in parameters:
        if given(name):
            raise OptionError(f"{words[name]} {reason}")


def _add(decorators: tuple[Callable[[F], F], ...], function: F) -> F:
    names = {field.name for field in fields(RunOptions)}

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        chosen = {name: values.pop(name) for name in list(values) if name in names}
        return function(run=RunOptions(**chosen), **values)

    decorated: F = command
    for decorator in reversed(decorators):
        decorated = decorator(decorated)
    return decorated


def picture_options(
    *, outputs: bool = True, device: Callable[[F], F] | None = DEVICE
) -> Callable[[F], F]:
    """Inputs, outputs (files, or one table file), the folder run, the device, and the rest."""
    chosen = INPUTS + (OUTPUTS if outputs else TABLE_OUTPUT) + FOLDER_RUN
    chosen += ((device,) if device else ()) + COMMON

    def decorate(function: F) -> F:
        return _add(chosen, function)

    return decorate


def common_options(function: F) -> F:
    """-q, -v, --debug, --config: for commands without inputs."""
    return _add(COMMON, function)


TABLE_FORMS = ("table", "csv", "tsv", "json", "jsonl")


def table_options(default: str) -> Callable[[F], F]:
    """``--as``, ``--json``, ``--csv``; the command gets ``form``."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def command(*, as_form: str, as_json: bool, as_csv: bool, **values: Any) -> Any:
            if as_json and as_csv:
                raise click.UsageError("--json and --csv exclude each other")
            form = "json" if as_json else "csv" if as_csv else as_form
            return function(form=form, **values)

        decorated: F = command
        for decorator in (
            option("--csv", "as_csv", is_flag=True, heading=FILES, help="Short for --as csv."),
            option("--json", "as_json", is_flag=True, heading=FILES, help="Short for --as json."),
            option(
                "--as",
                "as_form",
                type=click.Choice(TABLE_FORMS),
                default=default,
                heading=FILES,
                help="Form of the table.",
            ),
        ):
            decorated = decorator(decorated)
        return decorated

    return decorate
