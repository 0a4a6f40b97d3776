"""Ways to correlate one padded strip with one kernel.

A strip is (rows, columns, N) with everything already padded: N images or colour channels lie
innermost, so every NumPy call runs along columns·N numbers in a row. Each method is built for one
kernel and called once a strip; its scratch arrays are used again, so one object serves one thread.

========================= ===================================================== ===================
method                    idea                                                  cost an output
========================= ===================================================== ===================
:class:`Taps`             add shifted, weighted copies; equal weights share one 2 passes a tap
:class:`Separable`        the same down, then across (kernels of rank 1)        2·(kh + kw) passes
:class:`Banded`           a matrix product gives 4 rows at once                 kw·(kh+3) products
:class:`SeparableBanded`  down and across as products, transposed on the way    2·(k+31) products
:class:`Fourier`          product of spectra                                    independent of k
========================= ===================================================== ===================

A core of the reference machine (AVX-512, 2.6 GHz) does 30 multiply-adds of a matrix product in the
time of two passes over a strip in the cache. So a product that wastes half of them on zeros still
beats shifted copies: a general 7x7 kernel on 3840x2160 RGB takes 73 ms instead of 283 ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import Array
from cnntool.errors import OptionError
from cnntool.ops import memory

Host = NDArray[np.float64]
BLOCK = 4
"""Rows that one product of :class:`Banded` gives: 2 to 6 are equally fast, 8 half as fast."""
LONG_BLOCK = 32
"""Outputs along one axis that a product of :class:`SeparableBanded` gives."""

_CACHE_LINE = 64  # bytes


class Scratch:
    """Named arrays that are made once and used again: fresh ones cost page faults."""

    def __init__(self, xp: Any, dtype: Any) -> None:
        self.xp = xp
        self.dtype = np.dtype(dtype)
        self._arrays: dict[str, Array] = {}
        self._marks: dict[str, Any] = {}

    def __call__(self, name: str, shape: tuple[int, ...]) -> Array:
        """An uninitialised array of ``shape``: the same memory for the same name."""
        count = math.prod(shape)
        flat = self._arrays.get(name)
        if flat is None or flat.size < count:
            flat = self._arrays[name] = memory.empty(self.xp, (count,), self.dtype)
        return flat[:count].reshape(shape)

    def again(self, name: str, shape: tuple[int, ...], mark: Any) -> tuple[Array, bool]:
        """The array, and whether it is fresh: last asked for with another shape or mark.

        What stands at places that nobody writes to need not be written again.
        """
        fresh = self._marks.get(name) != (shape, mark)
        self._marks[name] = shape, mark
        return self(name, shape), fresh

    def matrix(self, name: str, rows: int, length: int) -> Array:
        """An uninitialised matrix for products, whose rows lie an odd number of cache lines apart.

        Rows 4 kB apart share the same few places of the cache, and a product that reads down its
        columns pushes them out one after another: 32x96 times 96x1024 takes 1.5 times as long.
        """
        if self.xp is not np:
            return self(name, (rows, length))
        line = _CACHE_LINE // self.dtype.itemsize
        pitch = (-(-length // line) | 1) * line
        return self(name, (rows, pitch))[:, :length]


@dataclass(frozen=True)
class Steps:
    """Distances in pixels (down, across): between outputs (stride), between taps (dilation)."""

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        for name, steps in (("stride", self.stride), ("dilation", self.dilation)):
            if min(steps) < 1:
                found = ",".join(map(str, steps))
                raise OptionError(f"the {name} must be at least 1, got {found}")

    def down(self) -> Steps:
        """Only the vertical part."""
        return Steps((self.stride[0], 1), (self.dilation[0], 1))

    def across(self) -> Steps:
        """Only the horizontal part."""
        return Steps((1, self.stride[1]), (1, self.dilation[1]))


class StripMethod(Protocol):
    """(rows_in, columns_in, N) -> (rows, columns, N); the result lives until the next call."""

    def __call__(self, padded: Array, rows: int, columns: int) -> Array:
        """Correlate one strip."""


class Taps:
    """Add shifted, weighted copies of the strip, one group of equal weights after the other."""

    def __init__(self, kernel: Host, steps: Steps, scratch: Scratch, name: str = "taps") -> None:
        self.steps, self.scratch, self.name = steps, scratch, name
        groups: dict[float, list[tuple[int, int, bool]]] = {}
        for (y, x), weight in np.ndenumerate(kernel):
            if weight != 0:
                place = (y * steps.dilation[0], x * steps.dilation[1], bool(weight > 0))
                groups.setdefault(abs(float(weight)), []).append(place)
        for places in groups.values():
            places.sort(key=lambda place: not place[2])
        # weight 1 last: its views are added without a product and without a detour
        self.groups = sorted(groups.items(), key=lambda group: group[0] == 1)

    def __call__(self, padded: Array, rows: int, columns: int) -> Array:
        """(rows_in, columns_in, N) -> (rows, columns, N)."""
        xp, (sy, sx) = self.scratch.xp, self.steps.stride
        shape = (rows, columns, padded.shape[2])
        out = self.scratch(self.name, shape)
        if not self.groups:
            out.fill(0)

        def view(y: int, x: int) -> Array:
            return padded[y : y + (rows - 1) * sy + 1 : sy, x : x + (columns - 1) * sx + 1 : sx]

        for index, (weight, places) in enumerate(self.groups):
            factor = self.scratch.dtype.type(weight)
            if index == 0:
                self._sum(xp, view, places, factor, out)
            elif weight == 1:
                for y, x, plus in places:
                    (xp.add if plus else xp.subtract)(out, view(y, x), out=out)
            else:
                part = self.scratch(self.name + "+", shape)
                self._sum(xp, view, places, factor, part)
                xp.add(out, part, out=out)
        return out

    @staticmethod
    def _sum(
        xp: Any,
        view: Callable[[int, int], Array],
        places: list[tuple[int, int, bool]],
        factor: Any,
        out: Array,
    ) -> None:
        """Out = factor · (sum of the views with plus - sum of the others); plus come first."""
        y, x, first = places[0]
        if not first:
            factor = -factor
        if len(places) == 1:
            xp.multiply(view(y, x), factor, out=out)
            return
        total = view(y, x)
        for y, x, plus in places[1:]:
            (xp.add if plus == first else xp.subtract)(total, view(y, x), out=out)
            total = out
        if factor != 1:
            xp.multiply(out, factor, out=out)


class Separable:
    """A column kernel, then a row kernel: the way for short kernels of rank 1."""

    def __init__(
        self, column: Host, row: Host, steps: Steps, scratch: Scratch, banded: bool
    ) -> None:
        down = column.reshape(-1, 1)
        self.steps = steps
        self.vertical: StripMethod = (
            Banded(down, steps.down(), scratch, "down")
            if banded
            else Taps(down, steps.down(), scratch, "down")
        )
        self.horizontal = Taps(row.reshape(1, -1), steps.across(), scratch, "across")

    def __call__(self, padded: Array, rows: int, columns: int) -> Array:
        """(rows_in, columns_in, N) -> (rows, columns, N)."""
        return self.horizontal(self.vertical(padded, rows, padded.shape[1]), rows, columns)


def band(taps: Host, outputs: int, stride: int, dilation: int) -> Host:
    """Matrix that gives ``outputs`` neighbouring results from the samples that they look at.

    Example:
        >>> band(np.array([1.0, 2.0]), outputs=2, stride=1, dilation=1)
        array([[1., 2., 0.],
               [0., 1., 2.]])
    """
    matrix = np.zeros((outputs, (outputs - 1) * stride + (len(taps) - 1) * dilation + 1))
    for output in range(outputs):
        for tap, weight in enumerate(taps):
            matrix[output, output * stride + tap * dilation] = weight
    return matrix


class Banded:
    """Each column of the kernel as a banded matrix that gives :data:`BLOCK` rows at once.

    The strip's windows of BLOCK + kh - 1 rows overlap, so they are views, and one call does all of
    them. Needs stride 1 across. CPU only: the views need strides that a GPU would copy.
    """

    def __init__(self, kernel: Host, steps: Steps, scratch: Scratch, name: str = "band") -> None:
        self.steps, self.scratch, self.name = steps, scratch, name
        self.bands = [
            (
                x * steps.dilation[1],
                band(column, BLOCK, steps.stride[0], steps.dilation[0]).astype(scratch.dtype),
            )
            for x, column in enumerate(kernel.T)
            if column.any()
        ]

    def __call__(self, padded: Array, rows: int, columns: int) -> Array:
        """(rows_in, columns_in, N) -> (rows, columns, N)."""
        n = padded.shape[2]
        blocks, length = -(-rows // BLOCK), columns * n
        out = self.scratch(self.name, (blocks, BLOCK, length))
        if not self.bands:
            out.fill(0)
            return out.reshape(blocks * BLOCK, columns, n)[:rows]
        reach = self.bands[0][1].shape[1]
        missing = (blocks - 1) * BLOCK * self.steps.stride[0] + reach - padded.shape[0]
        if missing > 0:  # the last block of the picture: rows of zeros behind the strip
            longer = self.scratch(self.name + "|", (padded.shape[0] + missing, *padded.shape[1:]))
            longer[: padded.shape[0]] = padded
            longer[padded.shape[0] :] = 0
            padded = longer
        row, step = padded.strides[0], padded.itemsize
        strides = (row * BLOCK * self.steps.stride[0], row, step)
        for index, (x, matrix) in enumerate(self.bands):
            windows = np.lib.stride_tricks.as_strided(  # (blocks, reach, length)
                padded[:, x:], (blocks, reach, length), strides
            )
            if index == 0:
                np.matmul(matrix, windows, out=out)
            else:
                part = self.scratch(self.name + "+", out.shape)
                np.matmul(matrix, windows, out=part)
                np.add(out, part, out=out)
        return out.reshape(blocks * BLOCK, columns, n)[:rows]


class SeparableBanded:
    """Both passes of a long kernel of rank 1 as matrix products.

    The product down writes its result transposed, (columns, N, rows), so that the product across
    has a long contiguous axis too. The result is a transposed view: its memory is (columns, N,
    rows). Gaussian of 65x65 taps on 3840x2160 RGB: 152 ms; shifted copies take 685 ms.
    """

    def __init__(self, column: Host, row: Host, steps: Steps, scratch: Scratch) -> None:
        self.column, self.steps, self.scratch = column, steps, scratch
        self.across = band(row, LONG_BLOCK, steps.stride[1], steps.dilation[1]).astype(
            scratch.dtype
        )
        self._down: dict[int, Array] = {}

    def __call__(self, padded: Array, rows: int, columns: int) -> Array:
        """(rows_in, columns_in, N) -> (rows, columns, N), not contiguous."""
        rows_in, columns_in, n = padded.shape
        if rows not in self._down:
            matrix = band(self.column, rows, self.steps.stride[0], self.steps.dilation[0])
            self._down[rows] = matrix.astype(self.scratch.dtype)
        blocks, step = -(-columns // LONG_BLOCK), LONG_BLOCK * self.steps.stride[1]
        reach = self.across.shape[1]
        needed = max((blocks - 1) * step + reach, columns_in)
        turned = self.scratch("turned", (needed, n * rows))
        turned[columns_in:] = 0
        np.matmul(  # (columns_in·N, rows_in) @ (rows_in, rows)
            padded.reshape(rows_in, columns_in * n).T,
            self._down[rows].T,
            out=turned[:columns_in].reshape(columns_in * n, rows),
        )
        row = turned.strides[0]
        windows = np.lib.stride_tricks.as_strided(  # (blocks, reach, N·rows)
            turned, (blocks, reach, n * rows), (row * step, row, turned.itemsize)
        )
        out = self.scratch("out", (blocks, LONG_BLOCK, n * rows))
        np.matmul(self.across, windows, out=out)
        # (blocks block) (n rows) -> columns n rows -> rows columns n
        return out.reshape(blocks * LONG_BLOCK, n, rows)[:columns].transpose(2, 0, 1)


class Fourier:
    """Multiply spectra: the time does not depend on the kernel's size."""

    def __init__(self, kernel: Host, steps: Steps, scratch: Scratch) -> None:
        self.steps, self.scratch = steps, scratch
        dy, dx = steps.dilation
        kh, kw = kernel.shape
        self.kernel = np.zeros(((kh - 1) * dy + 1, (kw - 1) * dx + 1), scratch.dtype)
        self.kernel[::dy, ::dx] = kernel
        self._spectra: dict[tuple[int, int], Array] = {}

    def __call__(self, padded: Array, rows: int, columns: int) -> Array:
        """(rows_in, columns_in, N) -> (rows, columns, N)."""
        import scipy.fft as host_fft

        on_host = self.scratch.xp is np
        fft: Any = host_fft if on_host else self.scratch.xp.fft
        height, width = (int(host_fft.next_fast_len(s, real=True)) for s in padded.shape[:2])
        size = height, width
        if size not in self._spectra:
            # the conjugate turns convolution into correlation
            spectrum = np.conj(host_fft.rfft2(self.kernel, size))[..., None]
            self._spectra[size] = spectrum if on_host else self.scratch.xp.asarray(spectrum)
        product = fft.rfft2(padded, size, axes=(0, 1))
        product *= self._spectra[size]
        result = fft.irfft2(product, size, axes=(0, 1))
        sy, sx = self.steps.stride
        return result[: (rows - 1) * sy + 1 : sy, : (columns - 1) * sx + 1 : sx]
