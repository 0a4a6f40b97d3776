"""What a model file may not be: contradictions, and the checks that several parts share."""

from __future__ import annotations

import math

from cnntool.grammar import shown
from cnntool.nn.layer_rows import Trace

MAX_ACTIVATION = 1 << 28
"""Most numbers of the input and of each layer's output for one input: 1 GiB as float32.

A specification of a few words can ask for terabytes; no file that is loaded may.
"""


class Contradiction(ValueError):
    """What is wrong with a model; the name of its file is put in front by who knows it."""


def tensor_shapes(found: Trace) -> dict[str, tuple[int, ...]]:
    """Name and shape of each array of a network, layer by layer.

    Example:
        >>> from cnntool.nn import parse, trace
        >>> tensor_shapes(trace(parse("conv 6 5 | relu | batchnorm"), (1, 9, 9)))["0.conv.weight"]
        (6, 1, 5, 5)
    """
    return {
        f"{row.name}.{tensor.name}": tensor.shape
        for row in found.rows
        for tensor in (*row.parameters, *row.buffers)
    }


def check_activations(found: Trace) -> None:
    """Refuse networks whose inputs or outputs would take too much memory."""
    outputs = [("its input", found.input)]
    outputs += [(f"its layer {shown(row.name)}", row.output) for row in found.rows]
    for which, shape in outputs:
        if math.prod(shape) > MAX_ACTIVATION:
            raise Contradiction(
                f"{which} has {math.prod(shape)} numbers, more than the {MAX_ACTIVATION} that a "
                "model file may ask for"
            )


def told(value: object) -> str:
    """A value for a message; nested ones, which may be of any depth, are not looked into."""
    if isinstance(value, str):
        return f"'{shown(value)}'"
    if isinstance(value, tuple) and all(type(item) is int for item in value):
        return shown(str(value))
    if value is None or isinstance(value, int | float):
        return shown(str(value))
    return f"a {type(value).__name__}"


def check_choice(what: str, value: object, known: tuple[str, ...]) -> None:
    """Refuse what is none of a few words."""
    if not isinstance(value, str) or value not in known:
        raise Contradiction(f"its {what} is {told(value)}; possible are {', '.join(known)}")


def check_number(what: str, value: object, low: float, high: float) -> None:
    """Refuse what is no number within bounds."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not low <= value <= high  # no NaN either
    ):
        raise Contradiction(
            f"its {what} is {told(value)}; it must be a number from {low:g} to {high:g}"
        )
