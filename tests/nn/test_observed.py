"""Networks opened: any layer as an end, observers on the way, gradients from there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_specs import filled, networks

from cnntool.errors import NameNotFound, ShapeError
from cnntool.nn import parse
from cnntool.nn.builder import build
from cnntool.nn.layers.tap import Tap
from cnntool.nn.network import Network
from cnntool.nn.observed import ObservedNetwork
from cnntool.nn.observer import Guide, Observer, Recorder

JOINED = (
    "conv 4 3 pad=1 | relu | residual(conv 4 3 pad=1 | batchnorm | relu | conv 4 1, conv 4 1) | "
    "tanh | concat(conv 3 1 | tanh, conv 2 3 pad=1, avgpool 3 1 pad=1) | skip(conv 2 3 pad=1 | "
    "tanh) | pooled 2 (conv 11 3 pad=1 | relu) | conv 3 3 | flatten | dense 3 | softmax"
)
# no ReLU near the pooling: equal zeros have no largest one, and outputs would jump
SHAPE = (2, 6, 8)


def opened(text=JOINED, shape=SHAPE):
    net = filled(text, shape)
    return net, ObservedNetwork(net)


def pictures(net, count=2, seed=1):
    return np.random.default_rng(seed).standard_normal((*net.input, count))


class Adds(Observer):
    """Adds something to the output of one layer."""

    def __init__(self, name, what):
        self.name, self.what = name, what

    def output(self, row, y):
        return y + self.what if row.name == self.name else y


# --- outputs


def test_every_row_has_a_tap_and_none_is_joined():
    net, one = opened()
    seen = Recorder()
    one.forward(pictures(net), seen, end="10.softmax")
    assert list(seen.outputs) == [row.name for row in net.trace.rows] == list(one.rows)
    for row in net.trace.rows:
        assert seen.outputs[row.name].shape == (*row.output, 2), row.name


@settings(max_examples=60, deadline=None)
@given(networks())
def test_outputs_are_those_of_the_network(network):
    """The last one against the network's own, whose layers are joined, and each end by itself."""
    net, one = opened(*network)
    x, seen = pictures(net), Recorder()
    last = list(one.rows)[-1]
    y, backward = one.forward(x, seen, end=last)
    assert backward is None
    np.testing.assert_allclose(y, net.predict(x), rtol=1e-9, atol=1e-9)
    for name, expected in seen.outputs.items():
        found, _ = one.forward(x, end=name)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_layer_is_what_the_network_up_to_it_gives():
    """Against networks that end there, built by themselves."""
    net, one = opened("conv 4 3 | relu | maxpool 2 | conv 3 2 | flatten | dense 2", (1, 8, 9))
    x = pictures(net)
    for text, name in (
        ("conv 4 3", "0.conv"),
        ("conv 4 3 | relu | maxpool 2", "2.maxpool"),
        ("conv 4 3 | relu | maxpool 2 | conv 3 2 | flatten", "4.flatten"),
    ):
        short = Network(parse(text), (1, 8, 9), dtype=np.float64)
        short.load({key: net.tensors[key] for key in short.tensors})
        np.testing.assert_allclose(one.forward(x, end=name)[0], short.predict(x), rtol=1e-9)


def test_scores_come_before_the_softmax():
    net, one = opened()
    x = pictures(net)
    assert one.last == "9.dense"
    np.testing.assert_allclose(one.forward(x)[0], net.predict(x, logits=True), rtol=1e-9)
    plain = ObservedNetwork(filled("flatten | dense 3", (1, 2, 3)))
    assert plain.last == "1.dense"
    assert ObservedNetwork(Network(parse("softmax"), (3,))).last == "0.softmax"


def test_what_stands_beside_or_behind_is_not_computed():
    net, one = opened()
    seen = Recorder()
    one.forward(pictures(net), seen, end="4.branch1.conv")
    assert list(seen.outputs)[-1] == "4.branch1.conv"
    assert not any("branch0" in name for name in seen.outputs)
    assert [row.name for row in one.path("4.branch1.conv")] == [
        "0.conv",
        "1.relu",
        "2.add",
        "3.tanh",
        "4.branch1.conv",
    ]
    assert [row.name for row in one.path("6.pooled.conv")][-2:] == ["6.maxpool", "6.pooled.conv"]
    assert [row.name for row in one.path("2.shortcut.conv")] == [
        "0.conv",
        "1.relu",
        "2.shortcut.conv",
    ]


