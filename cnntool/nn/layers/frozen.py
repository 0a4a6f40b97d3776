"""Layers that do not learn: as in prediction, also while the others are trained."""

from __future__ import annotations

from dataclasses import replace

from cnntool.backend import Array
from cnntool.nn.layer import Backward
from cnntool.nn.layers.joints import Block
from cnntool.nn.run import Run


class Frozen:
    """A block that keeps its weights and running statistics, and uses the latter in training too.

    Where nothing before it learns, no way back is kept: a network whose last layer alone is trained
    costs little more than prediction.

    Attributes:
        part: The block.
        first: Whether nothing before it learns.
    """

    def __init__(self, part: Block, *, first: bool) -> None:
        self.part, self.first = part, first

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`cnntool.nn.layer.Layer.forward`."""
        if not run.training:
            return self.part.forward(x, run)
        wanted = run.input_gradient or not self.first
        inner = replace(run, training=False, gradients=None, input_gradient=wanted)
        y, back = self.part.forward(x, inner)
        return y, _nothing if back is None else back


def _nothing(grad: Array) -> None:
    """Nobody asks for the gradient of the input."""
