"""Histograms of gradients against scikit-image and against loops."""

import importlib
import math

import numpy as np
import pytest
import reference
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import hog as skimage_hog

from cnntool.errors import InputError, NameNotFound, OptionError, ShapeError
from cnntool.filters.hog import hog, hog_cells, hog_image, hog_length
from cnntool.filters.hog_gradients import bin_numbers
from cnntool.filters.words import HOG_NORMS

module = importlib.import_module("cnntool.filters.hog")  # the package has a function of this name
SKIMAGE_NORM = {"l1": "L1", "l1-sqrt": "L1-sqrt", "l2": "L2", "l2-hys": "L2-Hys"}


def oracle(image, orientations=9, cell=(8, 8), block=(3, 3), norm="l2-hys", sqrt=False):
    return skimage_hog(
        image,
        orientations,
        cell,
        block,
        SKIMAGE_NORM[norm],
        transform_sqrt=sqrt,
        channel_axis=-1 if image.ndim == 3 else None,
    )


def assert_equal(image, *, atol=1e-6, **options):
    found, wanted = hog(image, **options), oracle(image, **options)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=atol)


@pytest.fixture(scope="module")
def colour():
    return skimage.data.astronaut()[90:191, 180:310]


@pytest.fixture(scope="module")
def grey():
    return skimage.data.camera()[100:201, 200:330]


# --- scikit-image ---


@pytest.mark.parametrize("norm", HOG_NORMS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_grey_and_colour_in_every_norm(norm, dtype, grey, colour):
    for image in (grey, colour):
        samples = image.astype(np.uint16) * 257 if dtype == np.uint16 else image.astype(dtype)
        found = hog(samples, norm=norm)
        assert found.dtype == (np.float64 if dtype == np.float64 else np.float32)
        assert_equal(samples, norm=norm)


@pytest.mark.parametrize("cell", [(8, 8), (7, 7), (5, 9), (6, 3), (1, 1), (2, 1)])
@pytest.mark.parametrize("block", [(1, 1), (2, 3), (4, 1)])
def test_odd_even_and_rectangular_cells_and_blocks(cell, block, grey, colour):
    for image in (grey[:43, :38], colour[:41, :50]):
        assert_equal(image, cell=cell, block=block)
        assert_equal(image / 255, cell=cell, block=block)


@pytest.mark.parametrize("orientations", [1, 2, 4, 7, 8, 9, 12, 18, 36])
def test_numbers_of_bins(orientations, grey, colour):
    for image in (grey, colour, grey / 255, (colour / 255).astype(np.float32)):
        assert_equal(image, orientations=orientations, block=(2, 2))


@pytest.mark.parametrize("sqrt", [False, True])
@pytest.mark.parametrize("values", [2, 3, 256])
def test_few_grey_values_lie_on_the_edges_of_bins(values, sqrt, rng):
    # differences 0, +-1, +-2 and roots of them: angles of exactly 0, 45, 60, 90, 135 degrees
    image = rng.integers(0, values, (48, 53)).astype(np.uint8)
    for orientations in (2, 3, 4, 6, 8, 9, 12):
        assert_equal(image, orientations=orientations, sqrt=sqrt)
        assert_equal(image.astype(float), orientations=orientations, sqrt=sqrt)


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
    st.sampled_from([None, 1, 2, 3, 4]),
    st.integers(1, 16),
    st.sampled_from(HOG_NORMS),
)
def test_any_sizes(cell, block, extra, channels, orientations, norm):
    h, w = (c * b + e for c, b, e in zip(cell, block, extra, strict=True))
    shape = (h, w) if channels is None else (h, w, channels)
    image = np.random.default_rng(h * 100 + w).integers(0, 256, shape).astype(np.uint8)
    options = {"orientations": orientations, "cell": cell, "block": block}
    if min(h, w) >= 2:  # scikit-image cannot take differences of a single row
        assert_equal(image, **options, norm=norm)
    assert hog_length(h, w, **options) == hog(image, **options).size
    assert hog_length(h, w, **options) == hog(image, **options, signed=True).size


@pytest.mark.parametrize("orientations", [*range(1, 14), 16, 18, 20, 24, 30, 36, 45, 90, 180, 360])
def test_every_pair_of_8_bit_differences_finds_its_bin(orientations):
    difference = np.arange(-255, 256, dtype=np.float32)
    g_row, g_col = (g.copy() for g in np.meshgrid(difference, difference, indexing="ij"))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = bin_numbers(g_row, g_col, orientations, signed=False, by_slope=True)
    angle = np.rad2deg(np.arctan2(g_row.astype(float), g_col.astype(float))) % 180
    width = np.float32(180 / orientations)
    edges = (width * np.arange(1, orientations, dtype=np.float32)).astype(float)
    wanted = np.searchsorted(edges, angle, side="right")
    np.testing.assert_array_equal(found, wanted)


