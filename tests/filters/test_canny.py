"""Canny's lines against scikit-image, pixel for pixel."""

import importlib
import warnings

import numpy as np
import pytest
import skimage.data
import skimage.feature
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.filters.canny import canny

module = importlib.import_module("cnntool.filters.canny")

FULL = {"uint8": 255, "uint16": 65535, "float32": 255, "float64": 255}


def expected(image, sigma, low, high, full=None):
    # scikit-image takes limits in the picture's own units
    full = full or FULL[str(image.dtype)]
    return skimage.feature.canny(image, sigma, low * full, high * full)


def assert_same(image, sigma=1.0, low=0.1, high=0.2):
    np.testing.assert_array_equal(
        canny(image, sigma=sigma, low=low, high=high), expected(image, sigma, low, high)
    )


def photo(name, dtype="uint8"):
    pixels = getattr(skimage.data, name)()
    grey = pixels if pixels.ndim == 2 else pixels[..., 1]
    grey = grey[7:300, 20:271]
    if dtype == "uint16":
        return grey.astype(np.uint16) * 257
    return grey.astype(dtype) if dtype == "uint8" else grey.astype(dtype) * 0.99


PHOTOS = ("camera", "astronaut", "chelsea", "coffee")


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("sigma", [0, 0.6, 1, 2.5])
def test_photos(name, sigma):
    image = photo(name)
    assert expected(image, sigma, 0.1, 0.2).mean() > 0.002  # there is something to find
    for low, high in ((0.1, 0.2), (0.03, 0.4), (0, 0.15)):
        assert_same(image, sigma, low, high)


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
def test_other_depths(name, dtype):
    image = photo(name, dtype)
    assert_same(image)
    assert_same(image, 1.7, 0.05, 0.3)


def test_defaults_are_those_of_scikit_image():
    image = skimage.data.camera()
    np.testing.assert_array_equal(canny(image), skimage.feature.canny(image))


def test_full_range():
    unit = photo("coffee", "float64") / 255
    np.testing.assert_array_equal(canny(unit, full_range=1), skimage.feature.canny(unit))
    twelve = photo("camera", "uint16") >> 4  # 12 bits in 16
    np.testing.assert_array_equal(
        canny(twelve, full_range=4095), expected(twelve, 1, 0.1, 0.2, 4095)
    )


@st.composite
def small_pictures(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 13)), draw(st.integers(1, 13))
    dtype = draw(st.sampled_from(["uint8", "uint16", "float32", "float64"]))
    if draw(st.booleans()):
        values = rng.integers(0, 2, shape) * FULL[dtype]  # many equal gradients
    else:
        values = rng.random(shape) * FULL[dtype]
    return values.astype(dtype)


@settings(deadline=None, max_examples=150)
@given(
    small_pictures(),
    st.sampled_from([0, 0.3, 0.5, 1, 1.5, 3]),
    st.sampled_from([0, 1e-30, 0.05, 0.1, 0.5]),
    st.sampled_from([0, 0.1, 1]),
)
def test_small_pictures(image, sigma, low, more):
    assert_same(image, sigma, low, low + more)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (8, 1), (2, 7), (9, 2), (3, 3), (3, 8)])
def test_thin_pictures(shape, rng):
    assert_same(rng.integers(0, 256, shape, dtype=np.uint8), 0.5)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("sigma", [0, 1, 4])
def test_strips_leave_no_seams(sigma, threads, monkeypatch):
    monkeypatch.setattr(module, "STRIP_BYTES", 1)
    image = photo("chelsea")[:150]
    np.testing.assert_array_equal(
        canny(image, sigma=sigma, low=0.05, threads=threads), expected(image, sigma, 0.05, 0.2)
    )


def test_weak_lines_need_a_strong_pixel():
    # a step that fades from left to right is one line; a faint step far away has no strong pixel
    image = np.zeros((24, 40))
    image[12:, :20] = np.linspace(255, 60, 20)
    image[12:, 28:] = 60
    lines = canny(image, low=0.3, high=0.9)
    assert lines[11:13, 2:19].any(axis=0).all()
    assert not lines[:, 30:].any()
    np.testing.assert_array_equal(lines, expected(image, 1, 0.3, 0.9))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_no_samples(value, rng):
    image = rng.random((9, 12)) * 255
    image[4, 5] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = expected(image, 1, 0.1, 0.2)
    np.testing.assert_array_equal(canny(image), wanted)


def test_constant_and_result_type():
    lines = canny(np.full((6, 9), 77, np.uint8), low=0, high=0)
    assert lines.dtype == bool and lines.shape == (6, 9) and not lines.any()


def test_input_is_only_read_and_may_be_a_view():
    image = photo("camera")
    view = image[::2, ::-1]
    before = image.copy()
    image.setflags(write=False)
    np.testing.assert_array_equal(canny(view), expected(before[::2, ::-1].copy(), 1, 0.1, 0.2))
    np.testing.assert_array_equal(image, before)


def test_device_pictures_stay_there(double):
    image = photo("coffee")[:40, :50]
    lines = double.to_host(canny(double.to_device(image)))
    np.testing.assert_array_equal(lines, expected(image, 1, 0.1, 0.2))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sigma": -1}, "canny's sigma must be 0 or more and finite, got -1"),
        ({"sigma": np.nan}, "canny's sigma must be 0 or more and finite, got nan"),
        ({"low": -0.1}, "canny's low must be 0 or more and finite, got -0.1"),
        ({"high": np.inf}, "canny's high must be 0 or more and finite, got inf"),
        ({"low": 0.3}, "low must not exceed high, got low 0.3 and high 0.2; the defaults are"),
        ({"full_range": 0}, "full_range must be above 0 and finite, got 0"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(OptionError, match=message):
        canny(np.zeros((5, 6), np.uint8), **options)


@pytest.mark.parametrize("shape", [(5, 6, 3), (5,), (0, 4)])
def test_only_grey_pictures(shape):
    text = "x".join(map(str, shape))
    with pytest.raises(ShapeError, match=rf"one grey channel \(H, W\) .* got shape {text}"):
        canny(np.zeros(shape, np.uint8))


def test_only_types_of_pictures():
    with pytest.raises(OptionError, match="uint8, uint16, float32, float64 pixels, got int64"):
        canny(np.zeros((5, 6), np.int64))
