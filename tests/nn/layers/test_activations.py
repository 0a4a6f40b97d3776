"""Activations: the memory that they use, and numbers at the edge."""

import numpy as np
import pytest

from cnntool.nn import parse, trace
from cnntool.nn.layers.table import LAYER_TYPES
from cnntool.nn.run import Run

TEXTS = ["relu", "relu6", "leakyrelu 0.2", "sigmoid", "tanh", "softmax"]


def forward(text, x):
    row = trace(parse(text), x.shape[:-1]).rows[0]
    return LAYER_TYPES[text.split()[0]](row).forward(x, Run(tensors={}, training=True))


@pytest.mark.parametrize("text", TEXTS)
def test_gradients_are_written_over_the_one_that_comes(text, rng):
    x, grad = rng.standard_normal((2, 3, 4, 5, 2)).astype(np.float32)
    _, backward = forward(text, x)
    assert np.shares_memory(backward(grad), grad)


@pytest.mark.parametrize("text", TEXTS)
def test_outputs_are_new_arrays(text, rng):
    x = rng.standard_normal((3, 4, 5, 2))
    assert not np.shares_memory(forward(text, x)[0], x)


@pytest.mark.parametrize("text", TEXTS)
def test_large_numbers_stay_finite(text):
    x = np.array([[-1e4, 1e4], [0.0, -1e4], [1e4, 1e4]], np.float32)
    y, backward = forward(text, x)
    assert np.isfinite(y).all()
    assert np.isfinite(backward(np.ones_like(x))).all()


def test_softmax_is_over_the_maps(rng):
    y, _ = forward("softmax", rng.standard_normal((3, 4, 5, 2)))
    np.testing.assert_allclose(y.sum(axis=0), 1)
