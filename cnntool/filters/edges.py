"""Edges of a picture: gradients by pairs of kernels, compass kernels, Canny's lines.

The kernels of an operator run over the same strip while it is in the cache, their responses are
joined there, and 8- or 16-bit output is rounded there: memory is the input's and the output's.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.filters.canny import canny
from cnntool.filters.channels import luma
from cnntool.filters.gradients import Compass, Gradient, Pair, colours
from cnntool.filters.kernels import KERNELS
from cnntool.filters.levels import Levels
from cnntool.filters.operators import OPERATORS, SHOWS, SIGNED, Operator, check
from cnntool.geometry import same_padding
from cnntool.ops.correlation import Correlation, Frame, run_bank
from cnntool.ops.correlation_methods import Scratch
from cnntool.ops.padding import border_mode

__all__ = ["OPERATORS", "SHOWS", "SIGNED", "edges"]


def edges(
    image: Array,
    operator: str = "sobel",
    show: str = "magnitude",
    *,
    border: str = "reflect",
    border_value: float = 0.0,
    levels: Levels | None = None,
    alpha: bool = False,
    full_range: float | None = None,
    sigma: float = 1.0,
    low: float = 0.1,
    high: float = 0.2,
    threads: int = 1,
) -> Array:
    """The edges of a picture, each channel by itself.

    Args:
        image: Samples 0..255 (0..65535 for uint16).
        operator: A name of :data:`OPERATORS`. Compass operators (kirsch, robinson) take the
            largest response of eight kernels and the direction of its kernel; ``x`` and ``y`` are
            their east and south kernels. Roberts' are its two diagonals, to the upper left and
            the upper right.
        show: A name of :data:`SHOWS`. The angle, 0..360° mapped to 0..full range, is where
            brightness rises to, clockwise on the screen: 0° right, 90° down; also for Roberts,
            whose kernels look along the diagonals. It is 0 where the gradient is 0. ``hsv`` turns
            the angle into hue and the clipped magnitude into brightness.
        border: What lies outside: ``reflect symmetric edge wrap constant max``. Canny knows
            nothing outside and takes none.
        border_value: What ``constant`` fills with, in sample units.
        levels: How to fit magnitude, x and y into integers; without it all results are floats.
            Angles, colours and lines fit of their own: only the type is taken.
        alpha: The last channel is opacity; it is kept as it is.
        full_range: The largest sample; 65535 for uint16, else 255, if left out.
        sigma: Canny's smoothing in pixels, >= 0.
        low: Gradient along which Canny follows a line, a share of the full range.
        high: Gradient that a line of Canny must reach, a share of the full range.
        threads: Threads that share the strips.

    Shape:
        (H, W) or (H, W, C) -> the same. ``hsv``: (H, W, 3), of the grey picture. Canny: (H, W), of
        the grey picture. Opacity is one more channel in each case.

    Returns:
        float32; float64 for float64 pictures; the type of ``levels`` where given. Canny's lines
        are at the full range, the rest 0.

    Raises:
        NameNotFound: No such operator, show or border.
        OptionError: An option makes no sense.
        ShapeError: Not a picture, or one that has no grey version where that is needed.

    References:
        :data:`cnntool.filters.kernels.KERNELS` names the source of each kernel; Canny's is in
        :func:`cnntool.filters.canny.canny`.

    Example:
        >>> ramp = np.tile(np.arange(0, 50, 10, dtype=np.uint8), (4, 1))
        >>> edges(ramp)[1]
        array([ 0., 80., 80., 80.,  0.], dtype=float32)
        >>> edges(ramp.T, show="angle", levels=Levels(np.uint8))[:, 0]  # 90 of 360 degrees
        array([ 0, 64, 64, 64,  0], dtype=uint8)
    """
    found = check(operator, show)
    if image.ndim not in (2, 3) or image.size == 0:
        raise ShapeError(
            "a picture is (H, W) or (H, W, C) and not empty, got shape "
            + "x".join(map(str, image.shape))
        )
    if alpha and (image.ndim == 2 or image.shape[2] < 2):
        raise ShapeError("a picture with opacity has two channels or more, got 1")
    if full_range is not None and not 0 < full_range < math.inf:
        raise OptionError(f"full_range must be above 0 and finite, got {full_range:g}")
    full = float(full_range or (65535.0 if image.dtype == np.uint16 else 255.0))
    lines = found.kind == "lines"
    x = image[..., None] if image.ndim == 2 else image
    opacity = x[..., -1:] if alpha else None
    if lines or show == "hsv":
        x = luma(x, alpha=alpha)[..., None]
    elif alpha:
        x = x[..., :-1]
    if levels is not None and (lines or show in ("angle", "hsv")):
        levels = Levels(levels.dtype, "clip", full_range=full)
    result = _Result.empty(x, 3 if show == "hsv" else x.shape[2], levels, opacity, full)
    if lines:
        marked = canny(
            x[..., 0], sigma=sigma, low=low, high=high, full_range=full_range, threads=threads
        )
        result.put_whole(marked[..., None] * result.kind.type(full))
    else:
        _filter(found, show, x, border_mode(border), border_value, full, result, threads)
    grey = (lines or image.ndim == 2) and result.array.shape[2] == 1
    return result.array[..., 0] if grey else result.array


@dataclass(frozen=True)
class _Result:
    """Where results go: an array with room for opacity, floats or fitted to integers.

    Attributes:
        array: (H, W, channels and opacity), what the caller gets.
        view: The part of it that edges fill.
        kind: Type of the floats that are computed.
        levels: How floats become samples; None keeps them.
    """

    array: Array
    view: Array
    kind: np.dtype[Any]
    levels: Levels | None

    @classmethod
    def empty(
        cls, x: Array, channels: int, levels: Levels | None, opacity: Array | None, full: float
    ) -> _Result:
        """Room for the edges of x (H, W, N), opacity already in place."""
        xp = array_module(x)
        kind = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
        dtype = kind if levels is None else levels.dtype
        depth = channels + (opacity is not None)
        array = xp.empty((*x.shape[:2], depth), dtype=dtype)
        if opacity is not None:
            if levels is not None and opacity.dtype != dtype:
                opacity = Levels(dtype, "clip", full_range=full).of(opacity)
            array[..., channels:] = opacity
        return cls(array, array[..., :channels], kind, levels)

    @property
    def by_strips(self) -> bool:
        """Whether strips can be stored as they come; else all floats are needed at once."""
        if self.levels is None:
            return True
        return not self.levels.needs_whole_picture and array_module(self.array) is np

    def put(self, start: int, stop: int, values: Array) -> None:
        """Store a strip of results; its values are lost."""
        if self.levels is None:
            self.view[start:stop] = values
        else:
            self.levels.apply(values, self.view[start:stop], overwrite=True)

    def put_whole(self, values: Array) -> None:
        """Store all results."""
        self.view[...] = values if self.levels is None else self.levels.of(values)


def _filter(
    operator: Operator,
    show: str,
    x: Array,
    border: str,
    border_value: float,
    full: float,
    result: _Result,
    threads: int,
) -> None:
    """Run an operator's kernels over (H, W, N) and store what is to be shown."""
    xp = array_module(x)
    matrices, view = _view(operator, show, full)
    if operator.kind == "compass" and border == "constant" and not 0 <= border_value <= 255:
        x = x.astype(result.kind)  # such neighbours are too far from the pixels for 16 bits
    (kh, kw) = matrices[0].shape
    (top, bottom), (left, right) = same_padding(kh), same_padding(kw)
    frame = Frame((top, right, bottom, left), border, border_value)
    bank = [Correlation(m, x.shape, x.dtype, frame=frame, xp=xp) for m in matrices]
    floats = None if result.by_strips else xp.empty(result.view.shape, dtype=result.kind)
    local = _Local(xp, result.kind)

    def sink(start: int, stop: int, maps: list[Array]) -> None:
        values = view(maps, local.work)
        if floats is None:
            result.put(start, stop, values)
        else:
            floats[start:stop] = values

    run_bank(bank, x, sink, threads=threads)
    if floats is not None:
        result.put_whole(floats)


