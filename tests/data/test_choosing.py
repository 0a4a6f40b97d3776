"""Choices among pictures: shares of classes, seeds."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.data.choosing import held_out, limited, shares

some_labels = st.lists(st.integers(0, 6), min_size=1, max_size=120).map(np.array)


@settings(max_examples=150)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=9), st.integers(0, 10**6))
def test_shares_are_in_proportion(sizes, count):
    found = shares(np.array(sizes, np.int64), count).tolist()
    total = sum(sizes)
    assert sum(found) == min(count, total)
    for size, share in zip(sizes, found, strict=True):
        assert 0 <= share <= size
        if total:
            assert abs(share - Fraction(size * min(count, total), total)) < 1


@settings(max_examples=100)
@given(some_labels, st.integers(0, 150), st.integers(0, 2**40))
def test_a_limit_is_met(labels, count, seed):
    numbers = limited(labels, count, seed)
    assert len(numbers) == min(count, len(labels)) == len(set(numbers.tolist()))
    assert numbers.dtype == np.int64 and (np.diff(numbers) > 0).all()
    kept = np.bincount(labels[numbers], minlength=7)
    assert np.abs(kept - np.bincount(labels, minlength=7) * len(numbers) / len(labels)).max() < 1
    np.testing.assert_array_equal(numbers, limited(labels, count, seed))


@settings(max_examples=100)
@given(some_labels, st.floats(0, 0.99), st.integers(0, 1000))
def test_every_class_keeps_a_picture(labels, share, seed):
    held = held_out(labels, share, seed)
    assert held.dtype == np.bool_ and held.shape == labels.shape
    assert set(labels[~held]) == set(labels)
    spare = len(labels) - len(set(labels.tolist()))
    assert held.sum() == min(round(share * len(labels)), spare)


def test_seeds_differ_and_purposes_too():
    labels = np.arange(1000) % 5
    assert not np.array_equal(limited(labels, 100, 1), limited(labels, 100, 2))
    held = np.flatnonzero(held_out(labels, 0.1, 1))
    assert len(held) == 100 and not np.array_equal(held, limited(labels, 100, 1))


def test_every_picture_has_the_same_chance():
    labels = np.array([0] * 6 + [1] * 4)
    chosen = np.zeros(10)
    for seed in range(1500):
        chosen[limited(labels, 5, seed)] += 1
    assert np.abs(chosen / 1500 - 0.5).max() < 0.06


def test_nothing_to_choose_from():
    assert limited(np.zeros(0, np.int64), 5, 0).tolist() == []
    assert held_out(np.zeros(0, np.int64), 0.5, 0).tolist() == []


@pytest.mark.parametrize(("seed", "expected"), [(0, [0, 3, 5]), (7, None)])
def test_choices_never_change(seed, expected):
    """Trainings are resumed by them: the numbers are fixed for ever."""
    found = limited(np.array([0, 0, 0, 0, 1, 1]), 3, seed).tolist()
    assert expected is None or found == expected
