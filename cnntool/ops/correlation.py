"""Correlate every map of a picture with one kernel, strip by strip.

The picture is (H, W, N): colour channels or images lie innermost. It is never padded as a whole: a
strip of rows is copied into a padded buffer that stays in the cache, correlated there, and handed
to a sink that stores it. Strips are worth a factor of 4 over whole-array calls (Sobel on 3840x2160
RGB: 9 ms instead of 35), and memory stays at input + output. Padding, the choice of a method and
threads live here; the methods themselves in :mod:`cnntool.ops.correlation_methods`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError
from cnntool.geometry import conv_output_size, extent
from cnntool.ops.correlation_methods import (
    Banded,
    Fourier,
    Host,
    Scratch,
    Separable,
    SeparableBanded,
    StripMethod,
    Taps,
)
from cnntool.ops.correlation_methods import (
    Steps as Steps,
)
from cnntool.ops.factors import rank_one_factors
from cnntool.ops.padding import border_indices
from cnntool.ops.sharing import share

Method = Literal["auto", "direct", "separable", "fft"]
METHODS: tuple[Method, ...] = ("auto", "direct", "separable", "fft")
STRIP_BYTES = 1 << 20
"""Aim for the padded buffer of one strip: about the second-level cache of a core. Integer strips,
whose few passes are short, may be twice as large."""

Sink = Callable[[int, int, Array], None]
BankSink = Callable[[int, int, list[Array]], None]


@dataclass(frozen=True)
class Frame:
    """Padding of a picture: how much (top, right, bottom, left) and what fills it.

    Attributes:
        sides: Pixels to add at the top, right, bottom and left.
        border: ``constant reflect symmetric edge wrap max``, NumPy's words; ``max`` is a frame
            of the largest value of each map.
        value: What ``constant`` fills with.
    """

    sides: tuple[int, int, int, int] = (0, 0, 0, 0)
    border: str = "constant"
    value: float = 0.0


class Correlation:
    """One kernel over pictures of one shape: y[i, j, n] = Σ x[i·s+a·d, j·s+b·d, n] · k[a, b].

    The kernel is not flipped. Output size: floor((size + padding - d(k-1) - 1) / stride) + 1.

    Args:
        kernel: (kh, kw) weights on the host.
        shape: (H, W, N) of the pictures.
        dtype: Of the pictures. float64 is computed in float64; everything else in float32, or in
            int16 where that is exact and faster (8-bit pictures, small integer kernels).
        frame: Padding.
        steps: Strides and dilations.
        method: ``direct``, ``separable`` or ``fft`` force one; ``auto`` picks the fastest. All
            agree to rounding: 1e-5 of Σ|k|·max|x| in float32, 1e-10 in float64.
        xp: numpy or cupy.

    Raises:
        ShapeError: The padded picture is smaller than the kernel.
        OptionError: ``separable`` was asked for a kernel of higher rank.

    Example:
        >>> c = Correlation(np.ones((2, 2)), (3, 4, 1), np.uint8)
        >>> c.shape_out
        (2, 3, 1)
        >>> c(np.arange(12, dtype=np.uint8).reshape(3, 4, 1))[..., 0]
        array([[10., 14., 18.],
               [26., 30., 34.]], dtype=float32)
    """

    def __init__(
        self,
        kernel: Host,
        shape: tuple[int, int, int],
        dtype: Any,
        *,
        frame: Frame | None = None,
        steps: Steps | None = None,
        method: Method = "auto",
        xp: Any = np,
    ) -> None:
        self.kernel = np.asarray(kernel, np.float64)
        self.shape, self.xp = shape, xp
        self.frame, self.steps = frame or Frame(), steps or Steps()
        (height, width, maps), (kh, kw) = shape, self.kernel.shape
        top, right, bottom, left = self.frame.sides
        (sy, sx), (dy, dx) = self.steps.stride, self.steps.dilation
        self.rows = conv_output_size(height, kh, sy, top, bottom, dy)
        self.columns = conv_output_size(width, kw, sx, left, right, dx)
        self.shape_out = (self.rows, self.columns, maps)
        self.columns_in = left + width + right
        self.row_sources = border_indices(height, top, bottom, self.frame.border)
        self.column_sources = border_indices(width, left, right, self.frame.border)
        self.factors = rank_one_factors(self.kernel)
        if method == "separable" and self.factors is None:
            rank = int(np.linalg.matrix_rank(self.kernel))
            raise OptionError(
                f"method 'separable' needs a kernel of rank 1, this one has rank {rank}; "
                "use --method direct, fft or auto"
            )
        self.method = method
        self.dtype = self._working_type(np.dtype(dtype))
        self.choice = self._choose()

    def _working_type(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        if dtype == np.float64:
            return dtype
        if dtype == np.uint8 and self.method != "fft" and _is_whole(self.kernel):
            value = float(self.frame.value) if self.frame.border == "constant" else 0.0
            bound = max(255.0, abs(value)) * float(np.abs(self.kernel).sum())
            exact = bound <= np.iinfo(np.int16).max and value.is_integer()
            few = np.count_nonzero(self.kernel) <= 12 and self.method != "separable"
            if exact and (few or (self.factors is not None and _is_whole(*self.factors))):
                return np.dtype(np.int16)
        return np.dtype(np.float32)

    def _choose(self) -> str:
        """The method by cost, in passes over the picture; figures measured on 3840x2160 RGB."""
        kh, kw = self.kernel.shape
        integer = self.dtype == np.int16
        products = self.xp is np and self.steps.stride[1] == 1 and not integer
        direct = {"taps": 2.0 * np.count_nonzero(self.kernel)}
        separable: dict[str, float] = {}
        if products:
            direct["banded"] = 8 + 0.33 * kw * (extent(kh, self.steps.dilation[0]) + 3)
        if self.factors is not None and (not integer or _is_whole(*self.factors)):
            across = 1.5 * kw
            separable["separable"] = 2 * kh + across
            if products:
                separable["separable+banded"] = 4 + 0.4 * (kh + 3) + across
            if self.xp is np and not integer:
                reach = extent(kh, self.steps.dilation[0]) + extent(kw, self.steps.dilation[1])
                separable["long"] = 24 + 0.34 * (62 + reach)
        costs = {**direct, **separable, "fft": 130.0}
        if self.method != "auto":
            groups = {"direct": tuple(direct), "separable": tuple(separable), "fft": ("fft",)}
            costs = {name: costs[name] for name in groups[self.method]}
        if integer:  # exactness is what it was chosen for
            costs.pop("fft", None)
        return min(costs, key=lambda name: costs[name])

    @cached_property
    def strip_rows(self) -> int:
        """Output rows of a strip: small enough for the cache, large against the kernel."""
        kh = extent(self.kernel.shape[0], self.steps.dilation[0])
        if self.xp is not np:
            return self.rows
        if self.choice == "fft":
            return min(self.rows, max(256, 2 * kh))
        if self.choice == "long":
            return min(self.rows, 32)
        line = max(1, self.columns_in * self.shape[2] * self.dtype.itemsize)
        room = STRIP_BYTES * (2 if self.dtype == np.int16 else 1)
        fitting = room // line // self.steps.stride[0]
        return min(self.rows, max(16, min(fitting, 256) // 4 * 4, kh // 4))

    def __call__(self, x: Array, *, threads: int = 1) -> Array:
        """The whole result: (H, W, N) -> ``shape_out``, float32 (float64 for float64)."""
        kind = np.float64 if self.dtype == np.float64 else np.float32
        out = self.xp.empty(self.shape_out, dtype=kind)

        def store(start: int, stop: int, values: Array) -> None:
            out[start:stop] = values

        self.run(x, store, threads=threads)
        return out

    def run(self, x: Array, sink: Sink, *, threads: int = 1) -> None:
        """Call ``sink(start, stop, values)`` for every strip of output rows.

        ``values`` (stop - start, columns, N) is of the working type, int16 included, may be
        changed in place, need not be contiguous, and is overwritten by the next strip. With
        several threads the sink is called from all of them, each strip once.
        """
        run_bank([self], x, lambda start, stop, maps: sink(start, stop, maps[0]), threads=threads)

    def _method(self, scratch: Scratch) -> StripMethod:
        kernel, steps = self.kernel, self.steps
        if self.choice == "taps":
            return Taps(kernel, steps, scratch)
        if self.choice == "banded":
            return Banded(kernel, steps, scratch)
        if self.choice == "fft":
            return Fourier(kernel, steps, scratch)
        assert self.factors is not None  # the other choices exist only with factors
        if self.choice == "long":
            return SeparableBanded(*self.factors, steps, scratch)
        return Separable(*self.factors, steps, scratch, banded=self.choice == "separable+banded")

    def _fill(self, x: Array) -> Any:
        if self.frame.border == "max":
            return x.max(axis=(0, 1)).astype(self.dtype)
        return self.dtype.type(self.frame.value)

    def _padded(self, x: Array, start: int, stop: int, fill: Any, scratch: Scratch) -> Array:
        """Copy the padded rows that outputs start..stop look at into the strip's buffer."""
        (sy, _), (dy, _) = self.steps.stride, self.steps.dilation
        first = start * sy
        last = (stop - 1) * sy + (self.kernel.shape[0] - 1) * dy + 1
        top, _, _, left = self.frame.sides
        height, width, maps = self.shape
        strip = scratch("padded", (last - first, self.columns_in, maps))
        inside = slice(left, left + width)
        # the rows that lie in the picture, in one copy that also converts
        begin, end = max(first, top), min(last, top + height)
        if begin < end:
            strip[begin - first : end - first, inside] = x[begin - top : end - top]
        for row in _outside(first, last, begin, end):
            source = int(self.row_sources[row])
            strip[row - first, inside] = fill if source < 0 else x[source]
        for column in _outside(0, self.columns_in, left, left + width):
            source = int(self.column_sources[column])
            strip[:, column] = fill if source < 0 else strip[:, left + source]
        return strip


