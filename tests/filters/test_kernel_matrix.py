"""Matrices as text: the ways to write one, and what is printed reads back."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.filters.kernel import Kernel
from cnntool.filters.kernel_matrix import format_kernel
from cnntool.filters.kernel_text import (
    parse_kernel,
)
from cnntool.filters.kernels import KERNELS

L = [[0, 1, 0], [-1, 2, -1], [0, 1, 0]]


@pytest.mark.parametrize(
    "text",
    [
        "0 1 0; -1 2 -1; 0 1 0",
        "0,1,0;-1,2,-1;0,1,0",
        " 0, 1, 0 ; -1, 2, -1 ; 0, 1, 0 ; ",
        "0 1 0\n-1 2 -1\n0 1 0",
        "0 1 0;\r\n-1 2 -1;\r\n\r\n0 1 0;\r\n",
        "0\t1 0;-1 +2.0 −1;0 1e0 .0",
        "[[0, 1, 0], [-1, 2, -1], [0, 1, 0]]",
        '{"weights": [[0, 1, 0], [-1, 2, -1], [0, 1, 0]]}',
        "lecture",
    ],
)
def test_one_matrix_in_many_ways(text):
    kernel = parse_kernel(text)
    assert kernel.array().tolist() == L
    assert kernel.integers()[0].tolist() == L


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("5", [[5]]),
        ("-1 0 1", [[-1, 0, 1]]),
        ("-1;0;1", [[-1], [0], [1]]),
        ("1 0; 0 -1", [[1, 0], [0, -1]]),
        ("1,2\n3,4\n5,6", [[1, 2], [3, 4], [5, 6]]),
        ("[1, 2.5]", [[1, 2.5]]),
        (".5 -.25e1 3.", [[0.5, -2.5, 3]]),
        ("1e-3", [[0.001]]),
    ],
)
def test_any_size(text, rows):
    assert parse_kernel(text).array().tolist() == rows


def test_fractions_share_one_divisor():
    ninth = parse_kernel("1/9 1/9 1/9; 1/9 1/9 1/9; 1/9 1/9 1/9")
    assert ninth.integers()[0].tolist() == [[1, 1, 1]] * 3
    assert ninth.scale == 9
    mixed = parse_kernel("1/2 -1/3 2")
    assert mixed.integers()[0].tolist() == [[3, -2, 12]]
    assert mixed.scale == 6
    assert mixed.array().tolist() == [[1 / 2, -1 / 3, 2]]
    assert parse_kernel("1/2 0.25").weights == ((0.5, 0.25),)
    assert parse_kernel("0.5/2 1").array().tolist() == [[0.25, 1]]


def test_fractions_without_a_common_divisor_become_floats():
    text = " ".join(f"1/{p}" for p in (9973, 9967, 9949, 9941, 9931, 9929))
    kernel = parse_kernel(text)
    assert kernel.scale == 1
    assert kernel.array()[0].tolist() == [float(Fraction(t)) for t in text.split()]


def test_a_divisor_at_the_end_divides_all():
    kernel = parse_kernel("1 2 1; 2 4 2; 1 2 1 /16")
    assert kernel.array().tolist() == KERNELS["gaussian-3"].array().tolist()
    assert kernel.scale == 16
    assert parse_kernel("1 2 / 0.5").array().tolist() == [[2, 4]]
    assert parse_kernel("1/2 1/3 /2").array().tolist() == [[1 / 4, 1 / 6]]


def test_json_with_scale_and_offset():
    kernel = parse_kernel('{"weights": [[1, 1]], "scale": 2, "offset": 128}')
    assert (kernel.array().tolist(), kernel.scale, kernel.offset) == ([[0.5, 0.5]], 2, 128)


# ----------------------------------------------------------------------------------- there and back
numbers = st.one_of(st.integers(-(2**53), 2**53), st.floats(-1e27, 1e27))
matrices = st.integers(1, 5).flatmap(
    lambda width: st.lists(
        st.lists(numbers, min_size=width, max_size=width).map(tuple), min_size=1, max_size=6
    ).map(tuple)
)


@given(matrices, st.one_of(st.integers(1, 1000), st.floats(0.01, 1e6)))
@settings(deadline=None, max_examples=150)
def test_printed_kernels_read_back(weights, scale):
    kernel = Kernel("made", weights, scale=scale)
    again = parse_kernel(format_kernel(kernel))
    np.testing.assert_array_equal(again.array(), kernel.array())
    assert again.scale == kernel.scale
    assert again.size == kernel.size
    assert (again.integers() is None) == (kernel.integers() is None)


@given(matrices)
@settings(deadline=None, max_examples=80)
def test_json_reads_back(weights):
    again = parse_kernel(json.dumps(weights))
    np.testing.assert_array_equal(again.array(), np.array(weights, dtype=np.float64))


@given(
    st.lists(
        st.lists(st.fractions(-(10**20), 10**20, max_denominator=60), min_size=3, max_size=3),
        min_size=1,
        max_size=3,
    )
)
@settings(deadline=None, max_examples=80)
def test_fractions_are_rounded_once(rows):
    text = ";".join(" ".join(str(value) for value in row) for row in rows)
    assert parse_kernel(text).array().tolist() == [[float(v) for v in row] for row in rows]


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_prints_and_reads_back(name):
    again = parse_kernel(format_kernel(KERNELS[name]))
    assert again.weights == KERNELS[name].weights
    assert again.scale == KERNELS[name].scale
