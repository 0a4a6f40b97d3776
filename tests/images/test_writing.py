import errno
import io
import os
import subprocess
import sys
import threading

import numpy as np
import picture_files as files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from cnntool.errors import (
    InputError,
    LimitError,
    NameNotFound,
    OptionError,
    ShapeError,
    SystemFailure,
)
from cnntool.images import Picture, decode, encode, writing
from cnntool.images.formats import FORMATS, WRITABLE

RNG = np.random.default_rng(12)
SHAPES = {1: (13, 7), 2: (13, 7, 2), 3: (13, 7, 3), 4: (13, 7, 4)}


def some(channels=3, dtype=np.uint8):
    if np.dtype(dtype).kind == "f":
        return RNG.normal(0, 300, SHAPES[channels]).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, SHAPES[channels], dtype, endpoint=True)


EXACT = [
    (format, channels, np.uint8)
    for format in ("png", "tiff", "bmp", "pnm", "npy")
    for channels in (1, 2, 3, 4)
    if format in ("png", "tiff", "npy") or channels in (1, 3)
]
EXACT += [("png", 1, np.uint16), ("tiff", 1, np.uint16)]
EXACT += [("pnm", 1, np.uint16), ("tiff", 1, np.float32), ("pfm", 1, np.float32)]
EXACT += [("pfm", 3, np.float32)]
EXACT += [("npy", c, t) for c in (1, 2, 3, 4) for t in (np.uint16, np.float32, np.float64)]


@pytest.mark.parametrize(("format", "channels", "dtype"), EXACT)
def test_what_is_written_is_read(format, channels, dtype):
    pixels = some(channels, dtype)
    before = pixels.copy()
    picture = decode(encode(pixels, format))
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(picture.pixels, before)
    assert picture.pixels.dtype == before.dtype
    assert picture.format == format
    assert picture.alpha == (channels in (2, 4) and format != "npy")


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["png", "tiff", "pnm", "npy"]), st.data())
def test_any_grey_picture_comes_back(format, data):
    h, w = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    raw = data.draw(st.binary(min_size=2 * h * w, max_size=2 * h * w))
    pixels = np.frombuffer(raw, dtype)[: h * w].reshape(h, w)
    np.testing.assert_array_equal(decode(encode(pixels, format)).pixels, pixels)


def test_16_bit_grey_with_opacity_is_read_as_8_bits():
    pixels = some(2, np.uint16)
    picture = decode(encode(pixels, "png"))
    np.testing.assert_array_equal(picture.pixels, pixels >> 8)
    assert picture.notes == ("16-bit colour read as 8 bits a channel",)
    assert picture.mode == "LA;16"


@pytest.mark.parametrize("format", ["png", "pnm"])
def test_16_bit_colour_is_written_in_full(format):
    pixels = some(3, np.uint16)
    data = encode(pixels, format)
    if format == "png":
        np.testing.assert_array_equal(files.slow_png(data)[0], pixels)
    else:
        assert data.endswith(pixels.astype(">u2").tobytes())


def test_64_bit_floats_become_32_in_pfm_and_tiff():
    pixels = some(1, np.float64)
    for format in ("pfm", "tiff"):
        np.testing.assert_array_equal(
            decode(encode(pixels, format)).pixels, pixels.astype(np.float32)
        )


def test_nan_and_infinite_pass():
    pixels = np.array([[np.nan, np.inf], [-np.inf, 1]], np.float32)
    for format in ("npy", "pfm", "tiff"):
        np.testing.assert_array_equal(decode(encode(pixels, format)).pixels, pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [90, 40])
def test_jpeg_and_webp_are_pillow_s(channels, quality):
    pixels = np.kron(some(channels), np.ones((4, 4) + (1,) * (channels == 3))).astype(np.uint8)
    image = Image.fromarray(pixels)
    assert encode(pixels, "jpeg", quality=quality) == files.saved(image, "JPEG", quality=quality)
    assert encode(pixels, "webp", quality=quality) == files.saved(image, "WEBP", quality=quality)


def test_quality_90_is_the_default():
    pixels = some(3)
    assert encode(pixels, "jpeg") == encode(pixels, "jpeg", quality=90)
    assert len(encode(pixels, "jpeg")) > len(encode(pixels, "jpeg", quality=10))


@pytest.mark.parametrize("channels", [2, 4])
def test_webp_keeps_opacity(channels):
    picture = decode(encode(some(channels), "webp"))
    assert picture.alpha
    assert picture.pixels.shape == (13, 7, 4)


def test_stack_of_results():
    stack = RNG.normal(size=(5, 4, 3, 2)).astype(np.float32)
    np.testing.assert_array_equal(np.load(io.BytesIO(encode(stack, "npy"))), stack)


