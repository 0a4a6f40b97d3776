"""The table of kernels against matrices typed out here, formulas against scipy and scikit-image."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage, signal
from skimage import filters as skimage_filters

from cnntool.errors import OptionError
from cnntool.filters.kernel import Kernel
from cnntool.filters.kernel_families import FAMILIES, FAMILY_ALIASES, MAX_SIDE
from cnntool.filters.kernel_text import parse_kernel
from cnntool.filters.kernels import ALIASES, DIRECTIONS, GROUPS, KERNELS

R2 = math.sqrt(2)
EVERY = [pytest.param(kernel, id=name) for name, kernel in KERNELS.items()]
EXAMPLES = [pytest.param(parse_kernel(f.example), id=f.example) for f in FAMILIES.values()]

# rows as they lie on the image, divisor
TYPED = {
    "identity": ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], 1),
    "box-3": ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], 9),
    "gaussian-3": ([[1, 2, 1], [2, 4, 2], [1, 2, 1]], 16),
    "gaussian-5": (
        [
            [1, 4, 6, 4, 1],
            [4, 16, 24, 16, 4],
            [6, 24, 36, 24, 6],
            [4, 16, 24, 16, 4],
            [1, 4, 6, 4, 1],
        ],
        256,
    ),
    "smooth": ([[1, 1, 1], [1, 5, 1], [1, 1, 1]], 13),
    "smooth-more": (
        [
            [1, 1, 1, 1, 1],
            [1, 5, 5, 5, 1],
            [1, 5, 44, 5, 1],
            [1, 5, 5, 5, 1],
            [1, 1, 1, 1, 1],
        ],
        100,
    ),
    "blur-pillow": (
        [
            [1, 1, 1, 1, 1],
            [1, 0, 0, 0, 1],
            [1, 0, 0, 0, 1],
            [1, 0, 0, 0, 1],
            [1, 1, 1, 1, 1],
        ],
        16,
    ),
    "diff-x": ([[-1, 0, 1]], 1),
    "diff-y": ([[-1], [0], [1]], 1),
    "sobel-x": ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], 1),
    "sobel-y": ([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], 1),
    "sobel-x-5": (
        [
            [-1, -2, 0, 2, 1],
            [-4, -8, 0, 8, 4],
            [-6, -12, 0, 12, 6],
            [-4, -8, 0, 8, 4],
            [-1, -2, 0, 2, 1],
        ],
        1,
    ),
    "sobel-y-5": (
        [
            [-1, -4, -6, -4, -1],
            [-2, -8, -12, -8, -2],
            [0, 0, 0, 0, 0],
            [2, 8, 12, 8, 2],
            [1, 4, 6, 4, 1],
        ],
        1,
    ),
    "scharr-x": ([[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]], 1),
    "scharr-y": ([[-3, -10, -3], [0, 0, 0], [3, 10, 3]], 1),
    "prewitt-x": ([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], 1),
    "prewitt-y": ([[-1, -1, -1], [0, 0, 0], [1, 1, 1]], 1),
    "freichen-x": ([[-1, 0, 1], [-R2, 0, R2], [-1, 0, 1]], 1),
    "freichen-y": ([[-1, -R2, -1], [0, 0, 0], [1, R2, 1]], 1),
    "roberts-pos": ([[1, 0], [0, -1]], 1),
    "roberts-neg": ([[0, 1], [-1, 0]], 1),
    "vertical-edges": ([[1, 0, -1], [1, 0, -1], [1, 0, -1]], 1),
    "laplacian-4": ([[0, 1, 0], [1, -4, 1], [0, 1, 0]], 1),
    "laplacian-8": ([[1, 1, 1], [1, -8, 1], [1, 1, 1]], 1),
    "log-5": (
        [
            [0, 0, 1, 0, 0],
            [0, 1, 2, 1, 0],
            [1, 2, -16, 2, 1],
            [0, 1, 2, 1, 0],
            [0, 0, 1, 0, 0],
        ],
        1,
    ),
    "outline": ([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], 1),
    "contour": ([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], 1),
    "sharpen": ([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], 1),
    "sharpen-8": ([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]], 1),
    "sharpen-soft": ([[-2, -2, -2], [-2, 32, -2], [-2, -2, -2]], 16),
    "edge-enhance": ([[-1, -1, -1], [-1, 10, -1], [-1, -1, -1]], 2),
    "detail": ([[0, -1, 0], [-1, 10, -1], [0, -1, 0]], 6),
    "emboss": ([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], 1),
    "emboss-pillow": ([[-1, 0, 0], [0, 1, 0], [0, 0, 0]], 1),
    "unsharp-5": (
        [
            [-1, -4, -6, -4, -1],
            [-4, -16, -24, -16, -4],
            [-6, -24, 476, -24, -6],
            [-4, -16, -24, -16, -4],
            [-1, -4, -6, -4, -1],
        ],
        256,
    ),
    "line-h": ([[-1, -1, -1], [2, 2, 2], [-1, -1, -1]], 1),
    "line-v": ([[-1, 2, -1], [-1, 2, -1], [-1, 2, -1]], 1),
    "line-45": ([[-1, -1, 2], [-1, 2, -1], [2, -1, -1]], 1),
    "line-135": ([[2, -1, -1], [-1, 2, -1], [-1, -1, 2]], 1),
    "kirsch-e": ([[-3, -3, 5], [-3, 0, 5], [-3, -3, 5]], 1),
    "kirsch-ne": ([[-3, 5, 5], [-3, 0, 5], [-3, -3, -3]], 1),
    "kirsch-n": ([[5, 5, 5], [-3, 0, -3], [-3, -3, -3]], 1),
    "kirsch-nw": ([[5, 5, -3], [5, 0, -3], [-3, -3, -3]], 1),
    "kirsch-w": ([[5, -3, -3], [5, 0, -3], [5, -3, -3]], 1),
    "kirsch-sw": ([[-3, -3, -3], [5, 0, -3], [5, 5, -3]], 1),
    "kirsch-s": ([[-3, -3, -3], [-3, 0, -3], [5, 5, 5]], 1),
    "kirsch-se": ([[-3, -3, -3], [-3, 0, 5], [-3, 5, 5]], 1),
    "robinson-e": ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], 1),
    "robinson-ne": ([[0, 1, 2], [-1, 0, 1], [-2, -1, 0]], 1),
    "robinson-n": ([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], 1),
    "robinson-nw": ([[2, 1, 0], [1, 0, -1], [0, -1, -2]], 1),
    "robinson-w": ([[1, 0, -1], [2, 0, -2], [1, 0, -1]], 1),
    "robinson-sw": ([[0, -1, -2], [1, 0, -1], [2, 1, 0]], 1),
    "robinson-s": ([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], 1),
    "robinson-se": ([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], 1),
    "compass-e": ([[-1, 1, 1], [-1, -2, 1], [-1, 1, 1]], 1),
    "compass-ne": ([[1, 1, 1], [-1, -2, 1], [-1, -1, 1]], 1),
    "compass-n": ([[1, 1, 1], [1, -2, 1], [-1, -1, -1]], 1),
    "compass-nw": ([[1, 1, 1], [1, -2, -1], [1, -1, -1]], 1),
    "compass-w": ([[1, 1, -1], [1, -2, -1], [1, 1, -1]], 1),
    "compass-sw": ([[1, -1, -1], [1, -2, -1], [1, 1, 1]], 1),
    "compass-s": ([[-1, -1, -1], [1, -2, 1], [1, 1, 1]], 1),
    "compass-se": ([[-1, -1, 1], [-1, -2, 1], [1, 1, 1]], 1),
    "lecture": ([[0, 1, 0], [-1, 2, -1], [0, 1, 0]], 1),
    "lecture-cross": ([[1, 0, 1], [0, 1, 0], [1, 0, 1]], 1),
    "lecture-digit": ([[1, 2, 3], [-4, 7, 4], [2, -5, 1]], 1),
}
OTHER_NAMES = {
    "unity": "identity",
    "none": "identity",
    "binomial-3": "gaussian-3",
    "binomial-5": "gaussian-5",
    "roberts-1": "roberts-pos",
    "roberts-2": "roberts-neg",
    "laplacian": "laplacian-4",
    "find-edges": "outline",
    "edge": "outline",
    "sharpen-4": "sharpen",
    "edge-enhance-more": "sharpen-8",
    "sharpen-pillow": "sharpen-soft",
}
# response to brightness that grows by 1 a pixel to the right, and downwards
RAMPS = {
    "identity": (0, 0),
    "diff-x": (2, 0),
    "diff-y": (0, 2),
    "sobel-x": (8, 0),
    "sobel-y": (0, 8),
    "sobel-x-5": (128, 0),
    "sobel-y-5": (0, 128),
    "scharr-x": (32, 0),
    "scharr-y": (0, 32),
    "prewitt-x": (6, 0),
    "prewitt-y": (0, 6),
    "freichen-x": (4 + 2 * R2, 0),
    "freichen-y": (0, 4 + 2 * R2),
    "farid-x": (0.991797, 0),
    "farid-y": (0, 0.991797),
    "roberts-pos": (-1, -1),
    "roberts-neg": (1, -1),
    "vertical-edges": (-6, 0),
    "emboss": (6, 6),
    "kirsch-e": (24, 0),
    "robinson-e": (8, 0),
    "robinson-ne": (6, -6),
    "compass-e": (6, 0),
}


def ramp_response(kernel: Kernel) -> tuple[float, float]:
    """What the kernel adds on slopes of 1, to the right and downwards, by plain sums."""
    right = down = 0.0
    height, width = kernel.size
    for r, row in enumerate(kernel.array().tolist()):
        for c, weight in enumerate(row):
            right += weight * (c - (width - 1) // 2)
            down += weight * (r - (height - 1) // 2)
    return right, down


@pytest.mark.parametrize("name", TYPED)
def test_coefficients(name):
    rows, scale = TYPED[name]
    kernel = KERNELS[name]
    np.testing.assert_array_equal(kernel.array(), np.array(rows) / scale)
    assert kernel.scale == scale
    assert kernel.size == (len(rows), len(rows[0]))


def test_every_kernel_was_typed():
    assert set(KERNELS) == set(TYPED) | {"farid-x", "farid-y"}


def test_farid_has_all_digits_of_scikit_image():
    impulse = np.zeros((13, 14))
    impulse[6, 7] = 1
    for name, peer in (
        ("farid-x", skimage_filters.farid_v),
        ("farid-y", skimage_filters.farid_h),
    ):
        response = ndimage.correlate(impulse, KERNELS[name].array(), mode="constant")
        np.testing.assert_allclose(peer(impulse), response, atol=1e-15)


@pytest.mark.parametrize(("name", "offset"), [("emboss-pillow", 128), ("contour", 255)])
def test_offsets(name, offset):
    assert {k: v.offset for k, v in KERNELS.items() if v.offset}[name] == offset


@pytest.mark.parametrize("name", RAMPS)
def test_response_to_a_ramp(name):
    assert ramp_response(KERNELS[name]) == pytest.approx(RAMPS[name], abs=1e-6)


@pytest.mark.parametrize("kernel", EVERY)
def test_sums(kernel):
    expected = {
        "emboss": 1,
        "lecture": 2,
        "lecture-cross": 5,
        "lecture-digit": 11,
    }
    ones = (
        "identity",
        "box",
        "gaussian",
        "smooth",
        "blur",
        "sharpen",
        "edge-enhance",
        "detail",
        "unsharp",
    )
    total = expected.get(kernel.name, 1 if kernel.name.startswith(ones) else 0)
    assert kernel.total == pytest.approx(total, abs=1e-15)
    assert kernel.zero_sum == (total == 0)
    assert kernel.absolute == pytest.approx(np.abs(kernel.array()).sum(), rel=1e-15)


@pytest.mark.parametrize("stem", ["diff", "sobel", "scharr", "prewitt", "freichen", "farid"])
def test_y_is_the_transpose_of_x(stem):
    assert KERNELS[f"{stem}-y"].weights == KERNELS[f"{stem}-x"].transpose().weights
    np.testing.assert_array_equal(
        KERNELS[f"{stem}-y"].array(), np.transpose(KERNELS[f"{stem}-x"].array())
    )


@pytest.mark.parametrize("stem", ["kirsch", "robinson", "compass"])
def test_the_eight_directions_turn(stem):
    for here, there in zip(DIRECTIONS, DIRECTIONS[2:] + DIRECTIONS[:2], strict=True):
        np.testing.assert_array_equal(
            np.rot90(KERNELS[f"{stem}-{here}"].array()), KERNELS[f"{stem}-{there}"].array()
        )
    for here, there in zip(DIRECTIONS, DIRECTIONS[1:] + DIRECTIONS[:1], strict=True):
        assert KERNELS[f"{stem}-{here}"].rotate(45).weights == KERNELS[f"{stem}-{there}"].weights
        assert KERNELS[f"{stem}-{there}"].rotate(-45).weights == KERNELS[f"{stem}-{here}"].weights


def test_the_directions_point_where_brightness_rises():
    towards = {"e": (1, 0), "ne": (1, -1), "n": (0, -1), "nw": (-1, -1)}
    for stem in ("kirsch", "robinson", "compass"):
        for point, signs in towards.items():
            response = ramp_response(KERNELS[f"{stem}-{point}"])
            assert tuple(np.sign(np.round(response, 9))) == signs


@pytest.mark.parametrize("kernel", [*EVERY, *EXAMPLES])
def test_every_kernel_says_what_it_is(kernel):
    assert kernel.summary and kernel.source
    assert "\n" not in kernel.summary + kernel.source
    assert len(kernel.summary) < 90


def test_names_do_not_collide():
    names = [*KERNELS, *ALIASES, *FAMILIES, *FAMILY_ALIASES, *GROUPS]
    assert len(names) == len(set(names))
    assert all(name == name.lower() and "_" not in name for name in names)
    assert set(ALIASES.values()) <= set(KERNELS)
    assert set(FAMILY_ALIASES.values()) <= set(FAMILIES)
    assert {member for members in GROUPS.values() for member in members} <= set(KERNELS)
    assert all(kernel.name == name for name, kernel in KERNELS.items())


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_other_names(name):
    assert parse_kernel(name) is KERNELS[OTHER_NAMES[name]]


def test_families_that_agree_with_fixed_kernels():
    assert parse_kernel("box").array().tolist() == KERNELS["box-3"].array().tolist()
    assert parse_kernel("mean").weights == KERNELS["box-3"].weights
    double = 2 * KERNELS["identity"].array()
    double = np.pad(double, 1)
    np.testing.assert_allclose(
        KERNELS["unsharp-5"].array(), double - KERNELS["gaussian-5"].array(), atol=1e-16
    )


# ----------------------------------------------------------------------------------------- families
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


# ---------------------------------------------------------------------------------------- the value
@pytest.mark.parametrize("kernel", [*EVERY, *EXAMPLES])
def test_factors_give_the_matrix_again(kernel):
    array = kernel.array()
    assert array.dtype == np.float64
    factors = kernel.separable
    rank = np.linalg.matrix_rank(array, tol=1e-10 * np.abs(array).max())
    assert (factors is not None) == (rank == 1)
    if factors is not None:
        column, row = factors
        assert (column.shape, row.shape) == ((array.shape[0],), (array.shape[1],))
        np.testing.assert_allclose(np.outer(column, row), array, atol=1e-14)


def test_whole_factors_are_exact():
    column, row, divisor = KERNELS["gaussian-3"].integer_factors()
    assert (column.tolist(), row.tolist(), divisor) == ([1, 2, 1], [1, 2, 1], 16)
    column, row = KERNELS["sobel-y-5"].separable
    assert (column.tolist(), row.tolist()) == ([-1, -2, 0, 2, 1], [1, 4, 6, 4, 1])
    column, row = KERNELS["box-3"].separable
    assert row.tolist() == [1, 1, 1]
    np.testing.assert_array_equal(column, np.full(3, 1 / 9))
    assert KERNELS["laplacian-4"].integer_factors() is None
    assert KERNELS["freichen-x"].integer_factors() is None


@given(
    column=hnp.arrays(np.int64, st.integers(1, 6), elements=st.integers(-50, 50)),
    row=hnp.arrays(np.int64, st.integers(1, 7), elements=st.integers(-50, 50)),
)
@settings(deadline=None, max_examples=100)
def test_whole_outer_products_factor_exactly(column, row):
    matrix = np.outer(column, row)
    factors = Kernel("made", tuple(map(tuple, matrix.tolist()))).integer_factors()
    if not matrix.any():
        assert factors is None
        return
    left, right, divisor = factors
    assert divisor == 1
    np.testing.assert_array_equal(np.outer(left, right), matrix)
    assert np.gcd.reduce(right) == 1
    assert right.sum() > 0 or (right.sum() == 0 and left.sum() >= 0)


@given(
    st.integers(1, 6).flatmap(
        lambda h: st.integers(1, 5).flatmap(
            lambda w: st.tuples(
                *[hnp.arrays(np.float64, n, elements=st.floats(-9, 9, width=32)) for n in (h, w)]
            )
        )
    )
)
@settings(deadline=None, max_examples=100)
def test_float_outer_products_are_separable(pair):
    matrix = np.outer(*pair)
    factors = Kernel("made", tuple(map(tuple, matrix.tolist()))).separable
    if not matrix.any():
        assert factors is None
        return
    np.testing.assert_allclose(np.outer(*factors), matrix, atol=1e-12 * np.abs(matrix).max())


def test_nearly_separable_is_not():
    exact = np.outer([0.1, 0.7, 0.2], [0.3, 0.3, 0.4])
    assert Kernel("rounding", tuple(map(tuple, (exact * (1 + 1e-15)).tolist()))).separable
    exact[2, 1] += 1e-10
    assert Kernel("other", tuple(map(tuple, exact.tolist()))).separable is None


def test_all_zeros():
    kernel = Kernel("nothing", ((0, 0), (0, 0)))
    assert kernel.zero_sum
    assert kernel.separable is None
    assert kernel.integer_factors() is None
    assert Kernel("nothing", ((0.0, 0.5 - 0.5),)).separable is None


def test_identity_is_known():
    assert KERNELS["identity"].is_identity
    assert not KERNELS["box-3"].is_identity
    assert Kernel("two of two", ((0, 0), (0, 2)), scale=2).is_identity is False
    assert Kernel("even", ((2, 0), (0, 0)), scale=2).is_identity
    assert not Kernel("brighter", ((1,),), offset=3).is_identity
    assert Kernel("one", ((1,),)).is_identity and Kernel("one", ((3,),)).is_single


def test_integers():
    array, divisor = KERNELS["unsharp-5"].integers()
    assert array.dtype == np.int64
    assert (array[2, 2], divisor) == (476, 256)
    assert KERNELS["farid-x"].integers() is None
    assert Kernel("whole floats", ((1.0, 2.0),)).integers()[0].tolist() == [[1, 2]]
    assert Kernel("too large", ((2.0**60,),)).integers() is None


def test_arrays_are_new():
    kernel = KERNELS["sobel-x"]
    kernel.array()[0, 0] = 99
    assert kernel.array()[0, 0] == -1


def test_flip_and_rotate():
    digit = KERNELS["lecture-digit"]
    np.testing.assert_array_equal(digit.flip().array(), digit.array()[::-1, ::-1])
    np.testing.assert_array_equal(digit.rotate(90).array(), np.rot90(digit.array()))
    wide = Kernel("wide", ((1, 2, 3), (4, 5, 6)))
    for turns in (-1, 0, 1, 2, 3, 5):
        np.testing.assert_array_equal(
            wide.rotate(90 * turns).array(), np.rot90(wide.array(), turns)
        )
    with pytest.raises(OptionError, match=r"cannot be turned by 45°: a 2×3 .* multiples of 90"):
        wide.rotate(45)
    with pytest.raises(OptionError, match=r"turns by multiples of 45°$"):
        digit.rotate(30)


@pytest.mark.parametrize(
    ("weights", "more", "match"),
    [
        ((), {}, "has no weights"),
        (((),), {}, "has no weights"),
        (((1, 2), (3,)), {}, "row 2 has 1 value, row 1 has 2; all rows need the same number"),
        (((1, 2), (3, math.nan)), {}, "row 2 holds nan; weights must be finite and at most"),
        (((1, -math.inf),), {}, "row 1 holds -inf"),
        (((1,),), {"scale": 0}, "the divisor is 0"),
        (((1,),), {"scale": math.inf}, "the divisor is inf"),
        (((1,),), {"offset": math.nan}, "the offset is nan"),
    ],
)
def test_nonsense_is_refused(weights, more, match):
    with pytest.raises(OptionError, match=match):
        Kernel("bad", weights, **more)


def test_largest_side():
    assert parse_kernel(f"box:{MAX_SIDE}").size == (MAX_SIDE, MAX_SIDE)