def test_an_angle_that_rounds_to_the_half_turn_is_not_lost():
    g_row, g_col = np.array([[-1e-20]]), np.array([[1.0]])
    assert bin_numbers(g_row, g_col, 9, signed=False, by_slope=False).item() == 0
    assert bin_numbers(g_row, g_col, 9, signed=True, by_slope=False).item() == 8


# --- loops ---


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("orientations", [1, 4, 9, 13])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_loops(signed, orientations, dtype, rng):
    for shape in ((23, 31), (23, 31, 3)):
        image = rng.integers(0, 256, shape).astype(dtype)
        cells = reference.hog_cells(image, orientations, (5, 7), signed)
        for norm in HOG_NORMS:
            wanted = reference.hog_blocks(cells, (2, 3), norm)
            found = hog(image, orientations, (5, 7), (2, 3), norm, signed=signed)
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_single_rows_and_columns_have_no_gradient_across(rng):
    row = rng.integers(0, 256, (1, 9)).astype(np.uint8)
    for image in (row, row.T.copy()):
        cell = image.shape
        cells = reference.hog_cells(image, 4, cell)
        wanted = reference.hog_blocks(cells, (1, 1), "l2")
        np.testing.assert_allclose(hog(image, 4, cell, 1, "l2"), wanted, atol=1e-6)


def test_gradient_of_the_lecture():
    image = np.array(
        [
            [121, 10, 78, 96, 125],
            [48, 152, 68, 125, 111],
            [145, 78, 85, 89, 65],
            [154, 214, 56, 200, 66],
            [214, 87, 45, 102, 45],
        ],
        dtype=np.uint8,
    )
    g_row, g_col = module._gradients(image, 0, 5, 5, np.dtype(np.float32))
    assert (g_row[2, 2], g_col[2, 2]) == (-12, 11)


# --- properties ---


def test_flat_pictures_give_zeros():
    assert not hog(np.full((30, 40), 77, dtype=np.uint8)).any()


def test_brightness_and_contrast_do_not_matter(grey):
    image = grey / 4
    np.testing.assert_allclose(hog(image + 50), hog(image), atol=1e-9)
    np.testing.assert_allclose(hog(image * 3), hog(image), atol=1e-6)


