"""Initial values: fans counted by hand, distributions, streams, what begins as a constant."""

import math

import numpy as np
import pytest

from cnntool.errors import NameNotFound, OptionError, ShapeError
from cnntool.nn import parse, trace
from cnntool.nn.init import SCHEMES, fans, initialise, scheme_for
from cnntool.nn.layer_words import LAYERS


def empty(rows, dtype=np.float32):
    """Arrays full of NaN for all parameters and buffers."""
    return {
        f"{row.name}.{tensor.name}": np.full(tensor.shape, np.nan, dtype)
        for row in rows
        for tensor in (*row.parameters, *row.buffers)
    }


def started(text, shape, scheme="he", seed=0, dtype=np.float32):
    rows = trace(parse(text), shape).rows
    arrays = empty(rows, dtype)
    initialise(rows, arrays, scheme, seed)
    return arrays


def links(text, shape):
    """(mean numbers that an output reads, mean outputs that a number goes to), counted one by one.

    Along one axis at a time, over those outputs and inputs that have any link, far from borders.
    """
    row = trace(parse(text), shape).rows[0]
    values = dict(row.node.given)
    kernel, stride = values["kernel"], values.get("stride", (1, 1))
    read, used = [], []
    for taps, step in zip(kernel, stride, strict=True):
        length = 40 * step
        reads, uses = np.zeros(length), np.zeros(length)
        for start in range(0, length, step):
            for tap in range(taps):
                if start + tap < length:
                    uses[start + tap] += 1
                    reads[start] += 1
        middle = slice(10 * step, 20 * step)
        read.append(taps)
        used.append(uses[middle][uses[middle] > 0].mean())
    return math.prod(read), math.prod(used)


CASES = [
    # spec, shape, array, numbers read, outputs fed
    ("conv 8 3x5", (6, 20, 21), "weight", 6 * 15, 8 * 15),
    ("conv 8 3x5 groups=2", (6, 20, 21), "weight", 3 * 15, 4 * 15),
    ("conv 8 4 2", (6, 20, 21), "weight", 6 * 16, 8 * 4),
    ("conv 8 3 2x1", (6, 20, 21), "weight", 6 * 9, 8 * 1.5 * 3),
    ("conv 8 1 2", (6, 20, 21), "weight", 6, 8),
    ("conv 8 3 depth=2", (6, 20, 21), "weight", 2 * 9, 8 * 9 * 2),
    ("conv 8 3 depth=4 dstride=2", (6, 20, 21), "weight", 4 * 9, 8 * 9 * 2),
    ("conv 8 3 depth=2 dstride=4", (6, 20, 21), "weight", 2 * 9, 8 * 9),
    ("deconv 8 4 2", (6, 20, 21), "weight", 6 * 4, 8 * 16),
    ("deconv 8 4x3 2x3 groups=2", (6, 20, 21), "weight", 3 * 2, 4 * 12),
    ("deconv 8 1 2", (6, 20, 21), "weight", 6, 8),
    ("depthwise 3x5", (6, 20, 21), "weight", 15, 15),
    ("depthwise 4 2", (6, 20, 21), "weight", 16, 4),
    ("separable 8 3x5", (6, 20, 21), "depthwise.weight", 15, 15),
    ("separable 8 3x5 2", (6, 20, 21), "pointwise.weight", 6, 8),
    ("separable 8 3x5 2", (6, 20, 21), "pointwise.bias", 6, 8),
    ("local 8 3x5", (6, 20, 21), "weight", 6 * 15, 8 * 15),
    ("deform 8 3x5", (6, 20, 21), "weight", 6 * 15, 8 * 15),
    ("deform 8 3x5 groups=2", (6, 20, 21), "bias", 3 * 15, 4 * 15),
    ("dense 8", (6,), "weight", 6, 8),
]


