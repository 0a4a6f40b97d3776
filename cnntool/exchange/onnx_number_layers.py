"""Operators of ONNX that work number by number, or map by map, and products, as layers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from cnntool.exchange.onnx_reading import Node
from cnntool.exchange.onnx_translation import Array, Translation, arrays, as_float, short
from cnntool.exchange.onnx_windows import mean_shares
from cnntool.exchange.structure import Piece, Value
from cnntool.nn.facts import times
from cnntool.nn.layer_values import layer, settings


def relu(t: Translation, node: Node) -> None:
    """Operators that are a layer without settings."""
    t.put(node, t.value(node), Piece(layer(node.operator)))


def clip(t: Translation, node: Node) -> None:
    """Clip: relu, relu6, or nothing at all."""
    low, high = (
        node.attributes.get(name, default)
        if (given := t.constant(node, place, name)) is None
        else float(given)
        for place, name, default in ((1, "min", -np.inf), (2, "max", np.inf))
    )
    largest = float(np.finfo(np.float32).max)
    word = {(0.0, 6.0): "relu6", (0.0, np.inf): "relu"}.get(
        (float(low), np.inf if high >= largest else float(high))
    )
    if word is None:
        raise t.refused(node, f"clips to {low:g}..{high:g}; layers clip to 0..6, or at 0")
    t.put(node, t.value(node), Piece(layer(word)))


def leakyrelu(t: Translation, node: Node) -> None:
    """LeakyRelu."""
    slope = short(node.attributes.get("alpha", 0.01))
    t.put(node, t.value(node), Piece(layer("leakyrelu", slope=slope)))


def prelu(t: Translation, node: Node) -> None:
    """PRelu, where all slopes are one."""
    slopes = np.unique(t.needed(node, 1, "slopes"))
    if len(slopes) != 1 or not 0 <= slopes[0] <= 1000:
        raise t.refused(node, "has several slopes, or one below 0; leakyrelu has one")
    t.put(node, t.value(node), Piece(layer("leakyrelu", slope=short(slopes[0]))))


def softmax(t: Translation, node: Node) -> None:
    """Softmax over the maps, or over a vector."""
    x = t.value(node)
    axis = int(node.attributes.get("axis", -1 if t.file.opset >= 13 else 1))
    rank = len(x.shape) + 1
    flat = t.file.opset < 13 and axis % rank == 1  # over all axes from there on
    if not (axis % rank == 1 and (not flat or prod(x.shape[1:]) == 1)):
        raise t.refused(node, f"works along axis {axis} of {rank}; layers along the maps")
    t.put(node, x, Piece(layer("softmax")))


def dropout(t: Translation, node: Node) -> None:
    """Dropout, kept for those who train on."""
    given = t.constant(node, 1, "ratio")
    share = float(node.attributes.get("ratio", 0.5) if given is None else given)
    t.put(node, t.value(node), Piece(layer("dropout", p=short(share))))


def batchnorm(t: Translation, node: Node) -> None:
    """BatchNormalization."""
    x = t.value(node)
    if node.attributes.get("training_mode", 0) or len([n for n in node.outputs if n]) > 1:
        raise t.refused(node, "computes statistics; export the network for prediction")
    names = ("weight", "bias", "running_mean", "running_var")
    given = {name: t.needed(node, k, name) for k, name in enumerate(names, start=1)}
    eps = short(node.attributes.get("epsilon", 1e-5))
    t.put(node, x, Piece(layer("batchnorm", eps=eps), arrays(**given)))


def lrn(t: Translation, node: Node) -> None:
    """LRN of an odd size: ONNX and torch see other neighbours of an even one."""
    size = int(node.attributes["size"])
    if size % 2 == 0:
        raise t.refused(node, f"has the even size {size}; lrn sees other neighbours then")
    names = (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    alpha, beta, k = (short(node.attributes.get(name, default)) for name, default in names)
    t.put(node, t.maps(node), Piece(layer("lrn", size=size, alpha=alpha, beta=beta, k=k)))


def gemm(t: Translation, node: Node) -> None:
    """Gemm: a dense layer, its factors multiplied in."""
    x, weight = t.value(node), t.needed(node, 1, "weights")
    if node.attributes.get("transA", 0) or weight.ndim != 2:
        raise t.refused(node, "is a product of other matrices than inputs and weights")
    bias = t.constant(node, 2, "bias")
    weight = weight if node.attributes.get("transB", 0) else weight.T
    weight = weight * weight.dtype.type(node.attributes.get("alpha", 1.0))
    if bias is not None:
        bias = bias * bias.dtype.type(node.attributes.get("beta", 1.0))
    dense(t, node, x, weight, bias)


def matmul(t: Translation, node: Node) -> None:
    """MatMul with weights: a dense layer without bias, or shares of pixels of maps."""
    if _averages(t, node):
        return
    weight = t.needed(node, 1, "weights")
    if weight.ndim != 2:
        raise t.refused(node, f"multiplies by an array of {weight.ndim} axes; dense by two")
    dense(t, node, t.value(node), weight.T, None)


def _averages(t: Translation, node: Node) -> bool:
    """Whether a product takes the means of rows or of columns, as adaptive pooling is written."""
    place = 0 if node.inputs[0] in t.values else 1
    x, shares = t.value(node, place), t.constant(node, 1 - place, "weights")
    axis = 2 if place == 0 else 1
    if len(x.shape) != 3 or shares is None or shares.ndim != 2:
        return False
    shares = shares.T if axis == 2 else shares
    out, size = shares.shape
    if size != x.shape[axis] or not np.allclose(shares, mean_shares(size, out), atol=1e-6):
        return False
    sizes = [x.shape[1], x.shape[2]]
    sizes[axis - 1] = out
    piece = Piece(layer("adaptiveavgpool", size=tuple(sizes)))
    before = t.alone(node, place)
    if before is not None and before.pieces[-1].layer.word == "adaptiveavgpool":
        before.pieces[-1] = piece  # of the other axis
        before.shape = (x.shape[0], *sizes)
        t.rename(node, place, before)
    else:
        t.put(node, x, piece)
    return True


def dense(t: Translation, node: Node, x: Value, weight: Array, bias: Array | None) -> None:
    """A dense layer on a vector, or on maps of one pixel."""
    pieces = []
    if len(x.shape) == 3 and prod(x.shape[1:]) == 1 and node.operator != "MatMul":
        pieces.append(Piece(layer("flatten")))
    elif len(x.shape) != 1:
        raise t.refused(node, f"gets {times(x.shape)}; dense takes vectors")
    out = weight.shape[0]
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1) if bias.size > 1 else bias, (out,))
    made = layer("dense", out=out, bias=bias is not None)
    t.put(node, x, *pieces, Piece(made, arrays(weight=weight, bias=bias)))


def add(t: Translation, node: Node) -> None:
    """Add: a sum of two values, or a number for each map."""
    if all(name in t.values for name in node.inputs):
        a, b = (t.value(node, place) for place in range(2))
        if a.shape != b.shape:
            raise t.refused(
                node, f"adds {times(a.shape)} and {times(b.shape)}; residual adds equal shapes"
            )
        if a is b:
            affine(t, node, a, np.float32(2.0), np.float32(0.0))
            return
        found = Value(a.shape, (a, b), join="add", label=node.outputs[0])
        t.values[node.outputs[0]] = found
        return
    place = 0 if node.inputs[0] in t.values else 1
    x, added = t.value(node, place), t.needed(node, 1 - place, "summand")
    bare = t.alone(node, place)
    if bare is not None and _gets_bias(t, node, bare, added):
        t.rename(node, place, bare)
        return
    affine(t, node, x, np.float32(1.0), added)


def _gets_bias(t: Translation, node: Node, x: Value, added: Array) -> bool:
    """Give a layer without bias the numbers that are added to it."""
    *others, last = x.pieces
    given = settings(last.layer)
    if last.layer.word not in ("conv", "deconv", "depthwise", "dense") or given.flag("bias"):
        return False
    bias = _each_map(t, node, x, added)
    made = layer(last.layer.word, **{**dict(last.layer.given), "bias": True})
    x.pieces = [*others, Piece(made, {**last.weights, "bias": as_float(bias)})]
    return True


def total(t: Translation, node: Node) -> None:
    """Sum of any number of values."""
    if len(node.inputs) == 1:
        t.passes(node)
        return
    found = t.value(node)
    for place in range(1, len(node.inputs)):
        other = t.value(node, place)
        if other.shape != found.shape:
            raise t.refused(
                node, f"adds {times(found.shape)} and {times(other.shape)}, which differ"
            )
        found = Value(found.shape, (found, other), join="add", label=node.outputs[0])
    t.values[node.outputs[0]] = found


def subtract(t: Translation, node: Node) -> None:
    """Sub of a number for each map."""
    if node.inputs[0] in t.values:
        taken = t.needed(node, 1, "subtrahend")
        affine(t, node, t.value(node), np.float32(1.0), -taken)
    else:
        whole = t.needed(node, 0, "minuend")
        affine(t, node, t.value(node, 1), np.float32(-1.0), whole)


def multiply(t: Translation, node: Node) -> None:
    """Mul by a number for each map."""
    if all(name in t.values for name in node.inputs):
        raise t.refused(
            node,
            "multiplies two values (as squeeze-and-excitation and gates do); no layer does",
        )
    place = 0 if node.inputs[0] in t.values else 1
    factor = t.needed(node, 1 - place, "factor")
    affine(t, node, t.value(node, place), factor, np.float32(0.0))


def divide(t: Translation, node: Node) -> None:
    """Div by a number for each map."""
    if node.inputs[0] not in t.values:
        raise t.refused(node, "divides by a value; layers divide by constants")
    divisor = t.needed(node, 1, "divisor")
    if not np.all(divisor):
        raise t.refused(node, "divides by zero")
    affine(t, node, t.value(node), 1 / divisor, np.float32(0.0))


def affine(
    t: Translation, node: Node, x: Value, factor: Array | np.float32, shift: Array | np.float32
) -> None:
    """A factor and a summand for each map: a batch normalisation of trivial statistics."""
    factors, shifts = (_each_map(t, node, x, np.asarray(v)) for v in (factor, shift))
    place = next(k for k, name in enumerate(node.inputs) if name in t.values)
    before = t.alone(node, place)
    if before is x and len(x.pieces) == 1 and isinstance(x.pieces[0], _Affine):
        old = x.pieces[0]
        x.pieces = [_Affine.of(old.factor * factors, old.shift * factors + shifts)]
        t.rename(node, place, x)
        return
    t.put(node, x, _Affine.of(factors, shifts))


def _each_map(t: Translation, node: Node, x: Value, numbers: Array) -> NDArray[np.float64]:
    """One number for each map, from an array that ONNX would spread over the value."""
    values = np.asarray(numbers, np.float64)
    rank = len(x.shape) + 1
    shape = (1,) * (rank - values.ndim) + values.shape
    count = x.shape[0]
    if len(shape) != rank or shape[0] != 1 or shape[1] not in (1, count) or prod(shape[2:]) != 1:
        raise t.refused(
            node,
            f"has constants of {values.shape} for {times(x.shape)}; layers have one for each map",
        )
    return np.broadcast_to(values.reshape(-1), (count,)).copy()


@dataclass(frozen=True, slots=True, eq=False)
class _Affine(Piece):
    """A batch normalisation that is a factor and a summand.

    Attributes:
        factor: One for each map.
        shift: One for each map.
    """

    factor: NDArray[np.float64] = None  # type: ignore[assignment]
    shift: NDArray[np.float64] = None  # type: ignore[assignment]

    @classmethod
    def of(cls, factor: NDArray[np.float64], shift: NDArray[np.float64]) -> _Affine:
        """The layer: mean 0, and a variance that is 1 with what is added to it."""
        eps = 1e-5
        weights = arrays(
            weight=factor,
            bias=shift,
            running_mean=np.zeros(len(factor)),
            running_var=np.full(len(factor), 1 - eps),
        )
        return cls(layer("batchnorm"), weights, factor, shift)
