import struct
import zlib

import numpy as np
import picture_files as files
import pytest
import shared_data

from cnntool.errors import InputError
from cnntool.images import decode, png

RNG = np.random.default_rng(5)
RAW = files.packed_rows(RNG.integers(0, 256, (7, 5, 3)), 8)
GOOD = files.png(5, 7, RAW)

KINDS = [
    (color, depth)
    for color in files.CHANNELS
    for depth in {0: (1, 2, 4, 8, 16), 3: (1, 2, 4, 8)}.get(color, (8, 16))
]


def interlaced(samples, depth):
    """Picture data of the seven passes, unfiltered."""
    h, w = samples.shape[:2]
    out = b""
    for left, x_step, top, y_step in files.PASSES:
        part = samples[top:h:y_step, left:w:x_step]
        if part.size:
            out += files.packed_rows(part, depth)
    return out


def test_header():
    header = png.inspect(GOOD)
    assert (header.format, header.width, header.height, header.frames) == ("png", 5, 7, 1)
    assert (header.depth, header.color_type, header.interlaced) == (8, 2, False)
    assert (header.transparent, header.has_text) == ((), False)
    png.check_complete(GOOD, header)


def test_header_of_an_animation_with_text():
    extra = files.chunk(b"acTL", struct.pack(">II", 4, 0)) + files.chunk(b"tEXt", b"a\0b")
    header = png.inspect(files.png(5, 7, RAW, extra=extra))
    assert header.frames == 4
    assert header.has_text


def test_bytes_after_the_end_do_no_harm():
    assert png.inspect(GOOD + b"PK\x03\x04 a zip file").width == 5


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (files.SIGNATURE, r"truncated PNG \(no chunk\)"),
        (GOOD[:30], r"truncated PNG \(chunk IHDR lacks 3 of 25 bytes\)"),
        (GOOD[:-12], r"truncated PNG \(it ends after chunk IDAT\)"),
        (GOOD[:-1], r"truncated PNG \(it ends after chunk IDAT\)"),
        (GOOD[:-13], r"truncated PNG \(chunk IDAT lacks 1 of \d+ bytes\)"),
        (GOOD.replace(b"IDAT", b"IDAt"), r"damaged PNG \(checksum of chunk IDAt at byte 33\)"),
        (GOOD.replace(b"IHDR", b"I\nDR"), r"damaged PNG \(checksum of chunk 490a4452 at byte 8\)"),
        (files.SIGNATURE + files.IEND, r"damaged PNG \(chunk IEND where IHDR should be"),
        (
            files.SIGNATURE + files.ihdr(5, 7) * 2 + files.IEND,
            "IHDR where IHDR should be, or IHDR twice",
        ),
        (files.SIGNATURE + files.ihdr(5, 7) + files.IEND, r"damaged PNG \(no chunk IDAT\)"),
        (files.SIGNATURE + files.chunk(b"IHDR", b"x"), "IHDR has 1 bytes instead of 13"),
        (files.png(5, 0, RAW), r"damaged PNG \(5 x 0 pixels\)"),
        (files.png(1 << 31, 7, RAW), "damaged PNG .2147483648 x 7"),
        (files.png(5, 7, RAW, depth=3), "color type 2 with 3 bits"),
        (files.png(5, 7, RAW, color=5), "color type 5 with 8 bits"),
        (files.png(5, 7, RAW, interlace=2), "unknown compression, filter or interlace method"),
        (files.png(5, 7, RAW, extra=files.chunk(b"CgBI", b"x")), "unknown critical chunk CgBI"),
        (files.png(5, 7, RAW, extra=files.chunk(b"tRNS", b"abcde")), "chunk tRNS is too short"),
    ],
)
def test_damage(data, match):
    with pytest.raises(InputError, match=match):
        png.inspect(data)


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"IEND", b"gAMA"])
def test_every_checksum_is_checked(kind):
    data = files.png(5, 7, RAW, extra=files.chunk(b"gAMA", b"\0\0\xb1\x8f"))
    start = data.index(kind)
    (length,) = struct.unpack_from(">I", data, start - 4)
    for position in (start, start + 4 + length, start + 7 + length):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(InputError, match="PNG"):
            png.inspect(bytes(damaged))


@pytest.mark.parametrize(("color", "depth"), KINDS)
@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (9, 13)])
def test_size_of_the_picture_data(color, depth, interlace, size):
    h, w = size
    samples = RNG.integers(0, 1 << depth, (h, w, files.CHANNELS[color]))
    raw = interlaced(samples, depth) if interlace else files.packed_rows(samples, depth)
    palette = files.chunk(b"PLTE", bytes(range(256)) * 3)
    data = files.png(w, h, raw, depth, color, interlace, extra=palette if color == 3 else b"")
    header = png.inspect(data)
    assert png._raw_size(header) == len(raw)
    png.check_complete(data, header)
    short = files.png(w, h, raw[:-1], depth, color, interlace, extra=palette)
    with pytest.raises(InputError, match=rf"truncated PNG \(1 of {len(raw)} bytes of the picture"):
        png.check_complete(short, png.inspect(short))


