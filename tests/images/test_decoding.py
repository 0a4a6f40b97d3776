import ctypes
import io
import struct
import subprocess
import sys
import warnings

import numpy as np
import picture_files as files
import pytest
from PIL import Image, ImageCms

from cnntool.errors import InputError
from cnntool.images import decode, decoding

RNG = np.random.default_rng(6)
COLOR = RNG.integers(0, 256, (11, 17, 3)).astype(np.uint8)
GREY = RNG.integers(0, 256, (11, 17)).astype(np.uint8)
DEEP = RNG.integers(0, 65536, (11, 17)).astype(np.uint16)
CLEAR = RNG.integers(0, 256, (11, 17)).astype(np.uint8)
RGB = Image.fromarray(COLOR)
BITS = GREY > 128


def tiff(image, **options):
    return files.saved(image, "TIFF", **options)


def deep_image(array=DEEP):
    h, w = array.shape
    return Image.frombytes("I;16", (w, h), array.astype("<u2").tobytes())


def palette_image(colors=30):
    """Indices, a palette, and a picture of mode P of both."""
    indices = RNG.integers(0, colors, (11, 17)).astype(np.uint8)
    palette = RNG.integers(0, 256, (colors, 3)).astype(np.uint8)
    image = Image.fromarray(indices)
    image = Image.frombytes("P", image.size, indices.tobytes())
    image.putpalette(palette.tobytes())
    return indices, palette, image


