"""The contract of layers that compute: from maps to maps, and the gradient back.

A layer is what it is by its settings; weights stand in the run, by name. ``forward`` gives the
output and a function that takes the output's gradient, stores those of the layer's own parameters
in the run, and gives the input's. Nothing is kept on the layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from cnntool.backend import Array
from cnntool.nn import nodes
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.layer_values import settings
from cnntool.nn.run import Run
from cnntool.nn.settings import Settings

Backward = Callable[[Array], Array | None]
"""From the gradient of the output to that of the input; it is called once at most.

It owns the gradient that it is given and may overwrite it; what it returns belongs to the caller,
who may overwrite that. None comes out where nobody asked for the input's gradient: see
:meth:`Layer.wants_input_gradient`.
"""


class Layer(ABC):
    """One layer of a network.

    Attributes:
        row: What the walk through the specification found: name, shapes, parameters.
        first: Whether nothing before it learns, so that the gradient of its input is of use only
            to those who ask for that of the network's input.
    """

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        self.row, self.first = row, first

    @property
    def name(self) -> str:
        """Its path in the network, such as ``3.main.0.conv``."""
        return self.row.name

    def tensor(self, run: Run, name: str) -> Array:
        """One of its parameters or buffers, by its own name (``weight``)."""
        return run.tensors[f"{self.name}.{name}"]

    def put(self, run: Run, name: str, gradient: Array) -> None:
        """Store the gradient of one of its parameters."""
        run.put(f"{self.name}.{name}", gradient)

    def wants_input_gradient(self, run: Run) -> bool:
        """Whether the gradient of its input is of use to anybody."""
        return run.input_gradient or not self.first

    @abstractmethod
    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """The output for an input, and its gradient.

        Args:
            x: (C, H, W, N) maps or (features, N); never changed.
            run: The pass. Without ``run.needs_gradients`` None stands for the gradient.

        Returns:
            The output, an array of its own or a view of ``x``, and its gradient's function.
        """


class FixedLayer(Layer):
    """A layer without parameters: it has nothing to do on the way back but for its input.

    Subclasses say what comes out, without and with the gradient.
    """

    @abstractmethod
    def _value(self, x: Array, run: Run) -> Array:
        """The output alone."""

    @abstractmethod
    def _value_vjp(self, x: Array, run: Run) -> tuple[Array, Backward]:
        """The output and its gradient."""

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`Layer.forward`."""
        if not run.needs_gradients:
            return self._value(x, run), None
        if not self.wants_input_gradient(run):
            return self._value(x, run), _nothing
        return self._value_vjp(x, run)


def _nothing(grad: Array) -> None:
    """The gradient that nobody asked for."""


def settings_of(row: LayerRow) -> Settings:
    """All settings of a row that is a layer of the text.

    Raises:
        TypeError: The row adds or joins branches, or unpools.
    """
    if not isinstance(row.node, nodes.Layer):
        raise TypeError(f"{row.name} stands for a whole {type(row.node).__name__}, not a layer")
    return settings(row.node)


def padding_of(row: LayerRow) -> tuple[int, int, int, int]:
    """Top, right, bottom and left of a layer's window in pixels, ``same`` resolved.

    Raises:
        TypeError: The layer has no window.
    """
    if row.facts.padding is None:
        raise TypeError(f"{row.name} has no padding")
    return row.facts.padding