@pytest.mark.parametrize(("text", "shape", "name", "inputs", "outputs"), CASES)
def test_fans(text, shape, name, inputs, outputs):
    found = fans(trace(parse(text), shape).rows[0], name)
    assert (found.inputs, found.outputs) == pytest.approx((inputs, outputs))
    assert found.transposed == text.startswith("deconv")
    assert found.rectified == (not name.startswith("pointwise"))


@pytest.mark.parametrize("text", ["depthwise 3x5", "depthwise 4x3 2x1", "depthwise 1x2 3x2"])
def test_fans_are_the_links_of_the_window(text):
    found = fans(trace(parse(text), (6, 20, 21)).rows[0], "weight")
    assert (found.inputs, found.outputs) == pytest.approx(links(text, (6, 20, 21)))


def test_layers_without_weights_have_none():
    with pytest.raises(TypeError, match=r"0\.batchnorm has no weights"):
        fans(trace(parse("batchnorm"), (6, 20, 21)).rows[0], "weight")


def test_every_layer_with_parameters_can_begin():
    for word, entry in LAYERS.items():
        text = entry.example or word
        shape = (784,) if word in ("dense", "reshape") else (1, 28, 28)
        for scheme in SCHEMES:
            arrays = started(text, shape, scheme)
            assert all(np.isfinite(array).all() for array in arrays.values()), (word, scheme)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_he(dtype):
    weight = started("conv 64 5 groups=2", (32, 9, 9), "he", 1, dtype)["0.conv.weight"]
    assert weight.dtype == dtype
    assert weight.std() == pytest.approx(math.sqrt(2 / (16 * 25)), rel=0.02)
    assert abs(weight.mean()) < 0.02 * weight.std()
    # normal: 68 % within one deviation, 4.55 % beyond two
    assert (np.abs(weight) < weight.std()).mean() == pytest.approx(0.6827, abs=0.01)
    assert (np.abs(weight) > 2 * weight.std()).mean() == pytest.approx(0.0455, abs=0.005)


def uniform_within(values, bound):
    """All values are within the bound and spread evenly over it."""
    assert np.abs(values).max() <= bound * (1 + 1e-6)
    assert np.abs(values).max() > 0.99 * bound
    assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    counts, _ = np.histogram(values, bins=8, range=(-bound, bound))
    np.testing.assert_allclose(counts / values.size, 1 / 8, atol=0.02)


def test_glorot():
    weight = started("dense 100", (300,), "glorot")["0.dense.weight"]
    uniform_within(weight, math.sqrt(6 / (300 + 100)))


def test_sigmoid_is_glorot_four_times_as_wide_but_for_the_last_layer():
    arrays = started("dense 100 | sigmoid | dense 60 | sigmoid", (300,), "sigmoid")
    plain = started("dense 100 | sigmoid | dense 60 | sigmoid", (300,), "glorot")
    first, last = "0.dense.weight", "2.dense.weight"
    np.testing.assert_allclose(arrays[first], 4 * plain[first], rtol=1e-6)
    np.testing.assert_array_equal(arrays[last], plain[last])


def test_lenet():
    weight = started("conv 40 5", (12, 9, 9), "lenet")["0.conv.weight"]
    uniform_within(weight, 2.4 / (12 * 25))


@pytest.mark.parametrize(
    ("text", "shape", "inputs"),
    [
        ("conv 128 5 groups=2", (8, 9, 9), 4 * 25),
        ("deconv 160 5 2", (8, 9, 9), 160 * 25),  # torch reads it off the shape (8, 160, 5, 5)
        ("dense 2000", (9,), 9),
    ],
)
def test_torch(text, shape, inputs):
    arrays = started(text, shape, "torch")
    weight, bias = arrays.values()
    uniform_within(weight, 1 / math.sqrt(inputs))
    assert np.abs(bias).max() <= 1 / math.sqrt(inputs)
    assert bias.std() == pytest.approx(1 / math.sqrt(3 * inputs), rel=0.2)


