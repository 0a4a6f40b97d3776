"""``train --model hog-logreg``: a run without epochs."""

import json
import os
import signal

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from training_runs import (
    FILES,
    bytes_of,
    metrics,
    report,
    train,
    without_matplotlib,
    write_npz,
    write_uneven,
)

from cnntool.data.loading import load
from cnntool.predict.model import TrainedModel


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    without_matplotlib(monkeypatch)


@pytest.fixture
def here(folder):
    """The current folder has a data set."""
    write_npz()
    return folder


def test_hog_logreg(here):
    result = done("train", "bars.npz", "--model", "hog-logreg", "--threads", 1)
    assert result.lines == [f"runs/bars-hog-logreg/{name}" for name in FILES]
    found = report("runs/bars-hog-logreg")
    assert found["test"]["accuracy"] > 0.9
    assert found["options"]["model"] == "hog-logreg" and found["epochs"] == []
    assert found["complete"] is True and found["iterations"] > 3
    assert found["train"]["accuracy"] > 0.9 and found["seconds"] > 0
    assert found["data"]["fingerprint"] == load("bars.npz").fingerprint
    assert metrics("runs/bars-hog-logreg") == []
    evaluated = json.loads(done("evaluate", "runs/bars-hog-logreg", "bars.npz", "--json").stdout)
    assert {name: evaluated[name] for name in ("accuracy", "loss")} == found["test"]
    assert "model     hog-logreg: logistic regression on histograms of gradients" in result.stderr
    assert "test accuracy " in result.stderr
    line = refused(2, "train", "bars.npz", "--model", "hog-logreg")
    assert "'runs/bars-hog-logreg' exists; use -f, -o or --resume" in line


def test_hog_logreg_options(here):
    def run(name, *options, data="bars.npz"):
        done("train", data, "--model", "hog-logreg", "--threads", 1, "-o", name, *options)
        return TrainedModel.load(name).network.state()["0.dense.weight"]

    plain, _ = run("a"), run("b")
    assert bytes_of("a") == bytes_of("b")
    assert np.abs(run("c", "--weight-decay", 1)).max() < np.abs(plain).max() / 2
    uneven = run("d", data=write_uneven())
    even = run("d2", "--class-weight", "balanced", data="uneven.npz")
    assert np.abs(even - uneven).max() > 0.05
    assert run("e", "--color", "rgb", "--size", "16x14").shape[0] == 3
    assert report("e")["options"]["size"] == [16, 14]
    run("f", "--limit", 40)
    assert report("f")["data"]["train"] == 40
    run("g", "--max-time", 1e-9)
    assert report("g")["complete"] is False
    lines = done("train", "bars.npz", "--model", "hog-logreg", "--dry-run").lines
    assert "weight_decay = 0.005" in lines and "classes:" in lines


def test_hog_logreg_has_no_epochs(here):
    for option, value in (("--epochs", 3), ("--lr", 0.1), ("--augment", "hflip")):
        line = refused(2, "train", "bars.npz", "--model", "hog-logreg", option, value)
        assert f"{option} means nothing to hog-logreg, which takes --weight-decay, " in line
    line = refused(2, "train", "bars.npz", "--model", "hog-logreg", "--stop-after", 1)
    assert "--stop-after means nothing to hog-logreg, which has no epochs" in line
    found = invoke("train", "bars.npz", "--model", "hog-logreg", "--size", 3)
    assert found.status == 1
    assert "hog needs at least 4 rows and 4 columns for 2x2 blocks of 2x2 cells" in found.errors[-1]
    assert os.listdir() == ["bars.npz"]


@pytest.mark.parametrize("stage", ["features", "steps"])
def test_hog_logreg_is_stopped_by_a_signal(here, monkeypatch, stage):
    """At once, and nothing is left: there is no half of a solution."""
    from cnntool.jobs import hog_training

    real = hog_training.fit

    def fit(*given, report, **options):
        def stopped(at, done, total, loss):
            if at == stage:
                os.kill(os.getpid(), signal.SIGTERM)
            return report(at, done, total, loss)

        return real(*given, report=stopped, **options)

    monkeypatch.setattr(hog_training, "fit", fit)
    result = invoke("train", "bars.npz", "--model", "hog-logreg", "-o", "r")
    assert result.status == -signal.SIGTERM
    assert result.stdout == b""
    assert "Traceback" not in result.stderr
    assert os.listdir() == ["bars.npz"]


def test_hog_logreg_beginning_anew(here):
    """What a network left is gone when there is something else."""
    train("bars.npz", "r", "--epochs", 1)
    found = invoke("train", "bars.npz", "--model", "hog-logreg", "-o", "r", "-f", "--size", 3)
    assert found.status == 1
    assert "checkpoint.safetensors" in os.listdir("r")
    done("train", "bars.npz", "--model", "hog-logreg", "-o", "r", "-f")
    assert sorted(os.listdir("r")) == sorted(FILES)
