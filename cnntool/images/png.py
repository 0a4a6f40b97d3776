"""PNG files checked before they are decoded.

Pillow leaves out the checksums of the picture data and gives a half-black picture for a data stream
that is too short, so :func:`inspect` steps over all chunks and checks each CRC, and
:func:`check_complete` counts the bytes of the stream.

References:
    W3C, Portable Network Graphics (PNG) Specification, third edition: chunks (5), passes (8.1).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from cnntool.images.header import Header, damaged, truncated

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# start and step of columns and rows in the seven passes of an interlaced picture
_PASSES = (
    (0, 8, 0, 8),
    (4, 8, 0, 8),
    (0, 4, 4, 8),
    (2, 4, 0, 4),
    (0, 2, 2, 4),
    (1, 2, 0, 2),
    (0, 1, 1, 2),
)
_TEXT = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")


@dataclass(frozen=True)
class PngHeader(Header):
    """A PNG's header.

    Attributes:
        depth: Bits per sample: 1, 2, 4, 8 or 16.
        color_type: 0 grey, 2 RGB, 3 palette, 4 grey and opacity, 6 RGB and opacity.
        interlaced: Whether it is stored in seven passes.
        transparent: The one value that is transparent in a grey or RGB picture, by channel.
        has_text: Whether there are text or profile chunks, which can be dropped.
    """

    depth: int = 8
    color_type: int = 0
    interlaced: bool = False
    transparent: tuple[int, ...] = ()
    has_text: bool = False


def inspect(data: bytes) -> PngHeader:
    """Header of a PNG, all of whose chunks are there and undamaged.

    Raises:
        InputError: A chunk is cut, missing, unknown but critical, or has a wrong checksum.
    """
    size = len(data)
    view = memoryview(data)
    position = len(SIGNATURE)
    fields: tuple[int, ...] | None = None
    frames, transparency, has_text, has_data = 1, b"", False, False
    kind = b""
    while kind != b"IEND":
        if position + 12 > size:
            raise truncated("png", f"it ends after chunk {_name(kind)}" if kind else "no chunk")
        length, kind = struct.unpack_from(">I4s", data, position)
        body, end = position + 8, position + 12 + length
        if end > size:
            raise truncated("png", f"chunk {_name(kind)} lacks {end - size} of {length + 12} bytes")
        crc = zlib.crc32(view[position + 4 : end - 4])
        if crc != struct.unpack_from(">I", data, end - 4)[0]:
            raise damaged("png", f"checksum of chunk {_name(kind)} at byte {position}")
        if (fields is None) != (kind == b"IHDR"):
            raise damaged("png", f"chunk {_name(kind)} where IHDR should be, or IHDR twice")
        if kind == b"IHDR":
            if length != 13:
                raise damaged("png", f"chunk IHDR has {length} bytes instead of 13")
            fields = struct.unpack_from(">IIBBBBB", data, body)
            _check_fields(fields)
        elif kind == b"IDAT":
            has_data = True
        elif kind == b"tRNS":
            transparency = data[body : body + length]
        elif kind == b"acTL" and length == 8:
            frames = max(1, int.from_bytes(data[body : body + 4], "big"))
        elif kind in _TEXT:
            has_text = True
        elif not kind[0] & 0x20 and kind not in (b"PLTE", b"IEND"):
            raise damaged("png", f"unknown critical chunk {_name(kind)}")
        position = end
    if fields is None or not has_data:
        raise damaged("png", "no chunk IDAT")
    width, height, depth, color_type, _, _, interlaced = fields
    return PngHeader(
        "png",
        width,
        height,
        frames,
        depth=depth,
        color_type=color_type,
        interlaced=bool(interlaced),
        transparent=_transparent(transparency, depth, color_type),
        has_text=has_text,
    )


def _check_fields(fields: tuple[int, ...]) -> None:
    width, height, depth, color_type, compression, filtering, interlaced = fields
    if not (0 < width < 1 << 31 and 0 < height < 1 << 31):
        raise damaged("png", f"{width} x {height} pixels")
    if depth not in _DEPTHS.get(color_type, ()):
        raise damaged("png", f"color type {color_type} with {depth} bits")
    if compression or filtering or interlaced > 1:
        raise damaged("png", "unknown compression, filter or interlace method")


def _transparent(body: bytes, depth: int, color_type: int) -> tuple[int, ...]:
    if color_type not in (0, 2) or not body:
        return ()
    channels = _CHANNELS[color_type]
    if len(body) < 2 * channels:
        raise damaged("png", "chunk tRNS is too short")
    # bits above the depth mean nothing
    return tuple(v & (1 << depth) - 1 for v in struct.unpack_from(f">{channels}H", body))


def _name(kind: bytes) -> str:
    return kind.decode("ascii") if kind.isalpha() else kind.hex()


def without_text(data: bytes) -> bytes:
    """A checked PNG without its text and colour profile chunks, which may unpack to gigabytes."""
    kept = [SIGNATURE]
    position, view = len(SIGNATURE), memoryview(data)
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if kind not in _TEXT:
            kept.append(bytes(view[position:end]))
        position = end
    return b"".join(kept)


def check_complete(data: bytes, header: PngHeader) -> None:
    """Count the bytes of a checked PNG's picture.

    Raises:
        InputError: The data stream ends before the last row, or is no zlib stream.
    """
    missing = _raw_size(header)
    stream = zlib.decompressobj()
    position, view = len(SIGNATURE), memoryview(data)
    kind = b""
    while kind != b"IEND" and missing > 0:
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IDAT":
            rest: bytes | memoryview = view[position + 8 : position + 8 + length]
            while rest and missing > 0 and not stream.eof:
                missing -= len(stream.decompress(rest, 1 << 18))
                rest = stream.unconsumed_tail
        position += 12 + length
    if missing > 0:
        raise truncated("png", f"{missing} of {_raw_size(header)} bytes of the picture are missing")


def _raw_size(header: PngHeader) -> int:
    """Bytes of the unpacked picture, with the filter byte that begins each row."""
    bits = _CHANNELS[header.color_type] * header.depth
    passes = _PASSES if header.interlaced else ((0, 1, 0, 1),)
    total = 0
    for left, x_step, top, y_step in passes:
        columns = -(-(header.width - left) // x_step)
        rows = -(-(header.height - top) // y_step)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total