class TestModes:
    @pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF"])
    def test_grey(self, format):
        picture = decode(files.saved(Image.fromarray(GREY), format))
        expected = GREY if format != "GIF" else np.dstack([GREY] * 3)
        if picture.mode == "L":
            expected = GREY
        np.testing.assert_array_equal(picture.pixels, expected)
        assert not picture.alpha

    @pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
    def test_rgb(self, format):
        picture = decode(files.saved(RGB, format))
        np.testing.assert_array_equal(picture.pixels, COLOR)
        assert (picture.alpha, picture.mode, picture.format) == (False, "RGB", format.lower())
        assert picture.pixels.flags.c_contiguous

    @pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
    def test_rgba(self, format):
        pixels = np.dstack([COLOR, CLEAR])
        options = {"lossless": True, "exact": True} if format == "WEBP" else {}
        picture = decode(files.saved(Image.fromarray(pixels), format, **options))
        np.testing.assert_array_equal(picture.pixels, pixels)
        assert picture.alpha

    @pytest.mark.parametrize("format", ["PNG", "TIFF"])
    def test_la(self, format):
        pixels = np.dstack([GREY, CLEAR])
        picture = decode(files.saved(Image.fromarray(pixels), format))
        np.testing.assert_array_equal(picture.pixels, pixels)
        assert picture.alpha

    @pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF"])
    def test_one_bit(self, format):
        picture = decode(files.saved(Image.fromarray(BITS), format))
        expected = (BITS * 255).astype(np.uint8)
        if picture.pixels.ndim == 3:  # a GIF's palette
            expected = np.dstack([expected] * 3)
        np.testing.assert_array_equal(picture.pixels, expected)
        assert picture.mode in ("1", "P", "L")

    @pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF"])
    @pytest.mark.parametrize("colors", [2, 5, 200])
    def test_palette_becomes_rgb(self, format, colors):
        indices, palette, image = palette_image(colors)
        picture = decode(files.saved(image, format))
        np.testing.assert_array_equal(picture.pixels, palette[indices])
        assert not picture.alpha

    def test_grey_palette_is_still_rgb(self):
        indices = RNG.integers(0, 9, (11, 17)).astype(np.uint8)
        image = Image.frombytes("P", (17, 11), indices.tobytes())
        image.putpalette(bytes(level for n in range(9) for level in [n * 20] * 3))
        picture = decode(files.saved(image, "PNG"))
        np.testing.assert_array_equal(picture.pixels, np.dstack([indices * 20] * 3))

    @pytest.mark.parametrize("format", ["PNG", "GIF"])
    def test_one_transparent_color_of_a_palette(self, format):
        indices, palette, image = palette_image()
        picture = decode(files.saved(image, format, transparency=7))
        expected = np.dstack([palette[indices], np.where(indices == 7, 0, 255)])
        seen = expected[:, :, 3] > 0
        np.testing.assert_array_equal(picture.pixels[:, :, 3], expected[:, :, 3])
        np.testing.assert_array_equal(picture.pixels[seen], expected[seen])
        assert picture.alpha

    def test_opacity_for_each_color_of_a_palette(self):
        indices, palette, image = palette_image()
        opacity = RNG.integers(0, 256, 30).astype(np.uint8)
        picture = decode(files.saved(image, "PNG", transparency=opacity.tobytes()))
        expected = np.dstack([palette[indices], opacity[indices]])
        np.testing.assert_array_equal(picture.pixels, expected)

    def test_16_bit_grey(self):
        for data in (files.saved(deep_image(), "PNG"), tiff(deep_image())):
            picture = decode(data)
            assert picture.pixels.dtype == np.uint16
            np.testing.assert_array_equal(picture.pixels, DEEP)
            assert picture.full_range == 65535

    def test_16_bit_grey_of_the_other_byte_order(self):
        image = Image.frombytes("I;16B", (17, 11), DEEP.astype(">u2").tobytes())
        np.testing.assert_array_equal(decode(tiff(image)).pixels, DEEP)

    def test_16_bit_grey_with_a_transparent_value(self):
        raw = files.packed_rows(DEEP[:, :, None], 16)
        key = files.chunk(b"tRNS", struct.pack(">H", DEEP[3, 4]))
        picture = decode(files.png(17, 11, raw, 16, 0, extra=key))
        assert picture.alpha
        assert picture.pixels.dtype == np.uint16
        np.testing.assert_array_equal(picture.pixels[:, :, 0], DEEP)
        expected = np.where(DEEP == DEEP[3, 4], 0, 65535)
        np.testing.assert_array_equal(picture.pixels[:, :, 1], expected)

    def test_floats(self):
        values = RNG.normal(0, 1e5, (11, 17)).astype(np.float32)
        picture = decode(tiff(Image.fromarray(values)))
        assert picture.pixels.dtype == np.float32
        np.testing.assert_array_equal(picture.pixels, values)

    def test_integers_that_fit_16_bits(self):
        picture = decode(tiff(Image.fromarray(DEEP.astype(np.int32))))
        assert picture.pixels.dtype == np.uint16
        np.testing.assert_array_equal(picture.pixels, DEEP)
        assert picture.notes == ()

    @pytest.mark.parametrize("odd", [-1, 65536, 2**31 - 1])
    def test_integers_that_do_not_fit_16_bits(self, odd):
        values = DEEP.astype(np.int32)
        values[2, 3] = odd
        picture = decode(tiff(Image.fromarray(values)))
        assert picture.pixels.dtype == np.float32
        np.testing.assert_array_equal(picture.pixels, values.astype(np.float32))
        assert picture.notes == ("32-bit integers read as floats",)

    def test_cmyk(self):
        image = RGB.convert("CMYK")
        picture = decode(tiff(image))
        np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
        assert picture.notes == ("CMYK converted to RGB without its colour profile",)

    def test_ycbcr(self):
        image = RGB.convert("YCbCr")
        picture = decode(tiff(image))
        np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))

    def test_lab(self):
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        grey = np.repeat(np.arange(0, 256, 5, dtype=np.uint8)[None], 3, axis=0)
        shown = Image.fromarray(np.dstack([grey] * 3))
        image = ImageCms.profileToProfile(shown, srgb, lab, outputMode="LAB")
        picture = decode(tiff(image))
        np.testing.assert_allclose(picture.pixels, np.asarray(shown), atol=2)  # 8-bit Lab is coarse

    def test_mode_that_is_not_supported(self, monkeypatch):
        monkeypatch.delitem(decoding._TAKEN_AS, "RGB")
        with pytest.raises(
            InputError, match="pixels of kind RGB are not supported; convert to RGB"
        ):
            decode(files.saved(RGB, "PNG"))

    def test_many_strips_join_without_a_seam(self, monkeypatch):
        monkeypatch.setattr(decoding, "_STRIP", 200)
        indices, palette, image = palette_image()
        np.testing.assert_array_equal(decode(files.saved(RGB, "PNG")).pixels, COLOR)
        np.testing.assert_array_equal(decode(files.saved(image, "PNG")).pixels, palette[indices])
        np.testing.assert_array_equal(decode(files.saved(deep_image(), "PNG")).pixels, DEEP)


class TestJpeg:
    @pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
    @pytest.mark.parametrize("progressive", [False, True])
    def test_equals_pillow(self, mode, progressive):
        data = files.saved(RGB.convert(mode), "JPEG", progressive=progressive)
        image = Image.open(io.BytesIO(data))
        expected = np.asarray(image.convert("RGB") if mode == "CMYK" else image)
        np.testing.assert_array_equal(decode(data).pixels, expected)

    def test_several_pictures_in_one_file_are_no_animation(self):
        data = files.saved(RGB, "MPO", save_all=True, append_images=[RGB.rotate(180)])
        picture = decode(data)
        assert picture.format == "jpeg"
        assert picture.notes == ()

    def test_bytes_after_the_end_do_no_harm(self):
        data = files.saved(RGB, "JPEG")
        np.testing.assert_array_equal(decode(data + b"a film").pixels, decode(data).pixels)


