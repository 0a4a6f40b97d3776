"""Filter a picture with a kernel: borders, strides, transparency, linear light, integer output.

Kernels are laid on the picture as they are written, without flipping (cross-correlation, as in
convolutional networks); ``flip=True`` gives true convolution. The work is done strip by strip by
:class:`cnntool.ops.correlation.Correlation`, and 8- or 16-bit output is rounded while a strip is
still in the cache, so that the memory needed is the input's and the output's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.filters.channels import from_linear, to_linear
from cnntool.filters.kernel import Kernel
from cnntool.filters.kernel_text import parse_kernel
from cnntool.filters.levels import Levels
from cnntool.geometry import conv_output_size, four_sides, full_padding, pair, same_padding
from cnntool.ops.correlation import Correlation, Frame, Method, Steps
from cnntool.ops.padding import border_mode

Normalize = Literal["none", "sum", "l1"]
Padding = str | int | Sequence[int]

_PIECE = 1 << 17  # samples that are weighted at a time


@dataclass(frozen=True)
class Convolution:
    """All options of a filter but the kernel: plain values, so that a job can carry them.

    Attributes:
        padding: ``same`` (output as large as the input, divided by the stride; the odd pixel of
            an even kernel goes bottom/right), ``valid``, ``full``, or pixels: N, (H, W) or
            (top, right, bottom, left).
        border: What fills the padding: ``reflect symmetric edge wrap constant max``.
        border_value: What ``constant`` fills with, in sample units.
        stride: Step in pixels, one number or (down, across).
        dilation: Distance of the kernel's elements in pixels, one number or (down, across).
        flip: Turn the kernel by 180°: true convolution.
        normalize: ``sum`` divides by Σk, ``l1`` by Σ|k|.
        scale: Factor of the result, after normalising.
        offset: Added to the result, in sample units.
        linear: Filter in linear light: undo the sRGB curve first, apply it after.
        method: ``direct``, ``separable``, ``fft``, or ``auto`` for the fastest.
    """

    padding: Padding = "same"
    border: str = "reflect"
    border_value: float = 0.0
    stride: int | Sequence[int] = 1
    dilation: int | Sequence[int] = 1
    flip: bool = False
    normalize: Normalize = "none"
    scale: float = 1.0
    offset: float = 0.0
    linear: bool = False
    method: Method = "auto"

    def steps(self) -> Steps:
        """Strides and dilations as pairs.

        Raises:
            OptionError: One of them is below 1.
        """
        steps = Steps(pair(self.stride, "stride"), pair(self.dilation, "dilation"))
        for name, values in (("stride", steps.stride), ("dilation", steps.dilation)):
            if min(values) < 1:
                raise OptionError(f"{name} must be at least 1, got {','.join(map(str, values))}")
        return steps

    def sides(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int, int, int]:
        """Padding (top, right, bottom, left) for a picture and a kernel of these sizes."""
        steps = self.steps()
        if self.padding == "valid":
            return 0, 0, 0, 0
        if self.padding in ("same", "full"):
            if self.padding == "same":
                (top, bottom), (left, right) = (
                    same_padding(k, d, s, step)
                    for k, d, s, step in zip(
                        kernel, steps.dilation, size, steps.stride, strict=True
                    )
                )
            else:
                (top, bottom), (left, right) = map(full_padding, kernel, steps.dilation)
            return top, right, bottom, left
        if isinstance(self.padding, str):
            raise OptionError(
                f"unknown padding '{self.padding}'; use same, valid, full, N, H,W or T,R,B,L"
            )
        return four_sides(self.padding)

    def size_out(self, size: tuple[int, ...], kernel: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the result.

        Raises:
            ShapeError: The padded picture is smaller than the kernel.

        Example:
            >>> Convolution(padding="full").size_out((4, 6), (3, 3))
            (6, 8)
        """
        steps = self.steps()
        top, right, bottom, left = self.sides((size[0], size[1]), kernel)
        return (
            conv_output_size(size[0], kernel[0], steps.stride[0], top, bottom, steps.dilation[0]),
            conv_output_size(size[1], kernel[1], steps.stride[1], left, right, steps.dilation[1]),
        )

    def factor(self, kernel: Kernel) -> float:
        """What the kernel's results are multiplied with.

        Raises:
            OptionError: Normalising by a sum that is 0.
        """
        if self.normalize == "sum":
            if kernel.zero_sum:
                raise OptionError(
                    f"kernel '{kernel.name}' sums to 0 and cannot be divided by its sum; "
                    "use --normalize l1 or none"
                )
            return self.scale / kernel.total
        if self.normalize == "l1":
            if kernel.absolute == 0:
                raise OptionError(f"kernel '{kernel.name}' is all zeros; use --normalize none")
            return self.scale / kernel.absolute
        if self.normalize != "none":
            raise OptionError(f"unknown normalize '{self.normalize}'; use none, sum or l1")
        return self.scale