def test_torch_itself_begins_so():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    pairs = [
        ("conv 64 3x5 groups=2", torch.nn.Conv2d(6, 64, (3, 5), groups=2)),
        ("deconv 64 3x5 2 groups=2", torch.nn.ConvTranspose2d(6, 64, (3, 5), 2, groups=2)),
        ("depthwise 5", torch.nn.Conv2d(6, 6, 5, groups=6)),
    ]
    for text, layer in pairs:
        ours = started(text, (6, 20, 21), "torch")
        for name, theirs in (("weight", layer.weight), ("bias", layer.bias)):
            (mine,) = (array for key, array in ours.items() if key.endswith(name))
            assert mine.shape == tuple(theirs.shape)
            largest = float(theirs.detach().abs().max())
            assert np.abs(mine).max() == pytest.approx(largest, rel=0.3 if name == "bias" else 0.1)


def test_pointwise_reads_what_no_relu_halved():
    arrays = started("separable 300 3", (200, 9, 9), "he")
    assert arrays["0.separable.depthwise.weight"].std() == pytest.approx(math.sqrt(2 / 9), rel=0.05)
    pointwise = arrays["0.separable.pointwise.weight"]
    assert pointwise.std() == pytest.approx(math.sqrt(1 / 200), rel=0.02)


@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name != "torch"])
def test_biases_begin_at_zero(scheme):
    arrays = started("conv 4 3 | local 3 2 | separable 5 2 | flatten | dense 7", (2, 8, 9), scheme)
    biases = [array for name, array in arrays.items() if name.endswith("bias")]
    assert len(biases) == 5
    assert not any(bias.any() for bias in biases)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_constants(scheme):
    arrays = started(
        "deform 4 3 | batchnorm | deform 3 2 offsets=learned | batchnorm", (2, 8, 9), scheme
    )
    assert not arrays["0.deform.offset.weight"].any()
    assert not arrays["0.deform.offset.bias"].any()
    assert not arrays["2.deform.offset"].any()
    assert arrays["0.deform.weight"].all()
    for name in ("1.batchnorm", "3.batchnorm"):
        assert (arrays[f"{name}.weight"] == 1).all()
        assert not arrays[f"{name}.bias"].any()
        assert not arrays[f"{name}.running_mean"].any()
        assert (arrays[f"{name}.running_var"] == 1).all()


def signal(scheme, activation, layers):
    """Size of the logits that a network of dense layers makes of inputs of size 1."""
    text = " | ".join(f"dense 200 | {activation}" for _ in range(layers)) + " | dense 10"
    arrays = started(text, (200,), scheme, seed=3)
    x = np.random.default_rng(0).standard_normal((200, 100))
    for name, weight in arrays.items():
        if name.endswith("weight"):
            y = weight @ x
            x = np.maximum(y, 0) if activation == "relu" else np.tanh(y)
    return float(y.std())


def test_he_keeps_signals_through_deep_rectifiers():
    assert 0.3 < signal("he", "relu", 12) < 3
    assert signal("glorot", "relu", 12) < 0.1
    assert signal("lenet", "relu", 12) < 1e-6


# --- streams ---


def test_the_same_seed_gives_the_same_bits_and_another_gives_others():
    one, two = (started("conv 6 5 | flatten | dense 9", (1, 8, 9), seed=7) for _ in range(2))
    other = started("conv 6 5 | flatten | dense 9", (1, 8, 9), seed=8)
    for name, array in one.items():
        assert array.tobytes() == two[name].tobytes()
        if name.endswith("weight"):
            assert not (array == other[name]).any()


def test_layers_that_are_added_change_no_others():
    short = started("conv 6 5 | relu", (1, 28, 28))
    long = started("conv 6 5 | relu | conv 9 3 | flatten | dense 10", (1, 28, 28))
    assert short["0.conv.weight"].tobytes() == long["0.conv.weight"].tobytes()