def _outside(first: int, last: int, begin: int, end: int) -> Iterator[int]:
    """Positions in first..last that are not in begin..end."""
    if begin >= end:
        begin = end = last
    yield from range(first, begin)
    yield from range(end, last)


def _is_whole(*arrays: Host) -> bool:
    return all(np.array_equal(a, np.rint(a)) for a in arrays)


def run_bank(bank: Sequence[Correlation], x: Array, sink: BankSink, *, threads: int = 1) -> None:
    """Run several kernels of one size and geometry over the same strips of (H, W, N).

    ``sink(start, stop, [values of each kernel])`` is called as in :meth:`Correlation.run`: what
    combines the maps (a gradient's magnitude) finds them in the cache.
    """
    height = min(correlation.strip_rows for correlation in bank)
    bounds = range(0, bank[0].rows, height)
    fills = [correlation._fill(x) for correlation in bank]

    def work(starts: Sequence[int]) -> None:
        strips = {c.dtype: Scratch(c.xp, c.dtype) for c in bank}
        methods = [c._method(Scratch(c.xp, c.dtype)) for c in bank]
        for start in starts:
            stop = min(start + height, bank[0].rows)
            padded: dict[Any, Array] = {}
            for c, fill in zip(bank, fills, strict=True):
                if c.dtype not in padded:
                    padded[c.dtype] = c._padded(x, start, stop, fill, strips[c.dtype])
            maps = [
                method(padded[c.dtype], stop - start, c.columns)
                for c, method in zip(bank, methods, strict=True)
            ]
            sink(start, stop, maps)

    share(bounds, work, threads=threads)


def correlate(x: Array, kernel: Host, *, threads: int = 1, **options: Any) -> Array:
    """Correlate (H, W, N) with one kernel; the options of :class:`Correlation`.

    Example:
        >>> correlate(np.ones((3, 3, 1), np.float32), np.ones((3, 3)))[..., 0]
        array([[9.]], dtype=float32)
    """
    xp = array_module(x)
    return Correlation(kernel, x.shape, x.dtype, xp=xp, **options)(x, threads=threads)
