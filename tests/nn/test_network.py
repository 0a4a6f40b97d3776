"""Networks as wholes: gradients, built-in ones, batches, weights in and out."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from network_specs import filled, narrow, networks, passed

from cnntool.errors import ModelFileError, NameNotFound, ShapeError
from cnntool.models import MODELS, create
from cnntool.nn import init, parse, trace
from cnntool.nn.contradictions import tensor_shapes
from cnntool.nn.gradcheck import check_gradient
from cnntool.nn.modelfile import Preprocessing, SavedModel, load_model, save_model
from cnntool.nn.network import Network


def near(found, wanted, tolerance):
    """Whether two results differ by a share of the largest number at most."""
    return np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


# --- gradients ---


@given(networks())
@settings(max_examples=50, derandomize=True, database=None)
def test_gradients_of_training(network):
    """Of the input and all parameters, with batch statistics and dropout."""
    net = filled(*network)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((*net.input, 3))

    def vjp(x, flat):
        y = passed(net, x, flat=flat)[0]
        return y, lambda grad_y: passed(net, x, grad_y, flat=flat)[1:]

    check_gradient(vjp, x, net.parameters.copy(), rng=rng, directions=1, tolerance=1e-5)


@given(networks())
@settings(max_examples=50, derandomize=True, database=None)
def test_gradients_of_prediction(network):
    """What explanations read: the gradient of the input with everything as in prediction."""
    net = filled(*network)
    rng = np.random.default_rng(2)
    x = rng.standard_normal((*net.input, 3))

    def vjp(x):
        y = passed(net, x, training=False)[0]
        np.testing.assert_allclose(y, net.predict(x), rtol=1e-9, atol=1e-12)
        return y, lambda grad_y: passed(net, x, grad_y, training=False)[1]

    check_gradient(vjp, x, rng=rng, directions=1, tolerance=1e-5)


# --- built-in networks ---

SMALLEST = {
    "mlp": (1, 9, 7),
    "alexnet": (3, 79, 67),
    "alexnet-2012": (3, 67, 83),
    "unet-2015": (1, 16, 32),
    "segnet-vgg16": (3, 45, 50),
}
FIXED = {"lenet", "lenet5", "cnn-mnist", "vgg-small"}  # their dense layers need the size


def built_in(name):
    """A built-in network with 1/8 of its maps if it is large, at a small input."""
    spec = create(name)
    large = trace(spec.chain, spec.input).params > 700_000
    chain = narrow(spec.chain, spec.classes, 8) if large else spec.chain
    shape = spec.input if name in FIXED else SMALLEST.get(name, (spec.input[0], 64, 48))
    return chain, shape


@pytest.mark.parametrize("name", MODELS)
def test_built_in_networks(name):
    chain, shape = built_in(name)
    net = Network(chain, shape)
    net.initialise(seed=1)
    x = np.random.default_rng(1).standard_normal((*shape, 3)).astype(np.float32)
    y = net.predict(x)
    assert y.shape == (*trace(chain, shape).output, 3) and y.dtype == np.float32
    assert np.isfinite(y).all()
    assert np.abs(y[..., 0] - y[..., 1]).max() > 1e-3 * np.abs(y).max()  # inputs are told apart
    one_by_one = np.concatenate([net.predict(x[..., [n]]) for n in range(3)], axis=-1)
    assert near(y, one_by_one, 1e-5)
    assert near(net.predict(x, threads=3, batch=2), y, 1e-5)

    apart = Network(chain, shape, fuse=False)
    apart.load(net.state())
    assert near(y, apart.predict(x), 1e-5)
    exact = Network(chain, shape, dtype=np.float64)
    exact.load(net.state())
    assert near(y, exact.predict(x.astype(np.float64)), 1e-5)


# --- weights ---

SPEC = (
    "conv 4 3 pad=1 bias=no | batchnorm | relu | residual(conv 4 1) | flatten | dense 3 | softmax"
)
SHAPE = (2, 5, 7)


@pytest.fixture
def net():
    found = Network(parse(SPEC), SHAPE)
    found.initialise(seed=3)
    return found


@pytest.fixture
def x(rng):
    return rng.standard_normal((*SHAPE, 5)).astype(np.float32)


def test_arrays_are_parts_of_two(net):
    shapes = tensor_shapes(trace(parse(SPEC), SHAPE))
    assert {name: array.shape for name, array in net.tensors.items()} == shapes
    rows = trace(parse(SPEC), SHAPE).rows
    parameters = [f"{row.name}.{tensor.name}" for row in rows for tensor in row.parameters]
    assert list(net.places) == parameters
    end = 0
    for name, place in net.places.items():
        assert (place.start, place.stop) == (end, end + math.prod(shapes[name])), name
        end = place.stop
        net.parameters[place] = end
        assert (net.tensors[name] == end).all()
    assert net.parameters.shape == (end,)
    net.buffers[...] = 7
    assert all((net.tensors[name] == 7).all() for name in shapes if name not in net.places)


def test_views_shape_any_flat_array(net):
    flat = np.arange(net.parameters.size)
    found = net.views(flat)
    assert [found[name].ravel().tolist() for name in net.places] == [
        flat[place].tolist() for place in net.places.values()
    ]
    found["5.dense.bias"][...] = -1
    assert (flat[net.places["5.dense.bias"]] == -1).all()


def test_initial_values_are_those_of_the_scheme(net):
    rows = trace(parse(SPEC), SHAPE).rows
    for scheme in (None, "glorot", "torch"):
        wanted = {name: np.full(array.shape, np.nan) for name, array in net.tensors.items()}
        init.initialise(rows, wanted, scheme or "he", seed=8)
        net.initialise(8, scheme)
        for name, array in wanted.items():
            np.testing.assert_array_equal(net.tensors[name], array.astype(np.float32))
    with pytest.raises(NameNotFound, match="unknown initialisation 'glorott'; did you mean"):
        net.initialise(scheme="glorott")


def test_seeds(net, x):
    first = net.predict(x)
    net.initialise(4)
    assert np.abs(net.predict(x) - first).max() > 1e-3
    net.initialise(3)
    np.testing.assert_array_equal(net.predict(x), first)


def test_state_is_a_copy(net, x):
    state, y = net.state(), net.predict(x)
    for array in state.values():
        array += 1
    np.testing.assert_array_equal(net.predict(x), y)
    assert all(type(array) is np.ndarray for array in state.values())


@pytest.mark.parametrize("change, message", [
    (lambda s: s.pop("5.dense.bias"), r"5\.dense\.bias is missing \(1 missing, 0 unknown\); take "),
    (lambda s: s.update(other=s["5.dense.bias"]), r"other belongs to no layer \(0 missing, 1 unk"),
    (
        lambda s: s.update({"5.dense.weights": s.pop("5.dense.weight")}),
        r"5\.dense\.weight is missing \(1 missing, 1 unknown\); take the specification that they "
        "were trained with",
    ),
    (
        lambda s: s.update({"0.conv.weight": s["0.conv.weight"][:3]}),
        r"0\.conv\.weight has shape \(3, 2, 3, 3\), the network needs \(4, 2, 3, 3\)",
    ),
    (lambda s: s.clear(), r"0\.conv\.weight is missing \(9 missing, 0 unknown\)"),
])  # fmt: skip
def test_weights_that_do_not_fit_change_nothing(net, change, message):
    before = net.state()
    wrong = {name: array + 1 for name, array in before.items()}
    change(wrong)
    with pytest.raises(ModelFileError, match=f"the weights do not fit the network: {message}"):
        net.load(wrong)
    for name, array in net.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_weights_of_other_types_are_converted(net, x):
    state = net.state()
    wanted = net.predict(x)
    exact = Network(parse(SPEC), SHAPE, dtype=np.float64)
    exact.load({name: np.asfortranarray(array) for name, array in state.items()})
    assert exact.parameters.dtype == exact.predict(x).dtype == np.float64
    assert near(exact.predict(x), wanted, 1e-5)
    net.load({name: array.astype(np.float64) for name, array in state.items()})
    np.testing.assert_array_equal(net.predict(x), wanted)


def preprocessing(channels):
    """One that fits pictures of so many channels, if there is a colour mode for them."""
    assume(channels in (1, 3))
    ones, zeros = (1.0,) * channels, (0.0,) * channels
    return Preprocessing(color="gray" if channels == 1 else "rgb", mean=zeros, std=ones)


@given(networks())
@settings(max_examples=15, derandomize=True, database=None)
def test_saved_and_loaded_networks_predict_the_same(tmp_path_factory, network):
    text, shape = network
    net = filled(text, shape, dtype=np.float32)
    x = np.random.default_rng(5).standard_normal((*shape, 3)).astype(np.float32)
    classes = tuple(f"class {number}" for number in range(net.output[0]))
    task = "classify" if len(net.output) == 1 else "segment"
    assume(task == "classify" or net.output[1:] == shape[1:])
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    saved = SavedModel(spec=text, input=shape, tensors=net.state(), task=task, classes=classes)
    saved = dataclasses.replace(saved, preprocessing=preprocessing(shape[0]))
    save_model(path, saved)
    model = load_model(path)
    again = Network(parse(model.spec), model.input)
    again.load(model.tensors)
    assert again.predict(x).tobytes() == net.predict(x).tobytes()
    for name, array in net.state().items():
        assert again.state()[name].tobytes() == array.tobytes()


# --- predictions ---


def test_batches_change_nothing(net, x):
    exact = Network(parse(SPEC), SHAPE, dtype=np.float64)
    exact.load(net.state())
    wanted = exact.predict(x)
    for batch in (0, 1, 2, 5, 64):
        for threads in (1, 2, 7):
            assert near(net.predict(x, batch=batch, threads=threads), wanted, 1e-6)
    assert net.predict(x[..., :0]).shape == (3, 0)


def test_inputs_of_any_type_and_order(net):
    x = np.random.default_rng(0).integers(0, 255, (*SHAPE, 5), np.uint8)
    wanted = net.predict(x.astype(np.float32))
    np.testing.assert_array_equal(net.predict(x), wanted)
    np.testing.assert_array_equal(net.predict(x.astype(">f8")), wanted)
    strange = np.asfortranarray(np.repeat(x, 2, axis=-1))[..., ::2]
    np.testing.assert_array_equal(net.predict(strange), wanted)


def test_prediction_changes_neither_inputs_nor_the_network(net, x):
    kept, state = x.copy(), net.state()
    net.predict(x)
    np.testing.assert_array_equal(x, kept)
    for name, array in net.state().items():
        np.testing.assert_array_equal(array, state[name])


@pytest.mark.parametrize("ending", ["softmax", "sigmoid"])
@pytest.mark.parametrize("fuse", [True, False])
def test_logits_are_what_probabilities_are_made_of(ending, fuse, rng):
    bare = filled("conv 2 3 | relu | softmax | flatten | dense 3", SHAPE, fuse=fuse)
    text = f"conv 2 3 | relu | softmax | flatten | dense 3 | {ending}"
    net = Network(parse(text), SHAPE, dtype=np.float64, fuse=fuse)
    net.load(bare.state())
    assert net.ends_in_probabilities and not bare.ends_in_probabilities
    x = rng.standard_normal((*SHAPE, 4))
    logits = net.predict(x, logits=True)
    np.testing.assert_array_equal(logits, bare.predict(x))
    np.testing.assert_array_equal(logits, bare.predict(x, logits=True))
    shares = np.exp(logits) / np.exp(logits).sum(axis=0) if ending == "softmax" else (
        1 / (1 + np.exp(-logits))
    )  # fmt: skip
    np.testing.assert_allclose(net.predict(x), shares, rtol=1e-12)


def test_a_network_of_nothing_but_softmax(rng):
    net = Network(parse("softmax"), (3,), dtype=np.float64)
    x = rng.standard_normal((3, 4))
    np.testing.assert_array_equal(net.predict(x, logits=True), x)
    np.testing.assert_allclose(net.predict(x).sum(axis=0), 1)


def test_inputs_of_another_shape(net, x):
    message = r"the network takes inputs 2×5×7, got 2×7×5; resize them, or build the network for "
    with pytest.raises(ShapeError, match=message + "this size"):
        net.predict(x.transpose(0, 2, 1, 3))
    with pytest.raises(ShapeError, match="takes inputs 2×5×7, got a single number"):
        net.predict(np.zeros(5))
    with pytest.raises(ShapeError, match="takes inputs 2×5×7, got 70 numbers"):
        net.forward(np.zeros((70, 3)), net.run())
    with pytest.raises(ShapeError, match="takes inputs 6 numbers, got 6×1×1"):
        Network(parse("dense 2"), (6,)).predict(np.zeros((6, 1, 1, 2)))


def test_equal_networks_give_equal_bits(x):
    found = []
    for _ in range(2):
        net = Network(parse(SPEC), SHAPE)
        net.initialise(seed=9)
        found.append(net.predict(x).tobytes())
    assert found[0] == found[1]


def test_sizes(net):
    assert net.input == SHAPE and net.output == (3,)
