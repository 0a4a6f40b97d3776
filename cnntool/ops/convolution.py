"""Convolution of maps as networks mean it: cross-correlation, channels summed, kernels not flipped.

Pictures are the case of one input channel: ``image[None]`` is (1, H, W, channels), and each filter
is a :class:`~cnntool.ops.correlation.Correlation`. With several input channels a strip of windows
is copied out (im2col) and one matrix product gives all output channels of the strip; the strip is
sized to stay in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.geometry import conv_output_size, extent, four_sides, pair, same_padding
from cnntool.ops.correlation import Correlation, Frame, Steps
from cnntool.ops.padding import border_mode, pad

PATCH_BYTES = 1 << 20
"""Aim for the copied windows of one strip."""

PaddingLike = str | int | Sequence[int]


def padding_sides(
    padding: PaddingLike,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, int, int, int]:
    """Padding as (top, right, bottom, left) from a number, a pair, four sides or a word.

    Example:
        >>> padding_sides("same", (6, 6), (3, 4), (1, 1), (1, 1))
        (1, 2, 1, 1)
    """
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        (top, bottom), (left, right) = (
            same_padding(k, d, n, s)
            for k, d, n, s in zip(kernel, dilation, size, stride, strict=True)
        )
        return top, right, bottom, left
    if isinstance(padding, str):
        raise OptionError(f"unknown padding '{padding}'; use same, valid, N, H,W or T,R,B,L")
    return four_sides(padding)


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: int | Sequence[int] = 1,
    padding: PaddingLike = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Array:
    """Maps filtered with a bank of kernels (cross-correlation, as torch's conv2d).

    Args:
        x: Input maps.
        weight: One kernel an output map and input map of its group.
        bias: One number an output map.
        stride: Steps down and across, in pixels.
        padding: Pixels on every side, (rows, columns), (top, right, bottom, left), ``same`` or
            ``valid``.
        dilation: Distances of the kernel's elements, in pixels.
        groups: Independent groups of maps; C and O are divisible by it.
        padding_mode: What fills the padding: ``zeros reflect replicate circular max`` or any word
            of :data:`cnntool.ops.padding.MODES`.

    Shape:
        x (C, H, W, N), weight (O, C/groups, kh, kw), bias (O,) -> (O, H', W', N),
        H' = floor((H + padding - d(kh-1) - 1) / stride) + 1. float32, float64 for float64.

    Raises:
        ShapeError: Channels do not fit the weights, or the padded input is smaller than a kernel.

    Example:
        >>> x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
        >>> conv2d(x, np.ones((1, 1, 2, 3), np.float32))[0, :, :, 0]
        array([[18., 24.],
               [42., 48.],
               [66., 72.]], dtype=float32)
    """
    xp = array_module(x)
    c, h, w, n = x.shape
    o, per_group, kh, kw = weight.shape
    if groups < 1 or c % groups or o % groups or per_group != c // groups:
        raise ShapeError(
            f"{c} input maps in {groups} group(s) do not fit weights of shape "
            f"{o}x{per_group}x{kh}x{kw}; each group needs {max(c // max(groups, 1), 1)} input "
            f"maps, and the output maps must be divisible by the groups"
        )
    steps = Steps(pair(stride, "stride"), pair(dilation, "dilation"))
    sides = padding_sides(padding, (h, w), (kh, kw), steps.stride, steps.dilation)
    mode = border_mode(padding_mode)
    rows = conv_output_size(h, kh, steps.stride[0], sides[0], sides[2], steps.dilation[0])
    columns = conv_output_size(w, kw, steps.stride[1], sides[3], sides[1], steps.dilation[1])
    kind = np.float64 if x.dtype == np.float64 else np.float32
    y = xp.empty((o, rows, columns, n), dtype=kind)
    if per_group == 1:
        _each_map(x, weight, y, Frame(sides, mode), steps)
    else:
        padded = pad(x.astype(kind), sides, mode) if any(sides) else x.astype(kind)
        for group in range(groups):
            maps = slice(group * per_group, (group + 1) * per_group)
            filters = slice(group * o // groups, (group + 1) * o // groups)
            _patches(padded[maps], weight[filters].astype(kind), y[filters], steps)
    if bias is not None:
        y += bias.astype(kind).reshape(o, 1, 1, 1)
    return y


def _each_map(x: Array, weight: Array, y: Array, frame: Frame, steps: Steps) -> None:
    """One input map a filter: pictures, and depthwise convolution."""
    xp = array_module(x)
    kernels = weight if xp is np else xp.asnumpy(weight)
    share = y.shape[0] // x.shape[0]
    for output, kernel in enumerate(kernels[:, 0]):
        source = x[output // share]
        y[output] = Correlation(kernel, source.shape, x.dtype, frame=frame, steps=steps, xp=xp)(
            source
        )


def _patches(padded: Array, weight: Array, y: Array, steps: Steps) -> None:
    """Several input maps: copy a strip of windows, multiply, strip after strip."""
    xp: Any = array_module(padded)
    c, _, _, n = padded.shape
    o, _, kh, kw = weight.shape
    (sy, sx), (dy, dx) = steps.stride, steps.dilation
    _, rows, columns, _ = y.shape
    line = c * kh * kw * columns * n * padded.itemsize
    height = rows if xp is not np else max(1, min(rows, PATCH_BYTES // line))
    patches = xp.empty((c, kh, kw, height, columns, n), dtype=padded.dtype)
    matrix = weight.reshape(o, c * kh * kw)
    across = extent(columns, sx)
    for start in range(0, rows, height):
        count = min(height, rows - start)
        strip = patches[:, :, :, :count]
        for a in range(kh):
            top = start * sy + a * dy
            for b in range(kw):
                left = b * dx
                strip[:, a, b] = padded[
                    :, top : top + extent(count, sy) : sy, left : left + across : sx
                ]
        # (O, c kh kw) @ (c kh kw, rows columns n)
        product = matrix @ strip.reshape(c * kh * kw, count * columns * n)
        y[:, start : start + count] = product.reshape(o, count, columns, n)
