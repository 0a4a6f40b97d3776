"""Where an observer looks on: a block that passes everything through."""

from __future__ import annotations

from cnntool.backend import Array
from cnntool.nn.layer import Backward
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.run import Run


class Tap:
    """Shows the output of the layer before it to the run's observer, and its gradient.

    Attributes:
        row: The row of that layer.
    """

    def __init__(self, row: LayerRow) -> None:
        self.row = row

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`cnntool.nn.layer.Layer.forward`."""
        observer = run.observer
        if observer is None:
            return x, None
        y = observer.output(self.row, x)
        if not run.needs_gradients:
            return y, None
        return y, lambda grad: observer.gradient(self.row, grad)
