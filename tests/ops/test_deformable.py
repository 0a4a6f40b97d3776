"""Deformable convolution against loops over all pixels."""

import numpy as np
import pytest
import reference_nn
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.nn.gradcheck import check_gradient
from cnntool.ops import deformable
from cnntool.ops.convolution import conv2d, conv2d_vjp
from cnntool.ops.deformable import deform_conv2d, deform_conv2d_vjp


@st.composite
def geometries(draw):
    """(shape, weights' shape, sets of offsets, stride, sides, dilation), all sizes free."""
    small = st.integers(1, 2)
    kernel, stride, dilation = (draw(st.tuples(small, st.integers(1, 3))) for _ in range(3))
    sides = tuple(draw(st.integers(0, 2)) for _ in range(4))
    size = tuple(
        draw(st.integers(max(1, d * (k - 1) + 1 - before - after), 7))
        for k, d, before, after in zip(
            kernel, dilation, (sides[0], sides[3]), (sides[2], sides[1]), strict=True
        )
    )
    groups, sets = draw(small), draw(small)
    share = draw(small) * 2 // groups
    weight = (groups * draw(small), share, *kernel)
    return (groups * share, *size, draw(small)), weight, sets, stride, sides, dilation


def some(rng, geometry, shared=False, size=1.5):
    """x, offset, weight, bias."""
    shape, kernel, sets, *rest = geometry
    x = rng.standard_normal(shape)
    out = reference_nn.conv_sizes(x, kernel[2:], *rest)
    places = () if shared else (*out, shape[3])
    offset = rng.standard_normal((sets * 2 * kernel[2] * kernel[3], *places)) * size
    return x, offset, rng.standard_normal(kernel), rng.standard_normal(kernel[0])


@settings(deadline=None, max_examples=40)
@given(geometries(), st.booleans(), st.booleans())
def test_loops(geometry, shared, biased):
    x, offset, weight, bias = some(np.random.default_rng(1), geometry, shared)
    bias = bias if biased else None
    wanted = reference_nn.deform_conv2d(x, offset, weight, bias, *geometry[3:])
    y = deform_conv2d(x, offset, weight, bias, *geometry[3:])
    np.testing.assert_allclose(y, wanted, rtol=1e-10, atol=1e-12)


PLAIN = ((3, 6, 7, 2), (4, 3, 3, 2), 1, (2, 1), (1, 0, 1, 2), (1, 2))
GROUPED = ((4, 5, 6, 3), (6, 2, 2, 3), 2, (1, 2), (0, 1, 2, 1), (2, 1))


@pytest.mark.parametrize("geometry", [PLAIN, GROUPED], ids=["plain", "grouped"])
def test_without_offsets_it_is_a_convolution(geometry, rng):
    x, offset, weight, bias = some(rng, geometry)
    stride, sides, dilation = geometry[3:]
    groups = x.shape[0] // weight.shape[1]
    plain, plain_backward = conv2d_vjp(x, weight, bias, stride, sides, dilation, groups)
    y, backward = deform_conv2d_vjp(x, offset * 0, weight, bias, stride, sides, dilation)
    np.testing.assert_allclose(y, plain, rtol=1e-11, atol=1e-12)
    grads, wanted = backward(y), plain_backward(y)
    for found, other in zip((grads[0], *grads[2:]), wanted, strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-11, atol=1e-11)


def test_whole_offsets_move_the_picture(rng):
    x, weight = rng.standard_normal((2, 6, 7, 2)), rng.standard_normal((3, 2, 1, 1))
    y = deform_conv2d(x, np.array([2.0, -1.0]), weight)
    moved = np.zeros_like(x)
    moved[:, :-2, 1:] = x[:, 2:, :-1]
    np.testing.assert_allclose(y, conv2d(moved, weight), rtol=1e-12, atol=1e-13)


