"""One window over maps: its output size, its padding resolved, its formula in words.

The rules of convolutions and of pooling ask here, and so does the calculator for one layer.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnntool.errors import ShapeError
from cnntool.geometry import (
    conv_output_size,
    deconv_output_size,
    deconv_same_padding,
    extent,
    pool_output_size,
    same_padding,
)
from cnntool.nn.facts import Misfit
from cnntool.nn.fields import Field
from cnntool.nn.values import Sides

AXES = ("rows", "columns")


@dataclass(frozen=True, slots=True)
class Window:
    """How a window slides, with the size that comes out.

    Attributes:
        size: Rows and columns of the input.
        kernel: Rows and columns of the window.
        stride: Steps down and right.
        dilation: Distance between its taps.
        padding: Top, right, bottom, left.
        out: Rows and columns of the output.
    """

    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    out: tuple[int, int]

    @property
    def before(self) -> tuple[int, int]:
        """Padding in front: top and left."""
        return self.padding[0], self.padding[3]

    @property
    def taps(self) -> int:
        """Weights of the window per map."""
        return self.kernel[0] * self.kernel[1]

    def slide(self, field: Field) -> Field:
        """The receptive field behind it."""
        return field.slide(self.kernel, self.stride, self.before, self.dilation)


def ends(padding: tuple[int, int, int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """(before, after) of rows and of columns from top, right, bottom, left."""
    top, right, bottom, left = padding
    return (top, bottom), (left, right)


def sides(rows: tuple[int, int], columns: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, right, bottom, left from (before, after) of rows and of columns."""
    return rows[0], columns[1], rows[1], columns[0]


def formula(size: int, before: int, after: int, reach: int, stride: int) -> str:
    """The size of a convolution's output along one axis, with numbers.

    Example:
        >>> formula(28, 2, 2, 5, 1), formula(5, 0, 0, 9, 2)
        ('(28 + 2 + 2 - 5)/1 + 1', '(5 - 9)/2 + 1')
    """
    pads = f" + {before} + {after}" if before or after else ""
    return f"({size}{pads} - {reach})/{stride} + 1"


def conv_window(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Sides,
    dilation: tuple[int, int] = (1, 1),
) -> Window:
    """The window of a convolution.

    Raises:
        Misfit: It is larger than the padded input.

    Example:
        >>> conv_window((12, 9), (3, 5), (2, 1), "same").padding
        (0, 2, 1, 2)
    """
    if isinstance(padding, str):
        rows, columns = (same_padding(kernel[i], dilation[i], size[i], stride[i]) for i in range(2))
        padding = sides(rows, columns)
    out = []
    for i, (before, after) in enumerate(ends(padding)):
        _check_room(size, kernel, dilation, padding, stride, i)
        out.append(conv_output_size(size[i], kernel[i], stride[i], before, after, dilation[i]))
    return Window(size, kernel, stride, dilation, padding, (out[0], out[1]))


def _check_room(
    size: tuple[int, int],
    kernel: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int, int, int],
    stride: tuple[int, int],
    axis: int,
) -> None:
    """Refuse a window that is longer than the padded input along one axis."""
    before, after = ends(padding)[axis]
    reach = extent(kernel[axis], dilation[axis])
    room = size[axis] + before + after - reach
    if room >= 0:
        return
    text = formula(size[axis], before, after, reach, stride[axis])
    spread = f" (a window of {reach}: kernel {kernel[axis]}, dilation {dilation[axis]})"
    raise Misfit(
        f"{AXES[axis]} {text} = {room // stride[axis] + 1} are less than 1"
        + (spread if dilation[axis] > 1 else ""),
        room_fix(size, kernel, dilation, padding),
    )


def room_fix(
    size: tuple[int, int],
    kernel: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int, int, int],
) -> str:
    """Two ways to make a window fit: a smaller kernel, more padding."""
    largest, needed = [], []
    for i, (before, after) in enumerate(ends(padding)):
        room = size[i] + before + after
        largest.append(min(kernel[i], (room - 1) // dilation[i] + 1))
        lack = max(0, extent(kernel[i], dilation[i]) - size[i] - 2 * max(before, after))
        needed.append(max(before, after) + -(-lack // 2))
    square = kernel[0] == kernel[1] and dilation[0] == dilation[1]
    small = f"{min(largest)}" if square else f"{largest[0]}x{largest[1]}"
    pad = f"{max(needed)}" if len(set(needed)) == 1 or square else f"{needed[0]}x{needed[1]}"
    return f"take a kernel of at most {small}, or pad={pad}"


def pool_window(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Sides,
    dilation: tuple[int, int] = (1, 1),
    ceil_mode: bool = False,
) -> Window:
    """The window of a pooling layer, by torch's rules.

    Raises:
        Misfit: It is larger than the padded input, or padded by more than half of itself.

    Example:
        >>> pool_window((7, 8), (2, 2), (2, 2), (0, 0, 0, 0), ceil_mode=True).out
        (4, 4)
    """
    if isinstance(padding, str):
        rows, columns = (same_padding(kernel[i], dilation[i], size[i], stride[i]) for i in range(2))
        padding = sides(rows, columns)
    out = []
    for i, (before, after) in enumerate(ends(padding)):
        reach = extent(kernel[i], dilation[i])
        if max(before, after) > reach // 2:
            raise Misfit(
                f"a padding of {max(before, after)} is more than half the window of {reach}, and "
                "some windows would hold nothing else",
                f"take at most pad={reach // 2}, or a pad layer before it",
            )
        try:
            found = pool_output_size(
                size[i], kernel[i], stride[i], before, dilation[i], ceil_mode, after
            )
        except ShapeError:
            _check_room(size, kernel, dilation, padding, stride, i)
            raise
        out.append(found)
    return Window(size, kernel, stride, dilation, padding, (out[0], out[1]))


def deconv_window(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Sides,
    dilation: tuple[int, int] = (1, 1),
    output_padding: tuple[int, int] = (0, 0),
) -> Window:
    """The window of a transposed convolution; ``same`` makes the output size · stride.

    Raises:
        Misfit: Padding cuts off everything, or the output padding is too long.

    Example:
        >>> deconv_window((7, 9), (4, 2), (2, 2), "same").out
        (14, 18)
    """
    cut, more = padding, list(output_padding)
    if isinstance(cut, str):
        found = [deconv_same_padding(kernel[i], stride[i], dilation[i]) for i in range(2)]
        cut = sides(found[0][:2], found[1][:2])
        more = [found[0][2], found[1][2]]
    out = []
    for i, (before, after) in enumerate(ends(cut)):
        limit = max(stride[i], dilation[i])
        if more[i] >= limit and not isinstance(padding, str):
            raise Misfit(
                f"an output padding of {more[i]} is not below the stride {stride[i]} or the "
                f"dilation {dilation[i]}",
                f"take outpad={limit - 1} at most, or a pad layer behind it",
            )
        reach = extent(kernel[i], dilation[i])
        try:
            found_size = deconv_output_size(
                size[i], kernel[i], stride[i], before, after, dilation[i], more[i]
            )
        except ShapeError as error:
            plus = f" + {more[i]}" if more[i] else ""
            raise Misfit(
                f"{AXES[i]} ({size[i]} - 1)·{stride[i]} - {before} - {after} + {reach}{plus} = "
                f"{(size[i] - 1) * stride[i] + reach - before - after + more[i]} are less than 1",
                f"take less padding (pad={((size[i] - 1) * stride[i] + reach - 1) // 2} at most), "
                "or a larger stride",
            ) from error
        out.append(found_size)
    return Window(size, kernel, stride, dilation, cut, (out[0], out[1]))
