"""``cnntool shape``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.network_types import InputShape, NetworkName
from cnntool.cli.one_layer import layer_options, question
from cnntool.cli.options import RunOptions, common_options, option, table_options
from cnntool.cli.streams import emit, warn
from cnntool.files import standard_output
from cnntool.nn.layer_rows import Trace
from cnntool.nn.values import MAX_MAPS
from cnntool.report.tables import Row, TableWriter

DEFAULT_INPUT = (1, 28, 28)
PLAIN = ("table", "csv", "tsv")


@click.command(
    cls=Command,
    short_help="Show every layer of a network: shapes, parameters, receptive field.",
    examples="""
    cnntool shape lenet5                                    a built-in network
    cnntool shape "conv 8 3 | relu | maxpool 2" --input 3x64x64
    cnntool shape @net.txt --json                           from a file, for programs
    cnntool shape runs/mnist-cnn-mnist                      of a trained model
    cnntool shape --layer conv --input 28x28 --kernel 5 --stride 2
    cnntool shape --layer conv --input 28x28 --kernel 5 --solve padding --output 28
    """,
)
@click.argument("model", metavar="[MODEL|SPEC|@FILE|-]", required=False, type=NetworkName())
@option(
    "--input",
    "input_",
    type=InputShape(),
    help="Shape of one input.  [default: the network's own, else 1x28x28]",
)
@option(
    "--classes",
    type=click.IntRange(1, MAX_MAPS),
    metavar="N",
    help="Classes of a built-in network.  [default: its own]",
)
@option(
    "--batch-size",
    type=click.IntRange(1, 1_000_000),
    default=1,
    metavar="N",
    help="Inputs at a time: activations take N times the memory.",
)
@option(
    "--compare",
    is_flag=True,
    help="Add the parameters that dense and k-local layers would have in place of convolutions.",
)
@layer_options
@table_options("table")
@common_options
def command(
    run: RunOptions,
    model: str | None,
    input_: tuple[int, ...] | None,
    classes: int | None,
    batch_size: int,
    compare: bool,
    form: str,
    **about: Any,
) -> None:
    """Show every layer of a network: shapes, parameters, receptive field.

    A network is a built-in one, a specification, a file (@net.txt) or standard input (-) with a
    specification, or a trained model: its file, or the folder of its training. MACs are
    multiplications with an addition each, for one input, without biases; FLOPs are twice as many.
    The receptive field is not cut off at the picture's edge; the jump is its step from one output
    to the next.

    \b
    Layers: conv OUT K [S], deconv OUT K [S], depthwise K [S], separable OUT K [S],
      local OUT K [S], deform OUT K [S] offsets=predicted|learned, dense OUT,
      maxpool|avgpool|sumpool K [S], adaptiveavgpool HxW, globalavgpool, globalmaxpool,
      upsample F mode=nearest|bilinear, pad T:R:B:L, reshape CxHxW, flatten,
      batchnorm, lrn N, dropout P, relu, relu6, leakyrelu A, sigmoid, tanh, softmax
    Keys: stride, pad=N|HxW|T:R:B:L|same, padmode, dilation, groups, bias=no, ceil=yes,
      depth, dstride, outpad, countpad, eps, momentum, alpha, beta, k, mode, offsets
    Groups: ( a | b )*3, residual(main, shortcut), concat(a, b | c), skip(a | b), pooled 2 (a | b)
    """  # noqa: D301 - click reads the backspace
    asked = question(input_, about)
    if asked is None:
        _show(*_network(run, model, input_, classes, batch_size), compare, form)
        return
    if model is not None or classes is not None:
        raise click.UsageError("--layer is about one layer; leave out the network and --classes")
    from cnntool.nn.calculator import calculate, explain

    layer, unknown, wanted = asked
    if unknown is None:
        _show(calculate(layer, batch_size), explain(layer), compare, form)
        return
    from cnntool.jobs.networks import solution_rows
    from cnntool.nn.solver import solve

    _table(form, solution_rows(solve(layer, unknown, wanted), unknown, texts=form in PLAIN))


def _network(
    run: RunOptions,
    model: str | None,
    shape: tuple[int, ...] | None,
    classes: int | None,
    batch: int,
) -> tuple[Trace, list[str]]:
    """The network's layers, and lines to put below its table."""
    from cnntool.jobs.networks import network, total_lines
    from cnntool.nn.shapes import trace

    if model is None:
        raise click.UsageError(
            "which network? Name one of 'cnntool models', write a specification, or use --layer"
        )
    spec = network(model, classes)
    shape = shape or spec.input
    if shape is None:
        shape = DEFAULT_INPUT
        if not run.quiet:
            warn("an input of 1x28x28 is taken; --input CxHxW gives another")
    found = trace(spec.chain, shape, batch)
    return found, list(total_lines(found, batch))


def _show(found: Trace, lines: Sequence[str], compare: bool, form: str) -> None:
    """A network's layers in the form that was asked for, with lines below a table."""
    from cnntool.jobs import networks

    if form == "json":
        for line in networks.json_lines(found, compare=compare):
            emit(line)
        return
    if form == "jsonl":
        _table(form, networks.layer_objects(found, compare=compare))
        return
    short = form == "table"
    columns: tuple[str, ...] = networks.TABLE_COLUMNS if short else networks.COLUMNS
    columns += networks.COMPARED if compare else ()
    _table(form, networks.shape_rows(found, compare=compare, short=short), columns)
    if short:
        for line in ("", *lines, *(networks.compared_lines(found) if compare else ())):
            emit(line)


def _table(form: str, rows: Iterable[Row], columns: tuple[str, ...] | None = None) -> None:
    with TableWriter(form, standard_output(), columns) as writer:
        for row in rows:
            writer.row(row)
