"""What the commands below ``explain`` share: layers and classes by name, channels, the device."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from cnntool.cli.options import FILES, RUNNING, F, RunOptions, option
from cnntool.cli.running import emit_path
from cnntool.cli.streams import emit_bytes, warn
from cnntool.errors import CnntoolError, OptionError
from cnntool.files import quote, write_whole
from cnntool.folder.inputs import Inputs
from cnntool.folder.outputs import check_result_file
from cnntool.images.formats import FORMATS, WRITABLE, by_suffix

if TYPE_CHECKING:
    from cnntool.explain.subject import Subject

_MOST_NUMBERS = 65_536


def _saved(context: click.Context) -> Any:
    """The model in the file that stands on the command line so far; None if it is none."""
    path = context.params.get("model") or next(iter(context.args), None)
    if not path:
        return None
    from cnntool.nn.modelfile import MAX_BYTES, decode_model
    from cnntool.nn.tensor_file import read_bytes
    from cnntool.predict.model import find_model

    try:
        file = find_model(path)
        return decode_model(read_bytes(file, limit=MAX_BYTES), where=quote(file))
    except CnntoolError:  # nobody wants an error while typing
        return None


class LayerName(click.ParamType):  # type: ignore[type-arg]  # generic only in new versions of click
    """The name of a layer; completes those of the model that is typed already.

    Args:
        more: Other words that are taken.
    """

    name = "layer"

    def __init__(self, *more: str) -> None:
        self.more = more

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The forms for the help."""
        return "|".join(("NAME", *self.more))

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """Layers with their output's shape."""
        saved = _saved(ctx)
        rows = saved.trace().rows if saved is not None else ()
        names = {row.name: f"{row.spec}, gives {'x'.join(map(str, row.output))}" for row in rows}
        names |= dict.fromkeys(self.more, "each of them")
        return [
            CompletionItem(name, help=text)
            for name, text in names.items()
            if name.startswith(incomplete)
        ]


class ClassLabel(click.ParamType):  # type: ignore[type-arg]
    """The label of a class; completes those of the model that is typed already.

    Args:
        more: Other words that are taken.
    """

    name = "label"

    def __init__(self, *more: str) -> None:
        self.more = more

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The forms for the help."""
        return "|".join(("LABEL", *self.more))

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """Classes in their order."""
        saved = _saved(ctx)
        labels: tuple[str, ...] = ()
        if saved is not None:
            outputs = saved.trace().output[0]
            labels = saved.classes or tuple(map(str, range(max(2, outputs))))
            if len(labels) == 1:
                labels = (f"not {labels[0]}", labels[0])
        return [
            CompletionItem(label) for label in (*labels, *self.more) if label.startswith(incomplete)
        ]


class NumberRanges(click.ParamType):  # type: ignore[type-arg]
    """Numbers and ranges: ``3``, ``0-7``, ``0-7,12``.

    Args:
        what: What is numbered.
    """

    name = "numbers"

    def __init__(self, what: str) -> None:
        self.what = what

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The form for the help."""
        return "N-M,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """``0-2,5`` -> (0, 1, 2, 5)."""
        if isinstance(value, tuple | list):
            return tuple(value)
        numbers: dict[int, None] = {}
        for part in str(value).split(","):
            match = re.fullmatch(r"\s*(\d{1,7})\s*(?:-\s*(\d{1,7})\s*)?", part, re.ASCII)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if last < first:
                self.fail(f"'{value}' does not name {self.what}; write numbers and ranges: 0-7,12")
            if len(numbers) + last - first >= _MOST_NUMBERS:
                self.fail(f"'{value}' are more than {_MOST_NUMBERS} {self.what}")
            numbers |= dict.fromkeys(range(first, last + 1))
        return tuple(numbers)


MODEL = click.argument("model", metavar="MODEL", type=click.Path())

CLASS = option(
    "--class",
    "label",
    type=ClassLabel(),
    help="Whose score to explain.  [default: the class that the picture is taken for]",
)
INVERT = option("--invert", is_flag=True, help="Take the negative of every picture.")
CHANNELS = option(
    "--channels", type=NumberRanges("channels"), help="Only these maps or filters.  [default: all]"
)
DEVICE = option(
    "--device",
    metavar="cpu|gpu|gpu:N|auto",
    default="auto",
    heading=RUNNING,
    help="Where to compute; auto = the first GPU if it works.",
)
SEED = option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, metavar="N", help="Of chance."
)


def layer_option(*more: str, help: str) -> Callable[[F], F]:
    """``--layer``."""
    return option("--layer", type=LayerName(*more), help=help)


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


def opened(run: RunOptions, path: str, *, segments: bool = False) -> Subject:
    """The model, opened; -v tells of it."""
    from cnntool.explain.subject import Subject
    from cnntool.predict.model import TrainedModel

    tasks = ("classify", "segment") if segments else ("classify",)
    model = TrainedModel.load(path, device=run.device, task=tasks)
    if run.verbose:
        warn(f"model: {model}" + (f" ({model.device.note})" if model.device.note else ""))
    return Subject.of(model)


def asked_layer(subject: Subject, name: str | None, *more: str) -> str:
    """The layer of ``--layer``; ``more`` are words that stand for several.

    Raises:
        OptionError: None was named.
        NameNotFound: There is no such layer.
    """
    if name is None:
        from cnntool.errors import enumerated

        names = enumerated(list(subject.network.rows))
        words = f", or {' or '.join(more)}" if more else ""
        raise OptionError(f"which layer? --layer takes {names}{words}")
    return name if name in more else subject.layer(name).name


def claimed_format(run: RunOptions, path: str | None, model: str) -> str:
    """The format of the one result, once it is sure that it can be written.

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
        suffixes = ", ".join(FORMATS[name].suffixes[0] for name in WRITABLE)
        raise OptionError(f"{quote(path)}: no picture has this suffix; use {suffixes}, or --format")
    check_result_file(path, Inputs(protected=(model,)), force=run.force)
    return format


def write_result(run: RunOptions, path: str, data: bytes, *, told: bool = True) -> None:
    """Write the one result whole; its name is printed, unless a table is printed instead."""
    if path == "-":
        emit_bytes(data)
        return
    write_whole(path, data, force=run.force)
    if told:
        emit_path(run, path)
