"""Products cut into pieces against sums written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.ops import products
from cnntool.ops.products import accumulate, multiply

SIZES = [
    # rows, inner, columns: from none to many, on both sides of every cut
    (1, 1, 1), (3, 0, 5), (0, 4, 3), (3, 4, 0), (2, 3, 70), (3, 101, 5003), (5, 7, 30_011),
    (40, 300, 97), (2, 12_000, 130), (1, 200_000, 9), (130, 120, 129),
]  # fmt: skip


def numbers(rng, *shape):
    """Whole numbers: their sums are exact in every order."""
    return rng.integers(-4, 5, shape).astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_multiply(size, batch, xp, rng):
    rows, inner, columns = size
    a, b = numbers(rng, *batch, rows, inner), numbers(rng, *batch, inner, columns)
    out = xp.to_device(np.full((*batch, rows, columns), np.nan, np.float32))
    assert multiply(xp.to_device(a), xp.to_device(b), out, xp.xp) is None
    wanted = np.matmul(a.astype(np.int64), b.astype(np.int64))
    np.testing.assert_array_equal(xp.to_host(out), wanted)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_accumulate(size, batch, xp, rng):
    """What is there already stays in the sum; what ``part`` holds does not count."""
    rows, columns, inner = size
    a, b = numbers(rng, *batch, rows, inner), numbers(rng, *batch, columns, inner)
    before = numbers(rng, *batch, rows, columns)
    total = xp.to_device(before)
    part = xp.to_device(np.full(before.shape, np.nan, np.float32))
    accumulate(xp.to_device(a), xp.to_device(b), total, part, xp.xp)
    product = np.matmul(a.astype(np.int64), b.astype(np.int64).swapaxes(-1, -2))
    np.testing.assert_array_equal(xp.to_host(total), before + product)
    accumulate(xp.to_device(a), xp.to_device(b), total, part, xp.xp, first=True)
    np.testing.assert_array_equal(xp.to_host(total), product)


@given(
    st.integers(1, 4), st.integers(1, 40), st.integers(1, 3000), st.integers(0, 2**32 - 1),
    st.sampled_from([64, 1000, 30_000]), st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
@settings(max_examples=60, database=None)
def test_cuts_of_any_size(rows, inner, columns, seed, most, dtype):
    rng = np.random.default_rng(seed)
    a, b, c = (
        rng.integers(-4, 5, shape).astype(dtype)
        for shape in ((rows, inner), (inner, columns), (rows, columns))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_IN_PLACE", most, raising=False)
        out = np.full((rows, columns), np.nan, dtype)
        multiply(a, b, out, np)
        total, part = np.zeros((rows, inner), dtype), np.empty((rows, inner), dtype)
        accumulate(c, b, total, part, np)
    np.testing.assert_array_equal(out, np.einsum("ik,kj->ij", a, b))
    np.testing.assert_array_equal(total, np.einsum("ij,kj->ik", c, b))


def test_operands_and_results_with_gaps(rng):
    """Turned, and parts of larger arrays, as filters and strips are."""
    a, b = numbers(rng, 6, 20), numbers(rng, 40, 3000)
    wide = np.full((6, 5000), 9, np.float32)
    multiply(a.T[::2].T[:, ::2], b[:20:4, ::2], wide[:, 700:2200], np)
    wanted = a[:, ::4] @ b[:20:4, ::2]
    np.testing.assert_array_equal(wide[:, 700:2200], wanted)
    assert (wide[:, :700] == 9).all() and (wide[:, 2200:] == 9).all()
    total, part = np.zeros((10, 12), np.float32)[:6, ::2], np.empty((6, 6), np.float32)
    accumulate(wide, numbers(rng, 12, 5000)[::2], total, part, np)
    assert total.any()


def test_rounding_stays_that_of_float32(rng):
    a, b = rng.standard_normal((3, 2000)), rng.standard_normal((2000, 700))
    out = np.empty((3, 700), np.float32)
    multiply(a.astype(np.float32), b.astype(np.float32), out, np)
    assert np.abs(out - a @ b).max() <= 2e-6 * np.abs(a @ b).max()
    total, part = np.zeros((3, 700), np.float32), np.empty((3, 700), np.float32)
    accumulate(a.astype(np.float32), b.T.astype(np.float32), total, part, np)
    assert np.abs(total - a @ b).max() <= 2e-6 * np.abs(a @ b).max()
