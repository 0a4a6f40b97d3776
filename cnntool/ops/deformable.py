"""Deformable convolution: every tap of the kernel reads where a learned offset sends it.

Between pixels the maps are read bilinearly, and outside they are zero. So the result bends
smoothly with the offsets, which get gradients like any other argument. The windows are gathered
strip by strip, and one matrix product gives all output maps of a strip. The way back adds at the
places that were read (``add.at``): in fixed order on a CPU, by atomic additions on a GPU, whose
last bits differ from run to run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import ShapeError
from cnntool.geometry import conv_output_size, four_sides, pair
from cnntool.ops.buffers import as_float
from cnntool.ops.correlation_methods import Steps
from cnntool.ops.padding import pad

PATCH_BYTES = 1 << 20
"""Aim for the gathered windows of one strip on a CPU."""


def deform_conv2d(
    x: Array,
    offset: Array,
    weight: Array,
    bias: Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> Array:
    """Maps filtered with kernels whose taps are moved by offsets.

    Args:
        x: Input maps.
        offset: How far every tap is moved, in pixels: for each tap in row-major order first down,
            then right. One set for all positions (learned), or one at each position of each image
            (predicted). G times as many belong to G equal groups of input maps.
        weight: One kernel an output map and input map of its group; C divided by its second size
            is the number of groups.
        bias: One number an output map.
        stride: Steps down and across, in pixels.
        padding: Pixels on every side, (rows, columns), or (top, right, bottom, left). They are
            zero, like all that lies beyond.
        dilation: Distances of the kernel's elements, in pixels.

    Shape:
        x (C, H, W, N), weight (O, C/groups, kh, kw), bias (O,), offset (G·2·kh·kw, H', W', N) or
        (G·2·kh·kw,) -> (O, H', W', N), H' as for conv2d. float64 stays, smaller types become
        float32.

    Raises:
        ShapeError: The sizes do not fit.

    References:
        Dai et al. 2017, Deformable convolutional networks, section 2.1; the order of offsets is
        torchvision's.

    Example:
        >>> x = np.array([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
        >>> right = np.array([0.0, 0.5])
        >>> deform_conv2d(x, right, np.ones((1, 1, 1, 1))).ravel().tolist()
        [1.5, 3.0, 2.0]
    """
    return _Task.of(x, offset, weight, bias, stride, padding, dilation).forward()


def deform_conv2d_vjp(
    x: Array,
    offset: Array,
    weight: Array,
    bias: Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    *,
    need_input_grad: bool = True,
) -> tuple[Array, Callable[[Array], tuple[Array | None, ...]]]:
    """:func:`deform_conv2d` and its gradient.

    Where a tap reads exactly at a pixel, the gradient of its offset is that from the right and
    below. The windows are gathered anew on the way back, not kept.

    Args:
        x: As for :func:`deform_conv2d`, like the others.
        offset: Offsets.
        weight: Kernels.
        bias: One number an output map.
        stride: Steps.
        padding: Padding.
        dilation: Distances.
        need_input_grad: Whether the gradient of ``x`` is wanted; the first layer needs none.

    Shape:
        backward: (O, H', W', N) -> gradients of x (None if not needed), offset, weight, and bias
        if there is one.

    Example:
        >>> x = np.array([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
        >>> y, backward = deform_conv2d_vjp(x, np.array([0.0, 0.5]), np.ones((1, 1, 1, 1)))
        >>> [g.ravel().tolist() for g in backward(np.ones_like(y))]
        [[0.5, 1.0, 1.0], [-6.5, -1.0], [6.5]]
    """
    task = _Task.of(x, offset, weight, bias, stride, padding, dilation)

    def backward(grad_y: Array) -> tuple[Array | None, ...]:
        grads = task.backward(grad_y.astype(task.x.dtype, copy=False), need_input_grad)
        return grads if bias is None else (*grads, grad_y.sum(axis=(1, 2, 3)))

    return task.forward(), backward


@dataclass(frozen=True, eq=False)
class _Reading:
    """Where a strip is read: places as (taps·positions,), counted in the flat padded map.

    ``down`` and ``right`` are the distances of neighbours there; ``y`` and ``x`` the shares of
    the lower and right neighbour, and whether they change with the offset.
    """

    index: Array
    down: int
    right: int
    y: Array
    x: Array
    y_moves: Array
    x_moves: Array

    @property
    def corners(self) -> tuple[Array, Array, Array, Array]:
        """Places of the upper left, upper right, lower left and lower right pixel."""
        first = self.index
        return (
            first, first + self.right, first + self.down, first + (self.down + self.right),
        )  # fmt: skip

    @property
    def shares(self) -> tuple[Array, Array, Array, Array]:
        """How much each corner counts."""
        y, x = self.y, self.x
        return (1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x


def _split(position: Array, size: int) -> tuple[Array, Array, Array]:
    """The pixel at or before a position, the share of the one behind, whether it moves at all.

    Positions outside are brought to -1 or ``size``, where everything is zero. A position that is
    not a number reads at -1, and its share stays not a number.
    """
    xp = array_module(position)
    near = xp.minimum(xp.maximum(position, -1), size)
    whole = xp.minimum(xp.floor(xp.fmax(near, -1)), size - 1)
    near -= whole
    return whole.astype(np.intp), near, (position > -1) & (position < size)


@dataclass(frozen=True, eq=False)
class _Task:
    """One deformable convolution with everything normalised."""

    x: Array  # (C, H, W, N)
    offset: Array  # (G, kh·kw, 2, H', W', N), sizes of 1 where shared
    weight: Array
    bias: Array | None
    offset_shape: tuple[int, ...]
    steps: Steps
    start: tuple[int, int]  # padding above and on the left
    out: tuple[int, int]
    groups: int

    @classmethod
    def of(
        cls,
        x: Array,
        offset: Array,
        weight: Array,
        bias: Array | None,
        stride: int | Sequence[int],
        padding: int | Sequence[int],
        dilation: int | Sequence[int],
    ) -> _Task:
        x = as_float(x)
        c, h, w, n = x.shape
        o, share, kh, kw = weight.shape
        groups = c // share if share and c % share == 0 else 0
        if not groups or o % groups:
            raise ShapeError(
                f"{c} input maps do not fit weights of shape {o}x{share}x{kh}x{kw}; the input "
                f"maps must be a multiple of {share}, and the output maps of the groups"
            )
        steps = Steps(pair(stride, "stride"), pair(dilation, "dilation"))
        top, right, bottom, left = four_sides(padding)
        rows = conv_output_size(h, kh, steps.stride[0], top, bottom, steps.dilation[0])
        columns = conv_output_size(w, kw, steps.stride[1], left, right, steps.dilation[1])
        taps = 2 * kh * kw
        sets = offset.shape[0] // taps
        fits = offset.shape[0] == sets * taps and sets and c % sets == 0
        if not fits or offset.shape[1:] not in ((), (rows, columns, n)):
            raise ShapeError(
                f"offsets of shape {offset.shape} do not fit; for kernels of {kh}x{kw} they must "
                f"be ({taps},), or ({taps}, {rows}, {columns}, {n}) at every position, or a "
                f"multiple of {taps} for as many groups of the {c} input maps"
            )
        places = offset.shape[1:] or (1, 1, 1)
        moved = offset.astype(x.dtype, copy=False).reshape(sets, kh * kw, 2, *places)
        return cls(
            x, moved, weight.astype(x.dtype, copy=False), bias, offset.shape, steps, (top, left),
            (rows, columns), groups,
        )  # fmt: skip

    def strips(self) -> Iterator[slice]:
        """Rows of the output, strip after strip; all at once on a device."""
        rows, columns = self.out
        taps = self.weight.shape[2] * self.weight.shape[3]
        line = self.x.shape[0] * taps * columns * self.x.shape[3] * self.x.itemsize
        on_host = array_module(self.x) is np
        height = max(1, PATCH_BYTES // max(line, 1)) if on_host else rows
        for top in range(0, rows, height):
            yield slice(top, min(top + height, rows))

    def maps(self, number: int) -> slice:
        """Input maps of a group of offsets."""
        each = self.x.shape[0] // self.offset.shape[0]
        return slice(number * each, (number + 1) * each)

    def reading(self, number: int, rows: slice) -> _Reading:
        """Where the maps of a group of offsets are read for some rows of the output."""
        xp = array_module(self.x)
        _, h, w, n = self.x.shape
        kh, kw = self.weight.shape[2:]
        count = rows.stop - rows.start
        shared = len(self.offset_shape) == 1
        moved = self.offset[number] if shared else self.offset[number][:, :, rows]
        # tap, row or column, image
        down = xp.arange(rows.start, rows.stop) * self.steps.stride[0] - self.start[0]
        down = down[None] + (xp.arange(kh) * self.steps.dilation[0]).repeat(kw)[:, None]
        across = xp.arange(self.out[1]) * self.steps.stride[1] - self.start[1]
        across = across[None] + xp.tile(xp.arange(kw) * self.steps.dilation[1], kh)[:, None]
        y = down[:, :, None, None].astype(self.x.dtype) + moved[:, 0]
        x = across[:, None, :, None].astype(self.x.dtype) + moved[:, 1]
        (row, y_share, y_moves), (column, x_share, x_moves) = _split(y, h), _split(x, w)
        # the padded map has one zero on each side
        index = ((row + 1) * (w + 2) + column + 1) * n + xp.arange(n)
        shape = (kh * kw, count, self.out[1], n)

        def every(values: Array) -> Array:
            return xp.broadcast_to(values, shape).reshape(-1)

        return _Reading(
            every(index), (w + 2) * n, n, every(y_share), every(x_share), every(y_moves),
            every(x_moves),
        )  # fmt: skip

    def padded(self) -> Array:
        """The maps with one zero on each side, (C, (H+2)·(W+2)·N)."""
        return pad(self.x, 1).reshape(self.x.shape[0], -1)

    def matrix(self, group: int) -> tuple[Array, slice, slice]:
        """Weights of a group as (O/groups, C/groups·taps), its filters and its input maps."""
        o, share = self.weight.shape[:2]
        each = o // self.groups
        filters = slice(group * each, (group + 1) * each)
        return (
            self.weight[filters].reshape(each, -1), filters,
            slice(group * share, (group + 1) * share),
        )  # fmt: skip

    def forward(self) -> Array:
        xp, n = array_module(self.x), self.x.shape[3]
        c, o = self.x.shape[0], self.weight.shape[0]
        padded = self.padded()
        y = xp.empty((o, *self.out, n), dtype=self.x.dtype)
        for rows in self.strips():
            positions = (rows.stop - rows.start) * self.out[1] * n
            windows = xp.empty((c, self.weight[0, 0].size, positions), dtype=self.x.dtype)
            for number in range(self.offset.shape[0]):
                maps, reading = self.maps(number), self.reading(number, rows)
                part = windows[maps].reshape(maps.stop - maps.start, -1)
                _mix(reading, _corner_values(padded[maps], reading), part)
            for group in range(self.groups):
                matrix, filters, maps = self.matrix(group)
                strip = matrix @ windows[maps].reshape(matrix.shape[1], positions)
                y[filters, rows] = strip.reshape(y[filters, rows].shape)
        if self.bias is not None:
            y += self.bias.astype(y.dtype, copy=False).reshape(-1, 1, 1, 1)
        return y

    def backward(self, grad_y: Array, need_input_grad: bool) -> tuple[Array | None, ...]:
        xp, (c, h, w, n) = array_module(self.x), self.x.shape
        taps = self.weight[0, 0].size
        padded = self.padded()
        grad_padded = xp.zeros(padded.shape, dtype=padded.dtype) if need_input_grad else None
        grad_offset = xp.zeros((*self.offset.shape[:3], *self.out, n), dtype=padded.dtype)
        grad_weight = xp.zeros(self.weight.shape, dtype=padded.dtype)
        for rows in self.strips():
            positions = (rows.stop - rows.start) * self.out[1] * n
            windows = xp.empty((c, taps, positions), dtype=padded.dtype)
            grad_windows = xp.empty(windows.shape, dtype=padded.dtype)
            for group in range(self.groups):
                matrix, filters, maps = self.matrix(group)
                grad = grad_y[filters, rows].reshape(matrix.shape[0], positions)
                shape = grad_windows[maps].shape
                grad_windows[maps] = (matrix.T @ grad).reshape(shape)
            for number in range(self.offset.shape[0]):
                maps, reading = self.maps(number), self.reading(number, rows)
                each = maps.stop - maps.start
                corners = _corner_values(padded[maps], reading)
                grad = grad_windows[maps].reshape(each, -1)
                shape = grad_offset[number, :, 0, rows].shape
                for direction, part in enumerate(_offset_gradient(grad, reading, corners)):
                    grad_offset[number, :, direction, rows] = part.reshape(shape)
                _mix(reading, corners, windows[maps].reshape(each, -1))
                if grad_padded is not None:
                    _scatter(grad_padded[maps], grad, reading)
            for group in range(self.groups):
                matrix, filters, maps = self.matrix(group)
                grad = grad_y[filters, rows].reshape(matrix.shape[0], positions)
                part = grad @ windows[maps].reshape(matrix.shape[1], positions).T
                grad_weight[filters] += part.reshape(grad_weight[filters].shape)
        grad_x = None
        if grad_padded is not None:
            grad_x = grad_padded.reshape(c, h + 2, w + 2, n)[:, 1:-1, 1:-1].copy()
        if len(self.offset_shape) == 1:
            grad_offset = grad_offset.sum(axis=(3, 4, 5))
        return grad_x, grad_offset.reshape(self.offset_shape), grad_weight


def _corner_values(flat: Array, reading: _Reading) -> tuple[Array, ...]:
    """Values of (maps, pixels) at the four corners, (maps, places) each."""
    xp = array_module(flat)
    return tuple(xp.take(flat, corner, axis=1) for corner in reading.corners)


def _mix(reading: _Reading, corners: tuple[Array, ...], out: Array) -> None:
    """Bilinear mixture of corner values into ``out``."""
    xp, (a, b, c, d) = array_module(out), corners
    upper = a + reading.x * (b - a)
    lower = c + reading.x * (d - c)
    lower -= upper
    lower *= reading.y
    xp.add(upper, lower, out=out)


def _offset_gradient(
    grad: Array, reading: _Reading, corners: tuple[Array, ...]
) -> tuple[Array, Array]:
    """Gradients of the moves down and right, (places,) each."""
    a, b, c, d = corners
    down = (c - a) + reading.x * ((d - c) - (b - a))
    right = (b - a) + reading.y * ((d - b) - (c - a))
    down *= grad
    right *= grad
    return down.sum(axis=0) * reading.y_moves, right.sum(axis=0) * reading.x_moves


def _scatter(grad_flat: Array, grad: Array, reading: _Reading) -> None:
    """Add gradients (maps, places) where the values came from, (maps, pixels)."""
    xp = array_module(grad)
    maps, pixels = grad_flat.shape
    first = (xp.arange(maps) * pixels)[:, None]
    flat = grad_flat.reshape(-1)  # a view: groups of maps lie side by side
    for corner, share in zip(reading.corners, reading.shares, strict=True):
        xp.add.at(flat, (first + corner).reshape(-1), (grad * share).reshape(-1))
