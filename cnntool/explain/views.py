"""Pictures moved, turned and scaled a little, and the way of a gradient back through that.

A picture that must excite a neuron from every view cannot live off single pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnntool import ops
from cnntool.backend import Array, Backend, array_module

Back = Callable[[Array], Array]
"""From a gradient at the view to that at the picture."""


@dataclass(frozen=True, eq=False)
class Views:
    """A view of each picture of a batch.

    Attributes:
        shifts: Rows and columns by which each picture is moved, (N, 2), whole pixels.
        angles: Degrees by which each is turned about its middle, (N,).
        scales: How much larger each is shown, (N,).

    Example:
        >>> x = np.arange(1.0, 7).reshape(1, 2, 3, 1)
        >>> views = Views(np.array([[0, 1]]), np.zeros(1), np.ones(1))
        >>> y, back = views.of(x)
        >>> y[0, :, :, 0].tolist(), back(y)[0, :, :, 0].tolist()
        ([[0.0, 1.0, 2.0], [0.0, 4.0, 5.0]], [[1.0, 2.0, 0.0], [4.0, 5.0, 0.0]])
    """

    shifts: NDArray[np.int64]
    angles: NDArray[np.float64]
    scales: NDArray[np.float64]

    def of(self, x: Array, device: Backend | None = None) -> tuple[Array, Back]:
        """The views of pictures; what lies outside is 0.

        Args:
            x: (C, H, W, N) pictures.
            device: Where they are, if not in main memory.

        Shape:
            (C, H, W, N) -> the same, and back.
        """
        if not self.angles.any() and (self.scales == 1).all():
            return _moved(x, self.shifts), lambda grad: _moved(grad, -self.shifts)
        xp, (maps, height, width, _) = array_module(x), x.shape
        offsets = self._offsets(height, width)
        same = np.eye(maps, dtype=np.float32)[:, :, None, None]
        if device is not None:
            offsets, same = device.to_device(offsets), device.to_device(same)
        y, vjp = ops.deform_conv2d_vjp(x, offsets, same)
        return y, lambda grad: vjp(xp.ascontiguousarray(grad))[0]

    def _offsets(self, height: int, width: int) -> NDArray[np.float32]:
        """How far from its own place each pixel is read: (2, H, W, N), down and right."""
        y, x = np.ogrid[:height, :width]
        down = (y - (height - 1) / 2)[..., None] - self.shifts[:, 0]
        right = (x - (width - 1) / 2)[..., None] - self.shifts[:, 1]
        turn = np.deg2rad(self.angles)
        cos, sin = np.cos(turn) / self.scales, np.sin(turn) / self.scales
        read = (
            cos * down - sin * right + (height - 1) / 2 - y[..., None],
            sin * down + cos * right + (width - 1) / 2 - x[..., None],
        )
        return np.stack(np.broadcast_arrays(*read)).astype(np.float32)


def _moved(x: Array, shifts: NDArray[np.int64]) -> Array:
    """Each picture moved by whole pixels; zeros come in."""
    if not shifts.any():
        return x
    moved = array_module(x).zeros_like(x)
    _, height, width, _ = x.shape
    for n, (down, right) in enumerate(shifts.tolist()):
        if abs(down) < height and abs(right) < width:
            moved[:, _to(down, height), _to(right, width), n] = x[
                :, _to(-down, height), _to(-right, width), n
            ]
    return moved


def _to(shift: int, length: int) -> slice:
    """Where pixels lie after a shift."""
    return slice(max(shift, 0), length + min(shift, 0))


def blurred(x: Array, sigma: float, device: Backend | None = None) -> Array:
    """Pictures smoothed by a Gaussian; they are mirrored at their outermost pixels.

    Args:
        x: (C, H, W, N) pictures.
        sigma: Width of the bell in pixels; nothing happens from 0 down.
        device: Where they are, if not in main memory.

    Shape:
        (C, H, W, N) -> the same.

    Example:
        >>> blurred(np.array([0.0, 0, 4, 0, 0]).reshape(1, 1, 5, 1), 0.5).round(2).ravel().tolist()
        [0.0, 0.43, 3.15, 0.43, 0.0]
    """
    maps, height, width, _ = x.shape
    for axis, length in ((2, height), (3, width)):
        reach = min(int(4 * sigma + 0.5), length - 1)
        if reach < 1:
            continue
        bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        shape = (maps, 1, 2 * reach + 1, 1) if axis == 2 else (maps, 1, 1, 2 * reach + 1)
        weight = np.broadcast_to((bell / bell.sum()).reshape(1, *shape[1:]), shape)
        weight = np.ascontiguousarray(weight, x.dtype)
        if device is not None:
            weight = device.to_device(weight)
        padding = (reach, 0, reach, 0) if axis == 2 else (0, reach, 0, reach)
        x = ops.conv2d(x, weight, padding=padding, groups=maps, padding_mode="reflect")
    return x
