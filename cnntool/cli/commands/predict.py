"""``cnntool predict``: labels of pictures, or masks, as the model tells them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli.command import Command
from cnntool.cli.options import (
    RUNNING,
    RunOptions,
    option,
    picture_options,
    refuse,
    table_options,
)
from cnntool.cli.running import execute, finish, gather, run_pictures, shares, table
from cnntool.cli.streams import warn
from cnntool.images.formats import by_suffix
from cnntool.machine import cores
from cnntool.report.tables import TableWriter

if TYPE_CHECKING:
    from cnntool.predict.model import TrainedModel

MASKS = ("palette", "index", "overlay", "prob")

_OF_LABELS = ("top", "as_form", "as_json", "as_csv", "batch_size")
_OF_MASKS = ("mask", "tile", "name", "format", "quality", "skip_existing")


@click.command(
    cls=Command,
    short_help="Tell what pictures show: a label and a score, or a mask.",
    examples="""
    cnntool predict runs/mnist-cnn-mnist/ digit.png
    cnntool predict model.safetensors photos/ -r --csv > labels.csv
    cnntool predict model.safetensors photo.jpg --top 5     the five best labels
    cnntool predict runs/mnist-cnn-mnist/ scan.png --invert     a dark digit on white paper
    cnntool predict efficientnet-lite0 photo.jpg     one of 1000 things (extra: pretrained)
    find . -name '*.png' | cnntool predict model.safetensors --files-from - --json
    cnntool predict runs/shapes-unet/ photos/ -o masks/     a mask each: a model that segments
    """,
)
@click.argument("model", metavar="MODEL", type=click.Path())
@option(
    "--top",
    type=click.IntRange(1),
    metavar="N",
    help="Give the N best labels, one a row, with their rank.  [default: the best alone]",
)
@option("--invert", is_flag=True, help="Take the negative of every picture.")
@option(
    "--mask",
    type=click.Choice(MASKS),
    default="palette",
    help="Class numbers with colours, or as grey values; colours over the picture; or shares of "
    "the classes (.npy).",
)
@option(
    "--tile",
    type=click.IntRange(8, 8192),
    metavar="N",
    help="Slide over pictures at their own size in squares of N pixels that overlap.  "
    "[default: bring pictures to the model's size]",
)
@option(
    "--batch-size",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Pictures that go through the network together.  [default: by its size]",
)
@table_options("tsv")
@option(
    "--threads",
    type=click.IntRange(0, 1024),
    default=0,
    metavar="N",
    heading=RUNNING,
    help="Workers that share the pictures of the network; 0 = all cores.",
)
@picture_options()
def command(
    run: RunOptions,
    form: str,
    model: str,
    top: int | None,
    invert: bool,
    mask: str,
    tile: int | None,
    batch_size: int | None,
    threads: int,
) -> None:
    """Tell what pictures show: a label and a score, or a mask.

    MODEL is a model file, the folder of a training, or efficientnet-lite0, whose published weights
    the extra pretrained brings. Pictures are brought to the size and colour that the model was
    trained with. A score is the share of its label among all; it does not depend on which other
    pictures there are. Rows come in the order of the inputs, while others are still being read; a
    picture that fails has none. A note tells of pictures whose brightness is unlike the training's.

    Of a model that tells the class of every pixel each picture gets a mask of its own size, named
    as other commands name their results; -o takes a file or a folder.
    """
    from cnntool.predict.model import TrainedModel

    used = TrainedModel.load(model, device=run.device, tasks=("classify", "segment"))
    count = threads or cores()
    if used.saved.task == "segment":
        refuse(
            _OF_LABELS,
            "is for models that tell classes of pictures; this one tells those of pixels",
        )
        _masks(run, used, mask, tile, invert, count)
    else:
        refuse(
            _OF_MASKS, "is for models that tell classes of pixels; this one tells those of pictures"
        )
        _labels(run, used, form, top, invert, batch_size, count)


def _masks(
    run: RunOptions, used: TrainedModel, mask: str, tile: int | None, invert: bool, threads: int
) -> None:
    """A mask for each picture."""
    from cnntool.jobs.masks import MaskJob
    from cnntool.predict.segmenter import Segmenter

    named = by_suffix(run.name or "") or by_suffix(run.output or "")
    if run.format is None and named is None and mask != "overlay":
        run = replace(run, format="npy" if mask == "prob" else "png")
    # the network's own workers share the work: pictures come one after another
    run = replace(run, jobs=1)
    with Segmenter(used, tile=tile, threads=threads) as segmenter:
        segmenter.start()
        if run.verbose:
            warn(f"model: {used}")

        def make(**shared: Any) -> MaskJob:
            return MaskJob(segmenter=segmenter, mask=mask, invert=invert, **shared)

        run_pictures(run, make, protected=(used.path,))


def _labels(
    run: RunOptions,
    used: TrainedModel,
    form: str,
    top: int | None,
    invert: bool,
    batch_size: int | None,
    threads: int,
) -> None:
    """A table of labels."""
    from cnntool.jobs.predict import Answers, DecodeJob, columns
    from cnntool.predict.classifier import Classifier

    inputs = gather(run)
    inputs.protected += (used.path,)
    job = DecodeJob(preprocess=used.preprocess, limits=run.limits, invert=invert)
    classify = Classifier(
        used.network,
        used.preprocess,
        threads=threads,
        group=batch_size,
        pictures=len(inputs.items),
    )
    with classify:
        classify.start()
        if run.verbose:
            workers = f"{classify.workers} worker" + ("s" if classify.workers > 1 else "")
            warn(f"model: {used}, {classify.group} pictures at a time, {workers}")
        with table(TableWriter, run, inputs, form, columns(top)) as writer:
            answers = Answers(classify, used.classes, top=top, emit=writer.row)

            def finished() -> None:
                answers.finish()
                writer.close()  # a table that waits for its widths stands above the counts

            summary = execute(
                job,
                inputs,
                run,
                shares(run, inputs)[0],
                row=answers.add,
                after=finished,
                printing=run.output in (None, "-"),
            )
    finish(summary)
