"""Descriptors of many pictures at once: those of one picture at a time, to rounding."""

import importlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import InputError, NameNotFound, OptionError, ShapeError
from cnntool.filters.hog import hog
from cnntool.filters.hog_batch import default_cell, hog_batch
from cnntool.filters.words import HOG_NORMS

module = importlib.import_module("cnntool.filters.hog_batch")


def one_by_one(images, **options):
    """(C, H, W, N) -> (d, N), a call a picture."""
    pictures = np.moveaxis(images, (3, 0), (0, 3))
    return np.stack([hog(picture, **options) for picture in pictures], axis=1)


def drawn(rng, shape, dtype):
    samples = rng.integers(0, 256, shape)
    return (samples * 257 if dtype == np.uint16 else samples).astype(dtype)


@pytest.mark.parametrize("norm", HOG_NORMS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_one_by_one(norm, dtype, channels, rng):
    images = drawn(rng, (channels, 21, 30, 11), dtype)
    before = images.copy()
    for signed in (False, True):
        options = {"cell": (4, 5), "block": (2, 3), "norm": norm, "signed": signed}
        found = hog_batch(images, **options)
        assert found.dtype == (np.float64 if dtype == np.float64 else np.float32)
        np.testing.assert_allclose(found, one_by_one(images, **options), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(images, before)


@settings(max_examples=40)
@given(
    cell=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    block=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    extra=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    channels=st.integers(1, 4),
    count=st.integers(0, 5),
    orientations=st.integers(1, 13),
    sqrt=st.booleans(),
)
def test_any_sizes(cell, block, extra, channels, count, orientations, sqrt):
    h, w = (c * b + e for c, b, e in zip(cell, block, extra, strict=True))
    images = drawn(np.random.default_rng(h * 100 + w), (channels, h, w, count), np.uint8)
    options = {"orientations": orientations, "cell": cell, "block": block, "sqrt": sqrt}
    found = hog_batch(images, **options)
    if count:
        np.testing.assert_allclose(found, one_by_one(images, **options), rtol=0, atol=1e-6)
    else:
        assert found.shape == (hog(np.zeros((h, w)), **options).size, 0)


def test_parts_change_nothing_and_are_told(monkeypatch, rng):
    images = drawn(rng, (1, 12, 17, 21), np.uint8)
    whole = hog_batch(images, cell=4, block=2)
    monkeypatch.setattr(module, "PART_BYTES", 1)
    told = []
    found = hog_batch(images, cell=4, block=2, progress=lambda *done: told.append(done))
    np.testing.assert_array_equal(found, whole)
    assert told == [(8, 21), (16, 21), (21, 21)]


def test_layouts_of_memory(rng):
    pictures = drawn(rng, (9, 3, 16, 20), np.uint8)  # as data sets hold them: N first
    images = pictures.transpose(1, 2, 3, 0)
    wanted = hog_batch(np.ascontiguousarray(images), cell=4, block=2)
    np.testing.assert_array_equal(hog_batch(images, cell=4, block=2), wanted)
    np.testing.assert_array_equal(hog_batch(images[..., ::-2], cell=4, block=2), wanted[:, ::-2])


@pytest.mark.parametrize("signed", [False, True])
def test_every_library(signed, xp, rng):
    images = drawn(rng, (3, 19, 16, 10), np.uint8)
    for samples in (images, images[:1], (images / 255).astype(np.float32)):
        found = hog_batch(xp.to_device(samples), cell=4, block=2, signed=signed)
        assert found.dtype == np.float32
        wanted = hog_batch(samples, cell=4, block=2, signed=signed)
        np.testing.assert_allclose(xp.to_host(found), wanted, rtol=0, atol=1e-7)


def test_a_device_uploads_nothing(double, rng):
    images = double.to_device(drawn(rng, (1, 19, 16, 10), np.uint8))
    with double.no_transfers(allow_sync=True, allow_float64=True):
        hog_batch(images, cell=4, block=2)


def test_sizes_of_cells():
    assert [default_cell(side) for side in (8, 28, 32, 64, 224)] == [2, 4, 4, 9, 32]
    assert default_cell((300, 70)) == 10


def test_refusals(rng):
    images = np.zeros((1, 20, 24, 3))
    with pytest.raises(ShapeError, match=r"pictures are \(C, H, W, N\), got shape 20x24$"):
        hog_batch(images[0, ..., 0])
    with pytest.raises(ShapeError, match=r"pictures are \(C, H, W, N\), got shape 0x20x24x3"):
        hog_batch(images[:0])
    with pytest.raises(ShapeError, match="hog needs at least 24 rows and 24 columns"):
        hog_batch(images)
    with pytest.raises(NameNotFound, match="unknown norm 'l2hys'; did you mean 'l2-hys'"):
        hog_batch(images, cell=4, norm="l2hys")
    with pytest.raises(OptionError, match="cell must be at least 1 x 1, got 0 x 0"):
        hog_batch(images, cell=0)
    images[0, 3, 4, 2] = -2.5
    with pytest.raises(InputError, match=r"sqrt needs samples of at least 0; the smallest is -2.5"):
        hog_batch(images, cell=4, sqrt=True)
    for bad in (math.nan, math.inf):
        images[0, 3, 4, 2] = bad
        with pytest.raises(InputError, match="a picture holds NaN or infinite samples"):
            hog_batch(images, cell=4)