class _Local(threading.local):
    """Scratch arrays of each thread."""

    def __init__(self, xp: Any, kind: np.dtype[Any]) -> None:
        self.work = Scratch(xp, kind)


def _view(
    operator: Operator, show: str, full: float
) -> tuple[Sequence[Any], Callable[[list[Array], Scratch], Array]]:
    """Kernels to run, and what makes results of their responses."""
    if show in SIGNED:
        # a compass has no opposite pair; its east and south kernels stand for x and y
        place = 0 if show == "x" else 2 if operator.kind == "compass" else 1
        return [KERNELS[operator.kernels[place]].array()], lambda maps, work: maps[0]
    gradient: Gradient
    if operator.kind == "compass":
        gradient = Compass(operator.name)
    else:
        pair = [KERNELS[name].array() for name in operator.kernels]
        gradient = Pair(pair, diagonal=operator.name == "roberts")

    def angle(maps: list[Array], work: Scratch) -> Array:
        degrees = gradient.angle(maps, work)
        return work.xp.multiply(degrees, work.dtype.type(full / 360), out=degrees)

    def hsv(maps: list[Array], work: Scratch) -> Array:
        return colours(*gradient.polar(maps, work), full, work)

    views = {"magnitude": gradient.magnitude, "angle": angle, "hsv": hsv}
    return gradient.matrices, views[show]
