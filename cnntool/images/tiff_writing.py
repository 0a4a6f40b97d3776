"""TIFF files: uncompressed, 8 or 16 bits or float, with or without colour and opacity.

Uncompressed strips are the form that every reader takes. Written here because Pillow has no 16-bit
colour, and because the samples are copied once, into the file.

Reference:
    Adobe, TIFF revision 6.0: image file directory (section 2), baseline fields (sections 4 and 6),
    ExtraSamples and SampleFormat (sections 18 and 19).
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import ShapeError

_STRIP = 1 << 20
_SHORT, _LONG, _RATIONAL, _UNDEFINED = 3, 4, 5, 7
_LETTERS = {_SHORT: "H", _LONG: "I", _RATIONAL: "I", _UNDEFINED: "B"}
_BYTES = {_SHORT: 2, _LONG: 4, _RATIONAL: 8, _UNDEFINED: 1}


def encode(pixels: NDArray[np.generic], icc: bytes = b"") -> bytes:
    """A TIFF file of ``pixels``.

    Args:
        pixels: (H, W) or (H, W, C) with C = 1..4, uint8, uint16 or float32. Two channels are grey
            and opacity, four are RGB and opacity.
        icc: A colour profile to store, or nothing.

    Raises:
        ShapeError: The file would be 4 GiB or more.
    """
    h, w = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    samples = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    if samples.nbytes + len(icc) >= 2**32 - 2**20:
        raise ShapeError(f"{w} x {h} pixels do not fit TIFF's 4 GiB; write .npy or png")
    row = samples.nbytes // h
    rows = max(1, min(h, _STRIP // row))
    counts = [row * min(rows, h - top) for top in range(0, h, rows)]
    fields: dict[int, tuple[int, list[int]]] = {
        256: (_LONG, [w]),
        257: (_LONG, [h]),
        258: (_SHORT, [8 * samples.itemsize] * channels),
        259: (_SHORT, [1]),  # no compression
        262: (_SHORT, [2 if channels > 2 else 1]),  # RGB, or grey with 0 for black
        273: (_LONG, [0] * len(counts)),  # where strips begin: known when the rest is
        277: (_SHORT, [channels]),
        278: (_LONG, [rows]),
        279: (_LONG, counts),
        282: (_RATIONAL, [1, 1]),
        283: (_RATIONAL, [1, 1]),
        296: (_SHORT, [1]),  # pixels have no size in the world, only a shape
        339: (_SHORT, [3 if samples.dtype.kind == "f" else 1] * channels),
    }
    if channels in (2, 4):
        fields[338] = (_SHORT, [2])  # opacity, colours not multiplied by it
    if icc:
        fields[34675] = (_UNDEFINED, list(icc))
    begin = len(_directory(fields))
    fields[273] = (_LONG, [begin + rows * row * i for i in range(len(counts))])
    return b"".join((_directory(fields), samples.data))


def _directory(fields: dict[int, tuple[int, list[int]]]) -> bytes:
    """All of the file but the samples: signature, directory, and values too long for it."""
    start_of_values = 8 + 2 + 12 * len(fields) + 4
    entries, values = [], b""
    for tag, (kind, numbers) in sorted(fields.items()):
        packed = struct.pack(f"<{len(numbers)}{_LETTERS[kind]}", *numbers)
        count = len(packed) // _BYTES[kind]
        if len(packed) > 4:
            offset = start_of_values + len(values)
            values += packed + b"\0" * (len(packed) % 2)  # values begin at even places
            packed = struct.pack("<I", offset)
        entries.append(struct.pack("<HHI", tag, kind, count) + packed.ljust(4, b"\0"))
    return b"".join(
        (b"II*\0\x08\0\0\0", struct.pack("<H", len(fields)), *entries, b"\0\0\0\0", values)
    )