def test_equal_layers_begin_differently():
    arrays = started("(dense 9)*2 | concat(dense 9, dense 9)", (9,))
    weights = [array for name, array in arrays.items() if name.endswith("weight")]
    assert len(weights) == 4
    assert len({weight.tobytes() for weight in weights}) == 4


@pytest.mark.parametrize(
    ("scheme", "values"),
    [
        ("he", [[0.41149935, 0.5650174, -1.5772644], [0.024758916, 0.52192706, -0.5764437]]),
        ("glorot", [[0.66038686, -0.42037138, 0.4764843], [-1.0751106, -1.0237794, -0.72833943]]),
    ],
)
def test_values_stay_the_same_in_all_versions_and_on_all_machines(scheme, values):
    weight = started("dense 2 | relu | dense 2", (3,), scheme, seed=42)["0.dense.weight"]
    np.testing.assert_array_equal(weight, np.array(values, np.float32))


def test_large_arrays_are_one_stream(monkeypatch):
    whole = started("dense 50", (31,), "he"), started("dense 50", (31,), "glorot")
    monkeypatch.setattr("cnntool.nn.init.BLOCK", 7)
    parts = started("dense 50", (31,), "he"), started("dense 50", (31,), "glorot")
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one["0.dense.weight"], other["0.dense.weight"])


def test_views_of_a_buffer_and_arrays_with_gaps():
    rows = trace(parse("dense 4"), (3,)).rows
    plain = empty(rows)
    initialise(rows, plain)
    flat = np.full(20, np.nan, np.float32)
    views = {"0.dense.weight": flat[2:14].reshape(4, 3), "0.dense.bias": flat[15:19]}
    initialise(rows, views)
    np.testing.assert_array_equal(flat[2:14].reshape(4, 3), plain["0.dense.weight"])
    assert np.isnan(flat[[0, 1, 14, 19]]).all()
    gaps = {"0.dense.weight": np.empty((3, 4), np.float32).T, "0.dense.bias": np.empty(8)[::2]}
    initialise(rows, gaps)
    np.testing.assert_array_equal(gaps["0.dense.weight"], plain["0.dense.weight"])


# --- which scheme ---


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("conv 6 5 | sigmoid | avgpool 2 | flatten | dense 10 | softmax", "sigmoid"),
        ("conv 6 5 | tanh | avgpool 2 | flatten | dense 10", "glorot"),
        ("conv 6 5 | tanh | conv 6 5 | sigmoid | flatten | dense 10", "glorot"),
        ("conv 6 5 | relu | conv 6 5 | sigmoid | flatten | dense 10", "he"),
        ("conv 6 5 | leakyrelu 0.2 | conv 6 5 | tanh", "he"),
        ("(conv 6 5 | relu6)*2 | conv 1 1 | sigmoid", "he"),
        ("conv 6 5 | maxpool 2 | flatten | dense 1 | sigmoid", "he"),
        ("residual(conv 1 3 pad=1 | tanh) | flatten | dense 10", "glorot"),
        ("flatten | dense 10 | softmax", "he"),
        ("(dense 9 | sigmoid)*3", "sigmoid"),
    ],
)
def test_the_scheme_follows_from_the_activations(text, name):
    assert scheme_for(parse(text)) == name


# --- messages ---


def test_messages():
    rows = trace(parse("dense 4"), (3,)).rows
    with pytest.raises(NameNotFound, match="unknown initialisation 'glorott'; did you mean 'glor"):
        initialise(rows, empty(rows), "glorott")
    with pytest.raises(OptionError, match="a seed is a whole number from 0 on, got -1"):
        initialise(rows, empty(rows), seed=-1)
    with pytest.raises(ShapeError, match=r"0.dense.weight needs an array of \(4, 3\); there is no"):
        initialise(rows, {})
    with pytest.raises(ShapeError, match=r"array of \(4, 3\); got one of \(3, 4\)"):
        initialise(rows, {"0.dense.weight": np.empty((3, 4))})
