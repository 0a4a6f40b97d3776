"""Initial values of a network's parameters: by a scheme, from a seed, the same everywhere.

Signals should neither grow nor fade on their way through the layers. So weights are drawn around 0
with a spread that follows from a layer's *fans*: how many numbers a unit reads, and how many units
a number goes to. :data:`SCHEMES` are the known ways to choose the spread, :func:`scheme_for` picks
one, :func:`initialise` draws.

The last layer is drawn like the others (but for ``sigmoid``). He's factor 2 makes up for the ReLU
in front of a layer, not behind it, so the logits come out with the size of the signal, which is
what a softmax can begin with; and Glorot's and He's spreads hardly differ there, because n inputs
are many more than classes: 2/(n + classes) ≈ 2/n.

Every array has a random stream of its own, made from the seed and the array's full name. Layers
that are added behind, or taken away, change no other layer's values, and arrays may be drawn in
any order. The stream is PCG64, seeded through ``SeedSequence(seed, spawn_key=name)``; NumPy keeps
both as they are in all versions and on all machines. Numbers are drawn in float64 and rounded to
float32, so that a last bit of a machine's logarithm does not show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod, sqrt
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import NameNotFound, OptionError, ShapeError
from cnntool.nn.facts import Tensor
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.layer_values import settings
from cnntool.nn.nodes import Chain, Layer, leaves

BLOCK = 1 << 16
"""Numbers drawn at a time: the largest layers need no float64 copy of themselves."""

_CONSTANTS = {"running_mean": 0.0, "running_var": 1.0}
_SLIDING = ("conv", "depthwise", "separable", "local", "deform")
_RECTIFIERS = ("relu", "relu6", "leakyrelu")


@dataclass(frozen=True, slots=True)
class Fans:
    """How a layer's weights connect, on average and away from borders.

    Attributes:
        inputs: Numbers that an output reads.
        outputs: Outputs that a number goes to.
        rectified: Whether a ReLU may stand in front of these weights.
        transposed: Whether they belong to a transposed convolution.
        last: Whether their layer is the last that has any.
    """

    inputs: float
    outputs: float
    rectified: bool = True
    transposed: bool = False
    last: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution around 0.

    Attributes:
        kind: Shape of the distribution.
        scale: Standard deviation if normal, else the bound on both sides.
    """

    kind: Literal["normal", "uniform"]
    scale: float


@dataclass(frozen=True, slots=True)
class Scheme:
    """A way to choose spreads.

    Attributes:
        name: How it is called.
        summary: One line: distribution, purpose, source.
        spread: Of weights.
        biases: Whether biases are drawn like weights; else they begin as 0.
    """

    name: str
    summary: str
    spread: Callable[[Fans], Spread]
    biases: bool = False


def _he(fans: Fans) -> Spread:
    return Spread("normal", sqrt((2 if fans.rectified else 1) / fans.inputs))


def _glorot(fans: Fans) -> Spread:
    return Spread("uniform", sqrt(6 / (fans.inputs + fans.outputs)))


def _sigmoid(fans: Fans) -> Spread:
    # a logistic sigmoid is at most a quarter as steep as tanh
    return Spread("uniform", _glorot(fans).scale * (1 if fans.last else 4))


def _lenet(fans: Fans) -> Spread:
    return Spread("uniform", 2.4 / fans.inputs)


def _torch(fans: Fans) -> Spread:
    # torch reads fans off the shape of the weights, which for transposed ones has them exchanged
    return Spread("uniform", 1 / sqrt(fans.outputs if fans.transposed else fans.inputs))


SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        scheme.name: scheme
        for scheme in (
            Scheme(
                "he",
                "normal, variance 2/inputs, for ReLU "
                "(He et al. 2015, Delving deep into rectifiers)",
                _he,
            ),
            Scheme(
                "glorot",
                "uniform, variance 2/(inputs + outputs), for tanh (Glorot, Bengio 2010, "
                "Understanding the difficulty of training deep feedforward neural networks)",
                _glorot,
            ),
            Scheme(
                "sigmoid",
                "glorot four times as wide but for the last layer, for logistic sigmoids, whose "
                "slope is 1/4",
                _sigmoid,
            ),
            Scheme(
                "lenet",
                "uniform within ±2.4/inputs, made for the scaled tanh of 1998; narrow for others "
                "(LeCun et al. 1998, Gradient-based learning applied to document recognition)",
                _lenet,
            ),
            Scheme(
                "torch",
                "uniform within ±1/√inputs, biases too, as layers of PyTorch begin",
                _torch,
                biases=True,
            ),
        )
    }
)
"""Name -> scheme. In all of them batch normalisation begins as the identity."""


def scheme_for(chain: Chain) -> str:
    """The scheme that suits a network.

    ``sigmoid`` where all activations are logistic sigmoids, ``glorot`` where they are tanh or
    both, else ``he``. An activation at the very end makes probabilities and does not count.

    ``lenet`` is never picked: with logistic sigmoids its weights are so narrow that training
    stands still for long.

    Example:
        >>> from cnntool.nn import parse
        >>> scheme_for(parse("conv 6 5 | sigmoid | flatten | dense 10 | softmax"))
        'sigmoid'
        >>> scheme_for(parse("conv 6 5 | relu | flatten | dense 1 | sigmoid"))
        'he'
    """
    last = chain.items[-1]
    words = {layer.word for layer in leaves(chain) if layer is not last}
    if words.isdisjoint(_RECTIFIERS):
        if "tanh" in words:
            return "glorot"
        if "sigmoid" in words:
            return "sigmoid"
    return "he"


