"""Dropout: random zeros in training, nothing in prediction."""

from __future__ import annotations

from cnntool import ops
from cnntool.backend import Array
from cnntool.nn.layer import Backward, FixedLayer, settings_of
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.run import Run


class Dropout(FixedLayer):
    """In training zeroes a share p and divides the rest by 1 - p.

    What is zeroed depends on the run's seed and step, the layer's name and the place in the whole
    batch: neither on threads nor on the device.
    """

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        self.p = settings_of(row).real("p")

    def _value(self, x: Array, run: Run) -> Array:
        if not self._drops(run):
            return x
        return ops.dropout(x, self.p, seed=run.seed_of(self.name), step=run.step, offset=run.offset)

    def _value_vjp(self, x: Array, run: Run) -> tuple[Array, Backward]:
        if not self._drops(run):
            return x, lambda grad: grad
        y, backward = ops.dropout_vjp(
            x, self.p, seed=run.seed_of(self.name), step=run.step, offset=run.offset
        )
        return y, lambda grad: backward(grad, out=grad)

    def _drops(self, run: Run) -> bool:
        return run.training and self.p > 0
