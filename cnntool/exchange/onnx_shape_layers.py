"""Operators of ONNX that move, join or enlarge maps, as layers."""

from __future__ import annotations

from math import prod

import numpy as np

from cnntool.exchange.onnx_reading import Node
from cnntool.exchange.onnx_translation import Translation
from cnntool.exchange.structure import Piece, Value
from cnntool.grammar import shown
from cnntool.nn.facts import Shape, times
from cnntool.nn.layer_values import layer


def concat(t: Translation, node: Node) -> None:
    """Concat along the maps."""
    values = [t.value(node, place) for place in range(len(node.inputs))]
    rank = len(values[0].shape) + 1
    if int(node.attributes.get("axis", 0)) % rank != 1:
        raise t.refused(node, f"joins along axis {node.attributes.get('axis', 0)}, not maps")
    if any(value.shape[1:] != values[0].shape[1:] for value in values):
        shapes = " and ".join(times(value.shape) for value in values)
        raise t.refused(node, f"joins {shapes}, whose rows and columns differ")
    for count in range(len(values) - 1, 1, -1):  # a stack that grows, as DenseNet's does
        begun = t.stacks.get(tuple(id(value) for value in values[:count]))
        if begun is not None:
            values = [begun, *values[count:]]
            break
    if len(values) == 1:
        t.passes(node)
        return
    maps = sum(value.shape[0] for value in values)
    shape = (maps, *values[0].shape[1:])
    found = Value(shape, tuple(values), join="concat", label=node.outputs[0])
    t.stacks[tuple(id(t.values[name]) for name in node.inputs)] = found
    t.values[node.outputs[0]] = found


def flatten(t: Translation, node: Node) -> None:
    """Flatten."""
    x = t.value(node)
    if int(node.attributes.get("axis", 1)) % (len(x.shape) + 1) != 1:
        raise t.refused(node, "flattens the batch too")
    _reshaped(t, node, x, (prod(x.shape),))


def reshape(t: Translation, node: Node) -> None:
    """Reshape of what lies behind the batch."""
    x = t.value(node)
    told = node.attributes.get("shape")
    sizes = [int(n) for n in (t.needed(node, 1, "shape") if told is None else told)]
    kept, whole = node.attributes.get("allowzero", 0), (t.batch, *x.shape)
    if not kept:
        sizes = [whole[k] if n == 0 and k < len(whole) else n for k, n in enumerate(sizes)]
    rest = prod(n for n in sizes if n != -1)
    if -1 in sizes and rest > 0 and prod(whole) % rest == 0:
        sizes[sizes.index(-1)] = prod(whole) // rest
    if not sizes or sizes[0] != t.batch or prod(sizes[1:]) != prod(x.shape):
        raise t.refused(node, f"makes {sizes} of {times(x.shape)} and moves the batch")
    _reshaped(t, node, x, tuple(sizes[1:]))


def squeeze(t: Translation, node: Node) -> None:
    """Squeeze."""
    x = t.value(node)
    axes = {axis % (len(x.shape) + 1) for axis in t.axes(node, 1)}
    if 0 in axes:
        raise t.refused(node, "takes the batch away")
    shape = tuple(n for k, n in enumerate(x.shape, start=1) if k not in axes and (axes or n > 1))
    _reshaped(t, node, x, shape)


def unsqueeze(t: Translation, node: Node) -> None:
    """Unsqueeze."""
    x, axes = t.value(node), t.axes(node, 1)
    shape = list(x.shape)
    for axis in sorted(axis % (len(x.shape) + 1 + len(axes)) for axis in axes):
        if axis == 0:
            raise t.refused(node, "puts an axis in front of the batch")
        shape.insert(axis - 1, 1)
    _reshaped(t, node, x, tuple(shape))


def _reshaped(t: Translation, node: Node, x: Value, shape: Shape) -> None:
    if shape == x.shape:
        t.put(node, x)
    elif len(shape) == 1:
        t.put(node, x, Piece(layer("flatten")))
    elif len(shape) == 3:
        t.put(node, x, Piece(layer("reshape", shape=shape)))
    else:
        raise t.refused(node, f"makes {len(shape)} axes; values here are maps or vectors")


