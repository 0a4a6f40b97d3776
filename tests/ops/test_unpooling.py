"""Unpooling against scattering one by one."""

import numpy as np
import pytest
import reference

from cnntool.errors import ShapeError
from cnntool.ops.pooling import max_pool2d
from cnntool.ops.unpooling import max_unpool2d, max_unpool2d_vjp


def scatter(x, indices, size):
    y = np.zeros((x.shape[0], *size, x.shape[3]))
    for (c, i, j, n), place in np.ndenumerate(indices):
        y[c, place // size[1], place % size[1], n] = x[c, i, j, n]
    return y


@pytest.mark.parametrize("kernel", [2, (3, 2), (1, 4)])
def test_maxima_go_back_to_their_places(kernel, xp, rng):
    x = rng.standard_normal((3, 7, 8, 2), dtype=np.float32)
    y, indices = max_pool2d(x, kernel, return_indices=True)
    device, places = xp.to_device(y), xp.to_device(indices)
    with xp.no_transfers():
        found = max_unpool2d(device, places, (7, 8))
    host = xp.to_host(found)
    assert host.dtype == np.float32
    np.testing.assert_array_equal(host, scatter(y, indices, (7, 8)))
    assert ((host == x) | (host == 0)).all()
    np.testing.assert_array_equal(max_pool2d(np.where(host == 0, -np.inf, host), kernel), y)


def test_overlapping_windows_share_a_place(rng):
    x = rng.standard_normal((2, 6, 7, 3))
    y, indices = max_pool2d(x, 3, 1, 1, return_indices=True)
    np.testing.assert_array_equal(max_unpool2d(y, indices, (6, 7)), scatter(y, indices, (6, 7)))


def test_gradient_along_a_direction(rng):
    x = rng.standard_normal((2, 7, 6, 3))
    y, indices = max_pool2d(x, (2, 3), return_indices=True)
    _, backward = max_unpool2d_vjp(y, indices, (7, 6))
    direction, grad = rng.standard_normal(y.shape), rng.standard_normal(x.shape)
    wanted = reference.directional(lambda v: max_unpool2d(v, indices, (7, 6)), y, direction, grad)
    assert (backward(grad) * direction).sum() == pytest.approx(wanted, rel=1e-6)


def test_shapes_must_agree():
    with pytest.raises(ShapeError, match=r"must have one shape; got \(1, 2, 2, 1\) and \(1, 2, 3,"):
        max_unpool2d(np.zeros((1, 2, 2, 1)), np.zeros((1, 2, 3, 1), dtype=int), 4)
