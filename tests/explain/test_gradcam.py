"""Grad-CAM by hand, the layer that it takes by itself, and where its values lie in the picture."""

import numpy as np
import pytest
import reference_explain as reference
from reference_explain import bars_subject, subject
from trained_models import bars

from cnntool.errors import InputError, NameNotFound, OptionError
from cnntool.explain.gradcam import gradcam, last_convolution, spread
from cnntool.nn import parse, trace

IMAGES = bars(3, seed=8)[0]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("image", IMAGES, ids=["0", "1", "2"])
def test_by_hand(image, number):
    """Equations 1 and 2 of the paper, number by number."""
    found_pass, gradient = reference.passed(image), reference.gradient_at_relu(image, number)
    pooled_gradient = reference.weights()["4.dense.weight"][number].reshape(6, 6, 5)
    for layer, maps, grad in (
        ("1.relu", found_pass.relu, gradient),
        ("0.conv", found_pass.conv, gradient * (found_pass.conv > 0)),
        ("2.maxpool", found_pass.pool, pooled_gradient),
    ):
        expected = np.zeros(maps.shape[1:])
        for one_map, one_gradient in zip(maps, grad, strict=True):
            weight = sum(one_gradient[place] for place in np.ndindex(*one_gradient.shape))
            expected += weight / one_gradient.size * one_map
        found = gradcam(bars_subject(), image, number, layer)
        assert found.dtype == np.float32 and found.shape == maps.shape[1:]
        np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-3, atol=1e-5)


def test_layers_inside_of_joints():
    """The gradient at a branch is what the score changes by when all of its map grows."""
    one = subject("residual(conv 3 3 pad=1 | relu | conv 3 1) | concat(conv 4 3 pad=1 | relu, "
                  "conv 2 1) | globalavgpool | flatten | dense 2", (3, 5, 6))  # fmt: skip
    image = np.random.default_rng(2).integers(0, 256, (3, 5, 6)).astype(np.uint8)
    for layer in ("0.main.1.relu", "0.add", "1.branch0.relu", "1.branch1.conv", "1.concat"):
        found = gradcam(one, image, 1, layer)
        assert found.shape == (5, 6) and (found >= 0).all(), layer


@pytest.mark.parametrize(("spec", "expected"), [
    ("conv 2 3 | relu | maxpool 2 | flatten | dense 2", "1.relu"),
    ("conv 2 3 | maxpool 2 | relu | flatten | dense 2", "0.conv"),
    ("conv 2 3 | batchnorm | relu6 | flatten | dense 2", "2.relu6"),
    ("conv 2 3 | relu | conv 3 3 bias=no | batchnorm | maxpool 2 | flatten | dense 2", "2.conv"),
    ("conv 3 3 | residual(relu | conv 3 3 pad=1) | relu | globalavgpool | flatten | dense 2",
     "2.relu"),
    ("conv 3 3 | residual(relu | conv 3 3 pad=1) | globalavgpool | flatten | dense 2", "1.add"),
    ("concat(conv 3 1 | relu, conv 2 1, maxpool 3 1 pad=1) | relu | flatten | dense 2", "1.relu"),
    ("pooled 2 (conv 3 3 pad=1 | relu) | flatten | dense 2", "0.unpool"),
    ("separable 4 3 | tanh | globalavgpool | conv 5 1 | relu | flatten | dense 2", "1.tanh"),
])  # fmt: skip
def test_where_the_last_convolution_leads(spec, expected):
    one = subject(spec, (3, 6, 8))
    assert last_convolution(one) == expected
    gradcam(one, np.random.default_rng(0).integers(0, 256, (3, 6, 8)).astype(np.uint8), 0, expected)


def test_networks_without_maps():
    one = subject("flatten | dense 4 | relu | dense 2", (1, 3, 4))
    with pytest.raises(OptionError, match="no convolution of this network gives maps; name a laye"):
        last_convolution(one)
    with pytest.raises(OptionError, match=r"layer 1\.dense gives 4 numbers, no maps"):
        gradcam(one, np.zeros((1, 3, 4), np.uint8), 0, "1.dense")
    with pytest.raises(NameNotFound, match="unknown layer 'conv'"):
        gradcam(one, np.zeros((1, 3, 4), np.uint8), 0, "conv")


def test_a_gradient_of_nothing():
    shut = subject("conv 2 1 bias=no | relu | flatten | dense 2", (1, 3, 4))
    shut.plain.tensors["0.conv.weight"][...] = -1
    white = np.full((1, 3, 4), 255, np.uint8)
    with pytest.raises(InputError, match=r"the score of '0' at 0\.conv is 0 everywhere: nothing"):
        gradcam(shut, white, 0, "0.conv")
    # behind the ReLU the score would change, if only something came through
    assert not gradcam(shut, white, 0, "1.relu").any()


# --- where values lie


def row(spec, input):
    return trace(parse(spec), input).rows[-1]


def test_every_value_lies_at_the_centre_of_its_field():
    """Without padding the maps cover the middle of the picture, not all of it."""
    last = row("conv 1 5 | maxpool 2 | conv 1 3", (1, 20, 26))
    _, height, width = last.output
    for place in ((0, 0), (2, 3), (height - 1, width - 1)):
        one = np.zeros((height, width))
        one[place] = 1
        top, left, bottom, right = last.field.box(*place)
        zoom = 4
        large = spread(one, last, (20, 26), zoom)
        assert large.shape == (80, 104)
        y, x = np.argwhere(large == large.max()).mean(axis=0)
        assert (y + 0.5) / zoom == pytest.approx((top + bottom) / 2, abs=0.5)
        assert (x + 0.5) / zoom == pytest.approx((left + right) / 2, abs=0.5)
        assert large.sum() == pytest.approx(zoom * zoom * 2 * 2, rel=0.01)  # 2 pixels a step


def test_maps_of_the_picture_s_own_size_stay():
    last = row("conv 1 3 pad=1 | relu", (1, 5, 7))
    values = np.random.default_rng(1).random((5, 7)).astype(np.float32)
    np.testing.assert_allclose(spread(values, last, (5, 7)), values, rtol=1e-6)


@pytest.mark.parametrize("spec", ["globalavgpool", "adaptiveavgpool 3x2", "conv 1 3 | upsample 2"])
def test_fields_that_are_whole_or_repeat(spec):
    """A constant map stays one, at least away from the edges."""
    last = row(spec, (1, 9, 8))
    large = spread(np.ones(last.output[1:]), last, (9, 8), 2)
    assert large.shape == (18, 16)
    np.testing.assert_allclose(large[5:13, 5:11], 1)
    assert large.max() <= 1 + 1e-6
