"""The fully connected layer, with the ReLU that often follows it."""

from __future__ import annotations

from cnntool import ops
from cnntool.backend import Array
from cnntool.nn.layer import Backward, Layer, settings_of
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.run import Run
from cnntool.ops.activations import masked_by


class Dense(Layer):
    """``dense``, and ``dense | relu`` as one.

    Attributes:
        relu: Whether a ReLU follows.
        bias: Whether there is a bias.
    """

    def __init__(self, row: LayerRow, *, first: bool = False, relu: bool = False) -> None:
        super().__init__(row, first=first)
        self.relu, self.bias = relu, settings_of(row).flag("bias")

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`Layer.forward`."""
        weight = self.tensor(run, "weight")
        bias = self.tensor(run, "bias") if self.bias else None
        if not run.needs_gradients:
            y = ops.linear(x, weight, bias, threads=run.threads)
            return (ops.relu(y, out=y) if self.relu else y), None
        y, way = ops.linear_vjp(x, weight, bias, need_input_grad=self.wants_input_gradient(run))
        if self.relu:
            ops.relu(y, out=y)

        def backward(grad: Array) -> Array | None:
            if self.relu:
                grad = masked_by(y, grad, out=grad)
            grad_x, *rest = way(grad)
            for name, gradient in zip(("weight", "bias"), rest, strict=False):
                self.put(run, name, gradient)
            return grad_x

        return y, backward
