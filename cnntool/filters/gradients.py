"""From the responses of an operator's kernels to magnitudes, angles and colours, strip by strip.

Arrays are (rows, columns, N) strips as :func:`cnntool.ops.correlation.run_bank` hands them out:
int16 for 8-bit pictures, else float32 or float64, free to be changed in place. Angles are those of
the screen: x to the right, y down, so they grow clockwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from cnntool.backend import Array
from cnntool.ops.correlation_methods import Scratch


class Gradient(Protocol):
    """How an operator's responses become a gradient; ``work`` belongs to the calling thread."""

    matrices: list[Any]

    def magnitude(self, maps: Sequence[Array], work: Scratch) -> Array:
        """How strong it is."""

    def angle(self, maps: Sequence[Array], work: Scratch) -> Array:
        """Where it points to, in degrees, 0..360, floats; 0 where it is 0."""

    def polar(self, maps: Sequence[Array], work: Scratch) -> tuple[Array, Array]:
        """Both, as floats."""


class Pair:
    """Two kernels at right angles.

    Args:
        matrices: The kernels x and y.
        diagonal: The kernels look along the diagonals, to the upper left and the upper right, as
            those of Roberts.

    Example:
        >>> sobel = Pair([np.zeros((3, 3)), np.zeros((3, 3))])
        >>> maps = np.array([[[3.0]], [[-2.0]]]), np.array([[[4.0]], [[0.0]]])
        >>> size, angle = sobel.polar(maps, Scratch(np, np.float64))
        >>> size.ravel().tolist(), angle.ravel().round(1).tolist()
        ([5.0, 2.0], [53.1, 180.0])
    """

    def __init__(self, matrices: Sequence[Any], diagonal: bool = False) -> None:
        self.matrices = list(matrices)
        self.diagonal = diagonal

    def magnitude(self, maps: Sequence[Array], work: Scratch) -> Array:
        """√(x² + y²), floats."""
        x, y = maps
        a, b = work("a", x.shape), work("b", x.shape)
        a[...], b[...] = x, y
        if x.dtype.kind == "f" and not _safe_to_square(work.xp, x, y):
            return work.xp.hypot(a, b, out=a)
        work.xp.multiply(a, a, out=a)
        work.xp.multiply(b, b, out=b)
        work.xp.add(a, b, out=a)
        return work.xp.sqrt(a, out=a)

    def angle(self, maps: Sequence[Array], work: Scratch) -> Array:
        """atan2(y, x) in degrees; of diagonal kernels turned into the same frame."""
        xp, kind = work.xp, work.dtype.type
        x, y = maps
        right, down = work("right", x.shape), work("down", x.shape)
        if self.diagonal:  # x looks to the upper left, y to the upper right
            xp.subtract(y, x, out=right)
            xp.add(x, y, out=down)
            xp.negative(down, out=down)
        else:
            right[...], down[...] = x, y
        # -0 becomes 0: the angle of (-0, 0) would be 180° where there is no gradient
        xp.add(right, kind(0), out=right)
        xp.add(down, kind(0), out=down)
        angle = xp.arctan2(down, right, out=down)
        xp.multiply(angle, kind(180 / np.pi), out=angle)
        # a product instead of a choice: choosing costs ten times as much
        turn = xp.multiply(xp.less(angle, kind(0)).view(np.uint8), kind(360), out=right)
        return xp.add(angle, turn, out=angle)

    def polar(self, maps: Sequence[Array], work: Scratch) -> tuple[Array, Array]:
        """√(x² + y²), and its angle."""
        return self.magnitude(maps, work), self.angle(maps, work)


