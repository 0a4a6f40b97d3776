"""``cnntool evaluate``: numbers about a model and a data set, as tables, files and gates."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from PIL import Image
from trained_models import CLASSES, SIZE, bars, changed, trained

from cnntool.nn.modelfile import save_model


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder has the model, and a data set of folders with train and test."""
    monkeypatch.chdir(tmp_path)
    save_model("m.safetensors", trained())
    write_dataset(tmp_path / "data" / "train", 12, seed=1)
    write_dataset(tmp_path / "data" / "test", 60, seed=2, wrong=5)
    return tmp_path


def write_dataset(folder, count, seed, wrong=0, names=CLASSES):
    """Folders of bars; the first few lie in that of the next class."""
    images, labels = bars(count, seed)
    for n, (image, label) in enumerate(zip(images, labels, strict=True)):
        name = names[(label + (n < wrong)) % 3]
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(folder / name / f"{n}.png")


def report(*args):
    return json.loads(done("evaluate", "m.safetensors", *args, "--json").stdout)


def slow_report(labels, predictions, classes):
    """The numbers of the report from two lists of names, by their definitions."""
    pairs = list(zip(labels, predictions, strict=True))
    rows = []
    for name in classes:
        hits = sum(t == p == name for t, p in pairs)
        support, told = labels.count(name), predictions.count(name)
        precision, recall = hits / told if told else 0, hits / support if support else 0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0
        rows.append({"label": name, "precision": precision, "recall": recall, "f1": f1,
                     "support": support})  # fmt: skip
    confusion = [[pairs.count((t, p)) for p in classes] for t in classes]
    accuracy = sum(t == p for t, p in pairs) / len(pairs)
    return {"accuracy": accuracy, "per_class": rows, "confusion": confusion}


# --- numbers


