import io
import zlib

import numpy as np
import picture_files as files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnntool.images import png, png_writing

RNG = np.random.default_rng(11)


def smooth(shape, dtype=np.uint8):
    """A gradient with a little noise: what photographs are like."""
    full = np.iinfo(dtype).max
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    waves = np.sin(y / 9) + np.cos(x / 7)
    out = np.empty(shape)
    for channel in range(shape[2] if len(shape) > 2 else 1):
        out[(..., channel) if len(shape) > 2 else ...] = waves * (channel + 1)
    out = (out - out.min()) / (np.ptp(out) + 1) * full * 0.9
    return (out + RNG.integers(0, 1 + full // 60, shape)).astype(dtype)


def pixels_of(data):
    png.check_complete(data, png.inspect(data))
    samples, depth = files.slow_png(data)
    return files.squeezed(samples), depth


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (23, 17)])
def test_slow_decoder_reads_it_back(dtype, channels, size):
    pixels = smooth((*size, *channels), dtype)
    samples, depth = pixels_of(png_writing.encode(pixels))
    assert depth == 8 * pixels.itemsize
    np.testing.assert_array_equal(samples, pixels)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_pixels_come_back(data):
    h, w, c = (
        data.draw(st.integers(1, 12)),
        data.draw(st.integers(1, 9)),
        data.draw(st.integers(2, 4)),
    )
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    raw = data.draw(st.binary(min_size=2 * h * w * c, max_size=2 * h * w * c))
    pixels = np.frombuffer(raw, dtype)[: h * w * c].reshape(h, w, c)
    np.testing.assert_array_equal(pixels_of(png_writing.encode(pixels))[0], pixels)


@pytest.mark.parametrize("kind", [0, 2, 3, 4])
def test_each_filter_alone(monkeypatch, kind):
    pixels = RNG.integers(0, 256, (13, 11, 3)).astype(np.uint8)
    fill = png_writing._FILTERS[kind]
    monkeypatch.setattr(png_writing, "_FILTERS", {kind: fill})
    monkeypatch.setattr(png_writing, "_is_drawing", lambda pixels: False)
    data = png_writing.encode(pixels)
    raw = zlib.decompress(b"".join(body for name, body in files.chunks(data) if name == b"IDAT"))
    assert set(raw[:: 1 + 33]) == {kind}
    np.testing.assert_array_equal(files.slow_png(data)[0], pixels)


def test_many_strips_join_without_a_seam(monkeypatch):
    pixels = smooth((41, 30, 3))
    monkeypatch.setattr(png_writing, "_STRIP", 300)  # 3 rows at a time, 2 in the last strip
    np.testing.assert_array_equal(pixels_of(png_writing.encode(pixels))[0], pixels)


def test_picture_larger_than_a_strip():
    pixels = smooth((400, 500, 3))
    back = np.asarray(Image.open(io.BytesIO(png_writing.encode(pixels))))
    np.testing.assert_array_equal(back, pixels)


def test_rows_may_lie_anywhere():
    pixels = smooth((12, 20, 6))[::2, ::-1, ::2]
    before = pixels.copy()
    np.testing.assert_array_equal(pixels_of(png_writing.encode(pixels))[0], before)
    np.testing.assert_array_equal(pixels, before)


def test_paeth_is_the_standard_s(monkeypatch):
    values = np.array([0, 1, 2, 3, 127, 128, 129, 200, 254, 255], np.uint8)
    a, b, c = (part.ravel() for part in np.meshgrid(values, values, values))
    x = np.zeros_like(a)
    out = np.empty_like(a)
    png_writing._paeth(png_writing._Neighbours(x, a, b, c), out)
    for left, up, corner, rest in zip(
        a.tolist(), b.tolist(), c.tolist(), out.tolist(), strict=True
    ):
        p = left + up - corner
        distances = [abs(p - left), abs(p - up), abs(p - corner)]
        nearest = (left, up, corner)[distances.index(min(distances))]
        assert rest == -nearest % 256, (left, up, corner)


def test_photos_are_smaller_filtered_and_drawings_plain():
    photo = smooth((300, 280, 3))
    pattern = np.tile(RNG.integers(0, 2, (20, 25), np.uint8) * 255, (15, 12))
    assert not png_writing._is_drawing(photo)
    assert png_writing._is_drawing(pattern)
    for pixels in (photo, pattern):
        level_6 = len(files.saved(Image.fromarray(pixels), "PNG", compress_level=6))
        assert len(png_writing.encode(pixels)) < 1.15 * level_6


def test_profile_is_stored():
    profile = bytes(range(256)) * 3
    data = png_writing.encode(smooth((5, 4, 3)), profile)
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == profile


def test_same_pixels_same_bytes():
    pixels = smooth((50, 60, 3))
    assert png_writing.encode(pixels) == png_writing.encode(pixels.copy())
