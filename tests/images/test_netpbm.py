import io

import numpy as np
import picture_files as files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnntool.errors import InputError
from cnntool.images import decode, netpbm

RNG = np.random.default_rng(8)


class TestReading:
    @pytest.mark.parametrize("mode", ["1", "L", "RGB"])
    def test_pillow_s_files(self, mode):
        image = Image.fromarray(RNG.integers(0, 256, (7, 19, 3)).astype(np.uint8)).convert(mode)
        picture = decode(files.saved(image, "PPM"))
        np.testing.assert_array_equal(
            picture.pixels, np.asarray(image.convert("L" if mode == "1" else mode))
        )
        assert picture.format == "pnm"
        assert picture.notes == ()

    @pytest.mark.parametrize(
        ("data", "rows", "dtype"),
        [
            (b"P1\n3 2\n101\n010\n", [[0, 255, 0], [255, 0, 255]], np.uint8),
            (b"P1 3 2 1 0 1 0 10", [[0, 255, 0], [255, 0, 255]], np.uint8),
            (b"P1#a\n3#b\n2#c\n1 0 #d 1 1\n1 0 1 0", [[0, 255, 0], [255, 0, 255]], np.uint8),
            (b"P2 3 2 255\n1 2 3\t4\r\n5\v6\n", [[1, 2, 3], [4, 5, 6]], np.uint8),
            (b"P2 2 1 # 7 7\n255\n#x\n9 #y\n10\n", [[9, 10]], np.uint8),
            (b"P2 2 1 15\n0 15\n", [[0, 255]], np.uint8),
            (b"P2 2 1 65535\n0 65535\n", [[0, 65535]], np.uint16),
            (b"P2 3 1 1000\n0 500 1000\n", [[0, 32768, 65535]], np.uint16),
            (b"P3 1 1 255\n1 002 3\n", [[[1, 2, 3]]], np.uint8),
            (b"P4 9 2\n\x0f\x80\xf0\x7f", [[255] * 4 + [0] * 5, [0] * 4 + [255] * 5], np.uint8),
            (b"P5 3 1 255 ABC", [[65, 66, 67]], np.uint8),
            (b"P5\n#\n3\n1\n#\n255\nABC", [[65, 66, 67]], np.uint8),
            (b"P5 3 1 255\n#BC", [[35, 66, 67]], np.uint8),
            (b"P5 3 1 3\n\0\1\3", [[0, 85, 255]], np.uint8),
            (b"P5 2 1 65535\n\0\1\xff\0", [[1, 65280]], np.uint16),
            (b"P5 2 1 1023\n\0\0\3\xff", [[0, 65535]], np.uint16),
            (b"P6 1 1 255\n\1\2\3", [[[1, 2, 3]]], np.uint8),
        ],
    )  # fmt: skip
    def test_by_hand(self, data, rows, dtype):
        pixels = decode(data).pixels
        assert pixels.dtype == dtype
        assert pixels.flags.c_contiguous
        assert pixels.tolist() == rows

    @pytest.mark.parametrize(
        ("data", "value"),
        [
            (b"P6 1 1 65535\n\x12\x34\xff\xff\0\x7f", [18, 255, 0]),
            (b"P6 1 1 256\n\0\x01\1\0\0\x80", [1, 255, 128]),
            (b"P3 1 1 65535\n4660 65535 128 ", [18, 255, 0]),
        ],
    )
    def test_deep_color_is_read_as_8_bits_with_a_note(self, data, value):
        picture = decode(data)
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.tolist() == [[value]]
        assert picture.notes == ("16-bit colour read as 8 bits a channel",)

    def test_what_follows_is_noted(self):
        picture = decode(b"P5 2 1 255\nAB" + b"P5 2 1 255\nCD")
        assert picture.pixels.tolist() == [[65, 66]]
        assert picture.notes == ("13 bytes after the first picture were left out",)
        assert decode(b"P5 2 1 255\nAB\n").notes == ()

    @pytest.mark.parametrize("maxval", [1, 7, 254, 255, 256, 4095, 65534, 65535])
    def test_scaling_rounds_to_the_nearest(self, maxval):
        values = sorted({0, 1, maxval // 3, maxval // 2, maxval - 1, maxval})
        text = f"P2 {len(values)} 1 {maxval}\n{' '.join(map(str, values))}\n".encode()
        full = 255 if maxval < 256 else 65535
        expected = [int(value * full / maxval + 0.5) for value in values]
        assert decode(text).pixels.tolist() == [expected]

    def test_plain_text_in_many_blocks(self, monkeypatch):
        monkeypatch.setattr(netpbm, "_BLOCK", 10)
        values = RNG.integers(0, 256, (31, 7))
        text = b"P2 7 31 255\n" + b"\n ".join(b"%d" % v for v in values.ravel()) + b"\n"
        np.testing.assert_array_equal(decode(text).pixels, values)

    @pytest.mark.parametrize(
        ("data", "match"),
        [
            (b"P5\n", "damaged PNM .no width and height"),
            (b"P5 x 2 255\n", "damaged PNM .no width and height"),
            (b"P5 1 2", "damaged PNM .no largest sample"),
            (b"P5 1234567890 2 255\n", "damaged PNM"),
            (b"P5 0 2 255\n", "damaged PNM .0 x 2 pixels, largest sample 255"),
            (b"P5 1 2 0\n  ", "damaged PNM .1 x 2 pixels, largest sample 0"),
            (b"P5 1 2 65536\n    ", "largest sample 65536"),
            (b"P5 1 2 255", "truncated PNM .no samples"),
            (b"P5 1 2 255x", "truncated PNM .no samples"),
            (b"P5 3 2 255\nABCDE", r"truncated PNM \(1 of 6 bytes of samples are missing\)"),
            (b"P6 3 2 255\nABCDE", r"truncated PNM \(13 of 18 bytes"),
            (b"P5 3 2 256\nABCDE", r"truncated PNM \(7 of 12 bytes"),
            (b"P4 9 2\nABC", r"truncated PNM \(1 of 4 bytes"),
            (b"P1 3 2\n10101", r"truncated PNM \(1 of 6 samples are missing\)"),
            (b"P1 3 2\n101012", "damaged PNM .a bit that is neither 0 nor 1"),
            (b"P2 3 2 255\n1 2 3 4 5 ", r"truncated PNM \(1 of 6 samples are missing\)"),
            (b"P2 3 2 255\n", r"truncated PNM \(6 of 6 samples are missing\)"),
            (b"P2 2 1 255\n1 25", "truncated PNM .no line end after the last sample"),
            (b"P2 2 1 255\n1 -2 ", "damaged PNM .a sample that is no number"),
            (b"P2 2 1 255\n1 2.5 ", "damaged PNM .a sample that is no number"),
            (b"P2 2 1 255\n1 256 ", "damaged PNM .a sample of 256 above the largest, 255"),
            (b"P2 2 1 255\n1 99999999999999999999 ", "damaged PNM .a sample above 65535"),
            (b"P5 2 1 100\n\1\xff", "damaged PNM .a sample of 255 above the largest, 100"),
        ],
    )
    def test_damage(self, data, match):
        with pytest.raises(InputError, match=match):
            decode(data)

    @pytest.mark.parametrize(
        "data", [b"P2 3 1 255\n10 200 30\n", b"P3 1 1 999\n10 200 30\n", b"P1 4 1\n1 0 1 1\n"]
    )
    def test_no_cut_of_plain_text_is_read_as_another_picture(self, data):
        whole = decode(data).pixels.tolist()
        for end in range(len(data)):
            try:
                assert decode(data[:end]).pixels.tolist() == whole
            except InputError:
                pass


class TestPfm:
    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize("channels", [1, 3])
    def test_rows_run_upwards(self, order, channels):
        pixels = RNG.normal(size=(4, 5, channels)).astype(np.float32)
        pixels[0, 0, 0], pixels[1, 1, 0] = np.nan, -np.inf
        kind, scale = ("F" if channels == 3 else "f"), ("-1.0" if order == "<" else "1.0")
        body = b"".join(row.astype(order + "f4").tobytes() for row in reversed(pixels))
        picture = decode(f"P{kind}\n5 4\n{scale}\n".encode() + body)
        assert picture.pixels.dtype == np.float32
        np.testing.assert_array_equal(picture.pixels, files.squeezed(pixels))
        assert (picture.format, picture.alpha, picture.notes) == ("pfm", False, ())

    def test_scale_and_rest_are_noted(self):
        picture = decode(b"Pf 1 1 -2.5\n" + bytes(7))
        assert picture.notes == (
            "3 bytes after the picture were left out",
            "the scale 2.5 of the file is not applied",
        )

    @pytest.mark.parametrize(
        ("data", "match"),
        [
            (b"Pf 1 1\n", "damaged PFM .no width, height and scale"),
            (b"Pf 1 1 abc\n", "damaged PFM .no width, height and scale"),
            (b"Pf 1 1 1e\n" + bytes(4), "damaged PFM .1 x 1 pixels, scale 1e"),
            (b"Pf 1 1 0.0\n" + bytes(4), "damaged PFM .1 x 1 pixels, scale 0.0"),
            (b"Pf 1 1 1e999\n" + bytes(4), "scale 1e999"),
            (b"Pf 0 1 1\n", "damaged PFM .0 x 1 pixels"),
            (b"PF 2 1 1\n" + bytes(23), r"truncated PFM \(1 of 24 bytes of samples are missing\)"),
        ],
    )
    def test_damage(self, data, match):
        with pytest.raises(InputError, match=match):
            decode(data)


class TestWriting:
    @pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3)])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_bytes_by_hand(self, shape, dtype):
        pixels = RNG.integers(0, np.iinfo(dtype).max, shape, dtype)[::-1]
        data = netpbm.write_pnm(pixels)
        head = f"P{6 if len(shape) == 3 else 5}\n5 3\n{np.iinfo(dtype).max}\n".encode()
        size = np.dtype(dtype).itemsize
        body = b"".join(int(value).to_bytes(size, "big") for value in pixels.ravel())
        assert data == head + body

    def test_pillow_reads_pnm(self):
        pixels = RNG.integers(0, 256, (3, 5, 3)).astype(np.uint8)
        image = Image.open(io.BytesIO(netpbm.write_pnm(pixels)))
        np.testing.assert_array_equal(np.asarray(image), pixels)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
    @pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3)])
    def test_pfm_comes_back(self, dtype, shape):
        pixels = (RNG.normal(size=shape) * 50).astype(dtype)
        back = decode(netpbm.write_pfm(pixels)).pixels
        np.testing.assert_array_equal(back, pixels.astype(np.float32))

    def test_pillow_reads_pfm(self):
        pixels = RNG.normal(size=(4, 5)).astype(np.float32)
        image = Image.open(io.BytesIO(netpbm.write_pfm(pixels)))
        np.testing.assert_array_equal(np.asarray(image), pixels)


@settings(deadline=None, max_examples=60)
@given(
    kind=st.integers(1, 6),
    rest=st.binary(max_size=40),
    size=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_anything_after_a_header_is_a_picture_or_our_error(kind, rest, size):
    data = f"P{kind} {size[0]} {size[1]} 255\n".encode() + rest
    try:
        picture = decode(data)
    except InputError as error:
        assert "PNM" in str(error)
    else:
        assert picture.pixels.shape[:2] == size[::-1]
