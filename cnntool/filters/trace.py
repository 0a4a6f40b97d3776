"""Show the arithmetic of a filter: the sum behind one output pixel, or whole matrices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import ShapeError
from cnntool.filters.convolve import Convolution, convolve, prepare
from cnntool.filters.kernel import Kernel
from cnntool.filters.matrix_text import matrix_lines, number_text, planes

LARGEST_PRINTED = 4096
"""Samples of the largest plane that is printed: more than a screen can show."""


def trace(
    image: NDArray[np.generic], kernel: Kernel, options: Convolution, at: tuple[int, int]
) -> Iterator[str]:
    """The sum behind output pixel ``at``, one line a channel.

    Args:
        image: (H, W) or (H, W, C).
        kernel: As for :func:`cnntool.filters.convolve.convolve`.
        options: Padding, border, strides and so on; they are part of the sum.
        at: Row and column of the output.

    Raises:
        ShapeError: The output has no such pixel.

    Example:
        >>> image = np.array([[3, 3, 5], [3, 4, 0], [5, 1, 2]])
        >>> kernel = Kernel("custom", ((0, 1, 0), (-1, 2, -1), (0, 1, 0)))
        >>> print(*trace(image, kernel, Convolution(padding="valid"), (0, 0)))
        3·0 + 3·1 + 5·0 + 3·(-1) + 4·2 + 0·(-1) + 5·0 + 1·1 + 2·0 = 9
    """
    if options.flip:
        kernel = kernel.flip()
    for name, plane in planes(image):
        line = _sum(plane.astype(np.float64), kernel, options, at)
        yield f"{name}: {line}" if name else line


def _sum(
    plane: NDArray[np.float64], kernel: Kernel, options: Convolution, at: tuple[int, int]
) -> str:
    work = prepare(kernel, options, plane[..., None], options.factor(kernel), kernel.offset)
    geometry = work.correlation
    rows, columns, _ = geometry.shape_out
    if not (0 <= at[0] < rows and 0 <= at[1] < columns):
        raise ShapeError(
            f"the output has no pixel {at[0]},{at[1]}; it is {rows}x{columns}, "
            f"rows 0..{rows - 1} and columns 0..{columns - 1}"
        )
    (sy, sx), (dy, dx) = geometry.steps.stride, geometry.steps.dilation
    fill = plane.max() if geometry.frame.border == "max" else geometry.frame.value
    terms, total = [], 0.0
    for a, weights in enumerate(kernel.weights):
        row = int(geometry.row_sources[at[0] * sy + a * dy])
        for b, weight in enumerate(weights):
            column = int(geometry.column_sources[at[1] * sx + b * dx])
            value = float(fill if min(row, column) < 0 else plane[row, column])
            total += value * weight
            terms.append(f"{_signed(value)}·{_signed(weight)}")
    text = " + ".join(terms)
    after = ""
    if kernel.scale != 1:
        total, after = total / kernel.scale, after + f" / {_signed(kernel.scale)}"
    gain = options.factor(kernel)
    if gain != 1:
        total, after = total * gain, after + f" · {_signed(gain)}"
    if after:
        text = f"({text}){after}"
    offset = kernel.offset + options.offset
    if offset:
        total, text = total + offset, f"{text} + {_signed(offset)}"
    return f"{text} = {number_text(total)}"


def _signed(value: float) -> str:
    """A number inside a sum: negative ones in brackets."""
    text = number_text(value)
    return f"({text})" if text.startswith("-") else text


def value_lines(image: NDArray[np.generic], kernel: Kernel, options: Convolution) -> Iterator[str]:
    """The matrices of input, kernel and output, channel after channel.

    Raises:
        ShapeError: A plane is larger than :data:`LARGEST_PRINTED` samples.
    """
    _check_printable(image)
    result = convolve(image.astype(np.float64), kernel, **vars(options))
    _check_printable(result)
    yield from _titled("kernel " + kernel.name, kernel.array())
    for (name, before), (_, after) in zip(planes(image), planes(result), strict=True):
        mark = f" {name}" if name else ""
        yield from _titled("input" + mark, before)
        yield from _titled("output" + mark, after)


def _check_printable(image: NDArray[np.generic]) -> None:
    height, width = image.shape[:2]
    if height * width > LARGEST_PRINTED:
        raise ShapeError(
            f"{height}x{width} values are too many to print; "
            f"at most {LARGEST_PRINTED}: crop the picture, or use -o FILE.npy"
        )


def _titled(title: str, matrix: NDArray[np.generic]) -> Iterator[str]:
    yield f"{title} ({matrix.shape[0]}x{matrix.shape[1]})"
    yield from matrix_lines(matrix)
