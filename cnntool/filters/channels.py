"""Take pictures apart into channels and put them together: RGB, HSV, YCbCr, L*a*b*, grey, alpha.

Channels are grey pictures of the same depth; RGB comes back bit for bit. The other spaces compute
in floats and round to whole samples. For all 16.7 million 8-bit colours, there and back, the
largest difference is 3 levels through HSV, 1 through YCbCr and 26 through L*a*b* (0.7 on average;
the worst are saturated blues, where one level of a is many of red). With 16 bits the differences
are as many of the 257 times finer levels, but up to 229 for the purest blue and red through YCbCr:
their Cb and Cr are 255.5 on the scale of 8 bits and are cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from cnntool.backend import Array, array_module
from cnntool.errors import NameNotFound, ShapeError
from cnntool.filters import colour_spaces
from cnntool.filters.colour_spaces import PIECE, Planes, from_linear, to_linear

__all__ = [
    "SPACES",
    "from_linear",
    "luma",
    "merge",
    "premultiply",
    "split",
    "to_linear",
    "unpremultiply",
]

Formula = Callable[[Planes, float], Planes]


@dataclass(frozen=True)
class Space:
    """A way to describe colours.

    Attributes:
        names: Of its channels, in order.
        forward: RGB planes to its own; None where they are the same.
        backward: Its planes to RGB.
        alpha: Name of the opacity channel; ``a`` and ``A`` would be one file on some disks.
    """

    names: tuple[str, ...]
    forward: Formula | None = None
    backward: Formula | None = None
    alpha: str = "A"


SPACES: dict[str, Space] = {
    "rgb": Space(("R", "G", "B")),
    "hsv": Space(("H", "S", "V"), colour_spaces.rgb_to_hsv, colour_spaces.hsv_to_rgb),
    "ycbcr": Space(("Y", "Cb", "Cr"), colour_spaces.rgb_to_ycbcr, colour_spaces.ycbcr_to_rgb),
    "lab": Space(
        ("L", "a", "b"), colour_spaces.rgb_to_lab, colour_spaces.lab_to_rgb, alpha="alpha"
    ),
    "gray": Space(("gray",)),
}
"""Colour spaces by name."""


def space_named(name: str) -> Space:
    """The space of this name.

    Raises:
        NameNotFound: There is none.
    """
    if name not in SPACES:
        raise NameNotFound(
            f"unknown colour space '{name}'; use {', '.join(SPACES)}", name=name, near=[]
        )
    return SPACES[name]


def split(
    pixels: Array, space: str = "rgb", alpha: bool = False, *, full_range: float | None = None
) -> list[tuple[str, Array]]:
    """The channels of a picture, each with its name.

    Args:
        pixels: Samples 0..255, or 0..65535 for uint16.
        space: rgb, hsv, ycbcr, lab or gray. A grey picture has one channel L in rgb; in the
            others it counts as equal red, green and blue.
        alpha: Whether the last channel is opacity; it becomes one more plane, unchanged.
        full_range: The largest sample, where floats hold samples of 16 bits.

    Shape:
        (H, W) or (H, W, C) -> planes (H, W) of the same dtype; integers are rounded half to even.

    Raises:
        NameNotFound: There is no such space.
        ShapeError: Not one or three colour channels (rgb takes any number).

    Example:
        >>> red = np.zeros((1, 1, 3), np.uint8); red[..., 0] = 255
        >>> [(name, plane.tolist()) for name, plane in split(red, "hsv")]
        [('H', [[0]]), ('S', [[255]]), ('V', [[255]])]
    """
    chosen = space_named(space)
    colour, opacity = _apart(pixels, alpha)
    if space == "gray":
        planes = [luma(colour)]
        names = chosen.names
    elif chosen.forward is None:
        count = colour.shape[2]
        planes = [_copy(colour[..., i]) for i in range(count)]
        # more than three, or two, colours come from arrays only and have no names
        names = {1: ("L",), 3: chosen.names}.get(count, tuple(map(str, range(count))))
    else:
        _check_colours(colour, f"colour space {space}")
        rgb = [colour[..., i if colour.shape[2] == 3 else 0] for i in range(3)]
        planes, names = _convert(rgb, chosen.forward, _full(pixels, full_range)), chosen.names
    if opacity is not None:
        planes, names = [*planes, _copy(opacity)], (*names, chosen.alpha)
    return list(zip(names, planes, strict=True))


def merge(
    planes: Sequence[Array],
    space: str = "rgb",
    alpha: bool = False,
    *,
    full_range: float | None = None,
) -> Array:
    """The picture of these channels: the inverse of :func:`split`.

    Args:
        planes: Grey pictures of one size and depth, in the order of :func:`split`.
        space: What they mean.
        alpha: Whether the last one is opacity.
        full_range: The largest sample, where floats hold samples of 16 bits.

    Shape:
        (H, W) or (H, W, 1) each -> (H, W) for one grey plane, else (H, W, C).

    Raises:
        NameNotFound: There is no such space.
        ShapeError: A wrong number of planes, or planes that differ in size, depth or channels.

    Example:
        >>> merge([np.full((2, 3), v, np.uint8) for v in (1, 2, 3)])[0, 0].tolist()
        [1, 2, 3]
    """
    chosen = space_named(space)
    flat = [_as_plane(plane, place) for place, plane in enumerate(planes, start=1)]
    allowed = {len(chosen.names)} | ({1} if space == "rgb" else set())
    if len(flat) - alpha not in allowed:
        wanted = " or ".join(str(count + alpha) for count in sorted(allowed))
        raise ShapeError(
            f"{space} is merged from {wanted} pictures"
            + (", the last one opacity" if alpha else "")
            + f", got {len(flat)}"
        )
    for place, plane in enumerate(flat[1:], start=2):
        if plane.shape != flat[0].shape:
            raise ShapeError(
                f"picture {place} is {_size(plane)} pixels, picture 1 is {_size(flat[0])}; "
                "channels must have one size"
            )
        if plane.dtype != flat[0].dtype:
            raise ShapeError(
                f"picture {place} holds {plane.dtype}, picture 1 holds {flat[0].dtype}; "
                "channels must have one depth"
            )
    if chosen.backward is not None:
        full = _full(flat[0], full_range)
        flat = [*_convert(flat[:3], chosen.backward, full), *flat[3:]]
    if len(flat) == 1:
        return _copy(flat[0])
    return array_module(flat[0]).stack(flat, axis=2)


def luma(pixels: Array, *, alpha: bool = False, dtype: DTypeLike | None = None) -> Array:
    """The picture in grey: 0.299 red + 0.587 green + 0.114 blue; opacity is left out.

    Args:
        pixels: A grey or colour picture.
        alpha: Whether the last channel is opacity.
        dtype: A float type for results that are not rounded; the picture's own if left out.

    Shape:
        (H, W) or (H, W, C) -> (H, W); integers are rounded half to even. Greys stay exactly.

    Raises:
        ShapeError: Not one or three colour channels.

    References:
        ITU-R BT.601-7, section 2.5.1.

    Example:
        >>> luma(np.array([[[255, 0, 0], [7, 7, 7]]], np.uint8)).tolist()
        [[76, 7]]
    """
    colour, _ = _apart(pixels, alpha)
    _check_colours(colour, "grey")
    kind = np.dtype(pixels.dtype if dtype is None else dtype)
    if colour.shape[2] == 1:
        return colour[..., 0].astype(kind)
    xp = array_module(pixels)
    # in thousandths, sums of 8-bit samples are exact in float32 and of 16-bit ones in float64
    short = pixels.dtype in (np.uint8, np.float32) or (xp is not np and pixels.dtype == np.uint16)
    exact = np.float32 if short else np.float64
    out = xp.empty(colour.shape[:2], dtype=kind)
    for rows in _bands(colour):
        total = colour[rows, :, 0].astype(exact) * exact(299)
        total += colour[rows, :, 1].astype(exact) * exact(587)
        total += colour[rows, :, 2].astype(exact) * exact(114)
        total /= exact(1000)
        out[rows] = (xp.rint(total) if kind.kind in "iu" else total).astype(kind)
    return out


def premultiply(pixels: Array, full_range: float | None = None) -> Array:
    """Colours weighted by opacity, so that filters do not mix in what cannot be seen.

    Args:
        pixels: A picture whose last channel is opacity.
        full_range: The largest sample; 65535 for uint16, else 255, if left out.

    Shape:
        (H, W, C), C ≥ 2 -> the same; float32, float64 stays.

    Example:
        >>> premultiply(np.array([[[200, 51]]], np.uint8)).tolist()
        [[[40.0, 51.0]]]
    """
    kind = np.float64 if pixels.dtype == np.float64 else np.float32
    full = kind(_full(pixels, full_range))
    out = pixels.astype(kind)
    for rows in _bands(out):
        share = out[rows, :, -1] / full
        for channel in range(out.shape[2] - 1):
            out[rows, :, channel] *= share
    return out


def unpremultiply(pixels: Array, full_range: float | None = None) -> Array:
    """Inverse of :func:`premultiply`; where opacity is 0 or less, colours are 0.

    Example:
        >>> unpremultiply(np.array([[[40.0, 51.0], [3.0, 0.0]]], np.float32)).tolist()
        [[[200.0, 51.0], [0.0, 0.0]]]
    """
    xp = array_module(pixels)
    kind = np.float64 if pixels.dtype == np.float64 else np.float32
    full = kind(_full(pixels, full_range))
    out = pixels.astype(kind)
    for rows in _bands(out):
        opacity = out[rows, :, -1]
        seen = opacity > 0
        gain = xp.where(seen, full / xp.where(seen, opacity, kind(1)), kind(0))
        for channel in range(out.shape[2] - 1):
            out[rows, :, channel] *= gain
    return out


def _apart(pixels: Array, alpha: bool) -> tuple[Array, Array | None]:
    """Colour channels (H, W, C) and opacity (H, W)."""
    if pixels.ndim not in (2, 3):
        raise ShapeError(
            f"a picture is (H, W) or (H, W, C), got shape {'x'.join(map(str, pixels.shape))}"
        )
    channels = pixels if pixels.ndim == 3 else pixels[..., None]
    if not alpha:
        return channels, None
    if channels.shape[2] < 2:
        raise ShapeError("a picture with opacity has two channels or more, got 1")
    return channels[..., :-1], channels[..., -1]


def _check_colours(colour: Array, what: str) -> None:
    if colour.shape[2] not in (1, 3):
        raise ShapeError(f"{what} needs 1 or 3 colour channels, got {colour.shape[2]}")


def _as_plane(plane: Array, place: int) -> Array:
    if plane.ndim == 3 and plane.shape[2] == 1:
        return plane[..., 0]
    if plane.ndim != 2:
        channels = plane.shape[2] if plane.ndim == 3 else 0
        raise ShapeError(
            f"picture {place} has {channels} channels; channels to merge are grey pictures"
            if channels
            else f"picture {place} has {plane.ndim} dimensions; (H, W) is needed"
        )
    return plane


def _convert(planes: Sequence[Array], formula: Formula, full: float) -> list[Array]:
    """Planes by a formula in floats, a band of rows at a time, in the planes' own dtype."""
    first = planes[0]
    xp = array_module(first)
    # on a CPU the formulas take 64 bits, so that rounding is theirs alone
    exact = np.float64 if xp is np or first.dtype == np.float64 else np.float32
    outs = [xp.empty(first.shape, dtype=first.dtype) for _ in planes]
    for rows in _bands(first):
        results = formula(tuple(plane[rows].astype(exact) for plane in planes), full)
        for out, values in zip(outs, results, strict=True):
            if first.dtype.kind in "iu":
                values = xp.clip(xp.rint(values), exact(0), exact(full))
            out[rows] = values.astype(first.dtype)
    return outs


def _bands(picture: Array) -> Iterator[slice]:
    """Rows in parts small enough for the cache; all at once on a device."""
    height = len(picture)
    whole = array_module(picture) is not np
    step = height if whole else max(1, PIECE // max(1, picture.shape[1]))
    return (slice(start, start + step) for start in range(0, height, max(step, 1)))


def _copy(plane: Array) -> Array:
    return array_module(plane).array(plane, order="C")


def _full(pixels: Array, full_range: float | None) -> float:
    if full_range is not None:
        return float(full_range)
    return 65535.0 if pixels.dtype == np.uint16 else 255.0


def _size(plane: Array) -> str:
    return f"{plane.shape[1]}×{plane.shape[0]}"
