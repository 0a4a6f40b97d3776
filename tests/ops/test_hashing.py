"""Hashes of counters, against the same arithmetic on Python's integers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.ops.hashing import counted, key, mix

WORD = 2**32


def hashed(number, whole=True):
    number ^= number >> 16
    number = number * 0x21F0AAAD % WORD
    number ^= number >> 15
    number = number * 0x735A2D97 % WORD
    return number ^ number >> 15 if whole else number


@settings(max_examples=60)
@given(st.integers(0, 2 * WORD), st.integers(0, WORD - 1), st.booleans())
def test_counted_against_plain_integers(first, start, whole):
    found = counted(np, first, 5, start, whole=whole)
    assert found.dtype == np.uint32
    assert found.tolist() == [hashed((first + n) % WORD ^ start, whole) for n in range(5)]


def test_the_same_on_both_libraries(xp):
    expected = counted(np, 3, 7, key(1, -2, purpose=9))
    found = counted(xp.xp, 3, 7, key(1, -2, purpose=9))
    np.testing.assert_array_equal(xp.to_host(found), expected)
    numbers = np.arange(6, dtype=np.uint32).reshape(2, 3)
    with xp.no_transfers():
        mixed = mix(xp.xp, found[:6].reshape(2, 3))
    assert xp.to_host(mixed).tolist() == [
        [hashed(n) for n in row] for row in expected[:6].reshape(2, 3).tolist()
    ]
    assert numbers.shape == mixed.shape


@given(st.lists(st.integers(), min_size=1, max_size=3), st.integers(0, WORD - 1))
@settings(max_examples=60)
def test_keys_follow_from_all_numbers(numbers, purpose):
    found = key(*numbers, purpose=purpose)
    assert 0 <= found < WORD
    assert found == key(*numbers, purpose=purpose)
    assert found != key(*numbers[:-1], numbers[-1] + 1, purpose=purpose)
    assert found != key(*numbers, purpose=purpose ^ 1)
