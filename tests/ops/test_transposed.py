"""Transposed convolution against loops that put zeros between the inputs, and against torch."""

import numpy as np
import pytest
import reference_nn
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.nn.gradcheck import check_gradient
from cnntool.ops import im2col
from cnntool.ops.convolution import conv2d_vjp
from cnntool.ops.transposed import conv_transpose2d, conv_transpose2d_vjp


def options(stride, padding, output_padding, groups, dilation):
    return {
        "stride": stride,
        "padding": padding,
        "output_padding": output_padding,
        "groups": groups,
        "dilation": dilation,
    }


@st.composite
def geometries(draw):
    small = st.integers(1, 3)
    kernel, stride, dilation = (draw(st.tuples(small, small)) for _ in range(3))
    more = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    sides = tuple(draw(st.integers(0, 2)) for _ in range(4))
    groups = draw(st.integers(1, 2))
    shape = (groups * draw(small), draw(small), draw(st.integers(1, 4)), draw(small))
    weight = (shape[0], draw(small), *kernel)
    return shape, weight, options(stride, sides, more, groups, dilation)


@settings(deadline=None, max_examples=50)
@given(geometries(), st.booleans())
def test_loops(geometry, biased):
    shape, kernel, chosen = geometry
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal(shape), rng.standard_normal(kernel)
    bias = rng.standard_normal(kernel[1] * chosen["groups"]) if biased else None
    loops = dict(chosen)
    wanted = reference_nn.conv_transpose2d(x, weight, bias, sides=loops.pop("padding"), **loops)
    assume(wanted.size)
    y = conv_transpose2d(x, weight, bias, **chosen)
    assert y.shape == wanted.shape
    np.testing.assert_allclose(y, wanted, rtol=1e-11, atol=1e-12)


GEOMETRIES = [
    ((2, 3, 4, 2), (2, 3, 2, 3), options(1, 0, 0, 1, 1)),
    ((4, 3, 4, 2), (4, 3, 2, 3), options((2, 3), (1, 0), (1, 2), 2, (1, 2))),
    ((2, 4, 3, 3), (2, 2, 4, 3), options(2, (1, 2, 0, 1), 1, 1, 1)),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_gradient(geometry, rng):
    shape, kernel, chosen = geometry
    arrays = [rng.standard_normal(shape), rng.standard_normal(kernel)]
    bias = rng.standard_normal(kernel[1] * chosen["groups"])

    def vjp(*a, **more):
        return conv_transpose2d_vjp(*a, **chosen, **more)

    check_gradient(vjp, *arrays, bias, rng=rng)
    check_gradient(lambda x, w: vjp(x, w), *arrays, rng=rng)
    y, backward = vjp(*arrays, bias, need_input_grad=False)
    np.testing.assert_array_equal(y, conv_transpose2d(*arrays, bias, **chosen))
    grads, whole = backward(y), vjp(*arrays, bias)[1](y)
    assert grads[0] is None
    for a, b in zip(grads[1:], whole[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_is_the_gradient_of_a_convolution(rng):
    x, weight = rng.standard_normal((3, 7, 9, 2)), rng.standard_normal((4, 3, 3, 2))
    y, backward = conv2d_vjp(x, weight, stride=2, padding=(1, 0))
    # 9 columns: a step of 2 leaves the last one unread
    found = conv_transpose2d(y, weight, stride=2, padding=(1, 0), output_padding=(0, 1))
    np.testing.assert_allclose(found, backward(y)[0], rtol=1e-11, atol=1e-12)


def test_strips_change_nothing(monkeypatch, rng):
    _, kernel, chosen = GEOMETRIES[1]
    x, weight = rng.standard_normal((4, 6, 7, 2)), rng.standard_normal(kernel)
    before = x.copy(), weight.copy()
    y, backward = conv_transpose2d_vjp(x, weight, **chosen)
    grads = backward(y)
    monkeypatch.setattr(im2col, "PATCH_BYTES", 1)
    strip_y, strip_backward = conv_transpose2d_vjp(x, weight, **chosen)
    np.testing.assert_allclose(strip_y, y, rtol=1e-12, atol=1e-13)
    for a, b in zip(strip_backward(y), grads, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)
    for a, b in zip((x, weight), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_every_library(geometry, xp, rng):
    shape, kernel, chosen = geometry
    host = [rng.standard_normal(s, dtype=np.float32) for s in (shape, kernel)]
    device = [xp.to_device(a) for a in host]
    with xp.no_transfers():
        y, backward = conv_transpose2d_vjp(*device, **chosen)
        grads = backward(y)
    host_y, host_backward = conv_transpose2d_vjp(*host, **chosen)
    np.testing.assert_array_equal(xp.to_host(y), host_y)
    for a, b in zip(grads, host_backward(host_y), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(xp.to_host(a), b)


@settings(deadline=None, max_examples=30)
@given(geometries())
def test_torch_agrees(geometry):
    torch = pytest.importorskip("torch")
    shape, kernel, chosen = geometry
    chosen = {**chosen, "padding": chosen["padding"][:2]}
    rng = np.random.default_rng(2)
    x, weight = rng.standard_normal(shape), rng.standard_normal(kernel)
    bias = rng.standard_normal(kernel[1] * chosen["groups"])
    t, tw, tb = (
        torch.from_numpy(a.copy()).requires_grad_() for a in (x.transpose(3, 0, 1, 2), weight, bias)
    )
    try:
        ty = torch.nn.functional.conv_transpose2d(t, tw, tb, **chosen)
    except RuntimeError:  # nothing is left
        with pytest.raises(ShapeError, match="cuts off all of an output"):
            conv_transpose2d(x, weight, bias, **chosen)
        return
    y, backward = conv_transpose2d_vjp(x, weight, bias, **chosen)
    np.testing.assert_allclose(y, ty.detach().numpy().transpose(1, 2, 3, 0), rtol=0, atol=1e-12)
    grad_y = rng.standard_normal(y.shape)
    ty.backward(torch.from_numpy(grad_y.transpose(3, 0, 1, 2).copy()))
    wanted = t.grad.numpy().transpose(1, 2, 3, 0), tw.grad.numpy(), tb.grad.numpy()
    for a, b in zip(backward(grad_y), wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("weight", "chosen", "error", "message"),
    [
        ((3, 2, 2, 2), {}, ShapeError, "4 input maps in 1 .* do not fit weights of shape 3x2x2x2"),
        ((4, 2, 2, 2), {"groups": 3}, ShapeError, "the number of input maps, a multiple of the"),
        ((4, 2, 2, 2), {"groups": 0}, ShapeError, r"4 input maps in 0 group\(s\) do not fit"),
        (
            (4, 2, 2, 2),
            {"output_padding": 1},
            OptionError,
            "output_padding must be smaller than .* got 1 for stride 1 and dilation 1",
        ),
        ((4, 2, 2, 2), {"output_padding": (0, -1)}, OptionError, "not negative; got -1 for"),
        ((4, 2, 2, 2), {"padding": 4}, ShapeError, "a padding of 4 cuts off all of an output of"),
        ((4, 2, 2, 2), {"stride": 0}, OptionError, "the stride must be at least 1, got 0,0"),
        ((4, 2, 2, 2), {"dilation": (1, 0)}, OptionError, "the dilation must be at least 1"),
    ],
)
def test_refusals(weight, chosen, error, message):
    for function in (conv_transpose2d, conv_transpose2d_vjp):
        with pytest.raises(error, match=message):
            function(np.zeros((4, 3, 5, 2)), np.zeros(weight), **chosen)
