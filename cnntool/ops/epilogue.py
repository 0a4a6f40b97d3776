"""What is done to a convolution's result while it is in the cache: scale, shift, ReLU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cnntool.backend import Array, array_module
from cnntool.ops.activations import relu

EVERY = slice(None)


@dataclass(frozen=True)
class Epilogue:
    """Applied to every part of a result, in place.

    Attributes:
        scale: A factor for each output map, (O, 1, 1, 1); None is 1.
        shift: A summand for each output map, (O, 1, 1, 1); None is 0.
        relu: Whether a ReLU comes last.

    Example:
        >>> import numpy as np
        >>> part = np.array([[[[1.0]]], [[[-1.0]]]])
        >>> Epilogue(shift=np.array([[[[2.0]]], [[[0.5]]]]), relu=True)(part)
        >>> part.ravel().tolist()
        [3.0, 0.0]
    """

    scale: Array | None = None
    shift: Array | None = None
    relu: bool = False

    @classmethod
    def of(cls, scale: Array | None, bias: Array | None, relu: bool, dtype: Any) -> Epilogue:
        """From arrays (O,) of any type."""
        factors, summands = (
            None if values is None else values.astype(dtype, copy=False).reshape(-1, 1, 1, 1)
            for values in (scale, bias)
        )
        return cls(factors, summands, relu)

    def part(self, filters: slice) -> Epilogue:
        """The same for some of the output maps."""
        scale, shift = (
            None if values is None else values[filters] for values in (self.scale, self.shift)
        )
        return Epilogue(scale, shift, self.relu)

    def sink(self, part: Array, filters: slice, rows: slice, columns: slice) -> None:
        """The same for what :func:`cnntool.ops.im2col.forward` calls."""
        self(part, filters)

    def __call__(self, part: Array, filters: slice = EVERY) -> None:
        """Change (o, rows, columns, N), the result of some filters."""
        xp = array_module(part)
        if self.scale is not None:
            xp.multiply(part, self.scale[filters], out=part)
        if self.shift is not None:
            xp.add(part, self.shift[filters], out=part)
        if self.relu:
            relu(part, out=part)
