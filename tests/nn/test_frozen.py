"""Layers that do not learn."""

import numpy as np
import pytest
from network_specs import filled

from cnntool.nn import optim
from cnntool.nn.gradcheck import check_gradient
from cnntool.nn.layers.frozen import Frozen
from cnntool.nn.network import Network
from cnntool.nn.optimiser import decaying
from cnntool.nn.run import Run
from cnntool.nn.spec import parse
from cnntool.nn.step import TrainingStep

SPEC = (
    "conv 4 3 pad=1 bias=no | batchnorm | relu | residual(conv 4 3 pad=1 | batchnorm | relu) | relu"
    " | maxpool 2 | conv 3 2 | relu | flatten | dense 5 | relu | dense 3"
)
SHAPE = (2, 6, 8)
SETS = {
    "the first": ["0.conv", "1.batchnorm"],
    "half of what is joined": ["0.conv"],
    "a branch": ["3.main.conv", "3.main.batchnorm"],
    "all but the last": [
        "0.conv", "1.batchnorm", "3.main.conv", "3.main.batchnorm", "6.conv", "9.dense"
    ],
    "in the middle": ["6.conv"],
    "the last": ["11.dense"],
    "the normalisation": ["1.batchnorm", "3.main.batchnorm"],
}  # fmt: skip


def networks(frozen):
    """One with frozen layers; one that takes means and spreads of batches where these do not."""
    model = filled(SPEC, SHAPE)
    net = Network(parse(SPEC), SHAPE, dtype=np.float64, frozen=frozen)
    net.load(model.state())
    return net


def batch(rng, count=7):
    return rng.standard_normal((*SHAPE, count)), rng.integers(0, 3, count)


def places(net, names, *, inside):
    chosen = [
        place for name, place in net.places.items()
        if (name.rpartition(".")[0] in names) == inside
    ]  # fmt: skip
    return np.concatenate([np.arange(place.start, place.stop) for place in chosen])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("names", SETS.values(), ids=SETS)
def test_they_keep_everything_and_the_others_learn(names, threads, rng):
    net = networks(names)
    before, start = net.state(), net.parameters.copy()
    optimiser = optim.create(
        "adamw", net.parameters.size, dtype=np.float64, weight_decay=0.1,
        decaying=[place for place in decaying(net.places) if place not in net.frozen],
    )  # fmt: skip
    x, labels = batch(rng)
    with TrainingStep(net, optimiser, threads=threads) as step:
        for _ in range(3):
            step(x, labels, 1e-2)
    for name, value in net.state().items():
        kept = name.rpartition(".")[0] in names
        assert np.array_equal(value, before[name]) == kept, name
    moved = net.parameters != start
    assert not moved[places(net, names, inside=True)].any()
    assert moved[places(net, names, inside=False)].mean() > 0.8


@pytest.mark.parametrize("names", SETS.values(), ids=SETS)
def test_gradients_of_the_others(names, rng):
    """Against finite differences, with frozen normalisation as in prediction."""
    net = networks(names)
    optimiser = optim.create("sgd", net.parameters.size, dtype=np.float64)
    x, labels = batch(rng)
    learning = places(net, names, inside=False)
    whole = net.parameters.copy()
    with TrainingStep(net, optimiser) as step:

        def vjp(part):
            net.parameters[learning] = part
            loss, gradient = step.gradients(x, labels)
            own = gradient[learning].copy()
            assert not gradient[places(net, names, inside=True)].any()
            return np.array([loss]), lambda grad_y: own * grad_y

        check_gradient(vjp, whole[learning], rng=rng, directions=2, tolerance=1e-6)


def test_a_network_that_is_frozen_up_to_its_head_is_that_of_prediction(rng):
    names = SETS["all but the last"]
    net = networks(names)
    x, _ = batch(rng)
    plain = filled(SPEC, SHAPE)
    run = Run(tensors=net.tensors, gradients=net.views(np.zeros_like(net.parameters)),
              training=True)  # fmt: skip
    y, back = net.forward(x, run)
    np.testing.assert_allclose(y, plain.predict(x), rtol=1e-10)
    assert back(np.ones_like(y)) is None
    assert all(isinstance(part, Frozen) for part in net.layers.parts[:2])


def test_the_gradient_of_the_input_goes_through(rng):
    net = networks(SETS["all but the last"])
    x, _ = batch(rng)
    ways = []
    for training in (True, False):
        run = Run(tensors=net.tensors, training=training, input_gradient=True)
        y, back = net.forward(x, run)
        ways.append(back(np.ones_like(y)))
    np.testing.assert_allclose(ways[0], ways[1], rtol=1e-10)


def test_prediction_is_the_same(rng):
    x, _ = batch(rng)
    plain = filled(SPEC, SHAPE)
    for names in SETS.values():
        net = networks(names)
        np.testing.assert_allclose(net.predict(x), plain.predict(x), rtol=1e-9)
        assert sum(place.stop - place.start for place in net.frozen) == len(
            places(net, names, inside=True)
        )
