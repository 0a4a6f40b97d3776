"""Medians against numpy.median window by window, and the networks against sorting."""

import itertools

import numpy as np
import pytest
import reference
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import ShapeError
from cnntool.ops import median_pooling
from cnntool.ops.median_pooling import median_pool2d, network, sort_lanes


@pytest.mark.parametrize("lanes", range(1, 11))
def test_networks_sort_all_zero_one_inputs(lanes):
    # a network that sorts zeros and ones sorts everything (Knuth 5.3.4, theorem Z)
    inputs = np.array(list(itertools.product([0, 1], repeat=lanes))).T.copy()
    for wanted in ({0}, {lanes // 2}, {(lanes - 1) // 2, lanes // 2}, set(range(lanes))):
        lane = [row.copy() for row in inputs]
        sort_lanes(lane, network(lanes, tuple(sorted(wanted))))
        for rank in wanted:
            np.testing.assert_array_equal(lane[rank], np.sort(inputs, axis=0)[rank])


def test_exchanges_that_cannot_matter_are_left_out():
    assert len(network(9, (4,))) < len(network(9, tuple(range(9)))) < 36


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "ceil_mode", "depth"),
    [
        ((3, 3), (1, 1), (0, 0), (1, 1), False, 1),
        ((3, 2), (2, 3), (1, 1), (1, 1), True, 1),
        ((2, 2), (2, 2), (0, 0), (2, 1), True, 2),
        ((1, 5), (1, 2), (0, 2), (1, 1), False, 3),
        ((9, 8), (3, 2), (4, 4), (1, 1), False, 1),  # too many taps for a network
    ],
)
def test_windows(kernel, stride, padding, dilation, ceil_mode, depth, dtype, rng):
    x = rng.integers(0, 40, (3, 11, 10, 2)).astype(dtype)
    y = median_pool2d(x, kernel, stride, padding, dilation, ceil_mode, depth=depth)
    wanted, _ = reference.pool2d(
        x, "median", kernel, stride, padding, dilation, ceil_mode, depth=depth
    )
    assert y.dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_array_equal(y, wanted)


@settings(deadline=None, max_examples=40)
@given(st.tuples(*[st.integers(1, 3)] * 4), st.integers(3, 9), st.integers(3, 8))
def test_any_window(window, h, w):
    kernel, stride = window[:2], window[2:]
    x = np.random.default_rng(7).standard_normal((1, h, w, 2))
    wanted, _ = reference.pool2d(x, "median", kernel, stride)
    np.testing.assert_allclose(median_pool2d(x, kernel, stride), wanted, rtol=1e-15)


@pytest.mark.parametrize("size", [3, 5, 11])
def test_scipy_agrees_inside(size, rng):
    image = rng.integers(0, 256, (40, 31)).astype(np.uint8)
    inside = slice(size // 2, -(size // 2))
    wanted = scipy.ndimage.median_filter(image, size)[inside, inside]
    found = median_pool2d(image[None, :, :, None], size, 1)[0, :, :, 0]
    np.testing.assert_array_equal(found, wanted)


def test_strips_change_nothing(monkeypatch, rng):
    x = rng.standard_normal((1, 20, 9, 3))
    whole = median_pool2d(x, (3, 4), 1, 1)
    monkeypatch.setattr(median_pooling, "STRIP_BYTES", 1)
    np.testing.assert_array_equal(median_pool2d(x, (3, 4), 1, 1), whole)


@pytest.mark.parametrize("kernel", [(3, 3), (8, 8)])
@pytest.mark.parametrize("padding", [0, 1])
def test_nan_spreads_to_its_windows_only(kernel, padding, rng):
    x = rng.standard_normal((1, 20, 21, 1))
    x[0, 0, 0, 0] = np.nan
    y = median_pool2d(x, kernel, 1, padding)[0, :, :, 0]
    holds = np.zeros(y.shape, dtype=bool)
    holds[: 1 + padding, : 1 + padding] = True
    np.testing.assert_array_equal(np.isnan(y), holds)


def test_every_library(xp, rng):
    x = rng.integers(0, 256, (2, 9, 8, 3)).astype(np.uint8)
    device = xp.to_device(x)
    with xp.no_transfers():
        y = median_pool2d(device, (3, 2), 1, 1)
    np.testing.assert_array_equal(xp.to_host(y), median_pool2d(x, (3, 2), 1, 1))


def test_window_of_padding_only():
    with pytest.raises(ShapeError, match="nothing but padding, so they have no median"):
        median_pool2d(np.ones((1, 1, 3, 1)), (2, 1), 1, (1, 0), (2, 1))