def test_picture_data_over_many_chunks_and_unpacked_in_parts():
    samples = np.zeros((900, 500, 3), int)
    packed = zlib.compress(files.packed_rows(samples[:1], 8) * 900)
    parts = [packed[i : i + 100] for i in range(0, len(packed), 100)]
    body = b"".join(files.chunk(b"IDAT", part) for part in parts)
    data = files.SIGNATURE + files.ihdr(500, 900) + body + files.IEND
    png.check_complete(data, png.inspect(data))
    lost = files.SIGNATURE + files.ihdr(500, 901) + body + files.IEND
    with pytest.raises(InputError, match=r"truncated PNG \(1501 of 1352401 bytes"):
        png.check_complete(lost, png.inspect(lost))


def test_rows_that_are_missing_are_not_read_as_black():
    # the stream ends as it should, only too early
    with pytest.raises(InputError, match=r"truncated PNG \(16 of 112 bytes of the picture"):
        decode(files.png(5, 7, RAW[:-16]))
    black = files.packed_rows(np.zeros((7, 5, 3), int), 8)
    assert not decode(files.png(5, 7, black)).pixels.any()


def test_text_can_be_left_out():
    extra = files.chunk(b"gAMA", b"\0\0\xb1\x8f")
    noise = (
        files.chunk(b"tEXt", b"x" * 99) + files.chunk(b"iCCP", b"y") + files.chunk(b"zTXt", b"z")
    )
    data = files.png(5, 7, RAW, extra=noise + extra, after=files.chunk(b"iTXt", b"t"))
    assert png.without_text(data) == files.png(5, 7, RAW, extra=extra)


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(("color", "depth"), KINDS)
@pytest.mark.parametrize("clear", [False, True])
def test_reading_equals_the_slow_decoder(color, depth, interlace, clear):
    h, w = 11, 9
    samples = RNG.integers(0, 1 << depth, (h, w, files.CHANNELS[color]))
    samples[5:8] = samples[2, 3]  # the value that is made transparent occurs
    raw = interlaced(samples, depth) if interlace else files.packed_rows(samples, depth)
    extra = b""
    if color == 3:
        extra += files.chunk(b"PLTE", RNG.bytes(3 * (1 << depth)))
        if clear:
            extra += files.chunk(b"tRNS", RNG.bytes((1 << depth) - 1))
    elif clear and color in (0, 2):
        extra += files.chunk(b"tRNS", b"".join(int(v).to_bytes(2, "big") for v in samples[2, 3]))
    data = files.png(w, h, raw, depth, color, interlace, extra=extra)
    check_against_slow_decoder(data)


def check_against_slow_decoder(data, name=""):
    expected, depth = files.slow_png(data)
    picture = decode(data)
    color = data[25]
    if depth == 16 and color == 0:
        assert picture.pixels.dtype == np.uint16
        assert picture.notes == ()
    else:
        deep = depth == 16
        assert picture.pixels.dtype == np.uint8
        assert picture.notes == (("16-bit colour read as 8 bits a channel",) if deep else ())
        shown = files.as_8_bits(expected, depth)
        if deep and color == 2 and expected.shape[2] == 4:
            # the transparent value is known by its upper bytes only
            key = shown[expected[:, :, 3] == 0]
            if len(key):
                same = (shown[:, :, :3] == key[0, :3]).all(axis=2)
                shown[:, :, 3] = np.where(same, 0, 255)
        expected = shown
    np.testing.assert_array_equal(picture.pixels, files.squeezed(expected), err_msg=name)
    assert picture.alpha == (expected.shape[2] in (2, 4))


@pytest.mark.parametrize("kind", range(5))
def test_filters_equal_the_slow_decoder(kind):
    """The slow decoder's own filters, checked against Pillow's through one filter a picture."""
    raw = bytearray(RNG.bytes(7 * 16))
    raw[::16] = bytes([kind] * 7)
    check_against_slow_decoder(files.png(5, 7, bytes(raw)))


def suite():
    folder = shared_data.FOLDER / "data/malformed/pngsuite"
    return sorted(path.name for path in folder.glob("*.png")) or ["PngSuite.png"]


@pytest.mark.shared
@pytest.mark.parametrize("name", suite())
def test_png_suite(name):
    data = shared_data.shared(f"data/malformed/pngsuite/{name}").read_bytes()
    if name.startswith("x"):  # the suite's damaged files
        with pytest.raises(InputError, match="PNG"):
            decode(data)
    elif name == "PngSuite.png":  # large: only that it is read
        assert decode(data).pixels.shape == (256, 256, 3)
    else:
        check_against_slow_decoder(data, name)
