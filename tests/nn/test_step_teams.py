"""Steps of training shared by workers: the same bits, the same learning, weights that all see."""

import numpy as np
import pytest
from network_specs import filled
from watchdog import nothing_left, watchdog

from cnntool.nn import optim, parse, processes
from cnntool.nn.loss import Loss
from cnntool.nn.network import Network
from cnntool.nn.predictor import Predictor
from cnntool.nn.step import TrainingStep

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
    use(request.param, monkeypatch)
    return request.param


def use(kind, monkeypatch):
    if kind == "threads":
        monkeypatch.setattr(processes, "forks", lambda: False)
    else:
        monkeypatch.undo()


def batch(rng, images, classes=3, shape=SHAPE):
    x = rng.standard_normal((*shape, images)).astype(np.float32)
    return x, rng.integers(0, classes, images)


def trained(sizes, threads, *, name="sgd", spec=SPEC, seed=5, smoothing=0.1, **options):
    """Losses, all arrays after steps with batches of some sizes, and the last gradient."""
    net = Network(parse(spec), SHAPE)
    net.initialise(seed=2)
    optimiser = optim.create(name, net.parameters.size, **options)
    rng, losses = np.random.default_rng(7), []
    with TrainingStep(
        net, optimiser, threads=threads, seed=seed, loss=Loss(label_smoothing=smoothing)
    ) as step:
        for images in sizes:
            losses.append(float(step(*batch(rng, images), lr=0.05)))
        gradient = step.gradients(*batch(rng, 6))[1].copy()
    return np.array(losses), net.state(), gradient


def assert_same_bits(found, wanted):
    assert found[0].tobytes() == wanted[0].tobytes()
    for name, array in wanted[1].items():
        assert found[1][name].tobytes() == array.tobytes(), name
    assert found[2].tobytes() == wanted[2].tobytes()


def assert_near(found, wanted, tolerance=1e-5):
    np.testing.assert_allclose(found[0], wanted[0], rtol=tolerance)
    for name, array in wanted[1].items():
        far = np.abs(found[1][name] - array).max()
        assert far <= tolerance * np.abs(array).max(), f"{name}: {far}"
    assert np.abs(found[2] - wanted[2]).max() <= tolerance * np.abs(wanted[2]).max()


SIZES = (6, 9, 4, 2, 1, 13, 3, 3, 20, 5)
"""Up and down, uneven, and smaller than the team."""


@pytest.mark.skipif(len(KINDS) < 2, reason="processes are forked on Linux only")
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_and_processes_give_the_same_bits(threads, monkeypatch):
    found = []
    for kind in KINDS:
        use(kind, monkeypatch)
        found.append(trained(SIZES[:4] + SIZES[5:], threads, name="adam"))
    assert_same_bits(*found)


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_any_number_of_workers_learns_the_same(kind, threads):
    """Batch statistics are those of the whole batch, and what is dropped does not depend on it."""
    sizes = [size for size in SIZES if size > 1]
    assert_near(trained(sizes, threads), trained(sizes, 1), 2e-5)


def test_runs_are_repeated_bit_for_bit(kind):
    assert_same_bits(trained(SIZES[:4], 3, name="adam"), trained(SIZES[:4], 3, name="adam"))


def test_batches_smaller_than_the_team(kind):
    spec = "conv 4 3 pad=1 | relu | dropout 0.2 | maxpool 2 | flatten | dense 3"
    sizes = (1, 2, 3, 1, 7, 1)
    assert_near(trained(sizes, 4, spec=spec), trained(sizes, 1, spec=spec))


def test_statistics_are_those_of_the_whole_batch_once(kind, rng):
    net = Network(parse("batchnorm momentum=0.25 | flatten | dense 3"), SHAPE)
    net.initialise(seed=1)
    x, labels = batch(rng, 7)
    with TrainingStep(net, optim.create("sgd", net.parameters.size), threads=3) as step:
        step(x, labels, lr=0.0)
    mean, variance = x.mean(axis=(1, 2, 3)), x.var(axis=(1, 2, 3), ddof=1)
    np.testing.assert_allclose(net.tensors["0.batchnorm.running_mean"], 0.25 * mean, rtol=1e-4)
    np.testing.assert_allclose(
        net.tensors["0.batchnorm.running_var"], 0.75 + 0.25 * variance, rtol=1e-5
    )


def test_networks_without_statistics_or_parameters(kind, rng):
    x, labels = batch(rng, 6)
    for spec, classes in (("flatten | dense 3 bias=no", 3), ("flatten", 60)):
        net = Network(parse(spec), SHAPE)
        net.initialise(seed=1)
        with TrainingStep(net, optim.create("sgd", net.parameters.size), threads=2) as step:
            assert 0 < step(x, labels, lr=0.1) < 10 and net.output == (classes,)


# --- several users of a network ---


@pytest.mark.parametrize("order", ["step first", "predictor first"])
def test_a_predictor_sees_what_a_step_learns(kind, order, rng):
    net = Network(parse(SPEC), SHAPE)
    net.initialise(seed=1)
    x, labels = batch(rng, 9)
    made = {}

    def make(what):
        if what == "step":
            made[what] = TrainingStep(net, optim.create("adam", net.parameters.size), threads=3)
        else:
            made[what] = Predictor(net, threads=2)

    names = ["step", "predictor"]
    for name in names if order == "step first" else names[::-1]:
        make(name)
    with made["step"] as step, made["predictor"] as predict:
        for _ in range(3):
            step(x, labels, lr=0.05)
            fresh = Network(parse(SPEC), SHAPE)
            fresh.load(net.state())
            with Predictor(fresh, threads=2) as other:
                np.testing.assert_array_equal(predict(x), other(x))
            assert np.abs(predict(x) - fresh.predict(x)).max() < 1e-5


def test_one_worker_then_several(kind, rng):
    """A step made before the weights moved to memory that is shared goes on with them."""
    net = filled(SPEC, SHAPE, dtype=np.float32)
    x, labels = batch(rng, 8)
    with TrainingStep(net, optim.create("sgd", net.parameters.size)) as alone:
        first = alone.gradients(x, labels)[1].copy()
        with Predictor(net, threads=2) as predict:
            before = predict(x)
            alone(x, labels, lr=0.1)
            after = predict(x)
        assert np.abs(after - before).max() > 1e-3
        assert np.abs(alone.gradients(x, labels)[1] - first).max() > 1e-4


def test_weights_that_are_loaded_reach_the_workers(kind, rng):
    net, other = (filled(SPEC, SHAPE, seed, dtype=np.float32) for seed in (1, 2))
    x, labels = batch(rng, 8)
    with TrainingStep(net, optim.create("sgd", net.parameters.size), threads=2) as step:
        step(x, labels, lr=0.1)
        net.load(other.state())
        found = step.gradients(x, labels)[1].copy()
    with TrainingStep(other, optim.create("sgd", net.parameters.size), threads=2) as step:
        step.number = 1
        np.testing.assert_array_equal(found, step.gradients(x, labels)[1])


def test_closing_and_going_on(kind, rng):
    net = filled(SPEC, SHAPE, dtype=np.float32)
    x, labels = batch(rng, 8)
    step = TrainingStep(net, optim.create("sgd", net.parameters.size), threads=2)
    first = step(x, labels, lr=0.1)
    for _ in range(2):
        step.close()
        step.close()
        second = step(x, labels, lr=0.1)
    assert second != first
    step.close()
