"""Layers that move or copy numbers: other shapes, frames, enlargement."""

from __future__ import annotations

from cnntool import ops
from cnntool.backend import Array
from cnntool.nn.layer import Backward, FixedLayer, padding_of, settings_of
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.run import Run


class Reshape(FixedLayer):
    """The same numbers in the same order, in the shape that the row says: ``flatten`` too."""

    def _value(self, x: Array, run: Run) -> Array:
        return x.reshape(*self.row.output, x.shape[-1])

    def _value_vjp(self, x: Array, run: Run) -> tuple[Array, Backward]:
        shape = x.shape
        return self._value(x, run), lambda grad: grad.reshape(shape)


class Pad(FixedLayer):
    """A frame around every map."""

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        self.padding, self.mode = padding_of(row), settings_of(row).word("padmode")

    def _value(self, x: Array, run: Run) -> Array:
        return ops.pad(x, self.padding, self.mode)

    def _value_vjp(self, x: Array, run: Run) -> tuple[Array, Backward]:
        return ops.pad_vjp(x, self.padding, self.mode)


class Upsample(FixedLayer):
    """Maps a whole number of times larger, by the nearest pixel or between pixels."""

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        given = settings_of(row)
        self.factor, self.mode = given.pair("factor"), given.word("mode")

    def _value(self, x: Array, run: Run) -> Array:
        return ops.interpolate(x, scale_factor=self.factor, mode=self.mode)

    def _value_vjp(self, x: Array, run: Run) -> tuple[Array, Backward]:
        return ops.interpolate_vjp(x, scale_factor=self.factor, mode=self.mode)
