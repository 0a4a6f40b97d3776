"""ONNX operators as layers of the specification language, with their arrays."""

from __future__ import annotations

from cnntool.exchange import onnx_number_layers as numbers
from cnntool.exchange import onnx_shape_layers as shapes
from cnntool.exchange import onnx_window_layers as windows
from cnntool.exchange.onnx_reading import OnnxFile
from cnntool.exchange.onnx_translation import Methods, Translated, Translation
from cnntool.nn.facts import Shape

METHODS: Methods = {
    "Conv": windows.conv,
    "ConvTranspose": windows.deconv,
    "MaxPool": windows.maxpool,
    "AveragePool": windows.avgpool,
    "MaxUnpool": windows.unpool,
    "GlobalAveragePool": windows.globally,
    "GlobalMaxPool": windows.globally,
    "ReduceMean": windows.reduce,
    "ReduceMax": windows.reduce,
    "Relu": numbers.relu,
    "Sigmoid": numbers.relu,
    "Tanh": numbers.relu,
    "Clip": numbers.clip,
    "LeakyRelu": numbers.leakyrelu,
    "PRelu": numbers.prelu,
    "Softmax": numbers.softmax,
    "Dropout": numbers.dropout,
    "Identity": Translation.passes,
    "Cast": Translation.passes,
    "BatchNormalization": numbers.batchnorm,
    "LRN": numbers.lrn,
    "Gemm": numbers.gemm,
    "MatMul": numbers.matmul,
    "Add": numbers.add,
    "Sum": numbers.total,
    "Sub": numbers.subtract,
    "Mul": numbers.multiply,
    "Div": numbers.divide,
    "Concat": shapes.concat,
    "Flatten": shapes.flatten,
    "Reshape": shapes.reshape,
    "Squeeze": shapes.squeeze,
    "Unsqueeze": shapes.unsqueeze,
    "Transpose": shapes.transpose,
    "Pad": shapes.pad,
    "Resize": shapes.resize,
    "Upsample": shapes.resize,
}
"""Operator -> what reads it."""


def translate(file: OnnxFile, shape: Shape, where: str) -> Translated:
    """The operators of a file as values with the layers between them.

    Args:
        file: The file.
        shape: Sizes of the input, all known.
        where: What messages call the file.

    Raises:
        ModelFileError: One of them is no layer.
    """
    return Translation(file, shape, where, METHODS).run()
