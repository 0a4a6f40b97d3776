"""Convolution with several input channels as matrix products over strips of copied windows.

A strip is a block of output rows, or part of a row where a whole one is too large. Its windows are
copied out at memory speed (one strided copy; every run is a row of W·N numbers), so that one matrix
product gives all output channels of the strip in the layout of the next layer. The strip stays in
the cache: with 32 channels and 32 images whole-picture im2col is a third slower or more.

Shapes: padded input (C, Hp, Wp, N), weight (O, C, kh, kw), output (O, oh, ow, N).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.ops import memory, products
from cnntool.ops.correlation_methods import Scratch, Steps
from cnntool.ops.sharing import share

PATCH_BYTES = 1 << 20
"""Aim for the copied windows of one strip: about the second-level cache of a core."""


Strip = tuple[slice, slice]
"""Rows and columns of the output."""

Sink = Callable[[Array, slice, slice, slice], None]
"""Takes (product, filters, rows, columns) of a finished part of the output."""


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

    def of_size(self, out: tuple[int, int]) -> Patches:
        """The same windows at another number of rows and columns."""
        return replace(self, out=out)

    def strips(self, xp: Any, itemsize: int, threads: int = 1) -> Iterator[Strip]:
        """Rows and columns of the output, strip after strip; all at once on a device.

        For several threads their number is divisible by that of the threads, if there are enough
        rows, and all are equally high: none waits for another.
        """
        rows, columns = self.out
        if xp is not np:
            yield slice(0, rows), slice(0, columns)
            return
        budget = max(1, PATCH_BYTES // max(1, self.length * self.n * itemsize))
        width = min(columns, max(1, budget))
        height = min(rows, max(1, budget // columns))
        if threads > 1:
            rounds = -(-rows // (height * threads))
            height = max(1, -(-rows // (rounds * threads)))
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
        positions = windows.shape[3] * windows.shape[4] * windows.shape[5]
        patches = scratch.matrix("patches", self.length, positions)
        patches.reshape(windows.shape)[...] = windows
        return patches


def forward(
    padded: Array,
    weight: Array,
    patches: Patches,
    sink: Sink | None = None,
    *,
    target: Array | None = None,
    threads: int = 1,
) -> None:
    """Multiply weight (O, C, kh, kw) with every window.

    Args:
        padded: The input, (C, Hp, Wp, N).
        weight: Kernels.
        patches: Where the windows are.
        sink: Called as ``sink(product, filters, rows, columns)`` with a part of the output, (o,
            rows, columns, N), that it may change, and its place.
        target: Where the output goes, (O, oh, ow, N); None leaves it to the sink.
        threads: Threads that share strips; filters, where they are larger than all windows.
    """
    xp = array_module(padded)
    matrix = weight.reshape(weight.shape[0], patches.length)
    strips = list(patches.strips(xp, padded.itemsize, threads))

    def work(strips: Sequence[Strip], filters: slice) -> None:
        scratch = Scratch(xp, padded.dtype)
        part = matrix[filters]
        for rows, columns in strips:
            windows = patches.copied(padded, rows, columns, scratch)
            place = None if target is None else target[filters, rows, columns]
            shape = part.shape[0], rows.stop - rows.start, columns.stop - columns.start, patches.n
            if place is not None and columns == slice(0, patches.out[1]):
                product = place
            else:
                product = scratch("product", shape)
            # whole rows are one run for every filter, so this is a view
            products.multiply(part, windows, product.reshape(shape[0], -1), xp)
            if sink is not None:
                sink(product, filters, rows, columns)
            if place is not None and product is not place:
                place[...] = product

    def each(shares: Sequence[slice]) -> None:
        for filters in shares:
            work(strips, filters)

    o = weight.shape[0]
    if threads > len(strips) or (threads > 1 and o > patches.out[0] * patches.out[1] * patches.n):
        cuts = [slice(o * t // threads, o * (t + 1) // threads) for t in range(threads)]
        share([cut for cut in cuts if cut.start < cut.stop], each, threads=threads)
    else:
        share(strips, lambda strips: work(strips, slice(0, o)), threads=threads)


def grad_weight(padded: Array, grad_y: Array, patches: Patches, scratch: Scratch) -> Array:
    """Gradient (O, C·kh·kw): the sum over strips of windows times grad_y, seen from its side.

    The longer factor stands first: OpenBLAS is up to 1.8 times as fast so.
    """
    xp, o = scratch.xp, grad_y.shape[0]
    total = memory.empty(xp, (patches.length, o), padded.dtype)
    part = scratch("part", total.shape)
    for number, (rows, columns) in enumerate(patches.strips(xp, padded.itemsize)):
        strip = patches.copied(padded, rows, columns, scratch)
        grad = _matrix(grad_y[:, rows, columns], scratch)
        products.accumulate(strip, grad, total, part, xp, first=number == 0)
    return total.T


def grad_input(
    grad_y: Array, weight: Array, shape: tuple[int, ...], patches: Patches, scratch: Scratch
) -> Array:
    """Gradient of the padded input (C, Hp, Wp, N): those of windows, added where they came from."""
    xp, o = scratch.xp, weight.shape[0]
    (kh, kw), (sy, sx), (dy, dx) = patches.kernel, patches.steps.stride, patches.steps.dilation
    total = memory.zeros(xp, shape, grad_y.dtype)
    turned = weight.reshape(o, patches.length).T
    for rows, columns in patches.strips(xp, grad_y.itemsize):
        part = _matrix(grad_y[:, rows, columns], scratch)
        back = scratch("patches", (patches.length, part.shape[1]))
        products.multiply(turned, part, back, xp)
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
