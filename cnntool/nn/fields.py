"""Receptive fields of a whole network: the part of the picture that a neuron depends on.

Sizes are not clipped at the picture's edge, so they tell what the layers can see, whatever the
picture. From a dense layer on, every neuron sees the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeVar

from cnntool.geometry import Reach

Way = TypeVar("Way")

ITSELF = Reach()
"""Every position sees the pixel of the same number."""


@dataclass(frozen=True, slots=True)
class Field:
    """What the neurons at one point of a network see of its input.

    Attributes:
        whole: Rows and columns of the input.
        rows: What each row of neurons sees; None where it is the whole input.
        columns: The same for columns.
        grid: Whether neurons still lie in rows and columns: false behind flatten.

    Example:
        >>> field = Field((28, 28)).slide((3, 5)).slide((2, 2), stride=(2, 2))
        >>> field.size, [int(step) for step in field.jump], field.box(1, 0)
        ((4, 6), [2, 2], (2, 0, 6, 6))
    """

    whole: tuple[int, int]
    rows: Reach | None = ITSELF
    columns: Reach | None = ITSELF
    grid: bool = True

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns that a neuron sees; the most, where neurons differ."""
        height = self.whole[0] if self.rows is None else self.rows.size
        return height, self.whole[1] if self.columns is None else self.columns.size

    @property
    def jump(self) -> tuple[Fraction, Fraction] | None:
        """Pixels from one neuron's field to the next one's, down and right.

        None in vectors, and where the fields are the whole input. Less than 1 behind upsampling.
        """
        if not self.grid or self.rows is None or self.columns is None:
            return None
        return self.rows.jump, self.columns.jump

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """The pixels that the neuron at a position sees: top, left, bottom, right (excluded).

        They may lie outside the picture where the network pads.
        """
        top, bottom = (0, self.whole[0] - 1) if self.rows is None else self.rows.at(row)
        left, right = (0, self.whole[1] - 1) if self.columns is None else self.columns.at(column)
        return top, left, bottom + 1, right + 1

    def slide(
        self,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        before: tuple[int, int] = (0, 0),
        dilation: tuple[int, int] = (1, 1),
    ) -> Field:
        """Behind a window; ``before`` are the rows above and columns left that padding adds."""
        ways = zip(kernel, stride, before, dilation, strict=True)
        return self._with([reach and reach.window(*way) for reach, way in self._axes(ways)])

    def spread(
        self,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        before: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Field:
        """Behind a transposed convolution."""
        ways = zip(kernel, stride, before, dilation, strict=True)
        return self._with([reach and reach.spread(*way) for reach, way in self._axes(ways)])

    def enlarge(self, factor: tuple[int, int], *, linear: bool) -> Field:
        """Behind upsampling."""
        return self._with(
            [reach and reach.enlarge(way, linear=linear) for reach, way in self._axes(factor)]
        )

    def shrink(self, size: tuple[int, int], out: tuple[int, int]) -> Field:
        """Behind adaptive or global pooling."""
        ways = zip(size, out, strict=True)
        return self._with([reach and reach.shrink(*way) for reach, way in self._axes(ways)])

    def unpool(self, body: Field, kernel: tuple[int, int]) -> Field:
        """Behind unpooling: what the body saw, and the windows that told where the maxima were.

        Args:
            body: The field behind what ran at the smaller size.
            kernel: Rows and columns of the pooling windows.
        """
        windows = [reach and reach.blocks(way) for reach, way in self._axes(kernel)]
        return self._with(windows).join([body.enlarge(kernel, linear=False)])

    def join(self, others: Sequence[Field]) -> Field:
        """Behind a layer that reads the same position of several branches."""
        joined = self
        for other in others:
            rows, columns = joined.rows, joined.columns
            joined = Field(
                self.whole,
                rows.join(other.rows) if rows and other.rows else None,
                columns.join(other.columns) if columns and other.columns else None,
                joined.grid and other.grid,
            )
        return joined

    def scatter(self) -> Field:
        """Behind flatten: the same fields in a vector."""
        return replace(self, grid=False)

    def everything(self) -> Field:
        """Behind a dense layer: the whole input."""
        return Field(self.whole, None, None, grid=False)

    def regrid(self) -> Field:
        """Behind reshape: neurons lie in rows and columns again, but no longer in place."""
        return Field(self.whole, None, None)

    def _axes(self, ways: Iterable[Way]) -> list[tuple[Reach | None, Way]]:
        return list(zip((self.rows, self.columns), ways, strict=True))

    def _with(self, axes: list[Reach | None]) -> Field:
        return replace(self, rows=axes[0], columns=axes[1])
