"""Parts of an ONNX graph that do not depend on the input's numbers, computed beforehand.

Exporters write shapes as little programs (take the shape of a value, pick its first size, put a -1
behind it) and turn weights with operators. Here they become arrays; what an operator may make is
bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.exchange.onnx_reading import Node
from cnntool.exchange.packages import onnx

MAX_NUMBERS = 1 << 28
"""Most numbers that one operator may make: 1 GiB as float32."""

Array = NDArray[Any]
_Fold = Callable[[Node, Sequence[Array | None]], Array]


class NotFolded(ValueError):
    """An operator on constants that is not known, or whose result is too large."""


def fold(node: Node, inputs: Sequence[Array | None]) -> Array:
    """The first output of an operator whose inputs are constants.

    Args:
        node: The operator.
        inputs: Arrays; None where an input is left out.

    Raises:
        NotFolded: It is not one of these operators, or makes too much.

    Example:
        >>> node = Node("Unsqueeze", "u", ("a", "b"), ("c",), {})
        >>> fold(node, [np.array(5), np.array([0])]).tolist()
        [5]
    """
    if node.operator not in _FOLDS:
        raise NotFolded(f"{node.operator} on constants")
    try:
        found = np.asarray(_FOLDS[node.operator](node, inputs))
    except NotFolded:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise NotFolded(f"{node.operator} on constants that do not fit it") from error
    return found


def _first(inputs: Sequence[Array | None]) -> Array:
    if not inputs or inputs[0] is None:
        raise NotFolded("an operator without its input")
    return inputs[0]


def _list(
    node: Node, inputs: Sequence[Array | None], name: str, place: int = 1
) -> list[int] | None:
    """Whole numbers that are an attribute in old opsets and an input in newer ones."""
    if len(inputs) > place and (given := inputs[place]) is not None:
        return [int(number) for number in given.reshape(-1)]
    found = node.attributes.get(name)
    return None if found is None else [int(number) for number in found]


def _constant(node: Node, inputs: Sequence[Array | None]) -> Array:
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        if name in node.attributes:
            dtype = None if name == "value" else np.float32 if "float" in name else np.int64
            return np.asarray(node.attributes[name], dtype)
    raise NotFolded("a Constant that is no array of numbers")


def _constant_of_shape(node: Node, inputs: Sequence[Array | None]) -> Array:
    shape = [int(size) for size in _first(inputs)]
    _check(prod(shape))
    value = np.asarray(node.attributes.get("value", np.zeros(1, np.float32))).reshape(-1)
    return np.full(shape, value[0])


def _check(count: int) -> None:
    if not 0 <= count <= MAX_NUMBERS:
        raise NotFolded(f"an operator that makes {count} numbers")


def _unsqueeze(node: Node, inputs: Sequence[Array | None]) -> Array:
    return np.expand_dims(_first(inputs), tuple(_list(node, inputs, "axes") or ()))


def _squeeze(node: Node, inputs: Sequence[Array | None]) -> Array:
    axes = _list(node, inputs, "axes")
    return np.squeeze(_first(inputs), None if axes is None else tuple(axes))


def _reshape(node: Node, inputs: Sequence[Array | None]) -> Array:
    x, shape = _first(inputs), _list(node, inputs, "shape") or []
    kept = node.attributes.get("allowzero", 0)
    sizes = [x.shape[k] if n == 0 and not kept else n for k, n in enumerate(shape)]
    return x.reshape(sizes)


def _gather(node: Node, inputs: Sequence[Array | None]) -> Array:
    x, places = _first(inputs), np.asarray(inputs[1], np.intp)
    axis = int(node.attributes.get("axis", 0))
    _check(places.size * (x.size // max(x.shape[axis], 1)))
    return np.take(x, places, axis=axis)


def _slice(node: Node, inputs: Sequence[Array | None]) -> Array:
    x = _first(inputs)
    starts, ends = (_list(node, inputs, name, k) or [] for k, name in ((1, "starts"), (2, "ends")))
    axes = _list(node, inputs, "axes", 3) or list(range(len(starts)))
    steps = _list(node, inputs, "steps", 4) or [1] * len(starts)
    parts: list[slice] = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        stop = None if step < 0 and end < -x.shape[axis] else end
        parts[axis] = slice(start, stop, step)
    return x[tuple(parts)]


def _concat(node: Node, inputs: Sequence[Array | None]) -> Array:
    found = [x for x in inputs if x is not None]
    _check(sum(x.size for x in found))
    return np.concatenate(found, axis=int(node.attributes.get("axis", 0)))


def _cast(node: Node, inputs: Sequence[Array | None]) -> Array:
    dtype = onnx().helper.tensor_dtype_to_np_dtype(node.attributes["to"])
    return _first(inputs).astype(dtype)


def _arithmetic(function: Callable[[Array, Array], Array]) -> _Fold:
    def compute(node: Node, inputs: Sequence[Array | None]) -> Array:
        a, b = inputs
        if a is None or b is None:
            raise NotFolded("arithmetic without its inputs")
        _check(prod(np.broadcast_shapes(a.shape, b.shape)))
        with np.errstate(all="ignore"):
            return np.asarray(function(a, b)).astype(a.dtype)

    return compute


def _divide(a: Array, b: Array) -> Array:
    return a // b if a.dtype.kind in "iu" else a / b


def _transpose(node: Node, inputs: Sequence[Array | None]) -> Array:
    return np.transpose(_first(inputs), node.attributes.get("perm"))


def _product(node: Node, inputs: Sequence[Array | None]) -> Array:
    axes, kept = _list(node, inputs, "axes"), bool(node.attributes.get("keepdims", 1))
    axis = None if axes is None else tuple(axes)
    return np.asarray(np.prod(_first(inputs), axis=axis, keepdims=kept))


_FOLDS: Mapping[str, _Fold] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Identity": lambda node, inputs: _first(inputs),
    "Cast": _cast,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Add": _arithmetic(np.add),
    "Sub": _arithmetic(np.subtract),
    "Mul": _arithmetic(np.multiply),
    "Div": _arithmetic(_divide),
    "Sqrt": lambda node, inputs: np.sqrt(np.maximum(_first(inputs), 0)),
    "Neg": lambda node, inputs: -_first(inputs),
    "Floor": lambda node, inputs: np.floor(_first(inputs)),
    "Ceil": lambda node, inputs: np.ceil(_first(inputs)),
    "ReduceProd": _product,
}
