"""What a convolution is asked to do, normalised, and the choice of its algorithm.

:func:`choose_algorithm` is the one place that decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.geometry import conv_output_size, four_sides, pair, same_padding
from cnntool.ops import im2col, tiles
from cnntool.ops.correlation_methods import Steps
from cnntool.ops.padding import border_mode
from cnntool.ops.winograd_mixes import TAPS

PaddingLike = str | int | Sequence[int]
Algorithm = Literal["auto", "maps", "im2col", "winograd", "winograd-rows", "tiles"]
WINOGRAD = ("winograd", "winograd-rows")
PICTURES = 4
"""Up to so many images one input map is filtered filter by filter, as pictures are."""


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


@dataclass(frozen=True)
class Convolution:
    """One convolution with everything normalised: what the algorithms need to know.

    Attributes:
        shape: (C, H, W, N) of the input.
        weight: (O, C/groups, kh, kw).
        sides: Padding at the top, right, bottom and left.
        mode: What fills it.
        steps: Strides and dilations.
        groups: Independent groups of maps.
        out: (O, H', W', N) of the output.
        algorithm: The one that is used.
    """

    shape: tuple[int, int, int, int]
    weight: tuple[int, int, int, int]
    sides: tuple[int, int, int, int]
    mode: str
    steps: Steps
    groups: int
    out: tuple[int, int, int, int]
    algorithm: Algorithm

    def group(self, number: int) -> tuple[slice, slice]:
        """Input maps and filters of a group."""
        share, each = self.weight[1], self.weight[0] // self.groups
        return (
            slice(number * share, (number + 1) * share),
            slice(number * each, (number + 1) * each),
        )

    @property
    def products(self) -> int:
        """Multiplications that it takes one by one."""
        return prod(self.weight[1:]) * prod(self.out)

    @property
    def patches(self) -> im2col.Patches:
        """The windows of one group."""
        _, share, kh, kw = self.weight
        return im2col.Patches(share, (kh, kw), self.out[1:3], self.out[3], self.steps)

    @property
    def tiled(self) -> im2col.Patches:
        """The windows of 2x2 output tiles; the last ones may reach one row or column too far."""
        _, share, kh, kw = self.weight
        down, across = -(-self.out[1] // tiles.SIDE), -(-self.out[2] // tiles.SIDE)
        steps = Steps((tiles.SIDE, tiles.SIDE))
        return im2col.Patches(share, (kh + 1, kw + 1), (down, across), self.out[3], steps)

    @property
    def tiled_sides(self) -> tuple[int, int, int, int]:
        """Padding for the windows of output tiles."""
        top, right, bottom, left = self.sides
        return top, right + self.out[2] % tiles.SIDE, bottom + self.out[1] % tiles.SIDE, left


def choose_algorithm(
    weight: tuple[int, int, int, int],
    out: tuple[int, int, int, int],
    steps: Steps,
    groups: int,
) -> Algorithm:
    """The fastest algorithm by shapes.

    Winograd's pays for itself where there is enough to multiply, and where weights are mixed for
    many positions; tiles along the columns too if their runs of N numbers are long. Output tiles
    pay for few filters with a batch of images.

    Example:
        >>> choose_algorithm((64, 32, 3, 3), (64, 16, 16, 32), Steps(), 1)
        'winograd'
        >>> choose_algorithm((64, 32, 3, 3), (64, 16, 16, 8), Steps(), 1)
        'winograd-rows'
        >>> choose_algorithm((64, 32, 3, 3), (64, 16, 16, 8), Steps((2, 2)), 1)
        'im2col'
        >>> choose_algorithm((6, 1, 5, 5), (6, 28, 28, 64), Steps(), 1)
        'tiles'
    """
    o, share, kh, kw = weight
    _, rows, columns, n = out
    if share == 1 and (groups > 1 or n <= PICTURES):
        return "maps"
    if groups > 1 or steps != Steps():
        return "im2col"
    narrow, positions = min(o, share), rows * columns * n
    if kh == TAPS and min(narrow, rows) >= 4 and positions >= 200:
        if kw == TAPS and columns >= 4 and n >= 16 and narrow * n >= 1024:
            return "winograd"
        if narrow >= 8 and narrow * positions >= 20_000:
            return "winograd-rows"
    if o <= 16 and min(kh, kw) >= 3 and min(rows, columns) >= 2 and n >= 8:
        return "tiles"
    return "im2col"


def plan(
    x: Array,
    weight: Array,
    stride: int | Sequence[int],
    padding: PaddingLike,
    dilation: int | Sequence[int],
    groups: int,
    padding_mode: str,
    algorithm: Algorithm,
) -> Convolution:
    """Check the arguments of :func:`conv2d` and normalise them.

    Raises:
        ShapeError: Channels do not fit the weights, or the padded input is smaller than a kernel.
        OptionError: An algorithm that cannot do this, or a padding that does not exist.
    """
    c, h, w, n = x.shape
    o, share, kh, kw = weight.shape
    if groups < 1 or c % groups or o % groups or share != c // groups:
        raise ShapeError(
            f"{c} input maps in {groups} group(s) do not fit weights of shape "
            f"{o}x{share}x{kh}x{kw}; each group needs {max(c // max(groups, 1), 1)} input "
            f"maps, and the output maps must be divisible by the groups"
        )
    steps = Steps(pair(stride, "stride"), pair(dilation, "dilation"))
    sides = padding_sides(padding, (h, w), (kh, kw), steps.stride, steps.dilation)
    rows = conv_output_size(h, kh, steps.stride[0], sides[0], sides[2], steps.dilation[0])
    columns = conv_output_size(w, kw, steps.stride[1], sides[3], sides[1], steps.dilation[1])
    out = o, rows, columns, n
    if algorithm == "auto":
        algorithm = choose_algorithm(weight.shape, out, steps, groups)
        if algorithm == "maps" and array_module(x) is not np:
            algorithm = "im2col"  # the other reads the kernels on the host
    _check_winograd(algorithm, (kh, kw), steps)
    if algorithm == "tiles" and steps != Steps():
        raise OptionError(
            f"tiles need stride 1 and dilation 1; got stride {steps.stride}, dilation "
            f"{steps.dilation}; use im2col"
        )
    if algorithm == "maps" and share != 1:
        raise OptionError(f"'maps' filters one input map at a time, got {share}; use im2col")
    mode = border_mode(padding_mode)
    return Convolution(x.shape, weight.shape, sides, mode, steps, groups, out, algorithm)


def working_type(x: Array) -> type[Any]:
    """What is computed in: float64 for float64, else float32."""
    return np.float64 if x.dtype == np.float64 else np.float32


def _check_winograd(algorithm: str, kernel: tuple[int, int], steps: Steps) -> None:
    """Raise if one of Winograd's algorithms cannot do this."""
    fits = {"winograd": kernel == (TAPS, TAPS), "winograd-rows": kernel[0] == TAPS}
    if fits.get(algorithm, True) and (algorithm not in WINOGRAD or steps == Steps()):
        return
    needs = "3x3" if algorithm == "winograd" else "3 rows"
    raise OptionError(
        f"{algorithm} needs kernels of {needs}, stride 1 and dilation 1; got "
        f"{kernel[0]}x{kernel[1]}, stride {steps.stride}, dilation {steps.dilation}; use im2col"
    )
