"""Gradient clipping: the norm of all gradients together."""

import math

import numpy as np
import pytest

from cnntool.errors import OptionError
from cnntool.nn import clipping
from cnntool.nn.clipping import clip_norm


def norm(values):
    return math.sqrt(math.fsum(float(v) ** 2 for v in values))


@pytest.mark.parametrize("limit", [0.5, 7.0, 1e3])
def test_norm(limit, xp, rng):
    values = rng.standard_normal(217).astype(np.float32)
    g = xp.to_device(values)
    with xp.no_transfers():
        before = clip_norm(g, limit)
    assert float(before) == pytest.approx(norm(values), rel=1e-5)
    wanted = values * min(1.0, limit / (norm(values) + 1e-6))
    np.testing.assert_allclose(xp.to_host(g), wanted, rtol=1e-5)
    assert norm(xp.to_host(g)) <= max(limit, 0) * (1 + 1e-5) or limit > norm(values)
    assert g.dtype == np.float32


def test_blocks(monkeypatch, rng):
    one, two = (np.array(v) for v in rng.standard_normal((1, 100)).repeat(2, axis=0))
    clip_norm(one, 1.0)
    monkeypatch.setattr(clipping, "BLOCK", 7)
    clip_norm(two, 1.0)
    np.testing.assert_allclose(one, two, rtol=1e-12)


def test_huge_gradients_are_shortened_too():
    g = np.full(4, 1e30, np.float32)  # their squares are beyond float32
    assert clip_norm(g, 1.0) == pytest.approx(2e30)
    np.testing.assert_allclose(g, 0.5, rtol=1e-6)


def test_nothing_to_shorten(xp):
    g = xp.to_device(np.zeros(5, np.float32))
    assert float(clip_norm(g, 1.0)) == 0
    assert not xp.to_host(g).any()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_still_shows(value, xp):
    g = xp.to_device(np.array([1.0, value, 2.0], np.float32))
    with np.errstate(invalid="ignore"):
        clip_norm(g, 1.0)
    assert not np.isfinite(xp.to_host(g)).all()


def test_against_torch(rng):
    torch = pytest.importorskip("torch")
    values = rng.standard_normal(300)
    for limit in (0.1, 5.0, 100.0):
        parameter = torch.zeros(300, dtype=torch.float64, requires_grad=True)
        parameter.grad = torch.tensor(values.copy())
        torch.nn.utils.clip_grad_norm_([parameter], limit)
        g = values.copy()
        clip_norm(g, limit)
        np.testing.assert_allclose(g, parameter.grad.numpy(), rtol=1e-10)


@pytest.mark.parametrize("limit", [0, -1, math.nan, math.inf])
def test_messages(limit):
    with pytest.raises(OptionError, match="the limit of the gradients' norm must be above 0, got"):
        clip_norm(np.ones(3), limit)
