"""Colour spaces and linear light against colorsys, scikit-image, Pillow and the standards."""

import colorsys
import itertools

import numpy as np
import pytest
from PIL import Image
from skimage import color

from cnntool.filters.channels import (
    from_linear,
    luma,
    merge,
    split,
    to_linear,
)

CORNERS = np.array(list(itertools.product((0, 255), repeat=3)), np.uint8).reshape(2, 4, 3)
# largest difference there and back, of all 8-bit colours
ROUND_TRIP = {"hsv": 3, "ycbcr": 1, "lab": 26}


def planes_of(*args, **options):
    return [plane for _, plane in split(*args, **options)]


def colours(step: int) -> np.ndarray:
    """A coarse grid of all 8-bit colours, as a picture."""
    levels = np.unique([*range(0, 256, step), 1, 254, 255]).astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(
        len(levels), -1, 3
    )


def test_hsv_is_the_one_of_colorsys(rng):
    pixels = np.concatenate([CORNERS.reshape(-1, 3), rng.integers(0, 256, (500, 3), np.uint8)])
    planes = planes_of(pixels[None], "hsv")
    exact = np.array([colorsys.rgb_to_hsv(*(c / 255)) for c in pixels]) * 255
    floats = planes_of(pixels[None].astype(np.float64), "hsv")
    for plane, whole, column in zip(floats, planes, exact.T, strict=True):
        np.testing.assert_allclose(plane[0], column, atol=1e-9)
        np.testing.assert_array_equal(whole[0], np.rint(plane[0]))
    back = merge(floats, "hsv")
    np.testing.assert_allclose(back[0], pixels, atol=1e-9)


def test_ycbcr_is_the_one_of_jpeg(rng):
    pixels = np.concatenate([CORNERS.reshape(-1, 3), rng.integers(0, 256, (500, 3), np.uint8)])
    red, green, blue = pixels.T.astype(np.float64)
    exact = (
        0.299 * red + 0.587 * green + 0.114 * blue,
        -0.168735892 * red - 0.331264108 * green + 0.5 * blue + 128,
        0.5 * red - 0.418687589 * green - 0.081312411 * blue + 128,
    )
    floats = planes_of(pixels[None].astype(np.float64), "ycbcr")
    for plane, column in zip(floats, exact, strict=True):
        np.testing.assert_allclose(plane[0], column, atol=1e-6)
    np.testing.assert_allclose(merge(floats, "ycbcr")[0], pixels, atol=1e-9)
    np.testing.assert_array_equal(planes_of(pixels[None], "ycbcr")[0], luma(pixels[None]))
    pillow = np.asarray(Image.fromarray(pixels[None]).convert("YCbCr"))
    for i, plane in enumerate(planes_of(pixels[None], "ycbcr")):
        assert np.abs(plane.astype(int) - pillow[..., i]).max() <= 1


def test_lab_is_the_one_of_scikit_image(rng):
    pixels = np.concatenate([CORNERS.reshape(-1, 3), rng.integers(0, 256, (500, 3), np.uint8)])
    light, a, b = planes_of(pixels[None].astype(np.float64), "lab")
    peer = color.rgb2lab(pixels[None])
    # scikit-image has one more digit in the matrix and another white than the matrix's sum
    np.testing.assert_allclose(light * 100 / 255, peer[..., 0], atol=0.02)
    np.testing.assert_allclose(a - 128, peer[..., 1], atol=0.08)
    np.testing.assert_allclose(b - 128, peer[..., 2], atol=0.08)
    back = merge([light, a, b], "lab")
    np.testing.assert_allclose(back[0], pixels, atol=0.01)


def test_lab_of_white_and_greys_is_neutral():
    light, a, b = planes_of(np.arange(256, dtype=np.float64)[None], "lab")
    np.testing.assert_allclose(a, 128, atol=1e-10)
    np.testing.assert_allclose(b, 128, atol=1e-10)
    assert light[0, [0, 255]] == pytest.approx([0, 255], abs=1e-10)