def test_inverting_turns_signed_bins_by_half(grey):
    inverted = 255 - grey
    np.testing.assert_array_equal(hog(inverted), hog(grey))
    signed = hog(grey, orientations=8, signed=True).reshape(-1, 2, 4)
    turned = hog(inverted, orientations=8, signed=True).reshape(-1, 2, 4)
    np.testing.assert_allclose(turned, signed[:, ::-1], atol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_signed_bins_add_up_to_unsigned_ones(signed, grey):
    halves = module._histograms(grey, module.make_plan(grey.shape, 18, 8, 1, True), sqrt=False)
    whole = module._histograms(grey, module.make_plan(grey.shape, 9, 8, 1, False), sqrt=False)
    np.testing.assert_allclose(halves[..., :9] + halves[..., 9:], whole, rtol=1e-6)


def test_a_single_channel_is_grey(grey):
    np.testing.assert_array_equal(hog(grey[..., None]), hog(grey))


def test_strips_change_nothing(monkeypatch, colour, grey):
    images = (grey, grey / 255, colour, np.asfortranarray(grey), grey[::-1, ::2])
    whole = [hog(image, cell=(6, 5)) for image in images]
    monkeypatch.setattr(module, "STRIP_BYTES", 1)
    for image, wanted in zip(images, whole, strict=True):
        before = image.copy()
        np.testing.assert_allclose(hog(image, cell=(6, 5)), wanted, rtol=0, atol=1e-7)
        np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("signed", [False, True])
def test_every_library(signed, xp, grey, colour):
    for image in (grey, colour, (colour / 255).astype(np.float32)):
        device = xp.to_device(image)
        found = hog(device, signed=signed)
        assert found.dtype == np.float32
        np.testing.assert_allclose(xp.to_host(found), hog(image, signed=signed), rtol=0, atol=1e-7)
        drawing = hog_image(device, signed=signed)
        np.testing.assert_allclose(
            xp.to_host(drawing), hog_image(image, signed=signed), rtol=1e-6, atol=1e-6
        )


def test_a_device_uploads_nothing(double, colour):
    device = double.to_device(colour)
    with double.no_transfers(allow_sync=True, allow_float64=True):
        hog(device)


# --- the drawing ---


@pytest.mark.parametrize("cell", [(8, 8), (9, 11), (2, 3), (20, 30)])
@pytest.mark.parametrize("orientations", [1, 3, 8, 9])
def test_drawing_is_that_of_scikit_image(cell, orientations, grey, colour):
    for image in (grey, colour):
        _, wanted = skimage_hog(
            image,
            orientations,
            cell,
            (1, 1),
            visualize=True,
            channel_axis=-1 if image.ndim == 3 else None,
        )
        found = hog_image(image, orientations, cell)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_drawing_of_tiny_cells_stays_inside():
    image = np.arange(12.0).reshape(3, 4)
    assert hog_image(image, 4, 1).shape == (3, 4)
    assert hog_image(image, 4, 1).dtype == np.float64
    assert np.isfinite(hog_image(image, 4, (1, 2))).all()


def test_drawing_shows_the_edge_not_the_gradient():
    ramp = np.tile(np.arange(16.0), (16, 1))  # rises to the right: edges run down
    lit = hog_image(ramp, 9, 16)
    rows, columns = np.nonzero(lit)
    assert np.ptp(rows) > 3 * np.ptp(columns)


# --- errors ---


def test_too_small():
    message = (
        "hog needs at least 24 rows and 24 columns for 3x3 blocks of 8x8 cells; "
        "the image has 20 x 64"
    )
    with pytest.raises(ShapeError, match=message) as caught:
        hog(np.zeros((20, 64)))
    assert caught.value.facts == {"needed": (24, 24), "found": (20, 64)}
    with pytest.raises(ShapeError, match="at least 10 rows and 12 columns for 2x4 blocks of 5x3"):
        hog_length(64, 11, cell=(5, 3), block=(2, 4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": 0}, "cell must be at least 1 x 1, got 0 x 0"),
        ({"block": (2, 0)}, "block must be at least 1 x 1, got 2 x 0"),
        ({"orientations": 0}, "orientations must be from 1 to 360, got 0"),
        ({"orientations": 361}, "orientations must be from 1 to 360, got 361"),
        ({"cell": (1, 2, 3)}, r"cell takes one number or two .* got 3"),
    ],
)
def test_numbers_that_make_no_sense(options, message):
    with pytest.raises(OptionError, match=message):
        hog(np.zeros((64, 64)), **options)


def test_other_refusals():
    image = np.zeros((32, 32))
    with pytest.raises(NameNotFound, match="unknown norm 'l2hys'; did you mean 'l2-hys'"):
        hog(image, norm="l2hys")
    with pytest.raises(ShapeError, match=r"a picture is \(H, W\) or \(H, W, C\), got shape 32"):
        hog(np.zeros(32))
    with pytest.raises(ShapeError, match="got shape 32x32x0"):
        hog(np.zeros((32, 32, 0)))
    image[3, 4] = -2.5
    with pytest.raises(InputError, match=r"sqrt needs samples of at least 0; the smallest is -2.5"):
        hog(image, sqrt=True)
    for bad in (math.nan, math.inf):
        image[3, 4] = bad
        with pytest.raises(InputError, match="holds NaN or infinite samples"):
            hog(image)


@pytest.mark.parametrize("signed", [False, True])
def test_cells_are_what_blocks_are_made_of(rng, signed):
    """Blocks of one cell, normalised by their sum, are the histograms but for their sizes."""
    image = rng.integers(0, 256, (37, 45, 3)).astype(np.uint8)
    cells = hog_cells(image, 7, (8, 6), signed=signed)
    assert cells.shape == (4, 7, 7)
    shares = cells / (cells.sum(axis=2, keepdims=True) + 1e-5)
    blocks = hog(image, 7, (8, 6), (1, 1), norm="l1", signed=signed)
    np.testing.assert_allclose(blocks, shares.ravel(), atol=1e-6)
    # the mean magnitude of a cell is spread over its bins
    row, column = np.gradient(image[..., 0].astype(float))
    magnitude = 2 * np.hypot(row, column)[8:16, 6:12]  # inside, where differences have two sides
    np.testing.assert_allclose(hog_cells(image[..., 0], 1, (8, 6))[1, 1, 0], magnitude.mean())
