"""``cnntool train``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli.command import Command
from cnntool.cli.model_types import LayerName
from cnntool.cli.network_types import HOG, TrainedName
from cnntool.cli.options import DEVICE_AUTO, RUNNING, RunOptions, common_options, given, option
from cnntool.cli.streams import emit, warn
from cnntool.cli.types import FiniteRange, Size
from cnntool.errors import OptionError
from cnntool.files import terminal_safe

if TYPE_CHECKING:
    from cnntool.backend import Backend
    from cnntool.cli.training_display import TrainingDisplay
    from cnntool.jobs.training_results import Outcome

RESUMED = ("resume", "epochs", "threads", "device", "max_time", "stop_after")
"""Options that may stand beside ``--resume``."""

ALL = "all"
"""What ``--freeze`` takes for every layer but the last one."""

_SPOKEN = ("quiet", "verbose", "debug", "config", "progress")

_CHOICES = (
    "epochs", "batch_size", "optimizer", "lr", "momentum", "schedule", "warmup", "weight_decay",
    "dropout", "loss", "label_smoothing", "class_weight", "augment", "val_split", "patience",
    "limit", "seed", "size", "fit", "color", "init", "freeze",
    "new_head",
)  # fmt: skip

_OF_GANS = ("gan_loss", "d_steps", "content")


@click.command(
    cls=Command,
    short_help="Train a network on a data set: MNIST, or a folder of pictures.",
    examples="""
    cnntool train mnist                                       runs/mnist-cnn-mnist/
    cnntool train mnist --model lenet5 --epochs 10 --seed 7
    cnntool train pictures/ --size 64x64 --val-split 0.1      a folder of class folders
    cnntool train mnist --model "conv 8 5 | relu | maxpool 2 | flatten | dense 10" -o runs/small
    cnntool train shapes/ --augment 'hflip | rotate 10'       images/ and masks/: a class a pixel
    cnntool train mnist --model conditional                   a generator of digits
    cnntool train mnist --condition superres                  one that enlarges pictures
    cnntool train pictures/ --model runs/mnist-cnn-mnist --freeze all --new-head     fine-tuning
    cnntool train --resume runs/mnist-cnn-mnist               go on after Ctrl-C
    """,
)
@click.argument("dataset", required=False)
@option(
    "--model",
    metavar="NAME|SPEC|@FILE|RUN",
    type=TrainedName(),
    help="The network, or a trained model to begin with.  [default: one measured for the data set]",
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
    "--loss",
    type=click.Choice(("cross-entropy", "dice", "both")),
    help="What is made small; dice and both compare regions, where pixels have classes.",
)
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
@option(
    "--freeze",
    multiple=True,
    type=LayerName(ALL),
    help="Keep a layer, or all of a group, of the trained model that --model names; may be given "
    "several times; all: all but the last one.",
)
@option(
    "--new-head",
    is_flag=True,
    default=None,
    help="Give that model a new last layer, with an output for each class of the data.",
)
@option(
    "--condition",
    type=click.Choice(("none", "class", "vector", "superres", "colorize", "inpaint")),
    help="What a generator gets beside random numbers: the class; vectors_train of an .npz; or a "
    "picture at half the size, in grey, or without its middle.",
)
@option(
    "--latent", type=click.IntRange(0, 10_000), metavar="N", help="Random numbers of a generator."
)
@option(
    "--gan-loss",
    type=click.Choice(("nonsaturating", "minimax")),
    help="What a generator makes small: -log D, or log(1 - D).",
)
@option(
    "--d-steps",
    type=click.IntRange(1, 100),
    metavar="K",
    help="Steps of the discriminator for each of the generator.",
)
@option(
    "--content",
    type=FiniteRange(0, 1e6),
    metavar="X",
    help="What the distance to the true picture counts, where a generator gets a picture.",
)
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
@DEVICE_AUTO
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
    condition: str | None,
    latent: int | None,
    **options: Any,
) -> None:
    """Train a network on a data set: MNIST, or a folder of pictures.

    The data set is mnist, which comes with the program; a folder of class folders, with train/,
    val/ and test/ above them or not; a folder of IDX files such as Fashion-MNIST; or an .npz file.
    Options that are left out are those of a recipe that was chosen by measurement. The test
    pictures are looked at once, at the end. The model hog-logreg is no network but logistic
    regression on histograms of gradients. Of a folder of images/ and masks/ a network learns the
    class of every pixel.

    A model file or the folder of a run as --model is trained further: its weights are the first
    ones, and pictures are brought to what it takes. --new-head fits it to other classes, --freeze
    keeps layers as they are. With one of these, efficientnet-lite0 begins with published weights.

    The models vanilla, dcgan, conditional, lapgan, stackgan and translate are generators that learn
    to make pictures such as those of the data, against a discriminator that learns to tell them
    apart: 'cnntool generate' uses them. --epochs are those of each of their stages, and
    --label-smoothing lowers the target of real pictures. A folder of pictures without classes will
    do for them, unless the class is what they are told.

    The run's folder gets the model, a checkpoint that --resume goes on from bit by bit,
    metrics.csv, run.json and pictures. Ctrl-C saves first.
    """
    _check_request(dataset, resume)
    from cnntool.machine import cores

    count = threads or cores()
    chosen = {name: options[name] for name in _CHOICES}
    limits = {"stop_after": stop_after, "max_time": max_time}
    if resume is not None:
        epochs = options["epochs"] if _on_command_line("epochs") else None
        _go_on(run, resume, epochs, count, limits)
        return
    from cnntool.jobs.networks import gan_text, network
    from cnntool.models.adversarial import is_adversarial

    source = str(dataset)
    of_gans = {name: options[name] for name in _OF_GANS}
    text = gan_text(model)
    if is_adversarial(text, condition):
        wanted = {**chosen, **of_gans, "condition": condition, "latent": latent}
        limits["every"] = checkpoint_every
        from cnntool.jobs import gan_training

        _begin(
            run, source, gan_training, lambda: gan_training.plan(source, text, **wanted), count,
            limits, dry_run,
        )  # fmt: skip
        return
    for name, value in {**of_gans, "latent": latent}.items():
        if value is not None:
            raise OptionError(f"--{name.replace('_', '-')} is for generators, such as conditional")
    if model == HOG:
        _fit(run, source, chosen, count, limits, dry_run)
        return
    limits["every"] = checkpoint_every
    from cnntool.jobs import training, training_plan

    _begin(
        run, source, training, lambda: training_plan.plan(source, model, network, **chosen), count,
        limits, dry_run,
    )  # fmt: skip


def _begin(
    run: RunOptions,
    source: str,
    kind: Any,
    plan_of: Callable[[], Any],
    threads: int,
    limits: Mapping[str, Any],
    dry_run: bool,
) -> None:
    """A new training, by a module of :mod:`cnntool.jobs`."""
    device = _device(run)
    _check_folder(run, run.output, source, dry_run)
    plan = plan_of()
    if dry_run:
        _emit_lines(kind.plan_lines(plan))
        return
    folder = run.output or f"runs/{plan.name}"
    _check_folder(run, folder, source)
    from cnntool.train import run_folder

    if start := getattr(plan.options, "start", ""):
        run_folder.check_apart(folder, start)
    with (
        kind.session_of(plan, device, threads) as session,
        run_folder.held(folder, new=True),
    ):
        _train(run, kind, plan, session, folder, limits)


def _go_on(
    run: RunOptions, folder: str, epochs: int | None, threads: int, limits: Mapping[str, Any]
) -> None:
    """A training that was stopped."""
    device = _device(run)
    from cnntool.jobs import gan_training, training, training_plan
    from cnntool.jobs.training_watch import interval, otherwise
    from cnntool.train import run_folder
    from cnntool.train.gan_options import GanOptions

    with run_folder.held(folder):
        found, complaints = training_plan.resumed(folder, epochs)
        for text in complaints:
            warn(text)
        data = training_plan.data_again(found)
        kind: Any = gan_training if isinstance(found.options, GanOptions) else training
        plan = kind.replan(found, data)
        with kind.session_of(plan, device, threads, found) as session:
            difference = otherwise(found, session)
            if difference and not run.quiet:
                warn(difference)
            _train(run, kind, plan, session, folder, {**limits, "every": interval(found)})


def _train(
    run: RunOptions, kind: Any, plan: Any, session: Any, folder: str, limits: Mapping[str, Any]
) -> None:
    """Train by a module of :mod:`cnntool.jobs`, and show it."""
    from cnntool.cli.training_display import TrainingDisplay

    with TrainingDisplay(run) as display:
        display.start(kind.describe(plan, session.threads, session.device.name, folder))
        for note in plan.notes:
            display.note(note)
        outcome = kind.train(session, folder, display, **limits)
        _tell(run, display, outcome, session.progress.history)
    if outcome.failure is not None:
        raise outcome.failure


def _fit(
    run: RunOptions,
    source: str,
    chosen: Mapping[str, Any],
    threads: int,
    limits: Mapping[str, Any],
    dry_run: bool,
) -> None:
    """Logistic regression, which has no epochs and no checkpoints."""
    from cnntool.cli.progress import follow
    from cnntool.cli.training_display import TrainingDisplay
    from cnntool.jobs import hog_training

    if limits["stop_after"] is not None:
        raise OptionError(f"--stop-after means nothing to {HOG}, which has no epochs")
    if _device(run).is_gpu and given("device"):
        warn(f"{HOG} is computed on the CPU")
    _check_folder(run, run.output, source, dry_run)
    plan = hog_training.plan(source, **chosen)
    if dry_run:
        _emit_lines(hog_training.plan_lines(plan))
        return
    folder = run.output or f"runs/{plan.name}"
    _check_folder(run, folder, source)
    with TrainingDisplay(run) as display:
        display.start(hog_training.describe(plan, threads, folder))
        for note in plan.dataset.notes:
            display.note(note)
        with follow(100, shown=run.progress and not run.quiet, printing=False) as progress:
            outcome = hog_training.train(
                plan, folder, threads=threads, max_time=limits["max_time"], progress=progress
            )
        _tell(run, display, outcome)


def _tell(
    run: RunOptions,
    display: TrainingDisplay,
    outcome: Outcome,
    history: Sequence[Mapping[str, Any]] = (),
) -> None:
    """How it went, and what was written."""
    from cnntool.cli.running import emit_path

    display.finish(rows=history, test=outcome.scores, details=outcome.details, title=outcome.title)
    for note in outcome.notes:
        display.note(note)
    for path in outcome.written:
        emit_path(run, path)


def _emit_lines(lines: Iterable[str]) -> None:
    for line in lines:
        emit(terminal_safe(line))


def _device(run: RunOptions) -> Backend:
    from cnntool import backend

    device = backend.get(run.device)
    if run.verbose and device.note:
        warn(f"training on the CPU: {device.note}")
    return device


def _check_folder(run: RunOptions, folder: str | None, source: str, dry_run: bool = False) -> None:
    """Refuse a folder before anything is loaded, and again when its name is known."""
    if folder is None or dry_run:
        return
    from cnntool.jobs.training_plan import folder_of_data
    from cnntool.train import run_folder

    run_folder.check(folder, force=run.force, data=folder_of_data(source))


def _on_command_line(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def _check_request(dataset: str | None, resume: str | None) -> None:
    """One data set, or a run to go on with and only a few options beside it.

    What variables and configuration files say of a training is not meant for one that has begun.

    Raises:
        click.UsageError: It is neither.
    """
    if resume is None:
        if dataset is None:
            raise click.UsageError("which data set? Name one (mnist), or the path of a folder")
        return
    if dataset is not None:
        raise click.UsageError("--resume knows its data set; leave it out")
    for name in click.get_current_context().params:
        if name not in (*RESUMED, *_SPOKEN) and _on_command_line(name):
            word = "--" + name.replace("_", "-")
            allowed = ", ".join("--" + name.replace("_", "-") for name in RESUMED[1:])
            raise click.UsageError(f"{word} cannot be changed by --resume; only {allowed} can")
