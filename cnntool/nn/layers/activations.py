"""Activations: number by number, and the softmax over the maps.

They keep their output for the way back, and there they work in place on the gradient, which is
theirs.
"""

from __future__ import annotations

from collections.abc import Callable

from cnntool import ops
from cnntool.backend import Array
from cnntool.nn.layer import Backward, FixedLayer, settings_of
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.run import Run
from cnntool.ops import buffers


class _Activation(FixedLayer):
    """A function of :mod:`cnntool.ops` whose gradient can work in place.

    Attributes:
        f: The function.
        f_vjp: The function and its gradient.
        arguments: What both take behind the input.
    """

    f: Callable[..., Array]
    f_vjp: Callable[..., tuple[Array, buffers.Backward]]
    arguments: tuple[float, ...] = ()

    def _value(self, x: Array, run: Run) -> Array:
        return self.f(x, *self.arguments)

    def _value_vjp(self, x: Array, run: Run) -> tuple[Array, Backward]:
        y, backward = self.f_vjp(x, *self.arguments)
        return y, lambda grad: backward(grad, out=grad)


class Relu(_Activation):
    """max(x, 0)."""

    f, f_vjp = staticmethod(ops.relu), staticmethod(ops.relu_vjp)


class Relu6(_Activation):
    """min(max(x, 0), 6)."""

    f, f_vjp = staticmethod(ops.relu6), staticmethod(ops.relu6_vjp)


class LeakyRelu(_Activation):
    """x, or a slope times x below zero."""

    f, f_vjp = staticmethod(ops.leaky_relu), staticmethod(ops.leaky_relu_vjp)

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        self.arguments = (settings_of(row).real("slope"),)


class Sigmoid(_Activation):
    """1 / (1 + exp(-x))."""

    f, f_vjp = staticmethod(ops.sigmoid), staticmethod(ops.sigmoid_vjp)


class Tanh(_Activation):
    """The hyperbolic tangent."""

    f, f_vjp = staticmethod(ops.tanh), staticmethod(ops.tanh_vjp)


class Softmax(_Activation):
    """Shares that sum to 1: over the maps at every position, or over a vector."""

    f, f_vjp = staticmethod(ops.softmax), staticmethod(ops.softmax_vjp)
