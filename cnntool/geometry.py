"""Sizes and positions of windows: pure integer arithmetic, no arrays.

Convolution, pooling, their gradients, the ``shape`` command and every size check ask here, so that
one formula serves all. Symbols: ``size`` input length along one axis, ``kernel`` window length,
``before``/``after`` padding at the two ends, all in pixels.

:class:`Reach` follows one axis through a whole network: which pixels of the input does a position
depend on? That is the receptive field, with its size, its step and its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

from cnntool.errors import OptionError, ShapeError

LONGEST_PERIOD = 256
"""Positions after which a receptive field must repeat; upsampling multiplies them."""


def pair(value: int | Sequence[int], name: str = "value") -> tuple[int, int]:
    """Height and width from one int (both) or two.

    Example:
        >>> pair(3), pair((2, 5))
        ((3, 3), (2, 5))
    """
    if isinstance(value, int):
        return value, value
    values = tuple(int(v) for v in value)
    if len(values) not in (1, 2):
        raise OptionError(f"{name} takes one number or two (height, width), got {len(values)}")
    return values[0], values[-1]


def four_sides(value: int | Sequence[int], name: str = "padding") -> tuple[int, int, int, int]:
    """Padding as (top, right, bottom, left) from N, (H, W) or (T, R, B, L).

    Example:
        >>> four_sides(1), four_sides((1, 2)), four_sides((1, 2, 3, 4))
        ((1, 1, 1, 1), (1, 2, 1, 2), (1, 2, 3, 4))
    """
    values = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
    if any(v < 0 for v in values):
        raise OptionError(f"{name} must not be negative, got {','.join(map(str, values))}")
    if len(values) == 1:
        return values * 4
    if len(values) == 2:
        return values * 2
    if len(values) == 4:
        return values
    raise OptionError(
        f"{name} takes N, H,W or T,R,B,L (top, right, bottom, left), got {len(values)} numbers"
    )


def extent(kernel: int, dilation: int = 1) -> int:
    """Pixels from the first to the last tap of a dilated kernel: d(K-1)+1.

    Example:
        >>> extent(3), extent(3, dilation=2)
        (3, 5)
    """
    return dilation * (kernel - 1) + 1


def conv_output_size(
    size: int, kernel: int, stride: int = 1, before: int = 0, after: int = 0, dilation: int = 1
) -> int:
    """Output length of a convolution: floor((size + before + after - d(K-1) - 1) / stride) + 1.

    Raises:
        ShapeError: The padded input is shorter than the kernel.

    Example:
        >>> conv_output_size(28, 3), conv_output_size(6, 3, stride=2)
        (26, 2)
    """
    room = size + before + after - extent(kernel, dilation)
    if room < 0:
        padded = f"{size} + {before} + {after} of padding" if before or after else f"{size}"
        raise ShapeError(
            f"a window of {extent(kernel, dilation)} does not fit an input of {padded}",
            size=size,
            kernel=kernel,
        )
    return room // stride + 1


def pool_output_size(
    size: int,
    kernel: int,
    stride: int,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    after: int | None = None,
) -> int:
    """Output length of pooling by torch's rules.

    With ``ceil_mode`` windows may run off the far edge, but one that would start in the right
    padding is dropped.

    Args:
        size: Length of the input.
        kernel: Length of the window.
        stride: Step from one window to the next.
        padding: Positions in front of the input.
        dilation: Distance between the taps of a window.
        ceil_mode: Whether windows may run off the far edge.
        after: Positions behind the input; None means as many as in front.

    Raises:
        ShapeError: No window fits.

    Example:
        >>> pool_output_size(7, 2, 2), pool_output_size(7, 2, 2, ceil_mode=True)
        (3, 4)
        >>> pool_output_size(6, 3, 2, 0, after=1)
        3
    """
    after = padding if after is None else after
    room = size + padding + after - extent(kernel, dilation)
    if room < 0 and not (ceil_mode and room > -stride):
        raise ShapeError(
            f"a window of {extent(kernel, dilation)} does not fit an input of {size}"
            + (f" with padding {_sum(padding, after)}" if padding or after else ""),
            size=size,
            kernel=kernel,
        )
    steps = -(-room // stride) if ceil_mode else room // stride
    if ceil_mode and steps * stride >= size + padding:
        steps -= 1
    if steps < 0:
        raise ShapeError(
            f"a window of {extent(kernel, dilation)} does not fit an input of {size}",
            size=size,
            kernel=kernel,
        )
    return steps + 1


def same_padding(
    kernel: int, dilation: int = 1, size: int | None = None, stride: int = 1
) -> tuple[int, int]:
    """Padding (before, after) that makes the output ceil(size / stride) long.

    The odd pixel goes after (bottom, right). ``size`` matters only when ``stride`` > 1.

    Example:
        >>> same_padding(3), same_padding(4), same_padding(3, size=6, stride=2)
        ((1, 1), (1, 2), (0, 1))
    """
    total = extent(kernel, dilation) - 1
    if stride > 1:
        if size is None:
            raise OptionError("'same' padding with a stride needs the input's size")
        total = max((-(-size // stride) - 1) * stride + extent(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


def full_padding(kernel: int, dilation: int = 1) -> tuple[int, int]:
    """Padding (before, after) of 'full': every position where kernel and input touch."""
    reach = extent(kernel, dilation) - 1
    return reach, reach


def _sum(before: int, after: int) -> str:
    """Padding in words: ``2``, or ``1 + 2`` where the ends differ."""
    return f"{before}" if before == after else f"{before} + {after}"


def deconv_output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    before: int = 0,
    after: int = 0,
    dilation: int = 1,
    output_padding: int = 0,
) -> int:
    """Output length of a transposed convolution.

    It is (size - 1)·stride - before - after + d(K-1) + output_padding + 1: the length that a
    convolution with the same numbers brings back to ``size``. Padding is cut off here, not added.

    Raises:
        ShapeError: The padding cuts everything off.

    Example:
        >>> deconv_output_size(7, 2, stride=2), deconv_output_size(7, 3, 2, 1, 1, output_padding=1)
        (14, 14)
    """
    out = (size - 1) * stride - before - after + extent(kernel, dilation) + output_padding
    if out < 1:
        raise ShapeError(
            f"a padding of {_sum(before, after)} cuts off all of an output of "
            f"{out + before + after}",
            size=size,
            kernel=kernel,
        )
    return out


def deconv_same_padding(kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int, int]:
    """Padding (before, after, output_padding) with which the output is size · stride long.

    The odd pixel is cut off after (bottom, right), as :func:`same_padding` adds it there.

    Example:
        >>> deconv_same_padding(4, 2), deconv_same_padding(5, 2), deconv_same_padding(1, 2)
        ((1, 1, 0), (1, 2, 0), (0, 0, 1))
    """
    cut = max(extent(kernel, dilation) - stride, 0)
    return cut // 2, cut - cut // 2, max(stride - extent(kernel, dilation), 0)


Ends = Callable[[int], tuple[int, int]]
"""The first and last position of a layer's input that one position of its output reads."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Which pixels of the input each position along one axis depends on, borders disregarded.

    Position p depends on the pixels ``first[p]`` to ``last[p]``, which may lie outside the input.
    After ``len(first)`` positions the pattern repeats, ``shift`` pixels further. Without
    upsampling the pattern has one position, and ``shift`` is the product of the strides. A position
    that sees nothing (between the kernels of a transposed convolution that are shorter than its
    stride) has what its two neighbours share, or ``last`` before ``first`` where that is nothing.

    Attributes:
        first: First pixel, for the positions 0, 1, 2 … of one period.
        last: Last pixel of the same positions.
        shift: Pixels from one period to the next.

    Example:
        >>> two = Reach().window(3, before=1).window(3, stride=2, before=1)
        >>> two.size, two.jump, two.at(5)
        (5, Fraction(2, 1), (8, 12))
    """

    first: tuple[int, ...] = (0,)
    last: tuple[int, ...] = (0,)
    shift: int = 1

    @property
    def size(self) -> int:
        """Pixels that a position sees; the most, where positions differ."""
        return max(b - a for a, b in zip(self.first, self.last, strict=True)) + 1

    @property
    def jump(self) -> Fraction:
        """Pixels from one position's field to the next one's, on average."""
        return Fraction(self.shift, len(self.first))

    def at(self, position: int) -> tuple[int, int]:
        """First and last pixel that a position depends on."""
        turns, place = divmod(position, len(self.first))
        return self.first[place] + turns * self.shift, self.last[place] + turns * self.shift

    def through(self, ends: Ends, period: int, shift: int) -> Reach | None:
        """The reach behind a layer.

        Args:
            ends: What a position of its output reads; neither end ever goes back.
            period: Outputs after which ``ends`` repeats.
            shift: Inputs that ``ends`` has then moved on.

        Returns:
            None where the pattern does not repeat within :data:`LONGEST_PERIOD` positions.
        """
        count = len(self.first)
        times = count // gcd(count, shift)
        if period * times > LONGEST_PERIOD:
            return None
        inputs = [ends(position) for position in range(period * times)]
        return Reach(
            tuple(self.at(first)[0] for first, _ in inputs),
            tuple(self.at(last)[1] for _, last in inputs),
            times * shift // count * self.shift,
        )

    def window(
        self, kernel: int, stride: int = 1, before: int = 0, dilation: int = 1
    ) -> Reach | None:
        """Behind a convolution or a pooling window."""
        reach = extent(kernel, dilation) - 1
        return self.through(lambda p: (p * stride - before, p * stride - before + reach), 1, stride)

    def spread(
        self, kernel: int, stride: int = 1, before: int = 0, dilation: int = 1
    ) -> Reach | None:
        """Behind a transposed convolution; with a dilation, gaps between taps count as read."""
        reach = extent(kernel, dilation) - 1
        return self.through(
            lambda p: (-((reach - p - before) // stride), (p + before) // stride), stride, 1
        )

    def enlarge(self, factor: int, *, linear: bool = False) -> Reach | None:
        """Behind upsampling, by the nearest neighbour or linear."""

        def ends(position: int) -> tuple[int, int]:
            if not linear:
                return position // factor, position // factor
            # the centre of output p lies at (p + 1/2) / factor - 1/2
            centre = 2 * position + 1 - factor
            return centre // (2 * factor), -(-centre // (2 * factor))

        return self.through(ends, factor, 1)

    def shrink(self, size: int, out: int) -> Reach | None:
        """Behind adaptive pooling of ``size`` positions into ``out``."""
        common = gcd(size, out)
        return self.through(
            lambda p: (p * size // out, -(-(p + 1) * size // out) - 1),
            out // common,
            size // common,
        )

    def blocks(self, length: int) -> Reach | None:
        """What the whole block of ``length`` positions sees, at every position of the block."""
        return self.through(
            lambda p: (p // length * length, p // length * length + length - 1), length, length
        )

    def join(self, other: Reach) -> Reach | None:
        """Behind a layer that reads the same position of two branches.

        Returns:
            None where the branches drift apart, or repeat too late.
        """
        mine, theirs = len(self.first), len(other.first)
        period = lcm(mine, theirs)
        if self.jump != other.jump or period > LONGEST_PERIOD:
            return None
        pairs = [(self.at(p), other.at(p)) for p in range(period)]
        return Reach(
            tuple(min(a[0], b[0]) for a, b in pairs),
            tuple(max(a[1], b[1]) for a, b in pairs),
            self.shift * (period // mine),
        )
