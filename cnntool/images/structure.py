"""The outline of JPEG, GIF, BMP, TIFF and WebP files: sizes, frames, and whether all is there.

Pillow decodes these formats, but it must not be the first to look: some of its decoders allocate
when they open a file, and some give a picture for a file that has lost its end. Each function here
steps over the parts of one format and reads no more than their sizes. References: the JPEG standard
(ITU-T T.81, annex B), GIF89a, TIFF 6.0 and BigTIFF, the WebP container specification (RFC 9649).
"""

from __future__ import annotations

from cnntool.images.header import Cursor, Header, damaged, truncated

_MAX_PAGES = 1_000_000


def inspect_jpeg(data: bytes) -> Header:
    """Size from the frame header of a JPEG.

    Raises:
        InputError: There is none before the first scan or before the file ends.
    """
    at = Cursor(data, "jpeg", 2, little_endian=False)
    while True:
        if at.number(1) != 0xFF:
            raise damaged("jpeg", f"no marker at byte {at.position - 1}")
        marker = 0xFF
        while marker == 0xFF:  # fill bytes
            marker = at.number(1)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # no segment follows these
            continue
        if marker in (0xD9, 0xDA):
            raise damaged("jpeg", "no size before the picture")
        length = at.number(2)
        if length < 2:
            raise damaged("jpeg", f"a segment of {length} bytes")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            at.skip(1)
            height, width = at.number(2), at.number(2)
            return _sized(Header("jpeg", width, height))
        at.skip(length - 2)


def inspect_gif(data: bytes) -> Header:
    """Canvas and number of frames of a GIF whose blocks are all there up to the trailer.

    Raises:
        InputError: A block is cut or unknown, the trailer is missing, or there is no frame.
    """
    at = Cursor(data, "gif", 6)
    width, height, flags = at.number(2), at.number(2), at.number(1)
    at.skip(2)
    _skip_color_table(at, flags)
    frames = 0
    while True:
        if at.position >= len(data):
            raise truncated("gif", "no trailer")
        block = at.number(1)
        if block == 0x3B:
            break
        if block == 0x21:
            at.skip(1)
            _skip_sub_blocks(at)
        elif block == 0x2C:
            left, top, columns, rows = (at.number(2) for _ in range(4))
            if frames == 0:  # a first frame larger than the canvas enlarges it
                width, height = max(width, left + columns), max(height, top + rows)
            frames += 1
            _skip_color_table(at, at.number(1))
            at.skip(1)
            _skip_sub_blocks(at)
        elif block != 0:  # some writers leave a zero between blocks
            raise damaged("gif", f"unknown block {block:#04x} at byte {at.position - 1}")
    if frames == 0:
        raise damaged("gif", "no picture in it")
    return _sized(Header("gif", width, height, frames))


def inspect_bmp(data: bytes) -> Header:
    """Size of a BMP."""
    at = Cursor(data, "bmp", 14)
    header = at.number(4)
    if header == 12:
        width, height = at.number(2), at.number(2)
    else:
        width, height = _signed(at.number(4)), _signed(at.number(4))
    return _sized(Header("bmp", width, abs(height)))  # a negative height means top row first


def inspect_tiff(data: bytes) -> Header:
    """Size of the first page of a TIFF and the number of pages, each of whose directories is there.

    Raises:
        InputError: A directory is cut, or the chain of directories runs in a circle.
    """
    little = data.startswith(b"II")
    at = Cursor(data, "tiff", 2, little_endian=little)
    big = at.number(2) == 43
    word = 8 if big else 4
    if big:
        at.skip(4)
    tags: dict[int, int] = {}
    seen: set[int] = set()
    where = at.number(word)
    while where:
        if where in seen or len(seen) >= _MAX_PAGES:
            raise damaged("tiff", "its pages run in a circle")
        at.position = where
        count = at.number(8 if big else 2)
        if not seen:
            tags = _short_tags(at, count, word)
        seen.add(where)
        at.position = where + (8 if big else 2)
        at.skip(count * (20 if big else 12))
        where = at.number(word)
    if not seen:
        raise damaged("tiff", "no page in it")
    width, height = tags.get(256, 0), tags.get(257, 0)
    area = tags.get(322, 0) * tags.get(323, 0)
    return _sized(Header("tiff", width, height, len(seen), area))


def _short_tags(at: Cursor, count: int, word: int) -> dict[int, int]:
    """Numbers of the first directory that stand in the entry itself: tag -> value."""
    tags: dict[int, int] = {}
    for _ in range(count):
        tag, kind = at.number(2), at.number(2)
        values = at.number(word)
        size = {1: 1, 3: 2, 4: 4, 16: 8}.get(kind, 0)
        start = at.position
        if values == 1 and 0 < size <= word:
            tags[tag] = at.number(size)
        at.position = start
        at.skip(word)
    return tags


def inspect_webp(data: bytes) -> Header:
    """Canvas and number of frames of a WebP whose chunks are all there.

    Raises:
        InputError: A chunk is cut, or none holds a picture.
    """
    at = Cursor(data, "webp", 4)
    size = at.number(4)
    at.skip(size)
    end, at.position = at.position, 12
    width = height = frames = stills = 0
    while at.position + 8 <= end:
        kind, length = at.take(4), at.number(4)
        start = at.position
        if kind == b"VP8X":
            at.skip(4)
            width, height = at.number(3) + 1, at.number(3) + 1
        elif kind == b"ANMF":
            frames += 1
        elif kind in (b"VP8 ", b"VP8L"):
            stills += 1
            if not width:
                width, height = _still_size(at, kind)
        at.position = start
        at.skip(length)
        at.position += length % 2
    if not frames and not stills:
        raise damaged("webp", "no picture in it")
    return _sized(Header("webp", width, height, max(frames, 1)))


def _still_size(at: Cursor, kind: bytes) -> tuple[int, int]:
    if kind == b"VP8L":
        at.skip(1)
        bits = at.number(4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    at.skip(6)
    return at.number(2) & 0x3FFF, at.number(2) & 0x3FFF


def _skip_color_table(at: Cursor, flags: int) -> None:
    if flags & 0x80:
        at.skip(3 << (flags & 7) + 1)


def _skip_sub_blocks(at: Cursor) -> None:
    # a large GIF has tens of thousands: so without the cursor's calls
    data, position = at.data, at.position
    length = 1
    while length:
        if position >= len(data):
            raise truncated("gif", "a block of picture data is cut")
        length = data[position]
        position += 1 + length
    at.position = position


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def _sized(header: Header) -> Header:
    if header.width <= 0 or header.height <= 0:
        raise damaged(header.format, f"{header.width} x {header.height} pixels")
    return header
