"""PBM, PGM, PPM (together PNM) and PFM: a line of text, then samples. Read and written here.

These are the formats of pipes, so they are read at the speed of memory: binary samples are used
where they lie, and plain text goes through NumPy's parser block by block. Lengths are checked.

References:
    Netpbm manual, pages pbm(5), pgm(5), ppm(5), pfm(5).
    P. Debevec, Portable FloatMap image format (PFM): negative scale for little endian, bottom row
    first.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnntool.images.header import Header, damaged, truncated
from cnntool.images.picture import DEEP_COLOR, Picture

_LONGEST_HEADER = 1 << 16
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NUMBER = rb"(\d{1,9})"
_PNM_START = re.compile(rb"P([1-6])" + _GAP + _NUMBER + _GAP + _NUMBER)
_PNM_MAXVAL = re.compile(_GAP + _NUMBER)
_PFM_HEADER = re.compile(rb"P([Ff])\s+" + _NUMBER + rb"\s+" + _NUMBER + rb"\s+([-+.\deE]{1,30})\s")
_COMMENT = re.compile(rb"#[^\r\n]*")
_SPACE = re.compile(rb"\s")
_TOO_LONG = re.compile(rb"[1-9]\d{5}")
_PLAIN_CHARACTERS = b"0123456789 \t\n\r\v\f"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class PnmHeader(Header):
    """Header of a PNM.

    Attributes:
        kind: 1 to 6, the digit after P.
        maxval: The sample that means full brightness, 1..65535.
        start: Where the samples begin.
    """

    kind: int = 5
    maxval: int = 255
    start: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the pixels."""
        return (self.height, self.width, 3) if self.kind in (3, 6) else (self.height, self.width)


@dataclass(frozen=True)
class PfmHeader(Header):
    """Header of a PFM.

    Attributes:
        channels: 1 or 3.
        scale: Its sign gives the order of bytes.
        start: Where the samples begin.
    """

    channels: int = 1
    scale: float = -1.0
    start: int = 0


def inspect_pnm(data: bytes) -> PnmHeader:
    """Header of a PNM.

    Raises:
        InputError: It is cut or impossible.
    """
    head = data[:_LONGEST_HEADER]
    found = _PNM_START.match(head)
    if not found:
        raise damaged("pnm", "no width and height after P and a digit")
    kind, width, height = (int(number) for number in found.groups())
    end, maxval = found.end(), 1
    if kind not in (1, 4):
        level = _PNM_MAXVAL.match(head, end)
        if not level:
            raise damaged("pnm", "no largest sample after width and height")
        end, maxval = level.end(), int(level[1])
    if not (width and height and 1 <= maxval <= 65535):
        raise damaged("pnm", f"{width} x {height} pixels, largest sample {maxval}")
    after = data[end : end + 1]
    if not after.isspace() and not (kind < 4 and after == b"#"):
        raise truncated("pnm", "no samples")
    start = end + 1 if after.isspace() else end
    return PnmHeader("pnm", width, height, kind=kind, maxval=maxval, start=start)


def read_pnm(data: bytes, header: PnmHeader) -> Picture:
    """The (first) picture of a PNM: uint8, or uint16 for deep grey.

    Raises:
        InputError: Samples are missing, too large or no numbers.
    """
    rest = 0
    if header.kind == 1:
        samples = _plain_bits(data, header)
    elif header.kind < 4:
        samples = _plain_numbers(data, header)
    else:
        samples, rest = _binary(data, header)
    notes: tuple[str, ...] = ()
    if rest:
        notes = (f"{rest} bytes after the first picture were left out",)
    if header.maxval > 255 and header.kind in (3, 6):
        notes += (DEEP_COLOR,)
    full = 65535 if header.maxval > 255 and header.kind in (2, 5) else 255
    pixels = _rescaled(samples, header.maxval, full)
    return Picture(pixels.reshape(header.shape), format="pnm", notes=notes, mode=f"P{header.kind}")


