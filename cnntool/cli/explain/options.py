"""What the commands below ``explain`` share: layers and classes by name, channels, the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from cnntool.cli.model_types import ClassLabel, LayerName
from cnntool.cli.options import F, RunOptions, option
from cnntool.cli.streams import warn
from cnntool.cli.types import NumberRanges
from cnntool.errors import OptionError

if TYPE_CHECKING:
    from cnntool.explain.subject import Subject

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
SEED = option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, metavar="N", help="Of chance."
)


def layer_option(*more: str, help: str) -> Callable[[F], F]:
    """``--layer``."""
    return option("--layer", type=LayerName(*more), help=help)


def opened(run: RunOptions, path: str, *, segments: bool = False) -> Subject:
    """The model, opened; -v tells of it."""
    from cnntool.explain.subject import Subject
    from cnntool.predict.model import TrainedModel

    tasks = ("classify", "segment") if segments else ("classify",)
    model = TrainedModel.load(path, device=run.device, tasks=tasks)
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
