"""A network applied by several workers: the outputs of one, for any number of inputs."""

import os
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_specs import filled, networks
from watchdog import nothing_left, watchdog

from cnntool.errors import ShapeError, SystemFailure
from cnntool.nn import processes
from cnntool.nn.predictor import Predictor

SPEC = "conv 5 3 pad=1 | batchnorm | relu | dropout 0.5 | maxpool 2 | flatten | dense 3 | softmax"
SHAPE = (2, 6, 5)
KINDS = ["threads", "processes"] if processes.forks() else ["threads"]


@pytest.fixture(autouse=True)
def _nothing_is_left():
    with watchdog(), nothing_left():
        yield


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    """Teams of threads, and of processes."""
    if request.param == "threads":
        monkeypatch.setattr(processes, "forks", lambda: False)
    return request.param


@pytest.fixture
def net():
    return filled(SPEC, SHAPE, dtype=np.float32)


def inputs(count, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).standard_normal((*shape, count)).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 4, 64])
def test_outputs_are_those_of_the_network(net, kind, threads, batch):
    """For counts that grow, shrink, fill no round, and are smaller than the team."""
    with Predictor(net, threads=threads, batch=batch) as predict:
        for count in (5, 13, 2, 1, 30, 0, 7):
            x = inputs(count)
            kept = x.copy()
            y = predict(x)
            assert y.dtype == np.float32 and y.shape == (3, count)
            np.testing.assert_allclose(y, net.predict(x), atol=1e-6)
            np.testing.assert_array_equal(x, kept)


@given(networks(), st.integers(2, 3), st.integers(1, 7))
@settings(max_examples=10, derandomize=True, database=None)
def test_random_networks(network, threads, count):
    net = filled(*network)
    x = inputs(count, net.input)
    with Predictor(net, threads=threads, batch=2) as predict:
        y = predict(x)
    wanted = net.predict(x)
    assert y.shape == wanted.shape and y.dtype == np.float64
    assert np.abs(y - wanted).max() <= 1e-9 * np.abs(wanted).max()


def test_outputs_stay_when_memory_is_used_again(net, kind):
    """What was returned belongs to the caller."""
    with Predictor(net, threads=2) as predict:
        for threads_are_needed in (9, 1):
            first = predict(inputs(threads_are_needed))
            kept = first.copy()
            predict(inputs(threads_are_needed, seed=1))
            np.testing.assert_array_equal(first, kept)


def test_inputs_of_other_types(net, kind):
    x = np.random.default_rng(0).integers(0, 255, (*SHAPE, 18), np.uint8)
    with Predictor(net, threads=2, batch=4) as predict:
        wanted = predict(x.astype(np.float32))
        np.testing.assert_array_equal(predict(x), wanted)
        np.testing.assert_array_equal(predict(x.astype(np.float64)), wanted)
        np.testing.assert_array_equal(predict(x[..., ::2]), predict(x[..., ::2].copy()))


def test_logits(net, kind):
    x = inputs(9)
    for threads in (1, 2):
        with Predictor(net, threads=threads, logits=True) as predict:
            np.testing.assert_allclose(predict(x), net.predict(x, logits=True), rtol=1e-5)
            np.testing.assert_allclose(
                predict(x[..., :1]), net.predict(x[..., :1], logits=True), rtol=1e-5
            )


def test_outputs_for_every_pixel(kind):
    net = filled("conv 3 3 pad=1 | relu | skip(conv 2 1)", (1, 7, 5), dtype=np.float32)
    x = inputs(11, (1, 7, 5))
    with Predictor(net, threads=3, batch=2) as predict:
        y = predict(x)
    assert y.shape == (5, 7, 5, 11)
    np.testing.assert_allclose(y, net.predict(x), rtol=1e-5, atol=1e-6)


def test_later_changes_of_the_weights_count(net, kind):
    x = inputs(8)
    other = filled(SPEC, SHAPE, seed=1, dtype=np.float32)
    with Predictor(net, threads=2) as predict:
        first = predict(x)
        net.load(other.state())
        np.testing.assert_allclose(predict(x), other.predict(x), atol=1e-6)
        net.parameters *= 0
        assert np.ptp(predict(x), axis=1).max() == 0
    assert np.abs(first - other.predict(x)).max() > 1e-3


def test_two_predictors_of_a_network(net, kind):
    x = inputs(8)
    with Predictor(net, threads=2) as one, Predictor(net, threads=3, logits=True) as other:
        for _ in range(2):
            np.testing.assert_allclose(one(x), net.predict(x), atol=1e-6)
            np.testing.assert_allclose(other(x), net.predict(x, logits=True), rtol=1e-5)


def test_a_batch_is_at_least_one_input(net):
    with Predictor(net, batch=0) as predict:
        np.testing.assert_allclose(predict(inputs(3)), net.predict(inputs(3)), atol=1e-6)


def test_inputs_of_another_shape(net, kind):
    with Predictor(net, threads=2) as predict:
        for _ in range(2):
            with pytest.raises(ShapeError, match=r"takes inputs 2×6×5, got 2×5×6; resize them"):
                predict(inputs(4, (2, 5, 6)))
            assert predict(inputs(4)).shape == (3, 4)


def test_closing_twice_and_going_on(net, kind):
    predict = Predictor(net, threads=2)
    wanted = predict(inputs(5))
    for _ in range(2):
        predict.close()
        predict.close()
        np.testing.assert_array_equal(predict(inputs(5)), wanted)
    predict.close()


@pytest.mark.skipif(not processes.forks(), reason="processes are forked on Linux only")
def test_a_killed_worker_and_a_new_one(net):
    with Predictor(net, threads=2) as predict:
        wanted = predict(inputs(6))
        os.kill(predict._team._crew[0].pid, signal.SIGKILL)
        with pytest.raises(SystemFailure, match="ended unexpectedly, perhaps for want of memory"):
            predict(inputs(6))
        np.testing.assert_array_equal(predict(inputs(6)), wanted)
