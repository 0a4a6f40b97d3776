"""Losses of numbers against numbers: loops, SciPy, torch."""

import numpy as np
import pytest
import reference_nn
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cnntool.errors import NameNotFound, OptionError, ShapeError
from cnntool.nn.gradcheck import check_gradient
from cnntool.ops.losses import (
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_vjp,
    mse_loss,
    mse_loss_vjp,
)

SHAPE = (3, 4, 5, 2)
PAIRS = [
    (mse_loss, mse_loss_vjp),
    (binary_cross_entropy_with_logits, binary_cross_entropy_with_logits_vjp),
]
both = pytest.mark.parametrize(("function", "vjp"), PAIRS, ids=["mse", "bce"])


def some(rng, shape=SHAPE):
    return rng.standard_normal(shape) * 3, rng.random(shape)


# --- definitions ---


def test_squared_error(rng):
    x, target = some(rng)
    wanted = (x - target) ** 2
    np.testing.assert_allclose(mse_loss(x, target, "none"), wanted, rtol=1e-14)
    assert mse_loss(x, target) == pytest.approx(wanted.mean(), rel=1e-14)
    assert mse_loss(x, target, "sum") == pytest.approx(wanted.sum(), rel=1e-14)


@pytest.mark.parametrize("pos_weight", [None, 2.5, "channels", "all"])
@pytest.mark.parametrize("weight", [None, 0.5, "channels", "all"])
def test_yes_or_no(weight, pos_weight, rng):
    z, target = some(rng)
    vectors = {"channels": rng.random(3) + 0.5, "all": rng.random((3, 4, 1, 2)) + 0.5}
    weight, pos_weight = (vectors.get(w, w) for w in (weight, pos_weight))

    def spread(w):
        w = 1.0 if w is None else np.asarray(w)
        return w.reshape(3, 1, 1, 1) if np.ndim(w) == 1 else w

    wanted = reference_nn.binary_cross_entropy(z, target, spread(pos_weight)) * spread(weight)
    options = {"weight": weight, "pos_weight": pos_weight}
    found = binary_cross_entropy_with_logits(z, target, reduction="none", **options)
    np.testing.assert_allclose(found, wanted, rtol=1e-11)
    mean = binary_cross_entropy_with_logits(z, target, **options)
    assert mean == pytest.approx(wanted.sum() / wanted.size, rel=1e-12)
    check_gradient(lambda v: binary_cross_entropy_with_logits_vjp(v, target, **options), z, rng=rng)


