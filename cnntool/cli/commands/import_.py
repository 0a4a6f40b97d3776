"""``cnntool import``."""

from __future__ import annotations

import math
from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.network_types import InputShape, NetworkName
from cnntool.cli.options import FILES, RunOptions, common_options, option
from cnntool.cli.running import emit_path
from cnntool.cli.streams import say, warn
from cnntool.cli.types import FiniteRange


class Numbers(click.ParamType[tuple[float, ...]]):
    """One number, or one for each channel: ``0.485,0.456,0.406``."""

    name = "X[,X,X]"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The form for the help."""
        return self.name

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        """``0.5`` -> (0.5,)."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if not numbers or not all(map(math.isfinite, numbers)):
            self.fail(f"'{value}' are no numbers; write one, or one for each channel: 0.5,0.5,0.5")
        return numbers


@click.command(
    cls=Command,
    short_help="Make a model of an ONNX file, or of weights of torch.",
    examples="""
    cnntool import net.onnx --class-names names.txt -o net.safetensors
    cnntool import resnet18.pth --spec resnet18 -o resnet18.safetensors     torchvision's weights
    cnntool import weights.safetensors --spec vgg16 -o vgg16.safetensors
    cnntool import own.pth --spec @net.txt --input 3x32x32 -o own.safetensors
    """,
)
@click.argument("source", metavar="FILE.onnx|.safetensors|.pth", type=click.Path())
@option(
    "--spec",
    metavar="NAME|SPEC|@FILE",
    type=NetworkName(),
    help="The network that weights are for.  [default: what the file says]",
)
@option(
    "--class-names",
    metavar="FILE",
    type=click.Path(),
    help="Names of the classes: one a line, or JSON.",
)
@option("--input", "shape", type=InputShape(), help="Input, where the file leaves it open.")
@option(
    "--scale",
    type=FiniteRange(0, min_open=True),
    metavar="X",
    help="Factor on samples 0..255.  [default: the file's, or 1/255]",
)
@option("--mean", type=Numbers(), help="Subtracted then.  [default: the file's, or 0]")
@option("--std", type=Numbers(), help="Divided by then.  [default: the file's, or 1]")
@option(
    "--fit",
    type=click.Choice(("stretch", "crop", "pad")),
    help="How pictures are brought to size.  [default: the file's, or stretch]",
)
@option(
    "-o", "--output", "out", metavar="MODEL", required=True, heading=FILES, type=click.Path(),
    help="The model file to write.",
)  # fmt: skip
@option("-f", "--force", is_flag=True, heading=FILES, help="Overwrite an existing file.")
@common_options
def command(
    run: RunOptions,
    source: str,
    spec: str | None,
    class_names: str | None,
    shape: tuple[int, ...] | None,
    scale: float | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    fit: str | None,
    out: str,
) -> None:
    """Make a model of an ONNX file, or of weights of torch.

    An ONNX file becomes a specification with its weights. Before the model is written it is
    compared with what onnxruntime, or the reference of onnx, computes (extra onnx). Weights are a
    safetensors file or a state dict of torch.save in either of its forms; --spec names their
    network: a built-in one, by torchvision's names where it has it, or a specification whose layers
    the arrays follow in order.

    Nothing in a file is run: pickles are read by a machine that knows a closed list of
    instructions. -v shows the specification.
    """
    from cnntool.exchange.importing import Wishes
    from cnntool.jobs.importing import Request, import_model

    wishes = Wishes(input=shape, scale=scale, mean=mean, std=std, fit=fit)
    request = Request(
        source=source,
        output=out,
        spec=spec,
        class_names=class_names,
        wishes=wishes,
        force=run.force,
    )
    found = import_model(request)
    emit_path(run, out)
    if run.quiet:
        return
    for note in found.notes:
        warn(note)
    if run.verbose:
        for line in found.specification.splitlines():
            say(line)
