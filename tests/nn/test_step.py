"""Steps of training: loss and gradient of a batch, what is learned from, what is refused."""

import os
import signal

import numpy as np
import pytest
from network_specs import filled
from watchdog import nothing_left, watchdog

from cnntool.errors import InputError, ModelFileError, OptionError, ShapeError, SystemFailure
from cnntool.nn import optim, processes
from cnntool.nn.gradcheck import check_gradient
from cnntool.nn.loss import Loss
from cnntool.nn.optimiser import decaying
from cnntool.nn.step import LARGEST_SEED, TrainingStep

SPEC = (
    "conv 4 3 pad=1 bias=no | batchnorm | relu | dropout 0.2 | residual(conv 4 3 pad=1 | relu) | "
    "maxpool 2 | flatten | dense 6 bias=no | batchnorm | relu | dense 3"
)
SHAPE = (2, 6, 5)
KINDS = ["threads", "processes"] if processes.forks() else ["threads"]


@pytest.fixture(autouse=True)
def _nothing_is_left():
    with watchdog(60), nothing_left():
        yield


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    """Teams of threads, and of processes."""
    if request.param == "threads":
        monkeypatch.setattr(processes, "forks", lambda: False)
    return request.param


def batch(rng, images, classes=3, shape=SHAPE):
    x = rng.standard_normal((*shape, images)).astype(np.float32)
    return x, rng.integers(0, classes, images)


# --- one worker ---


def cross_entropy(logits, labels, smoothing):
    """Mean over the batch, number by number."""
    total = 0.0
    for n, label in enumerate(labels):
        shares = np.exp(logits[:, n]) / np.exp(logits[:, n]).sum()
        target = np.full(len(logits), smoothing / len(logits))
        target[label] += 1 - smoothing
        total -= (target * np.log(shares)).sum()
    return total / len(labels)


