"""Local convolution: windows as in a convolution, but every output has weights of its own.

Nothing is shared, so there is one small matrix product for each position of the output: weights
(O, C·kh·kw) times the window of all images (C·kh·kw, N).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import ShapeError
from cnntool.geometry import conv_output_size, four_sides, pair
from cnntool.ops import memory
from cnntool.ops.buffers import as_float
from cnntool.ops.correlation_methods import Steps
from cnntool.ops.im2col import Patches
from cnntool.ops.padding import pad

BLOCK_BYTES = 1 << 20
"""Aim for the weights and windows that are turned at a time on a CPU."""

Size = int | Sequence[int]


def local_conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
) -> Array:
    """Maps filtered with a kernel of its own at every position (k-local, nothing shared).

    Args:
        x: Input maps.
        weight: One kernel an output map, input map and position of the output.
        bias: One number an output map and position.
        stride: Steps down and across, in pixels.
        padding: Pixels of zeros on every side, (rows, columns), or (top, right, bottom, left).
        dilation: Distances of the kernel's elements, in pixels.

    Shape:
        x (C, H, W, N), weight (O, C, kh, kw, H', W'), bias (O, H', W') -> (O, H', W', N), H' as
        for conv2d. float64 stays, smaller types become float32.

    Raises:
        ShapeError: The sizes do not fit.

    Example:
        >>> x = np.array([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
        >>> k = np.array([[1.0, 0.0], [1.0, 10.0]]).reshape(1, 1, 1, 2, 1, 2)
        >>> local_conv2d(x, k).ravel().tolist()  # 1·1 + 2·1, 2·0 + 4·10
        [3.0, 40.0]
    """
    return _Task.of(x, weight, bias, stride, padding, dilation).forward(bias)


def local_conv2d_vjp(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    *,
    need_input_grad: bool = True,
) -> tuple[Array, Callable[[Array], tuple[Array | None, ...]]]:
    """:func:`local_conv2d` and its gradient.

    Args:
        x: As for :func:`local_conv2d`, like the others.
        weight: Kernels.
        bias: One number an output.
        stride: Steps.
        padding: Padding.
        dilation: Distances.
        need_input_grad: Whether the gradient of ``x`` is wanted; the first layer needs none.

    Shape:
        backward: (O, H', W', N) -> gradients of x (None if not needed), weight, and bias if there
        is one.

    Example:
        >>> x = np.array([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
        >>> k = np.array([[1.0, 0.0], [1.0, 10.0]]).reshape(1, 1, 1, 2, 1, 2)
        >>> y, backward = local_conv2d_vjp(x, k)
        >>> [g.ravel().tolist() for g in backward(np.ones_like(y))]
        [[1.0, 1.0, 10.0], [1.0, 2.0, 2.0, 4.0]]
    """
    task = _Task.of(x, weight, bias, stride, padding, dilation)

    def backward(grad_y: Array) -> tuple[Array | None, ...]:
        grads = task.backward(grad_y.astype(task.x.dtype, copy=False), need_input_grad)
        return grads if bias is None else (*grads, grad_y.sum(axis=3))

    return task.forward(bias), backward


@dataclass(frozen=True, eq=False)
class _Task:
    """One local convolution with everything normalised."""

    x: Array
    weight: Array
    sides: tuple[int, int, int, int]
    patches: Patches

    @classmethod
    def of(
        cls,
        x: Array,
        weight: Array,
        bias: Array | None,
        stride: Size,
        padding: Size,
        dilation: Size,
    ) -> _Task:
        x = as_float(x)
        c, h, w, n = x.shape
        o, inputs, kh, kw = weight.shape[:4]
        steps = Steps(pair(stride, "stride"), pair(dilation, "dilation"))
        top, right, bottom, left = sides = four_sides(padding)
        out = (
            conv_output_size(h, kh, steps.stride[0], top, bottom, steps.dilation[0]),
            conv_output_size(w, kw, steps.stride[1], left, right, steps.dilation[1]),
        )
        if inputs != c or weight.shape[4:] != out:
            raise ShapeError(
                f"weights of shape {weight.shape} do not fit an input of {x.shape}; "
                f"they must be {(o, c, kh, kw, *out)}"
            )
        if bias is not None and bias.shape != (o, *out):
            raise ShapeError(f"a bias of shape {bias.shape} does not fit; it must be {(o, *out)}")
        return cls(
            x, weight.astype(x.dtype, copy=False), sides, Patches(c, (kh, kw), out, n, steps)
        )

    def strips(self) -> Iterator[slice]:
        """Rows of the output, strip after strip; all at once on a device."""
        rows, columns = self.patches.out
        each = self.patches.length * (self.weight.shape[0] + self.patches.n) * self.x.itemsize
        on_host = array_module(self.x) is np
        height = max(1, BLOCK_BYTES // max(each * columns, 1)) if on_host else rows
        for top in range(0, rows, height):
            yield slice(top, min(top + height, rows))

    def padded(self) -> Array:
        return pad(self.x, self.sides) if any(self.sides) else self.x

    def windows(self, padded: Array, rows: slice) -> Array:
        """Windows of a strip as (positions, C·kh·kw, N)."""
        view = self.patches.windows(padded, rows, slice(0, self.patches.out[1]))
        # c kh kw rows columns n -> (rows columns) (c kh kw) n
        count = (rows.stop - rows.start) * self.patches.out[1]
        return view.transpose(3, 4, 0, 1, 2, 5).reshape(count, self.patches.length, self.patches.n)

    def kernels(self, rows: slice) -> Array:
        """Weights of a strip as (positions, O, C·kh·kw), laid out for products."""
        part = self.weight[..., rows, :]
        # o c kh kw rows columns -> (rows columns) o (c kh kw)
        turned = part.reshape(part.shape[0], self.patches.length, -1).transpose(2, 0, 1)
        return array_module(part).ascontiguousarray(turned)

    def forward(self, bias: Array | None) -> Array:
        xp, padded = array_module(self.x), self.padded()
        o, n = self.weight.shape[0], self.patches.n
        y = memory.empty(xp, (o, *self.patches.out, n), self.x.dtype)
        for rows in self.strips():
            product = self.kernels(rows) @ self.windows(padded, rows)  # positions o n
            y[:, rows] = product.transpose(1, 0, 2).reshape(y[:, rows].shape)
        if bias is not None:
            y += bias.astype(y.dtype, copy=False)[..., None]
        return y

    def backward(self, grad_y: Array, need_input_grad: bool) -> tuple[Array | None, Array]:
        xp, padded = array_module(self.x), self.padded()
        o, n = self.weight.shape[0], self.patches.n
        grad_weight = memory.empty(xp, self.weight.shape, self.x.dtype)
        total = memory.zeros(xp, padded.shape, self.x.dtype) if need_input_grad else None
        for rows in self.strips():
            # o rows columns n -> (rows columns) o n
            count = (rows.stop - rows.start) * self.patches.out[1]
            grad = xp.ascontiguousarray(grad_y[:, rows].reshape(o, count, n).transpose(1, 0, 2))
            part = grad @ self.windows(padded, rows).transpose(0, 2, 1)  # positions o (c kh kw)
            target = grad_weight[..., rows, :]
            target[...] = part.transpose(1, 2, 0).reshape(target.shape)
            if total is not None:
                self._add_back(total, self.kernels(rows).transpose(0, 2, 1) @ grad, rows)
        if total is None:
            return None, grad_weight
        top, _, _, left = self.sides
        _, h, w, _ = self.x.shape
        return total[:, top : top + h, left : left + w].copy(), grad_weight

    def _add_back(self, total: Array, grad_windows: Array, rows: slice) -> None:
        """Add gradients of the windows of a strip where the windows came from."""
        (kh, kw), columns = self.patches.kernel, self.patches.out[1]
        (sy, sx), (dy, dx) = self.patches.steps.stride, self.patches.steps.dilation
        count = rows.stop - rows.start
        parts = grad_windows.reshape(count, columns, self.patches.c, kh, kw, self.patches.n)
        for a in range(kh):
            top = rows.start * sy + a * dy
            for b in range(kw):
                place = total[
                    :,
                    top : top + (count - 1) * sy + 1 : sy,
                    b * dx : b * dx + (columns - 1) * sx + 1 : sx,
                ]
                place += parts[:, :, :, a, b].transpose(2, 0, 1, 3)
