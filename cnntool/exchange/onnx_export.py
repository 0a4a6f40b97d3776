"""A model as an ONNX file: the same layers, weights and texts.

Opset 17 and IR 8 of 2022 are what onnxruntime reads since its version 1.13, and all that they lack
can be written with what they have. Weights stay float32 and keep their names; the texts of a model
file (specification, classes, preprocessing …) are the metadata, so that an import brings back
exactly the network that was exported.

References:
    ONNX, Open neural network exchange: operators, https://onnx.ai/onnx/operators
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnntool import __version__
from cnntool.errors import OptionError
from cnntool.exchange.onnx_words import WORDS
from cnntool.exchange.onnx_writer import GraphWriter
from cnntool.exchange.packages import onnx
from cnntool.nn import nodes
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.modelfile import MAX_BYTES, model_texts
from cnntool.nn.saved_model import SavedModel
from cnntool.nn.spec import parse

OPSET, IR = 17, 8
"""Versions of the operators and of the format."""

INPUT, OUTPUT = "input", "output"
"""What the input and the output are called."""

PREFIX = "cnntool."
"""What the names of our metadata begin with."""

SAMPLES = {"uint8": np.uint8, "float": np.float32}
"""Types of samples 0..255 that a file with its preprocessing takes."""

INSIDE = "samples"
"""The metadata entry of files that contain their preprocessing: the type of the samples."""


def encode_onnx(model: SavedModel, *, samples: str | None = None) -> bytes:
    """The bytes of an ONNX file.

    Args:
        model: The network.
        samples: None: the file takes what the network takes. A key of :data:`SAMPLES`: it takes
            pictures of that type, 0 to 255, of the network's size and colour, and normalises them.

    Raises:
        MissingPackage: The package onnx is not installed.
        OptionError: The network gets features and not pictures, or is too large for ONNX; there
            are several networks.
    """
    package = onnx()
    if samples is not None and (model.features is not None or len(model.input) != 3):
        raise OptionError(
            "its network takes features or vectors and no pictures, so there is no preprocessing "
            "to put inside; export it without"
        )
    if model.generation is not None and model.generation.networks():
        raise OptionError(
            "its pictures are made by several networks, and an ONNX file holds one; export its "
            "weights alone as .safetensors"
        )
    g = GraphWriter(model.tensors)
    x = INPUT if samples is None else _normalised(g, model)
    rows = iter(model.trace().rows)
    last = _Writer(g, rows).chain(parse(model.spec), x)
    g.node("Identity", [last], OUTPUT)
    size = sum(array.nbytes for array in g.constants.values())
    if size > MAX_BYTES - (64 << 20):
        raise OptionError(f"its weights have {size} bytes; an ONNX file holds less than 2 GiB")
    made = _assembled(package, g, model, samples)
    package.checker.check_model(made)
    data: bytes = made.SerializeToString(deterministic=True)
    return data


def _normalised(g: GraphWriter, model: SavedModel) -> str:
    """Samples as the network takes them: as numbers, times a factor, plus a summand a channel."""
    how = model.preprocessing
    shape = (1, how.channels, 1, 1)
    factors = [how.scale / std for std in how.std]
    summands = [-mean / std for mean, std in zip(how.mean, how.std, strict=True)]
    x = g.node("Cast", [INPUT], "preprocessing.cast", to=onnx().TensorProto.FLOAT)
    factor = g.constant("preprocessing.factor", np.reshape(factors, shape))
    x = g.node("Mul", [x, factor], "preprocessing.scaled")
    summand = g.constant("preprocessing.summand", np.reshape(summands, shape))
    return g.node("Add", [x, summand], "preprocessing.normalised")


def _assembled(package: Any, g: GraphWriter, model: SavedModel, samples: str | None) -> Any:
    helper = package.helper
    kind = np.float32 if samples is None else SAMPLES[samples]
    values = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), ["N", *shape]
        )
        for name, dtype, shape in (
            (INPUT, kind, model.input),
            (OUTPUT, np.float32, model.trace().output),
        )
    ]
    graph = helper.make_graph(
        [helper.make_node(**node) for node in g.nodes],
        model.name or "network",
        values[:1],
        values[1:],
        [package.numpy_helper.from_array(array, name) for name, array in g.constants.items()],
    )
    made = helper.make_model(
        graph,
        ir_version=IR,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="cnntool",
        producer_version=__version__,
    )
    texts = {f"{PREFIX}{name}": text for name, text in model_texts(model).items()}
    if samples is not None:
        texts[f"{PREFIX}{INSIDE}"] = samples
    helper.set_model_props(made, texts)
    return made


class _Writer:
    """Goes through a network and takes its rows one after another."""

    def __init__(self, g: GraphWriter, rows: Iterator[LayerRow]) -> None:
        self.g, self.rows = g, rows

    def chain(self, chain: nodes.Chain, x: str) -> str:
        """All nodes of a chain."""
        for node in nodes.unrolled(chain):
            x = self.node(node, x)
        return x

    def node(self, node: nodes.Node, x: str) -> str:
        """One node."""
        if isinstance(node, nodes.Layer):
            return WORDS[node.word](self.g, next(self.rows), x)
        if isinstance(node, nodes.Residual):
            main = self.chain(node.main, x)
            short = x if node.shortcut is None else self.chain(node.shortcut, x)
            return self.g.node("Add", [main, short], next(self.rows).name)
        if isinstance(node, nodes.Concat):
            ends = [self.chain(branch, x) for branch in node.branches]
            return self.g.node("Concat", ends, next(self.rows).name, axis=1)
        if isinstance(node, nodes.Skip):
            body = self.chain(node.body, x)
            return self.g.node("Concat", [x, body], next(self.rows).name, axis=1)
        if isinstance(node, nodes.Pooled):
            return self.pooled(node, x)
        raise TypeError(f"{type(node).__name__} is no node of an unrolled chain")

    def pooled(self, node: nodes.Pooled, x: str) -> str:
        """Max pooling that tells where the maxima were, and values put back there."""
        kernel = list(node.kernel)
        name = next(self.rows).name
        small, places = self.g.nodes_outputs(
            "MaxPool", [x], name, 2, kernel_shape=kernel, strides=kernel
        )
        found = self.chain(node.body, small)
        row = next(self.rows)
        shape = self.g.node("Shape", [x], f"{row.name}.shape")
        return self.g.node(
            "MaxUnpool", [found, places, shape], row.name, kernel_shape=kernel, strides=kernel
        )
