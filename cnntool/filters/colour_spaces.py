"""Formulas between RGB and other descriptions of colour, plane by plane.

All planes hold samples 0..``full`` (255, or 65535 for pictures of 16 bits), also those of hue and
of the axes of CIE L*a*b*, so that each can be seen as a grey picture:

    H  degrees · full/360          Y, S, V  0..full
    L  lightness 0..100 · full/100
    a, b of L*a*b*  (value + 128) · full/255          Cb, Cr  128 · full/255 + value
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module

Planes = tuple[Array, ...]

PIECE = 1 << 16
"""Pixels worked on at a time, so that intermediate results stay in the cache."""

# IEC 61966-2-1, linear sRGB -> CIE XYZ; the rows' sums are its white, D65
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _TO_XYZ.sum(axis=1)
_TO_SHARES = (_TO_XYZ / _WHITE[:, None]).tolist()
_FROM_SHARES = np.linalg.inv(_TO_XYZ / _WHITE[:, None]).tolist()
# CIE 15: the cube root is continued by a straight line below (6/29)³
_KNEE = 6 / 29


def to_linear(values: Array, full_range: float | None = None) -> Array:
    """Samples in linear light: the curve of sRGB undone.

    Args:
        values: Samples 0..full_range.
        full_range: The largest sample; 65535 for uint16, else 255, if left out.

    Shape:
        Any. uint8, uint16 and float32 give float32, float64 stays; 0..full_range.

    References:
        IEC 61966-2-1:1999, sRGB. Values below 0 and above full_range, which filters make, follow
        the curve turned about 0.

    Example:
        >>> to_linear(np.array([0, 128, 255], np.uint8)).round(3).tolist()
        [0.0, 55.04399871826172, 255.0]
    """
    full = _full(values, full_range)
    if array_module(values) is np and values.dtype in (np.uint8, np.uint16):
        table = _linear_table(values.dtype.str, full)
        out = np.empty(values.shape, dtype=np.float32)
        # indices become 8 bytes each, so only a piece of them at a time
        source, target = np.ascontiguousarray(values).reshape(-1), out.reshape(-1)
        for start in range(0, source.size, PIECE):
            piece = slice(start, start + PIECE)
            np.take(table, source[piece], out=target[piece], mode="clip")
        return out
    return _by_pieces(_decode, values, full)


def from_linear(values: Array, full_range: float | None = None) -> Array:
    """Samples from linear light: the inverse of :func:`to_linear`.

    Args:
        values: Linear light 0..full_range.
        full_range: The largest sample; 65535 for uint16, else 255, if left out.

    Shape:
        Any. float32 and integers give float32, float64 stays.

    References:
        IEC 61966-2-1:1999, sRGB.

    Example:
        >>> from_linear(np.array([0.0, 55.044, 255.0])).round(2).tolist()
        [0.0, 128.0, 255.0]
    """
    return _by_pieces(_encode, values, _full(values, full_range))


def _full(values: Array, full_range: float | None) -> float:
    if full_range is not None:
        return float(full_range)
    return 65535.0 if values.dtype == np.uint16 else 255.0


def _decode(xp: Any, values: Array, full: float) -> Array:
    kind = values.dtype.type
    share = xp.abs(values) * kind(1 / full)
    bent = ((share + kind(0.055)) * kind(1 / 1.055)) ** kind(2.4)
    light = xp.where(share <= kind(0.04045), share * kind(1 / 12.92), bent)
    return xp.copysign(light, values) * kind(full)


def _encode(xp: Any, values: Array, full: float) -> Array:
    kind = values.dtype.type
    light = xp.abs(values) * kind(1 / full)
    bent = light ** kind(1 / 2.4) * kind(1.055) - kind(0.055)
    share = xp.where(light <= kind(0.0031308), light * kind(12.92), bent)
    return xp.copysign(share, values) * kind(full)


@functools.cache
def _linear_table(kind: str, full: float) -> Array:
    codes = np.arange(np.iinfo(kind).max + 1, dtype=np.float64)
    table = _decode(np, codes, full).astype(np.float32)
    table.setflags(write=False)
    return table


def _by_pieces(curve: Callable[[Any, Array, float], Array], values: Array, full: float) -> Array:
    """A curve over all values, on a CPU as much at a time as fits the cache."""
    xp = array_module(values)
    kind = np.float64 if values.dtype == np.float64 else np.float32
    if xp is not np:
        return curve(xp, values.astype(kind), full)
    out = np.empty(values.shape, dtype=kind)
    source, target = np.ascontiguousarray(values).reshape(-1), out.reshape(-1)
    for start in range(0, source.size, PIECE):
        piece = slice(start, start + PIECE)
        target[piece] = curve(np, source[piece].astype(kind), full)
    return out


def rgb_to_hsv(planes: Planes, full: float) -> Planes:
    """Hue, saturation, value of the hexcone model; hue is 0 where there is none.

    References:
        Smith 1978, Color gamut transform pairs.
    """
    red, green, blue = planes
    xp, kind = array_module(red), red.dtype.type
    value = xp.maximum(xp.maximum(red, green), blue)
    span = value - xp.minimum(xp.minimum(red, green), blue)
    safe = xp.where(span > 0, span, kind(1))
    sixth = xp.where(
        value == red,
        xp.remainder((green - blue) / safe, kind(6)),
        xp.where(value == green, (blue - red) / safe + kind(2), (red - green) / safe + kind(4)),
    )
    saturation = span / xp.where(value > 0, value, kind(1))
    return sixth * kind(full / 6), saturation * kind(full), value


def hsv_to_rgb(planes: Planes, full: float) -> Planes:
    """Inverse of :func:`rgb_to_hsv`; hue turns round, so ``full`` is red as 0 is."""
    hue, saturation, value = planes
    xp, kind = array_module(hue), hue.dtype.type
    chroma = value * saturation * kind(1 / full)
    colours = []
    for turn in (5, 3, 1):
        place = xp.remainder(hue * kind(6 / full) + kind(turn), kind(6))
        share = xp.clip(xp.minimum(place, kind(4) - place), kind(0), kind(1))
        colours.append(value - chroma * share)
    return tuple(colours)


def rgb_to_ycbcr(planes: Planes, full: float) -> Planes:
    """Brightness and two colour differences over the full range, as JPEG files hold them.

    References:
        ITU-R BT.601-7 and ITU-T T.871 (JFIF), section 7.
    """
    red, green, blue = planes
    kind = red.dtype.type
    middle = kind(128 * full / 255)
    # in thousandths, so that ties of half a level are met exactly
    bright = (red * kind(299) + green * kind(587) + blue * kind(114)) / kind(1000)
    return (
        bright,
        (blue - bright) * kind(0.5 / 0.886) + middle,
        (red - bright) * kind(0.5 / 0.701) + middle,
    )


def ycbcr_to_rgb(planes: Planes, full: float) -> Planes:
    """Inverse of :func:`rgb_to_ycbcr`."""
    bright, blueness, redness = planes
    kind = bright.dtype.type
    middle = kind(128 * full / 255)
    blue = bright + (blueness - middle) * kind(1.772)
    red = bright + (redness - middle) * kind(1.402)
    green = (bright - red * kind(0.299) - blue * kind(0.114)) * kind(1 / 0.587)
    return red, green, blue


def rgb_to_lab(planes: Planes, full: float) -> Planes:
    """CIE L*a*b* under D65, from sRGB; all greys have a = b = 0.

    References:
        CIE 15:2004, section 8.2.1; IEC 61966-2-1:1999. White is the sum of that standard's matrix.
    """
    xp, kind = array_module(planes[0]), planes[0].dtype.type
    light = [_decode(xp, plane, full) * kind(1 / full) for plane in planes]
    x, y, z = (_bend(xp, share) for share in _mix(_TO_SHARES, light))
    scale = kind(full / 255)
    return (
        (y * kind(116) - kind(16)) * kind(full / 100),
        ((x - y) * kind(500) + kind(128)) * scale,
        ((y - z) * kind(200) + kind(128)) * scale,
    )


def lab_to_rgb(planes: Planes, full: float) -> Planes:
    """Inverse of :func:`rgb_to_lab`; colours that no screen shows lie outside 0..full."""
    lightness, redness, yellowness = planes
    xp, kind = array_module(lightness), lightness.dtype.type
    y = (lightness * kind(100 / full) + kind(16)) * kind(1 / 116)
    x = y + (redness * kind(255 / full) - kind(128)) * kind(1 / 500)
    z = y - (yellowness * kind(255 / full) - kind(128)) * kind(1 / 200)
    shares = [_unbend(xp, value) for value in (x, y, z)]
    return tuple(_encode(xp, light * kind(full), full) for light in _mix(_FROM_SHARES, shares))


def _mix(matrix: list[list[float]], planes: list[Array]) -> list[Array]:
    kind = planes[0].dtype.type
    one, two, three = planes
    return [one * kind(p) + two * kind(q) + three * kind(r) for p, q, r in matrix]


def _bend(xp: Any, share: Array) -> Array:
    kind = share.dtype.type
    line = share * kind(1 / (3 * _KNEE**2)) + kind(4 / 29)
    return xp.where(share > kind(_KNEE**3), xp.cbrt(share), line)


def _unbend(xp: Any, value: Array) -> Array:
    kind = value.dtype.type
    line = (value - kind(4 / 29)) * kind(3 * _KNEE**2)
    return xp.where(value > kind(_KNEE), value * value * value, line)