class TestFrames:
    def test_only_the_first_is_used(self):
        _, _, image = palette_image()
        others = [image.rotate(180), image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
        data = files.saved(image, "GIF", save_all=True, append_images=others)
        picture = decode(data)
        np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
        assert picture.notes == ("only the first of 3 frames is used",)

    @pytest.mark.parametrize("format", ["PNG", "WEBP"])
    def test_animations(self, format):
        options = {"lossless": True} if format == "WEBP" else {}
        data = files.saved(RGB, format, save_all=True, append_images=[RGB.rotate(180)], **options)
        picture = decode(data)
        np.testing.assert_array_equal(picture.pixels[:, :, :3], COLOR)  # WebP's has opacity
        assert picture.notes == ("only the first of 2 frames is used",)

    def test_pages(self):
        data = tiff(RGB, save_all=True, append_images=[Image.fromarray(GREY)])
        picture = decode(data)
        np.testing.assert_array_equal(picture.pixels, COLOR)
        assert picture.notes == ("only the first of 2 pages is used",)

    def test_one_transparent_level_of_a_grey_gif(self):
        levels = RNG.integers(0, 256, (9, 13))
        data = files.gif([levels], np.repeat(np.arange(256), 3).reshape(256, 3))
        clear = int(levels[3, 4])
        control = b"!\xf9\x04\x01\0\0" + bytes([clear]) + b"\0"
        start = 13 + 3 * 256
        picture = decode(data[:start] + control + data[start:])
        np.testing.assert_array_equal(picture.pixels[:, :, 0], levels)
        np.testing.assert_array_equal(picture.pixels[:, :, -1], np.where(levels == clear, 0, 255))
        assert picture.alpha

    def test_gif_by_hand(self):
        indices = RNG.integers(0, 256, (9, 13))
        palette = RNG.integers(0, 256, (256, 3))
        picture = decode(files.gif([indices, indices[::-1]], palette))
        np.testing.assert_array_equal(picture.pixels, palette[indices])


# how a camera that was turned stores an upright picture
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}


