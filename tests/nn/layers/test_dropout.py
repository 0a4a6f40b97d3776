"""Dropout: when it drops, and that chance depends on seed, step, layer and image alone."""

import numpy as np
import pytest

from cnntool.nn import parse, trace
from cnntool.nn.layers.dropout import Dropout
from cnntool.nn.run import Run


def layers(text, shape=(3, 4, 5)):
    return [Dropout(row) for row in trace(parse(text), shape).rows]


def training(**options):
    return Run(tensors={}, training=True, **options)


def test_prediction_drops_nothing(xp, rng):
    (layer,) = layers("dropout 0.5")
    x = xp.to_device(rng.standard_normal((3, 4, 5, 2)))
    y, backward = layer.forward(x, Run(tensors={}))
    assert y is x and backward is None
    y, backward = layer.forward(x, Run(tensors={}, input_gradient=True))
    assert y is x
    assert backward(x) is x


@pytest.mark.parametrize("p", [0.25, 0.8])
def test_training_drops_a_share_and_scales_the_rest(p, xp):
    (layer,) = layers(f"dropout {p}", (8, 20, 25))
    x = xp.to_device(np.ones((8, 20, 25, 3), np.float32))
    y, backward = layer.forward(x, training(seed=1))
    grad = xp.to_host(backward(x.copy()))
    y = xp.to_host(y)
    assert abs((y == 0).mean() - p) < 0.02
    np.testing.assert_allclose(y[y != 0], 1 / (1 - p), rtol=1e-6)
    np.testing.assert_array_equal(grad, y)  # the same numbers are zeroed and scaled


def test_a_share_of_zero_drops_nothing():
    (layer,) = layers("dropout 0")
    x = np.ones((3, 4, 5, 2))
    assert layer.forward(x, training())[0] is x


def zeros(layer, **options):
    x = np.ones((3, 4, 5, options.pop("images", 6)), np.float32)
    return layer.forward(x, training(**options))[0] == 0


def test_chance_is_a_function_of_seed_step_and_layer():
    first, second = layers("dropout 0.5 | dropout 0.5")
    usual = zeros(first, seed=1, step=2)
    np.testing.assert_array_equal(usual, zeros(first, seed=1, step=2))
    for other in (
        zeros(first, seed=2, step=2), zeros(first, seed=1, step=3), zeros(second, seed=1, step=2),
    ):  # fmt: skip
        assert 0.3 < (usual != other).mean() < 0.7


def test_parts_of_a_batch_drop_what_the_whole_would():
    (layer,) = layers("dropout 0.5")
    whole = zeros(layer, seed=1, step=2)
    np.testing.assert_array_equal(whole[..., 4:], zeros(layer, seed=1, step=2, offset=4, images=2))


def test_libraries_drop_the_same(double):
    (layer,) = layers("dropout 0.5")
    x = double.to_device(np.ones((3, 4, 5, 6), np.float32))
    y, _ = layer.forward(x, training(seed=1, step=2))
    np.testing.assert_array_equal(double.to_host(y) == 0, zeros(layer, seed=1, step=2))
