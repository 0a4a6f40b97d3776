"""Output tiles: kernels for four neighbouring outputs, and their gradients back."""

import numpy as np
import pytest
import reference_nn as loops
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.ops import memory, tiles
from cnntool.ops.tiles import PLACES, expand, fold

SHAPES = st.tuples(*(st.integers(1, limit) for limit in (5, 4, 5, 6)))


def test_places_are_those_of_a_square_row_by_row():
    assert [(row, column) for row in range(tiles.SIDE) for column in range(tiles.SIDE)] == [*PLACES]


@given(SHAPES, st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=40, database=None)
def test_folding_is_the_transpose_of_expanding(shape, seed, dtype):
    """<expand w, g> = <w, fold g>, exactly in whole numbers."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-9, 10, shape).astype(dtype)
    wide = expand(weight, np)
    assert wide.shape == (4 * shape[0], shape[1], shape[2] + 1, shape[3] + 1)
    assert wide.dtype == dtype
    grad = rng.integers(-9, 10, wide.shape).astype(dtype)
    narrow = fold(grad)
    assert narrow.shape == shape and narrow.dtype == dtype
    assert (wide * grad).sum() == (weight * narrow).sum()
    np.testing.assert_array_equal(fold(wide), 4 * weight)


@given(SHAPES)
@settings(max_examples=20, database=None)
def test_kernels_stand_where_they_should(shape):
    """Row and column of the place, zeros around."""
    weight = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    o, _, kh, kw = shape
    wide = expand(weight, np).reshape(4, o, shape[1], kh + 1, kw + 1)
    for number, (row, column) in enumerate(PLACES):
        framed = np.zeros((o, shape[1], kh + 1, kw + 1))
        framed[:, :, row : row + kh, column : column + kw] = weight
        np.testing.assert_array_equal(wide[number], framed)


def test_a_window_gives_four_outputs(rng):
    """The expanded kernels with step 2 are the convolution, place by place."""
    x, weight = rng.standard_normal((3, 8, 9, 2)), rng.standard_normal((2, 3, 3, 2))
    wanted = loops.conv2d(x, weight, None, (1, 1), (0,) * 4)  # 6 x 8 outputs
    found = loops.conv2d(x, expand(weight, np), None, (2, 2), (0,) * 4)
    found = found.reshape(4, 2, 3, 4, 2)
    for number, (row, column) in enumerate(PLACES):
        np.testing.assert_allclose(found[number], wanted[:, row::2, column::2], atol=1e-12)


def test_on_both_libraries(xp, rng):
    weight = rng.integers(-9, 10, (2, 3, 4, 5)).astype(np.float32)
    with xp.no_transfers():
        given = xp.xp.zeros((2, 3, 4, 5), dtype=np.float32)
        assert fold(expand(given, xp.xp)).shape == given.shape
    wide = expand(xp.to_device(weight), xp.xp)
    np.testing.assert_array_equal(xp.to_host(fold(wide)), 4 * weight)
    np.testing.assert_array_equal(xp.to_host(wide), expand(weight, np))


def test_inputs_stay_as_they_are(rng):
    weight = rng.standard_normal((20, 30, 5, 6))
    kept = weight.copy()
    with memory.Pool().used():
        memory.empty(np, (80, 30, 6, 7), np.float64).fill(np.nan)  # memory that was used
        wide = expand(weight, np)
        assert np.isfinite(wide).all()
        held = wide.copy()
        first, second = fold(wide), fold(wide)
    np.testing.assert_array_equal(weight, kept)
    np.testing.assert_array_equal(wide, held)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 1, 4)])
def test_strided_kernels(shape, rng):
    """As they lie in a network's flat array, turned or not."""
    weight = rng.standard_normal(shape[::-1]).T
    assert weight.shape == shape
    np.testing.assert_array_equal(expand(weight, np), expand(weight.copy(), np))
