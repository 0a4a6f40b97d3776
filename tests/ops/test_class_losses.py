"""Losses of class scores: loops, torch."""

import numpy as np
import pytest
import reference_nn
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import InputError, NameNotFound, OptionError, ShapeError
from cnntool.nn.gradcheck import check_gradient
from cnntool.ops.class_losses import (
    cross_entropy,
    cross_entropy_divisor,
    cross_entropy_vjp,
    dice_loss,
    dice_loss_vjp,
)

shapes = st.sampled_from([(2, 5), (5, 3), (1, 4), (3, 4, 5, 2), (4, 2, 3, 1)])


def some(rng, shape, ignored=None):
    """Scores, class numbers, class weights."""
    logits = rng.standard_normal(shape) * 3
    target = rng.integers(0, shape[0], shape[1:])
    if ignored is not None:
        target[rng.random(target.shape) < 0.3] = ignored
    return logits, target, rng.random(shape[0]) + 0.2


# --- cross entropy ---


@settings(deadline=None, max_examples=50)
@given(
    shapes,
    st.sampled_from([None, -100, 1, 255]),
    st.booleans(),
    st.sampled_from([0, 0.1, 1]),
    st.integers(0, 3),
)
def test_cross_entropy(shape, ignored, weighted, smoothing, seed):
    logits, target, weight = some(np.random.default_rng(seed), shape, ignored)
    ignored = -100 if ignored is None else ignored
    weight = weight if weighted else None
    terms, weights = reference_nn.cross_entropy(logits, target, weight, ignored, smoothing)
    options = {"weight": weight, "ignore_index": ignored, "label_smoothing": smoothing}
    found = cross_entropy(logits, target, reduction="none", **options)
    np.testing.assert_allclose(found, terms, rtol=1e-11, atol=1e-12)
    total = cross_entropy(logits, target, reduction="sum", **options)
    assert total == pytest.approx(terms.sum(), rel=1e-11)
    mean = cross_entropy(logits, target, **options)
    assert mean == pytest.approx(terms.sum() / (weights.sum() or 1), rel=1e-11)
    divisor = cross_entropy_divisor(target, weight, ignored)
    assert divisor == pytest.approx(weights.sum() or 1, rel=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("smoothing", [0, 0.2])
@pytest.mark.parametrize("shape", [(4, 7), (3, 4, 5, 2)])
def test_gradient_of_cross_entropy(shape, smoothing, weighted, reduction, rng):
    logits, target, weight = some(rng, shape, -1)
    options = {
        "weight": weight if weighted else None,
        "ignore_index": -1,
        "reduction": reduction,
        "label_smoothing": smoothing,
    }

    def vjp(z):
        loss, backward = cross_entropy_vjp(z, target, **options)
        return np.asarray(loss), backward

    check_gradient(vjp, logits, rng=rng)
    loss, backward = cross_entropy_vjp(logits, target, **options)
    np.testing.assert_array_equal(loss, cross_entropy(logits, target, **options))
    np.testing.assert_allclose(backward(2.5), 2.5 * backward(), rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(backward(), backward())
    ignored = np.broadcast_to(target == -1, shape)
    assert not backward()[ignored].any()


def test_scores_of_any_size():
    logits = np.array([[1e30, -1e30, 0], [0, 0, 500]], np.float32)
    loss, backward = cross_entropy_vjp(logits, np.array([1, 0, 0]), reduction="none")
    np.testing.assert_allclose(loss, [1e30, 1e30, 500], rtol=1e-6)
    wanted = [[1, -1, -1], [-1, 1, 1]]
    np.testing.assert_allclose(backward(np.ones(3, np.float32)), wanted, atol=1e-6)


def test_the_mean_of_nothing_is_zero():
    logits, target = np.ones((3, 4)), np.full(4, -100)
    for weight in (None, np.ones(3), np.zeros(3)):
        loss, backward = cross_entropy_vjp(logits, target, weight)
        assert loss == 0
        assert not backward().any()
    loss, backward = cross_entropy_vjp(np.ones((3, 0)), np.zeros(0, int))
    assert (loss, backward().shape) == (0, (3, 0))


@pytest.mark.parametrize("weighted", [True, False])
def test_shards_add_up_to_the_batch(weighted, rng):
    logits, target, weight = some(rng, (4, 3, 2, 9), -100)
    weight = weight if weighted else None
    whole, backward = cross_entropy_vjp(logits, target, weight, label_smoothing=0.1)
    divisor = cross_entropy_divisor(target, weight)
    parts = [
        cross_entropy_vjp(
            logits[..., cut], target[..., cut], weight, label_smoothing=0.1, divisor=divisor
        )
        for cut in (slice(0, 4), slice(4, 4), slice(4, 9))
    ]
    assert sum(loss for loss, _ in parts) == pytest.approx(whole, rel=1e-13)
    together = np.concatenate([back() for _, back in parts], axis=3)
    np.testing.assert_allclose(together, backward(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int32, np.uint64])
def test_targets_of_every_integer_type(kind, rng):
    logits, target, _ = some(rng, (4, 7))
    wanted = cross_entropy(logits, target)
    assert cross_entropy(logits, target.astype(kind)) == wanted
    target[2] = 100
    found = cross_entropy(logits, target.astype(kind), ignore_index=100)
    assert found == cross_entropy(logits, target, ignore_index=100)


# --- dice ---


@pytest.mark.parametrize("shape", [(1, 4, 5, 3), (2, 4, 5, 2), (4, 3, 5, 2)])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("smooth", [1, 0.01])
def test_dice(shape, weighted, smooth, rng):
    logits, target, weight = some(rng, shape)
    if shape[0] == 1:
        target = rng.integers(0, 2, shape[1:])
    target[rng.random(target.shape) < 0.2] = 255
    weight = weight if weighted else None
    wanted = reference_nn.dice_loss(logits, target, weight, 255, smooth)
    options = {"weight": weight, "ignore_index": 255, "smooth": smooth}
    found = dice_loss(logits, target, reduction="none", **options)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert dice_loss(logits, target, **options) == pytest.approx(wanted.mean(), rel=1e-12)
    total = dice_loss(logits, target, reduction="sum", **options)
    assert total == pytest.approx(wanted.sum(), rel=1e-12)
    for reduction in ("mean", "sum", "none"):

        def vjp(z, reduction=reduction):
            loss, backward = dice_loss_vjp(z, target, reduction=reduction, **options)
            return np.asarray(loss), backward

        check_gradient(vjp, logits, rng=rng)
    _, backward = dice_loss_vjp(logits, target, **options)
    assert not backward()[np.broadcast_to(target == 255, shape)].any()


def test_dice_of_perfect_and_useless_regions():
    target = np.zeros((4, 5, 1), int)
    target[:2] = 1
    right = np.stack([target == 0, target == 1]) * 200.0 - 100
    assert dice_loss(right, target) == pytest.approx(0, abs=1e-12)
    assert dice_loss(-right, target) == pytest.approx(1 - 1 / 21, rel=1e-12)
    absent = np.concatenate([right, np.full((1, 4, 5, 1), -1000.0)])
    assert dice_loss(absent, target) == pytest.approx(0, abs=1e-12)  # found nowhere: right


def test_dice_images_count_alike(rng):
    logits, target, _ = some(rng, (3, 4, 5, 6))
    each = dice_loss(logits, target, reduction="none")
    for n in range(6):
        one = dice_loss(logits[..., n : n + 1], target[..., n : n + 1])
        assert one == pytest.approx(each[n], rel=1e-13)
    parts = [
        dice_loss_vjp(logits[..., cut], target[..., cut], divisor=6)
        for cut in (slice(0, 2), slice(2, 6))
    ]
    whole, backward = dice_loss_vjp(logits, target)
    assert sum(loss for loss, _ in parts) == pytest.approx(whole, rel=1e-13)
    together = np.concatenate([back() for _, back in parts], axis=3)
    np.testing.assert_allclose(together, backward(), rtol=1e-12)


# --- types, libraries ---


@pytest.mark.parametrize("vjp", [cross_entropy_vjp, dice_loss_vjp])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_and_untouched_arguments(vjp, dtype, rng):
    logits, target, weight = some(rng, (3, 4, 5, 2))
    logits = logits.astype(dtype)
    before = logits.copy(), target.copy(), weight.copy()
    loss, backward = vjp(logits, target, weight)
    assert loss.dtype == backward().dtype == dtype
    for a, b in zip((logits, target, weight), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("classes", [1, 4])
def test_every_library(classes, weighted, reduction, xp, rng):
    logits, target, weight = some(rng, (classes, 3, 5, 2), -100)
    host = logits.astype(np.float32), target, weight.astype(np.float32) if weighted else None
    device = [None if a is None else xp.to_device(a) for a in host]
    for vjp, options in (
        (cross_entropy_vjp, {"label_smoothing": 0.1}),
        (cross_entropy_vjp, {}),
        (dice_loss_vjp, {}),
    ):
        with xp.no_transfers():
            loss, backward = vjp(*device, reduction=reduction, **options)
            grads = [backward(), backward(loss)]
        host_loss, host_backward = vjp(*host, reduction=reduction, **options)
        np.testing.assert_array_equal(xp.to_host(loss), host_loss)
        for a, b in zip(grads, [host_backward(), host_backward(host_loss)], strict=True):
            assert a.dtype == np.float32
            np.testing.assert_array_equal(xp.to_host(a), b)


def test_a_divisor_stays_on_its_device(xp, rng):
    logits, target, weight = some(rng, (4, 7), -100)
    device = [xp.to_device(a) for a in (logits.astype(np.float32), target, weight.astype("f4"))]
    with xp.no_transfers():
        divisor = cross_entropy_divisor(*device[1:])
        loss, backward = cross_entropy_vjp(*device, divisor=divisor)
        backward()
    np.testing.assert_allclose(xp.to_host(loss), cross_entropy(logits, target, weight), rtol=1e-5)


@settings(deadline=None, max_examples=40)
@given(shapes, st.booleans(), st.booleans(), st.sampled_from([0, 0.3]), st.integers(0, 9))
def test_torch_agrees(shape, weighted, ignoring, smoothing, seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    logits, target, weight = some(rng, shape, -100 if ignoring else None)
    target.flat[0] = 0  # torch's mean of nothing is NaN
    weight = weight if weighted else None
    order = (len(shape) - 1, *range(len(shape) - 1))
    t = torch.from_numpy(logits.transpose(order).copy()).requires_grad_()
    tt = torch.from_numpy(np.moveaxis(target, -1, 0).copy())
    tw = None if weight is None else torch.from_numpy(weight)
    for reduction in ("mean", "sum"):
        t.grad = None
        theirs = torch.nn.functional.cross_entropy(
            t, tt, tw, reduction=reduction, label_smoothing=smoothing
        )
        theirs.backward()
        loss, backward = cross_entropy_vjp(
            logits, target, weight, reduction=reduction, label_smoothing=smoothing
        )
        assert loss == pytest.approx(theirs.item(), rel=1e-12)
        grad = np.moveaxis(t.grad.numpy(), 0, -1)
        np.testing.assert_allclose(backward(), grad, rtol=1e-10, atol=1e-13)


# --- errors ---


@pytest.mark.parametrize("function", [cross_entropy, dice_loss])
def test_refusals(function):
    logits, target = np.zeros((3, 4, 5, 2)), np.zeros((4, 5, 2), int)
    for wrong in (-1, 3):
        target[1, 2, 0] = wrong
        message = f"a target of {wrong} is none of the 3 classes 0 to 2; .* ignore_index={wrong}"
        with pytest.raises(InputError, match=message):
            function(logits, target)
        function(logits, target, ignore_index=wrong)
    target[1, 2, 0] = 0
    with pytest.raises(OptionError, match="class numbers must be integers, got float64"):
        function(logits, target.astype(float))
    with pytest.raises(ShapeError, match=r"\(4, 5\) do not fit .* must be \(4, 5, 2\)"):
        function(logits, target[..., 0])
    with pytest.raises(ShapeError, match=r"class weights of shape \(2,\) do not fit 3 classes"):
        function(logits, target, np.ones(2))
    with pytest.raises(NameNotFound, match="unknown reduction 'no'"):
        function(logits, target, reduction="no")
    with pytest.raises(OptionError, match="a divisor needs reduction 'mean', got 'none'"):
        function(logits, target, reduction="none", divisor=2.0)


def test_refusals_of_one():
    logits, target = np.zeros((3, 4)), np.zeros(4, int)
    for smoothing in (-0.1, 1.1):
        with pytest.raises(OptionError, match=f"between 0 and 1, got {smoothing}"):
            cross_entropy(logits, target, label_smoothing=smoothing)
    with pytest.raises(ShapeError, match=r"targets of shape \(4,\) do not fit .* \(3,\)"):
        cross_entropy(logits[:, 0], target)
    with pytest.raises(ShapeError, match=r"takes scores \(K, H, W, N\), got shape \(3, 4\)"):
        dice_loss(logits, target)
    with pytest.raises(OptionError, match="smooth must be above 0, got 0"):
        dice_loss(np.zeros((3, 4, 5, 2)), np.zeros((4, 5, 2), int), smooth=0)
    with pytest.raises(InputError, match="a target of 9 is none of the 3 classes"):
        cross_entropy_divisor(np.array([1, 9]), np.ones(3))
    with pytest.raises(InputError, match="a target of 2 is none of the 2 classes"):
        dice_loss(np.zeros((1, 1, 1, 1)), np.full((1, 1, 1), 2))
