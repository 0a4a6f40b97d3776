"""Convolution with several input channels as matrix products over strips of copied windows.

A strip is a block of output rows, or part of a row where a whole one is too large. Its windows are
copied out at memory speed (one strided copy; every run is a row of W·N numbers), so that one matrix
product gives all output channels of the strip in the layout of the next layer. The strip stays in
the cache: with 32 channels and 32 images whole-picture im2col is a third slower or more.

Shapes: padded input (C, Hp, Wp, N), weight (O, C, kh, kw), output (O, oh, ow, N).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.ops.correlation_methods import Scratch, Steps

PATCH_BYTES = 1 << 20
"""Aim for the copied windows of one strip: about the second-level cache of a core."""


@dataclass(frozen=True)
class Patches:
    """Windows of a padded input, strip by strip.

    Attributes:
        c: Input channels of one group.
        kernel: Rows and columns of a window.
        out: Rows and columns of the output.
        n: Images.
        steps: Strides and dilations.
    """

    c: int
    kernel: tuple[int, int]
    out: tuple[int, int]
    n: int
    steps: Steps

    @property
    def length(self) -> int:
        """Numbers in a window."""
        return self.c * self.kernel[0] * self.kernel[1]

    def strips(self, xp: Any, itemsize: int) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of the output, strip after strip; all at once on a device."""
        rows, columns = self.out
        if xp is not np:
            yield slice(0, rows), slice(0, columns)
            return
        budget = max(1, PATCH_BYTES // max(1, self.length * self.n * itemsize))
        width = min(columns, max(1, budget))
        height = min(rows, max(1, budget // columns))
        for top in range(0, rows, height):
            for left in range(0, columns, width):
                yield slice(top, min(top + height, rows)), slice(left, min(left + width, columns))

    def windows(self, padded: Array, rows: slice, columns: slice) -> Array:
        """View (c, kh, kw, rows, columns, n) of the windows of a strip."""
        (sy, sx), (dy, dx) = self.steps.stride, self.steps.dilation
        s0, s1, s2, s3 = padded.strides
        part = padded[:, rows.start * sy :, columns.start * sx :]
        shape = (
            self.c, *self.kernel, rows.stop - rows.start, columns.stop - columns.start, self.n,
        )  # fmt: skip
        strides = (s0, s1 * dy, s2 * dx, s1 * sy, s2 * sx, s3)
        return array_module(padded).lib.stride_tricks.as_strided(part, shape, strides)

    def copied(self, padded: Array, rows: slice, columns: slice, scratch: Scratch) -> Array:
        """The windows of a strip as a matrix (c kh kw, rows columns n)."""
        windows = self.windows(padded, rows, columns)
        patches = scratch("patches", windows.shape)
        patches[...] = windows
        return patches.reshape(self.length, -1)


def forward(padded: Array, weight: Array, y: Array, patches: Patches, scratch: Scratch) -> None:
    """Fill y (O, oh, ow, N) with the products of weight (O, C, kh, kw) and every window."""
    xp, o = scratch.xp, weight.shape[0]
    matrix = weight.reshape(o, patches.length)
    for rows, columns in patches.strips(xp, padded.itemsize):
        strip = patches.copied(padded, rows, columns, scratch)
        target = y[:, rows, columns]
        product = scratch("product", (o, strip.shape[1]))
        xp.matmul(matrix, strip, out=product)
        target[...] = product.reshape(target.shape)


def grad_weight(padded: Array, grad_y: Array, patches: Patches, scratch: Scratch) -> Array:
    """Gradient (O, C·kh·kw): the sum over strips of grad_y times windows."""
    xp, o = scratch.xp, grad_y.shape[0]
    total = xp.zeros((o, patches.length), dtype=padded.dtype)
    part = scratch("part", total.shape)
    for rows, columns in patches.strips(xp, padded.itemsize):
        strip = patches.copied(padded, rows, columns, scratch)
        xp.matmul(_matrix(grad_y[:, rows, columns], scratch), strip.T, out=part)
        total += part
    return total


def grad_input(
    grad_y: Array, weight: Array, shape: tuple[int, ...], patches: Patches, scratch: Scratch
) -> Array:
    """Gradient of the padded input (C, Hp, Wp, N): those of windows, added where they came from."""
    xp, o = scratch.xp, weight.shape[0]
    (kh, kw), (sy, sx), (dy, dx) = patches.kernel, patches.steps.stride, patches.steps.dilation
    total = xp.zeros(shape, dtype=grad_y.dtype)
    turned = weight.reshape(o, patches.length).T
    for rows, columns in patches.strips(xp, grad_y.itemsize):
        part = _matrix(grad_y[:, rows, columns], scratch)
        back = scratch("patches", (patches.length, part.shape[1]))
        xp.matmul(turned, part, out=back)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        windows = back.reshape(patches.c, kh, kw, height, width, patches.n)
        for a in range(kh):
            top = rows.start * sy + a * dy
            for b in range(kw):
                left = columns.start * sx + b * dx
                place = total[
                    :,
                    top : top + (height - 1) * sy + 1 : sy,
                    left : left + (width - 1) * sx + 1 : sx,
                ]
                xp.add(place, windows[:, a, b], out=place)
    return total


def _matrix(part: Array, scratch: Scratch) -> Array:
    """(O, rows, columns, N) as (O, rows·columns·N); whole rows are a view."""
    if part[0].flags.c_contiguous:
        return part.reshape(part.shape[0], -1)
    copy = scratch("grad", part.shape)
    copy[...] = part
    return copy.reshape(part.shape[0], -1)
