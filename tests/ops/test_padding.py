"""Borders against numpy.pad; gradients along random directions."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import NameNotFound, OptionError, ShapeError
from cnntool.ops.padding import MODES, border_indices, border_mode, pad, pad_vjp

COPIED = ("edge", "reflect", "symmetric", "wrap")
ALL = (*COPIED, "constant", "max")
SHAPES = [(1, 1), (1, 4), (3, 1), (2, 3), (5, 4)]
AMOUNTS = [(0, 0, 0, 0), (0, 0, 0, 1), (1, 2, 3, 4), (3, 1, 2, 9), (11, 0, 7, 2)]


def numpy_pad(x, padding, mode, value=0.0):
    top, right, bottom, left = padding
    widths = ((0, 0), (top, bottom), (left, right), (0, 0))
    if mode == "constant":
        return np.pad(x, widths, mode="constant", constant_values=value)
    if mode != "max":
        return np.pad(x, widths, mode=mode)
    y = np.empty([n + sum(pair) for n, pair in zip(x.shape, widths, strict=True)], x.dtype)
    for c in range(x.shape[0]):
        for n in range(x.shape[3]):
            plane = x[c, :, :, n]
            y[c, :, :, n] = np.pad(plane, widths[1:3], constant_values=plane.max())
    return y


@pytest.mark.parametrize("mode", COPIED)
@pytest.mark.parametrize("size", range(1, 8))
def test_indices_are_those_of_numpy_pad(mode, size):
    for before in range(3 * size + 3):
        for after in (0, 1, size, 2 * size + 3):
            expected = np.pad(np.arange(size), (before, after), mode=mode)
            assert border_indices(size, before, after, mode).tolist() == expected.tolist()


@pytest.mark.parametrize("mode", ["constant", "max"])
def test_filled_borders_have_no_index(mode):
    assert border_indices(3, 2, 1, mode).tolist() == [-1, -1, 0, 1, 2, -1]
    assert border_indices(0, 1, 1, mode).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("constant", [0, 0, 1, 2, 3, 4, 0, 0]),
        ("edge", [1, 1, 1, 2, 3, 4, 4, 4]),
        ("reflect", [3, 2, 1, 2, 3, 4, 3, 2]),
        ("symmetric", [2, 1, 1, 2, 3, 4, 4, 3]),
        ("wrap", [3, 4, 1, 2, 3, 4, 1, 2]),
        ("max", [4, 4, 1, 2, 3, 4, 4, 4]),
    ],
)
def test_two_pixels_on_each_side_of_1234(mode, expected):
    row = np.array([1, 2, 3, 4], dtype=np.uint8).reshape(1, 1, 4, 1)
    y = pad(row, (0, 2), mode)
    assert y.dtype == np.uint8
    assert y.ravel().tolist() == expected


@pytest.mark.parametrize(("word", "mode"), MODES.items())
def test_words_of_other_libraries(word, mode):
    x = np.arange(12.0).reshape(1, 3, 4, 1)
    assert border_mode(word) == mode
    np.testing.assert_array_equal(pad(x, (1, 2, 3, 4), word), pad(x, (1, 2, 3, 4), mode))


@pytest.mark.parametrize("mode", ALL)
@pytest.mark.parametrize("shape", SHAPES)
def test_pad_is_numpy_pad_on_every_library(mode, shape, xp, rng):
    x = rng.standard_normal((2, *shape, 3), dtype=np.float32)
    device = xp.to_device(x)
    for padding in AMOUNTS:
        with xp.no_transfers():
            y = pad(device, padding, mode, 2.5)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(xp.to_host(y), numpy_pad(x, padding, mode, 2.5))
    np.testing.assert_array_equal(xp.to_host(device), x)


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(ALL),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(*[st.integers(0, 9)] * 4),
    st.sampled_from([np.uint8, np.uint16, np.int32, np.float64]),
)
def test_pad_is_numpy_pad_for_any_amount(mode, shape, padding, dtype):
    rng = np.random.default_rng(sum(padding))
    x = rng.integers(0, 100, (2, *shape, 2)).astype(dtype)
    y = pad(x, padding, mode, 7)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, numpy_pad(x, padding, mode, 7))


def test_amounts_in_three_forms(rng):
    x = rng.standard_normal((1, 3, 4, 1))
    np.testing.assert_array_equal(pad(x, 2, "edge"), pad(x, (2, 2, 2, 2), "edge"))
    np.testing.assert_array_equal(pad(x, (1, 2), "edge"), pad(x, (1, 2, 1, 2), "edge"))


def test_views_that_are_not_contiguous(rng):
    x = rng.standard_normal((4, 5, 3, 2)).transpose(3, 1, 0, 2)[:, ::-1]
    np.testing.assert_array_equal(
        pad(x, (3, 2, 1, 9), "reflect"), numpy_pad(x, (3, 2, 1, 9), "reflect")
    )


@pytest.mark.parametrize("mode", ALL)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_along_a_direction(mode, shape, rng):
    for padding in AMOUNTS:
        x = reference.spaced(rng, (2, *shape, 3))
        y, backward = pad_vjp(x, padding, mode, 2.5)
        np.testing.assert_array_equal(y, numpy_pad(x, padding, mode, 2.5))
        direction, grad_y = rng.standard_normal(x.shape), rng.standard_normal(y.shape)
        expected = reference.directional(lambda v: pad(v, padding, mode, 2.5), x, direction, grad_y)  # noqa: B023
        before = grad_y.copy()
        assert (backward(grad_y) * direction).sum() == pytest.approx(expected, rel=1e-6, abs=1e-7)
        np.testing.assert_array_equal(grad_y, before)


@pytest.mark.parametrize("mode", ALL)
def test_gradient_on_every_library(mode, xp, rng):
    x = rng.standard_normal((2, 3, 5, 2), dtype=np.float32)
    grad_y = rng.standard_normal((2, 9, 12, 2), dtype=np.float32)
    _, backward = pad_vjp(x, (4, 1, 2, 6), mode)
    device, grad = xp.to_device(x), xp.to_device(grad_y)
    with xp.no_transfers():
        _, there = pad_vjp(device, (4, 1, 2, 6), mode)
        found = there(grad)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(xp.to_host(found), backward(grad_y))


def test_unknown_border():
    with pytest.raises(NameNotFound, match="unknown border 'reflct'; did you mean 'reflect'"):
        pad(np.zeros((1, 2, 2, 1)), 1, "reflct")
    with pytest.raises(NameNotFound, match="unknown border 'none'"):
        border_indices(3, 1, 1, "none")


@pytest.mark.parametrize("value", [-1, 256, 0.5, np.inf, np.nan])
def test_fill_that_the_type_cannot_hold(value):
    x = np.zeros((1, 2, 2, 1), dtype=np.uint8)
    with pytest.raises(OptionError, match=r"does not fit uint8 pixels; use a whole number from 0"):
        pad(x, 1, "constant", value)
    assert pad(x.astype(np.float32), 1, "constant", 0.5).max() == 0.5


def test_nothing_to_copy():
    empty = np.zeros((1, 0, 3, 1))
    with pytest.raises(ShapeError, match="length 0 has no pixels to fill a 'wrap' border"):
        pad(empty, 1, "circular")
    with pytest.raises(ShapeError, match="without pixels has no largest value"):
        pad(empty, 1, "max")
    assert pad(empty, 1, "constant", 3).tolist() == np.full((1, 2, 5, 1), 3).tolist()
    with pytest.raises(OptionError, match="padding must not be negative"):
        pad(np.zeros((1, 2, 2, 1)), -1)
