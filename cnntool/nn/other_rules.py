"""Rules of dense layers, normalisation, activations and changes of shape."""

from __future__ import annotations

from math import prod

from cnntool.nn.facts import Facts, Misfit, Shape, Tensor, check_numbers, maps, times
from cnntool.nn.settings import Settings
from cnntool.nn.window_rules import weights


def dense(values: Settings, shape: Shape) -> Facts:
    """Every output reads every input: O×n weights."""
    if len(shape) != 1:
        c, h, w = maps(shape)
        raise Misfit(
            f"a dense layer reads one vector, not maps {times(shape)}",
            f"add flatten before it ({c}·{h}·{w} = {c * h * w} numbers), or globalavgpool | "
            f"flatten ({c} numbers)",
        )
    out, bias = values.whole("out"), values.flag("bias")
    check_numbers((out,))
    parameters = weights(bias, (out, shape[0]), out)
    return Facts(
        output=(out,),
        parameters=parameters,
        macs=out * shape[0],
        field=lambda field: field.everything(),
        dense=sum(tensor.size for tensor in parameters),
    )


def elementwise(values: Settings, shape: Shape) -> Facts:
    """Number by number, or across the maps of one position: the shape stays."""
    return Facts(output=shape)


def batchnorm(values: Settings, shape: Shape) -> Facts:
    """A scale and a shift for each map (or number of a vector), running mean and variance."""
    count = (shape[0],)
    return Facts(
        output=shape,
        parameters=(Tensor("weight", count), Tensor("bias", count)),
        buffers=(Tensor("running_mean", count), Tensor("running_var", count)),
    )


def lrn(values: Settings, shape: Shape) -> Facts:
    """Across neighbouring maps at one position."""
    if len(shape) != 3:
        raise Misfit(
            "it normalises across maps C×H×W, not in a vector",
            "put it before flatten, or use batchnorm",
        )
    return Facts(output=shape)


def flatten(values: Settings, shape: Shape) -> Facts:
    """Maps as one vector: channel, row, column."""
    return Facts(output=(prod(shape),), field=lambda field: field.scatter())


def reshape(values: Settings, shape: Shape) -> Facts:
    """The same numbers, in the same order, in another shape."""
    output = values.maps("shape")
    if prod(output) != prod(shape):
        have, want = prod(shape), prod(output)
        first = f"dense {want}" if len(shape) == 1 else f"flatten | dense {want}"
        raise Misfit(
            f"{'·'.join(map(str, output))} = {want} numbers are wanted, {have} come in",
            f"take reshape {have}x1x1 or sizes with the product {have}, or put {first} before it",
        )
    check_numbers(output)
    stays = output == shape
    return Facts(output=output, field=lambda field: field if stays else field.regrid())
