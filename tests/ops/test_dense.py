"""The fully connected map against loops."""

import numpy as np
import pytest
import reference_nn
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import ShapeError
from cnntool.nn.gradcheck import check_gradient
from cnntool.ops.dense import linear, linear_vjp

sizes = st.integers(1, 6)


@settings(deadline=None, max_examples=30)
@given(sizes, sizes, sizes, st.booleans())
def test_loops(inputs, outputs, n, biased):
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal((inputs, n)), rng.standard_normal((outputs, inputs))
    bias = rng.standard_normal(outputs) if biased else None
    wanted = reference_nn.linear(x, weight, bias)
    np.testing.assert_allclose(linear(x, weight, bias), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("biased", [True, False])
def test_gradient(biased, rng):
    arrays = [rng.standard_normal((5, 3)), rng.standard_normal((4, 5))]
    arrays += [rng.standard_normal(4)] if biased else []
    check_gradient(linear_vjp, *arrays, rng=rng)
    check_gradient(lambda *a: linear_vjp(*a, need_input_grad=False), *arrays, rng=rng)
    y, backward = linear_vjp(*arrays, need_input_grad=False)
    np.testing.assert_array_equal(y, linear(*arrays))
    assert backward(y)[0] is None


def test_types(rng):
    weight, bias = rng.standard_normal((4, 5)), rng.standard_normal(4)
    for kind, found in ((np.uint8, np.float32), (np.float32, np.float32), (np.float64, np.float64)):
        y, backward = linear_vjp(np.ones((5, 3), kind), weight, bias)
        assert y.dtype == found
        assert all(g.dtype == found for g in backward(y))


def test_every_library(xp, rng):
    host = [rng.standard_normal(s, dtype=np.float32) for s in ((5, 3), (4, 5), (4,))]
    device = [xp.to_device(a) for a in host]
    with xp.no_transfers():
        y, backward = linear_vjp(*device)
        grads = backward(y)
    host_y, host_backward = linear_vjp(*host)
    np.testing.assert_array_equal(xp.to_host(y), host_y)
    for found, wanted in zip(grads, host_backward(host_y), strict=True):
        np.testing.assert_array_equal(xp.to_host(found), wanted)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((5, 2, 2, 3), (4, 5)), r"linear takes \(features, N\), got .* \(5, 2, 2, 3\); flatten"),
        (((6, 3), (4, 5)), r"weights of shape \(4, 5\) do not fit 6 features; .* \(outputs, 6\)"),
        (((5, 3), (5,)), r"weights of shape \(5,\) do not fit 5 features"),
        (((5, 3), (4, 5), (5,)), r"a bias of shape \(5,\) does not fit 4 outputs"),
    ],
)
def test_sizes_that_do_not_fit(shapes, message):
    for function in (linear, linear_vjp):
        with pytest.raises(ShapeError, match=message):
            function(*(np.zeros(shape) for shape in shapes))
