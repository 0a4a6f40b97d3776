"""What a kernel tells about itself: factors, integers, sums; turning and flipping it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnntool.errors import OptionError
from cnntool.filters.kernel import Kernel
from cnntool.filters.kernel_families import FAMILIES, MAX_SIDE
from cnntool.filters.kernel_text import parse_kernel
from cnntool.filters.kernels import KERNELS

EVERY = [pytest.param(kernel, id=name) for name, kernel in KERNELS.items()]
EXAMPLES = [pytest.param(parse_kernel(f.example), id=f.example) for f in FAMILIES.values()]


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