def test_picture_brings_its_opacity_and_profile():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = some(4)
    for format in ("png", "tiff", "webp"):
        back = decode(encode(Picture(pixels, alpha=True, icc=profile), format))
        assert back.alpha
        assert back.icc == profile
        assert decode(encode(Picture(pixels, alpha=True, icc=profile), format, icc=b"")).icc == b""
    assert decode(encode(Picture(some(3), icc=profile), "jpeg")).icc == profile


def test_profile_for_other_channels_is_left_out():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for format in ("png", "tiff", "jpeg"):
        assert encode(some(1), format, icc=profile) is not None
        assert decode(encode(some(1), format, icc=profile)).icc == b""


@pytest.mark.parametrize("format", ["jpeg", "bmp", "pnm", "pfm"])
@pytest.mark.parametrize("channels", [2, 4])
def test_opacity_that_hides_nothing_is_dropped(format, channels):
    pixels = some(channels)
    pixels[:, :, -1] = 255
    plain = pixels[:, :, 0] if channels == 2 else pixels[:, :, :3]
    assert encode(pixels, format, alpha=True) == encode(plain, format)


def test_opacity_of_16_bits_that_hides_nothing():
    pixels = some(4, np.uint16)
    pixels[:, :, 3] = 65535
    assert encode(pixels, "pnm", alpha=True) == encode(pixels[:, :, :3], "pnm")


def test_one_channel_in_three_dimensions():
    pixels = some(1)
    assert encode(pixels[:, :, None], "png") == encode(pixels, "png")


@pytest.mark.parametrize("format", WRITABLE)
def test_rows_may_lie_anywhere(format):
    wide = RNG.integers(0, 256, (10, 14, 3)).astype(np.uint8)
    part = wide[::-2, ::2]
    assert encode(part, format) == encode(part.copy(), format)


class TestRefusals:
    def test_unknown_format(self):
        with pytest.raises(NameNotFound, match="unknown output format 'jpg'; did you mean 'jpeg'"):
            encode(some(), "jpg")

    def test_format_that_is_only_read(self):
        with pytest.raises(NameNotFound, match="unknown output format 'gif'"):
            encode(some(), "gif")

    @pytest.mark.parametrize("format", ["jpeg", "bmp", "pnm"])
    def test_transparency(self, format):
        title = FORMATS[format].title
        message = (
            rf"^{title} does not keep transparency; write png, tiff, webp or npy \(--format png\)$"
        )
        with pytest.raises(InputError, match=message):
            encode(some(4), format, alpha=True)
        with pytest.raises(InputError, match=f"{title} does not keep 2 channels"):
            encode(some(2), format)

    @pytest.mark.parametrize("format", ["png", "jpeg", "webp", "bmp", "pnm"])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_floats(self, format, dtype):
        message = (
            f"^raw values do not fit {FORMATS[format].title}; use --range clip, abs, offset or "
            "rescale, or write pfm or npy$"
        )
        with pytest.raises(OptionError, match=message):
            encode(some(3, dtype), format)

    def test_floats_in_colour_tiff(self):
        with pytest.raises(OptionError, match=r"raw values do not fit TIFF"):
            encode(some(3, np.float32), "tiff")

    @pytest.mark.parametrize("format", ["jpeg", "webp", "bmp"])
    def test_16_bits(self, format):
        message = (
            f"^16-bit samples do not fit {FORMATS[format].title}; use --depth 8, or write "
            "png, tiff, pnm or npy$"
        )
        with pytest.raises(OptionError, match=message):
            encode(some(3, np.uint16), format)

    @pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.float16, np.bool_])
    def test_other_samples(self, dtype):
        pixels = np.zeros((3, 4), dtype)
        with pytest.raises(
            OptionError, match=f"samples of type {pixels.dtype} do not fit a picture"
        ):
            encode(pixels, "png")

    def test_no_numbers(self):
        for array in (np.array([[object()]]), np.zeros((2, 2), complex), np.array([["a"]])):
            with pytest.raises(OptionError, match=r"samples of type .* are not written; real"):
                encode(array, "npy")

    @pytest.mark.parametrize("quality", [0, 101, -5])
    @pytest.mark.parametrize("format", ["jpeg", "webp"])
    def test_quality(self, quality, format):
        with pytest.raises(OptionError, match=f"the quality of .* is 1 to 100, not {quality}"):
            encode(some(), format, quality=quality)

    @pytest.mark.parametrize("shape", [(5,), (), (2, 3, 5), (2, 3, 4, 3), (0, 3), (3, 0, 3)])
    def test_shapes(self, shape):
        shown = " x ".join(map(str, shape))
        with pytest.raises(ShapeError, match=f"an array of {shown} is no picture; H x W or"):
            encode(np.zeros(shape, np.uint8), "png")

    @pytest.mark.parametrize(("format", "side"), [("webp", 16_383), ("jpeg", 65_500)])
    def test_sides(self, format, side):
        encode(np.zeros((1, side), np.uint8), format)
        title = FORMATS[format].title
        message = f"{side + 1} x 1 pixels: the longest side in {title} is {side}; write png or tiff"
        with pytest.raises(ShapeError, match=message):
            encode(np.zeros((1, side + 1), np.uint8), format)


