"""Pooling: windows folded into one number each, of a given size or over whole maps."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from cnntool import ops
from cnntool.backend import Array, array_module
from cnntool.geometry import extent
from cnntool.nn.layer import Backward, FixedLayer, padding_of, settings_of
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.run import Run
from cnntool.nn.windows import ends
from cnntool.ops import memory
from cnntool.ops.pooling import float_type
from cnntool.ops.winners import least


@dataclass(frozen=True)
class Frame:
    """Maps with a border stored around them, exactly as long as their windows reach.

    Operations pad both ends alike. Where the sides differ, maps are put into a frame, and windows
    slide over that without any padding. What windows do not reach at the far edge is cut off.

    Attributes:
        size: Rows and columns of the map.
        start: Rows above it and columns on its left.
        reach: Rows and columns of the frame.

    Example:
        >>> import numpy as np
        >>> frame = Frame(size=(1, 4), start=(0, 1), reach=(1, 3))
        >>> frame.put(np.array([1.0, 2, 3, 4]).reshape(1, 1, 4, 1), 0).ravel().tolist()
        [0.0, 1.0, 2.0]
    """

    size: tuple[int, int]
    start: tuple[int, int]
    reach: tuple[int, int]

    @property
    def seen(self) -> tuple[slice, ...]:
        """The part of the map that is in the frame."""
        return (
            slice(None),
            *(
                slice(0, min(size, reach - start))
                for size, start, reach in zip(self.size, self.start, self.reach, strict=True)
            ),
        )

    @property
    def inside(self) -> tuple[slice, ...]:
        """Where that part lies in the frame."""
        _, rows, columns = self.seen
        top, left = self.start
        return slice(None), slice(top, top + rows.stop), slice(left, left + columns.stop)

    def put(self, x: Array, fill: Any) -> Array:
        """Maps in their frame, the border filled with one number."""
        shape = (x.shape[0], *self.reach, x.shape[3])
        framed = memory.full(array_module(x), shape, fill, x.dtype)
        framed[self.inside] = x[self.seen]
        return framed

    def take(self, grad: Array) -> Array:
        """The gradient of maps from that of their frame."""
        shape = (grad.shape[0], *self.size, grad.shape[3])
        grad_x = memory.zeros(array_module(grad), shape, grad.dtype)
        grad_x[self.seen] = grad[self.inside]
        return grad_x


class _Pool(FixedLayer):
    """Windows that slide: what maximum, average and sum share.

    Attributes:
        padding: Top, right, bottom, left.
        frame: Where windows slide if opposite sides differ, else None.
        options: Keywords of the operation.
    """

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        given = settings_of(row)
        kernel, stride = given.pair("kernel"), given.pair("stride")
        dilation = given.pair("dilation")
        self.padding = padding_of(row)
        (top, bottom), (left, right) = ends(self.padding)
        self.frame: Frame | None = None
        if top != bottom or left != right:
            rows, columns = (
                (row.output[axis + 1] - 1) * stride[axis] + extent(kernel[axis], dilation[axis])
                for axis in range(2)
            )
            self.frame = Frame((row.input[1], row.input[2]), (top, left), (rows, columns))
        self.options: dict[str, Any] = {
            "kernel_size": kernel,
            "stride": stride,
            "padding": 0 if self.frame else (top, left),
            "dilation": dilation,
            "ceil_mode": given.flag("ceil"),
            "depth": given.whole("depth") or 1,
            "depth_stride": given.whole("dstride") or 1,
        }

    @abstractmethod
    def _border(self, x: Array) -> Any:
        """What padding counts as."""

    @abstractmethod
    def _pool(self, x: Array) -> Array:
        """The output of maps, framed if there is a frame."""

    @abstractmethod
    def _pool_vjp(self, x: Array) -> tuple[Array, Backward]:
        """:meth:`_pool` and its gradient."""

    def _framed(self, x: Array) -> Array:
        """Maps in their frame, if there is one."""
        return x if self.frame is None else self.frame.put(x, self._border(x))

    def _value(self, x: Array, run: Run) -> Array:
        return self._pool(self._framed(x))

    def _value_vjp(self, x: Array, run: Run) -> tuple[Array, Backward]:
        y, backward = self._pool_vjp(self._framed(x))
        frame = self.frame
        return y, backward if frame is None else lambda grad: frame.take(backward(grad))


class MaxPool(_Pool):
    """The largest value of each window; padding counts as minus infinity."""

    def _border(self, x: Array) -> Any:
        return least(x.dtype)

    def _pool(self, x: Array) -> Array:
        y: Array = ops.max_pool2d(x, **self.options)
        return y

    def _pool_vjp(self, x: Array) -> tuple[Array, Backward]:
        return ops.max_pool2d_vjp(x, **self.options)


class SumPool(_Pool):
    """The sum of each window; padding counts as zero."""

    def _border(self, x: Array) -> Any:
        return 0

    def _pool(self, x: Array) -> Array:
        return ops.sum_pool2d(x, **self.options)

    def _pool_vjp(self, x: Array) -> tuple[Array, Backward]:
        return ops.sum_pool2d_vjp(x, **self.options)


class AvgPool(SumPool):
    """The mean of each window; padding counts as zeros, or not at all.

    What ``ceil`` lets hang over beyond the padding is never counted.
    """

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        self.countpad = settings_of(row).flag("countpad")

    def _pool(self, x: Array) -> Array:
        if self.frame is None:
            return ops.avg_pool2d(x, count_include_pad=self.countpad, **self.options)
        y = super()._pool(x)
        y /= self._counts(self.frame, x)
        return y

    def _pool_vjp(self, x: Array) -> tuple[Array, Backward]:
        if self.frame is None:
            return ops.avg_pool2d_vjp(x, count_include_pad=self.countpad, **self.options)
        counts = self._counts(self.frame, x)
        y, backward = super()._pool_vjp(x)
        y /= counts
        return y, lambda grad: backward(grad / counts)

    def _counts(self, frame: Frame, x: Array) -> Array:
        """How many pixels of its frame each window counts, for all images (…, 1)."""
        xp = array_module(x)
        maps = x.shape[0] if self.options["depth"] > 1 else 1
        marks = xp.zeros((maps, *frame.reach, 1), dtype=float_type(x))
        if self.countpad:
            (top, bottom), (left, right) = ends(self.padding)
            h, w = frame.size
            marks[:, : top + h + bottom, : left + w + right] = 1
        else:
            marks[frame.inside] = 1
        # a window that sees nothing has the sum 0
        return xp.maximum(super()._pool(marks), 1)


class AdaptiveAvgPool(FixedLayer):
    """The means of windows chosen so that a given size comes out."""

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        self.size = settings_of(row).pair("size")

    def _value(self, x: Array, run: Run) -> Array:
        return ops.adaptive_avg_pool2d(x, self.size)

    def _value_vjp(self, x: Array, run: Run) -> tuple[Array, Backward]:
        return ops.adaptive_avg_pool2d_vjp(x, self.size)


class GlobalAvgPool(FixedLayer):
    """The mean of each map."""

    def _value(self, x: Array, run: Run) -> Array:
        return ops.global_avg_pool2d(x)

    def _value_vjp(self, x: Array, run: Run) -> tuple[Array, Backward]:
        return ops.global_avg_pool2d_vjp(x)


class GlobalMaxPool(FixedLayer):
    """The largest value of each map."""

    def _value(self, x: Array, run: Run) -> Array:
        y: Array = ops.global_max_pool2d(x)
        return y

    def _value_vjp(self, x: Array, run: Run) -> tuple[Array, Backward]:
        y, place = ops.global_max_pool2d(x, return_indices=True)
        size = x.shape[1:3]
        # one window a map: gradients are put back where the maxima were, without adding
        return y, lambda grad: ops.max_unpool2d(grad, place, size)
