"""Windows of ONNX as layers: convolutions and pooling."""

from __future__ import annotations

from cnntool.exchange.onnx_reading import Node
from cnntool.exchange.onnx_translation import Translation, arrays, pair
from cnntool.exchange.structure import Piece, Value
from cnntool.geometry import same_padding
from cnntool.grammar import shown
from cnntool.nn.layer_values import layer, settings
from cnntool.nn.nodes import Value as Setting


def conv(t: Translation, node: Node) -> None:
    """Conv."""
    x, weight = t.maps(node), t.needed(node, 1, "weights")
    if weight.ndim != 4:
        raise t.refused(node, f"slides along {weight.ndim - 2} axes; layers along two")
    bias = t.constant(node, 2, "bias")
    groups = int(node.attributes.get("group", 1))
    values = _window(t, node, x, weight.shape[2:])
    if groups > 1 and groups == x.shape[0] == weight.shape[0]:
        made = layer("depthwise", **values, bias=bias is not None)
    else:
        out = weight.shape[0]
        made = layer("conv", out=out, **values, groups=groups, bias=bias is not None)
    t.put(node, x, Piece(made, arrays(weight=weight, bias=bias)))


def deconv(t: Translation, node: Node) -> None:
    """ConvTranspose."""
    x, weight = t.maps(node), t.needed(node, 1, "weights")
    if weight.ndim != 4:
        raise t.refused(node, f"slides along {weight.ndim - 2} axes; layers along two")
    if "output_shape" in node.attributes:
        raise t.refused(node, "gives its output_shape; export it with pads")
    bias = t.constant(node, 2, "bias")
    groups = int(node.attributes.get("group", 1))
    values = _window(t, node, x, weight.shape[2:])
    more = pair(node.attributes.get("output_padding", [0, 0]))
    if values["pad"] != "same":
        values["outpad"] = more
    made = layer(
        "deconv", out=weight.shape[1] * groups, **values, groups=groups, bias=bias is not None
    )
    t.put(node, x, Piece(made, arrays(weight=weight, bias=bias)))


def _window(t: Translation, node: Node, x: Value, kernel: tuple[int, ...]) -> dict[str, Setting]:
    """Kernel, stride, dilation and padding."""
    size = pair(kernel)
    told = node.attributes.get("kernel_shape", list(kernel))
    if list(told) != list(kernel):
        raise t.refused(node, f"its kernel_shape {told} is not that of its weights {kernel}")
    stride = pair(node.attributes.get("strides", [1, 1]))
    gaps = pair(node.attributes.get("dilations", [1, 1]))
    pad = _padding(t, node, x, size, stride, gaps)
    return {"kernel": size, "stride": stride, "dilation": gaps, "pad": pad}


def _padding(
    t: Translation,
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
        raise t.refused(node, f"has auto_pad {shown(str(auto), 20)}; export it with pads")
    pads = node.attributes.get("pads", [0, 0, 0, 0]) if auto == "NOTSET" else [0, 0, 0, 0]
    if len(pads) != 4:
        raise t.refused(node, f"has {len(pads)} pads; maps have four sides")
    top, left, bottom, right = (int(side) for side in pads)
    return top, right, bottom, left


def maxpool(t: Translation, node: Node) -> None:
    """MaxPool, and where the maxima are for MaxUnpool."""
    if node.attributes.get("storage_order", 0):
        raise t.refused(node, "counts along columns (storage_order 1)")
    found = pool(t, node, "maxpool")
    if len(node.outputs) > 1 and t.uses[node.outputs[1]]:
        given = settings(found.pieces[0].layer)
        plain = given.pair("stride") == given.pair("kernel") and not any(
            (*given.sides("pad"), given.flag("ceil"))
        )
        if not plain or given.pair("dilation") != (1, 1):
            raise t.refused(node, "tells places of windows that overlap or are padded")
        t.places[node.outputs[1]] = found


def avgpool(t: Translation, node: Node) -> None:
    """AveragePool."""
    pool(t, node, "avgpool", countpad=bool(node.attributes.get("count_include_pad", 0)))


def pool(t: Translation, node: Node, word: str, **more: Setting) -> Value:
    """A pooling window."""
    x = t.maps(node)
    kernel = pair(node.attributes["kernel_shape"])
    stride = pair(node.attributes.get("strides", [1, 1]))
    gaps = pair(node.attributes.get("dilations", [1, 1]))
    pad = _padding(t, node, x, kernel, stride, gaps)
    ceil = bool(node.attributes.get("ceil_mode", 0))
    if word == "avgpool" and pad == (0, 0, 0, 0) and not ceil:
        more["countpad"] = True  # there is none to count, and the text stays short
    made = layer(word, kernel=kernel, stride=stride, dilation=gaps, pad=pad, ceil=ceil, **more)
    return t.put(node, x, Piece(made))


def unpool(t: Translation, node: Node) -> None:
    """MaxUnpool: back to where a MaxPool before it found the maxima."""
    x = t.maps(node)
    pool = t.places.get(node.inputs[1])
    if pool is None or pool.shape != x.shape or pool.above is None:
        raise t.refused(node, "puts values back to places that are not those of a MaxPool")
    before = pool.above
    found = Value(before.shape, (x, before), join="unpool", label=node.outputs[0])
    t.values[node.outputs[0]] = found


def globally(t: Translation, node: Node) -> None:
    """GlobalAveragePool and GlobalMaxPool."""
    x = t.maps(node)
    word = "globalavgpool" if node.operator == "GlobalAveragePool" else "globalmaxpool"
    t.put(node, x, Piece(layer(word)))


def reduce(t: Translation, node: Node) -> None:
    """ReduceMean and ReduceMax over rows and columns."""
    x = t.maps(node)
    axes = t.axes(node, 1)
    if sorted(axis % 4 for axis in axes) != [2, 3]:
        raise t.refused(node, f"reduces the axes {axes}; layers reduce rows and columns")
    word = "globalavgpool" if node.operator == "ReduceMean" else "globalmaxpool"
    pieces = [Piece(layer(word))]
    if not node.attributes.get("keepdims", 1):
        pieces.append(Piece(layer("flatten")))
    t.put(node, x, *pieces)