class TestTrouble:
    def raising(self, monkeypatch, error):
        def fail(*args, **options):
            raise error

        monkeypatch.setattr(Image.Image, "save", fail)

    def test_no_memory(self, monkeypatch):
        self.raising(monkeypatch, MemoryError())
        message = "not enough memory to write 7 x 13 pixels as JPEG; try fewer --jobs"
        with pytest.raises(LimitError, match=message):
            encode(some(), "jpeg")

    def test_system(self, monkeypatch):
        self.raising(monkeypatch, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with pytest.raises(SystemFailure, match="cannot encode JPEG: No space left") as caught:
            encode(some(), "jpeg")
        assert caught.value.errno == errno.ENOSPC

    def test_encoder(self, monkeypatch):
        self.raising(monkeypatch, OSError("encoder error -2"))
        with pytest.raises(InputError, match=r"cannot be encoded as WebP \(encoder error -2\)"):
            encode(some(), "webp")

    def test_without_files_in_memory(self, monkeypatch):
        expected = encode(some(), "jpeg")
        monkeypatch.delattr(os, "memfd_create", raising=False)
        assert encode(some(), "jpeg")[:20] == expected[:20]

    @pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs files in memory")
    def test_file_in_memory_that_is_cut_short(self, monkeypatch):
        save = Image.Image.save

        def short(image, file, *args, **options):
            save(image, file, *args, **options)
            file.truncate(100)

        monkeypatch.setattr(Image.Image, "save", short)
        with pytest.raises(SystemFailure, match="the file in memory was cut short"):
            encode(some(), "jpeg")

    @pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on file sizes")
    @pytest.mark.parametrize("limit", [100, 3000])
    def test_limit_on_file_sizes(self, limit):
        code = (
            "import resource, signal, sys\n"
            "import numpy as np\n"
            "from cnntool.errors import SystemFailure\n"
            "from cnntool.images import encode\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "pixels = np.random.default_rng(0).integers(0, 256, (99, 99, 3)).astype(np.uint8)\n"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
            "try: encode(pixels, 'jpeg')\n"
            "except SystemFailure as error: print(error)\n"
        )
        command = [sys.executable, "-B", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.startswith("cannot encode JPEG")

    def test_no_file_stays_open(self):
        if not os.path.isdir("/proc/self/fd"):
            pytest.skip("needs /proc")
        for format in WRITABLE:
            encode(some(), format)
        before = len(os.listdir("/proc/self/fd"))
        for format in WRITABLE:
            encode(some(), format)
        assert len(os.listdir("/proc/self/fd")) == before


def test_threads_write_the_same_bytes():
    pixels = {format: np.kron(some(3), np.ones((9, 9, 1))).astype(np.uint8) for format in WRITABLE}
    expected = {format: encode(pixels[format], format, quality=70) for format in ("jpeg", "png")}
    wrong = []

    def work(format):
        for _ in range(20):
            if encode(pixels[format], format, quality=70) != expected[format]:
                wrong.append(format)

    threads = [threading.Thread(target=work, args=(format,)) for format in ("jpeg", "png") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_every_writable_format_has_an_encoder():
    pixels = some(3)
    floats = {"pfm"}
    for format in WRITABLE:
        data = encode(pixels.astype(np.float32) if format in floats else pixels, format)
        assert writing.FORMATS[format].writes
        assert decode(data).format == format


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_memory_of_a_large_picture(tmp_path, format):
    """Reading and writing hold at most 4.5 bytes a sample, Pillow's own picture included."""
    h, w = 2400, 3100
    rows = np.arange(h, dtype=np.uint8)[:, None, None]
    pixels = rows + RNG.integers(0, 256, (1, w, 3)).astype(np.uint8)  # packs badly in one row
    (tmp_path / "large").write_bytes(encode(pixels, format))
    code = (
        "import re, sys\n"
        "from cnntool.images import encode, read\n"
        "import PIL.PngImagePlugin, PIL.TiffImagePlugin\n"
        # ru_maxrss would begin with the peak of the process that started this one
        "def peak():\n"
        "    status = open('/proc/self/status').read()\n"
        "    return int(re.search(r'VmHWM:\\s*(\\d+)', status)[1]) * 1024\n"
        "before = peak()\n"
        "picture = read(sys.argv[1], limits='off')\n"
        "print((peak() - before) / picture.pixels.nbytes)\n"
        "encode(picture, sys.argv[2])\n"
        "print((peak() - before) / picture.pixels.nbytes)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "large"), format]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    reading, both = map(float, done.stdout.split())
    assert reading < 4.5
    assert both < 4.5
