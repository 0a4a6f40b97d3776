"""Dropout: its arithmetic, and whether its mask behaves like chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.nn.gradcheck import check_gradient
from cnntool.ops import hashing
from cnntool.ops import masking as module
from cnntool.ops.masking import dropout, dropout_vjp, kept


def mixed(number):
    """The hash, with Python's integers."""
    number ^= number >> 16
    number = number * 0x21F0AAAD % 2**32
    number ^= number >> 15
    return number * 0x735A2D97 % 2**32


def signs(*args, **kwargs):
    return kept(np, *args, **kwargs) * 2.0 - 1


def deviation(values):
    """The mean of values +1 and -1 in standard deviations of fair coins."""
    return abs(values.mean()) * np.sqrt(values.size)


# --- arithmetic ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("p", [0, 0.1, 0.5, 0.9, 1])
def test_kept_numbers_are_scaled_and_others_zero(dtype, p, rng):
    x = rng.integers(1, 200, (3, 5, 7, 11)).astype(dtype)
    before = x.copy()
    y = dropout(x, p, seed=1)
    keep = kept(np, x.shape, p, seed=1) if p < 1 else np.zeros(x.shape, bool)
    assert y.dtype == (np.float64 if dtype == np.float64 else np.float32)
    scale = 1 / (1 - p) if p < 1 else 0
    np.testing.assert_allclose(y, np.where(keep, x * scale, 0), rtol=1e-6)
    assert (y != 0).mean() == pytest.approx(1 - p, abs=0.06)
    np.testing.assert_array_equal(x, before)
    assert not np.shares_memory(x, y)


def test_nothing_is_dropped_outside_training(rng):
    x = rng.standard_normal((4, 3))
    for options in ({"training": False}, {"p": 0}):
        y, backward = dropout_vjp(x, **options, seed=1)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(backward(x), x)
        assert not np.shares_memory(y, x)


@pytest.mark.parametrize("p", [0, 0.3, 1])
def test_gradient(p, rng):
    x = rng.standard_normal((3, 4, 5, 2))
    check_gradient(lambda v: dropout_vjp(v, p, seed=3, step=4), x, rng=rng)
    np.testing.assert_array_equal(
        dropout_vjp(x, p, seed=3, step=4)[0], dropout(x, p, seed=3, step=4)
    )


def test_dropped_infinities_and_nan_are_zeros():
    x = np.full((20, 5), np.inf, np.float32)
    x[::2] = np.nan
    keep = kept(np, x.shape, 0.5, seed=2)
    y, backward = dropout_vjp(x, 0.5, seed=2)
    assert (y[~keep] == 0).all()
    assert (backward(x)[~keep] == 0).all()
    assert not np.isfinite(y[keep]).any()


@pytest.mark.parametrize("p", [0, 0.4, 1])
def test_buffers_are_reused(p, rng):
    x = rng.standard_normal((6, 5), dtype=np.float32)
    wanted, wanted_backward = dropout_vjp(x, p, seed=1)
    inside = x.copy()
    y, backward = dropout_vjp(inside, p, seed=1, out=inside)
    assert y is inside
    np.testing.assert_array_equal(y, wanted)
    grad_y = rng.standard_normal(x.shape, dtype=np.float32)
    grad = wanted_backward(grad_y)
    assert backward(grad_y, out=grad_y) is grad_y
    np.testing.assert_array_equal(grad_y, grad)
    with pytest.raises(ShapeError, match=r"out must have shape \(6, 5\) and type float32"):
        dropout(x, p, seed=1, out=np.ones((6, 5)))


# --- the mask ---


def test_the_hash_is_the_documented_one():
    numbers = np.arange(40)
    found = hashing.counted(np, 7, 40, 0xABCDEF, whole=False)
    assert found.tolist() == [mixed((int(n) + 7) % 2**32 ^ 0xABCDEF) for n in numbers]
    places, images = (
        hashing.counted(np, first, count, hashing.key(9, 2, which), whole=False)
        for which, first, count in ((0, 0, 6), (1, 3, 4))
    )
    keep = kept(np, (2, 3, 4), 0.25, seed=9, step=2, offset=3)
    hashes = [[mixed(int(a) ^ int(b)) for b in images] for a in places]
    np.testing.assert_array_equal(keep, np.reshape(hashes, (2, 3, 4)) >= 2**30)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 12), st.integers(1, 30), st.data(), st.integers(), st.integers(), st.floats(0, 1)
)
def test_a_shard_drops_what_the_batch_drops(features, n, data, seed, step, p):
    cut = data.draw(st.integers(0, n))
    whole = kept(np, (features, n), p, seed=seed, step=step, offset=5)
    left = kept(np, (features, cut), p, seed=seed, step=step, offset=5)
    right = kept(np, (features, n - cut), p, seed=seed, step=step, offset=5 + cut)
    np.testing.assert_array_equal(np.concatenate([left, right], axis=1), whole)


