"""``cnntool train`` as a user meets it: what it needs, prints, writes and refuses."""

import json
import os
import re

import numpy as np
import pytest
from cli_runner import done, invoke
from PIL import Image
from trained_models import CLASSES, SIZE, bars
from training_runs import (
    FILES,
    SPEC,
    metrics,
    report,
    saved,
    train,
    without_matplotlib,
    write_folders,
    write_npz,
)

import cnntool
from cnntool.data.loading import load
from cnntool.predict.model import TrainedModel
from cnntool.train import checkpoint

HEADER = "epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,images_per_second,seconds".split(
    ","
)


WELL = ("--epochs", 8, "--batch-size", 10, "--lr", 0.02)
"""Enough to tell most bars."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    without_matplotlib(monkeypatch)


@pytest.fixture
def here(folder):
    """The current folder has a data set."""
    write_npz()
    return folder


# --- what is left


def test_the_files_of_a_run(here):
    result = train("bars.npz", "r", "--val-split", 0.2)
    assert result.lines == [f"r/{name}" for name in FILES]
    kept = ["checkpoint.safetensors", "checkpoint.previous.safetensors"]
    assert sorted(os.listdir("r")) == sorted(FILES + kept)
    with Image.open("r/confusion.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 100


def test_metrics_are_a_plain_table(here):
    train("bars.npz", "r", "--val-split", 0.2, "--epochs", 3)
    lines = (here / "r/metrics.csv").read_text().splitlines()
    assert lines[0].split(",") == HEADER
    rows = metrics("r")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for row in rows:
        assert all(row.values())
        assert 0 <= float(row["train_accuracy"]) <= 1 and 0 <= float(row["val_accuracy"]) <= 1
    assert [float(row["seconds"]) for row in rows] == sorted(float(row["seconds"]) for row in rows)
    train("bars.npz", "s")
    assert {row["val_loss"] + row["val_accuracy"] for row in metrics("s")} == {""}


def test_run_json_says_everything(here):
    train("bars.npz", "r", "--val-split", 0.2, "--seed", 7, "--lr", 0.005)
    found = report("r")
    assert set(found["test"]) == {"accuracy", "loss"}
    assert 0 < found["test"]["accuracy"] <= 1
    assert found["options"]["seed"] == 7 and found["options"]["lr"] == 0.005
    assert found["options"]["dataset"] == "bars.npz" and found["options"]["spec"] == SPEC
    assert found["options"]["input"] == [1, *SIZE]
    assert found["options"]["classes"] == ["0", "1", "2"]
    assert found["versions"] == {
        "cnntool": cnntool.__version__,
        "numpy": np.__version__,
        "python": ".".join(map(str, __import__("sys").version_info[:3])),
    }
    assert found["data"] == {
        "name": "bars", "fingerprint": load("bars.npz").fingerprint,
        "train": 72, "validation": 18, "test": 30,
    }  # fmt: skip
    assert len(found["data"]["fingerprint"]) == 64
    assert [row["epoch"] for row in found["epochs"]] == [1, 2]
    assert list(found["epochs"][0]) == HEADER
    assert found["seconds"] > 0 and found["threads"] == 1 and found["device"] == "cpu"
    assert found["complete"] is True and found["best_epoch"] in (1, 2)
    assert found["parameters"] == sum(a.size for a in saved("r").weights.values())
    for row, line in zip(found["epochs"], metrics("r"), strict=True):
        assert float(line["train_loss"]) == pytest.approx(row["train_loss"], rel=1e-5)


def test_the_model_file_does_what_the_session_did(here):
    """Accuracy and loss of run.json are those of 'evaluate', to the last bit."""
    train("bars.npz", "r", "--epochs", 4)
    found = json.loads(done("evaluate", "r", "bars.npz", "--json").stdout)
    assert {name: found[name] for name in ("accuracy", "loss")} == report("r")["test"]
    many = json.loads(done("evaluate", "r", "bars.npz", "--json", "--threads", 2).stdout)
    assert many == found


def test_predict_tells_what_was_learned(folder):
    write_folders(folder / "data/train", 150)
    test = write_folders(folder / "data/test", 30, seed=2)
    train("data", "r", *WELL)
    rows = json.loads(done("predict", "r", "data/test", "-r", "--json").stdout)
    right = [row["label"] == os.path.basename(os.path.dirname(row["path"])) for row in rows]
    assert len(right) == len(test)
    assert np.mean(right) == report("r")["test"]["accuracy"] > 0.8
    assert report("r")["options"]["classes"] == sorted(CLASSES)


def test_the_model_remembers_how_pictures_were_made_ready(folder):
    """What surrounds padded pictures, too: white here."""
    for number, paths in enumerate(write_folders(folder / "data", 40, size=(12, 7))):
        pixels = 255 - np.asarray(Image.open(paths))
        Image.fromarray(pixels[: 12 - number % 3]).save(paths)
    train("data", "r", "--size", "12x10", "--fit", "pad", "--color", "rgb")
    how = TrainedModel.load("r").saved.preprocessing
    assert (how.color, how.fit) == ("rgb", "pad")
    assert how.background > 0.8
    pictures = load("data", size=(12, 10), fit="pad", color="rgb").train.images / 255
    np.testing.assert_allclose(how.mean, pictures.mean(axis=(0, 2, 3)), atol=1e-4)
    np.testing.assert_allclose(how.std, pictures.std(axis=(0, 2, 3)), atol=1e-4)
    assert how.brightness == pytest.approx(pictures.mean(), abs=1e-4)


# --- what is said


def test_words_on_stderr(here):
    result = train("bars.npz", "r", "--val-split", 0.2)
    found = result.errors
    assert found[0] == "data      bars: 72 training, 18 validation, 30 test pictures 1x12x10"
    assert re.fullmatch(r"classes   3: 0 \(\d+\), 1 \(\d+\), 2 \(\d+\)", found[1])
    assert re.fullmatch(r"network   custom: \d+ parameters, [\d.]+ M MACs", found[2])
    assert found[3].startswith("training  adamw, lr ") and found[3].endswith(", on 1 core")
    assert found[4] == "run       r"
    epochs = [line for line in found if line.startswith("epoch ")]
    assert [line[:9] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    for line in epochs:
        assert re.search(r"loss \d.*accuracy +\d.*validation +\d.*lr .*images/s  [\d.]+ s$", line)
    assert any(re.match(r"test accuracy [\d.]+ %, loss [\d.]+$", line) for line in found)
    assert any(re.match(r"most confused: \d taken for \d: \d+ of \d+$", line) for line in found)
    note = "cnntool: pictures of curves need matplotlib; pip install 'cnntool[plot]'"
    assert found[-1] == note


def test_quiet(here):
    result = train("bars.npz", "r", "-q")
    assert result.stderr == ""
    assert result.lines == [f"r/{name}" for name in FILES]


def test_curves_where_they_can_be_drawn(here, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(here)
    pytest.importorskip("matplotlib")
    result = train("bars.npz", "r")
    assert result.lines[-1] == "r/curves.png"
    assert "matplotlib" not in result.stderr
    with Image.open("r/curves.png") as picture:
        assert picture.width > 600


def test_verbose_says_why_there_is_no_gpu(here):
    result = train("bars.npz", "r", "-v")
    assert result.errors[0].startswith("cnntool: training on the CPU: ")


def test_a_data_set_without_test_pictures(folder):
    write_npz(test=0)
    result = train("bars.npz", "r")
    assert report("r")["test"] is None
    assert "test accuracy" not in result.stderr and "r/confusion.png" not in result.lines


# --- mnist


def test_mnist_needs_no_more_than_its_name(folder):
    """The first command of a new user, on few pictures."""
    result = done("train", "mnist", "--limit", 300, "--epochs", 1, "--batch-size", 100)
    name = f"runs/mnist-{report_model()}"
    assert result.lines[0] == f"{name}/model.safetensors"
    found = report(name)
    assert found["options"]["dataset"] == "mnist"
    assert found["options"]["classes"] == [str(digit) for digit in range(10)]
    assert found["data"]["train"] == 300 and found["data"]["test"] == 10_000
    assert found["options"]["limit"] == 300
    assert "data      mnist: 300 training, 10000 test pictures 1x28x28" in result.stderr


def report_model():
    (name,) = os.listdir("runs")
    return name.removeprefix("mnist-")


# --- an end before the end


def test_max_time(here):
    result = train("bars.npz", "r", "--epochs", 1000, "--max-time", 0.3)
    assert "cnntool: saved; go on with: cnntool train --resume 'r'" in result.errors
    found = report("r")
    assert found["complete"] is False and found["test"]["accuracy"] > 0
    assert 0 < len(found["epochs"]) < 1000
    assert found["seconds"] < 5
    assert saved("r").progress.step >= 2 * len(found["epochs"])


def test_stop_after(here):
    result = train("bars.npz", "r", "--epochs", 5, "--stop-after", 2)
    assert len(metrics("r")) == 2 and report("r")["complete"] is False
    assert result.errors[-1] == "cnntool: saved; go on with: cnntool train --resume 'r'"
    steps = [saved("r", name).progress.epoch for name in checkpoint.NAMES[1:]]
    assert steps == [2, 1]


def test_patience_ends_early_and_keeps_the_best(here):
    args = ("--val-split", 0.3, "--patience", 2, "--epochs", 40, "--lr", 1e-9)
    train("bars.npz", "r", *args, "--schedule", "constant")
    found = report("r")
    assert len(found["epochs"]) == 3 and found["complete"] is True and found["best_epoch"] == 1
    best = saved("r").best
    model = TrainedModel.load("r").network.state()
    assert all(np.array_equal(model[name], best[name]) for name in best)


def test_checkpoints_within_an_epoch(here):
    train("bars.npz", "a", "--batch-size", 10, "--checkpoint-every", 1e-9, "--epochs", 1)
    assert saved("a", checkpoint.NAMES[2]).progress.batch == 9
    assert saved("a").progress.epoch == 1


def test_pictures_unlike_those_of_the_training_are_told(folder):
    """A run knows how bright its pictures were."""
    write_npz("bars.npz", train=150)
    train("bars.npz", "r", *WELL)
    image = bars(1, seed=9)[0][0, 0]
    Image.fromarray(255 - image).save("paper.png")
    Image.fromarray(image).save("slate.png")
    plain = done("predict", "r", "slate.png", "--json")
    reversed_ = invoke("predict", "r", "paper.png", "--json")
    assert "--invert" in reversed_.stderr and "--invert" not in plain.stderr
    inverted = done("predict", "r", "paper.png", "--invert", "--json")
    assert json.loads(inverted.stdout)[0]["label"] == json.loads(plain.stdout)[0]["label"]
