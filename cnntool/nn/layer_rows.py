"""The rows of a network's table, and their sums."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod

from cnntool.nn.facts import Facts, Shape, Tensor
from cnntool.nn.fields import Field
from cnntool.nn.nodes import Node

FLOAT_BYTES = 4
"""Bytes of a float32 number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One layer of a network in the order in which they run.

    Attributes:
        name: Its path: the number among its chain's layers and the word (``2.conv``), in branches
            behind the number and part of what holds it (``3.shortcut.conv``).
        spec: Its text.
        node: What it comes from; for adding and joining the node that holds the branches.
        facts: Shapes and counts.
        input: Shape of its input.
        field: What its outputs see of the network's input.
        batch: Inputs at a time, for the memory.
    """

    name: str
    spec: str
    node: Node
    facts: Facts
    input: Shape
    field: Field
    batch: int = 1

    @property
    def word(self) -> str:
        """Last part of its name: the layer's word; ``add``, ``concat`` or ``unpool`` for joints."""
        return self.name.rpartition(".")[2]

    @property
    def output(self) -> Shape:
        """Shape of its output."""
        return self.facts.output

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """Arrays that training changes, named and ordered as in torch."""
        return self.facts.parameters

    @property
    def buffers(self) -> tuple[Tensor, ...]:
        """Arrays that are kept beside them."""
        return self.facts.buffers

    @property
    def params(self) -> int:
        """Numbers that training changes."""
        return sum(tensor.size for tensor in self.facts.parameters)

    @property
    def macs(self) -> int:
        """Multiplications with an addition each for one input, without the bias."""
        return self.facts.macs

    @property
    def flops(self) -> int:
        """Two for each multiplication with an addition."""
        return 2 * self.facts.macs

    @property
    def receptive_field(self) -> tuple[int, int]:
        """Rows and columns of the input that an output sees, not clipped at the edges."""
        return self.field.size

    @property
    def jump(self) -> tuple[Fraction, Fraction] | None:
        """Input pixels from one output's field to the next one's; None where fields are whole."""
        return self.field.jump if len(self.output) == 3 else None

    @property
    def activation_bytes(self) -> int:
        """Memory of the output of the whole batch in float32."""
        return FLOAT_BYTES * prod(self.output) * self.batch

    def as_json(self) -> dict[str, object]:
        """Plain values for JSON."""
        facts = self.facts
        return {
            "name": self.name,
            "spec": self.spec,
            "input": list(self.input),
            "output": list(self.output),
            "kernel": None if facts.kernel is None else list(facts.kernel),
            "stride": None if facts.stride is None else list(facts.stride),
            "padding": None if facts.padding is None else list(facts.padding),
            "params": self.params,
            "macs": self.macs,
            "flops": self.flops,
            "receptive_field": list(self.receptive_field),
            "jump": None if self.jump is None else [plain(step) for step in self.jump],
            "activation_bytes": self.activation_bytes,
        }


def plain(number: Fraction) -> int | float:
    """An int where it is whole, else a float.

    Example:
        >>> plain(Fraction(4)), plain(Fraction(1, 2))
        (4, 0.5)
    """
    return number.numerator if number.denominator == 1 else float(number)


@dataclass(frozen=True, slots=True)
class Trace:
    """All layers of a network for one input.

    Attributes:
        input: Shape of the input.
        rows: The layers.
    """

    input: Shape
    rows: tuple[LayerRow, ...]

    @property
    def output(self) -> Shape:
        """Shape of what comes out."""
        return self.rows[-1].output

    @property
    def params(self) -> int:
        """Parameters of all layers."""
        return sum(row.params for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiplications with an addition for one input."""
        return sum(row.macs for row in self.rows)

    def total(self) -> dict[str, int]:
        """Sums over the layers; parameters as float32."""
        return {
            "params": self.params,
            "macs": self.macs,
            "flops": 2 * self.macs,
            "activation_bytes": sum(row.activation_bytes for row in self.rows),
            "parameter_bytes": FLOAT_BYTES * self.params,
        }

    def as_json(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "input": list(self.input),
            "layers": [row.as_json() for row in self.rows],
            "total": self.total(),
        }
