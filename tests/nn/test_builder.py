"""Joined layers against the same layers one by one, and what ``first`` saves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_specs import filled, networks, passed

from cnntool.nn import parse, trace
from cnntool.nn.builder import build
from cnntool.nn.run import Run

JOINED = (
    # convolutions with what stands behind them, by every algorithm
    ("conv 3 3 pad=1 | relu", (2, 5, 7)),
    ("conv 3 3 | relu | maxpool 2", (2, 8, 11)),
    ("conv 3 2x3 pad=1:0:2:1 | relu | maxpool 2x3", (2, 5, 9)),
    ("conv 16 3 pad=1 | relu | conv 17 3x2 pad=1 | relu | maxpool 2", (2, 8, 9)),
    ("conv 17 3 pad=1 bias=no | relu | conv 18 3 pad=1 | batchnorm | relu", (2, 8, 9)),
    ("conv 4 3 2 pad=1 groups=2 | relu | maxpool 2", (4, 9, 11)),
    ("conv 4 3 dilation=2 padmode=circular pad=2 | relu | maxpool 3", (2, 7, 9)),
    ("conv 3 1 | relu | maxpool 1x2", (2, 4, 6)),
    ("conv 4 3 pad=1 bias=no | batchnorm | relu | maxpool 2", (2, 6, 7)),
    ("conv 4 3 pad=1 | batchnorm eps=0.1", (2, 6, 7)),
    ("conv 4 3 pad=1 groups=2 | batchnorm | relu | conv 2 1 | batchnorm", (2, 6, 7)),
    # what looks like it and is not
    ("conv 2 2 depth=2 dstride=1 | relu | maxpool 2", (3, 5, 8)),
    ("conv 2 2 depth=2 | batchnorm | relu", (5, 5, 6)),
    ("conv 3 3 | relu | maxpool 3 2", (2, 8, 9)),
    ("conv 3 3 | relu | maxpool 2 pad=1", (2, 7, 9)),
    ("conv 3 3 | relu | maxpool 2 pad=same", (2, 7, 9)),
    ("conv 3 3 | relu | maxpool 2 ceil=yes", (2, 7, 9)),
    ("conv 3 3 | relu | maxpool 2 2 dilation=2", (2, 8, 9)),
    ("conv 4 3 | relu | maxpool 2 depth=2", (2, 8, 9)),
    ("conv 3 3 | relu6 | maxpool 2", (2, 8, 9)),
    ("conv 3 3 | relu | relu | maxpool 2", (2, 8, 9)),
    ("conv 3 3 | relu | avgpool 2", (2, 8, 9)),
    ("conv 3 3 | maxpool 2 | relu", (2, 8, 9)),
    # dense layers, sums
    ("flatten | dense 5 | relu | dense 4 bias=no | relu", (2, 3, 4)),
    ("dense 5 | relu | batchnorm | dense 3 | softmax", (6,)),
    ("residual(conv 2 3 pad=1 | batchnorm | relu | conv 2 1) | relu | dropout 0.2", (2, 5, 6)),
    ("residual(conv 3 1 | relu, conv 3 1 | batchnorm) | relu | maxpool 2", (2, 5, 6)),
    ("residual(relu) | relu | residual(dropout 0.2) | relu", (2, 5, 6)),
    ("residual(residual(conv 2 1 | relu) | relu | conv 2 1) | relu | relu", (2, 5, 6)),
    ("(conv 4 3 pad=1 | relu)*3 | (maxpool 2 | conv 3 1 | relu)*2", (2, 9, 10)),
    ("skip(conv 2 3 pad=1 | relu | dropout 0.3) | relu | pooled 2 (relu | conv 4 1)", (2, 6, 7)),
    ("concat(conv 2 3 pad=1 | relu, relu, conv 3 1 | batchnorm | relu) | relu", (2, 5, 6)),
)  # fmt: skip


def assert_near(found, wanted, tolerance, what):
    far = np.abs(found - wanted).max(initial=0)
    assert far <= tolerance * max(np.abs(wanted).max(initial=0), 1e-3), f"{what}: {far}"


def check_joined(text, shape, images, dtype, tolerance):
    """Values and gradients of a network with joined layers are those of its single layers."""
    together, apart = (filled(text, shape, dtype=dtype, fuse=fuse) for fuse in (True, False))
    rng = np.random.default_rng(len(text))
    x = rng.standard_normal((*shape, images)).astype(dtype)
    assert_near(together.predict(x), apart.predict(x), tolerance, "prediction")
    grad_y = rng.standard_normal((*together.output, images)).astype(dtype)
    for training in (True, False):
        found, wanted = (passed(net, x, grad_y, training=training) for net in (together, apart))
        for what, one, other in zip(("y", "grad_x", "gradients"), found, wanted, strict=True):
            assert one.dtype == dtype
            assert_near(one, other, tolerance, f"{what}, training={training}")


@pytest.mark.parametrize("text, shape", JOINED, ids=[text for text, _ in JOINED])
@pytest.mark.parametrize("images", [2, 9])
def test_joined_layers_are_the_layers_they_join(text, shape, images):
    check_joined(text, shape, images, np.float64, 1e-11)


@given(networks(), st.sampled_from([2, 9]))
@settings(max_examples=60, derandomize=True, database=None)
def test_random_networks_are_the_same_with_and_without_joined_layers(network, images):
    check_joined(*network, images, np.float64, 1e-9)


@pytest.mark.parametrize("text, shape", JOINED[:9])
def test_joined_layers_in_float32(text, shape):
    """Normalisation by a batch's own statistics would magnify differences of rounding."""
    together, apart = (filled(text, shape, dtype=np.float32, fuse=fuse) for fuse in (True, False))
    x = np.random.default_rng(1).standard_normal((*shape, 9)).astype(np.float32)
    found, wanted = together.predict(x), apart.predict(x)
    assert found.dtype == np.float32
    assert_near(found, wanted, 1e-5, "prediction")


