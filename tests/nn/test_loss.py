"""Losses of trainings: what is added to what, and what is refused."""

import numpy as np
import pytest

from cnntool import ops
from cnntool.errors import NameNotFound, OptionError
from cnntool.nn.gradcheck import check_gradient
from cnntool.nn.loss import LOSSES, Loss


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_parts_of_a_batch_add_up(kind, weighted, rng):
    """The losses of parts are their shares of the whole batch's; gradients are parts of its."""
    logits = rng.standard_normal((3, 4, 5, 6))
    labels = rng.integers(0, 3, (4, 5, 6)).astype(np.uint8)
    labels[1:3, 2] = 255
    weights = np.array([0.5, 1, 2.5]) if weighted else None
    loss = Loss(kind=kind, class_weights=weights, ignore=255)
    measure = loss.measure(labels)
    whole, backward = loss.vjp(logits, labels, measure, 6)
    wanted = {
        "cross-entropy": float(ops.cross_entropy(logits, labels, weights, 255)),
        "dice": float(ops.dice_loss(logits, labels, weights, 255)),
    }
    wanted["both"] = sum(wanted.values())
    assert float(whole) == pytest.approx(wanted[kind], rel=1e-12)
    parts = [loss.vjp(logits[..., s], labels[..., s], measure, 6) for s in (slice(2), slice(2, 6))]
    assert sum(float(value) for value, _ in parts) == pytest.approx(float(whole), rel=1e-12)
    joined = np.concatenate([back() for _, back in parts], axis=-1)
    np.testing.assert_allclose(joined, backward(), atol=1e-14)


@pytest.mark.parametrize("kind", LOSSES)
def test_gradients(kind, rng):
    labels = rng.integers(0, 3, (4, 5, 2))
    loss = Loss(kind=kind, label_smoothing=0 if kind == "dice" else 0.1)

    def vjp(logits):
        value, backward = loss.vjp(logits, labels, loss.measure(labels), 2)
        return np.array([float(value)]), lambda grad: backward() * grad

    check_gradient(vjp, rng.standard_normal((3, 4, 5, 2)), rng=rng)


def test_what_makes_no_sense():
    with pytest.raises(NameNotFound, match="unknown loss 'dise'; did you mean 'dice'"):
        Loss(kind="dise")
    with pytest.raises(OptionError, match="label smoothing is for cross entropy; Dice has no use"):
        Loss(kind="dice", label_smoothing=0.1)
