import struct

import numpy as np
import picture_files as files
import pytest
from PIL import Image

from cnntool.errors import InputError
from cnntool.images import structure

RGB = Image.fromarray(np.arange(7 * 5 * 3, dtype=np.uint8).reshape(7, 5, 3))


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


SIZE_7_5 = b"\x08" + struct.pack(">HH", 7, 5) + b"\x01\x01\x11\x00"


class TestJpeg:
    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"icc_profile": bytes(99_999)}])
    def test_size(self, options):
        header = structure.inspect_jpeg(files.saved(RGB, "JPEG", **options))
        assert (header.format, header.width, header.height, header.frames) == ("jpeg", 5, 7, 1)

    def test_fill_bytes_and_lone_markers(self):
        data = b"\xff\xd8" + b"\xff\xff\xff\x01" + jpeg_segment(0xC4, b"x") + b"\xff\xff\xff\xff"
        data += jpeg_segment(0xC1, SIZE_7_5)[1:]
        assert structure.inspect_jpeg(data).height == 7

    @pytest.mark.parametrize(
        ("data", "match"),
        [
            (b"\xff\xd8\xff\xe0\0\x10JF", r"truncated JPEG \(12 of 20 bytes are missing\)"),
            (b"\xff\xd8\xff", "truncated JPEG"),
            (b"\xff\xd8\xff\xe0\0\x02xx", "damaged JPEG .no marker at byte 6"),
            (b"\xff\xd8\xff\xe0\0\x01", "damaged JPEG .a segment of 1 bytes"),
            (b"\xff\xd8\xff\xda", "damaged JPEG .no size before the picture"),
            (b"\xff\xd8\xff\xd9", "damaged JPEG .no size before the picture"),
            (b"\xff\xd8" + jpeg_segment(0xC0, b"\x08\0\0\0\x05"), "damaged JPEG .5 x 0 pixels"),
        ],
    )
    def test_damage(self, data, match):
        with pytest.raises(InputError, match=match):
            structure.inspect_jpeg(data)


class TestGif:
    def test_size_and_frames(self):
        others = [RGB.rotate(90 * n).quantize(4) for n in (1, 2)]
        data = files.saved(RGB.quantize(4), "GIF", save_all=True, append_images=others)
        header = structure.inspect_gif(data)
        assert (header.width, header.height, header.frames) == (5, 7, 3)

    def test_first_frame_larger_than_the_canvas(self):
        data = files.gif([np.zeros((3, 4), int)], np.zeros((256, 3)))
        frame = data.index(b",")
        data = data[: frame + 1] + struct.pack("<HHHH", 10, 20, 4, 3) + data[frame + 9 :]
        header = structure.inspect_gif(data)
        assert (header.width, header.height) == (14, 23)

    def test_zero_between_blocks(self):
        data = files.gif([np.zeros((3, 4), int)], np.zeros((256, 3)))
        assert structure.inspect_gif(data[:-1] + b"\0\0;").frames == 1

    def test_unknown_block(self):
        data = files.gif([np.zeros((3, 4), int)], np.zeros((256, 3)))
        with pytest.raises(InputError, match=r"damaged GIF \(unknown block 0x77 at byte \d+\)"):
            structure.inspect_gif(data[:-1] + b"\x77;")

    def test_no_trailer(self):
        data = files.gif([np.zeros((3, 4), int)], np.zeros((256, 3)))
        with pytest.raises(InputError, match=r"truncated GIF \(no trailer\)"):
            structure.inspect_gif(data[:-1])

    def test_no_frame(self):
        with pytest.raises(InputError, match=r"damaged GIF \(no picture in it\)"):
            structure.inspect_gif(b"GIF89a" + struct.pack("<HHBBB", 3, 4, 0, 0, 0) + b";")


class TestBmp:
    @pytest.mark.parametrize(
        "header",
        [
            struct.pack("<IHH", 12, 5, 7),
            struct.pack("<Iii", 40, 5, 7),
            struct.pack("<Iii", 124, 5, -7),
        ],
    )
    def test_size(self, header):
        found = structure.inspect_bmp(b"BM" + bytes(12) + header)
        assert (found.width, found.height) == (5, 7)

    @pytest.mark.parametrize("size", [(0, 7), (5, 0), (-5, 7)])
    def test_impossible_size(self, size):
        with pytest.raises(InputError, match="damaged BMP"):
            structure.inspect_bmp(b"BM" + bytes(12) + struct.pack("<Iii", 40, *size))


class TestTiff:
    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize("big", [False, True])
    def test_size_pages_and_tiles(self, order, big):
        word, letter = (8, "Q") if big else (4, "I")
        start = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
        if big:
            start += struct.pack(order + "HH", 8, 0)
        pages = [{256: 5, 257: 7, 322: 64, 323: 48}, {256: 3, 257: 3}]
        data = start + struct.pack(order + letter, len(start) + word)
        for number, page in enumerate(pages):
            data += struct.pack(order + ("Q" if big else "H"), len(page))
            for tag, value in page.items():
                data += struct.pack(order + "HH" + letter, tag, 3, 1)
                data += struct.pack(order + "H", value).ljust(word, b"\0")
            last = number == len(pages) - 1
            data += struct.pack(order + letter, 0 if last else len(data) + word)
        header = structure.inspect_tiff(data)
        assert (header.width, header.height, header.frames) == (5, 7, 2)
        assert header.pixels == 64 * 48
        for cut in range(8, len(data)):
            with pytest.raises(InputError, match=r"^(truncated|damaged) TIFF"):
                structure.inspect_tiff(data[:cut])

    def test_pages_in_a_circle(self):
        page = struct.pack("<HHHIHHI", 1, 256, 3, 1, 5, 0, 8)
        with pytest.raises(InputError, match=r"damaged TIFF \(its pages run in a circle\)"):
            structure.inspect_tiff(b"II*\0" + struct.pack("<I", 8) + page)

    def test_no_page(self):
        with pytest.raises(InputError, match=r"damaged TIFF \(no page in it\)"):
            structure.inspect_tiff(b"II*\0\0\0\0\0")

    def test_no_size(self):
        page = struct.pack("<HHHIHHI", 1, 256, 3, 1, 5, 0, 0)
        with pytest.raises(InputError, match=r"damaged TIFF \(5 x 0 pixels\)"):
            structure.inspect_tiff(b"II*\0" + struct.pack("<I", 8) + page)


class TestWebp:
    @pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": files.exif(3)}])
    @pytest.mark.parametrize("mode", ["RGB", "RGBA"])
    def test_size(self, options, mode):
        header = structure.inspect_webp(files.saved(RGB.convert(mode), "WEBP", **options))
        assert (header.width, header.height, header.frames) == (5, 7, 1)

    def test_frames(self):
        data = files.saved(RGB, "WEBP", save_all=True, append_images=[RGB.rotate(180), RGB])
        assert structure.inspect_webp(data).frames >= 2

    def test_size_of_a_few_bytes_that_ask_for_much(self):
        data = files.webp_bomb()
        header = structure.inspect_webp(data)
        assert len(data) == 34
        assert (header.width, header.height) == (16383, 5000)

    def test_no_picture(self):
        body = b"WEBPXXXX\0\0\0\0"
        with pytest.raises(InputError, match=r"damaged WebP \(no picture in it\)"):
            structure.inspect_webp(b"RIFF" + struct.pack("<I", len(body)) + body)

    def test_cut(self):
        with pytest.raises(InputError, match=r"truncated WebP \(1 of 34 bytes are missing\)"):
            structure.inspect_webp(files.webp_bomb()[:-1])
