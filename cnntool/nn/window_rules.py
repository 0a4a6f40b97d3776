"""Rules of the layers whose weights slide over maps: convolutions of every kind.

Symbols: C maps of H×W come in, O filters of kh×kw, g groups, oh×ow positions come out.
"""

from __future__ import annotations

from math import prod

from cnntool.nn.facts import Facts, Misfit, Shape, Tensor, check_numbers, maps
from cnntool.nn.settings import Settings
from cnntool.nn.windows import Window, conv_window, deconv_window


def weights(
    bias: bool, weight: tuple[int, ...], outputs: int, name: str = ""
) -> tuple[Tensor, ...]:
    """A weight array and, if wanted, one bias for each of ``outputs``."""
    found = (Tensor(f"{name}weight", weight),)
    return (*found, Tensor(f"{name}bias", (outputs,))) if bias else found


def _window(values: Settings, size: tuple[int, int]) -> Window:
    return conv_window(
        size,
        values.pair("kernel"),
        values.pair("stride"),
        values.sides("pad"),
        values.pair("dilation"),
    )


def _facts(
    shape: Shape,
    channels: int,
    window: Window,
    parameters: tuple[Tensor, ...],
    *,
    macs: int,
    extra: int = 0,
    biases: int = 0,
) -> Facts:
    """What all of them share.

    Args:
        shape: Of the input.
        channels: Maps that come out.
        window: Where they come from.
        parameters: All arrays.
        macs: Multiplications of the weights that slide; without sharing each would need its own.
        extra: Multiplications that find offsets.
        biases: How many biases there would be without sharing.
    """
    output = (channels, *window.out)
    check_numbers(output)
    return Facts(
        output=output,
        parameters=parameters,
        macs=macs + extra,
        kernel=window.kernel,
        stride=window.stride,
        padding=window.padding,
        field=window.slide,
        dense=prod(output) * (prod(shape) + bool(biases)),
        local=macs + biases,
    )


def _check_groups(groups: int, c: int, out: int) -> None:
    if c % groups or out % groups:
        which = f"the {c} maps of its input" if c % groups else f"its {out} filters"
        count = c if c % groups else out
        near = max(n for n in range(1, groups) if c % n == 0 and out % n == 0)
        raise Misfit(
            f"groups={groups} does not divide {which}: {count} = {count // groups}·{groups} + "
            f"{count % groups}",
            f"take groups={near}, or a number of maps that {groups} divides",
        )


def conv(values: Settings, shape: Shape) -> Facts:
    """Convolution (cross-correlation): O×(C/g)×kh×kw weights.

    With ``depth`` a filter spans that many of the C maps and slides along them by ``dstride``:
    every filter gives D = floor((C - depth)/dstride) + 1 maps, those of filter 0 come first. So
    O·D maps come out of O×depth×kh×kw weights and O biases.
    """
    c, h, w = maps(shape)
    out, groups, depth = values.whole("out"), values.whole("groups"), values.whole("depth")
    window = _window(values, (h, w))
    if depth > c:
        raise Misfit(
            f"filters of depth={depth} do not fit the {c} maps of its input: "
            f"({c} - {depth})/{values.whole('dstride')} + 1 is less than 1",
            f"take depth={c} at most, or leave depth out",
        )
    if depth:
        per_filter, slices = depth, (c - depth) // values.whole("dstride") + 1
    else:
        _check_groups(groups, c, out)
        per_filter, slices = c // groups, 1
    channels = out * slices
    positions = channels * prod(window.out)
    return _facts(
        shape,
        channels,
        window,
        weights(values.flag("bias"), (out, per_filter, *window.kernel), out),
        macs=positions * per_filter * window.taps,
        biases=positions * values.flag("bias"),
    )


def deconv(values: Settings, shape: Shape) -> Facts:
    """Transposed convolution: C×(O/g)×kh×kw weights, each input adds a kernel to the output."""
    c, h, w = maps(shape)
    out, groups = values.whole("out"), values.whole("groups")
    kernel, stride, dilation = values.pair("kernel"), values.pair("stride"), values.pair("dilation")
    window = deconv_window(
        (h, w), kernel, stride, values.sides("pad"), dilation, values.pair("outpad")
    )
    _check_groups(groups, c, out)
    output = (out, *window.out)
    check_numbers(output)
    bias = values.flag("bias")
    macs = c * h * w * (out // groups) * window.taps
    return Facts(
        output=output,
        parameters=weights(bias, (c, out // groups, *kernel), out),
        macs=macs,
        kernel=kernel,
        stride=stride,
        padding=window.padding,
        field=lambda field: field.spread(kernel, stride, window.before, dilation),
        dense=prod(output) * (prod(shape) + bias),
        local=macs + prod(output) * bias,
    )


def depthwise(values: Settings, shape: Shape) -> Facts:
    """One filter a map: C×1×kh×kw weights, C maps come out."""
    c, h, w = maps(shape)
    window = _window(values, (h, w))
    positions = c * prod(window.out)
    return _facts(
        shape,
        c,
        window,
        weights(values.flag("bias"), (c, 1, *window.kernel), c),
        macs=positions * window.taps,
        biases=positions * values.flag("bias"),
    )


def separable(values: Settings, shape: Shape) -> Facts:
    """A depthwise convolution, then one of 1×1 to O maps; both have a bias, or neither."""
    c, h, w = maps(shape)
    out, bias = values.whole("out"), values.flag("bias")
    window = _window(values, (h, w))
    pixels = prod(window.out)
    return _facts(
        shape,
        out,
        window,
        (
            *weights(bias, (c, 1, *window.kernel), c, "depthwise."),
            *weights(bias, (out, c, 1, 1), out, "pointwise."),
        ),
        macs=pixels * c * (window.taps + out),
        biases=pixels * (c + out) * bias,
    )


def local(values: Settings, shape: Shape) -> Facts:
    """A convolution that shares no weights: O×C×kh×kw×oh×ow of them, O×oh×ow biases."""
    c, h, w = maps(shape)
    out, bias = values.whole("out"), values.flag("bias")
    window = _window(values, (h, w))
    weight = Tensor("weight", (out, c, *window.kernel, *window.out))
    biases = Tensor("bias", (out, *window.out))
    return _facts(
        shape,
        out,
        window,
        (weight, biases) if bias else (weight,),
        macs=weight.size,
        biases=biases.size * bias,
    )


def deform(values: Settings, shape: Shape) -> Facts:
    """A convolution whose taps read beside their places.

    ``offsets=learned``: 2·kh·kw numbers for the layer, a row and a column offset for each tap in
    turn. ``offsets=predicted``: a convolution of all C maps to 2·kh·kw maps, always with a bias,
    says so for every position. The receptive field is that of the taps at rest.
    """
    c, h, w = maps(shape)
    out, groups = values.whole("out"), values.whole("groups")
    window = _window(values, (h, w))
    _check_groups(groups, c, out)
    coordinates = 2 * window.taps
    predicted = values.word("offsets") == "predicted"
    if predicted:
        offsets = weights(True, (coordinates, c, *window.kernel), coordinates, "offset.")
    else:
        offsets = (Tensor("offset", (coordinates,)),)
    pixels = prod(window.out)
    return _facts(
        shape,
        out,
        window,
        (*weights(values.flag("bias"), (out, c // groups, *window.kernel), out), *offsets),
        macs=pixels * out * (c // groups) * window.taps,
        extra=pixels * coordinates * c * window.taps if predicted else 0,
        biases=pixels * out * values.flag("bias"),
    )
