"""``cnntool train`` as a user meets it: what it needs, prints, writes and refuses."""

import json
import os
import re

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from PIL import Image
from trained_models import CLASSES, SIZE, bars
from training_runs import (
    FILES,
    SPEC,
    assert_same_runs,
    bytes_of,
    metrics,
    report,
    saved,
    train,
    weights,
    without_matplotlib,
    write_folders,
    write_npz,
    write_uneven,
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


# --- the folder


def test_a_folder_that_exists_is_not_touched(here):
    train("bars.npz", "r")
    before = {name: bytes_of("r", name) for name in os.listdir("r")}
    line = refused(2, "train", "bars.npz", "--model", SPEC, "-o", "r")
    assert line == (
        "cnntool: 'r' exists; use -f, -o or --resume: begin anew, take another folder, or go on"
    )
    assert before == {name: bytes_of("r", name) for name in os.listdir("r")}


def test_force_begins_anew_and_leaves_other_files(here):
    train("bars.npz", "r", "--epochs", 3, "--val-split", 0.2)
    (here / "r/notes.txt").write_text("mine")
    (here / "r/curves.png").write_text("of the run before")
    train("bars.npz", "r", "-f", "--seed", 2)
    train("bars.npz", "s", "--seed", 2)
    assert_same_runs("r", "s")
    assert (here / "r/notes.txt").read_text() == "mine"
    assert not (here / "r/curves.png").exists()


def test_an_empty_folder_will_do(here):
    os.makedirs("deep/r")
    train("bars.npz", "deep/r")
    train("bars.npz", "deeper/and/deeper/r")
    assert_same_runs("deep/r", "deeper/and/deeper/r")


def test_the_folder_where_none_is_named(here):
    done("train", "bars.npz", "--model", SPEC, "--epochs", 1, "--threads", 1)
    assert os.listdir("runs") == ["bars-custom"]
    line = refused(2, "train", "bars.npz", "--model", SPEC)
    assert "'runs/bars-custom' exists; use -f, -o or --resume" in line


@pytest.mark.parametrize("name", ["", "-"])
def test_a_run_is_a_folder(here, name):
    line = refused(2, "train", "bars.npz", "--model", SPEC, "-o", name)
    assert "-o names the folder of a run, such as runs/first" in line


def test_a_file_is_no_folder(here):
    line = refused(2, "train", "bars.npz", "--model", SPEC, "-o", "bars.npz")
    assert "'bars.npz' exists and is no folder; choose another -o" in line
    line = refused(3, "train", "bars.npz", "--model", SPEC, "-o", "bars.npz/r")
    assert "'bars.npz/r': takes no files: Not a directory" in line


def test_a_run_does_not_become_data(folder):
    """The pictures that a run leaves would be a class of the next one."""
    write_folders(folder, 12)
    for options in ((), ("-o", "run"), ("-o", "../" + folder.name + "/run")):
        line = refused(2, "train", ".", "--model", SPEC, *options)
        assert "lies in the data set '.' and would be read as a part of it" in line
    assert sorted(os.listdir()) == sorted(CLASSES)


# --- before it begins


def test_dry_run_shows_and_writes_nothing(here):
    args = ("--val-split", 0.2, "--augment", "hflip | shift 1", "--lr", 0.25, "--dry-run")
    result = done("train", "bars.npz", "--model", SPEC, *args)
    assert result.stderr == ""
    assert os.listdir() == ["bars.npz"]
    lines = result.lines
    for line in ("dataset = bars.npz", "model = custom", "lr = 0.25", "val_split = 0.2",
                 "augment = hflip | shift 1", "seed = 0", "size = None"):  # fmt: skip
        assert line in lines
    assert {line.split(" = ")[0] for line in lines if " = " in line} >= {
        "epochs", "batch_size", "optimizer", "momentum", "schedule", "warmup", "weight_decay",
        "dropout", "label_smoothing", "class_weight", "patience", "limit", "fit", "color", "init",
    }  # fmt: skip
    place = lines.index("classes:")
    counts = np.bincount(load("bars.npz", val_split=0.2).train.labels)
    assert lines[place + 1 : place + 4] == [f"  {n}: {count}" for n, count in enumerate(counts)]
    place = lines.index("layers:")
    assert lines[place + 1] == "  0.conv: 4x10x8, 40 parameters"
    assert lines[place + 5 :] == ["  4.dense: 3, 243 parameters", "parameters: 283"]


def test_dry_run_refuses_what_a_run_would(here):
    for options, message in (
        (["--augment", "hflop"], "unknown word 'hflop' at column 1; did you mean 'hflip'"),
        (["--warmup", 90], "--warmup is a part of the training's 15 epochs, got 90"),
        (["--patience", 2], "--patience looks at validation pictures, and there are none; add "
                            "--val-split 0.1"),
        (["--dropout", 0.5], "--dropout changes dropout layers, and the network has none"),
    ):  # fmt: skip
        line = refused(2, "train", "bars.npz", "--model", SPEC, "--dry-run", *options)
        assert message in line
        assert line == refused(2, "train", "bars.npz", "--model", SPEC, *options)
    assert os.listdir() == ["bars.npz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which data set? Name one (mnist), or the path of a folder; see 'cnntool train"),
        (["minst"], "unknown data set 'minst'; did you mean 'mnist'"),
        (["no/such"], "'no/such': no such file or folder; a data set is a folder with"),
        (["bars.npz", "--model", "lenet6"], "unknown model 'lenet6'; did you mean 'lenet'"),
        (["bars.npz", "--optimizer", "adma"], "'adma' is not one of 'sgd', 'adam', 'adamw'"),
        (["bars.npz", "--schedule", "linear"], "'linear' is not one of 'constant', 'step'"),
        (["bars.npz", "--device", "tpu"], "tpu"),
        (["bars.npz", "--model", "conv 4 3 | relu | dense 3"],
         "add flatten before it (4·10·8 = 320 numbers)"),
        (["bars.npz", "--model", "flatten | dense 4"],
         "the network ends in 4 numbers, 'bars' has 3 classes; let it end in dense 3"),
        (["bars.npz", "--model", "conv 3 3"],
         "the network ends in 3×10×8 numbers, 'bars' has 3 classes; let it end in dense 3"),
        (["bars.npz", "--model", "lenet5"], "layer 5.maxpool 'maxpool 2'"),
        (["bars.npz", "--model", "@none.txt"], "'none.txt': the specification cannot be read"),
    ],
)  # fmt: skip
def test_what_does_not_fit(here, arguments, message):
    status = 1 if arguments[:1] == ["no/such"] else 2
    assert message in refused(status, "train", *arguments)
    assert os.listdir() == ["bars.npz"]


def test_a_trained_model_is_no_network(here):
    train("bars.npz", "r", "--epochs", 1)
    for name in ("r", "r/model.safetensors", "gone.safetensors"):
        line = refused(2, "train", "bars.npz", "--model", name)
        assert (
            f"'{name}': training starts from new weights; --model takes a built-in network, "
            in (line)
        )


def test_a_specification_from_a_file(here):
    (here / "net.txt").write_text(f"# small\n{SPEC}\n")
    train("bars.npz", "r", "--model", "@net.txt")
    train("bars.npz", "s")
    first, second = (TrainedModel.load(name).network.state() for name in ("r", "s"))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_last_softmax_is_kept_for_predictions(here):
    train("bars.npz", "r", "--model", SPEC + " | softmax")
    train("bars.npz", "s")
    np.testing.assert_array_equal(weights("r"), weights("s"))
    assert TrainedModel.load("r").saved.spec.endswith("| softmax")
    assert report("r")["test"] == report("s")["test"]


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


# --- logistic regression on features


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


# --- seeds, threads and devices


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
