"""Kernels with parameters against scipy, scikit-image and loops over their formulas."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal
from skimage import filters as skimage_filters

from cnntool.filters.kernel_families import FAMILIES
from cnntool.filters.kernel_text import parse_kernel

EXAMPLES = [pytest.param(parse_kernel(f.example), id=f.example) for f in FAMILIES.values()]


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1, 1.4, 2.6, 8])
def test_gaussian_is_the_one_of_scipy(sigma):
    kernel = parse_kernel(f"gaussian:sigma={sigma}")
    radius = int(4 * sigma + 0.5)
    assert kernel.size == (2 * radius + 1, 2 * radius + 1)
    impulse = np.zeros(2 * radius + 1)
    impulse[radius] = 1
    bell = ndimage.gaussian_filter1d(impulse, sigma, mode="constant")
    np.testing.assert_allclose(kernel.array(), np.outer(bell, bell), atol=1e-16)
    assert kernel.total == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("size", [1, 2, 4, 7])
def test_gaussian_of_a_given_size(size):
    array = parse_kernel(f"gaussian:sigma=1.7,size={size}").array()
    bell = signal.windows.gaussian(size, 1.7)
    bell /= bell.sum()
    np.testing.assert_allclose(array, np.outer(bell, bell), atol=1e-16)


@pytest.mark.parametrize("sigma", [0.8, 1.4, 3])
def test_log_is_the_laplacian_of_a_gaussian(sigma):
    kernel = parse_kernel(f"log:sigma={sigma}")
    middle = kernel.size[0] // 2
    axis = np.arange(-middle, middle + 1)
    r2 = axis[:, None] ** 2 + axis**2
    formula = (r2 - 2 * sigma**2) / sigma**4 * np.exp(-r2 / (2 * sigma**2))
    np.testing.assert_allclose(kernel.array(), formula - formula.mean(), atol=1e-14)
    assert kernel.array()[middle, middle] < 0
    assert kernel.total == pytest.approx(0, abs=1e-13)
    assert kernel.zero_sum
    hat = parse_kernel(f"mexican-hat:sigma={sigma}")
    np.testing.assert_array_equal(hat.array(), -kernel.array())
    if sigma >= 1.4:  # finer bells are too coarsely sampled to agree
        impulse = np.zeros(kernel.size)
        impulse[middle, middle] = 1
        peer = ndimage.gaussian_laplace(impulse, sigma, mode="constant") * 2 * math.pi * sigma**2
        np.testing.assert_allclose(kernel.array(), peer, atol=0.003)


def test_dog():
    kernel = parse_kernel("dog:1,1.6")
    wide = parse_kernel("gaussian:1.6").array()
    narrow = np.pad(parse_kernel("gaussian:1").array(), (wide.shape[0] - 9) // 2)
    np.testing.assert_allclose(kernel.array(), narrow - wide, atol=1e-6)
    assert kernel.zero_sum
    assert kernel.total == pytest.approx(0, abs=1e-14)
    assert kernel.array()[6, 6] > 0
    np.testing.assert_allclose(parse_kernel("dog:1.6,1").array(), -kernel.array())


def test_unsharp():
    kernel = parse_kernel("unsharp:sigma=1.2,amount=0.5")
    blur = parse_kernel("gaussian:1.2").array()
    expected = -0.5 * blur
    expected[5, 5] += 1.5
    np.testing.assert_allclose(kernel.array(), expected, atol=1e-16)
    assert kernel.total == pytest.approx(1)
    twice = parse_kernel("unsharp:sigma=1.2")
    assert twice.array()[5, 5] == pytest.approx(2 - blur[5, 5])


@pytest.mark.parametrize(("text", "size"), [("box:5", (5, 5)), ("box:2,3", (2, 3))])
def test_box(text, size):
    kernel = parse_kernel(text)
    np.testing.assert_array_equal(kernel.array(), np.full(size, 1 / (size[0] * size[1])))
    whole = kernel.integers()
    assert whole is not None
    assert whole[1] == size[0] * size[1]


@pytest.mark.parametrize("radius", [0, 0.5, 1, 1.5, 2, 3.7, 6])
def test_disk(radius):
    kernel = parse_kernel(f"disk:{radius}")
    reach = int(radius)
    inside = [
        [math.hypot(x, y) <= radius for x in range(-reach, reach + 1)]
        for y in range(-reach, reach + 1)
    ]
    np.testing.assert_array_equal(kernel.array(), np.array(inside) / np.sum(inside))


def test_motion_along_axes_and_diagonals():
    np.testing.assert_array_equal(parse_kernel("motion:4").array(), np.full((1, 4), 1 / 4))
    np.testing.assert_array_equal(parse_kernel("motion:5,90").array(), np.full((5, 1), 1 / 5))
    np.testing.assert_array_equal(parse_kernel("motion:5,45").array(), np.eye(5)[::-1] / 5)
    np.testing.assert_array_equal(parse_kernel("motion:4,45").array(), np.eye(4)[::-1] / 4)
    np.testing.assert_array_equal(parse_kernel("motion:4,-45").array(), np.eye(4) / 4)
    np.testing.assert_array_equal(parse_kernel("motion:5,135").array(), np.eye(5) / 5)
    assert parse_kernel("motion-h").size == (1, 9)
    assert parse_kernel("motion-v:7").size == (7, 1)


@given(size=st.integers(1, 40), angle=st.integers(-360, 360))
@settings(deadline=None, max_examples=60)
def test_motion_is_a_line_of_equal_weights_through_the_centre(size, angle):
    array = parse_kernel(f"motion:size={size},angle={angle}").array()
    assert np.count_nonzero(array) == size
    assert np.all(array[array != 0] == 1 / size)
    np.testing.assert_array_equal(array, array[::-1, ::-1])
    assert max(array.shape) == size
    places = np.argwhere(array) - (np.array(array.shape) - 1) / 2
    # no pixel further than one pixel's half diagonal from the ideal line
    direction = np.array([-math.sin(math.radians(angle)), math.cos(math.radians(angle))])
    across = np.abs(places[:, 0] * direction[1] - places[:, 1] * direction[0])
    assert across.max(initial=0) <= 0.5 + 1e-9


@pytest.mark.parametrize(("wavelength", "theta"), [(5, 0), (8, 30), (8, 45), (6, 90), (7, 200)])
def test_gabor_is_the_one_of_scikit_image(wavelength, theta):
    kernel = parse_kernel(f"gabor:wavelength={wavelength},theta={theta}")
    sigma = 3 * wavelength * math.sqrt(math.log(2) / 2) / math.pi
    peer = skimage_filters.gabor_kernel(1 / wavelength, theta=math.radians(theta)).real
    np.testing.assert_allclose(
        kernel.array(), peer * (2 * math.pi * sigma**2), rtol=1e-9, atol=1e-12
    )


def test_gabor_with_all_parameters():
    kernel = parse_kernel("gabor:wavelength=6,theta=20,sigma=2.5,gamma=0.7,psi=35")
    peer = skimage_filters.gabor_kernel(
        1 / 6,
        theta=math.radians(20),
        sigma_x=2.5,
        sigma_y=2.5 / 0.7,
        offset=math.radians(35),
    ).real
    np.testing.assert_allclose(
        kernel.array(), peer * (2 * math.pi * 2.5 * 2.5 / 0.7), rtol=1e-9, atol=1e-12
    )
    cut = parse_kernel("gabor:wavelength=6,theta=20,sigma=2.5,gamma=0.7,psi=35,size=5").array()
    rows, columns = (np.array(kernel.size) - 5) // 2
    np.testing.assert_allclose(
        cut, kernel.array()[rows : rows + 5, columns : columns + 5], atol=1e-15
    )


@pytest.mark.parametrize("kernel", EXAMPLES)
def test_examples_are_named_after_their_parameters(kernel):
    assert parse_kernel(kernel.name) == kernel


def test_forms():
    assert FAMILIES["gaussian"].form == "gaussian:sigma=S[,size=S]"
    assert FAMILIES["motion-h"].form == "motion-h[:size=S]"
