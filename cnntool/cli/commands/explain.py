"""``cnntool explain`` and the commands below it."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from cnntool.cli.command import Command
from cnntool.cli.explain import (
    activations,
    gradcam,
    maximize,
    occlusion,
    patches,
    saliency,
    weights,
)
from cnntool.errors import NameNotFound

_BELOW = (activations, weights, patches, maximize, saliency, gradcam, occlusion)
WAYS = {str(module.command.name): module.command for module in _BELOW}


def _complete(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=way.get_short_help_str(300))
        for name, way in WAYS.items()
        if name.startswith(incomplete)
    ]


@click.command(
    cls=Command,
    short_help="Look inside a network: maps, filters, what excites or decides.",
    examples="""
    cnntool explain activations runs/mnist-cnn-mnist digit.png --layer 0.conv
    cnntool explain maximize runs/mnist-cnn-mnist --class all -o digits.png
    cnntool explain gradcam model.safetensors photo.jpg --class cat
    cnntool explain COMMAND --help
    """,
    subcommands=tuple(WAYS.values()),
    no_args_is_help=True,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("words", metavar="COMMAND [ARGS]…", nargs=-1, shell_complete=_complete)
def command(words: tuple[str, ...]) -> None:
    """Look inside a network: maps, filters, what excites or decides.

    MODEL is a model file or the folder of a training, as for 'predict'. Layers are called as
    'cnntool shape' shows them, such as 3.main.0.conv; a wrong name lists them.
    """
    raise NameNotFound.among("way to explain", words[0], WAYS, "cnntool explain --help")