class Compass:
    """Eight kernels that are one ring of weights around a centre of 0, turned by 45° each time.

    All eight rest on the same eight numbers, each neighbour minus the centre: the kernels' sums are
    0, so the centre may be taken away first. Flat areas then give exactly 0 in floats too, and sums
    of neighbours are shared by the directions.

    Args:
        name: ``kirsch``, whose ring is 5 5 5 -3 -3 -3 -3 -3, or ``robinson``: 1 2 1 0 -1 -2 -1 0.

    Example:
        >>> ring = [np.full((1, 1, 1), value) for value in (0, 0, 0, 0, 0, 0, 7, 7)]
        >>> size, angle = Compass("kirsch").polar(ring, Scratch(np, np.float32))
        >>> size.item(), angle.item()  # 5·7 + 5·7, bright at the top and the upper right
        (70.0, 270.0)
    """

    # (row, column) of the neighbours in a 3×3 matrix, clockwise from east
    RING = ((1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0), (0, 1), (0, 2))

    def __init__(self, name: str) -> None:
        self.matrices = []
        for place in self.RING:
            matrix = np.zeros((3, 3))
            matrix[1, 1], matrix[place] = -1, 1
            self.matrices.append(matrix)
        self._search = {"kirsch": self._kirsch, "robinson": self._robinson}[name]

    def magnitude(self, maps: Sequence[Array], work: Scratch) -> Array:
        """The largest of the eight responses; int16 if the maps are."""
        return self._search(maps, work, None)

    def angle(self, maps: Sequence[Array], work: Scratch) -> Array:
        """The direction of the kernel with the largest response; of equal ones the first."""
        return self.polar(maps, work)[1]

    def polar(self, maps: Sequence[Array], work: Scratch) -> tuple[Array, Array]:
        """The largest response and the direction of its kernel; of equal ones the first."""
        xp, shape = work.xp, maps[0].shape
        index = xp.zeros(shape, dtype=np.uint8)
        size, angle = work("size", shape), work("angle", shape)
        size[...] = self._search(maps, work, index)
        return size, xp.multiply(index, work.dtype.type(45), out=angle)

    @staticmethod
    def _kirsch(ring: Sequence[Array], work: Scratch, index: Array | None) -> Array:
        # 5·(three neighbours) - 3·(the other five) = 8·(three) - 3·(all)
        xp = work.xp
        pairs = [xp.add(ring[k], ring[(k + 1) % 8]) for k in range(8)]
        whole = xp.add(pairs[0], pairs[2])
        xp.add(whole, pairs[4], out=whole)
        xp.add(whole, pairs[6], out=whole)
        best = None
        for k in range(8):
            three = xp.add(pairs[k - 1], ring[(k + 1) % 8], out=pairs[k - 1])
            best = _larger(xp, best, three, k, index)
        assert best is not None
        xp.multiply(best, best.dtype.type(8), out=best)
        xp.multiply(whole, best.dtype.type(3), out=whole)
        return xp.subtract(best, whole, out=best)

    @staticmethod
    def _robinson(ring: Sequence[Array], work: Scratch, index: Array | None) -> Array:
        # the kernel of a direction is minus that of the opposite one
        xp = work.xp
        pairs = [xp.add(ring[k], ring[(k + 1) % 8]) for k in range(8)]
        smooth = [xp.add(pairs[k - 1], pairs[k]) for k in range(8)]
        best = None
        for k in range(4):
            response = xp.subtract(smooth[k], smooth[k + 4], out=smooth[k])
            if index is None:
                best = _larger(xp, best, xp.abs(response, out=response), 0, None)
            else:
                smooth[k + 4] = xp.negative(response, out=smooth[k + 4])
        if index is not None:
            for k in range(8):
                best = _larger(xp, best, smooth[k], k, index)
        return best


def _larger(xp: Any, best: Array | None, other: Array, k: int, index: Array | None) -> Array:
    """The larger of two responses, in place; ``index`` becomes k where ``other`` wins."""
    if best is None:
        return other
    if index is not None:
        # k grows from call to call, so the largest index is the last that won
        won = xp.greater(other, best).view(np.uint8)
        xp.maximum(index, xp.multiply(won, np.uint8(k), out=won), out=index)
    return xp.maximum(best, other, out=best)


def _safe_to_square(xp: Any, x: Array, y: Array) -> bool:
    """Whether squares of these floats neither overflow nor vanish; asking a GPU costs too much."""
    if xp is not np:
        return False
    largest = max(np.abs(x).max(), np.abs(y).max())
    limits = np.finfo(x.dtype)
    return bool(
        largest == 0 or np.sqrt(limits.tiny) / limits.eps < largest < np.sqrt(limits.max) / 2
    )


def colours(size: Array, angle: Array, full: float, work: Scratch) -> Array:
    """RGB of hue ``angle``, full saturation and value ``size``, clipped to 0..full.

    Shape:
        (rows, columns, 1) twice -> (rows, columns, 3).

    Example:
        >>> size, angle = np.full((1, 1, 1), 200.0), np.full((1, 1, 1), 120.0)
        >>> colours(size, angle, 255, Scratch(np, np.float64)).ravel().tolist()
        [0.0, 200.0, 0.0]
    """
    xp, kind = work.xp, work.dtype.type
    value = xp.clip(size, kind(0), kind(full), out=size)
    sixth = xp.multiply(angle, kind(1 / 60), out=angle)
    rgb = work("rgb", (*size.shape[:2], 3))
    part = work("part", size.shape)
    # red falls from 60° to 120° and rises from 240° to 300°; green and blue are humps
    for channel, (centre, sign, lift) in enumerate(((3, 1, -1), (2, -1, 2), (4, -1, 2))):
        xp.subtract(sixth, kind(centre), out=part)
        xp.abs(part, out=part)
        if sign < 0:
            xp.negative(part, out=part)
        xp.add(part, kind(lift), out=part)
        xp.clip(part, kind(0), kind(1), out=part)
        xp.multiply(part, value, out=rgb[..., channel : channel + 1])
    return rgb