def check_step(step, x, labels, rng):
    """The gradient of a step is how its loss changes with the parameters."""
    parameters = step.network.parameters

    def vjp(flat):
        parameters[...] = flat
        loss, gradient = step.gradients(x, labels)
        gradient = gradient.copy()
        return np.array([loss]), lambda grad_y: gradient * grad_y

    check_gradient(vjp, parameters.copy(), rng=rng, directions=2, tolerance=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
def test_loss_and_gradient(threads, rng):
    """Of the mean over the batch, with statistics and dropout as training has them."""
    net = filled(SPEC, SHAPE)
    x, labels = batch(rng, 7)
    optimiser = optim.create("sgd", net.parameters.size, dtype=np.float64)
    with TrainingStep(
        net, optimiser, seed=3, loss=Loss(label_smoothing=0.2), threads=threads
    ) as step:
        run = net.run(training=True, seed=3, step=0, keeps_statistics=False)
        logits, _ = net.forward(x.astype(np.float64), run)
        loss = step.gradients(x, labels)[0]
        np.testing.assert_allclose(loss, cross_entropy(logits, labels, 0.2), rtol=1e-12)

        check_step(step, x, labels, rng)


def test_a_step_is_the_optimisers(rng):
    net, other = filled(SPEC, SHAPE), filled(SPEC, SHAPE)
    x, labels = batch(rng, 5)
    options = {"momentum": 0.9, "weight_decay": 0.01, "decaying": decaying(net.places)}
    first, second = (
        optim.create("sgd", net.parameters.size, dtype=np.float64, **options) for _ in range(2)
    )
    with TrainingStep(net, first, seed=1) as step, TrainingStep(other, second, seed=1) as by_hand:
        for number in range(3):
            assert step.number == number
            loss, gradient = by_hand.gradients(x, labels)
            second.update(other.parameters, gradient, 0.1)
            by_hand.number += 1
            assert step(x, labels, lr=0.1) == loss
            np.testing.assert_array_equal(net.parameters, other.parameters)
    assert first.step == 3


def test_dropout_changes_from_step_to_step_and_with_the_seed(rng):
    net = filled("flatten | dropout 0.5 | dense 3", SHAPE)
    x, labels = batch(rng, 5)

    def loss(seed, number):
        with TrainingStep(
            net, optim.create("sgd", net.parameters.size, dtype=np.float64), seed=seed
        ) as step:
            step.number = number
            return step.gradients(x, labels)[0]

    found = {loss(*at) for at in ((0, 0), (0, 1), (1, 0), (LARGEST_SEED, 0))}
    assert len(found) == 4 and loss(0, 1) in found


def test_small_types_and_gaps_are_converted(rng):
    x = rng.integers(0, 255, (*SHAPE, 12), np.uint8)
    labels = rng.integers(0, 3, 6).astype(np.int16)
    for threads in (1, 2):
        found = []
        for given in (x[..., ::2], x[..., ::2].astype(np.float32)):
            net = filled(SPEC, SHAPE, dtype=np.float32)
            with TrainingStep(
                net, optim.create("sgd", net.parameters.size), threads=threads
            ) as step:
                found.append(step.gradients(given, labels)[1].tobytes())
        assert found[0] == found[1]


def test_logits_are_learned_where_probabilities_come_out(rng):
    x, labels = batch(rng, 5)
    found = []
    for ending in ("", " | softmax", " | sigmoid"):
        net = filled(f"flatten | dense 3{ending}", SHAPE, dtype=np.float32)
        with TrainingStep(net, optim.create("sgd", net.parameters.size)) as step:
            loss, gradient = step.gradients(x, labels)
            found.append((loss, gradient.tobytes()))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_class_for_every_pixel(threads, rng):
    """The mean over all pixels of the batch that have a class."""
    net = filled("conv 3 3 pad=1 | relu | conv 4 1", SHAPE)
    x = rng.standard_normal((*SHAPE, 5))
    labels = rng.integers(0, 4, (*SHAPE[1:], 5))
    labels[2:4, 1, 0:4] = labels[0, 0, 4] = -100
    logits = net.predict(x).reshape(4, -1)
    flat = labels.ravel()
    wanted = cross_entropy(logits[:, flat >= 0], flat[flat >= 0], 0)
    optimiser = optim.create("sgd", net.parameters.size, dtype=np.float64)
    with TrainingStep(net, optimiser, threads=threads) as step:
        np.testing.assert_allclose(step.gradients(x, labels)[0], wanted, rtol=1e-6)

        check_step(step, x, labels, rng)


@pytest.mark.parametrize("threads", [1, 3])
def test_classes_that_count_more(threads, rng):
    """The mean is weighted by the classes of the whole batch, also of other parts."""
    net = filled("flatten | dense 3", SHAPE)
    x, labels = rng.standard_normal((*SHAPE, 7)), np.array([0, 0, 0, 1, 2, 2, 1])
    weights = np.array([0.5, 2, 3.5])
    logits = net.predict(x)
    each = [cross_entropy(logits[:, [n]], labels[[n]], 0) for n in range(7)]
    wanted = (each * weights[labels]).sum() / weights[labels].sum()
    optimiser = optim.create("sgd", net.parameters.size, dtype=np.float64)
    with TrainingStep(net, optimiser, threads=threads, loss=Loss(class_weights=weights)) as step:
        np.testing.assert_allclose(step.gradients(x, labels)[0], wanted, rtol=1e-6)
        check_step(step, x, labels, rng)


@pytest.mark.parametrize("threads", [1, 3])
def test_how_many_were_right(threads, rng):
    net = filled("flatten | dense 3 | softmax", SHAPE)
    optimiser = optim.create("sgd", net.parameters.size, dtype=np.float64)
    with TrainingStep(net, optimiser, threads=threads) as step:
        for images in (7, 2, 20):
            x = rng.standard_normal((*SHAPE, images))
            labels = net.predict(x).argmax(axis=0)
            labels[1] = (labels[1] + 1) % 3
            step.gradients(x, labels)
            assert step.right == images - 1 and step.counted == images


@pytest.mark.parametrize("threads", [1, 3])
def test_inputs_that_workers_prepare(threads, rng):
    """Each is told where its part stands in the batch, and in the training."""
    asked = (2, 9)

    def prepare(part, labels, number, first, images):
        assert (number, images) == asked and part.dtype == np.uint8
        assert labels.shape == part.shape[-1:]
        return part * np.float32(0.5) + np.arange(first, first + part.shape[-1]), labels

    net = filled("flatten | dense 3", SHAPE)
    x, labels = rng.integers(0, 255, (*SHAPE, 9), np.uint8), rng.integers(0, 3, 9)
    optimiser = optim.create("sgd", net.parameters.size, dtype=np.float64)
    with TrainingStep(net, optimiser, threads=threads, prepare=prepare) as step:
        step.number = 2
        found = step.gradients(x, labels)
        found = found[0], found[1].copy()
    with TrainingStep(net, optimiser) as step:
        wanted = step.gradients(x * 0.5 + np.arange(9), labels)
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-6)
        np.testing.assert_allclose(found[1], wanted[1], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind_of_loss", ["cross-entropy", "dice", "both"])
def test_labels_that_workers_move(threads, kind_of_loss, kind, rng):
    """Only then it is known which pixels of the whole batch count."""
    net = filled("conv 4 1", SHAPE)
    x = rng.standard_normal((*SHAPE, 7)).astype(np.float32)
    labels = rng.integers(0, 4, (*SHAPE[1:], 7)).astype(np.uint8)
    moved = labels.copy()
    for image in range(7):  # one row more of each picture leaves it; all of the last ones do
        moved[:image, :, image] = 255
    moved[..., 5:] = 255

    def prepare(part, own, number, first, images):
        return part, moved[..., first : first + own.shape[-1]]

    loss = Loss(kind=kind_of_loss, ignore=255)
    optimiser = optim.create("sgd", net.parameters.size, dtype=np.float64)
    options = {"threads": threads, "loss": loss, "prepare": prepare, "moves_labels": True}
    with TrainingStep(net, optimiser, **options) as step:
        found = step.gradients(x, labels)
        found = found[0], found[1].copy()
        assert step.counted == (moved != 255).sum()
    with TrainingStep(net, optimiser, loss=loss) as step:
        wanted = step.gradients(x, moved)
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-6)
        np.testing.assert_allclose(found[1], wanted[1], rtol=1e-5, atol=1e-9)


