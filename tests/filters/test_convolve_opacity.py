"""convolve on pictures with opacity: what cannot be seen bleeds no colour."""

import numpy as np
import pytest
from scipy.ndimage import correlate

from cnntool.filters.convolve import convolve
from cnntool.filters.levels import Levels


def expected(plane, kernel):
    """Correlation with the border that does not repeat the edge pixel, in float64."""
    kernel = np.asarray(kernel, float)
    # scipy lays an even kernel one pixel further to the upper left
    origin = [-1 if side % 2 == 0 else 0 for side in kernel.shape]
    return correlate(plane.astype(float), kernel, mode="mirror", origin=origin)


def square():
    """An opaque orange square on transparent ground whose hidden colour is bright blue."""
    image = np.zeros((20, 24, 4), np.uint8)
    image[..., 2] = 255
    image[6:14, 8:16] = (230, 120, 20, 255)
    return image


@pytest.mark.parametrize("kernel", ["gaussian-5", "box:7", "gaussian:sigma=2", "disk:3"])
def test_blur_of_an_opaque_square_keeps_its_colour(kernel):
    found = convolve(square(), kernel, alpha=True, levels=Levels(np.uint8))
    seen = found[..., 3] > 0
    assert seen.sum() > 8 * 8
    np.testing.assert_array_equal(found[seen][:, :3], np.tile((230, 120, 20), (seen.sum(), 1)))
    opacity = convolve(square()[..., 3], kernel, levels=Levels(np.uint8))
    np.testing.assert_array_equal(found[..., 3], opacity)


def test_colours_are_weighted_by_opacity(rng):
    image = rng.integers(0, 256, (7, 8, 2), dtype=np.uint8)
    kernel = np.array([[1.0, 2.0, 1.0], [0.0, 3.0, 1.0]])
    found = convolve(image, kernel, alpha=True)
    value, opacity = image[..., 0].astype(float), image[..., 1] / 255
    weight = expected(opacity, kernel)
    np.testing.assert_allclose(
        found[..., 0], expected(value * opacity, kernel) / weight * kernel.sum(), rtol=1e-4
    )
    np.testing.assert_allclose(found[..., 1], weight / kernel.sum() * 255, rtol=1e-5)


def test_fully_opaque_pictures_are_as_without_opacity(rng):
    image = rng.integers(0, 256, (9, 7, 4), dtype=np.uint8)
    image[..., 3] = 255
    for kernel in ("sharpen", "gaussian-3", "sobel-x", "box:4"):
        found = convolve(image, kernel, alpha=True)
        np.testing.assert_allclose(
            found[..., :3], convolve(image[..., :3], kernel), atol=1e-5 * 255 * 9
        )
        np.testing.assert_allclose(found[..., 3], 255, rtol=1e-6)


@pytest.mark.parametrize("kernel", ["sobel-x", "laplacian-8", "outline", "1 -1"])
def test_zero_sum_kernels_leave_opacity_alone(rng, kernel):
    image = rng.integers(0, 256, (6, 9, 4), dtype=np.uint8)
    found = convolve(image, kernel, alpha=True)
    np.testing.assert_array_equal(found[..., 3], image[..., 3])
    np.testing.assert_array_equal(found[..., :3], convolve(image[..., :3], kernel))


@pytest.mark.parametrize("kernel", ["identity", [[1.0]], "box:1", "1"])
def test_identity_touches_nothing(rng, kernel):
    image = rng.integers(0, 256, (6, 9, 4), dtype=np.uint8)
    np.testing.assert_array_equal(convolve(image, kernel, alpha=True), image)


def test_one_pixel_kernels_change_colours_only(rng):
    image = rng.integers(0, 256, (6, 9, 4), dtype=np.uint8)
    found = convolve(image, [[0.5]], alpha=True)
    np.testing.assert_array_equal(found[..., :3], image[..., :3] * np.float32(0.5))
    np.testing.assert_array_equal(found[..., 3], image[..., 3])


def test_opacity_with_stride_and_padding(rng):
    image = rng.integers(0, 256, (9, 12, 4), dtype=np.uint8)
    for kernel in ("sobel-x", "box:2,3"):
        for options in ({"stride": (2, 3)}, {"padding": "valid"}, {"padding": "full"}):
            found = convolve(image, kernel, alpha=True, **options)
            assert found.shape[:2] == convolve(image[..., 0], kernel, **options).shape
