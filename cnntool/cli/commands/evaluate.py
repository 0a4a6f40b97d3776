"""``cnntool evaluate``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli.command import Command
from cnntool.cli.options import (
    DEVICE_AUTO,
    FILES,
    RUNNING,
    RunOptions,
    common_options,
    option,
    table_options,
)
from cnntool.cli.progress import follow
from cnntool.cli.streams import emit, warn
from cnntool.errors import NameNotFound
from cnntool.files import standard_output
from cnntool.folder.inputs import Inputs
from cnntool.folder.outputs import check_result_file
from cnntool.machine import cores
from cnntool.predict.words import PIXEL_MEASURES, check_measure, check_pixel_measure
from cnntool.report.tables import Row, TableWriter, json_text

if TYPE_CHECKING:
    from cnntool.predict.evaluation import Evaluation
    from cnntool.predict.pixel_evaluation import PixelEvaluation


class Gate(click.ParamType[tuple[str, float]]):
    """``NAME=SHARE``: the least that a number must be."""

    name = "NAME=SHARE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, float]:
        """``accuracy=0.97`` -> ("accuracy", 0.97)."""
        if isinstance(value, tuple):
            return value
        name, equals, text = (part.strip() for part in str(value).partition("="))
        if name not in PIXEL_MEASURES:
            try:
                check_measure(name)
            except NameNotFound as error:
                self.fail(error.message)
        try:
            share = float(text)
        except ValueError:
            share = math.nan
        if not equals or not 0 <= share <= 1:
            self.fail(f"'{value}' is no gate; write NAME=SHARE, 0 to 1, such as {name}=0.97")
        return name, share


@click.command(
    cls=Command,
    short_help="Measure how well a model tells the classes of a data set.",
    examples="""
    cnntool evaluate runs/mnist-cnn-mnist/ mnist
    cnntool evaluate model.safetensors photos/ --confusion confusion.png
    cnntool evaluate model.safetensors photos/ --top-losses 25 worst.png
    cnntool evaluate model.safetensors photos/ --fail-under accuracy=0.97 -q     for scripts
    cnntool evaluate model.safetensors mnist --json | jq .accuracy
    """,
)
@click.argument("model", metavar="MODEL", type=click.Path())
@click.argument("dataset", metavar="DATASET", type=click.Path())
@option(
    "--part",
    type=click.Choice(("test", "validation", "train")),
    help="Which pictures.  [default: the first of these that there are]",
)
@option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="At most N pictures, evenly spaced.",
)
@option(
    "--confusion",
    metavar="FILE.png|.csv",
    type=click.Path(),
    heading=FILES,
    help="Write the confusion matrix: rows are true classes, columns predicted ones.",
)
@option(
    "--top-losses",
    type=(click.IntRange(1, 10_000), click.Path()),
    metavar="N GRID.png",
    heading=FILES,
    help="Write a sheet of the N pictures with the highest losses, or the least overlap.",
)
@option(
    "--fail-under",
    "gates",
    type=Gate(),
    multiple=True,
    help="End with status 1 if a number is lower: accuracy, top-K, or precision, recall, f1 as "
    "means over the classes; of pixels accuracy, mean-iou or dice.",
)
@option(
    "--batch-size",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Pictures that go through the network together.  [default: by its size]",
)
@table_options("table")
@option("-f", "--force", is_flag=True, heading=FILES, help="Overwrite existing files.")
@option(
    "--threads",
    type=click.IntRange(0, 1024),
    default=0,
    metavar="N",
    heading=RUNNING,
    help="Workers that share the pictures; 0 = all cores.",
)
@DEVICE_AUTO
@common_options
def command(
    run: RunOptions,
    form: str,
    model: str,
    dataset: str,
    part: str | None,
    limit: int | None,
    confusion: str | None,
    top_losses: tuple[int, str] | None,
    gates: tuple[tuple[str, float], ...],
    batch_size: int | None,
    threads: int,
) -> None:
    """Measure how well a model tells the classes of a data set.

    MODEL is a model file, the folder of a training, or efficientnet-lite0; DATASET what 'train'
    takes. The pictures are brought to the size and colour that the model was trained with. Classes
    are matched by their names and must be the same ones. Precision is the share of right ones among
    those that were taken for a class, recall the share of a class that was taken for it, F1 their
    harmonic mean; where there are none the share is 0.

    Of a model that tells the class of every pixel, with a folder of images/ and masks/:
    intersection over union (IoU) and Dice of each class and as means over the classes, and the
    share of pixels that are right.

    The default form shows all; --json is one object, with all numbers and the confusion matrix;
    the other forms have one row a class.
    """
    from cnntool.jobs import evaluate as job
    from cnntool.predict.model import TrainedModel

    used = TrainedModel.load(model, device=run.device, tasks=("classify", "segment"))
    _check_gates(gates, used.saved.task == "segment")
    files = Inputs(protected=(used.path,))
    if confusion is not None:
        job.check_result(confusion, "--confusion", (".png", ".csv"))
        check_result_file(confusion, files, "--confusion", force=run.force)
    if top_losses is not None:
        job.check_result(top_losses[1], "--top-losses", job.PICTURES)
        check_result_file(top_losses[1], files, "--top-losses", force=run.force)
    if run.verbose:
        warn(f"model: {used}" + (f" ({used.device.note})" if used.device.note else ""))
    sample = job.Sample.of(used, dataset, part, limit)
    if not sample.chosen and sample.part != "test" and not run.quiet:
        warn(f"there is no test part: these are {sample}")
    shown = run.progress and not run.quiet
    with follow(len(sample.split), shown=shown, printing=False) as progress:
        found = sample.evaluated(
            used, threads=threads or cores(), group=batch_size, progress=progress
        )
    try:  # files first: a reader that closes the pipe early must not cost them
        if confusion is not None:
            job.write_confusion(found, confusion, str(sample), force=run.force)
        if top_losses is not None:
            job.write_worst(found, sample, used, *top_losses, force=run.force)
    finally:
        _show(found, str(sample), form)
    job.check_gates(found, gates)


def _check_gates(gates: tuple[tuple[str, float], ...], of_pixels: bool) -> None:
    """Refuse numbers that there will not be, before anything is computed."""
    for name, _ in gates:
        (check_pixel_measure if of_pixels else check_measure)(name)


def _show(found: Evaluation | PixelEvaluation, sample: str, form: str) -> None:
    from cnntool.jobs import evaluate as job

    columns = job.columns(found)
    if form == "json":
        emit(json_text(found.as_json()))
        return
    if form != "table":
        with TableWriter(form, standard_output(), columns) as writer:
            for row in found.rows():
                writer.row(row)
        return
    emit(sample)
    for line in job.summary(found):
        emit(line)
    _table(job.class_rows(found), columns)
    if len(found.classes) <= job.MOST_CLASSES:
        _table(job.confusion_rows(found), None)
    else:
        emit(f"\n{len(found.classes)} classes: --confusion FILE.csv writes their matrix")
    if confused := job.confused(found):
        emit("\nmost confused: " + "; ".join(confused))


def _table(rows: Iterable[Row], columns: tuple[str, ...] | None) -> None:
    """A table below a blank line."""
    emit("")
    with TableWriter("table", standard_output(), columns) as writer:
        for row in rows:
            writer.row(row)