@settings(deadline=None, max_examples=60)
@given(arrays.arrays(np.float64, 5, elements=st.floats(-1e300, 1e300)), st.floats(0, 1))
def test_logits_of_any_size(z, t):
    target = np.full(5, t)
    loss, backward = binary_cross_entropy_with_logits_vjp(z, target, reduction="none")
    wanted = -t * scipy.special.log_expit(z) - (1 - t) * scipy.special.log_expit(-z)
    np.testing.assert_allclose(loss, wanted, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(backward(np.ones(5)), scipy.special.expit(z) - t, atol=1e-15)


@both
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradient(function, vjp, reduction, rng):
    x, target = some(rng)

    def loss(v):
        y, backward = vjp(v, target, reduction=reduction)
        return np.asarray(y), backward

    check_gradient(loss, x, rng=rng)
    y, backward = vjp(x, target, reduction=reduction)
    np.testing.assert_array_equal(y, function(x, target, reduction=reduction))
    if reduction != "none":
        np.testing.assert_allclose(backward(2.5), 2.5 * backward(), rtol=1e-14)
        np.testing.assert_allclose(backward(np.float64(2.5)), 2.5 * backward(), rtol=1e-14)


@both
def test_shards_add_up_to_the_batch(function, vjp, rng):
    x, target = some(rng, (3, 4, 7))
    whole, backward = vjp(x, target)
    parts = [
        vjp(x[..., cut], target[..., cut], divisor=x.size)
        for cut in (slice(0, 3), slice(3, 3), slice(3, 7))
    ]
    assert sum(loss for loss, _ in parts) == pytest.approx(whole, rel=1e-13)
    together = np.concatenate([back() for _, back in parts], axis=2)
    np.testing.assert_allclose(together, backward(), rtol=1e-13)


@both
def test_the_mean_of_nothing_is_zero(function, vjp):
    loss, backward = vjp(np.zeros((3, 0)), np.zeros((3, 0)))
    assert loss == 0
    assert backward().shape == (3, 0)


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_and_untouched_arguments(function, vjp, dtype, rng):
    x, target = (a.astype(dtype) for a in some(rng))
    before = x.copy(), target.copy()
    loss, backward = vjp(x, (target > 0.5).astype(np.uint8))
    assert loss.dtype == backward().dtype == dtype
    loss, backward = vjp(x, target)
    np.testing.assert_array_equal(backward(), backward())
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(target, before[1])


@both
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_every_library(function, vjp, reduction, xp, rng):
    host = [a.astype(np.float32) for a in some(rng)]
    device = [xp.to_device(a) for a in host]
    with xp.no_transfers():
        loss, backward = vjp(*device, reduction=reduction)
        grads = [backward(), backward(loss)]
    host_loss, host_backward = vjp(*host, reduction=reduction)
    np.testing.assert_array_equal(xp.to_host(loss), host_loss)
    for a, b in zip(grads, [host_backward(), host_backward(host_loss)], strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(xp.to_host(a), b)


def test_weights_on_every_library(xp, rng):
    host = [a.astype(np.float32) for a in (*some(rng), rng.random(3), rng.random(SHAPE))]
    device = [xp.to_device(a) for a in host]
    results = []
    for z, t, pos_weight, weight in (host, device):
        with xp.no_transfers():
            loss, backward = binary_cross_entropy_with_logits_vjp(
                z, t, weight, pos_weight=pos_weight
            )
            results.append((loss, backward()))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(xp.to_host(b), a)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_torch_agrees(reduction, rng):
    torch = pytest.importorskip("torch")
    x, target = (a.transpose(1, 2, 3, 0) for a in some(rng))  # channels last, as torch broadcasts
    weight, pos_weight = rng.random(3), rng.random(3) * 4
    t = torch.from_numpy(x.copy()).requires_grad_()
    tt, tw, tp = (torch.from_numpy(a.copy()) for a in (target, weight, pos_weight))
    f = torch.nn.functional
    back = (3, 0, 1, 2)
    mine = np.ascontiguousarray(x.transpose(back)), np.ascontiguousarray(target.transpose(back))
    cases = (
        (f.mse_loss(t, tt, reduction=reduction), mse_loss_vjp(*mine, reduction=reduction)),
        (
            f.binary_cross_entropy_with_logits(t, tt, tw, reduction=reduction, pos_weight=tp),
            binary_cross_entropy_with_logits_vjp(
                *mine, weight, reduction=reduction, pos_weight=pos_weight
            ),
        ),
    )
    for theirs, (loss, backward) in cases:
        t.grad = None
        theirs.sum().backward()
        wanted = theirs.detach().numpy()
        wanted = wanted.transpose(back) if reduction == "none" else wanted
        np.testing.assert_allclose(loss, wanted, rtol=1e-12)
        np.testing.assert_allclose(backward(), t.grad.numpy().transpose(back), rtol=1e-10)


# --- errors ---


@both
def test_refusals(function, vjp):
    x = np.zeros((3, 2))
    for f in (function, vjp):
        with pytest.raises(ShapeError, match=r"a target of shape \(2, 3\) does not fit .* \(3, 2"):
            f(x, x.T)
        with pytest.raises(NameNotFound, match="unknown reduction 'means'; did you mean 'mean'"):
            f(x, x, reduction="means")
        with pytest.raises(OptionError, match="a divisor needs reduction 'mean', got 'sum'"):
            f(x, x, reduction="sum", divisor=3)
        with pytest.raises(OptionError, match="the divisor of a mean must be above 0, got 0"):
            f(x, x, divisor=0)


@pytest.mark.parametrize("name", ["weight", "pos_weight"])
@pytest.mark.parametrize("shape", [(2,), (3, 2, 1), (3, 4)])
def test_weights_that_do_not_fit(name, shape):
    x = np.zeros((3, 2))
    message = rf"^{name} of shape .* does not fit logits of \(3, 2\); use one number, \(3,\) for"
    with pytest.raises(ShapeError, match=message):
        binary_cross_entropy_with_logits(x, x, **{name: np.ones(shape)})