def test_beyond_the_border_everything_fades_to_zero():
    x = np.full((1, 3, 4, 1), 8.0)
    weight = np.ones((1, 1, 1, 1))
    for distance, value in ((0, 8), (0.25, 6), (1, 0), (1.5, 0), (1e6, 0)):
        up = deform_conv2d(x, np.array([-distance, 0.0]), weight)
        right = deform_conv2d(x, np.array([0.0, distance]), weight)
        assert up[0, 0].ravel().tolist() == [value] * 4
        assert right[0, :, -1].ravel().tolist() == [value] * 3


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("geometry", [PLAIN, GROUPED], ids=["plain", "grouped"])
def test_gradient(geometry, shared, rng):
    x, offset, weight, bias = some(rng, geometry, shared)

    def vjp(x, offset, weight, bias=None, **options):
        return deform_conv2d_vjp(x, offset, weight, bias, *geometry[3:], **options)

    check_gradient(vjp, x, offset, weight, bias, rng=rng)
    check_gradient(vjp, x, offset, weight, rng=rng)
    y, backward = vjp(x, offset, weight, bias, need_input_grad=False)
    np.testing.assert_array_equal(y, deform_conv2d(x, offset, weight, bias, *geometry[3:]))
    grads, whole = backward(y), vjp(x, offset, weight, bias)[1](y)
    assert grads[0] is None
    for a, b in zip(grads[1:], whole[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_far_offsets_have_no_gradient(rng):
    x, offset, weight, _ = some(rng, PLAIN, size=0)
    y, backward = deform_conv2d_vjp(x, offset + 100, weight, None, *PLAIN[3:])
    assert not y.any()
    assert not any(g.any() for g in backward(np.ones_like(y)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_offsets_that_are_no_numbers(wrong, rng):
    x, offset, weight, _ = some(rng, PLAIN)
    offset[0, 0, 0, 0] = wrong
    y, backward = deform_conv2d_vjp(x, offset, weight, None, *PLAIN[3:])
    assert np.isnan(y[:, 0, 0, 0]).all() == np.isnan(wrong)
    assert np.isfinite(y[:, 1:]).all()
    backward(np.ones_like(y))


@pytest.mark.parametrize("geometry", [PLAIN, GROUPED], ids=["plain", "grouped"])
def test_strips_change_nothing(geometry, monkeypatch, rng):
    arrays = some(rng, geometry)
    before = [a.copy() for a in arrays]
    y, backward = deform_conv2d_vjp(*arrays, *geometry[3:])
    grads = backward(y)
    monkeypatch.setattr(deformable, "PATCH_BYTES", 1)
    strip_y, strip_backward = deform_conv2d_vjp(*arrays, *geometry[3:])
    np.testing.assert_allclose(strip_y, y, rtol=1e-12, atol=1e-13)
    for a, b in zip(strip_backward(y), grads, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shared", [True, False])
def test_every_library(shared, xp, rng):
    host = [a.astype(np.float32) for a in some(rng, GROUPED, shared)]
    device = [xp.to_device(a) for a in host]
    with xp.no_transfers():
        y, backward = deform_conv2d_vjp(*device, *GROUPED[3:])
        grads = backward(y)
    host_y, host_backward = deform_conv2d_vjp(*host, *GROUPED[3:])
    np.testing.assert_array_equal(xp.to_host(y), host_y)
    for a, b in zip(grads, host_backward(host_y), strict=True):
        assert a.dtype == np.float32
        # additions come in another order on a real device
        np.testing.assert_allclose(xp.to_host(a), b, rtol=1e-4, atol=1e-5)


def test_the_way_back_has_the_same_bits_each_time(rng):
    arrays = [a.astype(np.float32) for a in some(rng, GROUPED)]
    y, backward = deform_conv2d_vjp(*arrays, *GROUPED[3:])
    for a, b in zip(backward(y), backward(y), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("geometry", [PLAIN, GROUPED], ids=["plain", "grouped"])
def test_torchvision_agrees(geometry, rng):
    torch = pytest.importorskip("torch")
    operations = pytest.importorskip("torchvision.ops")
    shape, kernel, sets, stride, _, dilation = geometry
    geometry = (shape, kernel, sets, stride, (1, 2, 1, 2), dilation)
    arrays = some(rng, geometry)
    y, backward = deform_conv2d_vjp(*arrays, *geometry[3:])

    def tensor(a):
        order = (3, 0, 1, 2) if a.ndim == 4 and a.shape[3] == shape[3] else range(a.ndim)
        return torch.from_numpy(a.transpose(*order).copy()).requires_grad_()

    x, offset = tensor(arrays[0]), tensor(arrays[1])
    weight, bias = (torch.from_numpy(a).requires_grad_() for a in arrays[2:])
    ty = operations.deform_conv2d(x, offset, weight, bias, stride, (1, 2), dilation)
    np.testing.assert_allclose(y, ty.detach().numpy().transpose(1, 2, 3, 0), atol=1e-11)
    grad_y = rng.standard_normal(y.shape)
    ty.backward(torch.from_numpy(grad_y.transpose(3, 0, 1, 2).copy()))
    wanted = [t.grad.numpy().transpose(1, 2, 3, 0) for t in (x, offset)]
    for a, b in zip(backward(grad_y), [*wanted, weight.grad, bias.grad], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


@pytest.mark.parametrize(
    ("offset", "weight", "options", "error", "message"),
    [
        ((8,), (4, 3, 2, 2), {}, ShapeError, "4 input maps do not fit .* 4x3x2x2; .* multiple of"),
        ((8,), (3, 2, 2, 2), {}, ShapeError, "4 input maps do not fit weights of shape 3x2x2x2"),
        ((9,), (4, 4, 2, 2), {}, ShapeError, r"\(9,\) do not fit; .* be \(8,\), or \(8, 4, 5, 2\)"),
        ((24,), (4, 4, 2, 2), {}, ShapeError, "a multiple of 8 for as many groups of the 4 input"),
        ((8, 4, 5, 1), (4, 4, 2, 2), {}, ShapeError, r"offsets of shape \(8, 4, 5, 1\) do not fit"),
        ((8,), (4, 4, 6, 2), {}, ShapeError, "a window of 6 does not fit an input of 5"),
        ((8,), (4, 4, 2, 2), {"dilation": 0}, OptionError, "the dilation must be at least 1"),
    ],
)
def test_refusals(offset, weight, options, error, message):
    for function in (deform_conv2d, deform_conv2d_vjp):
        with pytest.raises(error, match=message):
            function(np.zeros((4, 5, 6, 2)), np.zeros(offset), np.zeros(weight), **options)