# --- what is refused ---


@pytest.fixture
def step():
    net = filled(SPEC, SHAPE, dtype=np.float32)
    with TrainingStep(net, optim.create("sgd", net.parameters.size), threads=2) as found:
        yield found


@pytest.mark.parametrize("smoothing", [-0.1, 1, 1.5, float("nan")])
def test_label_smoothing_out_of_range(smoothing):
    net = filled(SPEC, SHAPE, dtype=np.float32)
    with pytest.raises(OptionError, match=f"a share from 0 to below 1, got {smoothing}"):
        TrainingStep(
            net, optim.create("sgd", net.parameters.size), loss=Loss(label_smoothing=smoothing)
        )


@pytest.mark.parametrize("seed", [-1, LARGEST_SEED + 1])
def test_seeds_out_of_range(seed):
    net = filled(SPEC, SHAPE, dtype=np.float32)
    message = f"a seed is a whole number from 0 to {LARGEST_SEED}, got {seed}"
    with pytest.raises(OptionError, match=message):
        TrainingStep(net, optim.create("sgd", net.parameters.size), seed=seed)


def test_batches_that_do_not_fit(step, kind, rng):
    x, labels = batch(rng, 6)
    with pytest.raises(ShapeError, match=r"takes inputs 2×6×5, got 2×5×6"):
        step(x.transpose(0, 2, 1, 3), labels, lr=0.1)
    for wrong in (labels[:5], labels[None], labels.repeat(2)):
        message = r"do not fit 6 inputs of a network with outputs 3 numbers; they must have shape"
        with pytest.raises(ShapeError, match=message):
            step(x, wrong, lr=0.1)
    with pytest.raises(ShapeError, match="a batch without inputs has nothing to learn from"):
        step(x[..., :0], labels[:0], lr=0.1)
    step(x, labels, lr=0.1)


def test_labels_of_pixels_that_do_not_fit(rng):
    net = filled("conv 4 1", SHAPE, dtype=np.float32)
    with TrainingStep(net, optim.create("sgd", net.parameters.size)) as step:
        message = r"outputs 4×6×5; they must have shape \(6, 5, 2\)"
        with pytest.raises(ShapeError, match=message):
            step(*batch(rng, 2), lr=0.1)


@pytest.mark.parametrize("place", [0, 5])
def test_labels_that_are_no_class(step, kind, place, rng):
    """Whichever worker meets one, the caller is told the same; nothing was learned."""
    x, labels = batch(rng, 6)
    before = step.network.state()
    wrong = labels.copy()
    wrong[place] = 3
    with pytest.raises(InputError, match="a target of 3 is none of the 3 classes 0 to 2"):
        step(x, wrong, lr=0.1)
    assert step.number == step.optimiser.step == 0
    for name in step.network.places:
        np.testing.assert_array_equal(step.network.tensors[name], before[name])
    assert step(x, labels, lr=0.1) > 0


def test_labels_that_are_no_integers(step, rng):
    x, labels = batch(rng, 6)
    with pytest.raises(OptionError, match="class numbers must be integers, got float64"):
        step(x, labels * 1.0, lr=0.1)


def test_weights_that_do_not_fit_while_workers_run(step, rng):
    x, labels = batch(rng, 6)
    step(x, labels, lr=0.1)
    with pytest.raises(ModelFileError, match="do not fit the network"):
        step.network.load({})
    step(x, labels, lr=0.1)


@pytest.mark.skipif(not processes.forks(), reason="processes are forked on Linux only")
def test_a_killed_worker_and_a_new_one(rng):
    net = filled(SPEC, SHAPE, dtype=np.float32)
    x, labels = batch(rng, 6)
    with TrainingStep(net, optim.create("sgd", net.parameters.size), threads=2) as step:
        first = step.gradients(x, labels)[1].copy()
        os.kill(step._team._crew[0].pid, signal.SIGKILL)
        with pytest.raises(SystemFailure, match="ended unexpectedly"):
            step(x, labels, lr=0.1)
        np.testing.assert_array_equal(step.gradients(x, labels)[1], first)