def test_wrong_names_and_shapes():
    net, one = opened()
    with pytest.raises(NameNotFound, match=r"unknown layer '0\.cnv'; did you mean '0\.conv'"):
        one.forward(pictures(net), end="0.cnv")
    with pytest.raises(NameNotFound, match="unknown layer"):
        one.path("x")
    with pytest.raises(NameNotFound, match="unknown layer"):
        one.row("x")
    assert one.row("2.add").output == (4, 6, 8)
    with pytest.raises(ShapeError, match="the network takes inputs 2×6×8"):
        one.forward(np.zeros((2, 8, 6, 1)))


# --- gradients


@settings(max_examples=40, deadline=None)
@given(networks(), st.data())
def test_gradients_from_any_layer(network, data):
    """Along a random direction, against the difference of two passes."""
    net, one = opened(*network)
    name = data.draw(st.sampled_from(list(one.rows)))
    x, rng = pictures(net, 1), np.random.default_rng(2)
    y, backward = one.forward(x, end=name, gradient=True)
    grad, step = rng.standard_normal(y.shape), rng.standard_normal(x.shape)
    slope = float((backward(grad.copy()) * step).sum())
    eps = 1e-6
    ends = [float((one.forward(x + s * eps * step, end=name)[0] * grad).sum()) for s in (1, -1)]
    expected = (ends[0] - ends[1]) / (2 * eps)
    smaller = [
        float((one.forward(x + s * eps / 8 * step, end=name)[0] * grad).sum()) for s in (1, -1)
    ]
    other = (smaller[0] - smaller[1]) / (eps / 4)
    if abs(other - expected) <= 1e-4 * max(1, abs(expected)):  # no kink in between
        assert slope == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", [
    "0.conv", "2.main.1.batchnorm", "2.shortcut.conv", "2.add", "4.branch0.tanh", "4.concat",
    "5.skip.conv", "6.maxpool", "6.pooled.relu", "6.unpool", "9.dense",
])  # fmt: skip
def test_gradients_at_layers_inside(name):
    """What a recorder keeps is what the output changes by when something is added there."""
    net, one = opened()
    x, seen = pictures(net), Recorder([name], stop=True)
    y, backward = one.forward(x, seen, gradient=True)
    rng = np.random.default_rng(3)
    grad = rng.standard_normal(y.shape)
    assert backward(grad.copy()) is None
    step = 1e-6 * rng.standard_normal(seen.outputs[name].shape)
    more, less = (one.forward(x, Adds(name, sign * step))[0] for sign in (1, -1))
    expected = float(((more - less) * grad).sum()) / 2
    assert float((seen.gradients[name] * step).sum()) == pytest.approx(expected, rel=1e-5)


def test_the_way_back_goes_on_where_it_is_not_stopped():
    net, one = opened()
    x, seen = pictures(net), Recorder()
    _, backward = one.forward(x, seen, gradient=True)
    _, plain = one.forward(x, gradient=True)
    grad = np.ones((3, 2))
    np.testing.assert_array_equal(backward(grad.copy()), plain(grad.copy()))
    names = [row.name for row in net.trace.rows]
    assert set(seen.gradients) == set(names) - {"10.softmax"}
    np.testing.assert_array_equal(seen.gradients["9.dense"], grad)


def test_observers_do_not_see_without_taps_and_cost_nothing():
    """Layers for training are the same with and without this mechanism."""
    net = filled(JOINED, SHAPE)

    def taps(block):
        parts = getattr(block, "parts", ())
        inner = [getattr(block, name, None) for name in ("main", "shortcut", "body")]
        inner += list(getattr(block, "branches", ()))
        return isinstance(block, Tap) or any(taps(part) for part in (*parts, *filter(None, inner)))

    assert not taps(net.layers)
    assert not taps(build(net.chain, net.trace, fuse=False))
    assert taps(build(net.chain, net.trace, taps=True))
    seen = Recorder()
    net.forward(pictures(net), net.run(observer=seen))
    assert seen.outputs == {}


