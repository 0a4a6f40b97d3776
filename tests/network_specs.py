"""Networks to test the engine with: random small ones as texts, and narrow copies of large ones."""

import dataclasses
import math

import numpy as np
from hypothesis import strategies as st

from cnntool.errors import SpecError
from cnntool.nn import nodes, parse, trace
from cnntool.nn.network import Network
from cnntool.nn.run import Run

MOST_NUMBERS = 600  # of one input's maps anywhere in a random network

KEEPING = (
    "conv {out} 3 pad=1 | relu",
    "conv {out} 3 pad=1 bias=no | batchnorm | relu",
    "conv {out} 3x2 pad=same padmode=reflect | batchnorm",
    "conv {out} 1",
    "conv {maps} 3 pad=1 groups={maps} | relu",
    "conv {out} 2x3 pad=2:1:0:1 dilation=2x1",
    "depthwise 3 pad=1",
    "separable {out} 2x3 pad=same bias=no",
    "maxpool 3 1 pad=1",
    "local {out} 3 pad=1",
    "batchnorm",
    "dropout 0.3",
    "relu",
    "leakyrelu 0.2",
    "tanh",
    "lrn 3",
)
"""Layers that change the number of maps, but not their size."""

SIZING = (
    "conv {out} 3 | relu | maxpool 2",
    "conv {out} 2x3 pad=1 | relu | maxpool 2x3",
    "conv {out} 3x2 2x1 pad=1:0:1:2 | relu",
    "conv {out} 3 pad=1 | relu | maxpool 3 2",
    "deconv {out} 2 2 pad=0:1:0:0",
    "maxpool 3 2 pad=1 ceil=yes",
    "avgpool 2",
    "sumpool 2x1",
    "upsample 2x1 mode=bilinear",
    "pad 1:0:2:1",
)
"""Layers that change the size of maps too."""

TAILS = (
    "",
    "flatten | dense 5 | relu | dense 3",
    "globalavgpool | flatten | dense 4 bias=no",
    "flatten | dropout 0.4 | dense 3 | softmax",
    "adaptiveavgpool 2x1 | reshape 1x2x{maps} | sigmoid",
)


def shape_of(text, shape):
    """The output for an input, or None where it does not fit or becomes too large."""
    try:
        found = trace(parse(text), shape)
    except SpecError:
        return None
    largest = max(math.prod(row.output) for row in found.rows)
    return found.output if largest <= MOST_NUMBERS else None


@st.composite
def _chain(draw, shape, depth, *, keeps=False):
    """(text, output) of up to four steps; ``depth`` tells how often joints may be nested."""
    kinds = ["keeping"] + ["sizing"] * (not keeps) + ["joint"] * (depth > 0)
    steps = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(kinds))
        if kind == "joint":
            text = draw(_joint(shape, depth - 1))
        else:
            text = draw(st.sampled_from(KEEPING if kind == "keeping" else SIZING))
            text = text.format(out=draw(st.integers(1, 5)), maps=shape[0])
        found = shape_of(text, shape)
        if found is not None:
            steps.append(text)
            shape = found
    return " | ".join(steps) or "relu", shape


@st.composite
def _joint(draw, shape, depth):
    """Two ways from one input, as text; it may not fit."""
    kind = draw(st.sampled_from(("pooled", "concat", "skip", "down", "shortcut", "residual")))
    body, inner = draw(_chain(shape, depth, keeps=True))
    if kind == "residual":
        return f"residual({body} | conv {shape[0]} 1)" + draw(st.sampled_from((" | relu", "")))
    if kind == "shortcut":
        short = draw(st.sampled_from(("conv {} 1", "conv {} 1 bias=no | batchnorm")))
        return f"residual({body}, {short.format(inner[0])}) | relu"
    if kind == "concat":
        other, _ = draw(_chain(shape, depth, keeps=True))
        return f"concat({body}, {other}, maxpool 3 1 pad=1)"
    if kind == "skip":
        return f"skip({body})"
    if kind == "down":
        return f"skip(maxpool 2 | conv {inner[0]} 3 pad=1 | relu | upsample 2)"
    return f"pooled 2 ({body} | conv {shape[0]} 1)"


@st.composite
def networks(draw):
    """(specification, shape of an input) of a small network that fits together."""
    shape = draw(st.sampled_from([(1, 8, 9), (2, 10, 7), (3, 6, 8), (2, 9, 11)]))
    body, found = draw(_chain(shape, 2))
    tail = draw(st.sampled_from(TAILS)).format(maps=found[0])
    text = f"{body} | {tail}" if tail else body
    return (text if shape_of(text, shape) else body), shape


def filled(text, shape, seed=0, *, dtype=np.float64, fuse=True, chain=None):
    """A network whose weights, statistics included, all differ and are far from zero."""
    net = Network(chain or parse(text), shape, dtype=dtype, fuse=fuse)
    rng = np.random.default_rng(seed)
    net.load({
        name: rng.uniform(0.5, 2, array.shape) if name.endswith("running_var")
        else rng.standard_normal(array.shape) / max(1, math.prod(array.shape[1:])) ** 0.5
        for name, array in net.state().items()
    })  # fmt: skip
    return net


def passed(net, x, grad_y=None, *, input_gradient=True, flat=None, **options):
    """A training pass: output, gradient of the input, gradients of the parameters (flat).

    Statistics are not recorded, so each pass is the same function of its arguments.
    """
    tensors = net.tensors if flat is None else net.tensors | net.views(flat)
    gradients = np.full(net.parameters.shape, np.nan, net.dtype)
    run = Run(
        tensors=tensors,
        gradients=net.views(gradients),
        keeps_statistics=False,
        input_gradient=input_gradient,
        seed=3,
        step=4,
        **{"training": True, **options},
    )
    before = x.copy()
    y, backward = net.forward(x, run)
    grad_x = backward(np.array(np.ones_like(y) if grad_y is None else grad_y))
    assert np.array_equal(x, before)
    return y, grad_x, gradients


def narrow(node, classes, share=16):
    """The same with 1/``share`` of the maps, and fewer hidden numbers still."""
    if isinstance(node, nodes.Chain):
        items = tuple(narrow(item, classes, share) for item in node.items)
        return dataclasses.replace(node, items=items)
    if isinstance(node, nodes.Layer):
        given = dict(node.given)
        out = given.get("out")
        if out is None or out == classes:
            return node
        given["out"] = max(2, out // (share * share if node.word == "dense" else share))
        return dataclasses.replace(node, given=tuple(given.items()))
    if isinstance(node, nodes.Concat):
        parts = tuple(narrow(part, classes, share) for part in node.branches)
        return dataclasses.replace(node, branches=parts)
    if isinstance(node, nodes.Residual):
        short = node.shortcut and narrow(node.shortcut, classes, share)
        return dataclasses.replace(node, main=narrow(node.main, classes, share), shortcut=short)
    return dataclasses.replace(node, body=narrow(node.body, classes, share))
