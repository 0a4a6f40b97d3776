"""Pooling to a size against loops over regions."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.ops.adaptive_pooling import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_vjp,
    adaptive_max_pool2d,
    adaptive_max_pool2d_vjp,
    global_avg_pool2d,
    global_avg_pool2d_vjp,
    global_max_pool2d,
    global_max_pool2d_vjp,
)

sizes = st.integers(1, 9)


@settings(deadline=None, max_examples=80)
@given(st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.sampled_from([np.uint8, np.float64]))
def test_regions(shape, out, dtype):
    x = np.random.default_rng(6).integers(0, 6, (2, *shape, 3)).astype(dtype)
    found = adaptive_avg_pool2d(x, out)
    wanted, _ = reference.adaptive_pool2d(x, "avg", out)
    np.testing.assert_allclose(found, wanted, rtol=1e-6 if dtype == np.uint8 else 1e-12)
    assert found.dtype == (np.float32 if dtype == np.uint8 else np.float64)
    values, indices = adaptive_max_pool2d(x, out, return_indices=True)
    wanted, positions = reference.adaptive_pool2d(x, "max", out)
    assert (values.dtype, indices.dtype) == (dtype, np.int64)
    np.testing.assert_array_equal(values, wanted)
    np.testing.assert_array_equal(indices, positions)
    np.testing.assert_array_equal(adaptive_max_pool2d(x, out), values)


def test_whole_maps(rng):
    x = rng.integers(0, 256, (2, 7, 5, 3)).astype(np.uint8)
    np.testing.assert_allclose(global_avg_pool2d(x)[:, 0, 0], x.mean(axis=(1, 2)), rtol=1e-6)
    values, indices = global_max_pool2d(x, return_indices=True)
    flat = x.reshape(2, 35, 3)
    np.testing.assert_array_equal(values[:, 0, 0], flat.max(axis=1))
    np.testing.assert_array_equal(indices[:, 0, 0], flat.argmax(axis=1))
    np.testing.assert_array_equal(global_max_pool2d(x), values)


def test_means_of_large_pictures_do_not_drift():
    x = np.full((1, 2000, 3000, 1), 201, dtype=np.uint8)
    assert global_avg_pool2d(x).item() == 201
    assert global_avg_pool2d(x.astype(np.float32)).item() == pytest.approx(201, rel=1e-6)


def test_none_keeps_a_size(rng):
    x = rng.standard_normal((1, 4, 6, 2))
    np.testing.assert_array_equal(adaptive_max_pool2d(x, None), x)
    np.testing.assert_allclose(
        adaptive_avg_pool2d(x, (None, 1))[:, :, 0], x.mean(axis=2), rtol=1e-12
    )


def test_nan_spreads():
    x = np.arange(6.0).reshape(1, 2, 3, 1)
    x[0, 1, 1, 0] = np.nan
    values, indices = global_max_pool2d(x, return_indices=True)
    assert np.isnan(values).item()
    assert indices.item() == 4


@pytest.mark.parametrize("out", [1, 2, (3, 4), (7, 1), (9, 5)])
def test_gradient_along_a_direction(out, rng):
    x = reference.spaced(rng, (2, 7, 5, 3))
    for forward, vjp in (
        (adaptive_avg_pool2d, adaptive_avg_pool2d_vjp),
        (adaptive_max_pool2d, adaptive_max_pool2d_vjp),
    ):
        y, backward = vjp(x, out)
        np.testing.assert_array_equal(y, forward(x, out))
        direction, grad_y = rng.standard_normal(x.shape), rng.standard_normal(y.shape)
        wanted = reference.directional(lambda v: forward(v, out), x, direction, grad_y)  # noqa: B023
        assert (backward(grad_y) * direction).sum() == pytest.approx(wanted, rel=1e-6, abs=1e-8)


def test_gradients_of_whole_maps(rng):
    x = reference.spaced(rng, (2, 3, 4, 2))
    y, backward = global_avg_pool2d_vjp(x)
    np.testing.assert_allclose(backward(np.ones_like(y)), np.full(x.shape, 1 / 12))
    (y, _), backward = global_max_pool2d_vjp(x, return_indices=True)
    np.testing.assert_array_equal(backward(np.ones_like(y)), x == y)


def test_every_library_without_traffic(xp, rng):
    x = rng.standard_normal((2, 7, 5, 3), dtype=np.float32)
    device = xp.to_device(x)
    for out in (1, (3, 5), (4, 2)):
        for vjp in (adaptive_avg_pool2d_vjp, adaptive_max_pool2d_vjp):
            with xp.no_transfers():
                y, backward = vjp(device, out)
                grad = backward(y)
            host, host_backward = vjp(x, out)
            np.testing.assert_array_equal(xp.to_host(y), host)
            np.testing.assert_array_equal(xp.to_host(grad), host_backward(host))


def test_refusals():
    x = np.zeros((1, 3, 4, 1))
    with pytest.raises(OptionError, match="output_size must be at least 1, got 0"):
        adaptive_avg_pool2d(x, (0, 2))
    with pytest.raises(OptionError, match=r"output_size takes one number or two .* got 3"):
        adaptive_max_pool2d(x, (1, 2, 3))
    with pytest.raises(ShapeError, match="a map of 0 x 4 has nothing to pool"):
        adaptive_max_pool2d(np.zeros((1, 0, 4, 1)), 1)