def initialise(
    rows: Iterable[LayerRow],
    tensors: Mapping[str, NDArray[Any]],
    scheme: str = "he",
    seed: int = 0,
) -> None:
    """Give all parameters and buffers of a network their first values, in place.

    Weights and biases as the scheme says. Batch normalisation: scale 1, shift 0, running mean 0,
    running variance 1. Offsets of deformable convolutions are 0, and so is the convolution that
    predicts them: it begins as an ordinary convolution (Dai et al. 2017).

    Args:
        rows: The layers, from :func:`cnntool.nn.trace`.
        tensors: Arrays of the host by full name, ``{row.name}.{tensor.name}``; views of one buffer
            will do. Others than those of the rows are left alone.
        scheme: A key of :data:`SCHEMES`.
        seed: 0 or more.

    Raises:
        NameNotFound: There is no such scheme.
        OptionError: The seed is negative.
        ShapeError: An array is missing or has another shape than its layer needs.

    Example:
        >>> from cnntool.nn import parse, trace
        >>> rows = trace(parse("dense 3"), (50,)).rows
        >>> arrays = {"0.dense.weight": np.empty((3, 50)), "0.dense.bias": np.empty(3)}
        >>> initialise(rows, arrays, seed=1)
        >>> round(float(arrays["0.dense.weight"].std()), 2)  # sqrt(2 / 50) = 0.2
        0.2
    """
    if scheme not in SCHEMES:
        raise NameNotFound.among("initialisation", scheme, SCHEMES)
    if seed < 0:
        raise OptionError(f"a seed is a whole number from 0 on, got {seed}")
    rows = tuple(rows)
    last = next((row.name for row in reversed(rows) if row.parameters), "")
    for row in rows:
        for tensor in (*row.parameters, *row.buffers):
            name = f"{row.name}.{tensor.name}"
            array = _array(tensors, name, tensor.shape)
            start = _start(row, tensor, SCHEMES[scheme], last=row.name == last)
            if isinstance(start, Spread):
                _draw(array, start, seed, name)
            else:
                array.fill(start)


def fans(row: LayerRow, tensor: str) -> Fans:
    """The fans of a weight array, or of the units that a bias belongs to.

    With steps not every window reads a pixel: an output of a transposed convolution of 4×4 with
    stride 2 reads 2·2 pixels a map, and a pixel under a convolution of 4×4 with stride 2 goes to
    2·2 outputs a filter.

    Args:
        row: The layer.
        tensor: Name of the array in the layer.

    Raises:
        TypeError: The layer has no weights.

    Example:
        >>> from cnntool.nn import parse, trace
        >>> row = trace(parse("conv 8 5 2 groups=2"), (4, 28, 28)).rows[0]
        >>> found = fans(row, "weight")
        >>> found.inputs, found.outputs  # 2·5·5, and 4·(5/2)·(5/2)
        (50, 25.0)
    """
    node = row.node
    if not isinstance(node, Layer) or node.word not in ("dense", "deconv", *_SLIDING):
        raise TypeError(f"{row.name} has no weights")
    values, maps, part = settings(node), row.input[0], tensor.rpartition(".")[0]
    if node.word == "dense":
        return Fans(maps, values.whole("out"))
    if part == "pointwise":
        return Fans(maps, values.whole("out"), rectified=False)
    kernel, stride = values.pair("kernel"), values.pair("stride")
    taps = prod(kernel)
    shared = prod(_share(k, s) for k, s in zip(kernel, stride, strict=True))
    if node.word in ("depthwise", "separable"):
        return Fans(taps, shared)
    out = values.whole("out")
    if values.get("depth"):
        depth, step = values.whole("depth"), values.whole("dstride")
        return Fans(depth * taps, out * shared * _share(depth, step))
    groups = values.whole("groups") if "groups" in values else 1
    if node.word == "deconv":
        return Fans(maps // groups * shared, out // groups * taps, transposed=True)
    return Fans(maps // groups * taps, out // groups * shared)


def _share(kernel: int, stride: int) -> float:
    """How many windows along one axis a position lies in, of those that lie in any."""
    return max(kernel / stride, 1.0)


def _start(row: LayerRow, tensor: Tensor, scheme: Scheme, *, last: bool) -> Spread | float:
    """A spread, or the number that fills the array."""
    part, _, kind = tensor.name.rpartition(".")
    if kind in _CONSTANTS:
        return _CONSTANTS[kind]
    if "offset" in (part, kind):
        return 0.0
    if isinstance(row.node, Layer) and row.node.word == "batchnorm":
        return 1.0 if kind == "weight" else 0.0
    found = fans(row, tensor.name)
    if kind == "bias" and not scheme.biases:
        return 0.0
    return scheme.spread(replace(found, last=last))


def _array(tensors: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    array = tensors.get(name)
    if array is None or array.shape != shape:
        found = "there is none" if array is None else f"got one of {array.shape}"
        raise ShapeError(f"{name} needs an array of {shape}; {found}", name=name, shape=shape)
    return array


def _draw(array: NDArray[Any], spread: Spread, seed: int, name: str) -> None:
    """Fill an array, block by block in one stream."""
    sequence = np.random.SeedSequence(seed, spawn_key=tuple(name.encode()))
    stream = np.random.Generator(np.random.PCG64(sequence))
    # an array with gaps is filled through its iterator, which is slower
    flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
    for first in range(0, array.size, BLOCK):
        count = min(BLOCK, array.size - first)
        if spread.kind == "normal":
            values = stream.standard_normal(count)
        else:
            values = stream.random(count)
            values *= 2
            values -= 1
        values *= spread.scale
        flat[first : first + count] = values.astype(np.float32)
