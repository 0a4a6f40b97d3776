"""The value that every filter takes: a small matrix of weights with a name.

The matrix stands here as it lies on the image, rows downwards, and is laid on it without flipping
(cross-correlation). Whole weights stay whole numbers beside a divisor, ``1 2 1`` over 4, so that
integer pictures can be filtered exactly. NumPy is loaded only by what returns arrays: names and
summaries must be at hand for shell completion at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cnntool.errors import OptionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

Rows = tuple[tuple[float, ...], ...]
"""Weights by rows; whole numbers are ints, the others floats."""

ZERO_SUM_TOLERANCE = 1e-6
LARGEST = 1e30
"""Weights up to here leave room for sums over any picture in float32."""
EXACT = 2**53
"""Whole numbers up to here are exact as floats."""

# The eight neighbours of the centre of a 3×3 matrix, clockwise from the upper left.
_RING = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))


@dataclass(frozen=True)
class Kernel:
    """A matrix of weights, applied as sum(weights · pixels) / scale + offset.

    Args:
        name: What the user calls it; also part of output names.
        weights: Rows of finite numbers, all rows of one length; any height and width ≥ 1.
        summary: What it does, one line.
        source: Where it comes from, one line.
        scale: Divisor of all weights, finite, not 0.
        offset: Added to each result, in sample units (0..255).

    Raises:
        OptionError: No weights, rows of different lengths, NaN, infinity or more than 1e30, or a
            scale of 0.

    Example:
        >>> k = Kernel("mine", ((1, 2, 1), (2, 4, 2), (1, 2, 1)), scale=16)
        >>> k.size, k.total, k.zero_sum
        ((3, 3), 1.0, False)
        >>> column, row = k.separable
        >>> column.tolist(), row.tolist()
        ([0.0625, 0.125, 0.0625], [1.0, 2.0, 1.0])
    """

    name: str
    weights: Rows
    summary: str = ""
    source: str = ""
    scale: float = 1
    offset: float = 0

    def __post_init__(self) -> None:
        rows = tuple(tuple(row) for row in self.weights)
        if not rows or not rows[0]:
            raise OptionError(f"kernel '{self.name}' has no weights; write at least one number")
        for number, row in enumerate(rows, start=1):
            if len(row) != len(rows[0]):
                raise OptionError(
                    f"kernel '{self.name}': row {number} has {count(len(row), 'value')}, row 1 has "
                    f"{len(rows[0])}; all rows need the same number"
                )
            if not all(-LARGEST <= value <= LARGEST for value in row):
                bad = next(value for value in row if not -LARGEST <= value <= LARGEST)
                raise OptionError(
                    f"kernel '{self.name}': row {number} holds {bad:g}; weights must be finite "
                    f"and at most {LARGEST:g}"
                )
        if not math.isfinite(self.scale) or self.scale == 0:
            raise OptionError(
                f"kernel '{self.name}': the divisor is {self.scale:g}; "
                "it must be a finite number other than 0"
            )
        largest = max(max(map(abs, row)) for row in rows)
        if abs(self.scale) < 1 and largest > LARGEST * abs(self.scale):
            raise OptionError(
                f"kernel '{self.name}': {largest:g} divided by {self.scale:g} is too large; "
                f"weights must be at most {LARGEST:g}"
            )
        if not math.isfinite(self.offset):
            raise OptionError(f"kernel '{self.name}': the offset is {self.offset}, not finite")
        object.__setattr__(self, "weights", rows)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return len(self.weights), len(self.weights[0])

    @property
    def total(self) -> float:
        """Sum of the coefficients: what the kernel makes of a flat area of ones."""
        return math.fsum(value for row in self.weights for value in row) / self.scale

    @property
    def absolute(self) -> float:
        """Sum of the absolute coefficients: the largest gain any picture can meet."""
        return math.fsum(abs(value) for row in self.weights for value in row) / abs(self.scale)

    @property
    def zero_sum(self) -> bool:
        """Whether flat areas become 0: |Σk| ≤ 1e-6 · Σ|k|."""
        return abs(self.total) <= ZERO_SUM_TOLERANCE * self.absolute

    @property
    def is_single(self) -> bool:
        """Whether it looks at one pixel only (1×1)."""
        return self.size == (1, 1)

    @property
    def is_identity(self) -> bool:
        """Whether it leaves every picture as it is: a 1 at the centre, nothing else, offset 0.

        The centre of an even side is the upper or left one of the two middle pixels, as in
        padding 'same'.
        """
        height, width = self.size
        middle = (height - 1) // 2, (width - 1) // 2
        return self.offset == 0 and all(
            value == (self.scale if (r, c) == middle else 0)
            for r, row in enumerate(self.weights)
            for c, value in enumerate(row)
        )

    def array(self) -> Floats:
        """The coefficients weights / scale.

        Shape:
            (height, width), float64, a new array at every call.
        """
        import numpy as np

        return np.array(self.weights, dtype=np.float64) / self.scale

    def integers(self) -> tuple[Integers, float] | None:
        """Whole weights (height, width) as int64 and their divisor; None if any has a fraction.

        Example:
            >>> Kernel("half", ((1, 1),), scale=2).integers()
            (array([[1, 1]]), 2)
            >>> Kernel("half", ((0.5, 0.5),)).integers() is None
            True
        """
        import numpy as np

        if any(value != int(value) or abs(value) > EXACT for row in self.weights for value in row):
            return None
        return np.array(self.weights, dtype=np.int64), self.scale

    def integer_factors(self) -> tuple[Integers, Integers, float] | None:
        """Whole column and row and the divisor: weights = column · rowᵀ; None if there are none.

        The row has no common divisor, so every whole matrix of rank 1 has such factors. The factor
        that averages has the positive sum, be it the row or else the column.

        Example:
            >>> sobel = Kernel("sobel-x", ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)))
            >>> sobel.integer_factors()
            (array([1, 2, 1]), array([-1,  0,  1]), 1)
        """
        from cnntool.ops.factors import whole_factors

        whole = self.integers()
        factors = None if whole is None else whole_factors(whole[0])
        return None if whole is None or factors is None else (*factors, whole[1])

    @property
    def separable(self) -> tuple[Floats, Floats] | None:
        """Column (height,) and row (width,) whose outer product is the matrix, float64, or None.

        See :func:`cnntool.ops.factors.rank_one_factors`. Whole weights get whole factors, the
        column divided by ``scale``.
        """
        from cnntool.ops.factors import rank_one_factors

        whole = self.integers()
        factors = rank_one_factors(self.array() if whole is None else whole[0].astype(float))
        if factors is None or whole is None:
            return factors
        return factors[0] / whole[1], factors[1]

    def flip(self) -> Kernel:
        """The kernel turned by 180°: filtering with it is true convolution."""
        return replace(self, weights=tuple(row[::-1] for row in self.weights[::-1]))

    def transpose(self) -> Kernel:
        """Rows and columns exchanged."""
        return replace(self, weights=tuple(zip(*self.weights, strict=True)))

    def rotate(self, degrees: int) -> Kernel:
        """The kernel turned counter-clockwise, as seen on the screen.

        Args:
            degrees: A multiple of 90; for 3×3 kernels of 45, where the eight outer weights move
                on by one place.

        Raises:
            OptionError: The angle does not fit the size.

        Example:
            >>> east = Kernel("kirsch-e", ((-3, -3, 5), (-3, 0, 5), (-3, -3, 5)))
            >>> east.rotate(45).weights
            ((-3, 5, 5), (-3, 0, 5), (-3, -3, -3))
        """
        ring = self.size == (3, 3)
        if degrees % (45 if ring else 90):
            height, width = self.size
            raise OptionError(
                f"kernel '{self.name}' cannot be turned by {degrees}°: a {height}×{width} matrix "
                f"turns by multiples of {'45' if ring else '90'}°"
                + ("" if ring else "; only 3×3 ones turn by 45°")
            )
        if ring:
            steps = degrees // 45
            turned: list[list[Any]] = [list(row) for row in self.weights]
            for place, (r, c) in enumerate(_RING):
                before = _RING[(place + steps) % 8]
                turned[r][c] = self.weights[before[0]][before[1]]
            return replace(self, weights=tuple(map(tuple, turned)))
        rows = self.weights
        for _ in range(degrees // 90 % 4):
            rows = tuple(zip(*rows, strict=True))[::-1]
        return replace(self, weights=rows)


def count(number: int, thing: str) -> str:
    """The number with its noun.

    Example:
        >>> count(1, "value"), count(3, "row")
        ('1 value', '3 rows')
    """
    return f"{number} {thing}" + ("" if number == 1 else "s")
