"""Sizes and positions of windows: pure integer arithmetic, no arrays.

Convolution, pooling, their gradients, the ``shape`` command and every size check ask here, so that
one formula serves all. Symbols: ``size`` input length along one axis, ``kernel`` window length,
``before``/``after`` padding at the two ends, all in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

from cnntool.errors import OptionError, ShapeError


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
) -> int:
    """Output length of pooling by torch's rules.

    With ``ceil_mode`` windows may run off the far edge, but one that would start in the right
    padding is dropped.

    Example:
        >>> pool_output_size(7, 2, 2), pool_output_size(7, 2, 2, ceil_mode=True)
        (3, 4)
    """
    room = size + 2 * padding - extent(kernel, dilation)
    if room < 0 and not (ceil_mode and room > -stride):
        raise ShapeError(
            f"a window of {extent(kernel, dilation)} does not fit an input of {size}"
            + (f" with padding {padding}" if padding else ""),
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
