"""``cnntool explain occlusion``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.explain import options as shared
from cnntool.cli.options import DEVICE_AUTO, RunOptions, option, picture_options
from cnntool.cli.running import run_pictures
from cnntool.cli.types import Numbers
from cnntool.explain.words import FILLS


@click.command(
    "occlusion",
    cls=Command,
    short_help="Show what a class's score loses where the picture is covered.",
    examples="""
    cnntool explain occlusion runs/mnist-cnn-mnist digit.png
    cnntool explain occlusion model.safetensors photo.jpg --class cat --size 16 --stride 4
    cnntool explain occlusion model.safetensors photo.jpg --fill black -o loss.npy
    """,
)
@shared.MODEL
@shared.CLASS
@option(
    "--size",
    type=Numbers("N|H,W", low=1),
    help="Rows and columns of the patch that covers.  [default: a quarter of the input's]",
)
@option(
    "--stride",
    type=Numbers("N|N,M", low=1),
    help="Its steps down and across.  [default: a quarter of the patch]",
)
@option(
    "--fill",
    type=click.Choice(FILLS),
    default="mean",
    help="What the patch shows; mean is that of the training's pictures.",
)
@shared.INVERT
@picture_options(device=DEVICE_AUTO)
def command(
    run: RunOptions,
    model: str,
    label: str | None,
    size: tuple[int, ...] | None,
    stride: tuple[int, ...] | None,
    fill: str,
    invert: bool,
) -> None:
    """Show what a class's score loses where the picture is covered.

    A patch goes over the picture in steps; a pixel gets the mean loss of all patches that covered
    it, in units of the score before the softmax: red where the picture speaks for the class, blue
    where it speaks against. Sizes are in pixels of the network's input. In .npy is the map itself,
    (H, W).
    """
    subject = shared.opened(run, model)
    number = None if label is None else subject.class_number(label)
    from cnntool.geometry import pair
    from cnntool.jobs.explain import OcclusionJob

    def make(**common: Any) -> OcclusionJob:
        return OcclusionJob(
            subject=subject,
            number=number,
            size=None if size is None else pair(size),
            stride=None if stride is None else pair(stride),
            fill=fill,
            invert=invert,
            **common,
        )

    run_pictures(replace(run, device=subject.device.name), make, protected=(subject.path,))
