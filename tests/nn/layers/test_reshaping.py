"""Layers that move numbers: order, views, shares of copied pixels."""

import numpy as np
import pytest

from cnntool.nn import parse, trace
from cnntool.nn.layers.table import LAYER_TYPES
from cnntool.nn.run import Run


def forward(text, x):
    row = trace(parse(text), x.shape[:-1]).rows[0]
    return LAYER_TYPES[text.split()[0]](row).forward(x, Run(tensors={}, training=True))


def test_flattening_copies_nothing_and_keeps_the_order():
    x = np.arange(48.0).reshape(2, 3, 4, 2)
    y, backward = forward("flatten", x)
    assert np.shares_memory(x, y)
    assert y[:, 1].tolist() == [x[c, i, j, 1] for c in range(2) for i in range(3) for j in range(4)]
    np.testing.assert_array_equal(backward(y.copy()), x)


def test_reshaping_is_undone_by_flattening():
    x = np.arange(36.0).reshape(12, 3)
    y, backward = forward("reshape 2x1x6", x)
    assert np.shares_memory(x, y)
    np.testing.assert_array_equal(forward("flatten", y)[0], x)
    np.testing.assert_array_equal(backward(y.copy()), x)


@pytest.mark.parametrize("mode, shares", [
    ("zeros", [1, 1, 1]), ("replicate", [3, 1, 2]), ("reflect", [1, 3, 2]), ("circular", [2, 2, 2]),
    ("max", [1, 4, 1]),
])  # fmt: skip
def test_gradients_go_to_the_pixels_that_a_frame_copies(mode, shares):
    x = np.array([1.0, 3.0, 2.0]).reshape(1, 1, 3, 1)
    y, backward = forward(f"pad 0:1:0:2 padmode={mode}", x)
    assert backward(np.ones_like(y)).ravel().tolist() == shares


def test_enlarging_sums_the_gradients_of_copies():
    x = np.array([1.0, 2.0]).reshape(1, 1, 2, 1)
    y, backward = forward("upsample 2x3", x)
    assert y[0, :, :, 0].tolist() == [[1, 1, 1, 2, 2, 2]] * 2
    assert backward(np.ones_like(y)).ravel().tolist() == [6, 6]