@dataclass(frozen=True)
class Pass:
    """One kernel over one array: geometry and what happens to each strip of results."""

    correlation: Correlation
    divisor: float
    factor: float
    offset: float

    @property
    def exact(self) -> bool:
        """Whether results need no arithmetic after the correlation."""
        return self.divisor == 1 and self.factor == 1 and self.offset == 0

    def finish(self, values: Array) -> Array:
        """Strip of raw sums -> strip of results, in place where the type allows it."""
        if self.exact:
            return values
        if values.dtype == np.int16:
            values = values.astype(np.float32)
        kind = values.dtype.type
        # a true quotient: 0.5 stays 0.5, where a product with 1/6 would not
        if self.divisor != 1:
            values /= kind(self.divisor)
        if self.factor != 1:
            values *= kind(self.factor)
        if self.offset:
            values += kind(self.offset)
        return values

    def floats(self, x: Array, threads: int) -> Array:
        """(H, W, N) -> float32 or float64 results."""
        kind = np.float64 if self.correlation.dtype == np.float64 else np.float32
        out = self.correlation.xp.empty(self.correlation.shape_out, dtype=kind)

        def store(start: int, stop: int, values: Array) -> None:
            out[start:stop] = self.finish(values)

        self.correlation.run(x, store, threads=threads)
        return out

    def integers(self, x: Array, levels: Levels, threads: int) -> Array:
        """(H, W, N) -> 8- or 16-bit results, rounded and fitted strip by strip."""
        xp = self.correlation.xp
        out = xp.empty(self.correlation.shape_out, dtype=levels.dtype)

        def store(start: int, stop: int, values: Array) -> None:
            values = self.finish(values)
            if values.flags.c_contiguous:
                levels.apply(values, out[start:stop], overwrite=True)
                return
            # long kernels give (columns, N, rows) in memory: round there, turn the small integers
            turned = values.transpose(1, 2, 0)
            samples = xp.empty_like(turned, dtype=levels.dtype)
            levels.apply(turned, samples, overwrite=True)
            out[start:stop] = samples.transpose(2, 0, 1)

        self.correlation.run(x, store, threads=threads)
        return out


def prepare(kernel: Kernel, options: Convolution, x: Array, factor: float, offset: float) -> Pass:
    """The geometry and arithmetic of one kernel over (H, W, N); whole kernels stay whole."""
    whole = kernel.integers()
    matrix, divisor = (kernel.array(), 1.0) if whole is None else whole
    height, width, _ = x.shape
    correlation = Correlation(
        np.asarray(matrix, np.float64),
        x.shape,
        x.dtype,
        frame=Frame(
            options.sides((height, width), kernel.size),
            border_mode(options.border),
            options.border_value,
        ),
        steps=options.steps(),
        method=options.method,
        xp=array_module(x),
    )
    return Pass(correlation, float(divisor), factor, offset)


