"""The words of the specification language as ONNX operators.

Each function writes one layer into a graph and gives the name of its result. The table at the end
names one for every word, and a test sees to it that none is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from cnntool.exchange import onnx_windows as windows
from cnntool.exchange.onnx_writer import GraphWriter
from cnntool.nn.layer import settings_of
from cnntool.nn.layer_rows import LayerRow

Written = Callable[[GraphWriter, LayerRow, str], str]


def _plain(operator: str) -> Written:
    """A layer that is an operator without settings."""

    def write(g: GraphWriter, row: LayerRow, x: str) -> str:
        return g.node(operator, [x], row.name)

    return write


def relu6(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``relu6``."""
    ends = [g.constant(f"{row.name}.{name}", value) for name, value in (("low", 0), ("high", 6))]
    return g.node("Clip", [x, *ends], row.name)


def leakyrelu(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``leakyrelu``."""
    return g.node("LeakyRelu", [x], row.name, alpha=settings_of(row).real("slope"))


def softmax(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``softmax``, over the maps."""
    return g.node("Softmax", [x], row.name, axis=1)


def dropout(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``dropout``: nothing, where nothing is learned."""
    return x


def upsample(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``upsample``."""
    given = settings_of(row)
    scales = g.constant(f"{row.name}.scales", [1, 1, *given.pair("factor")])
    if given.word("mode") == "nearest":
        return g.node(
            "Resize", [x, "", scales], row.name, mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip
    return g.node(
        "Resize", [x, "", scales], row.name, mode="linear",
        coordinate_transformation_mode="half_pixel",
    )  # fmt: skip


def batchnorm(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``batchnorm``, with its running statistics."""
    arrays = [g.weight(row, n) for n in ("weight", "bias", "running_mean", "running_var")]
    return g.node(
        "BatchNormalization", [x, *arrays], row.name, epsilon=settings_of(row).real("eps")
    )


def lrn(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``lrn``; of an even size, which is not ONNX's, with the sums as a convolution of 1×1."""
    given = settings_of(row)
    size, alpha, beta, k = given.whole("size"), *(given.real(n) for n in ("alpha", "beta", "k"))
    if size % 2:
        return g.node("LRN", [x], row.name, size=size, alpha=alpha, beta=beta, bias=k)
    place = np.arange(row.input[0])
    near = place - place[:, None]  # a row an output map: how far behind it each input map lies
    band = ((near >= -(size // 2)) & (near <= (size - 1) // 2)) * (alpha / size)
    square = g.node("Mul", [x, x], f"{row.name}.square")
    filters = g.constant(f"{row.name}.near", band[:, :, None, None])
    sums = g.node("Conv", [square, filters], f"{row.name}.sums", kernel_shape=[1, 1])
    sums = g.node("Add", [sums, g.constant(f"{row.name}.k", k)], f"{row.name}.base")
    power = g.node("Pow", [sums, g.constant(f"{row.name}.beta", beta)], f"{row.name}.power")
    return g.node("Div", [x, power], row.name)


def flatten(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``flatten``."""
    return g.node("Flatten", [x], row.name, axis=1)


def dense(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``dense``."""
    names = ("weight", "bias") if settings_of(row).flag("bias") else ("weight",)
    return g.node("Gemm", [x, *(g.weight(row, name) for name in names)], row.name, transB=1)


def reshape(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``reshape``."""
    return g.reshape(x, row.name, [0, *row.output])


WORDS: Mapping[str, Written] = MappingProxyType(
    {
        "conv": windows.conv,
        "deconv": windows.deconv,
        "depthwise": windows.depthwise,
        "separable": windows.separable,
        "local": windows.local,
        "deform": windows.deform,
        "maxpool": windows.maxpool,
        "avgpool": windows.avgpool,
        "sumpool": windows.sumpool,
        "adaptiveavgpool": windows.adaptiveavgpool,
        "globalavgpool": _plain("GlobalAveragePool"),
        "globalmaxpool": _plain("GlobalMaxPool"),
        "upsample": upsample,
        "batchnorm": batchnorm,
        "lrn": lrn,
        "pad": windows.pad,
        "relu": _plain("Relu"),
        "relu6": relu6,
        "leakyrelu": leakyrelu,
        "sigmoid": _plain("Sigmoid"),
        "tanh": _plain("Tanh"),
        "softmax": softmax,
        "dropout": dropout,
        "flatten": flatten,
        "dense": dense,
        "reshape": reshape,
    }
)
"""Word -> how it is written."""