def test_the_shape_of_an_image_does_not_matter():
    maps = kept(np, (3, 4, 5, 6), 0.5, seed=1)
    np.testing.assert_array_equal(maps.reshape(60, 6), kept(np, (60, 6), 0.5, seed=1))


def test_blocks_change_nothing(monkeypatch):
    whole = kept(np, (37, 11), 0.5, seed=1)
    for size in (1, 100, 1 << 30):
        monkeypatch.setattr(module, "BLOCK", size)
        np.testing.assert_array_equal(kept(np, (37, 11), 0.5, seed=1), whole)


@pytest.mark.parametrize("p", [0.001, 0.1, 0.25, 0.5, 0.9, 0.999])
def test_share_of_zeros(p):
    count = 400 * 500
    for seed in range(5):
        dropped = count - kept(np, (400, 500), p, seed=seed).sum()
        assert abs(dropped - p * count) < 4.5 * np.sqrt(p * (1 - p) * count)


def test_no_two_masks_or_neighbours_are_related():
    shape = (400, 500)
    mask = signs(shape, 0.5, seed=1, step=1)
    others = [
        signs(shape, 0.5, seed=seed, step=step)
        for seed, step in ((1, 2), (1, -2), (2, 1), (-1, 1), (1 + 2**32, 1), (1, 1 + 2**40))
    ]
    for other in others:
        assert deviation(mask * other) < 4.5
        assert deviation((mask * other)[1:] * (mask * other)[:-1]) < 4.5
    for lag in (1, 2, 64):
        assert deviation(mask[lag:] * mask[:-lag]) < 4.5
        assert deviation(mask[:, lag:] * mask[:, :-lag]) < 4.5
    # rows and columns enter by an exclusive or: its four corners must not cancel
    corners = mask[1:, 1:] * mask[1:, :-1] * mask[:-1, 1:] * mask[:-1, :-1]
    assert deviation(corners) < 4.5


def test_every_place_gets_its_share_over_the_steps():
    steps = 2000
    counts = sum(kept(np, (16, 8), 0.5, seed=5, step=step) * 1 for step in range(steps))
    assert (np.abs(counts - steps / 2) < 4.5 * np.sqrt(steps / 4)).all()
    # and no two places go together
    masks = np.stack([signs((16, 4), 0.5, seed=5, step=step).ravel() for step in range(steps)])
    together = masks.T @ masks / np.sqrt(steps)
    np.fill_diagonal(together, 0)
    assert np.abs(together).max() < 5


def test_runs_have_the_lengths_of_chance():
    mask = kept(np, (1000, 200), 0.5, seed=3).T.ravel()
    ends = np.flatnonzero(np.diff(mask))
    lengths = np.bincount(np.minimum(np.diff(ends), 12), minlength=13)[1:]
    wanted = len(ends) * np.array([0.5**k for k in range(1, 12)] + [0.5**11])
    chi = ((lengths - wanted) ** 2 / wanted).sum()
    assert chi < 35  # 11 degrees of freedom: 31.3 has probability 0.001


def test_every_library_drops_the_same(xp, rng):
    x = rng.standard_normal((3, 5, 7, 4), dtype=np.float32)
    device = xp.to_device(x)
    for p in (0, 0.3, 1):
        with xp.no_transfers():
            y, backward = dropout_vjp(device, p, seed=11, step=3, offset=64)
            grad = backward(y)
        host_y, host_backward = dropout_vjp(x, p, seed=11, step=3, offset=64)
        assert y.dtype == grad.dtype == np.float32
        np.testing.assert_array_equal(xp.to_host(y), host_y)
        np.testing.assert_array_equal(xp.to_host(grad), host_backward(host_y))


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan])
def test_shares_that_are_none(p):
    for function in (dropout, dropout_vjp):
        with pytest.raises(OptionError, match="dropout zeroes must be between 0 and 1, got"):
            function(np.ones((2, 2)), p, seed=1)
