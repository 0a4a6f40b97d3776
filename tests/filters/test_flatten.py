"""The order and scale of flattened pictures."""

import numpy as np
import pytest

from cnntool.errors import ShapeError
from cnntool.filters.flatten import flatten


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 3), (2, 4, 4)])
def test_channel_then_row_then_column(rng, kind, shape):
    pixels = rng.integers(0, 256, shape).astype(kind)
    planes = pixels[..., None] if len(shape) == 2 else pixels
    expected = [
        planes[row, column, channel]
        for channel in range(planes.shape[2])
        for row in range(shape[0])
        for column in range(shape[1])
    ]
    vector = flatten(pixels)
    assert vector.dtype == kind
    assert vector.tolist() == expected
    vector += 1
    assert pixels.reshape(-1)[0] == expected[0]


def test_an_hd_picture_has_2_764_800_features():
    assert flatten(np.zeros((720, 1280, 3), np.uint8)).shape == (2_764_800,)


@pytest.mark.parametrize(("kind", "full"), [(np.uint8, 255), (np.uint16, 65535), (np.float64, 255)])
def test_unit(rng, kind, full):
    pixels = rng.integers(0, full + 1, (4, 3, 3)).astype(kind)
    vector = flatten(pixels, unit=True)
    assert vector.dtype == np.float32
    expected = (pixels / full).astype(np.float32).transpose(2, 0, 1).ravel()
    np.testing.assert_allclose(vector, expected, rtol=1e-7)
    assert flatten(np.full((1, 2), full, kind), unit=True).tolist() == [1, 1]


def test_unit_of_floats_from_16_bits():
    assert flatten(np.array([[65535.0, 0]]), unit=True, full_range=65535).tolist() == [1, 0]


def test_views_and_inputs(rng):
    pixels = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    before = pixels.copy()
    np.testing.assert_array_equal(flatten(pixels[::2, ::-1]), flatten(pixels[::2, ::-1].copy()))
    flatten(pixels, unit=True)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("unit", [False, True])
def test_same_on_every_library(xp, rng, unit):
    pixels = rng.integers(0, 256, (3, 5, 3), dtype=np.uint8)
    on_device = xp.to_device(pixels)
    with xp.no_transfers():
        vector = flatten(on_device, unit=unit)
    np.testing.assert_array_equal(xp.to_host(vector), flatten(pixels, unit=unit))


def test_no_picture():
    with pytest.raises(ShapeError, match=r"a picture is \(H, W\) or \(H, W, C\), got shape 5"):
        flatten(np.zeros(5))
