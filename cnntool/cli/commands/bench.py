"""``cnntool bench``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from cnntool.cli.command import Command
from cnntool.cli.network_types import InputShape, NetworkName
from cnntool.cli.options import (
    DEVICE_AUTO,
    RUNNING,
    RunOptions,
    common_options,
    option,
    table_options,
)
from cnntool.cli.streams import emit, warn
from cnntool.files import standard_output
from cnntool.nn.values import MAX_MAPS
from cnntool.report.tables import Row, TableWriter, json_text

if TYPE_CHECKING:
    from cnntool.jobs.bench import Subject
    from cnntool.jobs.bench_report import Report

DEFAULT_INPUT = (1, 28, 28)


@click.command(
    cls=Command,
    short_help="Measure images per second of training, prediction and filters here.",
    examples="""
    cnntool bench                                   LeNet-5: training and prediction
    cnntool bench --model resnet18 --threads 1      a built-in network, one core
    cnntool bench --model "conv 32 3 | relu | flatten | dense 10" --input 3x32x32
    cnntool bench --filter --device gpu --json      filters too, on a GPU, for programs
    """,
)
@option(
    "--model",
    metavar="NAME|SPEC|@FILE|-",
    type=NetworkName(),
    default="lenet5",
    help="The network: a built-in one, a specification, or a file with one.",
)
@option(
    "--input",
    "input_",
    type=InputShape(),
    help="Shape of one input.  [default: the network's own, else 1x28x28]",
)
@option(
    "--classes",
    type=click.IntRange(1, MAX_MAPS),
    metavar="N",
    help="Classes of a built-in network.  [default: its own]",
)
@option(
    "--batch-size",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="Inputs at a time.  [default: 128, fewer for large networks]",
)
@option("--filter", "filter_", is_flag=True, help="Measure filters on a UHD picture as well.")
@option(
    "--seconds",
    type=click.FloatRange(0, 600, min_open=True),
    default=2.0,
    metavar="S",
    help="How long each part is repeated.",
)
@option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    metavar="N",
    help="Of weights and inputs.",
)
@table_options("table")
@option(
    "--threads",
    type=click.IntRange(0, 1024),
    default=0,
    metavar="N",
    heading=RUNNING,
    help="Threads that share a batch or picture; 0 = all cores.",
)
@DEVICE_AUTO
@common_options
def command(
    run: RunOptions,
    model: str,
    input_: tuple[int, ...] | None,
    classes: int | None,
    batch_size: int | None,
    filter_: bool,
    seconds: float,
    seed: int,
    threads: int,
    form: str,
) -> None:
    """Measure images per second of training, prediction and filters here.

    Each part is repeated for some seconds. Rates are those of the best time, which other programs
    disturb least; the median stands beside it. Training is a step of SGD with momentum on random
    images: outputs, loss, gradients, update. GFLOP/s count 2 operations a MAC for prediction and 6
    for training. --filter adds a Sobel filter, a 5x5 Gaussian and a 7x7 kernel without structure on
    a colour picture of 3840x2160.

    A network whose output is no vector of classes is measured in prediction alone.
    """
    what = _subject(run, model, input_, classes, batch_size)

    from cnntool import backend
    from cnntool.jobs.bench import Bench
    from cnntool.jobs.bench_report import Report
    from cnntool.machine import cores

    device = backend.get(run.device)
    if run.verbose and device.note:
        warn(f"measured on the CPU: {device.note}")
    count = 1 if device.is_gpu else threads or cores()
    with _Progress(shown=run.progress and not run.quiet) as say:
        bench = Bench(device, count, seconds, seed, say)
        speed = bench.network(what)
        report = Report(device, count, speed, bench.filters() if filter_ else ())
    _show(report, form)
    if not run.quiet:
        for note in report.notes():
            warn(note)


def _subject(
    run: RunOptions,
    model: str,
    shape: tuple[int, ...] | None,
    classes: int | None,
    batch: int | None,
) -> Subject:
    """The network with its batch, its shapes checked."""
    from cnntool.jobs.networks import network

    spec = network(model, classes)
    shape = shape or spec.input
    if shape is None:
        shape = DEFAULT_INPUT
        if not run.quiet:
            warn("an input of 1x28x28 is taken; --input CxHxW gives another")
    from cnntool.jobs.bench import subject

    found = subject(spec, shape, batch)
    if found.untrainable and not run.quiet:
        warn(f"{found.untrainable}: prediction alone is measured")
    return found


class _Progress:
    """One word on a terminal's standard error for what is going on, wiped off in the end."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown and sys.stderr is not None and sys.stderr.isatty()
        self._width = 0

    def __enter__(self) -> Callable[[str], None]:
        return self._say

    def __exit__(self, *error: object) -> None:
        self._say("")

    def _say(self, word: str) -> None:
        if self._shown:
            text = f"measuring {word} …" if word else ""
            wiped = "\r" + " " * self._width + "\r" if self._width else ""
            print(wiped + text, end="", file=sys.stderr, flush=True)
            self._width = len(text)


def _show(report: Report, form: str) -> None:
    from cnntool.jobs import bench_report as names

    if form == "json":
        emit(json_text(report.as_json()))
    elif form != "table":
        _table(form, report.rows(), names.COLUMNS)
    else:
        _table(form, report.network_rows(), names.NETWORK_COLUMNS)
        if report.filters:
            emit("")
            _table(form, report.filter_rows(), names.FILTER_COLUMNS)
        for line in ("", *report.lines()):
            emit(line)


def _table(form: str, rows: Iterable[Row], columns: tuple[str, ...]) -> None:
    with TableWriter(form, standard_output(), columns) as writer:
        for row in rows:
            writer.row(row)
