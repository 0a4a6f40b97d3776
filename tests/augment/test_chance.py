"""Random numbers are a function of their counters, the same on every library, and well spread."""

import numpy as np
import pytest

from cnntool.augment.chance import SLOTS, Chance
from cnntool.ops.hashing import mix


def chance(xp, count, **counters):
    return Chance(xp.xp, count, **{"seed": 5, "step": 3, **counters})


def host_hash(numbers):
    """The hash of single numbers, in Python's integers."""
    found = []
    for h in numbers:
        for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
            h = (h ^ h >> shift) * factor & 0xFFFFFFFF
        found.append(h ^ h >> 15)
    return found


def test_same_on_every_library(xp):
    with xp.no_transfers():
        device = chance(xp, 6)
        table, more = device.table(2), device.uniforms(1, 5)
        normals = device.normals(0, 3, 4)
    host = Chance(np, 6, seed=5, step=3)
    np.testing.assert_array_equal(xp.to_host(table), host.table(2))
    np.testing.assert_array_equal(xp.to_host(more), host.uniforms(1, 5))
    for one, other in zip(normals, host.normals(0, 3, 4), strict=True):
        np.testing.assert_allclose(xp.to_host(one), other, atol=1e-5)
    assert table.shape == (2, SLOTS, 6)
    assert table.dtype == normals[0].dtype == np.float32


def test_parts_of_a_batch_and_of_a_field():
    whole = Chance(np, 9, seed=1, step=2)
    part = Chance(np, 4, seed=1, step=2, offset=5)
    np.testing.assert_array_equal(whole.table(3)[..., 5:], part.table(3))
    np.testing.assert_array_equal(whole.hashes(2, 10, 7)[3:], whole.hashes(2, 13, 4))
    np.testing.assert_array_equal(whole.table(3)[:2], whole.table(2))  # later words change nothing


@pytest.mark.parametrize(
    "other", [{"seed": 2}, {"seed": -1}, {"step": 1}, {"offset": 100}, {"seed": 1 + (1 << 64)}]
)
def test_other_counters_give_other_numbers(other):
    counters = {"seed": 1, "step": 0}
    first = Chance(np, 50, **counters).table(4)
    second = Chance(np, 50, **{**counters, **other}).table(4)
    assert (first == second).mean() < 0.01
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.1


def test_words_and_fields_do_not_repeat_each_other():
    one = Chance(np, 200, seed=1, step=0)
    table = one.table(6).reshape(-1, 200)
    correlation = np.corrcoef(table) - np.eye(len(table))
    assert np.abs(correlation).max() < 0.35
    assert (one.hashes(0, 0, 50) == one.hashes(1, 0, 50)).mean() < 0.01


def test_hash_is_the_known_one():
    numbers = [0, 1, 2, 0xDEADBEEF, 0xFFFFFFFF]
    assert mix(np, np.array(numbers, np.uint32)).tolist() == host_hash(numbers)


def test_uniform_numbers_are_uniform():
    u = np.concatenate([Chance(np, 500, seed=s, step=7).table(5).ravel() for s in range(4)])
    assert 0 <= u.min() and u.max() < 1
    counts = np.histogram(u, 20, (0, 1))[0]
    expected = len(u) / 20
    assert ((counts - expected) ** 2 / expected).sum() < 45  # chi-square, 19 degrees, p = 0.0007


def test_normal_numbers_are_normal():
    pairs = Chance(np, 400, seed=3, step=7).normals(0, 0, 250)
    z = np.concatenate([part.ravel() for part in pairs]).astype(np.float64)
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
    assert abs((z**3).mean()) < 0.03
    assert abs((z**4).mean() - 3) < 0.08
    assert abs((np.abs(z) < 1).mean() - 0.6827) < 0.005
    assert abs(np.corrcoef(pairs[0].ravel(), pairs[1].ravel())[0, 1]) < 0.01
