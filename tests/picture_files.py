"""Picture files made byte by byte, and a slow PNG decoder: oracles that share no code with cnntool.

Everything here follows the text of the standards in the plainest way, one sample at a time.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PASSES = [
    # first column, column step, first row, row step
    (0, 8, 0, 8),
    (4, 8, 0, 8),
    (0, 4, 4, 8),
    (2, 4, 0, 4),
    (0, 2, 2, 4),
    (1, 2, 0, 2),
    (0, 1, 1, 2),
]


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    position = 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        found.append(
            (data[position + 4 : position + 8], data[position + 8 : position + 8 + length])
        )
        position += 12 + length
    return found


def ihdr(width, height, depth=8, color=2, interlace=0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))


def png(width, height, raw, depth=8, color=2, interlace=0, extra=b"", after=b"") -> bytes:
    """A PNG of unpacked picture data, filter bytes included."""
    body = chunk(b"IDAT", zlib.compress(raw))
    return SIGNATURE + ihdr(width, height, depth, color, interlace) + extra + body + after + IEND


IEND = chunk(b"IEND")


def packed_rows(samples: np.ndarray, depth: int) -> bytes:
    """Unfiltered rows of (H, W, C) samples, ``depth`` bits each, with their filter bytes."""
    out = b""
    for row in samples.reshape(samples.shape[0], -1):
        bits = "".join(f"{int(value):0{depth}b}" for value in row)
        bits += "0" * (-len(bits) % 8)
        out += b"\0" + bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return out


def slow_png(data: bytes) -> tuple[np.ndarray, int]:
    """Samples (H, W, C) as stored, palette and tRNS applied, and their depth in bits."""
    parts = chunks(data)
    header = next(body for kind, body in parts if kind == b"IHDR")
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    raw = zlib.decompress(b"".join(body for kind, body in parts if kind == b"IDAT"))
    channels = CHANNELS[color]
    samples = np.zeros((height, width, channels), np.int64)
    position = 0
    for left, x_step, top, y_step in PASSES if interlaced else [(0, 1, 0, 1)]:
        columns = range(left, width, x_step)
        rows = range(top, height, y_step)
        if not columns or not rows:
            continue
        stride = (len(columns) * channels * depth + 7) // 8
        distance = max(1, channels * depth // 8)
        above = bytearray(stride)
        for y in rows:
            kind = raw[position]
            line = bytearray(raw[position + 1 : position + 1 + stride])
            position += 1 + stride
            for i in range(stride):
                a = line[i - distance] if i >= distance else 0
                b = above[i]
                c = above[i - distance] if i >= distance else 0
                p = a + b - c
                nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
                line[i] = (line[i] + (0, a, b, (a + b) // 2, nearest)[kind]) & 255
            bits = "".join(f"{byte:08b}" for byte in line)
            for number, x in enumerate(columns):
                for channel in range(channels):
                    start = (number * channels + channel) * depth
                    samples[y, x, channel] = int(bits[start : start + depth], 2)
            above = line
    return _with_colors(samples, dict(parts), depth, color)


def _with_colors(samples, parts, depth, color):
    clear = parts.get(b"tRNS", b"")
    if color == 3:
        palette = np.zeros((256, 3), np.int64)
        given = np.frombuffer(parts[b"PLTE"], np.uint8).reshape(-1, 3)
        palette[: len(given)] = given
        out = palette[samples[:, :, 0]]
        if b"tRNS" in parts:
            opacity = np.full(256, 255)
            opacity[: len(clear)] = np.frombuffer(clear, np.uint8)
            out = np.dstack([out, opacity[samples[:, :, 0]]])
        return out, 8
    if color in (0, 2) and clear:
        key = [value % (1 << depth) for value in struct.unpack(f">{len(clear) // 2}H", clear)]
        opaque = (samples != key).any(axis=2)
        samples = np.dstack([samples, opaque * ((1 << depth) - 1)])
    return samples, depth


def as_8_bits(samples: np.ndarray, depth: int) -> np.ndarray:
    """Samples of 1 to 16 bits in the range 0..255; of 16 bits the upper byte."""
    return samples >> 8 if depth == 16 else samples * 255 // ((1 << depth) - 1)


def squeezed(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 1) as (H, W)."""
    return pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def exif(orientation: int, order: str = ">", kind: int = 3, count: int = 1) -> bytes:
    """An EXIF block with a name before and a number after the orientation."""
    value = struct.pack(
        order + ("HH" if kind == 3 else "I"), *([orientation, 0][: 2 if kind == 3 else 1])
    )
    entries = [
        struct.pack(order + "HHI", 0x010F, 2, 3) + b"me\0\0",
        struct.pack(order + "HHI", 0x0112, kind, count) + value,
        struct.pack(order + "HHI", 0x0128, 3, 1) + struct.pack(order + "HH", 2, 0),
    ]
    start = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    return b"Exif\0\0" + start + directory


def saved(image: Image.Image, format: str, **options) -> bytes:
    """The file that Pillow makes of an image."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def webp_bomb(width: int = 16383, height: int = 5000) -> bytes:
    """34 bytes that ask for a picture of any size: an extended header and an empty lossless one."""
    bits = (width - 1) | (height - 1) << 14
    body = b"VP8L" + struct.pack("<I", 14) + b"\x2f" + struct.pack("<I", bits) + bytes(9)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def gif(frames: list[np.ndarray], palette: np.ndarray) -> bytes:
    """A GIF of 8-bit index arrays, not compressed: clear codes keep the code at 9 bits."""
    h, w = frames[0].shape
    out = b"GIF89a" + struct.pack("<HHBBB", w, h, 0xF7, 0, 0) + palette.astype(np.uint8).tobytes()
    for frame in frames:
        codes = []
        for number, value in enumerate(frame.ravel()):
            if number % 200 == 0:
                codes.append(256)
            codes.append(int(value))
        codes.append(257)
        bits = "".join(f"{code:09b}"[::-1] for code in codes)
        bits += "0" * (-len(bits) % 8)
        packed = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
        out += b"," + struct.pack("<HHHHB", 0, 0, frame.shape[1], frame.shape[0], 0) + b"\x08"
        for i in range(0, len(packed), 255):
            out += bytes([len(packed[i : i + 255])]) + packed[i : i + 255]
        out += b"\0"
    return out + b";"