def convolve(
    image: Array,
    kernel: str | Kernel | Sequence[Sequence[float]] | Array,
    *,
    alpha: bool = False,
    levels: Levels | None = None,
    threads: int = 1,
    **options: Any,
) -> Array:
    """The picture filtered with one kernel.

    Args:
        image: Samples 0..255 (0..65535 for uint16).
        kernel: A name (``"sobel-x"``), any text that ``--kernel`` takes, a :class:`Kernel`, or a
            matrix.
        alpha: The last channel is opacity. Kernels with a sum then work on colours weighted by
            opacity, so that invisible pixels bleed no colour; zero-sum kernels and kernels of one
            pixel leave opacity as it is.
        levels: How to fit results into integers; without it they are floats.
        threads: Threads that share the strips.
        options: The attributes of :class:`Convolution`.

    Shape:
        (H, W) or (H, W, C) -> (H', W'[, C]), H' = floor((H + padding - d(kh-1) - 1)/stride) + 1.

    Returns:
        float32; float64 for float64 pictures; the type of ``levels`` where given.

    Raises:
        OptionError: An option or the kernel makes no sense.
        ShapeError: The picture is smaller than the kernel.

    Example:
        >>> ramp = np.tile(np.arange(0, 50, 10, dtype=np.uint8), (4, 1))
        >>> convolve(ramp, "sobel-x")[1]
        array([ 0., 80., 80., 80.,  0.], dtype=float32)
    """
    chosen = Convolution(**options)
    k = as_kernel(kernel)
    if chosen.flip:
        k = k.flip()
    if image.ndim not in (2, 3) or image.size == 0:
        raise ShapeError(
            "a picture is (H, W) or (H, W, C) and not empty, got shape "
            + "x".join(map(str, image.shape))
        )
    x = image[..., None] if image.ndim == 2 else image
    if alpha:
        result = _with_alpha(x, k, chosen, levels, threads)
    else:
        result = _opaque(x, k, chosen, levels, threads)
    return result[..., 0] if image.ndim == 2 else result


def _opaque(
    x: Array, kernel: Kernel, options: Convolution, levels: Levels | None, threads: int
) -> Array:
    xp = array_module(x)
    factor = options.factor(kernel)
    offset = kernel.offset + options.offset
    if options.linear:
        full = 65535.0 if x.dtype == np.uint16 else 255.0
        x = to_linear(x, full)
        work = prepare(kernel, options, x, factor, offset)
        return fit(from_linear(work.floats(x, threads), full), levels)
    work = prepare(kernel, options, x, factor, offset)
    if levels is None:
        return work.floats(x, threads)
    if levels.needs_whole_picture or xp is not np:
        return fit(work.floats(x, threads), levels)
    return work.integers(x, levels, threads)


def _with_alpha(
    x: Array, kernel: Kernel, options: Convolution, levels: Levels | None, threads: int
) -> Array:
    """Colour and opacity: see ``alpha`` of :func:`convolve`."""
    if not (kernel.zero_sum or kernel.is_single or kernel.is_identity):
        return _weighted(x, kernel, options, levels, threads)
    xp = array_module(x)
    colour, opacity = x[..., :-1], x[..., -1:]
    result = _opaque(xp.ascontiguousarray(colour), kernel, options, levels, threads)
    kept = prepare(_centre(kernel), options, opacity, 1.0, 0.0).floats(opacity, threads)
    if levels is not None:
        full = 65535.0 if x.dtype == np.uint16 else 255.0
        kept = Levels(levels.dtype, "clip", full_range=full).of(kept)
    return xp.concatenate([result, kept.astype(result.dtype)], axis=2)


