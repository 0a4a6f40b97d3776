"""``cnntool explain saliency``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.explain import options as shared
from cnntool.cli.options import DEVICE_AUTO, RunOptions, given, option, picture_options
from cnntool.cli.running import run_pictures
from cnntool.cli.types import FiniteRange
from cnntool.explain.words import COPIES, FILLS, METHODS, NOISE

_GOES_WITH = {
    "baseline": "integrated",
    "steps": "integrated",
    "copies": "smoothgrad",
    "noise": "smoothgrad",
    "seed": "smoothgrad",
}
"""Options that mean something to one method only."""


@click.command(
    "saliency",
    cls=Command,
    short_help="Show which pixels a class's score depends on, by gradients.",
    examples="""
    cnntool explain saliency runs/mnist-cnn-mnist digit.png
    cnntool explain saliency model.safetensors photo.jpg --class cat --method integrated -o why.png
    cnntool explain saliency model.safetensors photos/ -r --method smoothgrad -o why/
    cnntool explain saliency model.safetensors photo.jpg -o gradient.npy
    """,
)
@shared.MODEL
@shared.CLASS
@option(
    "--method",
    type=click.Choice(tuple(METHODS)),
    default="gradient",
    help="What is shown; see below.",
)
@option(
    "--baseline",
    type=click.Choice(FILLS),
    default="black",
    help="Where integrated gradients start.",
)
@option(
    "--steps",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Gradients on their way.  [default: 64, doubled until the sum is right to 1 %]",
)
@option(
    "--copies", type=click.IntRange(1, 100_000), default=COPIES, metavar="N", help="Of smoothgrad."
)
@option(
    "--noise",
    type=FiniteRange(0, 10),
    default=NOISE,
    metavar="X",
    help="Of these copies, as a share of the picture's range.",
)
@shared.SEED
@shared.INVERT
@picture_options(device=DEVICE_AUTO)
def command(
    run: RunOptions,
    model: str,
    label: str | None,
    method: str,
    baseline: str,
    steps: int | None,
    copies: int,
    noise: float,
    seed: int,
    invert: bool,
) -> None:
    """Show which pixels a class's score depends on, by gradients.

    The input stands beside the map and the map laid over the input; the title has the class, its
    share and its score before the softmax. In .npy are the signed numbers themselves, (H, W) or
    (H, W, C): change of the score per grey level, or parts of the score.

    \b
    gradient        how fast the score changes with each pixel, without sign
    input-gradient  the gradient times the pixel's brightness
    guided          guided backpropagation: only what helps comes through a ReLU
    integrated      integrated gradients: they sum to the score's difference to a plain picture
    smoothgrad      the mean gradient of noisy copies, without sign
    """  # noqa: D301 - click reads the backspace
    for word, owner in _GOES_WITH.items():
        if given(word) and method != owner:
            raise click.UsageError(f"--{word} goes with --method {owner}")
    subject = shared.opened(run, model)
    number = None if label is None else subject.class_number(label)
    from cnntool.jobs.explain import SaliencyJob

    def make(**common: Any) -> SaliencyJob:
        return SaliencyJob(
            subject=subject,
            number=number,
            method=method,
            baseline=baseline,
            steps=steps,
            copies=copies,
            noise=noise,
            seed=seed,
            invert=invert,
            **common,
        )

    run_pictures(replace(run, device=subject.device.name), make, protected=(subject.path,))
