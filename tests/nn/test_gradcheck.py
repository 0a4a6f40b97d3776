"""The gradient check: passes what is right, refuses what is wrong, notices kinks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import GateError, OptionError
from cnntool.nn.gradcheck import check_gradient, numeric_gradient, spaced


def cubes_vjp(x, w):
    """Sum over rows of x³·w; right."""
    return (x**3 * w).sum(axis=0), lambda g: (3 * x**2 * w * g, x**3 * g)


def absolute_vjp(x):
    return np.abs(x), lambda g: np.sign(x) * g


def ramp_vjp(x):
    return np.maximum(x, 0), lambda g: (x > 0) * g


def test_right_gradients_pass(rng):
    x, w = rng.standard_normal((2, 4, 3))
    before = x.copy(), w.copy()
    assert check_gradient(cubes_vjp, x, w, rng=rng) < 1e-8
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(w, before[1])


@pytest.mark.parametrize("factor", [1.0001, 0, -1, 2])
@pytest.mark.parametrize("which", [0, 1])
def test_wrong_gradients_do_not(factor, which, rng):
    def wrong_vjp(x, w):
        y, backward = cubes_vjp(x, w)
        return y, lambda g: [a * factor if i == which else a for i, a in enumerate(backward(g))]

    x, w = rng.standard_normal((2, 4, 3))
    with pytest.raises(GateError, match="the gradient is wrong: along a random direction it says"):
        check_gradient(wrong_vjp, x, w, rng=rng)


def test_a_single_wrong_element_is_found(rng):
    def wrong_vjp(x):
        def backward(g):
            grad = 2 * x * g
            grad[3, 5] = 0
            return grad

        return x * x, backward

    with pytest.raises(GateError, match="the gradient is wrong"):
        check_gradient(wrong_vjp, rng.standard_normal((6, 7)), rng=rng)


def test_facts_of_the_error(rng):
    x = np.ones(4)
    with pytest.raises(GateError) as caught:
        check_gradient(lambda x: (x * x, lambda g: x * g), x, rng=rng)
    assert caught.value.measured == pytest.approx(2 * caught.value.told)


def test_arrays_without_gradient_stay(rng):
    x, w = rng.standard_normal((2, 4, 3))
    seen = []

    def half_vjp(x, w):
        seen.append(w)
        y, backward = cubes_vjp(x, w)
        return y, lambda g: (backward(g)[0], None)

    check_gradient(half_vjp, x, w, rng=rng)
    assert all(v is w for v in seen)


@pytest.mark.parametrize("size", [1e-6, 1, 1e6])
def test_large_and_small_arguments(size, rng):
    x = rng.standard_normal(5) * size
    check_gradient(lambda v: (v * v, lambda g: 2 * v * g), x, rng=rng)


def test_large_constants_do_not_hide_in_rounding(rng):
    x = rng.standard_normal(5)
    check_gradient(lambda v: (1e6 + np.sin(v), lambda g: np.cos(v) * g), x, rng=rng)
    with pytest.raises(GateError, match="the gradient is wrong"):
        check_gradient(lambda v: (1e6 + np.sin(v), lambda g: np.sin(v) * g), x, rng=rng)


# --- kinks ---


def test_a_kink_beside_the_point_is_stepped_around(rng):
    x = np.array([1.0, -2.0, 1e-7, 3.0])  # closer to the kink than a step
    assert check_gradient(absolute_vjp, x, rng=rng, directions=5) < 1e-6


def test_a_point_on_a_kink_is_named(rng):
    with pytest.raises(GateError, match=r"kinks or jumps closer than 2e-08 .* gradcheck.spaced"):
        check_gradient(ramp_vjp, np.array([1.0, 0.0, 2.0]), rng=rng)
    with pytest.raises(GateError, match="kinks or jumps"):
        check_gradient(lambda v: (np.floor(v), lambda g: g * 0), np.array([1.0, 2.0]), rng=rng)


def test_a_wrong_gradient_is_no_kink(rng):
    x = spaced(rng, (20,))
    check_gradient(absolute_vjp, x, rng=rng)
    with pytest.raises(GateError, match="the gradient is wrong"):
        check_gradient(lambda v: (np.abs(v), lambda g: g), x, rng=rng)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 5), max_size=3), st.floats(1e-3, 10))
def test_spaced(shape, gap):
    x = spaced(np.random.default_rng(0), tuple(shape), gap)
    assert x.shape == tuple(shape)
    ordered = np.sort(x.ravel())
    assert (np.diff(ordered) > gap * 0.999).all()
    assert (np.abs(x) > gap * 0.499).all()


# --- element by element ---


def test_numeric_gradient(rng):
    x, w = rng.standard_normal((2, 4, 3))
    grad_y = rng.standard_normal(3)
    found = numeric_gradient(lambda *a: cubes_vjp(*a)[0], x, w, grad_y=grad_y)
    wanted = cubes_vjp(x, w)[1](grad_y)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)


def test_every_library(xp, rng):
    x = xp.to_device(rng.standard_normal((3, 2)))
    assert check_gradient(lambda v: (v * v, lambda g: 2 * v * g), x, rng=rng) < 1e-8
    (found,) = numeric_gradient(lambda v: v * v, x, grad_y=xp.xp.ones((3, 2)))
    np.testing.assert_allclose(xp.to_host(found), xp.to_host(2 * x), rtol=1e-8)


# --- errors ---


def test_refusals(rng):
    x = np.ones((2, 3))
    with pytest.raises(OptionError, match="needs at least one array"):
        check_gradient(lambda: (x, lambda g: ()), rng=rng)
    with pytest.raises(OptionError, match=r"needs float64, argument 1 is float32; convert it"):
        check_gradient(cubes_vjp, x, x.astype(np.float32), rng=rng)
    with pytest.raises(OptionError, match="needs float64, argument 0 is int64"):
        numeric_gradient(lambda v: v, np.arange(3), grad_y=np.ones(3))
    with pytest.raises(GateError, match="gives 1 gradients for 2 arrays"):
        check_gradient(lambda *a: (x, lambda g: g), x, x, rng=rng)
    with pytest.raises(GateError, match=r"gradient 0 has shape \(3, 2\), its array \(2, 3\)"):
        check_gradient(lambda a: (x, lambda g: g.T), x, rng=rng)
