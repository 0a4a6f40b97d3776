"""``cnntool explain weights``."""

from __future__ import annotations

import click

from cnntool.cli.command import Command
from cnntool.cli.explain import options as shared
from cnntool.cli.options import DEVICE_AUTO, RunOptions, common_options
from cnntool.cli.results import claimed_format, result_options, write_result
from cnntool.cli.streams import warn


@click.command(
    "weights",
    cls=Command,
    short_help="Show the filters of a layer.",
    examples="""
    cnntool explain weights runs/mnist-cnn-mnist --layer 0.conv -o filters.png
    cnntool explain weights model.safetensors --layer 3.conv --channels 0-7 -o filters.png
    cnntool explain weights model.safetensors --layer 3.conv -o filters.npy
    """,
)
@shared.MODEL
@shared.layer_option(help="The layer, as 'cnntool shape' names it.")
@shared.CHANNELS
@result_options("The picture, .npy for the weights themselves, or - for standard output.")
@DEVICE_AUTO
@common_options
def command(
    run: RunOptions, model: str, layer: str | None, channels: tuple[int, ...] | None
) -> None:
    """Show the filters of a layer.

    Blue is negative, white 0, red positive, on one scale for the layer. Filters that see the red,
    green and blue of the picture are drawn in colour, middle grey being 0. Others that see several
    maps take a row each, with a column for every map. Of a dense layer behind a flatten the weights
    lie as the maps lay. In .npy are the weights as the model holds them, in torch's order.
    """
    subject = shared.opened(run, model, segments=True)
    name = shared.asked_layer(subject, layer)
    format = claimed_format(run, run.output, subject.path)
    from cnntool.jobs.explain_filters import weights_file

    data, notes = weights_file(subject, name, channels or (), format, run.quality)
    for note in notes:
        if not run.quiet:
            warn(note)
    write_result(run, str(run.output), data)