def transpose(t: Translation, node: Node) -> None:
    """Transpose, where only sizes of 1 move, or an input with its channels last comes in."""
    x = t.value(node)
    perm = list(node.attributes.get("perm", range(len(x.shape), -1, -1)))
    if t.last and x is t.start and perm == [0, 3, 1, 2]:
        t.put(node, x)
        return
    moved = [axis for axis in perm if axis == 0 or x.shape[axis - 1] > 1]
    if perm[:1] != [0] or moved != sorted(moved):
        raise t.refused(
            node, f"reorders axes ({perm}); export the network with channels first (NCHW)"
        )
    _reshaped(t, node, x, tuple(x.shape[axis - 1] for axis in perm[1:]))


def pad(t: Translation, node: Node) -> None:
    """Pad of rows and columns."""
    x = t.maps(node)
    given = t.constant(node, 1, "pads")
    pads = [int(n) for n in (node.attributes.get("pads", []) if given is None else given)]
    if (axes := t.constant(node, 3, "axes")) is not None:
        whole = [0] * 8
        for place, axis in enumerate(int(n) % 4 for n in axes):
            whole[axis], whole[axis + 4] = pads[place], pads[place + len(axes)]
        pads = whole
    fill = t.constant(node, 2, "fill")
    value = float(node.attributes.get("value", 0.0) if fill is None else fill)
    mode = str(node.attributes.get("mode", "constant"))
    words = {"constant": "zeros", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}
    if len(pads) != 8 or min(pads) < 0 or any(pads[k] for k in (0, 1, 4, 5)):
        raise t.refused(node, f"pads by {pads}; layers pad rows and columns, and cut nothing")
    if mode not in words or (mode == "constant" and value):
        raise t.refused(node, f"fills with {value:g} ({shown(mode, 20)}); pad fills with zeros")
    sides = pads[2], pads[7], pads[6], pads[3]
    t.put(node, x, *([Piece(layer("pad", pad=sides, padmode=words[mode]))] if any(pads) else []))


def resize(t: Translation, node: Node) -> None:
    """Resize and Upsample by whole factors."""
    x = t.maps(node)
    scales = _scales(t, node, x)
    factor = tuple(round(scale) for scale in scales)
    if factor != tuple(scales) or min(factor) < 1:
        raise t.refused(node, f"resizes by {scales[0]:g}×{scales[1]:g}; upsample by whole factors")
    mode = str(node.attributes.get("mode", "nearest"))
    place = str(node.attributes.get("coordinate_transformation_mode", "half_pixel"))
    if node.operator == "Upsample" or t.file.opset < 11:
        place = "asymmetric"
    rounding = str(node.attributes.get("nearest_mode", "round_prefer_floor"))
    if node.operator == "Upsample" or t.file.opset < 11:
        rounding = "floor"
    nearest = (place == "asymmetric" and rounding == "floor") or (
        place in ("half_pixel", "pytorch_half_pixel") and rounding.startswith("round_prefer")
    )
    linear = place in ("half_pixel", "pytorch_half_pixel")
    if not {"nearest": nearest, "linear": linear}.get(mode, max(factor) == 1):
        raise t.refused(
            node,
            f"resizes by '{shown(mode, 20)}' and '{shown(place, 30)}'; upsample does nearest and "
            "bilinear without aligned corners",
        )
    word = "bilinear" if mode == "linear" else "nearest"
    t.put(node, x, Piece(layer("upsample", factor=factor, mode=word)))


def _scales(t: Translation, node: Node, x: Value) -> tuple[float, float]:
    """How many times as many rows and columns."""
    old = node.operator == "Upsample" or t.file.opset < 11
    found = t.constant(node, 1 if old else 2, "scales")
    if found is None or not found.size:
        found = np.asarray(node.attributes.get("scales", []), np.float64)
    if not found.size:
        sizes = t.needed(node, 3, "sizes")
        if len(sizes) != 4:
            raise t.refused(node, "resizes other axes than rows and columns")
        return float(sizes[2]) / x.shape[1], float(sizes[3]) / x.shape[2]
    if len(found) != 4 or found[0] != 1 or found[1] != 1:
        raise t.refused(node, "resizes other axes than rows and columns")
    return float(found[2]), float(found[3])
