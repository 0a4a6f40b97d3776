"""``cnntool train``."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.network_types import NetworkName
from cnntool.cli.options import RUNNING, RunOptions, common_options, given, option
from cnntool.cli.streams import emit, warn
from cnntool.cli.types import FiniteRange, Size

RESUMED = ("resume", "epochs", "threads", "device", "max_time", "stop_after", "checkpoint_every")
"""Options that may stand beside ``--resume``."""

_CHOICES = (
    "epochs", "batch_size", "optimizer", "lr", "momentum", "schedule", "warmup", "weight_decay",
    "dropout", "label_smoothing", "class_weight", "augment", "val_split", "patience", "limit",
    "seed", "size", "fit", "color", "init",
)  # fmt: skip


@click.command(
    cls=Command,
    short_help="Train a network on a data set: MNIST, or a folder of pictures.",
    examples="""
    cnntool train mnist                                       runs/mnist-cnn-mnist/
    cnntool train mnist --model lenet5 --epochs 10 --seed 7
    cnntool train pictures/ --size 64x64 --val-split 0.1      a folder of class folders
    cnntool train mnist --model "conv 8 5 | relu | maxpool 2 | flatten | dense 10" -o runs/small
    cnntool train --resume runs/mnist-cnn-mnist               go on after Ctrl-C
    """,
)
@click.argument("dataset", required=False)
@option(
    "--model",
    metavar="NAME|SPEC|@FILE",
    type=NetworkName(),
    help="The network.  [default: one measured for the data set]",
)
@option("--epochs", type=click.IntRange(1, 1_000_000), metavar="N", help="Passes over the data.")
@option("--batch-size", type=click.IntRange(1, 1_000_000), metavar="N", help="Pictures a step.")
@option("--optimizer", type=click.Choice(("sgd", "adam", "adamw")), help="How weights change.")
@option("--lr", type=FiniteRange(0, min_open=True), metavar="X", help="Highest learning rate.")
@option(
    "--momentum",
    type=FiniteRange(0, 0.9999),
    metavar="X",
    help="Of sgd, with Nesterov's correction.",
)
@option(
    "--schedule",
    type=click.Choice(("constant", "step", "cosine", "onecycle")),
    help="How the rate goes over the training.",
)
@option("--warmup", type=FiniteRange(0), metavar="EPOCHS", help="Epochs in which the rate rises.")
@option("--weight-decay", type=FiniteRange(0, 10), metavar="X", help="Pull of weights towards 0.")
@option("--dropout", type=FiniteRange(0, 0.99), metavar="P", help="Share of all dropout layers.")
@option(
    "--label-smoothing",
    type=FiniteRange(0, 0.9),
    metavar="X",
    help="Share of every target that goes to all classes.",
)
@option(
    "--class-weight",
    type=click.Choice(("none", "balanced")),
    help="Whether rare classes count more.",
)
@option("--augment", metavar="OPS", help="Random changes, such as 'rotate 10 | shift 2'.")
@option(
    "--val-split", type=FiniteRange(0, 0.9), metavar="X", help="Share that choices are made with."
)
@option(
    "--patience",
    type=click.IntRange(0, 1_000_000),
    metavar="N",
    help="Stop after N epochs without a better validation.",
)
@option("--limit", type=click.IntRange(1), metavar="N", help="Most training pictures.")
@option("--size", type=Size(), metavar="HxW", help="Bring all pictures to one size.")
@option("--fit", type=click.Choice(("stretch", "crop", "pad")), help="How.")
@option("--color", type=click.Choice(("gray", "rgb")), help="Colour mode of all pictures.")
@option(
    "--init",
    type=click.Choice(("he", "glorot", "sigmoid", "lenet", "torch")),
    help="First weights.  [default: by the network]",
)
@option("--seed", type=click.IntRange(0, 2**62), metavar="N", help="Of everything random.")
@option("-o", "--output", metavar="RUN/", help="Folder of the run.  [default: runs/DATA-MODEL]")
@option("-f", "--force", is_flag=True, help="Begin anew in a folder that exists.")
@option("--dry-run", is_flag=True, help="Show options, classes and shapes; train nothing.")
@option("--resume", metavar="RUN/", help="Go on with a training that was stopped.")
@option(
    "--stop-after",
    type=click.IntRange(1),
    metavar="N",
    heading=RUNNING,
    help="Save and stop when N epochs are complete.",
)
@option(
    "--max-time",
    type=FiniteRange(0, min_open=True),
    metavar="SECONDS",
    heading=RUNNING,
    help="Save and stop after this time.",
)
@option(
    "--checkpoint-every",
    type=FiniteRange(0, min_open=True),
    metavar="SECONDS",
    default=60.0,
    heading=RUNNING,
    help="Save this often within an epoch.",
)
@option(
    "--threads",
    type=click.IntRange(0, 1024),
    default=0,
    metavar="N",
    heading=RUNNING,
    help="Workers that share every batch; 0 = all cores.",
)
@option(
    "--device",
    metavar="cpu|gpu|gpu:N|auto",
    default="auto",
    heading=RUNNING,
    help="Where to compute; auto = the first GPU if it works.",
)
@common_options
def command(
    run: RunOptions,
    dataset: str | None,
    model: str | None,
    dry_run: bool,
    resume: str | None,
    stop_after: int | None,
    max_time: float | None,
    checkpoint_every: float,
    threads: int,
    **options: Any,
) -> None:
    """Train a network on a data set: MNIST, or a folder of pictures.

    The data set is mnist, which comes with the program; a folder of class folders, with train/,
    val/ and test/ above them or not; a folder of IDX files such as Fashion-MNIST; or an .npz file.
    Options that are left out are those of a recipe that was chosen by measurement. The test
    pictures are looked at once, at the end.

    The run's folder gets the model, a checkpoint that --resume goes on from bit by bit,
    metrics.csv, run.json and pictures. Ctrl-C saves first.
    """
    from cnntool import backend
    from cnntool.machine import cores

    device = backend.get(run.device)
    if run.verbose and device.note:
        warn(f"training on the CPU: {device.note}")
    count = 1 if device.is_gpu else threads or cores()
    if resume is not None:
        _refuse_beside_resume(dataset)
    elif dataset is None:
        raise click.UsageError("which data set? Name one (mnist), or the path of a folder")
    from cnntool.cli.training_display import TrainingDisplay
    from cnntool.jobs import networks, training
    from cnntool.train import run_folder

    chosen = {name: options[name] for name in _CHOICES}
    found = None
    if resume is not None:
        found, complaints = training.resumed(resume, options["epochs"])
        for text in complaints:
            warn(text)
        plan = training.replan(found)
        folder = resume
        if found.facts.get("threads") != str(count) and not run.quiet:
            warn(
                f"this run began with --threads {found.facts.get('threads')}; with {count} it goes "
                "on, but not to the same last bits"
            )
    else:
        plan = training.plan(str(dataset), model, networks.network, **chosen)
        folder = run.output or f"runs/{plan.name}"
    if dry_run:
        for line in training.plan_lines(plan):
            emit(line)
        return
    if found is None:
        run_folder.prepare(folder, force=run.force)
    with (
        training.session_of(plan, device, count, found) as session,
        TrainingDisplay(run) as display,
    ):
        display.start(training.describe(plan, count, device.name, folder))
        for note in plan.dataset.notes:
            display.note(note)
        if found is None and run.force:
            run_folder.clear(folder)
        outcome = training.train(
            session,
            folder,
            display,
            fingerprint=plan.dataset.fingerprint,
            every=checkpoint_every,
            max_time=max_time,
            stop_after=stop_after,
        )
        display.finish(
            rows=session.progress.history, test=outcome.scores, confused=outcome.confused
        )
        for note in outcome.notes:
            display.note(note)
    for path in outcome.written:
        emit(path)


def _refuse_beside_resume(dataset: str | None) -> None:
    """Only a few options may stand beside ``--resume``.

    Raises:
        click.UsageError: Others do.
    """
    context = click.get_current_context()
    others = [
        name
        for name in context.params
        if name not in (*RESUMED, "run", "quiet", "verbose", "debug", "config", "progress")
        and name != "dataset"
        and given(name)
    ]
    if dataset is not None:
        raise click.UsageError("--resume knows its data set; leave it out")
    if others:
        word = "--" + others[0].replace("_", "-")
        allowed = ", ".join("--" + name.replace("_", "-") for name in RESUMED[1:])
        raise click.UsageError(f"{word} cannot be changed by --resume; only {allowed} can")
