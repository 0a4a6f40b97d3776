"""One layer on its own: its row, and the arithmetic behind it. :mod:`solver` inverts it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Literal, get_args

from cnntool.errors import NameNotFound, OptionError
from cnntool.geometry import extent
from cnntool.nn.facts import Shape
from cnntool.nn.layer_rows import Trace
from cnntool.nn.layer_values import layer
from cnntool.nn.nodes import Chain, Layer, Value
from cnntool.nn.shapes import trace
from cnntool.nn.values import Sides
from cnntool.nn.windows import (
    AXES,
    Window,
    conv_window,
    deconv_window,
    ends,
    formula,
    pool_window,
)

Kind = Literal["conv", "pool", "deconv", "dense", "local"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Layers that can be calculated."""

_WORDS: dict[str, str] = {"pool": "maxpool"}


@dataclass(frozen=True, kw_only=True)
class Question:
    """One layer and its input.

    Attributes:
        kind: One of :data:`KINDS`.
        input: (C, H, W).
        kernel: Rows and columns of the window.
        stride: Steps down and right; None means 1, or the window in pooling.
        padding: Top, right, bottom, left, or ``same``.
        dilation: Distance of the window's taps.
        output_padding: Rows and columns that a transposed convolution adds.
        groups: Of a convolution.
        filters: Maps, or numbers of a dense layer, that come out.
        ceil_mode: Whether pooling windows may run off the far edge.
        bias: Whether there are biases.
    """

    kind: Kind
    input: Shape
    kernel: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    padding: Sides = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    output_padding: tuple[int, int] = (0, 0)
    groups: int = 1
    filters: int = 1
    ceil_mode: bool = False
    bias: bool = True

    @property
    def steps(self) -> tuple[int, int]:
        """The stride, also where it was left out."""
        if self.stride is not None:
            return self.stride
        return self.size if self.kind == "pool" else (1, 1)

    @property
    def size(self) -> tuple[int, int]:
        """The kernel.

        Raises:
            OptionError: There is none.
        """
        if self.kernel is None:
            raise OptionError(f"{self.kind} needs a kernel, such as 3 or 3x5")
        return self.kernel

    def window(self) -> Window:
        """How its window slides.

        Raises:
            Misfit: It does not fit.
        """
        size = (self.input[1], self.input[2])
        if self.kind == "pool":
            return pool_window(
                size, self.size, self.steps, self.padding, self.dilation, self.ceil_mode
            )
        if self.kind == "deconv":
            return deconv_window(
                size, self.size, self.steps, self.padding, self.dilation, self.output_padding
            )
        return conv_window(size, self.size, self.steps, self.padding, self.dilation)

    def layer(self) -> Layer:
        """The layer as the specification language has it.

        Raises:
            SpecError: A number is out of range.
        """
        values: dict[str, Value] = {}
        if self.kind != "pool":
            values |= {"out": self.filters, "bias": self.bias}
        if self.kind != "dense":
            values |= {
                "kernel": self.size,
                "stride": self.steps,
                "pad": self.padding,
                "dilation": self.dilation,
            }
        if self.kind == "pool":
            values["ceil"] = self.ceil_mode
        if self.kind == "deconv":
            values["outpad"] = self.output_padding
        if self.kind in ("conv", "deconv"):
            values["groups"] = self.groups
        return layer(_WORDS.get(self.kind, self.kind), **values)


def calculate(question: Question, batch: int = 1) -> Trace:
    """The layer's row; a dense layer gets its input flattened.

    Args:
        question: The layer and its input.
        batch: Inputs at a time; only the memory grows with it.

    Raises:
        SpecError: The layer cannot have this input.
        OptionError: A kernel is missing.

    Example:
        >>> found = calculate(Question(kind="conv", input=(1, 28, 28), kernel=(5, 5), filters=6))
        >>> found.output, found.params
        ((6, 24, 24), 156)
    """
    if question.kind not in KINDS:
        raise NameNotFound.among("layer to calculate", question.kind, KINDS)
    asked = question.layer()
    if question.kind == "dense" and len(question.input) == 3:
        row = trace(Chain((Layer("flatten"), asked)), question.input, batch).rows[1]
        return Trace(question.input, (replace(row, name="0.dense"),))
    return trace(Chain((asked,)), question.input, batch)


def explain(question: Question) -> list[str]:
    r"""The arithmetic behind the output's size, a line an axis.

    Example:
        >>> asked = Question(kind="conv", input=(1, 28, 20), kernel=(5, 5), stride=(2, 2))
        >>> print(*explain(asked), sep="\n")
        rows     floor((28 - 5)/2 + 1) = 12
        columns  floor((20 - 5)/2 + 1) = 8
    """
    if question.kind == "dense":
        count = prod(question.input)
        text = "·".join(map(str, question.input))
        plus = f" + {question.filters}" if question.bias else ""
        total = count * question.filters + question.bias * question.filters
        return [
            f"inputs   {text} = {count}",
            f"weights  {count}·{question.filters}{plus} = {total}",
        ]
    window = question.window()
    lines = []
    for axis, (before, after) in enumerate(ends(window.padding)):
        size, stride = window.size[axis], window.stride[axis]
        reach = extent(window.kernel[axis], window.dilation[axis])
        if question.kind == "deconv":
            more = window.out[axis] - ((size - 1) * stride - before - after + reach)
            pads = f" - {before} - {after}" if before or after else ""
            text = f"({size} - 1)·{stride}{pads} + {reach}" + (f" + {more}" if more else "")
        else:
            text = formula(size, before, after, reach, stride)
            if stride > 1:
                text = f"{'ceil' if question.ceil_mode else 'floor'}({text})"
            room = size + before + after - reach
            if question.ceil_mode and window.out[axis] < -(-room // stride) + 1:
                text += " - 1 (a window in the padding)"
        lines.append(f"{AXES[axis]:<8} {text} = {window.out[axis]}")
    return lines
