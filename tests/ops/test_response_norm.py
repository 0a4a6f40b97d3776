"""Local response normalisation against loops."""

import numpy as np
import pytest
import reference_nn
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.nn.gradcheck import check_gradient
from cnntool.ops import response_norm
from cnntool.ops.response_norm import local_response_norm, local_response_norm_vjp


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 7), st.integers(1, 9), st.sampled_from([0.75, 0.5, 1, 2]), st.floats(0.01, 3))
def test_loops(channels, size, beta, alpha):
    x = np.random.default_rng(3).standard_normal((channels, 3, 2, 4)) * 4
    y = local_response_norm(x, size, alpha, beta, k=2)
    wanted = reference_nn.local_response_norm(x, size, alpha, beta, 2)
    np.testing.assert_allclose(y, wanted, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 5, 9])
@pytest.mark.parametrize("beta", [0.75, 1, 0.6])
def test_gradient(size, beta, rng):
    x = rng.standard_normal((6, 3, 2, 4)) * 2

    def vjp(v):
        return local_response_norm_vjp(v, size, 0.8, beta, 1.5)

    np.testing.assert_array_equal(vjp(x)[0], local_response_norm(x, size, 0.8, beta, 1.5))
    check_gradient(vjp, x, rng=rng)


def test_defaults_and_features():
    x = np.random.default_rng(4).random((5, 3)) * 100
    wanted = reference_nn.local_response_norm(x, 3, 1e-4, 0.75, 1)
    np.testing.assert_allclose(local_response_norm(x, 3), wanted, rtol=1e-12)


def test_blocks_buffers_and_types(monkeypatch, rng):
    x = rng.integers(0, 256, (5, 6, 7, 3)).astype(np.uint8)
    y, backward = local_response_norm_vjp(x, 3, 0.1)
    assert y.dtype == np.float32
    grad_y = rng.standard_normal(x.shape, dtype=np.float32)
    grad = backward(grad_y)
    monkeypatch.setattr(response_norm, "BLOCK_BYTES", 100)
    np.testing.assert_array_equal(local_response_norm(x, 3, 0.1), y)
    np.testing.assert_array_equal(backward(grad_y), grad)
    assert np.shares_memory(backward(grad_y, out=grad_y), grad_y)
    np.testing.assert_array_equal(grad_y, grad)


def test_every_library(xp, rng):
    x = rng.standard_normal((5, 4, 3, 2), dtype=np.float32)
    device = xp.to_device(x)
    for options in ({}, {"beta": 0.6}, {"beta": 1}):
        with xp.no_transfers():
            y, backward = local_response_norm_vjp(device, 4, 0.5, **options)
            grad = backward(y)
        host_y, host_backward = local_response_norm_vjp(x, 4, 0.5, **options)
        assert y.dtype == grad.dtype == np.float32
        np.testing.assert_array_equal(xp.to_host(y), host_y)
        np.testing.assert_array_equal(xp.to_host(grad), host_backward(host_y))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_torch_agrees(size, rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((6, 5, 4, 3), dtype=np.float32) * 3
    grad_y = rng.standard_normal(x.shape, dtype=np.float32)
    t = torch.from_numpy(x.transpose(3, 0, 1, 2).copy()).requires_grad_()
    ty = torch.nn.functional.local_response_norm(t, size, 0.3, 0.75, 2)
    ty.backward(torch.from_numpy(grad_y.transpose(3, 0, 1, 2).copy()))
    y, backward = local_response_norm_vjp(x, size, 0.3, 0.75, 2)
    wanted = ty.detach().numpy().transpose(1, 2, 3, 0)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)
    grad = t.grad.numpy().transpose(1, 2, 3, 0)
    np.testing.assert_allclose(backward(grad_y), grad, rtol=1e-4, atol=1e-5)


def test_refusals():
    x = np.ones((2, 3), np.float32)
    for function in (local_response_norm, local_response_norm_vjp):
        with pytest.raises(OptionError, match="needs a size of at least 1 channel, got 0"):
            function(x, 0)
    y, backward = local_response_norm_vjp(x, 1)
    with pytest.raises(ShapeError, match=r"out must have shape \(2, 3\)"):
        backward(y, out=np.ones((3, 2), np.float32))
