"""2x2 maxima as a contest of four arrays, against loops over windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.ops import quads
from cnntool.ops.correlation_methods import Scratch

SHAPES = st.tuples(st.integers(1, 4), st.integers(2, 9), st.integers(2, 8), st.integers(1, 5))


def places(maps):
    """Maximum and (row, column) of the first largest cell of every window."""
    c, h, w, n = maps.shape
    best = np.empty((c, h // 2, w // 2, n), maps.dtype)
    place = np.empty((*best.shape, 2), int)
    for index in np.ndindex(best.shape):
        channel, row, column, image = index
        window = maps[channel, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2, image]
        down, across = divmod(int(np.argmax(window)), 2)
        best[index] = window.max()
        place[index] = 2 * row + down, 2 * column + across
    return best, place


@given(SHAPES, st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=60, database=None)
def test_the_first_of_the_largest_wins_and_gets_the_gradient(shape, seed, dtype):
    rng = np.random.default_rng(seed)
    maps = rng.integers(-2, 3, shape).astype(dtype)  # many are equal
    kept = maps.copy()
    wanted, place = places(maps)
    found, wins = np.empty_like(wanted), np.empty((3, *wanted.shape), bool)
    scratch = Scratch(np, dtype)
    quads.largest(quads.quads_of(maps), found, wins, scratch)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(maps, kept)
    quads.largest(quads.quads_of(maps), found, None, scratch)
    np.testing.assert_array_equal(found, wanted)

    grad = rng.integers(1, 9, wanted.shape).astype(dtype)
    back = np.full(shape, np.nan, dtype)
    quads.spread(grad, wins, quads.quads_of(back), scratch)
    expected = np.zeros(shape, dtype)
    for channel, row, column, image in np.ndindex(grad.shape):
        at = place[channel, row, column, image]
        expected[channel, at[0], at[1], image] = grad[channel, row, column, image]
    seen = np.s_[:, : shape[1] // 2 * 2, : shape[2] // 2 * 2]
    np.testing.assert_array_equal(back[seen], expected[seen])


def test_on_a_device(xp, rng):
    maps = rng.standard_normal((3, 7, 6, 4)).astype(np.float32)
    wanted, _ = places(maps)
    device, shape = xp.to_device(maps), wanted.shape
    with xp.no_transfers():
        out, wins = xp.xp.empty(shape, dtype="f"), xp.xp.empty((3, *shape), dtype=bool)
        back = xp.xp.zeros(maps.shape, dtype="f")
        scratch = Scratch(xp.xp, np.float32)
        quads.largest(quads.quads_of(device), out, wins, scratch)
        quads.spread(out, wins, quads.quads_of(back), scratch)
    np.testing.assert_array_equal(xp.to_host(out), wanted)
    assert float(xp.to_host(back).sum()) == pytest.approx(float(wanted.sum()), rel=1e-5)
