"""Layers with windows as ONNX operators: frames, convolutions of every kind, pooling.

Sizes are fixed but for the batch, so what ONNX has no word for is written with its numbers: windows
that hang over the edge as padding of just that length, means of windows that padding does not count
in as sums and factors for each position, weights without sharing as a sum over gathered windows.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from cnntool.exchange.onnx_writer import GraphWriter
from cnntool.geometry import extent
from cnntool.nn.layer import padding_of, settings_of
from cnntool.nn.layer_rows import LayerRow
from cnntool.ops.padding import border_indices, border_mode

Sides = tuple[int, int, int, int]

LOWEST = float(np.finfo(np.float32).min)
"""What stands for minus infinity where maxima are taken: some programs refuse infinity."""


# ---------------------------------------------------------------------------------------- frames
def framed(
    g: GraphWriter, x: str, name: str, size: tuple[int, int], sides: Sides, mode: str
) -> str:
    """Maps with a frame.

    Args:
        g: The graph.
        x: Maps.
        name: What the result is called.
        size: Rows and columns of the maps.
        sides: Top, right, bottom, left.
        mode: What fills the frame, a word of the specification language.
    """
    top, right, bottom, left = sides
    word = border_mode(mode)
    ends = g.sizes(f"{name}.sides", [0, 0, top, left, 0, 0, bottom, right])
    if word in ("constant", "edge") or (
        word == "reflect" and max(top, bottom) < size[0] and max(left, right) < size[1]
    ):
        return g.node("Pad", [x, ends], name, mode=word)
    if word == "max":
        inside = border_indices(size[0], top, bottom, "constant")[:, None] >= 0
        inside = inside & (border_indices(size[1], left, right, "constant") >= 0)
        seen = g.constant(f"{name}.inside", inside[None, None], np.bool_)
        largest = g.node("ReduceMax", [x], f"{name}.largest", axes=[2, 3], keepdims=1)
        wide = g.node("Pad", [x, ends], f"{name}.wide", mode="constant")
        return g.node("Where", [seen, wide, largest], name)
    rows = g.sizes(f"{name}.rows", border_indices(size[0], top, bottom, word))
    columns = g.sizes(f"{name}.columns", border_indices(size[1], left, right, word))
    tall = g.node("Gather", [x, rows], f"{name}.tall", axis=2)
    return g.node("Gather", [tall, columns], name, axis=3)


def pad(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``pad``."""
    sides, mode = padding_of(row), settings_of(row).word("padmode")
    return framed(g, x, row.name, (row.input[1], row.input[2]), sides, mode)


def _ends(sides: Sides) -> list[int]:
    """Padding as ONNX orders it: top, left, bottom, right."""
    top, right, bottom, left = sides
    return [top, left, bottom, right]


def _prepared(g: GraphWriter, row: LayerRow, x: str) -> tuple[str, Sides]:
    """The input of a window, and the zeros around it that are left to the operator."""
    given, sides = settings_of(row), padding_of(row)
    mode = given.word("padmode") if "padmode" in given else "zeros"
    if mode == "zeros" or not any(sides):
        return x, sides
    size = row.input[1], row.input[2]
    return framed(g, x, f"{row.name}.frame", size, sides, mode), (0, 0, 0, 0)


# ---------------------------------------------------------------------------------- convolutions
def _weights(g: GraphWriter, row: LayerRow, part: str, *, bias: bool) -> list[str]:
    names = ("weight", "bias") if bias else ("weight",)
    return [g.weight(row, f"{part}{name}") for name in names]


