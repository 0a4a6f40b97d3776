import io

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import ShapeError
from cnntool.images import tiff_writing

tifffile = pytest.importorskip("tifffile")
RNG = np.random.default_rng(3)


def some(shape, dtype):
    if np.dtype(dtype).kind == "f":
        return RNG.normal(0, 1000, shape).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
@pytest.mark.parametrize("size", [(1, 1), (7, 5)])
def test_another_reader_finds_the_same_samples(dtype, channels, size):
    pixels = some((*size, *channels), dtype)
    with tifffile.TiffFile(io.BytesIO(tiff_writing.encode(pixels))) as file:
        (page,) = file.pages
        np.testing.assert_array_equal(page.asarray(), pixels)
        color = channels in ((3,), (4,))
        assert page.photometric.name == ("RGB" if color else "MINISBLACK")
        alpha = [sample.name for sample in page.extrasamples]
        assert alpha == (["UNASSALPHA"] if channels in ((2,), (4,)) else [])


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pillow_finds_the_same_samples_in_many_strips(mode, monkeypatch):
    monkeypatch.setattr(tiff_writing, "_STRIP", 200)
    shape = (23, 17) if mode == "L" else (23, 17, len(mode))
    pixels = some(shape, np.uint8)
    image = Image.open(io.BytesIO(tiff_writing.encode(pixels)))
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image), pixels)
    assert len(image.tag_v2[273]) >= 3


def test_rows_may_lie_anywhere():
    pixels = some((8, 9, 6), np.uint16)[::2, ::-1, ::2]
    with tifffile.TiffFile(io.BytesIO(tiff_writing.encode(pixels))) as file:
        np.testing.assert_array_equal(file.asarray(), pixels)


@pytest.mark.parametrize("length", [1, 4, 5, 999])
def test_profile_is_stored(length):
    profile = bytes(range(200)) * 5
    data = tiff_writing.encode(some((3, 4, 3), np.uint8), profile[:length])
    stored = Image.open(io.BytesIO(data)).info["icc_profile"]
    assert stored == profile[:length]


def test_four_gibibytes():
    class Huge(np.ndarray):
        nbytes = 2**32

    pixels = np.zeros((2, 3), np.uint8).view(Huge)
    monkey = pytest.MonkeyPatch()
    with (
        monkey.context() as patch,
        pytest.raises(ShapeError, match=r"3 x 2 pixels do not fit TIFF's 4 GiB"),
    ):
        patch.setattr(np, "ascontiguousarray", lambda a, dtype=None: pixels)
        tiff_writing.encode(pixels)
