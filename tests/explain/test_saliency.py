"""Gradients against differences, guided ones by hand, integrated ones by their sum."""

import numpy as np
import pytest
import reference_explain as reference
from reference_explain import bars_subject, subject
from trained_models import bars

from cnntool.errors import InputError, NameNotFound
from cnntool.explain.saliency import saliency
from cnntool.explain.words import METHODS
from cnntool.nn.observer import Guide

IMAGES = bars(4, seed=7)[0]


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("image", IMAGES[:2], ids=["0", "1"])
def test_gradient_against_differences(image, number):
    """Pixel by pixel, in double precision, with steps too small to meet a kink."""
    expected, eps = np.zeros(image.shape), 1e-4
    for place in np.ndindex(*image.shape):
        ends = []
        for sign in (1, -1):
            moved = image.astype(np.float64)
            moved[place] += sign * eps
            ends.append(reference.score(moved, number))
        expected[place] = (ends[0] - ends[1]) / (2 * eps)
    found = saliency(bars_subject(), image, number)
    assert found.shape == image.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    times = saliency(bars_subject(), image, number, "input-gradient")
    np.testing.assert_allclose(times, found * image, rtol=1e-6)


@pytest.mark.parametrize("image", IMAGES, ids=map(str, range(4)))
def test_guided_by_hand(image):
    """Behind the ReLU only what is positive, before it only where the ReLU was open."""
    grad = np.maximum(reference.gradient_at_relu(image, 1), 0)
    grad *= reference.passed(image).conv > 0
    expected = reference.gradient_at_samples(grad)
    found = saliency(bars_subject(), image, 1, "guided")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    plain = reference.gradient_at_samples(
        reference.gradient_at_relu(image, 1) * (reference.passed(image).conv > 0)
    )
    np.testing.assert_allclose(saliency(bars_subject(), image, 1), plain, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("baseline", ["black", "white", "mean"])
@pytest.mark.parametrize("image", IMAGES[:3], ids=["0", "1", "2"])
def test_integrated_gradients_sum_to_the_difference(image, baseline):
    one = bars_subject()
    start = np.broadcast_to(one.plain_samples(baseline), image.shape)
    for number in range(3):
        difference = reference.score(image, number) - reference.score(start, number)
        found = saliency(one, image, number, "integrated", baseline=baseline)
        assert found.sum() == pytest.approx(difference, rel=0.01)


def test_integrated_gradients_with_a_fixed_number_of_steps():
    """The mean of gradients at the middles of the steps, times the way."""
    one, image = bars_subject(), IMAGES[0]
    found = saliency(one, image, 2, "integrated", steps=3)
    places = [image * share for share in (1 / 6, 3 / 6, 5 / 6)]
    mean = sum(saliency(one, place.astype(np.float32), 2) for place in places) / 3
    np.testing.assert_allclose(found, mean * image, rtol=1e-4, atol=1e-6)
    # in parts: more steps than go through the network at a time
    many = saliency(one, image, 2, "integrated", steps=101)
    parts = [image * ((n + 0.5) / 101) for n in range(101)]
    mean = sum(saliency(one, part.astype(np.float32), 2) for part in parts) / 101
    np.testing.assert_allclose(many, mean * image, rtol=1e-3, atol=1e-5)


def test_integrated_gradients_of_a_flat_way():
    """A picture that is its own start: nothing to share out, and no endless search."""
    one = subject("conv 2 3 | relu | flatten | dense 2", (1, 5, 6))
    found = saliency(one, np.full((1, 5, 6), 255, np.uint8), 1, "integrated", baseline="white")
    assert not found.any()


def test_smoothgrad():
    one, image = bars_subject(), IMAGES[0]
    without = saliency(one, image, 1, "smoothgrad", noise=0.0, copies=3)
    np.testing.assert_allclose(without, saliency(one, image, 1), rtol=1e-5, atol=1e-8)
    first, again, other = (
        saliency(one, image, 1, "smoothgrad", copies=40, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    # an average over noise: two of them are nearer to each other than to the plain gradient
    assert np.abs(first - other).mean() < np.abs(first - without).mean()


def test_smoothgrad_is_the_mean_over_noise():
    """Of a network whose gradient is known everywhere: the square of a sum is not linear."""
    one = subject("flatten | dense 1 bias=no | relu | dense 1 bias=no", (1, 1, 2), ("no", "yes"))
    one.plain.load({
        "1.dense.weight": np.array([[1.0, 0.0]]), "3.dense.weight": np.array([[1.0]]),
    })  # fmt: skip
    # the first pixel lies on the kink: half of the copies see the slope
    image = np.array([[[102, 255]]], np.uint8)
    found = saliency(one, image, 1, "smoothgrad", copies=4000, noise=0.1)
    slope = 1 / 255 / 0.2
    assert found[0, 0, 0] == pytest.approx(slope / 2, rel=0.06)
    assert found[0, 0, 1] == 0


@pytest.mark.parametrize("method", METHODS)
def test_colour_and_every_method(method):
    one = subject("conv 4 3 pad=1 | relu | maxpool 2 | flatten | dense 3", (3, 6, 8))
    image = np.random.default_rng(3).integers(0, 256, (3, 6, 8)).astype(np.uint8)
    before = image.copy()
    found = saliency(one, image, 1, method)
    assert found.shape == image.shape and found.dtype == np.float32
    assert np.isfinite(found).all() and found.any()
    np.testing.assert_array_equal(image, before)


def test_guided_lets_less_through():
    one = subject("conv 6 3 | relu | conv 6 3 | relu | flatten | dense 3", (3, 7, 8))
    image = np.random.default_rng(3).integers(0, 256, (3, 7, 8, 1)).astype(np.uint8)
    plain, guided = one.gradient(image, [1]), one.gradient(image, [1], Guide())
    assert (plain != guided).any()


def test_what_is_refused():
    one = bars_subject()
    with pytest.raises(NameNotFound, match="unknown method 'integratd'; did you mean 'integrated'"):
        saliency(one, IMAGES[0], 0, "integratd")
    shut = subject("conv 2 1 bias=no | relu | flatten | dense 2", (1, 3, 4))
    shut.plain.tensors["0.conv.weight"][...] = -1
    with pytest.raises(InputError, match="the score of '1' at the picture is 0 everywhere"):
        saliency(shut, np.full((1, 3, 4), 255, np.uint8), 1)