def _weighted(
    x: Array, kernel: Kernel, options: Convolution, levels: Levels | None, threads: int
) -> Array:
    """Sums of colours weighted by opacity, divided by the sum of the weights, strip by strip."""
    xp = array_module(x)
    kind = np.float64 if x.dtype == np.float64 else np.float32
    full = kind(65535.0 if x.dtype == np.uint16 else 255.0)
    factor, offset = kind(options.factor(kernel)), kind(kernel.offset + options.offset)
    weighted = _times_opacity(x, options.linear, full)
    # opacity keeps its range: the kernel's gain belongs to the colours
    work = prepare(kernel, options, weighted, 1.0, 0.0)
    strips = levels is not None and not levels.needs_whole_picture and xp is np
    cut = None if levels is None else Levels(levels.dtype, "clip", full_range=float(full))
    out = xp.empty(work.correlation.shape_out, dtype=levels.dtype if levels and strips else kind)

    def store(start: int, stop: int, values: Array) -> None:
        values = work.finish(values)
        kept = xp.clip(values[..., -1:] / kind(kernel.total), 0, full)
        visible = xp.maximum(kept, kind(1e-6)) / full
        colours = xp.where(kept > 0, values[..., :-1] / visible, kind(0))
        colours *= factor
        colours += offset
        if options.linear:
            colours = from_linear(colours, float(full))
        if strips and levels is not None and cut is not None:
            colours, kept = levels.of(colours), cut.of(kept)
        out[start:stop, :, :-1] = colours
        out[start:stop, :, -1:] = kept

    work.correlation.run(weighted, store, threads=threads)
    if levels is None or cut is None or strips:
        return out
    return xp.concatenate([levels.of(out[..., :-1]), cut.of(out[..., -1:])], axis=2)


def _times_opacity(x: Array, linear: bool, full: Any) -> Array:
    """Floats: each colour times its opacity (0..1), and the opacity as it is."""
    xp, kind = array_module(x), type(full)
    out = xp.empty(x.shape, dtype=kind)
    step = max(1, _PIECE // (x.shape[1] * x.shape[2])) if xp is np else len(x)
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        colour, weight = x[rows, :, :-1], x[rows, :, -1:].astype(kind)
        light = to_linear(colour, float(full)) if linear else colour.astype(kind)
        xp.multiply(light, weight / full, out=out[rows, :, :-1])
        out[rows, :, -1:] = weight
    return out


def method_used(image: Array, kernel: Kernel, options: Convolution, *, alpha: bool = False) -> str:
    """How :func:`convolve` computes: direct, separable or fft, and in which numbers.

    Example:
        >>> photo = np.zeros((480, 640, 3), np.uint8)
        >>> method_used(photo, parse_kernel("sobel-x"), Convolution())
        'separable in int16'
        >>> method_used(photo, parse_kernel("gaussian:sigma=20"), Convolution())
        'fft in float32'
    """
    x = image[..., None] if image.ndim == 2 else image
    weighted = alpha and not (kernel.zero_sum or kernel.is_single or kernel.is_identity)
    if (weighted or options.linear) and x.dtype != np.float64:
        x = np.broadcast_to(np.float32(0), x.shape)  # only its shape and type matter
    work = prepare(kernel, options, x, 1.0, 0.0).correlation
    family = {"taps": "direct", "banded": "direct", "fft": "fft"}.get(work.choice, "separable")
    return f"{family} in {work.dtype.name}"


def fit(values: Array, levels: Levels | None) -> Array:
    """Floats fitted into the integers of ``levels``; unchanged without them."""
    return values if levels is None else levels.of(values)


def _centre(kernel: Kernel) -> Kernel:
    """Kernel of the same size that takes the pixel under the centre."""
    height, width = kernel.size
    rows = [[0] * width for _ in range(height)]
    rows[(height - 1) // 2][(width - 1) // 2] = 1
    return Kernel("centre", tuple(map(tuple, rows)))


def as_kernel(kernel: str | Kernel | Sequence[Sequence[float]] | Array) -> Kernel:
    """Any form of kernel as a :class:`Kernel`."""
    if isinstance(kernel, Kernel):
        return kernel
    if isinstance(kernel, str):
        return parse_kernel(kernel)
    rows = np.asarray(kernel, np.float64)
    if rows.ndim != 2:
        raise OptionError(f"a kernel is a matrix (rows of numbers), got {rows.ndim} dimensions")
    return Kernel("custom", tuple(tuple(float(v) for v in row) for row in rows))
