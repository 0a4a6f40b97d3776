"""Pictures moved, turned and scaled, and the adjoint of that; smoothing against SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import ndimage

from cnntool.explain.views import Views, blurred


def views(shifts, angles=None, scales=None):
    count = len(shifts)
    return Views(
        np.array(shifts),
        np.zeros(count) if angles is None else np.array(angles, float),
        np.ones(count) if scales is None else np.array(scales, float),
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(-6, 6), st.integers(-8, 8))
def test_moves_pixel_by_pixel(down, right):
    x = np.random.default_rng(1).random((2, 5, 7, 1))
    y, back = views([[down, right]]).of(x)
    for row, column in np.ndindex(5, 7):
        r, c = row - down, column - right
        expected = x[:, r, c, 0] if 0 <= r < 5 and 0 <= c < 7 else 0
        assert_allclose(y[:, row, column, 0], expected)
    grad = np.random.default_rng(2).random(x.shape)
    assert (y * grad).sum() == pytest.approx((x * back(grad)).sum())


def test_each_picture_has_its_own_view():
    x = np.random.default_rng(1).random((1, 4, 5, 2))
    y, _ = views([[1, 0], [0, -2]]).of(x)
    assert_allclose(y[:, 1:, :, 0], x[:, :-1, :, 0])
    assert_allclose(y[:, :, :-2, 1], x[:, :, 2:, 1])
    same, back = views([[0, 0], [0, 0]]).of(x)
    assert same is x and back(x) is x


@pytest.mark.parametrize(("angle", "scale", "shift"), [
    (10.0, 1.0, (0, 0)), (0.0, 1.2, (0, 0)), (-25.0, 0.8, (1, -2)),
])  # fmt: skip
def test_turns_against_scipy(angle, scale, shift):
    """Bilinear reading about the middle; what is read outside is 0."""
    x = np.random.default_rng(3).random((2, 9, 11, 1))
    y, back = views([shift], [angle], [scale]).of(x)
    turn = np.deg2rad(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / scale
    middle = np.array([4.0, 5.0])
    offset = middle - matrix @ (middle + np.array(shift))
    for channel in range(2):
        framed = np.pad(x[channel, :, :, 0], 1)  # SciPy's own border is harder than this one
        moved = offset + 1 - matrix @ np.ones(2)
        expected = ndimage.affine_transform(framed, matrix, moved, order=1, mode="constant")
        assert_allclose(y[channel, :, :, 0], expected[1:-1, 1:-1], atol=1e-5)
    grad = np.random.default_rng(4).random(x.shape)
    assert (y * grad).sum() == pytest.approx((x * back(grad)).sum(), rel=1e-5)


def test_enlarged_things_grow():
    x = np.zeros((1, 21, 21, 1))
    x[:, 8:13, 8:13] = 1
    large, _ = views([[0, 0]], [0], [1.5]).of(x)
    assert large.sum() == pytest.approx(2.25 * x.sum(), rel=0.05)
    assert large[0, 10, 10, 0] == 1


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.3])
def test_blur_against_scipy(sigma):
    x = np.random.default_rng(5).random((3, 24, 31, 2))
    expected = ndimage.gaussian_filter(x, (0, sigma, sigma, 0), mode="mirror")
    assert_allclose(blurred(x, sigma), expected, atol=2e-4)
    assert blurred(x.astype(np.float32), sigma).dtype == np.float32


def test_blur_of_tiny_pictures_and_by_nothing():
    x = np.random.default_rng(5).random((1, 2, 3, 1))
    assert blurred(x, 0.0) is x
    assert blurred(x, 5.0).shape == x.shape
    assert_allclose(blurred(np.full((1, 2, 3, 1), 7.0), 5.0), 7)
    assert_allclose(blurred(np.full((2, 1, 1, 1), 7.0), 5.0), 7)