def _binary(data: bytes, header: PnmHeader) -> tuple[NDArray[np.generic], int]:
    """Samples, and how many bytes other than white space follow them."""
    dtype = np.dtype(">u2" if header.maxval > 255 else "u1")
    h, w = header.height, header.width
    row = (w + 7) // 8 if header.kind == 4 else math.prod(header.shape[1:]) * dtype.itemsize
    missing = header.start + h * row - len(data)
    if missing > 0:
        raise truncated("pnm", f"{missing} of {h * row} bytes of samples are missing")
    end = header.start + h * row
    rest = len(data) - end if data[end:].strip() else 0
    samples = np.frombuffer(data, dtype, h * row // dtype.itemsize, header.start)
    if header.kind == 4:
        bits = np.unpackbits(samples.reshape(h, row), axis=1, count=w)
        bits ^= 1  # 1 is black
        return bits, rest
    return samples, rest


def _plain_bits(data: bytes, header: PnmHeader) -> NDArray[np.generic]:
    """Samples of P1, whose digits need no space between them."""
    text = _COMMENT.sub(b"", data[header.start :]).translate(None, b" \t\n\r\v\f")
    count = header.width * header.height
    if len(text) < count:
        raise truncated("pnm", f"{count - len(text)} of {count} samples are missing")
    digits = np.frombuffer(text, np.uint8, count)
    if digits.min() < ord("0") or digits.max() > ord("1"):
        raise damaged("pnm", "a bit that is neither 0 nor 1")
    return np.asarray(digits == ord("0")).view(np.uint8)  # 1 is black


def _plain_numbers(data: bytes, header: PnmHeader) -> NDArray[np.generic]:
    """Samples of P2 and P3."""
    text = data[header.start :]
    if b"#" in text:
        text = _COMMENT.sub(b" ", text)
    if text.translate(None, _PLAIN_CHARACTERS):
        raise damaged("pnm", "a sample that is no number")
    if _TOO_LONG.search(text):
        raise damaged("pnm", "a sample above 65535")
    if text[-1:].isdigit():  # "255" may have been cut to "25"
        raise truncated("pnm", "no line end after the last sample")
    count = math.prod(header.shape)
    samples = np.empty(count, np.int32)
    done = start = 0
    while done < count and start < len(text):
        gap = _SPACE.search(text, start + _BLOCK)
        end = gap.start() if gap else len(text)
        block = np.fromstring(text[start:end], np.int32, sep=" ")[: count - done]
        samples[done : done + len(block)] = block
        done += len(block)
        start = end
    if done < count:
        raise truncated("pnm", f"{count - done} of {count} samples are missing")
    return samples


def _rescaled(samples: NDArray[np.generic], maxval: int, full: int) -> NDArray[np.generic]:
    """Samples 0..maxval as 0..full, rounded, in blocks so that no wide copy arises."""
    flat = samples.reshape(-1)
    largest = int(flat.max())
    if largest > maxval:
        raise damaged("pnm", f"a sample of {largest} above the largest, {maxval}")
    dtype = np.uint8 if full == 255 else np.uint16
    if maxval == full:
        return flat.astype(dtype, copy=False)
    table = ((np.arange(maxval + 1) * full + maxval // 2) // maxval).astype(dtype)
    out = np.empty(flat.shape, dtype)
    for start in range(0, flat.size, _BLOCK):
        out[start : start + _BLOCK] = table[flat[start : start + _BLOCK]]
    return out


def inspect_pfm(data: bytes) -> PfmHeader:
    """Header of a PFM.

    Raises:
        InputError: It is cut or impossible.
    """
    found = _PFM_HEADER.match(data[:_LONGEST_HEADER])
    if not found:
        raise damaged("pfm", "no width, height and scale")
    width, height = int(found[2]), int(found[3])
    try:
        scale = float(found[4])
    except ValueError:
        scale = 0.0
    if not (width and height and scale and math.isfinite(scale)):
        shown = found[4].decode("ascii")
        raise damaged("pfm", f"{width} x {height} pixels, scale {shown}")
    channels = 3 if found[1] == b"F" else 1
    return PfmHeader("pfm", width, height, channels=channels, scale=scale, start=found.end())


def read_pfm(data: bytes, header: PfmHeader) -> Picture:
    """The picture of a PFM: float32 as stored, also infinite and NaN.

    Raises:
        InputError: Samples are missing.
    """
    count = header.width * header.height * header.channels
    missing = header.start + 4 * count - len(data)
    if missing > 0:
        raise truncated("pfm", f"{missing} of {4 * count} bytes of samples are missing")
    notes: tuple[str, ...] = ()
    if missing < 0:
        notes = (f"{-missing} bytes after the picture were left out",)
    if abs(header.scale) != 1.0:
        notes += (f"the scale {abs(header.scale):g} of the file is not applied",)
    stored = np.frombuffer(data, "<f4" if header.scale < 0 else ">f4", count, header.start)
    rows = stored.reshape(header.height, header.width, header.channels)[::-1]
    pixels = np.ascontiguousarray(rows, np.float32)
    if header.channels == 1:
        pixels = pixels[:, :, 0]  # (H, W, 1) -> (H, W)
    return Picture(pixels, format="pfm", notes=notes, mode="float32")


def write_pnm(pixels: NDArray[np.generic]) -> bytes:
    r"""A binary PGM of (H, W), or PPM of (H, W, 3), with uint8 or uint16 samples.

    Example:
        >>> write_pnm(np.array([[65, 66]], np.uint8))
        b'P5\n2 1\n255\nAB'
    """
    h, w = pixels.shape[:2]
    kind = 5 if pixels.ndim == 2 else 6
    maxval = 65535 if pixels.dtype == np.uint16 else 255
    samples = np.ascontiguousarray(pixels, ">u2" if maxval > 255 else np.uint8)
    return b"".join((f"P{kind}\n{w} {h}\n{maxval}\n".encode(), samples.data))


def write_pfm(pixels: NDArray[np.generic]) -> bytes:
    """A PFM of (H, W) or (H, W, 3) with any real samples, stored as little-endian float32."""
    h, w = pixels.shape[:2]
    kind = "f" if pixels.ndim == 2 else "F"
    samples = np.ascontiguousarray(pixels[::-1], "<f4")
    return b"".join((f"P{kind}\n{w} {h}\n-1.0\n".encode(), samples.data))