class TestOrientation:
    @pytest.mark.parametrize("value", range(1, 9))
    @pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
    def test_all_give_the_same_picture(self, value, format):
        stored = Image.fromarray(np.ascontiguousarray(STORED[value](COLOR)))
        options = {"lossless": True} if format == "WEBP" else {}
        data = files.saved(stored, format, exif=files.exif(value), **options)
        np.testing.assert_array_equal(decode(data).pixels, COLOR)

    @pytest.mark.parametrize("value", range(1, 9))
    def test_jpeg(self, value):
        smooth = np.kron(RNG.integers(0, 256, (3, 5)), np.ones((16, 16))).astype(np.uint8)
        stored = Image.fromarray(np.ascontiguousarray(STORED[value](smooth)))
        data = files.saved(stored, "JPEG", exif=files.exif(value, "<"), quality=95)
        np.testing.assert_array_equal(decode(data).pixels, smooth)

    @pytest.mark.parametrize("value", [0, 9])
    @pytest.mark.parametrize("format", ["PNG", "TIFF"])
    def test_impossible_values_are_ignored(self, value, format):
        data = files.saved(RGB, format, exif=files.exif(value))
        np.testing.assert_array_equal(decode(data).pixels, COLOR)

    def test_palette_and_16_bits_turn_too(self):
        indices, palette, image = palette_image()
        data = files.saved(image, "PNG", exif=files.exif(6))
        np.testing.assert_array_equal(decode(data).pixels, np.rot90(palette[indices], -1))
        data = files.saved(deep_image(), "PNG", exif=files.exif(8))
        np.testing.assert_array_equal(decode(data).pixels, np.rot90(DEEP))

    def test_damaged_exif_does_not_cost_the_picture(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = files.saved(RGB, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(30))
        assert decode(data).pixels.shape == (11, 17, 3)


class TestColorProfile:
    PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
    def test_comes_with_the_picture(self, format):
        assert decode(files.saved(RGB, format, icc_profile=self.PROFILE)).icc == self.PROFILE

    def test_not_where_it_no_longer_fits(self):
        cmyk = self.PROFILE[:16] + b"CMYK" + self.PROFILE[20:]
        assert decode(files.saved(RGB.convert("CMYK"), "JPEG", icc_profile=cmyk)).icc == b""
        data = files.saved(Image.fromarray(GREY), "PNG", icc_profile=self.PROFILE)
        assert decode(data).icc == b""

    def test_not_where_it_is_enormous(self):
        data = tiff(RGB, icc_profile=self.PROFILE + bytes(1 << 20))
        assert decode(data).icc == b""


class TestMetadata:
    def zipped(self, size):
        packer = __import__("zlib").compressobj(9)
        block = bytes(1 << 20)
        parts = [packer.compress(block) for _ in range(size >> 20)]
        return b"".join(parts) + packer.flush()

    @pytest.mark.parametrize("place", ["extra", "after"])
    @pytest.mark.parametrize("kind", ["zTXt", "iTXt", "iCCP"])
    def test_texts_that_unpack_to_much_do_not_cost_the_picture(self, kind, place):
        packed = self.zipped(5 << 20)
        text = {
            "zTXt": files.chunk(b"zTXt", b"Comment\0\0" + packed),
            "iTXt": files.chunk(b"iTXt", b"Comment\0\1\0\0\0" + packed),
            "iCCP": files.chunk(b"iCCP", b"profile\0\0" + packed),
        }[kind]
        raw = files.packed_rows(COLOR, 8)
        picture = decode(files.png(17, 11, raw, **{place: text}))
        np.testing.assert_array_equal(picture.pixels, COLOR)
        assert picture.notes in ((), ("text and colour profile left out",))

    def test_many_texts_do_not_cost_the_picture(self):
        texts = files.chunk(b"tEXt", b"Comment\0" + b"x" * 900_000) * 80
        data = files.png(17, 11, files.packed_rows(COLOR, 8), extra=texts)
        picture = decode(data)
        np.testing.assert_array_equal(picture.pixels, COLOR)
        assert picture.notes == ("text and colour profile left out",)

    def test_a_hundred_thousand_chunks(self):
        raw = files.packed_rows(COLOR, 8)
        data = files.png(17, 11, raw, extra=files.chunk(b"prVt") * 100_000)
        np.testing.assert_array_equal(decode(data).pixels, COLOR)

    def test_warnings_of_pillow_stay_inside(self):
        page = struct.pack("<HHHIHHI", 1, 256, 3, 1, 5, 0, 0)
        bad_exif = (
            b"Exif\0\0II*\0" + struct.pack("<I", 8) + page[:2] + b"\x9b\x9c\x05\0" + b"\xff" * 8
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            decode(tiff(RGB, exif=files.exif(3)))
            with pytest.raises(InputError):
                decode(b"II*\0" + struct.pack("<I", 8) + page)
            decode(files.saved(RGB, "PNG", exif=bad_exif))
            bad_animation = files.chunk(b"acTL", struct.pack(">II", 0, 0))
            decode(files.png(17, 11, files.packed_rows(COLOR, 8), extra=bad_animation * 2))
        assert caught == []


def test_the_size_that_pillow_finds_must_be_the_header_s():
    # a second size, after the one that was judged, before the picture
    data = files.saved(RGB, "JPEG")
    start = data.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", data, start + 2)
    size = data[start : start + 2 + length]
    larger = size[:5] + struct.pack(">HH", 65000, 65000) + size[9:]
    with pytest.raises(InputError, match=r"damaged JPEG \(header and picture differ"):
        decode(data[: start + 2 + length] + larger + data[start + 2 + length :])


def test_pillow_s_own_limit_gives_way_to_ours(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    for format in ("TIFF", "WEBP", "GIF"):
        assert decode(files.saved(RGB, format), limits="off").pixels.shape[:2] == (11, 17)
    assert Image.MAX_IMAGE_PIXELS == 11 * 17


def test_libtiff_is_quiet():
    code = (
        "import sys; from cnntool.errors import InputError; from cnntool.images import decode\n"
        "data = sys.stdin.buffer.read()\n"
        "try: decode(data)\n"
        "except InputError as error: print(error)\n"
    )
    data = bytearray(tiff(RGB, compression="tiff_lzw"))
    data[8:40] = b"\xff" * 32
    done = subprocess.run([sys.executable, "-c", code], input=bytes(data), capture_output=True)
    assert done.stdout.startswith(b"damaged TIFF")
    assert done.stderr == b""


def test_libtiff_that_cannot_be_reached_is_no_error(monkeypatch):
    def unreachable(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", unreachable)
    decoding._silence_libtiff.cache_clear()
    try:
        assert decode(tiff(RGB)).pixels.shape == (11, 17, 3)
    finally:
        decoding._silence_libtiff.cache_clear()