def test_json_agrees_with_predict(here):
    """What evaluate counts is what predict says of the same files."""
    found = report("data")
    assert list(found) == ["accuracy", "loss", "top_k", "per_class", "confusion"]
    rows = json.loads(
        done("predict", "m.safetensors", "data/test", "-r", "--top", 3, "--json").stdout
    )
    best = [row for row in rows if row["rank"] == 1]
    labels = [os.path.basename(os.path.dirname(row["path"])) for row in best]
    predictions = [row["label"] for row in best]
    expected = slow_report(labels, predictions, CLASSES)
    assert found["accuracy"] == pytest.approx(expected["accuracy"])
    assert found["accuracy"] < 1
    assert found["confusion"] == expected["confusion"]
    for row, slow in zip(found["per_class"], expected["per_class"], strict=True):
        assert list(row) == ["label", "precision", "recall", "f1", "support"]
        assert row == {k: pytest.approx(v) if k != "label" else v for k, v in slow.items()}
    second = [row["label"] for row in rows if row["rank"] == 2]
    hits = [t in (p, q) for t, p, q in zip(labels, predictions, second, strict=True)]
    assert found["top_k"] == {"1": found["accuracy"], "2": pytest.approx(np.mean(hits))}
    shares = [row["score"] for row in rows if row["label"] == labels[rows.index(row) // 3]]
    assert found["loss"] == pytest.approx(np.mean(-np.log(np.maximum(shares, 1e-9))), abs=1)


def test_loss_is_the_mean_cross_entropy(here):
    """Of an untrained network with equal shares it is the logarithm of the classes' number."""
    tensors = {name: np.zeros_like(array) for name, array in trained().tensors.items()}
    save_model("zero.safetensors", changed(tensors=tensors))
    found = json.loads(done("evaluate", "zero.safetensors", "data", "--json").stdout)
    assert found["loss"] == pytest.approx(np.log(3))
    assert found["per_class"][1]["precision"] == 0


def test_threads_and_batches_change_nothing(here):
    expected = report("data")
    assert report("data", "--threads", 1) == expected
    assert report("data", "--threads", 3, "--batch-size", 32) == expected


def test_table(here):
    result = done("evaluate", "m.safetensors", "data")
    numbers = report("data")
    lines = result.lines
    assert lines[0] == "60 test pictures of 'data'"
    hits = round(60 * numbers["accuracy"])
    assert lines[1] == f"accuracy  {numbers['accuracy']:.4f}  {hits} of 60"
    assert lines[2] == f"top-2     {numbers['top_k']['2']:.4f}"
    assert lines[3] == f"loss      {numbers['loss']:.4f}"
    assert lines[5].split() == ["label", "precision", "recall", "f1", "support"]
    for line, row in zip(lines[6:9], numbers["per_class"], strict=True):
        assert line.split() == [row["label"], *(f"{row[k]:.4f}" for k in ("precision", "recall",
                                "f1")), str(row["support"])]  # fmt: skip
    assert lines[9].split()[0] == "mean" and lines[9].split()[-1] == "60"
    assert lines[11] == "true \\ predicted  standing  lying  slanting"
    for line, row in zip(lines[12:15], numbers["confusion"], strict=True):
        assert [int(word) for word in line.split()[1:]] == row
    assert lines[16].startswith("most confused: ")
    assert result.stderr == ""


def test_rows_of_classes(here):
    expected = report("data")["per_class"]
    lines = done("evaluate", "m.safetensors", "data", "--as", "jsonl").lines
    assert [json.loads(line) for line in lines] == expected
    table = list(csv.DictReader(done("evaluate", "m.safetensors", "data", "--csv").lines))
    assert [float(row["f1"]) for row in table] == [row["f1"] for row in expected]


# --- data


def test_parts(here):
    assert report("data", "--part", "train")["per_class"][0]["support"] + sum(
        row["support"] for row in report("data", "--part", "train")["per_class"][1:]
    ) == 12  # fmt: skip
    assert report("data", "--part", "test") == report("data")
    message = refused(1, "evaluate", "m.safetensors", "data", "--part", "validation")
    assert "'data' has no validation part; it has train, test" in message
    message = refused(2, "evaluate", "m.safetensors", "data", "--part", "tset")
    assert "'tset' is not one of 'test', 'validation', 'train'" in message


def test_without_a_test_part(here):
    result = done("evaluate", "m.safetensors", "data/train")
    assert result.lines[0] == "12 train pictures of 'train'"
    note = "cnntool: there is no test part: these are 12 train pictures of 'train'"
    assert result.errors == [note]
    assert done("evaluate", "m.safetensors", "data/train", "--part", "train").stderr == ""
    assert done("evaluate", "m.safetensors", "data/train", "-q").stderr == ""


def test_limit_takes_some_of_every_class(here):
    found = report("data", "--limit", 20)
    assert sum(row["support"] for row in found["per_class"]) == 20
    assert all(row["support"] > 3 for row in found["per_class"])
    assert report("data", "--limit", 1000) == report("data")


def test_classes_in_another_order(here):
    """A folder's classes stand in the order of their names, the model's in its own."""
    tensors = dict(trained().tensors)
    order = [2, 0, 1]
    for name in [name for name in tensors if "dense" in name]:
        tensors[name] = tensors[name][order]
    save_model("o.safetensors", changed(
        tensors=tensors, classes=tuple(CLASSES[k] for k in order)))  # fmt: skip
    found = json.loads(done("evaluate", "o.safetensors", "data", "--json").stdout)
    expected = report("data")
    assert found["accuracy"] == expected["accuracy"]
    assert found["loss"] == pytest.approx(expected["loss"])
    assert [row["label"] for row in found["per_class"]] == [CLASSES[k] for k in order]
    assert np.array_equal(found["confusion"], np.array(expected["confusion"])[np.ix_(order, order)])


def test_other_classes(here):
    write_dataset(here / "other", 12, seed=1, names=("standing", "lying", "curved"))
    message = refused(2, "evaluate", "m.safetensors", "other")
    assert message == (
        "cnntool: the classes of model (3) and data set (3) differ: only the model has 'slanting'; "
        "only the data set has 'curved'"
    )
    save_model("n.safetensors", changed(classes=()))
    # natural order of the folders: curved, lying, standing
    assert done("evaluate", "n.safetensors", "other").status == 0


def test_pictures_of_another_size_and_colour(here):
    """The model's preprocessing brings them to its own."""
    for path in (here / "data" / "test").rglob("*.png"):
        image = Image.open(path).convert("RGB")
        image.resize((3 * SIZE[1], 3 * SIZE[0]), Image.Resampling.NEAREST).save(path)
    assert report("data")["accuracy"] > 0.85


def test_padded_pictures_are_those_of_predict(here):
    """What surrounds them comes from the model, not from the data."""
    how = dataclasses.replace(trained().preprocessing, fit="pad", background=0.0)
    save_model("m.safetensors", changed(preprocessing=how), force=True)
    for path in (here / "data").rglob("*.png"):
        image = Image.open(path)
        wide = Image.new("L", (image.width, image.height // 2), 255)
        wide.paste(image.crop((0, 0, image.width, image.height // 2)).point(lambda v: 255 - v))
        wide.save(path)
    found = report("data", "--part", "test")
    rows = json.loads(done("predict", "m.safetensors", "data/test", "-r", "--json", "-q").stdout)
    labels = [os.path.basename(os.path.dirname(row["path"])) for row in rows]
    expected = slow_report(labels, [row["label"] for row in rows], CLASSES)
    assert found["confusion"] == expected["confusion"]


def test_npz(here):
    images, labels = bars(40, seed=6)
    np.savez("d.npz", x_train=images[:20, 0], y_train=labels[:20], x_test=images[:, 0],
             y_test=labels)  # fmt: skip
    save_model("n.safetensors", changed(classes=()))
    found = json.loads(done("evaluate", "n.safetensors", "d.npz", "--json").stdout)
    assert found["accuracy"] > 0.9
    assert sum(map(sum, found["confusion"])) == 40


def test_masks_are_for_other_models(here):
    for name, level in (("images", 200), ("masks", 1)):
        (here / "pixels" / name).mkdir(parents=True)
        for n in range(4):
            picture = np.full(SIZE, level * (n % 2) if name == "masks" else level, np.uint8)
            Image.fromarray(picture).save(here / "pixels" / name / f"{n}.png")
    message = refused(2, "evaluate", "m.safetensors", "pixels")
    assert "'pixels': every pixel has a class there, and the model tells one class of" in message


def test_data_that_are_none(here):
    assert "no such file or folder" in refused(1, "evaluate", "m.safetensors", "nowhere/at.all")
    assert "unknown data set" in refused(2, "evaluate", "m.safetensors", "nowhere")
    os.mkdir("empty")
    assert "'empty'" in refused(4, "evaluate", "m.safetensors", "empty")


# --- files


def test_confusion_as_csv(here):
    done("evaluate", "m.safetensors", "data", "--confusion", "c.csv")
    table = list(csv.reader((here / "c.csv").read_text().splitlines()))
    assert table[0] == ["true \\ predicted", *CLASSES]
    assert [row[0] for row in table[1:]] == list(CLASSES)
    assert [[int(n) for n in row[1:]] for row in table[1:]] == report("data")["confusion"]


def test_confusion_as_picture(here):
    done("evaluate", "m.safetensors", "data", "--confusion", "c.PNG", "--json")
    with Image.open("c.PNG") as picture:
        assert picture.format == "PNG" and picture.width > 200


def test_a_reader_that_leaves_early_costs_no_file(here):
    command = [sys.executable, "-m", "cnntool", "evaluate", "m.safetensors", "data"]
    command += ["--confusion", "c.png", "--top-losses", "3", "worst.png"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        words = process.stderr.read()
        assert process.wait(60) == -signal.SIGPIPE
    assert words == b""
    for name in ("c.png", "worst.png"):
        with Image.open(name) as picture:
            picture.load()


def test_sheet_of_the_worst(here):
    done("evaluate", "m.safetensors", "data", "--top-losses", 5, "grid.png")
    with Image.open("grid.png") as five:
        done("evaluate", "m.safetensors", "data", "--top-losses", 1, "grid.png", "-f")
        with Image.open("grid.png") as one:
            assert five.width * five.height > 3 * one.width * one.height
    done("evaluate", "m.safetensors", "data", "--top-losses", 1000, "grid.jpg")
    with Image.open("grid.jpg") as picture:
        assert picture.format == "JPEG"


def test_files_are_not_replaced(here):
    for option in (("--confusion", "c.csv"), ("--top-losses", 2, "c.png")):
        name = option[-1]
        (here / name).write_text("mine")
        message = refused(2, "evaluate", "m.safetensors", "data", *option)
        assert f"'{name}' exists; -f (--force) overwrites it" in message
        assert (here / name).read_text() == "mine"
        done("evaluate", "m.safetensors", "data", *option, "-f")
        assert (here / name).read_bytes() != b"mine"
    message = refused(2, "evaluate", "m.safetensors", "data", "--confusion", "m.safetensors", "-f")
    assert "--confusion: 'm.safetensors' has none of the suffixes .png, .csv" in message
    message = refused(
        2, "evaluate", "m.safetensors", "data", "--confusion", "x.png", "--top-losses", 3, "x.png"
    )
    assert "'x.png' would be a result and the file of --confusion at once" in message
    message = refused(2, "evaluate", "m.safetensors", "data", "--top-losses", 3, "x.pdf")
    assert "--top-losses: 'x.pdf' has none of the suffixes .png" in message
    assert "nowhere" in refused(
        3, "evaluate", "m.safetensors", "data", "--confusion", "nowhere/c.csv"
    )


# --- gates


def test_gates(here):
    args = ("evaluate", "m.safetensors", "data", "--json")
    passed = done(*args, "--fail-under", "accuracy=0.5", "--fail-under", "top-2=0.5")
    missed = invoke(*args, "--fail-under", "accuracy=0.99", "--fail-under", "f1=0.999",
                    "--fail-under", "recall=0.1")  # fmt: skip
    assert missed.status == 1
    assert missed.stdout == passed.stdout, "the numbers are told all the same"
    numbers = json.loads(missed.stdout)
    f1 = np.mean([row["f1"] for row in numbers["per_class"]])
    assert missed.errors == [
        f"cnntool: accuracy {numbers['accuracy']:.4f} is under 0.99; f1 {f1:.4f} is under 0.999"
    ]


def test_gate_that_is_just_met(here):
    accuracy = report("data")["accuracy"]
    assert done("evaluate", "m.safetensors", "data", "--fail-under", f"accuracy={accuracy!r}")


@pytest.mark.parametrize(("gate", "words"), [
    ("acuracy=0.9", "unknown measure 'acuracy'; did you mean 'accuracy'?"),
    ("loss=0.9", "unknown measure 'loss'"),
    ("accuracy", "'accuracy' is no gate; write NAME=SHARE, 0 to 1, such as accuracy=0.97"),
    ("accuracy=97", "'accuracy=97' is no gate"),
    ("accuracy=nan", "'accuracy=nan' is no gate"),
    ("top-5=high", "such as top-5=0.97"),
])  # fmt: skip
def test_gates_that_make_no_sense(here, gate, words):
    assert words in refused(2, "evaluate", "m.safetensors", "data", "--fail-under", gate)


# --- models and devices


def test_models_that_are_none(here):
    assert "is a built-in network without weights" in refused(2, "evaluate", "lenet5", "data")
    (here / "x.pt").write_bytes(b"\x80\x04]\x94" + bytes(20))
    assert "cnntool never unpickles" in refused(4, "evaluate", "x.pt", "data")


def test_on_a_gpu(here, double_as_gpu):
    found = report("data", "--device", "gpu")
    assert found["confusion"] == report("data", "--device", "cpu")["confusion"]


def test_many_classes_are_not_printed_as_a_matrix(here, monkeypatch):
    monkeypatch.setattr("cnntool.jobs.evaluate.MOST_CLASSES", 2)
    lines = done("evaluate", "m.safetensors", "data").lines
    assert "3 classes: --confusion FILE.csv writes their matrix" in lines
    assert not any("true \\ predicted" in line for line in lines)


def test_config_file(here):
    (here / "c.toml").write_text('[evaluate]\nfail-under = ["accuracy=1.0"]\npart = "test"\n')
    result = invoke("evaluate", "m.safetensors", "data", "--config", "c.toml")
    assert result.status == 1 and "is under 1" in result.stderr