@pytest.mark.parametrize("space", ROUND_TRIP)
def test_loss_there_and_back(space):
    pixels = colours(15)
    back = merge(planes_of(pixels, space), space)
    error = np.abs(back.astype(int) - pixels)
    assert error.max() <= ROUND_TRIP[space]
    assert error.mean() < 0.8


@pytest.mark.parametrize("space", ROUND_TRIP)
def test_sixteen_bits_are_257_times_finer(space):
    pixels = colours(51)
    wide = planes_of(pixels.astype(np.uint16) * 257, space)
    exact = planes_of(pixels.astype(np.float64), space)
    for plane, values in zip(wide, exact, strict=True):
        assert plane.dtype == np.uint16
        assert np.abs(plane - np.clip(values * 257, 0, 65535)).max() <= 0.5 + 1e-9
    back = merge(wide, space)
    # the purest blues and reds lie half an 8-bit level above the range of Cb and Cr
    limit = 229 if space == "ycbcr" else 32
    assert np.abs(back.astype(int) - pixels.astype(int) * 257).max() <= limit


@pytest.mark.parametrize("space", ROUND_TRIP)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floats_are_not_rounded(space, kind):
    pixels = colours(51).astype(kind)
    planes = planes_of(pixels, space)
    assert {plane.dtype for plane in planes} == {np.dtype(kind)}
    assert any(np.any(plane % 1 != 0) for plane in planes)
    back = merge(planes, space)
    assert back.dtype == kind
    np.testing.assert_allclose(back, pixels, atol=1e-2 if kind == np.float32 else 1e-8)
    wide = planes_of(pixels * 257, space, full_range=65535)
    for plane, narrow in zip(wide, planes, strict=True):
        np.testing.assert_allclose(plane, narrow * 257, atol=0.02)
    np.testing.assert_allclose(merge(wide, space, full_range=65535), pixels * 257, atol=2)


def test_pictures_larger_than_one_band(rng):
    pixels = rng.integers(0, 256, (700, 301, 3), dtype=np.uint8)
    for space in ("hsv", "gray"):
        planes = planes_of(pixels, space)
        for rows in (slice(0, 9), slice(212, 223), slice(690, 700)):
            for plane, part in zip(planes, planes_of(pixels[rows], space), strict=True):
                np.testing.assert_array_equal(plane[rows], part)


# ------------------------------------------------------------------------------------- linear light
def srgb_to_linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


@pytest.mark.parametrize(("kind", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_light_of_every_sample(kind, top):
    codes = np.arange(top + 1, dtype=kind)
    light = to_linear(codes)
    assert light.dtype == np.float32
    exact = [top * srgb_to_linear(v / top) for v in range(top + 1)]
    np.testing.assert_allclose(light, exact, rtol=1e-6)
    assert light[0] == 0 and light[-1] == top
    # every sample comes back
    np.testing.assert_array_equal(np.rint(from_linear(light, top)), codes)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_light_of_floats(kind):
    values = np.linspace(-300, 300, 601, dtype=kind).reshape(1, -1)
    light = to_linear(values)
    assert light.dtype == kind
    exact = np.sign(values) * [[255 * srgb_to_linear(abs(v) / 255) for v in values[0].tolist()]]
    np.testing.assert_allclose(light, exact, rtol=1e-5 if kind == np.float32 else 1e-13)
    np.testing.assert_allclose(
        from_linear(light), values, rtol=2e-4, atol=1e-5 if kind == np.float32 else 1e-9
    )
    np.testing.assert_allclose(to_linear(values * 257, 65535), light * 257, rtol=1e-5)


def test_light_of_views_and_large_pictures(rng):
    pixels = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    table = to_linear(np.arange(256, dtype=np.uint8))
    np.testing.assert_array_equal(to_linear(pixels), table[pixels])
    view = pixels[::3, ::-1]
    np.testing.assert_array_equal(to_linear(view), table[view])
    light = from_linear(to_linear(pixels[..., 1]))
    np.testing.assert_allclose(light, pixels[..., 1], atol=1e-3)
    assert to_linear(np.zeros((0, 3), np.uint8)).shape == (0, 3)
    assert from_linear(np.arange(3, dtype=np.uint8)).dtype == np.float32
