"""The matrices of F(4, 3), by the identity that makes them what they are."""

from fractions import Fraction

import numpy as np
import pytest

from cnntool.ops.winograd_mixes import INPUT, KERNEL, OUTPUT, PLANES, TAPS, TILE, matrix


def exact(values):
    """Entries as the fractions that they stand for: all denominators divide 120."""
    return [[Fraction(round(value * 120), 120) for value in row] for row in values]


def test_entries_are_what_they_stand_for():
    for values in (INPUT, KERNEL, OUTPUT):
        for given, wanted in zip(values, exact(values), strict=True):
            assert given == tuple(pytest.approx(float(number), rel=1e-15) for number in wanted)


def test_six_products_give_four_correlations_exactly():
    """A((G k) (B d)) = sum of d[i + a] k[a] for every pair of unit inputs, so for all."""
    b, g, a = exact(INPUT), exact(KERNEL), exact(OUTPUT)
    for tap in range(TAPS):
        for place in range(PLANES):
            products = [g[plane][tap] * b[plane][place] for plane in range(PLANES)]
            found = [sum(a[row][p] * products[p] for p in range(PLANES)) for row in range(TILE)]
            assert found == [int(row + tap == place) for row in range(TILE)]


def test_a_matrix_is_made_once_for_a_type_and_a_device(xp):
    single = xp.xp.zeros(1, dtype=np.float32)
    with xp.no_transfers():
        made = matrix(OUTPUT, single, xp.xp)
    assert made is matrix(OUTPUT, single, xp.xp) and made.dtype == np.float32
    np.testing.assert_array_equal(xp.to_host(made), np.array(OUTPUT, np.float32))
    assert matrix(OUTPUT, xp.xp.zeros(1), xp.xp).dtype == np.float64
