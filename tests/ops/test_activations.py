"""Activation functions against NumPy's and SciPy's definitions, and their gradients."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cnntool.errors import OptionError, ShapeError
from cnntool.nn.gradcheck import check_gradient, spaced
from cnntool.ops.activations import (
    leaky_relu,
    leaky_relu_vjp,
    log_softmax,
    log_softmax_vjp,
    relu,
    relu6,
    relu6_vjp,
    relu_vjp,
    sigmoid,
    sigmoid_vjp,
    softmax,
    softmax_vjp,
    tanh,
    tanh_vjp,
)

DEFINITIONS = {
    "relu": (relu, relu_vjp, {}, lambda x: np.where(x > 0, x, 0)),
    "relu6": (relu6, relu6_vjp, {}, lambda x: np.where(x > 6, 6, np.where(x > 0, x, 0))),
    "leaky": (leaky_relu, leaky_relu_vjp, {}, lambda x: np.where(x > 0, x, 0.01 * x)),
    "flat": (leaky_relu, leaky_relu_vjp, {"negative_slope": 0}, lambda x: np.where(x > 0, x, 0)),
    "steep": (
        leaky_relu, leaky_relu_vjp, {"negative_slope": 2.5}, lambda x: np.where(x > 0, x, 2.5 * x),
    ),
    "falling": (
        leaky_relu, leaky_relu_vjp, {"negative_slope": -0.5}, lambda x: np.where(x > 0, x, -x / 2),
    ),
    "sigmoid": (sigmoid, sigmoid_vjp, {}, scipy.special.expit),
    "tanh": (tanh, tanh_vjp, {}, np.tanh),
    "softmax": (softmax, softmax_vjp, {}, lambda x: scipy.special.softmax(x, axis=0)),
    "log_softmax": (log_softmax, log_softmax_vjp, {}, lambda x: scipy.special.log_softmax(x, 0)),
    "softmax of rows": (
        softmax, softmax_vjp, {"axis": 2}, lambda x: scipy.special.softmax(x, axis=2),
    ),
    "log_softmax of rows": (
        log_softmax, log_softmax_vjp, {"axis": -1}, lambda x: scipy.special.log_softmax(x, axis=-1),
    ),
}  # fmt: skip
ROUNDING = {np.float64: 3e-15, np.float32: 3e-6}

each = pytest.mark.parametrize(
    ("function", "vjp", "options", "definition"), DEFINITIONS.values(), ids=DEFINITIONS
)


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_definition(function, vjp, options, definition, dtype, rng):
    x = (rng.standard_normal((3, 5, 7, 2)) * 5).astype(dtype)
    before = x.copy()
    y = function(x, **options)
    assert y.dtype == dtype
    wanted = definition(x.astype(np.float64))
    # logarithms near 0 are differences of larger numbers
    near_zero = np.finfo(dtype).eps if "axis" in options or function is log_softmax else 0
    np.testing.assert_allclose(y, wanted, rtol=ROUNDING[dtype], atol=near_zero)
    np.testing.assert_array_equal(x, before)
    assert not np.shares_memory(x, y)


@each
def test_gradient(function, vjp, options, definition, rng):
    x = spaced(rng, (3, 5, 7, 2), gap=0.06)
    y, _ = vjp(x, **options)
    np.testing.assert_array_equal(y, function(x, **options))
    check_gradient(lambda v: vjp(v, **options), x, rng=rng)


@each
def test_smaller_types_become_float32(function, vjp, options, definition):
    x = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    y, backward = vjp(x, **options)
    assert y.dtype == backward(np.ones_like(y)).dtype == np.float32
    np.testing.assert_allclose(y, definition(x.astype(np.float64)), rtol=3e-6, atol=1e-7)


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_buffers_are_reused(function, vjp, options, definition, dtype, rng):
    x = rng.standard_normal((3, 4, 2)).astype(dtype)
    grad_y = rng.standard_normal(x.shape).astype(dtype)
    wanted, wanted_backward = vjp(x, **options)
    wanted_grad = wanted_backward(grad_y)

    out = np.full_like(x, np.nan)
    assert function(x, **options, out=out) is out
    np.testing.assert_array_equal(out, wanted)

    inside = x.copy()
    y, backward = vjp(inside, **options, out=inside)
    assert y is inside
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(backward(grad_y), wanted_grad)
    gradient = np.full_like(x, np.nan)
    assert backward(grad_y, out=gradient) is gradient
    np.testing.assert_array_equal(gradient, wanted_grad)
    given_grad = grad_y.copy()
    assert backward(given_grad, out=given_grad) is given_grad
    np.testing.assert_array_equal(given_grad, wanted_grad)


@each
def test_strange_layouts(function, vjp, options, definition, rng):
    x = rng.standard_normal((4, 3, 6)).transpose(1, 2, 0)[:, ::2]
    grad_y = rng.standard_normal((4, 3, 3)).transpose(1, 2, 0)
    y, backward = vjp(x, **options)
    packed_y, packed_backward = vjp(np.ascontiguousarray(x), **options)
    np.testing.assert_allclose(y, packed_y, rtol=1e-15)
    expected = packed_backward(np.ascontiguousarray(grad_y))
    np.testing.assert_allclose(backward(grad_y), expected, rtol=1e-12, atol=1e-15)


@each
def test_every_library_gives_the_same_bits_without_traffic(
    function, vjp, options, definition, xp, rng
):
    x = rng.standard_normal((3, 5, 7, 2), dtype=np.float32)
    grad_y = rng.standard_normal(x.shape, dtype=np.float32)
    device, device_grad = xp.to_device(x), xp.to_device(grad_y)
    with xp.no_transfers():
        y, backward = vjp(device, **options)
        grad_x = backward(device_grad)
        again = backward(device_grad, out=device_grad)
    host_y, host_backward = vjp(x, **options)
    assert y.dtype == grad_x.dtype == np.float32
    np.testing.assert_array_equal(xp.to_host(y), host_y)
    np.testing.assert_array_equal(xp.to_host(grad_x), host_backward(grad_y))
    np.testing.assert_array_equal(xp.to_host(again), host_backward(grad_y))


# --- numbers at the edges ---


@settings(deadline=None, max_examples=60)
@given(arrays.arrays(np.float32, 6, elements=st.floats(width=32, allow_nan=False)))
def test_sigmoid_of_any_number(x):
    y = sigmoid(x)
    wanted = scipy.special.expit(x.astype(np.float64))
    np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=2e-38)
    y, backward = sigmoid_vjp(x)
    assert np.isfinite(backward(np.ones_like(y))).all()


@settings(deadline=None, max_examples=60)
@given(arrays.arrays(np.float64, (4, 2), elements=st.floats(-1e300, 1e300)))
def test_softmax_of_large_numbers(x):
    y = softmax(x)
    np.testing.assert_allclose(y.sum(axis=0), 1, rtol=1e-15)
    np.testing.assert_allclose(log_softmax(x), scipy.special.log_softmax(x, axis=0), rtol=1e-12)


def test_zeros_infinities_and_nan():
    x = np.array([-np.inf, -1, -0.0, 0, 1, np.inf], np.float32)
    assert relu(x).tolist() == [0, 0, 0, 0, 1, np.inf]
    assert relu6(x).tolist() == [0, 0, 0, 0, 1, 6]
    assert leaky_relu(x, 0.5).tolist() == [-np.inf, -0.5, 0, 0, 1, np.inf]
    assert sigmoid(x)[[0, 2, 5]].round(30).tolist() == [0, 0.5, 1]
    for function in (relu, relu6, leaky_relu, sigmoid, tanh):
        assert np.isnan(function(np.array([np.nan], np.float32))).all()
        assert np.isnan(function(np.array([-np.nan]))).all()


def test_closed_units_stop_infinite_gradients():
    x = np.array([-1, -0.0, 0, 1], np.float32)
    infinite = np.full(4, np.inf, np.float32)
    for vjp in (relu_vjp, relu6_vjp):
        _, backward = vjp(x)
        assert backward(infinite).tolist() == [0, 0, 0, np.inf]
        assert backward(-infinite).tolist() == [0, 0, 0, -np.inf]
    _, backward = relu6_vjp(np.array([6, 7], np.float32))
    assert backward(np.ones(2, np.float32)).tolist() == [0, 0]


def test_torch_agrees(rng):
    torch = pytest.importorskip("torch")
    x = np.append(rng.standard_normal((3, 37)) * 5, [[0.0], [6], [-0.0]], axis=1).astype("f4")
    grad_y = rng.standard_normal(x.shape, dtype=np.float32)
    f = torch.nn.functional
    for vjp, theirs in (
        (relu_vjp, f.relu),
        (relu6_vjp, f.relu6),
        (leaky_relu_vjp, f.leaky_relu),
        (sigmoid_vjp, f.sigmoid),
        (tanh_vjp, f.tanh),
        (softmax_vjp, lambda t: f.softmax(t, dim=0)),
        (log_softmax_vjp, lambda t: f.log_softmax(t, dim=0)),
    ):
        t = torch.from_numpy(x).requires_grad_()
        wanted = theirs(t)
        wanted.backward(torch.from_numpy(grad_y))
        y, backward = vjp(x)
        np.testing.assert_allclose(y, wanted.detach().numpy(), rtol=2e-6, atol=1e-12)
        np.testing.assert_allclose(backward(grad_y), t.grad.numpy(), rtol=2e-5, atol=1e-6)


# --- errors ---


@each
def test_buffers_that_do_not_fit(function, vjp, options, definition):
    x = np.ones((2, 3, 4), np.float32)
    with pytest.raises(ShapeError, match=r"out must have shape \(2, 3, 4\) and type float32"):
        function(x, **options, out=np.ones((2, 3, 4)))
    y, backward = vjp(x, **options)
    with pytest.raises(ShapeError, match=r"like the result; got \(2, 3\) and float32"):
        backward(y, out=np.ones((2, 3), np.float32))


@pytest.mark.parametrize("slope", [np.inf, np.nan])
def test_slopes_that_are_no_numbers(slope):
    for function in (leaky_relu, leaky_relu_vjp):
        with pytest.raises(OptionError, match=r"negative_slope must be a finite number .* got"):
            function(np.ones(3), slope)
