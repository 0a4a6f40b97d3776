"""``cnntool explain activations``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.explain import options as shared
from cnntool.cli.options import DEVICE_AUTO, RunOptions, option, picture_options
from cnntool.cli.running import run_pictures
from cnntool.explain.words import LAYER_ALL


@click.command(
    "activations",
    cls=Command,
    short_help="Show the maps that a layer makes of a picture.",
    examples="""
    cnntool explain activations runs/mnist-cnn-mnist digit.png --layer 0.conv -o maps.png
    cnntool explain activations model.safetensors photo.jpg --layer all -o maps/
    cnntool explain activations model.safetensors photo.jpg --layer 3.conv -o maps.npy
    """,
)
@shared.MODEL
@shared.layer_option(
    LAYER_ALL, help="The layer, as 'cnntool shape' names it; all = a result for each."
)
@shared.CHANNELS
@option(
    "--scale",
    type=click.Choice(("layer", "map")),
    default="layer",
    help="What shares a scale of colours: all maps of the layer, or each has its own.",
)
@shared.INVERT
@picture_options(device=DEVICE_AUTO)
def command(
    run: RunOptions,
    model: str,
    layer: str | None,
    channels: tuple[int, ...] | None,
    scale: str,
    invert: bool,
) -> None:
    """Show the maps that a layer makes of a picture.

    The picture is brought to the size and colour of the network's input and stands in front. Black
    is 0 and light is strong; where some numbers are negative, blue is negative, white 0 and red
    positive. Layers behind a flatten give numbers, each a square. In .npy are the numbers
    themselves, (C, H, W) or (n,).
    """
    subject = shared.opened(run, model, segments=True)
    name = shared.asked_layer(subject, layer, LAYER_ALL)
    names = tuple(subject.network.rows) if name == LAYER_ALL else (name,)
    from cnntool.jobs.explain import ActivationsJob
    from cnntool.jobs.explain_filters import channel_numbers

    if channels and name != LAYER_ALL:
        channel_numbers(subject, name, channels)
    elif channels:
        raise click.UsageError("--channels goes with one layer; leave it out with --layer all")

    def make(**common: Any) -> ActivationsJob:
        return ActivationsJob(
            subject=subject,
            layers=names,
            channels=channels or (),
            each=scale == "map",
            invert=invert,
            **common,
        )

    run_pictures(replace(run, device=subject.device.name), make, protected=(subject.path,))
