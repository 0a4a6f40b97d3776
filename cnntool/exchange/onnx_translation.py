"""An ONNX file on its way to layers: what is known of every value, and how operators are asked.

Operators are taken in the order of the file. Those on constants are computed, those on values that
flow are handed to the method for their name, and what no method does is refused in one line that
names the operator and says what would work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import CnntoolError, ModelFileError, SpecError
from cnntool.exchange.onnx_folding import NotFolded, fold
from cnntool.exchange.onnx_reading import Node, OnnxFile, needed
from cnntool.exchange.structure import Piece, Value, Weights
from cnntool.grammar import shown
from cnntool.nn.facts import Misfit, Shape, times
from cnntool.nn.layer_values import settings
from cnntool.nn.layer_words import LAYERS

Array = NDArray[Any]

BATCH = 7919
"""Stands for an open batch where exporters compute shapes: hardly a layer has this size."""

ADVICE = {
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
"""What to do instead, for operators that networks often have."""

SUPPORTED = (
    "Conv, ConvTranspose, BatchNormalization, Gemm, MatMul, Relu, Clip, LeakyRelu, Sigmoid, Tanh, "
    "Softmax, pooling, Add, Concat, Flatten, Reshape, Resize, Pad, LRN, Dropout"
)
"""What is known, in a few words."""


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
        methods: Operator -> what reads it.
    """

    def __init__(self, file: OnnxFile, shape: Shape, where: str, methods: Methods) -> None:
        self.file, self.where, self.methods = file, where, methods
        self.batch = file.batch or BATCH
        self.nodes = tuple(needed(file.nodes, file.output))
        self.uses = Counter(name for node in self.nodes for name in node.inputs if name)
        self.constants: dict[str, Array] = dict(file.arrays)
        self.start = Value(shape, label=file.input)
        self.values: dict[str, Value] = {file.input: self.start}
        self.places: dict[str, Value] = {}
        self.stacks: dict[tuple[int, ...], Value] = {}
        self.last = False
        if self.begins_with_channels_last():
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
        method = self.methods.get(node.operator)
        if method is None:
            advice = ADVICE.get(node.operator, f"known are {SUPPORTED}")
            raise self.refused(node, f"which no layer does; {advice}")
        try:
            method(self, node)
        except SpecError as error:
            raise self.refused(node, f"out of the range of layers: {error}") from error
        except Misfit as error:
            raise self.refused(node, str(error)) from error
        except (LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
            if isinstance(error, CnntoolError):
                raise
            raise self.refused(node, "its attributes or constants do not fit it") from error

    def _fold(self, node: Node) -> None:
        inputs = [self.constants.get(name) if name else None for name in node.inputs]
        missing = [n for n in node.inputs if n and n not in self.constants]
        for other in self.nodes:
            if missing and missing[0] in other.outputs[1:]:
                raise self.refused(node, f"reads another output of {other} than its first")
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
        made = Value(shape, (x,), list(pieces), label=node.outputs[0]) if pieces else x
        self.values[node.outputs[0]] = made
        return made

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

    def axes(self, node: Node, place: int) -> list[int]:
        """Axes that are an attribute in old opsets and an input in newer ones."""
        found = self.constant(node, place, "axes")
        return [int(n) for n in (node.attributes.get("axes", []) if found is None else found)]

    def begins_with_channels_last(self) -> bool:
        """Whether all that happens to the input is that its channels come first."""
        readers = [node for node in self.nodes if self.file.input in node.inputs]
        return (
            len(self.start.shape) == 3
            and len(readers) == 1
            and readers[0].operator == "Transpose"
            and list(readers[0].attributes.get("perm", [])) == [0, 3, 1, 2]
        )


Methods = Mapping[str, Callable[[Translation, Node], None]]


def arrays(**arrays: Array | None) -> Weights:
    """Arrays as float32, those that are left out left out."""
    return {name: as_float(array) for name, array in arrays.items() if array is not None}


def as_float(array: Array) -> NDArray[np.float32]:
    """An array as float32."""
    with np.errstate(over="ignore"):  # what becomes infinite is refused later
        return np.ascontiguousarray(array, np.float32)


def pair(numbers: Any) -> tuple[int, int]:
    """Rows and columns from an attribute."""
    if len(numbers) != 2:
        raise SpecError(f"{len(numbers)} sizes where rows and columns are two")
    return int(numbers[0]), int(numbers[1])


def short(number: float) -> float:
    """A float32 by its shortest decimals: 0.1, not 0.10000000149."""
    return float(str(np.float32(number)))
