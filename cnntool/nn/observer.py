"""Who looks on while a picture goes through a network, and its gradient back.

A network whose layers were built with taps (:func:`cnntool.nn.builder.build`) passes the output of
every layer, by its name, through the observer of its run, and on the way back the gradient of that
output. An observer keeps what it wants, changes it, or stops the way back. Networks for training
have no taps, so there is nothing that could cost anything.

:class:`cnntool.nn.observed.ObservedNetwork` is the door to all this.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from cnntool.backend import Array, array_module

if TYPE_CHECKING:
    from cnntool.nn.layer_rows import LayerRow

RECTIFIERS = ("relu", "relu6", "leakyrelu")
"""Words of layers that let the positive part through."""


class Observer:
    """Sees everything and changes nothing; subclasses say what they do.

    Example:
        A network without its third map, as if the filter were not there:

        >>> import numpy as np
        >>> from cnntool.nn import parse
        >>> from cnntool.nn.network import Network
        >>> from cnntool.nn.observed import ObservedNetwork
        >>> class Without(Observer):
        ...     def output(self, row, y):
        ...         return y * (np.arange(len(y)) != 2)[:, None, None, None]
        >>> net = Network(parse("conv 4 3 | relu"), (1, 5, 6))
        >>> net.initialise(seed=1)
        >>> x = np.ones((1, 5, 6, 1), np.float32)
        >>> y, _ = ObservedNetwork(net).forward(x, Without())
        >>> y.shape, float(y[2].sum())
        ((4, 3, 4, 1), 0.0)
    """

    def output(self, row: LayerRow, y: Array) -> Array:
        """The output that goes on to what reads it.

        Args:
            row: The layer.
            y: Its output, (C, H, W, N) or (n, N); never to be written into.
        """
        return y

    def gradient(self, row: LayerRow, grad: Array) -> Array | None:
        """The gradient of a layer's output that goes on to the layer.

        Args:
            row: The layer.
            grad: What came back from all that read the output. It may be written into; who keeps
                it copies it.

        Returns:
            None ends the way back here: nothing before this layer gets a gradient.
        """
        return grad


class Recorder(Observer):
    """Keeps outputs and gradients of some layers.

    Args:
        names: Of the layers; None keeps all.
        stop: Whether the way back ends at a layer that is kept.

    Attributes:
        outputs: By the layer's name, in the order in which they were seen.
        gradients: The same.

    Example:
        >>> import numpy as np
        >>> from cnntool.nn import parse
        >>> from cnntool.nn.network import Network
        >>> from cnntool.nn.observed import ObservedNetwork
        >>> net = Network(parse("conv 4 3 | relu | flatten | dense 3"), (1, 5, 6))
        >>> net.initialise(seed=1)
        >>> seen = Recorder(["1.relu"], stop=True)
        >>> x = np.ones((1, 5, 6, 2), np.float32)
        >>> y, backward = ObservedNetwork(net).forward(x, seen, gradient=True)
        >>> backward(np.ones_like(y))  # it ends at the layer
        >>> seen.outputs["1.relu"].shape == seen.gradients["1.relu"].shape == (4, 3, 4, 2)
        True
    """

    def __init__(self, names: Collection[str] | None = None, *, stop: bool = False) -> None:
        self._names, self._stop = names, stop
        self.outputs: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}

    def output(self, row: LayerRow, y: Array) -> Array:
        """Keep it."""
        if self._keeps(row):
            self.outputs[row.name] = y
        return y

    def gradient(self, row: LayerRow, grad: Array) -> Array | None:
        """Keep a copy."""
        if not self._keeps(row):
            return grad
        self.gradients[row.name] = grad.copy()
        return None if self._stop else grad

    def _keeps(self, row: LayerRow) -> bool:
        return self._names is None or row.name in self._names


class Guide(Observer):
    """Lets only positive gradients back through rectifiers: guided backpropagation.

    What a rectifier itself lets through, where its output is positive, stays.

    References:
        Springenberg et al. 2015, Striving for simplicity: the all convolutional net, section 3.4.
    """

    def gradient(self, row: LayerRow, grad: Array) -> Array | None:
        """The gradient, or its positive part behind a rectifier."""
        if row.word not in RECTIFIERS:
            return grad
        return array_module(grad).maximum(grad, 0, out=grad)
