"""``cnntool predict``."""

from __future__ import annotations

import click

from cnntool.cli.command import Command
from cnntool.cli.options import RUNNING, RunOptions, option, picture_options, table_options
from cnntool.cli.running import execute, finish, gather, shares, table
from cnntool.cli.streams import warn
from cnntool.machine import cores
from cnntool.report.tables import TableWriter


@click.command(
    cls=Command,
    short_help="Tell what pictures show: a label and a score for each.",
    examples="""
    cnntool predict runs/mnist-cnn-mnist/ digit.png
    cnntool predict model.safetensors photos/ -r --csv > labels.csv
    cnntool predict model.safetensors photo.jpg --top 5     the five best labels
    cnntool predict runs/mnist-cnn-mnist/ scan.png --invert     a dark digit on white paper
    cnntool predict efficientnet-lite0 photo.jpg     one of 1000 things (extra: pretrained)
    find . -name '*.png' | cnntool predict model.safetensors --files-from - --json
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
@picture_options(outputs=False)
def command(
    run: RunOptions,
    form: str,
    model: str,
    top: int | None,
    invert: bool,
    batch_size: int | None,
    threads: int,
) -> None:
    """Tell what pictures show: a label and a score for each.

    MODEL is a model file, the folder of a training, or efficientnet-lite0, whose published weights
    the extra pretrained brings. Pictures are brought to the size and colour that the model was
    trained with. A score is the share of its label among all; it does not depend on which other
    pictures there are. Rows come in the order of the inputs, while others are still being read; a
    picture that fails has none. A note tells of pictures whose brightness is unlike the training's.
    """
    from cnntool.jobs.predict import Answers, DecodeJob, columns
    from cnntool.predict.classifier import Classifier
    from cnntool.predict.model import TrainedModel

    used = TrainedModel.load(model, device=run.device)
    inputs = gather(run)
    inputs.protected += (used.path,)
    job = DecodeJob(preprocess=used.preprocess, limits=run.limits, invert=invert)
    classify = Classifier(
        used.network,
        used.preprocess,
        threads=threads or cores(),
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