def test_nothing_is_written_into():
    net, one = opened()
    x = pictures(net)
    before, seen = x.copy(), Recorder()
    _, backward = one.forward(x, seen, gradient=True)
    kept = {name: y.copy() for name, y in seen.outputs.items()}
    backward(np.ones((3, 2)))
    np.testing.assert_array_equal(x, before)
    for name, y in kept.items():
        np.testing.assert_array_equal(seen.outputs[name], y, err_msg=name)


def test_later_weights_count():
    net, one = opened("flatten | dense 2", (1, 1, 2))
    x = np.ones((1, 1, 2, 1))
    before = one.forward(x)[0]
    net.load({name: 2 * value for name, value in net.state().items()})
    np.testing.assert_allclose(one.forward(x)[0], 2 * before)


# --- guided backpropagation


def test_guide_by_hand():
    """Two numbers, two ReLUs: of the gradients 1, -1 at the second one the first alone remains."""
    net = Network(parse("dense 2 | relu | dense 2 | relu | dense 1"), (2,), dtype=np.float64)
    net.load({
        "0.dense.weight": np.array([[1.0, 2], [3, -1]]), "0.dense.bias": np.zeros(2),
        "2.dense.weight": np.array([[1.0, -2], [1, 1]]), "2.dense.bias": np.array([9.0, 0]),
        "4.dense.weight": np.array([[1.0, -1]]), "4.dense.bias": np.zeros(1),
    })  # fmt: skip
    x = np.array([[1.0], [1]])  # 3, 2 -> 8, 5
    _, backward = ObservedNetwork(net).forward(x, Guide(), gradient=True)
    # behind the second ReLU (1, -1) -> (1, 0); before it (1, -2), behind the first (1, 0)
    assert backward(np.ones((1, 1))).ravel().tolist() == [1.0, 2.0]
    _, plain = ObservedNetwork(net).forward(x, gradient=True)
    # (1, -1) -> (0, -3) -> (-9, 3)
    assert plain(np.ones((1, 1))).ravel().tolist() == [-9.0, 3.0]


@pytest.mark.parametrize("word", ["relu", "relu6", "leakyrelu 0.1", "tanh"])
def test_guide_knows_rectifiers(word):
    net = Network(parse(f"{word} | dense 1 bias=no"), (2,), dtype=np.float64)
    net.load({"1.dense.weight": np.array([[2.0, -3]])})
    _, backward = ObservedNetwork(net).forward(np.array([[1e-9], [1e-9]]), Guide(), gradient=True)
    expected = [2, -3] if word == "tanh" else [2, 0]
    np.testing.assert_allclose(backward(np.ones((1, 1))).ravel(), expected, rtol=1e-6)


def test_guide_against_torch():
    torch = pytest.importorskip("torch")
    net, one = opened("conv 4 3 pad=1 | relu | maxpool 2 | conv 5 3 | relu | flatten | dense 3",
                      (2, 8, 10))  # fmt: skip
    functional, t = torch.nn.functional, lambda a: torch.tensor(np.array(a))

    class Guided(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            y = x.clamp(min=0)
            context.save_for_backward(y)
            return y

        @staticmethod
        def backward(context, grad):
            (y,) = context.saved_tensors
            return grad.clamp(min=0) * (y > 0)

    x = pictures(net, 3)
    theirs = t(x.transpose(3, 0, 1, 2)).requires_grad_()
    w = {name: t(value) for name, value in net.tensors.items()}
    y = Guided.apply(functional.conv2d(theirs, w["0.conv.weight"], w["0.conv.bias"], padding=1))
    y = functional.max_pool2d(y, 2)
    y = Guided.apply(functional.conv2d(y, w["3.conv.weight"], w["3.conv.bias"]))
    y = functional.linear(y.flatten(1), w["6.dense.weight"], w["6.dense.bias"])
    y[:, 1].sum().backward()
    seed = np.zeros((3, 3))
    seed[1] = 1
    _, backward = one.forward(x, Guide(), gradient=True)
    np.testing.assert_allclose(
        backward(seed), theirs.grad.numpy().transpose(1, 2, 3, 0), rtol=1e-9, atol=1e-12
    )
