"""Pyramids against loops, and back to the very picture."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cnntool.errors import OptionError, ShapeError
from cnntool.filters import pyramid as module
from cnntool.filters.pyramid import (
    collapse,
    expand,
    gaussian_pyramid,
    laplacian_pyramid,
    max_levels,
    reduce,
)

SHAPES = [(h, w) for h in (1, 2, 3, 4, 5, 8, 9) for w in (1, 2, 3, 6, 7)] + [(9, 10, 3), (4, 7, 2)]


@pytest.fixture(params=["whole", "strips"])
def strips(request, monkeypatch):
    if request.param == "strips":
        monkeypatch.setattr(module, "STRIP_BYTES", 1)


def half(shape):
    return (-(-shape[0] // 2), -(-shape[1] // 2), *shape[2:])


@pytest.mark.parametrize("shape", [*SHAPES, (40, 21), (33, 12, 4)], ids=str)
@pytest.mark.usefixtures("strips")
def test_reduce_and_expand(shape, rng):
    x = rng.standard_normal(shape)
    np.testing.assert_allclose(reduce(x), reference.pyramid_reduce(x), rtol=0, atol=1e-14)
    small = rng.standard_normal(half(shape))
    wanted = reference.pyramid_expand(small, shape[:2])
    np.testing.assert_allclose(expand(small, shape), wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_flat_pictures_stay_flat(shape):
    x = np.full(shape, 200, dtype=np.uint8)
    assert (reduce(x) == 200).all()
    assert (expand(np.full(half(shape), 200, dtype=np.uint8), shape) == 200).all()


def test_levels_by_definition(rng):
    x = rng.standard_normal((13, 22, 3))
    gauss = [x]
    for _ in range(3):
        gauss.append(reference.pyramid_reduce(gauss[-1]))
    for found, wanted in zip(gaussian_pyramid(x, 4), gauss, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13)
    for k, found in enumerate(laplacian_pyramid(x, 4)):
        wanted = gauss[k]
        if k < 3:
            wanted = wanted - reference.pyramid_expand(gauss[k + 1], wanted.shape[:2])
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([np.uint8, np.uint16]).flatmap(
        lambda dtype: arrays.arrays(
            dtype, arrays.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=17)
        )
    ),
    st.integers(1, 6),
)
def test_pictures_of_8_and_16_bits_come_back_exactly(image, levels):
    levels = min(levels, max_levels(*image.shape[:2]))
    back = collapse(laplacian_pyramid(image, levels))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.usefixtures("strips")
def test_extremes_come_back_exactly(dtype, rng):
    top = np.iinfo(dtype).max
    for share in (0.5, 0.01, 0.99):  # contrasts where the sums round most
        image = np.where(rng.random((60, 71, 3)) < share, top, 1).astype(dtype)
        np.testing.assert_array_equal(collapse(laplacian_pyramid(image, 6)), image)


def test_floats_come_back_to_rounding(rng):
    x = rng.standard_normal((37, 50))
    back = collapse(laplacian_pyramid(x, 5))
    assert back.dtype == np.float64
    np.testing.assert_allclose(back, x, rtol=0, atol=1e-14)
    single = x.astype(np.float32)
    back = collapse(laplacian_pyramid(single, 5))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, single, rtol=0, atol=1e-6)


def test_small_fractions_are_not_rounded_away(rng):
    x = rng.integers(0, 1000, (20, 30)).astype(np.float32) * 1e-6  # all near the whole number 0
    back = collapse(laplacian_pyramid(x, 4))
    np.testing.assert_allclose(back, x, rtol=0, atol=1e-9)


def test_inputs_are_not_modified(rng):
    x = rng.standard_normal((9, 14)).astype(np.float32)
    before = x.copy()
    levels = laplacian_pyramid(x, 3)
    copies = [level.copy() for level in levels]
    collapse(levels)[...] = 7
    gaussian_pyramid(x, 1)[0][...] = 7
    laplacian_pyramid(x, 1)[0][...] = 7
    collapse([x])[...] = 7
    np.testing.assert_array_equal(x, before)
    for level, copy in zip(levels, copies, strict=True):
        np.testing.assert_array_equal(level, copy)


@pytest.mark.parametrize("shape", [(9, 14), (8, 5, 3)])
def test_every_library(shape, xp, rng):
    x = rng.integers(0, 256, shape).astype(np.uint8)
    device = xp.to_device(x)
    with xp.no_transfers():
        gauss, laplace = gaussian_pyramid(device, 3), laplacian_pyramid(device, 3)
        back = collapse(laplace)
    for found, wanted in zip(gauss + laplace, gaussian_pyramid(x, 3) + laplacian_pyramid(x, 3),
                             strict=True):  # fmt: skip
        assert found.dtype == np.float32
        np.testing.assert_array_equal(xp.to_host(found), wanted)
    np.testing.assert_array_equal(xp.to_host(back), x)


def test_number_of_levels():
    assert [max_levels(n, 1) for n in (1, 2, 3, 4, 5, 8, 9)] == [1, 2, 3, 3, 4, 4, 5]
    assert [level.shape for level in gaussian_pyramid(np.zeros((5, 3)), 4)] == [
        (5, 3), (3, 2), (2, 1), (1, 1)
    ]  # fmt: skip
    with pytest.raises(OptionError, match="at least 1 level, got 0"):
        laplacian_pyramid(np.zeros((5, 3)), 0)
    message = "a picture of 5 x 3 has 4 levels at most, got 5; 5 levels need 9 rows or columns"
    with pytest.raises(ShapeError, match=message):
        gaussian_pyramid(np.zeros((5, 3)), 5)


def test_refusals():
    with pytest.raises(
        ShapeError, match=r"a picture is \(H, W\) or \(H, W, C\) and not empty, got"
    ):
        gaussian_pyramid(np.zeros((0, 3)), 1)
    with pytest.raises(
        ShapeError, match="a picture of 2 x 3 cannot become 5 x 6; a picture of 3 x 3"
    ):
        expand(np.zeros((2, 3)), (5, 6))
    with pytest.raises(OptionError, match="collapse needs at least 1 level, got none"):
        collapse([])
    wrong = "level 1 is 3x4, but half of level 0 is 3x3; levels go from the largest to the smallest"
    with pytest.raises(ShapeError, match=wrong):
        collapse([np.zeros((5, 6)), np.zeros((3, 4))])
    with pytest.raises(ShapeError, match="level 1 is 3x3, but half of level 0 is 3x3x3"):
        collapse([np.zeros((5, 6, 3)), np.zeros((3, 3))])
