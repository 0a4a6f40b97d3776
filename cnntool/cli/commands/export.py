"""``cnntool export``."""

from __future__ import annotations

import click

from cnntool.cli.command import Command
from cnntool.cli.options import FILES, RunOptions, common_options, option
from cnntool.cli.running import emit_path
from cnntool.cli.streams import warn
from cnntool.files import quote


@click.command(
    cls=Command,
    short_help="Write a model as ONNX, or its weights as safetensors.",
    examples="""
    cnntool export runs/mnist-cnn-mnist digits.onnx
    cnntool export runs/mnist-cnn-mnist digits.onnx --with-preprocess     takes pictures 0..255
    cnntool export efficientnet-lite0 lite0.onnx
    cnntool export model.safetensors weights.safetensors     arrays by name, for other programs
    """,
)
@click.argument("model", metavar="MODEL", type=click.Path())
@click.argument("out", metavar="OUT.onnx|OUT.safetensors", type=click.Path())
@option(
    "--with-preprocess",
    is_flag=True,
    help="Put the normalisation into the file: it takes pictures of the network's size.",
)
@option(
    "--samples",
    type=click.Choice(("uint8", "float")),
    default="uint8",
    help="Type of the pictures' samples, 0 to 255, for --with-preprocess.",
)
@option(
    "--names",
    type=click.Choice(("auto", "torch", "spec")),
    default="auto",
    help="Names in .safetensors: torch's for its networks, else those of the specification.",
)
@option("-f", "--force", is_flag=True, heading=FILES, help="Overwrite an existing file.")
@common_options
def command(
    run: RunOptions, model: str, out: str, with_preprocess: bool, samples: str, names: str
) -> None:
    """Write a model as ONNX, or its weights as safetensors.

    MODEL is a model file, the folder of a training, or the name of a pretrained network. An ONNX
    file takes and gives N×C×H×W (or N×n) in float32 with any N, and needs the extra onnx. Before
    it is written, its outputs are compared with cnntool's, by onnxruntime if that is installed,
    else by the reference of onnx. Its metadata hold classes, preprocessing and specification.
    """
    from cnntool.jobs.exporting import Request, export

    request = Request(
        model=model,
        output=out,
        samples=samples if with_preprocess else None,
        names=names,
        force=run.force,
    )
    told = export(request)
    emit_path(run, out)
    if not run.quiet:
        warn(f"{quote(out)}: {told}")
