"""trace and value_lines: the arithmetic that is printed is the arithmetic that is done."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import ShapeError
from cnntool.filters.convolve import Convolution, convolve
from cnntool.filters.kernel import Kernel
from cnntool.filters.kernel_text import parse_kernel
from cnntool.filters.trace import trace, value_lines

A = np.array(
    [
        [3, 3, 5, 1, 2, 3],
        [3, 4, 0, 1, 4, 5],
        [5, 1, 2, 3, 2, 0],
        [5, 0, 4, 5, 2, 1],
        [3, 4, 3, 1, 0, 2],
        [2, 0, 4, 3, 5, 1],
    ],
    np.uint8,
)
L = parse_kernel("0 1 0; -1 2 -1; 0 1 0")


def lines(image, kernel, at, **options):
    return list(trace(image, kernel, Convolution(**options), at))


def evaluated(line):
    """Left and right side of a printed sum, computed by reading it."""
    left, right = line.replace("·", "*").split(" = ")
    # numbers, operators and brackets only: nothing else is computed
    assert re.fullmatch(r"[-+*/()\d. e]+", left), left
    return arithmetic(left), float(right)


def arithmetic(text):
    """Value of products and quotients of sums, by a parser of ten lines."""
    tokens = re.findall(r"\d+\.?\d*(?:e[-+]?\d+)?|[-+*/()]", text)

    def total():
        value = product()
        while tokens and tokens[0] in "+-":
            value = value + product() if tokens.pop(0) == "+" else value - product()
        return value

    def product():
        value = atom()
        while tokens and tokens[0] in "*/":
            value = value * atom() if tokens.pop(0) == "*" else value / atom()
        return value

    def atom():
        token = tokens.pop(0)
        if token == "(":
            value = total()
            assert tokens.pop(0) == ")"
            return value
        return -atom() if token == "-" else float(token)

    value = total()
    assert not tokens
    return value


def test_the_first_value_of_the_lectures():
    assert lines(A, L, (0, 0), padding="valid") == [
        "3·0 + 3·1 + 5·0 + 3·(-1) + 4·2 + 0·(-1) + 5·0 + 1·1 + 2·0 = 9"
    ]


@pytest.mark.parametrize("at, value", [((0, 1), 2), ((0, 2), 2), ((3, 3), 4), ((2, 0), -4)])
def test_more_values_of_the_lectures(at, value):
    assert evaluated(lines(A, L, at, padding="valid")[0]) == (value, value)


@settings(max_examples=80)
@given(st.data())
def test_sum_is_the_output_pixel(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    image = rng.integers(-9, 256, (data.draw(st.integers(3, 6)), data.draw(st.integers(3, 7))))
    size = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    kernel = Kernel(
        "custom",
        tuple(map(tuple, rng.integers(-4, 5, size).tolist())),
        scale=data.draw(st.sampled_from([1, 2, -4])),
        offset=data.draw(st.sampled_from([0, 8, -8])),
    )
    if kernel.zero_sum:
        kernel = parse_kernel("1 2; 3 4")
    options = {
        "padding": data.draw(st.sampled_from(["same", "valid", "full", 2, (0, 1, 2, 3)])),
        "border": data.draw(st.sampled_from(["reflect", "edge", "wrap", "constant", "max"])),
        "stride": data.draw(st.sampled_from([1, (2, 1)])),
        "dilation": data.draw(st.sampled_from([1, (1, 2)])),
        "flip": data.draw(st.booleans()),
        "scale": data.draw(st.sampled_from([1.0, 0.5, -2.0])),
        "offset": data.draw(st.sampled_from([0.0, 16.0, -1.0])),
    }
    if options["border"] == "constant":
        options["border_value"] = data.draw(st.sampled_from([0.0, -7.0]))
    try:
        result = convolve(image.astype(np.float64), kernel, **options)
    except ShapeError:
        return
    row = data.draw(st.integers(0, result.shape[0] - 1))
    column = data.draw(st.integers(0, result.shape[1] - 1))
    left, right = evaluated(lines(image, kernel, (row, column), **options)[0])
    assert left == pytest.approx(right, rel=1e-5)
    assert right == pytest.approx(result[row, column], rel=1e-5)


def test_divisor_gain_and_offset_are_shown():
    image = np.array([[10, 20]], np.uint8)
    kernel = Kernel("custom", ((1, -1),), scale=4, offset=5)
    assert lines(image, kernel, (0, 0), padding="valid", scale=-2, offset=-8) == [
        "(10·1 + 20·(-1)) / 4 · (-2) + (-3) = 2"
    ]
    assert lines(image, parse_kernel("1 3"), (0, 0), padding="valid", normalize="sum") == [
        "(10·1 + 20·3) · 0.25 = 17.5"
    ]


def test_negative_samples_stand_in_brackets():
    assert lines(np.array([[-1.5, 2]]), parse_kernel("3 1"), (0, 0), padding="valid") == [
        "(-1.5)·3 + 2·1 = -2.5"
    ]


def test_flip_and_dilation_and_border():
    image = np.array([[1, 2, 3]], np.uint8)
    assert lines(image, parse_kernel("1 10"), (0, 0), padding="valid", flip=True) == [
        "1·10 + 2·1 = 12"
    ]
    assert lines(image, parse_kernel("1 10"), (0, 0), padding="valid", dilation=2) == [
        "1·1 + 3·10 = 31"
    ]
    assert lines(image, parse_kernel("1 1 1"), (0, 0), border="max") == ["3·1 + 1·1 + 2·1 = 6"]
    assert lines(image, parse_kernel("1 1 1"), (0, 0), border="reflect") == ["2·1 + 1·1 + 2·1 = 5"]


def test_one_line_a_channel():
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    assert lines(image, parse_kernel("1 1"), (0, 0), padding="valid") == [
        "R: 0·1 + 3·1 = 3",
        "G: 1·1 + 4·1 = 5",
        "B: 2·1 + 5·1 = 7",
    ]


@pytest.mark.parametrize("at", [(4, 0), (0, 4), (-1, 0)])
def test_pixel_outside_of_the_output(at):
    with pytest.raises(ShapeError, match=r"no pixel .*; it is 4x4, rows 0\.\.3 and columns 0\.\.3"):
        lines(A, L, at, padding="valid")


def test_matrices():
    assert list(value_lines(A, L, Convolution(padding="valid", stride=2))) == [
        "kernel custom (3x3)",
        " 0  1  0",
        "-1  2 -1",
        " 0  1  0",
        "input (6x6)",
        "3 3 5 1 2 3",
        "3 4 0 1 4 5",
        "5 1 2 3 2 0",
        "5 0 4 5 2 1",
        "3 4 3 1 0 2",
        "2 0 4 3 5 1",
        "output (2x2)",
        " 9  2",
        "-4  8",
    ]


def test_matrices_of_colours_are_told_apart():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    titles = [
        line
        for line in value_lines(image, parse_kernel("identity"), Convolution())
        if line.endswith(")")
    ]
    assert titles == [
        "kernel identity (3x3)",
        "input R (2x2)",
        "output R (2x2)",
        "input G (2x2)",
        "output G (2x2)",
        "input B (2x2)",
        "output B (2x2)",
    ]


def test_matrices_that_are_too_large():
    with pytest.raises(ShapeError, match="65x64 values are too many to print; at most 4096"):
        list(value_lines(np.zeros((65, 64)), L, Convolution()))
    with pytest.raises(ShapeError, match="66x66 values are too many"):
        list(value_lines(np.zeros((64, 64)), L, Convolution(padding="full")))
