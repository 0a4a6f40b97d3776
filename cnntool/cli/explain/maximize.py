"""``cnntool explain maximize``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnntool.cli.command import Command
from cnntool.cli.explain import options as shared
from cnntool.cli.model_types import ClassLabel
from cnntool.cli.options import DEVICE_AUTO, RunOptions, common_options, option
from cnntool.cli.progress import follow
from cnntool.cli.results import claimed_format, result_options, write_result
from cnntool.cli.streams import warn
from cnntool.cli.types import FiniteRange, NumberRanges, Numbers
from cnntool.errors import OptionError
from cnntool.explain.ascent import Ascent
from cnntool.explain.words import LAYER_ALL
from cnntool.files.atomic import exists_error
from cnntool.folder.inputs import Inputs
from cnntool.folder.job import Item
from cnntool.folder.outputs import OutputPlan

if TYPE_CHECKING:
    from cnntool.explain.maximize import Found, Goal


@click.command(
    "maximize",
    cls=Command,
    short_help="Make pictures that excite a class, map or neuron most.",
    examples="""
    cnntool explain maximize runs/mnist-cnn-mnist --class 3 -o three.png
    cnntool explain maximize runs/mnist-cnn-mnist --class all -o digits.png
    cnntool explain maximize runs/mnist-cnn-mnist --class all -o digits/     for 'predict'
    cnntool explain maximize model.safetensors --layer 3.conv --channel 0-31 -o maps.png
    cnntool explain maximize model.safetensors --layer 3.conv --channel 5 --at 4,4 -o neuron.png
    """,
)
@shared.MODEL
@option(
    "--class",
    "labels",
    type=ClassLabel(LAYER_ALL),
    multiple=True,
    help="The class; may be given several times; all = each.",
)
@shared.layer_option(help="A layer instead, as 'cnntool shape' names it, with --channel.")
@option("--channel", type=NumberRanges("channels"), help="The map of the layer, or several.")
@option("--at", type=Numbers("Y,X", (2,)), help="One neuron of the map.  [default: the map's mean]")
@option(
    "--steps",
    type=click.IntRange(1, 1_000_000),
    default=Ascent.steps,
    metavar="N",
    help="Of ascent.",
)
@option(
    "--lr",
    type=FiniteRange(0, 10, min_open=True),
    default=Ascent.rate,
    metavar="X",
    help="Length of a step, in standard deviations of the training's pictures.",
)
@option(
    "--l2",
    type=FiniteRange(0, 1000),
    default=Ascent.l2,
    metavar="X",
    help="Penalty on the squared distance from the mean picture.",
)
@option(
    "--tv",
    type=FiniteRange(0, 1000),
    default=Ascent.tv,
    metavar="X",
    help="Penalty on total variation: differences of neighbours.",
)
@option(
    "--smooth",
    type=FiniteRange(0, 100),
    metavar="PIXELS",
    help="Width of the Gaussian that smooths gradients; it falls to half.  [default: 1.5 for 28 "
    "pixels, growing with the root of the size]",
)
@option(
    "--jitter",
    type=click.IntRange(0, 10_000),
    default=Ascent.jitter,
    metavar="PIXELS",
    help="Random moves before each look, at most.",
)
@option(
    "--scale",
    type=FiniteRange(0, 0.9),
    default=Ascent.scale,
    metavar="SHARE",
    help="Random enlargement before each look, at most.",
)
@option(
    "--rotate",
    type=FiniteRange(0, 180),
    default=Ascent.rotate,
    metavar="DEGREES",
    help="Random turns before each look, at most.",
)
@option(
    "--blur-every",
    type=click.IntRange(0),
    default=Ascent.blur_every,
    metavar="N",
    help="Blur the picture a little after every N steps; 0 = never.",
)
@option(
    "--clip-percent",
    type=FiniteRange(0, 99),
    default=Ascent.clip_percent,
    metavar="P",
    help="Set the P percent of the pixels nearest to the mean to it, each step.",
)
@option(
    "--save-at",
    type=NumberRanges("steps"),
    help="Show these steps beside the last.",
)
@shared.SEED
@result_options(
    "A sheet with captions; .npy for the samples; DIR/ for a plain picture each; - for standard "
    "output."
)
@DEVICE_AUTO
@common_options
def command(
    run: RunOptions,
    model: str,
    labels: tuple[str, ...],
    layer: str | None,
    channel: tuple[int, ...] | None,
    at: tuple[int, int] | None,
    steps: int,
    lr: float,
    l2: float,
    tv: float,
    smooth: float | None,
    jitter: int,
    scale: float,
    rotate: float,
    blur_every: int,
    clip_percent: float,
    save_at: tuple[int, ...] | None,
    seed: int,
) -> None:
    """Make pictures that excite a class, map or neuron most.

    From noise, uphill along the gradient: argmax S(I) - l2 |I|², where S is the score of the class
    before the softmax, the mean of a map, or one neuron. Each gradient is divided by its root mean
    square, so penalties mean the same for every network. Captions have the share that the network
    gives its class, and the score. What --seed gives for a class does not depend on which others
    are made with it.
    """
    if bool(labels) == (layer is not None):
        raise click.UsageError("name --class LABEL, or --layer NAME with --channel N")
    if layer is not None and channel is None:
        raise click.UsageError("--layer needs --channel N")
    if labels and (channel is not None or at is not None):
        raise click.UsageError("--channel and --at go with --layer")
    late = [step for step in save_at or () if not 1 <= step <= steps]
    if late:
        raise click.UsageError(f"--save-at {late[0]}: steps are 1 to {steps}")
    subject = shared.opened(run, model, segments=True)
    from cnntool.explain.maximize import maximize
    from cnntool.jobs import explain_filters as job

    if layer is None:
        goals = job.class_goals(subject, labels)
    else:
        goals = job.layer_goals(subject, subject.layer(layer).name, channel or (), at)
    rules = Ascent(
        steps=steps,
        rate=lr,
        l2=l2,
        tv=tv,
        smooth=smooth,
        jitter=jitter,
        scale=scale,
        rotate=rotate,
        blur_every=blur_every,
        clip_percent=clip_percent,
        save_at=save_at or (),
        seed=seed,
    )
    results = _Results(run, subject.path, goals, rules.kept)
    with follow(steps, shown=run.progress and not run.quiet, printing=False) as progress:
        found = maximize(subject, goals, rules, progress=progress)
    results.write(found)
    if run.verbose:
        for one in found:
            warn(job.told(one))
    if (note := job.weak(found)) and not run.quiet:
        warn(note)


class _Results:
    """Where the pictures go: one file, or one each in a folder; claimed before the work begins.

    Args:
        run: What the user asked for.
        model: File of the model, which is never overwritten.
        goals: What the pictures are for.
        steps: Numbers of the steps that are kept.
    """

    def __init__(
        self, run: RunOptions, model: str, goals: Sequence[Goal], steps: Sequence[int]
    ) -> None:
        self.run, self.steps = run, steps
        self.folder = _folder(run.output)
        if not self.folder:
            self.format = claimed_format(run, run.output, model)
            return
        from cnntool.images.formats import FORMATS
        from cnntool.jobs.explain_filters import stem_of

        self.format = run.format or "png"
        suffix = FORMATS[self.format].suffixes[0]
        last = steps[-1]
        self.paths = [
            os.path.join(self.folder, stem_of(goal) + (f".{s}" if s != last else "") + suffix)
            for goal in goals
            for s in steps
        ]
        plan = OutputPlan("folder", self.folder, force=run.force)
        inputs = Inputs(items=[Item("")], protected=(model,))
        try:
            plan.prepare(plan.check(inputs, lambda item: self.paths))
        except OptionError as error:
            there = next((path for path in self.paths if Path(path).exists()), None)
            if there is None or "count" not in error.facts:
                raise
            raise exists_error(there) from error  # there is nothing to skip here

    def write(self, found: Sequence[Found]) -> None:
        """Write them, and print their names."""
        from cnntool.jobs import explain_filters as job

        if not self.folder:
            data = job.maximized_file(found, self.steps, self.format, self.run.quality)
            write_result(self.run, str(self.run.output), data)
            return
        paths = iter(self.paths)
        for one in found:
            for stage in range(len(self.steps)):
                data = job.maximized_picture(one, stage, self.format, self.run.quality)
                write_result(self.run, next(paths), data)


def _folder(output: str | None) -> str:
    """The output, if it is a folder."""
    if output in (None, "-"):
        return ""
    path = str(output)
    return path if path.endswith(("/", os.sep)) or Path(path).is_dir() else ""
