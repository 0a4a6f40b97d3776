"""ONNX operators as layers of the specification language, with their arrays.

A method for each operator, in the order of the file. What an operator does that no layer does is
refused in one line that names it and says what would work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import ModelFileError, SpecError
from cnntool.exchange.onnx_folding import NotFolded, fold
from cnntool.exchange.onnx_reading import Node, OnnxFile, needed
from cnntool.exchange.structure import ITSELF, Piece, Value, Weights
from cnntool.geometry import extent, same_padding
from cnntool.grammar import shown
from cnntool.nn.facts import Misfit, Shape, times
from cnntool.nn.layer_values import layer, settings
from cnntool.nn.layer_words import LAYERS
from cnntool.nn.nodes import Layer, Value as Setting

Array = NDArray[Any]

BATCH = 7919
"""Stands for an open batch where exporters compute shapes: no size of a layer is likely to be it."""

_ADVICE = {
    "HardSwish": "train it with relu or relu6",
    "HardSigmoid": "train it with sigmoid",
    "Gelu": "train it with relu",
    "Erf": "train it with relu instead of gelu",
    "Elu": "train it with leakyrelu",
    "Selu": "train it with leakyrelu",
    "Softplus": "train it with relu",
    "LogSoftmax": "cut it off: cnntool takes the softmax itself",
    "InstanceNormalization": "train it with batch normalisation",
    "GroupNormalization": "train it with batch normalisation",
    "LayerNormalization": "train it with batch normalisation",
    "DequantizeLinear": "export the network before it is quantised",
    "QuantizeLinear": "export the network before it is quantised",
    "QLinearConv": "export the network before it is quantised",
    "ConvInteger": "export the network before it is quantised",
    "DynamicQuantizeLinear": "export the network before it is quantised",
    "Loop": "export it unrolled",
    "If": "export it for prediction only",
    "Scan": "export it unrolled",
    "LSTM": "cnntool has no recurrent layers",
    "GRU": "cnntool has no recurrent layers",
    "Attention": "cnntool has no attention",
}
_SUPPORTED = (
    "Conv, ConvTranspose, BatchNormalization, Gemm, MatMul, Relu, Clip, LeakyRelu, Sigmoid, Tanh, "
    "Softmax, pooling, Add, Concat, Flatten, Reshape, Resize, Pad, LRN, Dropout"
)


@dataclass(frozen=True, slots=True)
class Translated:
    """A file as values.

    Attributes:
        start: The input.
        output: The output.
        last: Whether the file takes channels last.
    """

    start: Value
    output: Value
    last: bool


class Translation:
    """Goes through the operators of a file.

    Args:
        file: The file.
        shape: Sizes of the input, all known.
        where: What messages call the file.
    """

    def __init__(self, file: OnnxFile, shape: Shape, where: str) -> None:
        self.file, self.where = file, where
        self.batch = file.batch or BATCH
        self.nodes = tuple(needed(file.nodes, file.output))
        self.uses = Counter(name for node in self.nodes for name in node.inputs if name)
        self.constants: dict[str, Array] = dict(file.arrays)
        self.start = Value(shape, label=file.input)
        self.values: dict[str, Value] = {file.input: self.start}
        self.places: dict[str, Value] = {}
        self.stacks: dict[tuple[int, ...], Value] = {}
        self.last = False
        if self._begins_with_channels_last():
            self.start.shape = (shape[2], shape[0], shape[1])
            self.last = True

    def run(self) -> Translated:
        """All operators.

        Raises:
            ModelFileError: One of them is no layer.
        """
        for node in self.nodes:
            self._step(node)
        if self.file.output not in self.values:
            raise ModelFileError(f"{self.where}: its output does not depend on its input")
        return Translated(self.start, self.values[self.file.output], self.last)

    def _step(self, node: Node) -> None:
        if node.operator == "Shape" and node.inputs[0] in self.values:
            shape = (self.batch, *self.values[node.inputs[0]].shape)
            start, end = node.attributes.get("start", 0), node.attributes.get("end")
            self.constants[node.outputs[0]] = np.array(shape, np.int64)[start:end]
            return
        if not any(name in self.values for name in node.inputs):
            self._fold(node)
            return
        method = _METHODS.get(node.operator)
        if method is None:
            advice = _ADVICE.get(node.operator, f"known are {_SUPPORTED}")
            raise self.refused(node, f"which no layer does; {advice}")
        try:
            method(self, node)
        except SpecError as error:
            raise self.refused(node, f"out of the range of layers: {error}") from error
        except Misfit as error:
            raise self.refused(node, str(error)) from error

    def _fold(self, node: Node) -> None:
        inputs = [self.constants.get(name) if name else None for name in node.inputs]
        missing = [n for n in node.inputs if n and n not in self.constants]
        if missing:
            raise self.refused(node, f"reads '{shown(missing[0], 40)}', which nothing gives")
        try:
            self.constants[node.outputs[0]] = fold(node, inputs)
        except NotFolded as error:
            raise self.refused(node, f"{error}; let the exporter fold constants") from error

    # ------------------------------------------------------------------------------------- tools
    def refused(self, node: Node, reason: str) -> ModelFileError:
        """An error that names the operator."""
        return ModelFileError(f"{self.where}: {node}: {reason}")

    def value(self, node: Node, place: int = 0) -> Value:
        """An input that flows."""
        if len(node.inputs) <= place or node.inputs[place] not in self.values:
            raise self.refused(node, "takes constants where a network has values")
        return self.values[node.inputs[place]]

    def constant(self, node: Node, place: int, name: str) -> Array | None:
        """An input that is an array; None where it is left out."""
        if len(node.inputs) <= place or not node.inputs[place]:
            return None
        if node.inputs[place] not in self.constants:
            raise self.refused(node, f"its {name} is computed from the input; it must be constant")
        return self.constants[node.inputs[place]]

    def needed(self, node: Node, place: int, name: str) -> Array:
        """An array that must be there."""
        found = self.constant(node, place, name)
        if found is None:
            raise self.refused(node, f"its {name} is missing")
        return found

    def maps(self, node: Node, place: int = 0) -> Value:
        """An input that must be maps."""
        x = self.value(node, place)
        if len(x.shape) != 3:
            raise self.refused(node, f"gets {times(x.shape)}; layers with windows take maps")
        return x

    def put(self, node: Node, x: Value, *pieces: Piece) -> Value:
        """The output, which layers make of one value."""
        shape = x.shape
        for piece in pieces:
            facts = LAYERS[piece.layer.word].rule(settings(piece.layer), shape)
            for tensor in (*facts.parameters, *facts.buffers):
                found = piece.weights[tensor.name].shape
                if found != tensor.shape:
                    raise self.refused(
                        node, f"its {tensor.name} is {found}, where {tensor.shape} is needed"
                    )
            shape = facts.output
        found = Value(shape, (x,), list(pieces), label=node.outputs[0]) if pieces else x
        self.values[node.outputs[0]] = found
        return found

    def passes(self, node: Node) -> None:
        """The output is the input."""
        self.put(node, self.value(node))

    def alone(self, node: Node, place: int) -> Value | None:
        """An input that nothing else reads: its last layer may be changed."""
        name = node.inputs[place]
        x = self.values.get(name)
        if x is None or self.uses[name] > 1 or not x.pieces:
            return None
        names = [other for other, value in self.values.items() if value is x]
        return x if names == [name] else None

    def rename(self, node: Node, place: int, x: Value) -> None:
        """The output is an input that was changed and has no other reader."""
        del self.values[node.inputs[place]]
        self.values[node.outputs[0]] = x

    # ------------------------------------------------------------------------------- convolutions
    def conv(self, node: Node) -> None:
        """Conv."""
        x, weight = self.maps(node), self.needed(node, 1, "weights")
        if weight.ndim != 4:
            raise self.refused(node, f"slides along {weight.ndim - 2} axes; layers along two")
        bias = self.constant(node, 2, "bias")
        groups = int(node.attributes.get("group", 1))
        values = self._window(node, x, weight.shape[2:])
        if groups > 1 and groups == x.shape[0] == weight.shape[0]:
            made = layer("depthwise", **values, bias=bias is not None)
        else:
            out = weight.shape[0]
            made = layer("conv", out=out, **values, groups=groups, bias=bias is not None)
        self.put(node, x, Piece(made, _arrays(weight=weight, bias=bias)))

    def deconv(self, node: Node) -> None:
        """ConvTranspose."""
        x, weight = self.maps(node), self.needed(node, 1, "weights")
        if weight.ndim != 4:
            raise self.refused(node, f"slides along {weight.ndim - 2} axes; layers along two")
        if "output_shape" in node.attributes:
            raise self.refused(node, "gives its output_shape; export it with pads")
        bias = self.constant(node, 2, "bias")
        groups = int(node.attributes.get("group", 1))
        values = self._window(node, x, weight.shape[2:])
        more = _pair(node.attributes.get("output_padding", [0, 0]))
        if values["pad"] != "same":
            values["outpad"] = more
        made = layer(
            "deconv", out=weight.shape[1] * groups, **values, groups=groups, bias=bias is not None
        )
        self.put(node, x, Piece(made, _arrays(weight=weight, bias=bias)))

    def _window(self, node: Node, x: Value, kernel: tuple[int, ...]) -> dict[str, Setting]:
        """Kernel, stride, dilation and padding."""
        size = _pair(kernel)
        told = node.attributes.get("kernel_shape", list(kernel))
        if list(told) != list(kernel):
            raise self.refused(node, f"its kernel_shape {told} is not that of its weights {kernel}")
        stride = _pair(node.attributes.get("strides", [1, 1]))
        gaps = _pair(node.attributes.get("dilations", [1, 1]))
        pad = self._padding(node, x, size, stride, gaps)
        return {"kernel": size, "stride": stride, "dilation": gaps, "pad": pad}

    def _padding(
        self,
        node: Node,
        x: Value,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        gaps: tuple[int, int],
    ) -> tuple[int, int, int, int] | str:
        """Top, right, bottom, left; or ``same``, with the odd pixel bottom and right."""
        auto = node.attributes.get("auto_pad", "NOTSET")
        if auto == "SAME_UPPER":
            return "same"
        if auto == "SAME_LOWER" and node.operator != "ConvTranspose":
            (top, bottom), (left, right) = (
                same_padding(kernel[k], gaps[k], x.shape[k + 1], stride[k]) for k in range(2)
            )
            return bottom, left, top, right
        if auto not in ("NOTSET", "VALID"):
            raise self.refused(node, f"has auto_pad {shown(str(auto), 20)}; export it with pads")
        pads = node.attributes.get("pads", [0, 0, 0, 0]) if auto == "NOTSET" else [0, 0, 0, 0]
        if len(pads) != 4:
            raise self.refused(node, f"has {len(pads)} pads; maps have four sides")
        top, left, bottom, right = (int(side) for side in pads)
        return top, right, bottom, left

    # ------------------------------------------------------------------------------------ pooling
    def maxpool(self, node: Node) -> None:
        """MaxPool, and where the maxima are for MaxUnpool."""
        if node.attributes.get("storage_order", 0):
            raise self.refused(node, "counts along columns (storage_order 1)")
        found = self.pool(node, "maxpool")
        if len(node.outputs) > 1 and self.uses[node.outputs[1]]:
            given = settings(found.pieces[0].layer)
            plain = given.pair("stride") == given.pair("kernel") and not any(
                (*given.sides("pad"), given.flag("ceil"))
            )
            if not plain or given.pair("dilation") != (1, 1):
                raise self.refused(node, "tells places of windows that overlap or are padded")
            self.places[node.outputs[1]] = found

    def avgpool(self, node: Node) -> None:
        """AveragePool."""
        self.pool(node, "avgpool", countpad=bool(node.attributes.get("count_include_pad", 0)))

    def pool(self, node: Node, word: str, **more: Setting) -> Value:
        """A pooling window."""
        x = self.maps(node)
        kernel = _pair(node.attributes["kernel_shape"])
        stride = _pair(node.attributes.get("strides", [1, 1]))
        gaps = _pair(node.attributes.get("dilations", [1, 1]))
        pad = self._padding(node, x, kernel, stride, gaps)
        ceil = bool(node.attributes.get("ceil_mode", 0))
        if word == "avgpool" and pad == (0, 0, 0, 0) and not ceil:
            more["countpad"] = True  # there is none to count, and the text stays short
        made = layer(word, kernel=kernel, stride=stride, dilation=gaps, pad=pad, ceil=ceil, **more)
        return self.put(node, x, Piece(made))

    def unpool(self, node: Node) -> None:
        """MaxUnpool: back to where a MaxPool before it found the maxima."""
        x = self.maps(node)
        pool = self.places.get(node.inputs[1])
        if pool is None or pool.shape != x.shape or pool.above is None:
            raise self.refused(node, "puts values back to places that are not those of a MaxPool")
        before = pool.above
        found = Value(before.shape, (x, before), join="unpool", label=node.outputs[0])
        self.values[node.outputs[0]] = found

    def globally(self, node: Node) -> None:
        """GlobalAveragePool and GlobalMaxPool."""
        x = self.maps(node)
        word = "globalavgpool" if node.operator == "GlobalAveragePool" else "globalmaxpool"
        self.put(node, x, Piece(layer(word)))

    def reduce(self, node: Node) -> None:
        """ReduceMean and ReduceMax over rows and columns."""
        x = self.maps(node)
        axes = self._axes(node, 1)
        if sorted(axis % 4 for axis in axes) != [2, 3]:
            raise self.refused(node, f"reduces the axes {axes}; layers reduce rows and columns")
        word = "globalavgpool" if node.operator == "ReduceMean" else "globalmaxpool"
        pieces = [Piece(layer(word))]
        if not node.attributes.get("keepdims", 1):
            pieces.append(Piece(layer("flatten")))
        self.put(node, x, *pieces)

    def _axes(self, node: Node, place: int) -> list[int]:
        """Axes that are an attribute in old opsets and an input in newer ones."""
        found = self.constant(node, place, "axes")
        return [int(n) for n in (node.attributes.get("axes", []) if found is None else found)]

    # ------------------------------------------------------------------------------- number by number
    def relu(self, node: Node) -> None:
        """Operators that are a layer without settings."""
        self.put(node, self.value(node), Piece(layer(node.operator)))

    def clip(self, node: Node) -> None:
        """Clip: relu, relu6, or nothing at all."""
        low, high = (
            node.attributes.get(name, default)
            if (given := self.constant(node, place, name)) is None
            else float(given)
            for place, name, default in ((1, "min", -np.inf), (2, "max", np.inf))
        )
        largest = float(np.finfo(np.float32).max)
        word = {(0.0, 6.0): "relu6", (0.0, np.inf): "relu"}.get(
            (float(low), np.inf if high >= largest else float(high))
        )
        if word is None:
            raise self.refused(node, f"clips to {low:g}..{high:g}; layers clip to 0..6, or at 0")
        self.put(node, self.value(node), Piece(layer(word)))

    def leakyrelu(self, node: Node) -> None:
        """LeakyRelu."""
        slope = _short(node.attributes.get("alpha", 0.01))
        self.put(node, self.value(node), Piece(layer("leakyrelu", slope=slope)))

    def prelu(self, node: Node) -> None:
        """PRelu, where all slopes are one."""
        slopes = np.unique(self.needed(node, 1, "slopes"))
        if len(slopes) != 1 or not 0 <= slopes[0] <= 1000:
            raise self.refused(node, "has several slopes, or one below 0; leakyrelu has one")
        self.put(node, self.value(node), Piece(layer("leakyrelu", slope=_short(slopes[0]))))

    def softmax(self, node: Node) -> None:
        """Softmax over the maps, or over a vector."""
        x = self.value(node)
        axis = int(node.attributes.get("axis", -1 if self.file.opset >= 13 else 1))
        rank = len(x.shape) + 1
        flat = self.file.opset < 13 and axis % rank == 1  # over all axes from there on
        if not (axis % rank == 1 and (not flat or prod(x.shape[1:]) == 1)):
            raise self.refused(node, f"works along axis {axis} of {rank}; layers along the maps")
        self.put(node, x, Piece(layer("softmax")))

    def dropout(self, node: Node) -> None:
        """Dropout, kept for those who train on."""
        given = self.constant(node, 1, "ratio")
        share = float(node.attributes.get("ratio", 0.5) if given is None else given)
        self.put(node, self.value(node), Piece(layer("dropout", p=_short(share))))

    def cast(self, node: Node) -> None:
        """Cast, of values that stay what they are."""
        self.passes(node)

    # ------------------------------------------------------------------------------------- arithmetic
    def batchnorm(self, node: Node) -> None:
        """BatchNormalization."""
        x = self.value(node)
        if node.attributes.get("training_mode", 0) or len([n for n in node.outputs if n]) > 1:
            raise self.refused(node, "computes statistics; export the network for prediction")
        names = ("weight", "bias", "running_mean", "running_var")
        arrays = {name: self.needed(node, k, name) for k, name in enumerate(names, start=1)}
        eps = _short(node.attributes.get("epsilon", 1e-5))
        self.put(node, x, Piece(layer("batchnorm", eps=eps), _arrays(**arrays)))

    def lrn(self, node: Node) -> None:
        """LRN of an odd size: ONNX and torch see other neighbours of an even one."""
        size = int(node.attributes["size"])
        if size % 2 == 0:
            raise self.refused(node, f"has the even size {size}; lrn sees other neighbours then")
        names = (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
        alpha, beta, k = (_short(node.attributes.get(name, default)) for name, default in names)
        self.put(node, self.maps(node), Piece(layer("lrn", size=size, alpha=alpha, beta=beta, k=k)))

    def gemm(self, node: Node) -> None:
        """Gemm: a dense layer, its factors multiplied in."""
        x, weight = self.value(node), self.needed(node, 1, "weights")
        if node.attributes.get("transA", 0) or weight.ndim != 2:
            raise self.refused(node, "is a product of other matrices than inputs and weights")
        bias = self.constant(node, 2, "bias")
        weight = weight if node.attributes.get("transB", 0) else weight.T
        weight = weight * weight.dtype.type(node.attributes.get("alpha", 1.0))
        if bias is not None:
            bias = bias * bias.dtype.type(node.attributes.get("beta", 1.0))
        self.dense(node, x, weight, bias)

    def matmul(self, node: Node) -> None:
        """MatMul with weights: a dense layer without bias."""
        weight = self.needed(node, 1, "weights")
        if weight.ndim != 2:
            raise self.refused(node, f"multiplies by an array of {weight.ndim} axes; dense by two")
        self.dense(node, self.value(node), weight.T, None)

    def dense(self, node: Node, x: Value, weight: Array, bias: Array | None) -> None:
        """A dense layer on a vector, or on maps of one pixel."""
        pieces = []
        if len(x.shape) == 3 and prod(x.shape[1:]) == 1 and node.operator != "MatMul":
            pieces.append(Piece(layer("flatten")))
        elif len(x.shape) != 1:
            raise self.refused(node, f"gets {times(x.shape)}; dense takes vectors")
        out = weight.shape[0]
        if bias is not None:
            bias = np.broadcast_to(bias.reshape(-1) if bias.size > 1 else bias, (out,))
        made = layer("dense", out=out, bias=bias is not None)
        self.put(node, x, *pieces, Piece(made, _arrays(weight=weight, bias=bias)))

    def add(self, node: Node) -> None:
        """Add: a sum of two values, or a number for each map."""
        if all(name in self.values for name in node.inputs):
            a, b = (self.value(node, place) for place in range(2))
            if a.shape != b.shape:
                raise self.refused(
                    node, f"adds {times(a.shape)} and {times(b.shape)}; residual adds equal shapes"
                )
            if a is b:
                self.affine(node, a, np.float32(2.0), np.float32(0.0))
                return
            found = Value(a.shape, (a, b), join="add", label=node.outputs[0])
            self.values[node.outputs[0]] = found
            return
        place = 0 if node.inputs[0] in self.values else 1
        x, added = self.value(node, place), self.needed(node, 1 - place, "summand")
        bare = self.alone(node, place)
        if bare is not None and self._gets_bias(node, bare, added):
            self.rename(node, place, bare)
            return
        self.affine(node, x, np.float32(1.0), added)

    def _gets_bias(self, node: Node, x: Value, added: Array) -> bool:
        """Give a layer without bias the numbers that are added to it."""
        *others, last = x.pieces
        given = settings(last.layer)
        if last.layer.word not in ("conv", "deconv", "depthwise", "dense") or given.flag("bias"):
            return False
        bias = self._each_map(node, x, added)
        made = layer(last.layer.word, **{**dict(last.layer.given), "bias": True})
        x.pieces = [*others, Piece(made, {**last.weights, "bias": _float(bias)})]
        return True

    def total(self, node: Node) -> None:
        """Sum of any number of values."""
        if len(node.inputs) == 1:
            self.passes(node)
            return
        found = self.value(node)
        for place in range(1, len(node.inputs)):
            other = self.value(node, place)
            if other.shape != found.shape:
                raise self.refused(
                    node, f"adds {times(found.shape)} and {times(other.shape)}, which differ"
                )
            found = Value(found.shape, (found, other), join="add", label=node.outputs[0])
        self.values[node.outputs[0]] = found

    def subtract(self, node: Node) -> None:
        """Sub of a number for each map."""
        if node.inputs[0] in self.values:
            taken = self.needed(node, 1, "subtrahend")
            self.affine(node, self.value(node), np.float32(1.0), -taken)
        else:
            whole = self.needed(node, 0, "minuend")
            self.affine(node, self.value(node, 1), np.float32(-1.0), whole)

    def multiply(self, node: Node) -> None:
        """Mul by a number for each map."""
        if all(name in self.values for name in node.inputs):
            raise self.refused(
                node,
                "multiplies two values (as squeeze-and-excitation and gates do); no layer does",
            )
        place = 0 if node.inputs[0] in self.values else 1
        factor = self.needed(node, 1 - place, "factor")
        self.affine(node, self.value(node, place), factor, np.float32(0.0))

    def divide(self, node: Node) -> None:
        """Div by a number for each map."""
        if node.inputs[0] not in self.values:
            raise self.refused(node, "divides by a value; layers divide by constants")
        divisor = self.needed(node, 1, "divisor")
        if not np.all(divisor):
            raise self.refused(node, "divides by zero")
        self.affine(node, self.value(node), 1 / divisor, np.float32(0.0))

    def affine(
        self, node: Node, x: Value, factor: Array | np.float32, shift: Array | np.float32
    ) -> None:
        """A factor and a summand for each map: a batch normalisation whose statistics are trivial."""
        factors, shifts = (self._each_map(node, x, np.asarray(v)) for v in (factor, shift))
        place = next(k for k, name in enumerate(node.inputs) if name in self.values)
        before = self.alone(node, place)
        if before is x and len(x.pieces) == 1 and isinstance(x.pieces[0], _Affine):
            old = x.pieces[0]
            x.pieces = [_Affine.of(old.factor * factors, old.shift * factors + shifts)]
            self.rename(node, place, x)
            return
        self.put(node, x, _Affine.of(factors, shifts))

    def _each_map(self, node: Node, x: Value, numbers: Array) -> NDArray[np.float64]:
        """One number for each map, from an array that ONNX would spread over the value."""
        values = np.asarray(numbers, np.float64)
        rank = len(x.shape) + 1
        shape = (1,) * (rank - values.ndim) + values.shape
        count = x.shape[0]
        if (
            len(shape) != rank
            or shape[0] != 1
            or shape[1] not in (1, count)
            or prod(shape[2:]) != 1
        ):
            raise self.refused(
                node,
                f"has constants of {values.shape} for {times(x.shape)}; layers have one for each map",
            )
        return np.broadcast_to(values.reshape(-1), (count,)).copy()

    # ----------------------------------------------------------------------------------------- shapes
    def concat(self, node: Node) -> None:
        """Concat along the maps."""
        values = [self.value(node, place) for place in range(len(node.inputs))]
        rank = len(values[0].shape) + 1
        if int(node.attributes.get("axis", 0)) % rank != 1:
            raise self.refused(node, f"joins along axis {node.attributes.get('axis', 0)}, not maps")
        if any(value.shape[1:] != values[0].shape[1:] for value in values):
            shapes = " and ".join(times(value.shape) for value in values)
            raise self.refused(node, f"joins {shapes}, whose rows and columns differ")
        for count in range(len(values) - 1, 1, -1):  # a stack that grows, as DenseNet's does
            begun = self.stacks.get(tuple(id(value) for value in values[:count]))
            if begun is not None:
                values = [begun, *values[count:]]
                break
        if len(values) == 1:
            self.passes(node)
            return
        maps = sum(value.shape[0] for value in values)
        shape = (maps, *values[0].shape[1:])
        found = Value(shape, tuple(values), join="concat", label=node.outputs[0])
        self.stacks[tuple(id(self.values[name]) for name in node.inputs)] = found
        self.values[node.outputs[0]] = found

    def flatten(self, node: Node) -> None:
        """Flatten."""
        x = self.value(node)
        if int(node.attributes.get("axis", 1)) % (len(x.shape) + 1) != 1:
            raise self.refused(node, "flattens the batch too")
        self._reshaped(node, x, (prod(x.shape),))

    def reshape(self, node: Node) -> None:
        """Reshape of what lies behind the batch."""
        x = self.value(node)
        told = node.attributes.get("shape")
        sizes = [int(n) for n in (self.needed(node, 1, "shape") if told is None else told)]
        kept, whole = node.attributes.get("allowzero", 0), (self.batch, *x.shape)
        if not kept:
            sizes = [whole[k] if n == 0 and k < len(whole) else n for k, n in enumerate(sizes)]
        rest = prod(n for n in sizes if n != -1)
        if -1 in sizes and rest > 0 and prod(whole) % rest == 0:
            sizes[sizes.index(-1)] = prod(whole) // rest
        if not sizes or sizes[0] != self.batch or prod(sizes[1:]) != prod(x.shape):
            raise self.refused(node, f"makes {sizes} of {times(x.shape)} and moves the batch")
        self._reshaped(node, x, tuple(sizes[1:]))

    def squeeze(self, node: Node) -> None:
        """Squeeze."""
        x = self.value(node)
        axes = {axis % (len(x.shape) + 1) for axis in self._axes(node, 1)}
        if 0 in axes:
            raise self.refused(node, "takes the batch away")
        shape = tuple(
            n for k, n in enumerate(x.shape, start=1) if k not in axes and (axes or n > 1)
        )
        self._reshaped(node, x, shape)

    def unsqueeze(self, node: Node) -> None:
        """Unsqueeze."""
        x, axes = self.value(node), self._axes(node, 1)
        shape = list(x.shape)
        for axis in sorted(axis % (len(x.shape) + 1 + len(axes)) for axis in axes):
            if axis == 0:
                raise self.refused(node, "puts an axis in front of the batch")
            shape.insert(axis - 1, 1)
        self._reshaped(node, x, tuple(shape))

    def _reshaped(self, node: Node, x: Value, shape: Shape) -> None:
        if shape == x.shape:
            self.put(node, x)
        elif len(shape) == 1:
            self.put(node, x, Piece(layer("flatten")))
        elif len(shape) == 3:
            self.put(node, x, Piece(layer("reshape", shape=shape)))
        else:
            raise self.refused(node, f"makes {len(shape)} axes; values here are maps or vectors")

    def transpose(self, node: Node) -> None:
        """Transpose, where only sizes of 1 move, or an input with its channels last comes in."""
        x = self.value(node)
        perm = list(node.attributes.get("perm", range(len(x.shape), -1, -1)))
        if self.last and x is self.start and perm == [0, 3, 1, 2]:
            self.put(node, x)
            return
        moved = [axis for axis in perm if axis == 0 or x.shape[axis - 1] > 1]
        if perm[:1] != [0] or moved != sorted(moved):
            raise self.refused(
                node, f"reorders axes ({perm}); export the network with channels first (NCHW)"
            )
        self._reshaped(node, x, tuple(x.shape[axis - 1] for axis in perm[1:]))

    def _begins_with_channels_last(self) -> bool:
        readers = [node for node in self.nodes if self.file.input in node.inputs]
        return (
            len(self.start.shape) == 3
            and len(readers) == 1
            and readers[0].operator == "Transpose"
            and list(readers[0].attributes.get("perm", [])) == [0, 3, 1, 2]
        )

    def pad(self, node: Node) -> None:
        """Pad of rows and columns."""
        x = self.maps(node)
        given = self.constant(node, 1, "pads")
        pads = [int(n) for n in (node.attributes.get("pads", []) if given is None else given)]
        if (axes := self.constant(node, 3, "axes")) is not None:
            whole = [0] * 8
            for place, axis in enumerate(int(n) % 4 for n in axes):
                whole[axis], whole[axis + 4] = pads[place], pads[place + len(axes)]
            pads = whole
        fill = self.constant(node, 2, "fill")
        value = float(node.attributes.get("value", 0.0) if fill is None else fill)
        mode = str(node.attributes.get("mode", "constant"))
        words = {"constant": "zeros", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}
        if len(pads) != 8 or min(pads) < 0 or any(pads[k] for k in (0, 1, 4, 5)):
            raise self.refused(
                node, f"pads by {pads}; layers pad rows and columns, and cut nothing"
            )
        if mode not in words or (mode == "constant" and value):
            raise self.refused(
                node, f"fills with {value:g} ({shown(mode, 20)}); pad fills with zeros"
            )
        sides = pads[2], pads[7], pads[6], pads[3]
        self.put(
            node, x, *([Piece(layer("pad", pad=sides, padmode=words[mode]))] if any(pads) else [])
        )

    def resize(self, node: Node) -> None:
        """Resize and Upsample by whole factors."""
        x = self.maps(node)
        scales = self._scales(node, x)
        factor = tuple(round(scale) for scale in scales)
        if factor != tuple(scales) or min(factor) < 1:
            raise self.refused(
                node, f"resizes by {scales[0]:g}×{scales[1]:g}; upsample by whole factors"
            )
        mode = str(node.attributes.get("mode", "nearest"))
        place = str(node.attributes.get("coordinate_transformation_mode", "half_pixel"))
        if node.operator == "Upsample" or self.file.opset < 11:
            place = "asymmetric"
        rounding = str(node.attributes.get("nearest_mode", "round_prefer_floor"))
        if node.operator == "Upsample" or self.file.opset < 11:
            rounding = "floor"
        nearest = (place == "asymmetric" and rounding == "floor") or (
            place in ("half_pixel", "pytorch_half_pixel") and rounding.startswith("round_prefer")
        )
        linear = place in ("half_pixel", "pytorch_half_pixel")
        if not {"nearest": nearest, "linear": linear}.get(mode, max(factor) == 1):
            raise self.refused(
                node,
                f"resizes by '{shown(mode, 20)}' and '{shown(place, 30)}'; upsample does nearest and "
                "bilinear without aligned corners",
            )
        word = "bilinear" if mode == "linear" else "nearest"
        self.put(node, x, Piece(layer("upsample", factor=factor, mode=word)))

    def _scales(self, node: Node, x: Value) -> tuple[float, float]:
        """How many times as many rows and columns."""
        old = node.operator == "Upsample" or self.file.opset < 11
        found = self.constant(node, 1 if old else 2, "scales")
        if found is None or not found.size:
            found = np.asarray(node.attributes.get("scales", []), np.float64)
        if not found.size:
            sizes = self.needed(node, 3, "sizes")
            if len(sizes) != 4:
                raise self.refused(node, "resizes other axes than rows and columns")
            return float(sizes[2]) / x.shape[1], float(sizes[3]) / x.shape[2]
        if len(found) != 4 or found[0] != 1 or found[1] != 1:
            raise self.refused(node, "resizes other axes than rows and columns")
        return float(found[2]), float(found[3])


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
        weights = _arrays(
            weight=factor,
            bias=shift,
            running_mean=np.zeros(len(factor)),
            running_var=np.full(len(factor), 1 - eps),
        )
        return cls(layer("batchnorm"), weights, factor, shift)


def _arrays(**arrays: Array | None) -> Weights:
    """Arrays as float32, those that are left out left out."""
    return {name: _float(array) for name, array in arrays.items() if array is not None}


def _float(array: Array) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what becomes infinite is refused later
        return np.ascontiguousarray(array, np.float32)


def _pair(numbers: Any) -> tuple[int, int]:
    if len(numbers) != 2:
        raise SpecError(f"{len(numbers)} sizes where rows and columns are two")
    return int(numbers[0]), int(numbers[1])


def _short(number: float) -> float:
    """A float32 by its shortest decimals: 0.1, not 0.10000000149."""
    return float(str(np.float32(number)))


_METHODS: Mapping[str, Callable[[Translation, Node], None]] = {
    "Conv": Translation.conv,
    "ConvTranspose": Translation.deconv,
    "MaxPool": Translation.maxpool,
    "AveragePool": Translation.avgpool,
    "MaxUnpool": Translation.unpool,
    "GlobalAveragePool": Translation.globally,
    "GlobalMaxPool": Translation.globally,
    "ReduceMean": Translation.reduce,
    "ReduceMax": Translation.reduce,
    "Relu": Translation.relu,
    "Sigmoid": Translation.relu,
    "Tanh": Translation.relu,
    "Clip": Translation.clip,
    "LeakyRelu": Translation.leakyrelu,
    "PRelu": Translation.prelu,
    "Softmax": Translation.softmax,
    "Dropout": Translation.dropout,
    "Identity": Translation.passes,
    "Cast": Translation.cast,
    "BatchNormalization": Translation.batchnorm,
    "LRN": Translation.lrn,
    "Gemm": Translation.gemm,
    "MatMul": Translation.matmul,
    "Add": Translation.add,
    "Sum": Translation.total,
    "Sub": Translation.subtract,
    "Mul": Translation.multiply,
    "Div": Translation.divide,
    "Concat": Translation.concat,
    "Flatten": Translation.flatten,
    "Reshape": Translation.reshape,
    "Squeeze": Translation.squeeze,
    "Unsqueeze": Translation.unsqueeze,
    "Transpose": Translation.transpose,
    "Pad": Translation.pad,
    "Resize": Translation.resize,
    "Upsample": Translation.resize,
}
"""Operator -> what reads it."""
