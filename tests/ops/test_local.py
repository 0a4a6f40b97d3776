"""Local convolution against loops."""

import numpy as np
import pytest
import reference_nn
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.nn.gradcheck import check_gradient
from cnntool.ops import local
from cnntool.ops.convolution import conv2d
from cnntool.ops.local import local_conv2d, local_conv2d_vjp


@st.composite
def geometries(draw):
    small = st.integers(1, 3)
    kernel, stride, dilation = (draw(st.tuples(small, small)) for _ in range(3))
    sides = tuple(draw(st.integers(0, 2)) for _ in range(4))
    size = tuple(
        draw(st.integers(max(1, d * (k - 1) + 1 - before - after), 7))
        for k, d, before, after in zip(
            kernel, dilation, (sides[0], sides[3]), (sides[2], sides[1]), strict=True
        )
    )
    return (draw(small), *size, draw(small)), kernel, stride, sides, dilation


def arrays(rng, shape, outputs, kernel, stride, sides, dilation):
    x = rng.standard_normal(shape)
    out = reference_nn.conv_sizes(x, kernel, stride, sides, dilation)
    return [
        x,
        rng.standard_normal((outputs, shape[0], *kernel, *out)),
        rng.standard_normal((outputs, *out)),
    ]


@settings(deadline=None, max_examples=40)
@given(geometries(), st.integers(1, 3), st.booleans())
def test_loops(geometry, outputs, biased):
    shape, kernel, *rest = geometry
    x, weight, bias = arrays(np.random.default_rng(1), shape, outputs, kernel, *rest)
    bias = bias if biased else None
    wanted = reference_nn.local_conv2d(x, weight, bias, *rest)
    y = local_conv2d(x, weight, bias, *rest)
    np.testing.assert_allclose(y, wanted, rtol=1e-11, atol=1e-12)


def test_equal_kernels_are_a_convolution(rng):
    x, kernel = rng.standard_normal((3, 7, 8, 2)), rng.standard_normal((4, 3, 3, 2))
    y = conv2d(x, kernel, stride=(2, 1), padding=1)
    weight = np.broadcast_to(kernel[..., None, None], (*kernel.shape, *y.shape[1:3]))
    np.testing.assert_allclose(local_conv2d(x, weight, None, (2, 1), 1), y, rtol=1e-11, atol=1e-12)


GEOMETRIES = [
    ((2, 4, 5, 3), (2, 3), (1, 1), (0, 0, 0, 0), (1, 1)),
    ((3, 5, 4, 2), (3, 2), (2, 1), (1, 0, 2, 1), (1, 2)),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_gradient(geometry, rng):
    shape, kernel, *rest = geometry
    given_arrays = arrays(rng, shape, 2, kernel, *rest)

    def vjp(x, weight, bias=None, **options):
        return local_conv2d_vjp(x, weight, bias, *rest, **options)

    check_gradient(vjp, *given_arrays, rng=rng)
    check_gradient(vjp, *given_arrays[:2], rng=rng)
    y, backward = vjp(*given_arrays, need_input_grad=False)
    np.testing.assert_array_equal(y, local_conv2d(*given_arrays, *rest))
    grads, whole = backward(y), vjp(*given_arrays)[1](y)
    assert grads[0] is None
    for a, b in zip(grads[1:], whole[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_strips_change_nothing(monkeypatch, rng):
    _, kernel, *rest = GEOMETRIES[1]
    given_arrays = arrays(rng, (3, 9, 6, 4), 2, kernel, *rest)
    before = [a.copy() for a in given_arrays]
    y, backward = local_conv2d_vjp(*given_arrays, *rest)
    grads = backward(y)
    monkeypatch.setattr(local, "BLOCK_BYTES", 1)
    strip_y, strip_backward = local_conv2d_vjp(*given_arrays, *rest)
    np.testing.assert_allclose(strip_y, y, rtol=1e-12, atol=1e-13)
    for a, b in zip(strip_backward(y), grads, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    for a, b in zip(given_arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_library(xp, rng):
    shape, kernel, *rest = GEOMETRIES[1]
    host = [a.astype(np.float32) for a in arrays(rng, shape, 2, kernel, *rest)]
    device = [xp.to_device(a) for a in host]
    with xp.no_transfers():
        y, backward = local_conv2d_vjp(*device, *rest)
        grads = backward(y)
    host_y, host_backward = local_conv2d_vjp(*host, *rest)
    np.testing.assert_array_equal(xp.to_host(y), host_y)
    for a, b in zip(grads, host_backward(host_y), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(xp.to_host(a), b)


def test_refusals():
    x = np.zeros((2, 5, 6, 3))
    with pytest.raises(ShapeError, match=r"\(4, 2, 3, 2, 3, 4\) do not fit .* \(4, 2, 3, 2, 3, 5"):
        local_conv2d(x, np.zeros((4, 2, 3, 2, 3, 4)))
    with pytest.raises(ShapeError, match=r"do not fit an input of \(2, 5, 6, 3\)"):
        local_conv2d_vjp(x, np.zeros((4, 3, 3, 2, 3, 5)))
    with pytest.raises(ShapeError, match=r"a bias of shape \(4,\) does not fit; .* \(4, 3, 5\)"):
        local_conv2d(x, np.zeros((4, 2, 3, 2, 3, 5)), np.zeros(4))
    with pytest.raises(ShapeError, match="a window of 6 does not fit an input of 5"):
        local_conv2d(x, np.zeros((4, 2, 6, 2, 3, 5)))
    with pytest.raises(OptionError, match="the stride must be at least 1, got 0,1"):
        local_conv2d(x, np.zeros((4, 2, 3, 2, 3, 5)), stride=(0, 1))
