"""``cnntool explain gradcam``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.explain import options as shared
from cnntool.cli.options import DEVICE_AUTO, RunOptions, picture_options
from cnntool.cli.running import run_pictures
from cnntool.cli.streams import warn


@click.command(
    "gradcam",
    cls=Command,
    short_help="Show where a layer finds what speaks for a class: Grad-CAM.",
    examples="""
    cnntool explain gradcam runs/animals-cnn-cifar photo.jpg
    cnntool explain gradcam model.safetensors photo.jpg --class dog --layer 14.conv -o dog.png
    cnntool explain gradcam model.safetensors photos/ -r -o where/
    """,
)
@shared.MODEL
@shared.CLASS
@shared.layer_option(
    help="The layer, as 'cnntool shape' names it.  [default: the last convolution, with the sum or "
    "stack that it stands in and its activation]"
)
@shared.INVERT
@picture_options(device=DEVICE_AUTO)
def command(
    run: RunOptions, model: str, label: str | None, layer: str | None, invert: bool
) -> None:
    """Show where a layer finds what speaks for a class: Grad-CAM.

    Each map of the layer counts by the mean gradient of the class's score in it; the positive part
    of the sum is shown beside the input and laid over it, every value at the centre of what its
    neuron sees. In .npy is the map itself, as large as those of the layer. A gradient that is 0
    everywhere is an error.
    """
    subject = shared.opened(run, model)
    number = None if label is None else subject.class_number(label)
    from cnntool.explain.gradcam import last_convolution
    from cnntool.jobs.explain import GradcamJob

    name = last_convolution(subject) if layer is None else subject.maps(layer).name
    if layer is None and not run.quiet:
        warn(f"--layer {name} is taken, where the last convolution leads")

    def make(**common: Any) -> GradcamJob:
        return GradcamJob(subject=subject, number=number, layer=name, invert=invert, **common)

    run_pictures(replace(run, device=subject.device.name), make, protected=(subject.path,))