def conv(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``conv``; filters that slide along the maps are filters over volumes of one map."""
    given = settings_of(row)
    x, sides = _prepared(g, row, x)
    weights = _weights(g, row, "", bias=given.flag("bias"))
    stride, dilation = list(given.pair("stride")), list(given.pair("dilation"))
    depth = given.whole("depth")
    if not depth:
        return g.node(
            "Conv", [x, *weights], row.name, strides=stride, dilations=dilation,
            pads=_ends(sides), group=given.whole("groups"), kernel_shape=list(given.pair("kernel")),
        )  # fmt: skip
    top, right, bottom, left = sides
    out, kernel = given.whole("out"), list(given.pair("kernel"))
    volumes = _volume(g, row, x)
    weights[0] = g.reshape(weights[0], f"{row.name}.filters", [out, 1, depth, *kernel])
    y = g.node(
        "Conv", [volumes, *weights], f"{row.name}.volumes",
        strides=[given.whole("dstride"), *stride], dilations=[1, *dilation],
        pads=[0, top, left, 0, bottom, right], kernel_shape=[depth, *kernel],
    )  # fmt: skip
    return g.reshape(y, row.name, [0, *row.output])


def _volume(g: GraphWriter, row: LayerRow, x: str) -> str:
    """Maps as one volume each: (N, 1, C, H, W)."""
    axes = g.sizes(f"{row.name}.axes", [1])
    return g.node("Unsqueeze", [x, axes], f"{row.name}.volume")


def deconv(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``deconv``."""
    given = settings_of(row)
    kernel, stride, dilation = (given.pair(n) for n in ("kernel", "stride", "dilation"))
    sides = padding_of(row)
    top, right, bottom, left = sides
    more = [  # what the output is longer than by the formula without it
        row.output[axis + 1]
        - ((row.input[axis + 1] - 1) * stride[axis] - cut + extent(kernel[axis], dilation[axis]))
        for axis, cut in enumerate((top + bottom, left + right))
    ]
    return g.node(
        "ConvTranspose", [x, *_weights(g, row, "", bias=given.flag("bias"))], row.name,
        strides=list(stride), dilations=list(dilation), pads=_ends(sides), output_padding=more,
        group=given.whole("groups"), kernel_shape=list(kernel),
    )  # fmt: skip


def depthwise(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``depthwise``."""
    return _each_map(g, row, x, row.name, "")


def _each_map(g: GraphWriter, row: LayerRow, x: str, name: str, part: str) -> str:
    given = settings_of(row)
    x, sides = _prepared(g, row, x)
    return g.node(
        "Conv", [x, *_weights(g, row, part, bias=given.flag("bias"))], name,
        strides=list(given.pair("stride")), dilations=list(given.pair("dilation")),
        pads=_ends(sides), group=row.input[0], kernel_shape=list(given.pair("kernel")),
    )  # fmt: skip


def separable(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``separable``: two convolutions."""
    filtered = _each_map(g, row, x, f"{row.name}.depthwise", "depthwise.")
    weights = _weights(g, row, "pointwise.", bias=settings_of(row).flag("bias"))
    return g.node("Conv", [filtered, *weights], row.name, kernel_shape=[1, 1])


def local(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``local``: windows gathered by a convolution of ones and zeros, then sums of products."""
    given = settings_of(row)
    kernel, c = given.pair("kernel"), row.input[0]
    taps = kernel[0] * kernel[1]
    picks = np.tile(np.eye(taps, dtype=np.float32).reshape(taps, 1, *kernel), (c, 1, 1, 1))
    x, sides = _prepared(g, row, x)
    windows = g.node(
        "Conv", [x, g.constant(f"{row.name}.picks", picks)], f"{row.name}.windows",
        strides=list(given.pair("stride")), dilations=list(given.pair("dilation")),
        pads=_ends(sides), group=c, kernel_shape=list(kernel),
    )  # fmt: skip
    weights = _weights(g, row, "", bias=given.flag("bias"))
    out, *size = row.output
    filters = g.reshape(weights[0], f"{row.name}.filters", [out, c * taps, *size])
    y = g.node("Einsum", [windows, filters], f"{row.name}.sum", equation="nkhw,okhw->nohw")
    return g.node("Add", [y, weights[1]], row.name) if len(weights) > 1 else y


def deform(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``deform``: every tap reads the maps between pixels; then a convolution of 1×1."""
    given = settings_of(row)
    kernel, stride, dilation = (given.pair(n) for n in ("kernel", "stride", "dilation"))
    (c, *size), (out, *places) = row.input, row.output
    top, _, _, left = sides = padding_of(row)
    taps = kernel[0] * kernel[1]
    # positions of taps at rest (1, taps, 2, oh, ow), in pixels; then from -1 to 1 over the maps
    at_rest = np.zeros((1, taps, 2, *places))
    for tap, (u, v) in enumerate(product(range(kernel[0]), range(kernel[1]))):
        at_rest[0, tap, 0] = (np.arange(places[0]) * stride[0] - top + u * dilation[0])[:, None]
        at_rest[0, tap, 1] = np.arange(places[1]) * stride[1] - left + v * dilation[1]
    lengths = np.asarray(size).reshape(1, 1, 2, 1, 1)
    grid = g.constant(f"{row.name}.rest", (2 * at_rest + 1) / lengths - 1)
    unit = g.constant(f"{row.name}.unit", 2 / lengths)
    if given.word("offsets") == "predicted":
        offsets = g.node(
            "Conv", [x, *_weights(g, row, "offset.", bias=True)], f"{row.name}.offsets",
            strides=list(stride), dilations=list(dilation), pads=_ends(sides),
            kernel_shape=list(kernel),
        )  # fmt: skip
        moved = g.reshape(offsets, f"{row.name}.moved", [0, taps, 2, *places])
    else:
        moved = g.reshape(g.weight(row, "offset"), f"{row.name}.moved", [1, taps, 2, 1, 1])
    moved = g.node("Mul", [moved, unit], f"{row.name}.scaled")
    moved = g.node("Add", [moved, grid], f"{row.name}.places")
    across_first = g.sizes(f"{row.name}.order", [1, 0])
    moved = g.node("Gather", [moved, across_first], f"{row.name}.turned", axis=2)
    moved = g.node("Transpose", [moved], f"{row.name}.last", perm=[0, 1, 3, 4, 2])
    moved = g.reshape(moved, f"{row.name}.grid", [0, taps * places[0], places[1], 2])
    if given.word("offsets") != "predicted":
        moved = _for_each(g, row, x, moved, [taps * places[0], places[1], 2])
    read = g.node(
        "GridSample", [x, moved], f"{row.name}.read", mode="bilinear", padding_mode="zeros",
        align_corners=0,
    )  # fmt: skip
    read = g.reshape(read, f"{row.name}.windows", [0, c * taps, *places])
    weights = _weights(g, row, "", bias=given.flag("bias"))
    groups = given.whole("groups")
    filters = g.reshape(weights[0], f"{row.name}.filters", [out, c // groups * taps, 1, 1])
    return g.node(
        "Conv", [read, filters, *weights[1:]], row.name, group=groups, kernel_shape=[1, 1]
    )


def _for_each(g: GraphWriter, row: LayerRow, x: str, value: str, shape: list[int]) -> str:
    """One value (1, …) for each input of the batch."""
    name = f"{row.name}.batch"
    count = g.node("Shape", [x], f"{name}.shape")
    count = g.node("Gather", [count, g.sizes(f"{name}.first", [0])], f"{name}.count", axis=0)
    target = g.node("Concat", [count, g.sizes(f"{name}.rest", shape)], f"{name}.target", axis=0)
    return g.node("Expand", [value, target], name)


# --------------------------------------------------------------------------------------- pooling
class _Pooling:
    """A pooling window along two axes, or along three where it also spans maps.

    Attributes:
        row: The layer.
        deep: Whether it slides along the maps too.
        size: Lengths of the input.
        out: Lengths of the output.
        kernel: Lengths of the window.
        stride: Its steps.
        dilation: Distances of its taps.
        before: Padding in front.
        after: Padding behind that counts as such.
        reach: Padding behind up to which windows reach, at least 0.
    """

    def __init__(self, row: LayerRow) -> None:
        given = settings_of(row)
        top, right, bottom, left = padding_of(row)
        depth = given.whole("depth")
        self.row, self.deep = row, depth > 0
        first = [1] if self.deep else []
        none = [0] if self.deep else []
        self.size = list(row.input if self.deep else row.input[1:])
        self.out = list(row.output if self.deep else row.output[1:])
        self.kernel = [*([depth] if self.deep else []), *given.pair("kernel")]
        self.stride = [*([given.whole("dstride")] if self.deep else []), *given.pair("stride")]
        self.dilation = [*first, *given.pair("dilation")]
        self.before = [*none, top, left]
        self.after = [*none, bottom, right]
        self.reach = [
            max(0, (out - 1) * step + extent(kernel, gap) - size - before)
            for out, step, kernel, gap, size, before in zip(
                self.out, self.stride, self.kernel, self.dilation, self.size, self.before,
                strict=True,
            )
        ]  # fmt: skip

    @property
    def plain(self) -> bool:
        """Whether operators take the padding: they want less than a window of it."""
        pads = (*self.before, *self.reach)
        return all(pad < length for pad, length in zip(pads, 2 * self.kernel, strict=True))

    @property
    def pads(self) -> list[int]:
        """Padding in front and behind, as ONNX orders it."""
        return [*self.before, *self.reach]

    def input(self, g: GraphWriter, x: str) -> str:
        """Maps, or volumes of one map."""
        return _volume(g, self.row, x) if self.deep else x

    def wide(self, g: GraphWriter, x: str, fill: float) -> str:
        """The input with all its padding."""
        if not any(self.pads):
            return x
        name = f"{self.row.name}.frame"
        ends = g.sizes(f"{name}.ends", [0, 0, *self.before, 0, 0, *self.reach])
        return g.node("Pad", [x, ends, g.constant(f"{name}.fill", fill)], name, mode="constant")

    def output(self, g: GraphWriter, y: str) -> str:
        """Maps from volumes."""
        if not self.deep:
            return y
        axes = g.sizes(f"{self.row.name}.axes", [1])
        return g.node("Squeeze", [y, axes], f"{self.row.name}.maps")

    def counts(self, *, padding: bool) -> np.ndarray:
        """How many numbers each window counts, (…, oh, ow)."""
        found = np.ones([1] * len(self.out))
        for axis, out in enumerate(self.out):
            taps = np.arange(out)[:, None] * self.stride[axis]
            taps = taps + np.arange(self.kernel[axis]) * self.dilation[axis] - self.before[axis]
            low = -self.before[axis] if padding else 0
            high = self.size[axis] + (self.after[axis] if padding else 0)
            shape = [1] * len(self.out)
            shape[axis] = out
            found = found * ((taps >= low) & (taps < high)).sum(axis=1).reshape(shape)
        return found

    def sums(self, g: GraphWriter, x: str) -> str:
        """Sums of the windows, by filters of ones."""
        groups = 1 if self.deep else self.size_of_maps
        ones = g.constant(f"{self.row.name}.ones", np.ones((groups, 1, *self.kernel)))
        return g.node(
            "Conv", [self.wide(g, self.input(g, x), 0.0), ones], f"{self.row.name}.sums",
            strides=self.stride, dilations=self.dilation, group=groups, kernel_shape=self.kernel,
        )  # fmt: skip

    @property
    def size_of_maps(self) -> int:
        """How many maps come in."""
        return self.row.input[0]


def maxpool(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``maxpool``."""
    window = _Pooling(row)
    x = window.input(g, x)
    pads = window.pads
    if not window.plain:
        x, pads = window.wide(g, x, LOWEST), [0] * len(pads)
    y = g.node(
        "MaxPool", [x], row.name, kernel_shape=window.kernel, strides=window.stride,
        dilations=window.dilation, pads=pads,
    )  # fmt: skip
    return window.output(g, y)


def avgpool(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``avgpool``: the operator where its rules agree, else sums and factors."""
    window, counting = _Pooling(row), settings_of(row).flag("countpad")
    counts = window.counts(padding=counting)
    overhang = any(reach > after for reach, after in zip(window.reach, window.after, strict=True))
    if (
        not window.deep
        and window.dilation == [1, 1]
        and window.plain
        and counts.min() > 0
        and not (counting and overhang)
    ):
        return g.node(
            "AveragePool", [x], row.name, kernel_shape=window.kernel, strides=window.stride,
            pads=window.pads, count_include_pad=int(counting),
        )  # fmt: skip
    shares = g.constant(f"{row.name}.shares", 1 / np.maximum(counts, 1)[None, None])
    return window.output(g, g.node("Mul", [window.sums(g, x), shares], row.name))


def sumpool(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``sumpool``."""
    window = _Pooling(row)
    return window.output(g, window.sums(g, x))


def adaptiveavgpool(g: GraphWriter, row: LayerRow, x: str) -> str:
    """``adaptiveavgpool``: windows of one size, or a matrix of shares along each axis."""
    (_, *size), (_, *out) = row.input, row.output
    if all(n % m == 0 for n, m in zip(size, out, strict=True)):
        window = [n // m for n, m in zip(size, out, strict=True)]
        return g.node("AveragePool", [x], row.name, kernel_shape=window, strides=window)
    down, across = (mean_shares(n, m) for n, m in zip(size, out, strict=True))
    tall = g.node("MatMul", [g.constant(f"{row.name}.down", down), x], f"{row.name}.rows")
    return g.node("MatMul", [tall, g.constant(f"{row.name}.across", across.T)], row.name)


def mean_shares(size: int, out: int) -> np.ndarray:
    """Which share of each of ``size`` pixels goes into each of ``out`` means, (out, size).

    Example:
        >>> mean_shares(3, 2).tolist()
        [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """
    found = np.zeros((out, size))
    for number in range(out):
        first, last = number * size // out, -(-(number + 1) * size // out)
        found[number, first:last] = 1 / (last - first)
    return found