@given(networks(), st.booleans())
@settings(max_examples=80, derandomize=True, database=None)
def test_no_gradient_is_dropped_that_somebody_needs(network, fuse):
    """Without the gradient of the input all others are there, and the same to the last bit."""
    net = filled(*network, fuse=fuse)
    x = np.random.default_rng(0).standard_normal((*net.input, 3))
    _, grad_x, wanted = passed(net, x)
    assert grad_x.shape == x.shape and np.isfinite(grad_x).all()
    _, _, found = passed(net, x, input_gradient=False)
    assert np.isfinite(wanted).all()  # memory for them was filled with NaN
    assert found.tobytes() == wanted.tobytes()


FIRST = (
    "conv 3 3", "relu | conv 3 3 | relu", "batchnorm | relu", "dropout 0.2 | conv 2 1 | batchnorm",
    "deconv 2 2", "depthwise 2", "separable 3 2", "local 3 2", "deform 3 2",
    "deform 2 2 offsets=learned", "flatten | dense 3", "residual(conv 2 1)",
    "residual(relu, conv 2 1) | relu", "residual(relu) | conv 3 1",
    "concat(relu, conv 2 1, tanh | conv 3 1) | conv 2 1", "skip(tanh | conv 2 1) | lrn 3",
    "pooled 2 (conv 2 1 | relu)", "pooled 2 (relu) | conv 3 1", "concat(relu, tanh) | batchnorm",
)  # fmt: skip


@pytest.mark.parametrize("text", FIRST)
@pytest.mark.parametrize("fuse", [True, False])
def test_the_first_that_learns_gives_no_gradient_further(text, fuse):
    """It is the dearest of all and nobody wants it, but whoever asks gets it."""
    net = filled(text, (2, 4, 5), fuse=fuse)
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 3))
    _, asked, wanted = passed(net, x)
    _, unasked, found = passed(net, x, input_gradient=False)
    assert asked is not None and unasked is None
    assert np.isfinite(found).all() and found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("text", [
    "relu | conv 3 3", "tanh | dropout 0.2 | batchnorm", "flatten | dense 3 | relu",
    "residual(relu) | conv 2 1 | relu", "concat(relu, tanh) | residual(conv 4 1) | relu",
])  # fmt: skip
def test_what_comes_before_does_not_make_it_work(text):
    """The last layer is the first that learns: its own part of the way back gives nothing."""
    net = filled(text, (2, 4, 5))
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 3))
    run = Run(tensors=net.tensors, training=True, keeps_statistics=False)
    *before, last = net.layers.parts
    for part in before:
        x, _ = part.forward(x, run)
    y, backward = last.forward(x, run)
    assert backward(np.ones_like(y)) is None


@pytest.mark.parametrize("text", ["relu", "flatten | softmax", "residual(tanh) | maxpool 2"])
def test_nothing_learns(text):
    net = filled(text, (2, 4, 5))
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 3))
    y, unasked, found = passed(net, x, input_gradient=False)
    assert y.shape == (*net.output, 3) and unasked is None and found.size == 0
    assert passed(net, x)[1].shape == x.shape


def test_rows_are_taken_in_the_order_of_the_trace():
    """Every layer reads its own arrays: with one array of a name changed, outputs change."""
    text = (
        "conv 2 1 | residual(conv 3 1 | relu | conv 2 1, conv 2 1 | batchnorm) | relu | "
        "concat(conv 1 1, pooled 2 (conv 2 1) | conv 2 1) | skip(conv 2 1) | flatten | dense 3"
    )
    net = filled(text, (2, 4, 5))
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 3))
    before = net.predict(x)
    for array in net.tensors.values():
        kept = array.copy()
        array *= 1.5
        assert np.abs(net.predict(x) - before).max() > 1e-6
        array[...] = kept
    np.testing.assert_array_equal(net.predict(x), before)


def test_without_joined_layers_each_row_is_a_layer():
    chain = parse("conv 3 3 | batchnorm | relu | maxpool 2 | flatten | dense 4 | relu")
    found = trace(chain, (2, 6, 7))
    assert [part.name for part in build(chain, found, fuse=False).parts] == [
        row.name for row in found.rows
    ]


def test_the_largest_network_is_built_and_run():
    """10 000 layers: no step may be as dear as the whole network."""
    net = filled("(relu | dense 2)*5000", (2,))
    x = np.random.default_rng(0).standard_normal((2, 3))
    y, backward = net.forward(x, Run(tensors=net.tensors, training=True, input_gradient=True))
    assert y.shape == backward(np.ones_like(y)).shape == (2, 3)
