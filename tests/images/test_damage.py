"""Damaged files of every format: an error of ours or the same picture, never another one."""

import numpy as np
import picture_files as files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnntool.errors import InputError
from cnntool.images import decode, encode

RNG = np.random.default_rng(4)
COLOR = np.kron(RNG.integers(0, 256, (4, 6, 3)), np.ones((2, 2, 1))).astype(np.uint8)[:7, :11]
RGB = Image.fromarray(COLOR)
GREY = RGB.convert("L")
BITS = RGB.convert("1")
PALETTE = RGB.quantize(8)
DEEP = COLOR[:, :, 0].astype(np.uint16) * 251


def with_alpha(image):
    image = image.copy()
    image.putalpha(GREY)
    return image


def files_of_every_format():
    images = {
        "1": BITS, "L": GREY, "LA": with_alpha(GREY), "P": PALETTE, "RGB": RGB,
        "RGBA": with_alpha(RGB), "I;16": Image.frombytes("I;16", (11, 7), DEEP.tobytes()),
        "F": Image.fromarray(DEEP.astype(np.float32)), "CMYK": RGB.convert("CMYK"),
    }  # fmt: skip
    wanted = {
        "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
        "JPEG": ["L", "RGB", "CMYK"],
        "GIF": ["L", "P"],
        "BMP": ["1", "L", "P", "RGB"],
        "WEBP": ["RGB", "RGBA"],
        "PPM": ["1", "L", "RGB"],
    }
    for format, modes in wanted.items():
        for mode in modes:
            yield f"{format} {mode}", files.saved(images[mode], format)
    for packing in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        for mode in ("1", "P", "RGB", "I;16", "F"):
            yield f"TIFF {mode} {packing}", files.saved(images[mode], "TIFF", compression=packing)
    yield "TIFF jpeg", files.saved(RGB, "TIFF", compression="jpeg")
    yield "TIFF fax", files.saved(BITS, "TIFF", compression="group4")
    yield "TIFF pages", files.saved(RGB, "TIFF", save_all=True, append_images=[GREY])
    yield "JPEG progressive", files.saved(RGB, "JPEG", progressive=True)
    yield "WebP lossless", files.saved(RGB, "WEBP", lossless=True)
    yield "WebP frames", files.saved(RGB, "WEBP", save_all=True, append_images=[RGB.rotate(180)])
    yield "GIF frames", files.saved(PALETTE, "GIF", save_all=True, append_images=[BITS])
    yield "PNG frames", files.saved(RGB, "PNG", save_all=True, append_images=[RGB.rotate(180)])
    yield "PNG interlaced", interlaced_png()
    for format in ("png", "tiff", "pnm", "npy", "pfm"):
        yield f"our {format}", encode(COLOR, format)
    for format in ("png", "tiff", "pnm", "npy"):
        yield f"our 16-bit {format}", encode(DEEP, format)


def interlaced_png():
    raw = b""
    for left, x_step, top, y_step in files.PASSES:
        part = COLOR[top::y_step, left::x_step]
        raw += files.packed_rows(part, 8) if part.size else b""
    return files.png(11, 7, raw, interlace=1)


FILES = dict(files_of_every_format())


@pytest.mark.parametrize("name", FILES)
def test_file_cut_anywhere(name, capfd):
    data = FILES[name]
    whole = decode(data)
    for end in range(len(data)):
        try:
            picture = decode(data[:end])
        except InputError as error:
            message = str(error)
            assert 0 < len(message) <= 200
            assert message.isprintable()
        else:
            # nothing of the picture is lost: padding, or a further page
            assert picture.pixels.dtype == whole.pixels.dtype
            np.testing.assert_array_equal(picture.pixels, whole.pixels, err_msg=f"cut at {end}")
            assert name.startswith(("BMP", "TIFF pages")), end
    assert capfd.readouterr().err == ""


def test_every_flipped_bit_of_a_png_is_found():
    data = FILES["PNG RGB"]
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            with pytest.raises(InputError):
                decode(bytes(flipped))


@pytest.mark.parametrize("name", FILES)
def test_flipped_bytes_give_a_picture_or_our_error(name, capfd):
    data = FILES[name]
    rng = np.random.default_rng(len(data))
    for position in rng.integers(0, len(data), 60).tolist():
        changed = bytearray(data)
        changed[position] ^= int(rng.integers(1, 256))
        try:
            picture = decode(bytes(changed), limits="strict")
        except InputError as error:
            assert str(error).isprintable()
            assert len(str(error)) <= 200
        else:
            assert picture.pixels.ndim in (2, 3)
    assert capfd.readouterr().err == ""


@settings(deadline=None, max_examples=150)
@given(
    start=st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"II+\0",
         b"RIFF\x40\0\0\0WEBPVP8 ", b"RIFF\x40\0\0\0WEBPVP8X", b"P1 ", b"P3 ", b"P6 ", b"PF ",
         b"\x93NUMPY\1\0", b"\x93NUMPY\3\0"]
    ),
    rest=st.binary(max_size=120),
)  # fmt: skip
def test_any_bytes_give_a_picture_or_our_error(start, rest):
    try:
        picture = decode(start + rest, limits="strict")
    except InputError as error:
        assert str(error).isprintable()
        assert len(str(error)) <= 200
    else:
        assert picture.pixels.size


@settings(deadline=None, max_examples=150)
@given(
    name=st.sampled_from(sorted(FILES)),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from("dix"), st.binary(min_size=1, max_size=6)),
        min_size=1,
        max_size=4,
    ),
)
def test_edited_files_give_a_picture_or_our_error(name, edits):
    data = FILES[name]
    for place, kind, piece in edits:
        at = int(place * len(data))
        cut = at if kind == "i" else at + len(piece)
        data = data[:at] + (b"" if kind == "d" else piece) + data[cut:]
    try:
        decode(data, limits="strict")
    except InputError as error:
        assert str(error).isprintable()
        assert len(str(error)) <= 200
