"""Resizing against loops, and against torch."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import NameNotFound, OptionError, ShapeError
from cnntool.ops.resampling import interpolate, interpolate_vjp

WAYS = [("nearest", False), ("bilinear", False), ("bilinear", True)]
sizes = st.integers(1, 12)


@settings(deadline=None, max_examples=80)
@given(st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.sampled_from(WAYS))
def test_to_a_size(shape, out, way):
    mode, align_corners = way
    x = np.random.default_rng(8).standard_normal((2, *shape, 3))
    y = interpolate(x, out, mode=mode, align_corners=align_corners)
    wanted = reference.interpolate(x, out, mode, align_corners)
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1, 2, 3, (1.5, 2.5), (4, 0.5), (0.7, 1), (2.2, 3.3)])
@pytest.mark.parametrize(("mode", "align_corners"), WAYS)
def test_by_a_factor(scale, mode, align_corners, rng):
    x = rng.standard_normal((2, 5, 8, 3))
    sy, sx = scale if isinstance(scale, tuple) else (scale, scale)
    y = interpolate(x, scale_factor=scale, mode=mode, align_corners=align_corners)
    out = (int(5 * sy), int(8 * sx))
    wanted = reference.interpolate(x, out, mode, align_corners, (1 / sy, 1 / sx))
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-12)


def test_types_and_copies(rng):
    x = rng.integers(0, 256, (1, 3, 5, 2)).astype(np.uint8)
    assert interpolate(x, (6, 7)).dtype == np.uint8
    assert interpolate(x, (6, 7), mode="bilinear").dtype == np.float32
    for mode in ("nearest", "bilinear"):
        for size in ((3, 5), (3, 10), (6, 5)):
            y = interpolate(x, size, mode=mode)
            y += 1
            assert not np.shares_memory(x, y)
    np.testing.assert_array_equal(interpolate(x, (3, 5), mode="bilinear"), x)


def test_large_maps_keep_exact_positions():
    # in float32 the positions of a row this long would be off by thousandths
    x = np.arange(5000, dtype=np.float32).reshape(1, 1, 5000, 1)
    y = interpolate(x, (1, 15000), mode="bilinear").ravel()
    wanted = np.clip((np.arange(15000) + 0.5) / 3 - 0.5, 0, 4999)
    np.testing.assert_allclose(y, wanted, rtol=2e-7)


@pytest.mark.parametrize(
    "target",
    [
        {"size": (3, 4)},
        {"size": (1, 1)},
        {"size": (5, 20)},
        {"size": (13, 9)},
        {"scale_factor": 2},
        {"scale_factor": (4, 3)},
        {"scale_factor": (1.5, 0.6)},
    ],
    ids=str,
)
@pytest.mark.parametrize(("mode", "align_corners"), WAYS)
def test_gradient_along_a_direction(target, mode, align_corners, rng):
    x = rng.standard_normal((2, 5, 7, 3))
    options = {**target, "mode": mode, "align_corners": align_corners}
    y, backward = interpolate_vjp(x, **options)
    np.testing.assert_array_equal(y, interpolate(x, **options))
    direction, grad_y = rng.standard_normal(x.shape), rng.standard_normal(y.shape)
    wanted = reference.directional(lambda v: interpolate(v, **options), x, direction, grad_y)
    assert (backward(grad_y) * direction).sum() == pytest.approx(wanted, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(("mode", "align_corners"), WAYS)
def test_every_library_without_traffic(mode, align_corners, xp, rng):
    x = rng.standard_normal((2, 5, 7, 3), dtype=np.float32)
    device = xp.to_device(x)
    for target in ({"size": (3, 9)}, {"size": (11, 14)}, {"scale_factor": 2}):
        options = {**target, "mode": mode, "align_corners": align_corners}
        with xp.no_transfers():
            y, backward = interpolate_vjp(device, **options)
            grad = backward(y)
        host, host_backward = interpolate_vjp(x, **options)
        assert y.dtype == grad.dtype == np.float32
        np.testing.assert_array_equal(xp.to_host(y), host)
        np.testing.assert_array_equal(xp.to_host(grad), host_backward(host))


@pytest.mark.parametrize(("mode", "align_corners"), WAYS)
def test_torch_agrees(mode, align_corners, rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((3, 7, 5, 2), dtype=np.float32)
    t = torch.from_numpy(x.transpose(3, 0, 1, 2).copy())
    corners = {"align_corners": align_corners} if mode == "bilinear" else {}
    for target in ({"size": (4, 11)}, {"scale_factor": 3}, {"scale_factor": (1.5, 2.5)}):
        y = interpolate(x, **target, mode=mode, **corners)
        wanted = torch.nn.functional.interpolate(t, **target, mode=mode, **corners)
        np.testing.assert_allclose(y, wanted.numpy().transpose(1, 2, 3, 0), atol=1e-5)


def test_refusals():
    x = np.zeros((1, 3, 4, 1))
    with pytest.raises(OptionError, match="takes either size or scale_factor"):
        interpolate(x)
    with pytest.raises(OptionError, match="takes either size or scale_factor"):
        interpolate(x, 2, 2.0)
    with pytest.raises(OptionError, match="cannot be resized to 0 x 4; use at least 1 x 1"):
        interpolate(x, (0, 4))
    with pytest.raises(OptionError, match="cannot be resized to 0 x 1"):
        interpolate(x, scale_factor=0.26)
    for factor in (-1, 0, float("inf"), (1, 2, 3)):
        with pytest.raises(OptionError, match="scale_factor takes one or two numbers above 0"):
            interpolate(x, scale_factor=factor)
    with pytest.raises(OptionError, match="align_corners needs mode 'bilinear'"):
        interpolate(x, 2, align_corners=True)
    with pytest.raises(NameNotFound, match="unknown interpolation mode 'bilinar'; did you mean"):
        interpolate(x, 2, mode="bilinar")
    with pytest.raises(ShapeError, match="a map of 0 x 4 cannot be resized"):
        interpolate(np.zeros((1, 0, 4, 1)), 2)
