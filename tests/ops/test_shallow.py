"""Convolution with filters shallower than the input, against loops."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import NameNotFound, OptionError, ShapeError
from cnntool.nn.gradcheck import check_gradient
from cnntool.ops import conv2d, conv2d_vjp, shallow_conv2d, shallow_conv2d_vjp


def outside(position, size, mode):
    """Which pixel stands at a position beyond the border; None for zeros."""
    if 0 <= position < size:
        return position
    if mode == "zeros":
        return None
    if mode == "replicate":
        return min(max(position, 0), size - 1)
    if mode == "circular":
        return position % size
    while not 0 <= position < size:  # reflect
        position = -position if position < 0 else 2 * (size - 1) - position
    return position


def loops(x, weight, bias, stride, sides, dilation, mode, step):
    c, h, w, n = x.shape
    o, depth, kh, kw = weight.shape
    places = (c - depth) // step + 1
    top, right, bottom, left = sides
    rows = (h + top + bottom - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (w + left + right - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((o * places, rows, columns, n))
    for k, d, i, j, image in product(*map(range, (o, places, rows, columns, n))):
        total = 0.0 if bias is None else float(bias[k])
        for m, a, b in product(range(depth), range(kh), range(kw)):
            row = outside(i * stride[0] + a * dilation[0] - top, h, mode)
            column = outside(j * stride[1] + b * dilation[1] - left, w, mode)
            if row is not None and column is not None:
                total += float(weight[k, m, a, b]) * float(x[d * step + m, row, column, image])
        y[k * places + d, i, j, image] = total
    return y


@st.composite
def geometries(draw):
    small = st.integers(1, 3)
    kernel, stride, dilation = (draw(st.tuples(small, small)) for _ in range(3))
    sides = tuple(draw(st.integers(0, 2)) for _ in range(4))
    size = tuple(
        draw(st.integers(max(3, d * (k - 1) + 1 - before - after), 7))
        for k, d, before, after in zip(
            kernel, dilation, (sides[0], sides[3]), (sides[2], sides[1]), strict=True
        )
    )
    depth = draw(small)
    c = draw(st.integers(depth, 6))
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    weight = (draw(small), depth, *kernel)
    return (c, *size, draw(small)), weight, stride, sides, dilation, mode, draw(small)


@settings(deadline=None, max_examples=60)
@given(geometries(), st.booleans())
def test_loops(geometry, biased):
    shape, kernels, stride, sides, dilation, mode, step = geometry
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal(shape), rng.standard_normal(kernels)
    bias = rng.standard_normal(kernels[0]) if biased else None
    wanted = loops(x, weight, bias, stride, sides, dilation, mode, step)
    for f in (shallow_conv2d, lambda *a, **k: shallow_conv2d_vjp(*a, **k)[0]):
        y = f(x, weight, bias, stride, sides, dilation, mode, depth_stride=step)
        np.testing.assert_allclose(y, wanted, rtol=1e-11, atol=1e-12)


def test_as_deep_as_the_input_is_a_convolution(rng):
    x, weight = rng.standard_normal((3, 6, 7, 2)), rng.standard_normal((4, 3, 2, 3))
    bias = rng.standard_normal(4)
    y, backward = shallow_conv2d_vjp(x, weight, bias, (1, 2), 1)
    wanted, wanted_backward = conv2d_vjp(x, weight, bias, (1, 2), 1)
    np.testing.assert_allclose(y, wanted, rtol=1e-11, atol=1e-12)
    for a, b in zip(backward(y), wanted_backward(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_one_map_deep_is_a_filter_for_each_map(rng):
    x, weight = rng.standard_normal((5, 6, 7, 2)), rng.standard_normal((3, 1, 2, 3))
    y = shallow_conv2d(x, weight, padding="same")
    assert y.shape == (15, 6, 7, 2)
    for k, m in product(range(3), range(5)):
        wanted = conv2d(x[m : m + 1], weight[k : k + 1], padding="same")[0]
        np.testing.assert_allclose(y[k * 5 + m], wanted, rtol=1e-11, atol=1e-12)


def test_maps_that_no_step_reaches_do_not_count(rng):
    x, weight = rng.standard_normal((6, 4, 5, 2)), rng.standard_normal((3, 2, 2, 2))
    y, backward = shallow_conv2d_vjp(x, weight, depth_stride=3)  # maps 0 1, 3 4
    assert y.shape[0] == 3 * 2
    grad_x, _ = backward(np.ones_like(y))
    assert not grad_x[[2, 5]].any()
    assert grad_x[[0, 1, 3, 4]].any(axis=(1, 2, 3)).all()


GEOMETRIES = [
    ((4, 4, 5, 3), (3, 2, 2, 3), {}),
    ((5, 5, 4, 2), (2, 3, 3, 2), {"stride": (2, 1), "padding": (1, 0, 2, 1), "dilation": (1, 2)}),
    ((6, 5, 4, 2), (3, 1, 2, 3), {"padding": 1, "depth_stride": 2, "padding_mode": "replicate"}),
    ((5, 4, 5, 2), (2, 2, 3, 3), {"padding": "same", "depth_stride": 3}),
    ((5, 4, 5, 2), (2, 4, 3, 2), {"padding": (2, 1), "padding_mode": "reflect"}),
    ((5, 4, 5, 2), (2, 2, 2, 3), {"padding": 2, "padding_mode": "circular"}),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_gradient(geometry, xp, rng):
    shape, kernels, options = geometry
    host = [rng.standard_normal(s) for s in (shape, kernels, kernels[:1])]
    arrays = [xp.to_device(a) for a in host]

    def vjp(x, weight, bias=None, **more):
        return shallow_conv2d_vjp(x, weight, bias, **options, **more)

    check_gradient(vjp, *arrays, rng=rng)
    check_gradient(vjp, *arrays[:2], rng=rng)
    y, backward = vjp(*arrays, need_input_grad=False)
    grads, whole = backward(y), vjp(*arrays)[1](y)
    assert grads[0] is None
    for a, b in zip(grads[1:], whole[1:], strict=True):
        np.testing.assert_array_equal(xp.to_host(a), xp.to_host(b))


def test_against_torch(rng):
    torch = pytest.importorskip("torch")
    x, weight = rng.standard_normal((7, 8, 9, 2)), rng.standard_normal((4, 3, 3, 2))
    bias = rng.standard_normal(4)
    # depth is one more axis of a three-dimensional convolution with one channel
    tensors = [
        torch.tensor(a, requires_grad=True)
        for a in (x.transpose(3, 0, 1, 2)[:, None], weight[:, None], bias)
    ]
    theirs = torch.nn.functional.conv3d(*tensors, stride=(2, 1, 2), padding=(0, 1, 2))
    options = {"stride": (1, 2), "padding": (1, 2), "depth_stride": 2}
    y, backward = shallow_conv2d_vjp(x, weight, bias, **options)
    n, o, d, h, w = theirs.shape
    wanted = theirs.detach().numpy().transpose(1, 2, 3, 4, 0).reshape(o * d, h, w, n)
    np.testing.assert_allclose(y, wanted, rtol=1e-11, atol=1e-11)
    theirs.sin().sum().backward()
    grads = backward(np.cos(y))
    np.testing.assert_allclose(
        grads[0], tensors[0].grad.numpy()[:, 0].transpose(1, 2, 3, 0), atol=1e-10
    )
    np.testing.assert_allclose(grads[1], tensors[1].grad.numpy()[:, 0], atol=1e-10)
    np.testing.assert_allclose(grads[2], tensors[2].grad.numpy(), atol=1e-10)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_every_library(depth, xp, rng):
    host = [
        rng.standard_normal(shape).astype(np.float32)
        for shape in ((5, 6, 7, 3), (3, depth, 3, 2), (3,))
    ]
    device = [xp.to_device(a) for a in host]
    with xp.no_transfers():
        y, backward = shallow_conv2d_vjp(*device, padding=1, depth_stride=2)
        grads = backward(y)
        forward = shallow_conv2d(*device, padding=1, depth_stride=2)
    host_y, host_backward = shallow_conv2d_vjp(*host, padding=1, depth_stride=2)
    np.testing.assert_allclose(xp.to_host(y), host_y, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(xp.to_host(y), xp.to_host(forward))
    for a, b in zip(grads, host_backward(host_y), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(xp.to_host(a), b, rtol=1e-4, atol=1e-3)


def test_inputs_stay_as_they_are(rng):
    arrays = [rng.standard_normal(s) for s in ((5, 6, 7, 2), (3, 2, 3, 2), (3,), (12, 4, 6, 2))]
    before = [a.copy() for a in arrays]
    _, backward = shallow_conv2d_vjp(*arrays[:3])
    backward(arrays[3])
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_whole_numbers_give_float32(rng):
    x = rng.integers(0, 256, (4, 5, 6, 2), dtype=np.uint8)
    weight = rng.standard_normal((3, 2, 2, 2))
    y, backward = shallow_conv2d_vjp(x, weight)
    assert y.dtype == np.float32
    assert [g.dtype for g in backward(y)] == [np.float32, np.float32]
    wanted = loops(x, weight, None, (1, 1), (0,) * 4, (1, 1), "zeros", 1)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-2)


def test_an_empty_batch_gives_empty_maps():
    x, weight = np.zeros((4, 6, 5, 0), np.float32), np.zeros((3, 2, 2, 3), np.float32)
    y, backward = shallow_conv2d_vjp(x, weight, np.zeros(3, np.float32))
    assert y.shape == (9, 5, 3, 0)
    grad_x, grad_weight, grad_bias = backward(y)
    assert grad_x.shape == x.shape
    assert not grad_weight.any()
    assert not grad_bias.any()


def test_refusals():
    x = np.zeros((3, 5, 6, 2))
    with pytest.raises(
        ShapeError,
        match="filters of depth 4 do not fit 3 input maps; take weights of shape 7x1x2x3 to 7x3x2x",
    ):
        shallow_conv2d(x, np.zeros((7, 4, 2, 3)))
    with pytest.raises(ShapeError, match="filters of depth 0 do not fit 3 input maps"):
        shallow_conv2d_vjp(x, np.zeros((7, 0, 2, 3)))
    with pytest.raises(OptionError, match="the step along the maps must be at least 1, got 0"):
        shallow_conv2d(x, np.zeros((7, 2, 2, 3)), depth_stride=0)
    with pytest.raises(ShapeError, match=r"a bias of shape \(14,\) does not fit; it must be \(7,"):
        shallow_conv2d(x, np.zeros((7, 2, 2, 3)), np.zeros(14))
    with pytest.raises(ShapeError, match="a window of 6 does not fit an input of 5"):
        shallow_conv2d(x, np.zeros((7, 2, 6, 3)))
    with pytest.raises(OptionError, match="unknown padding 'full'; use same, valid"):
        shallow_conv2d(x, np.zeros((7, 2, 2, 3)), padding="full")
    with pytest.raises(NameNotFound, match="unknown border 'refleckt'"):
        shallow_conv2d(x, np.zeros((7, 2, 2, 3)), padding=1, padding_mode="refleckt")
    with pytest.raises(OptionError, match="the stride must be at least 1, got 0,1"):
        shallow_conv2d(x, np.zeros((7, 2, 2, 3)), stride=(0, 1))
