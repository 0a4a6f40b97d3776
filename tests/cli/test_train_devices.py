"""Seeds, threads and devices: what must give the same bytes, and what the same numbers."""

import os

import numpy as np
import pytest
from cli_runner import done, refused
from training_runs import (
    SPEC,
    assert_same_runs,
    metrics,
    report,
    saved,
    train,
    weights,
    without_matplotlib,
    write_npz,
)

from cnntool.train import checkpoint


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    without_matplotlib(monkeypatch)


@pytest.fixture
def here(folder):
    """The current folder has a data set."""
    write_npz()
    return folder


def test_the_same_seed_gives_the_same_bytes(here):
    train("bars.npz", "a", "--seed", 5)
    train("bars.npz", "b", "--seed", 5)
    train("bars.npz", "c", "--seed", 6)
    assert_same_runs("a", "b")
    assert not np.allclose(weights("a"), weights("c"))


def test_two_threads_agree_to_rounding_and_repeat(here):
    few = ("--epochs", 1, "--batch-size", 30)
    for name, threads in (("a", 1), ("b", 2), ("c", 2)):
        train("bars.npz", name, *few, "--threads", threads)
    np.testing.assert_allclose(weights("a"), weights("b"), rtol=1e-4, atol=1e-6)
    assert_same_runs("b", "c")


def test_on_a_gpu(here, double_as_gpu):
    result = train("bars.npz", "g", "--device", "gpu", "--val-split", 0.2, "--augment", "hflip")
    train("bars.npz", "c", "--device", "cpu", "--val-split", 0.2, "--augment", "hflip")
    assert ", on gpu:0" in result.stderr
    assert report("g")["device"] == "gpu:0"
    np.testing.assert_allclose(weights("g"), weights("c"), rtol=1e-3, atol=1e-4)
    on_gpu, on_cpu = metrics("g"), metrics("c")
    for column in ("train_loss", "val_loss", "val_accuracy", "lr"):
        assert [float(row[column]) for row in on_gpu] == pytest.approx(
            [float(row[column]) for row in on_cpu], rel=1e-3
        )
    assert {row["train_accuracy"] for row in on_gpu} == {""}  # nobody counts there
    assert report("g")["test"]["loss"] == pytest.approx(report("c")["test"]["loss"], rel=1e-3)


def test_checkpoints_within_an_epoch_on_a_gpu(here, double_as_gpu):
    args = ("--batch-size", 10, "--epochs", 2, "--device", "gpu")
    train("bars.npz", "a", *args)
    train("bars.npz", "b", *args, "--checkpoint-every", 1e-9, "--stop-after", 1)
    middle = saved("b", checkpoint.NAMES[2])
    assert middle.progress.batch == 9 and middle.progress.loss > 0
    for name in checkpoint.NAMES[1:2]:
        os.unlink(f"b/{name}")
    done("train", "--resume", "b", "--device", "gpu")
    assert_same_runs("a", "b")


def test_no_such_gpu(here):
    line = refused(3, "train", "bars.npz", "--model", SPEC, "--device", "gpu")
    assert "gpu" in line.lower()
    assert os.listdir() == ["bars.npz"]


def test_from_one_device_to_another(here, double_as_gpu):
    """It is told that bits may differ."""
    train("bars.npz", "whole")
    train("bars.npz", "r", "--device", "gpu", "--stop-after", 1)
    result = done("train", "--resume", "r", "--device", "cpu", "--threads", 1)
    assert (
        "cnntool: this run began on gpu:0; on cpu it goes on, but not to the same last bits"
    ) in result.errors
    np.testing.assert_allclose(weights("r"), weights("whole"), rtol=1e-3, atol=1e-4)
