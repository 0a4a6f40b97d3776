"""All explanations on the stand-in for CuPy: the numbers of NumPy."""

import numpy as np
import pytest
from reference_explain import subject

from cnntool.explain.activations import activations
from cnntool.explain.ascent import Ascent
from cnntool.explain.gradcam import gradcam
from cnntool.explain.maximize import class_goal, layer_goal, maximize
from cnntool.explain.occlusion import occlusion
from cnntool.explain.patches import TopPatches
from cnntool.explain.saliency import saliency
from cnntool.explain.weights import filters
from cnntool.explain.words import METHODS

SPEC = (
    "conv 4 3 pad=1 | relu | maxpool 2 | residual(conv 4 3 pad=1 | relu) | concat(conv 3 1 | relu, "
    "conv 2 3 pad=1) | flatten | dense 3"
)
SHAPE = (3, 8, 10)
IMAGE = np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.uint8)


@pytest.fixture
def both(double_as_gpu):
    return subject(SPEC, SHAPE), subject(SPEC, SHAPE, device=double_as_gpu)


def agree(found, expected):
    assert isinstance(found, np.ndarray) and found.dtype == expected.dtype
    largest = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * max(largest, 1e-6))


@pytest.mark.parametrize("method", METHODS)
def test_saliency(both, method):
    expected, found = (saliency(one, IMAGE, 1, method, copies=4, steps=8) for one in both)
    agree(found, expected)


def test_maps_and_filters(both):
    expected, found = (activations(one, IMAGE) for one in both)
    for name, maps in expected.items():
        agree(found[name], maps)
    agree(*(filters(one, "0.conv").planes for one in both[::-1]))


def test_gradcam_and_occlusion(both):
    agree(*(gradcam(one, IMAGE, 2, "3.add") for one in both[::-1]))
    agree(*(occlusion(one, IMAGE, 2, size=(3, 4), stride=(2, 3)) for one in both[::-1]))


def test_patches(both):
    images = np.random.default_rng(2).integers(0, 256, (*SHAPE, 9)).astype(np.uint8)
    rows = []
    for one in both:
        search = TopPatches(one, "4.concat", top=3, channels=(4, 1))
        search.add(images)
        rows.append(search.patches())
    for a, b in zip(*rows, strict=True):
        assert (a.filter, a.source, a.at) == (b.filter, b.source, b.at)
        assert a.activation == pytest.approx(b.activation, rel=1e-5)


@pytest.mark.parametrize("turned", [False, True])
def test_maximize(both, turned):
    how = Ascent(steps=4, blur_every=2, clip_percent=10, rotate=5.0 * turned, scale=0.1 * turned)
    for goals in (lambda one: [class_goal(one, 0), class_goal(one, 2)],
                  lambda one: [layer_goal(one, "1.relu", 1), layer_goal(one, "1.relu", 0, (2, 3))],
                  ):  # fmt: skip
        expected, found = (maximize(one, goals(one), how) for one in both)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.pictures, b.pictures, atol=0.5)
            np.testing.assert_allclose(a.values, b.values, rtol=0.02, atol=0.02)
