"""The table of kernels against matrices typed out here."""

import math

import numpy as np
import pytest
from scipy import ndimage
from skimage import filters as skimage_filters

from cnntool.filters.kernel import Kernel
from cnntool.filters.kernel_families import FAMILIES, FAMILY_ALIASES
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
