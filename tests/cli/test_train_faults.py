"""Trainings whose numbers or workers turn against them."""

import os
import signal

import numpy as np
import pytest
import watchdog
from cli_runner import done, invoke
from training_runs import (
    SPEC,
    assert_same_runs,
    bytes_of,
    saved,
    train,
    without_matplotlib,
    write_npz,
)

from cnntool.nn.step import TrainingStep
from cnntool.train import checkpoint

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="signals and limits as POSIX has them"),
    pytest.mark.faults,
]

_, NEWEST, PREVIOUS = checkpoint.NAMES
ARGUMENTS = ("bars.npz", "--model", SPEC, "--threads", 1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    without_matplotlib(monkeypatch)


@pytest.fixture
def here(folder):
    write_npz()
    return folder


# --- numbers


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (SPEC, ()),
        (SPEC, ("--optimizer", "sgd")),
        (SPEC.replace("relu", "sigmoid"), ("--schedule", "constant")),
        (SPEC.replace("relu", "batchnorm | relu"), ("--optimizer", "adam", "--threads", 2)),
        ("flatten | dense 3", ("--optimizer", "sgd", "--momentum", 0)),
    ],
)
def test_a_rate_far_too_high(here, spec, options):
    result = invoke("train", "bars.npz", "--model", spec, "--threads", 1, "--lr", 1e9,
                    "--epochs", 50, "-o", "r", *options)  # fmt: skip
    assert result.status == 5
    assert result.stdout == b""
    last = result.errors[-1]
    assert "cnntool: training diverged in epoch 1, step " in last
    assert "; take a smaller --lr; 'r/checkpoint.safetensors' holds the state after step " in last
    found = saved("r")
    assert all(np.isfinite(array).all() for array in found.weights.values())
    assert f"step {found.progress.step}" in last
    assert not [line for line in result.errors if line.startswith("epoch")]
    assert sorted(os.listdir("r")) == [NEWEST]
    assert "Warning" not in result.stderr
    assert invoke("train", "--resume", "r", "--threads", 1).status == 5


def test_weights_that_are_not_finite_are_not_saved(here, monkeypatch):
    """They come after a loss that was finite; checkpoints of before stay."""
    real, calls = TrainingStep.__call__, []

    def step(self, *given):
        loss = real(self, *given)
        calls.append(loss)
        if len(calls) == 5:
            self.network.parameters[3] = np.nan
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", step)
        result = invoke("train", *ARGUMENTS, "--batch-size", 18, "--epochs", 3, "-o", "r")
    assert result.status == 5
    assert "weights of 0.conv.weight are not finite; this state is not saved" in result.errors[-1]
    assert "'r/checkpoint.safetensors' holds the state after step 0" in result.errors[-1]
    done("train", "--resume", "r", "--threads", 1)
    done("train", *ARGUMENTS, "--batch-size", 18, "--epochs", 3, "-o", "whole")
    assert_same_runs("r", "whole")


def test_outputs_that_are_not_finite(here):
    """A last step so long that nothing can be computed any more."""
    args = (*ARGUMENTS, "--batch-size", 90, "--epochs", 1, "--optimizer", "sgd", "-o")
    for name, options in (("r", ()), ("s", ("--val-split", 0.3))):
        result = invoke("train", *args, name, "--lr", 1e36, "--schedule", "constant", *options)
        assert result.status == 5
        assert "the network gives numbers that are not finite" in result.errors[-1]
        assert f"'{name}/checkpoint.safetensors' holds the state after step" in result.errors[-1]
        assert not os.path.exists(f"{name}/model.safetensors")
        assert "Warning" not in result.stderr


# --- workers


def test_a_worker_that_is_killed(here, monkeypatch):
    args = ("bars.npz", "--model", SPEC, "--threads", 2, "--batch-size", 18, "--epochs", 2)
    done("train", *args, "-o", "whole")
    real, calls = TrainingStep.__call__, []

    def step(self, *given):
        calls.append(1)
        if len(calls) == 7:
            os.kill(self._team._crew[0].pid, signal.SIGKILL)
        return real(self, *given)

    with watchdog.watchdog(), watchdog.nothing_left(), monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", step)
        result = invoke("train", *args, "-o", "r")
    assert result.status == 3
    assert "ended unexpectedly, perhaps for want of memory; try --threads 1" in result.errors[-1]
    assert saved("r").progress.epoch == 1
    done("train", "--resume", "r", "--threads", 2)
    assert_same_runs("r", "whole")


def test_nothing_is_left_running(here):
    with watchdog.nothing_left():
        train("bars.npz", "r", "--threads", 2, "--val-split", 0.2)
        assert invoke("train", "bars.npz", "--model", SPEC, "--threads", 2, "--lr", 1e9,
                      "-o", "s").status == 5  # fmt: skip
    assert len(bytes_of("r")) > 1000
    assert PREVIOUS in os.listdir("r")
