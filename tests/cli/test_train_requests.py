"""What ``train`` looks at before it begins: its folder, and whether all fits."""

import os

import numpy as np
import pytest
from cli_runner import done, refused
from trained_models import CLASSES
from training_runs import (
    SPEC,
    assert_same_runs,
    bytes_of,
    report,
    train,
    weights,
    without_matplotlib,
    write_folders,
    write_npz,
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
         "the network ends in 3×10×8, 'bars' has 3 classes; let it end in dense 3"),
        (["bars.npz", "--model", "lenet5"], "layer 5.maxpool 'maxpool 2'"),
        (["bars.npz", "--model", "@none.txt"], "'none.txt': the specification cannot be read"),
    ],
)  # fmt: skip
def test_what_does_not_fit(here, arguments, message):
    status = 1 if arguments[:1] == ["no/such"] else 2
    assert message in refused(status, "train", *arguments)
    assert os.listdir() == ["bars.npz"]


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


def test_hog_logreg_misspelt(here):
    line = refused(2, "train", "bars.npz", "--model", "hog-logrge")
    assert "unknown model 'hog-logrge'; did you mean 'hog-logreg'? See 'cnntool models'" in line


def test_completion(here):
    found = done(env={"_CNNTOOL_COMPLETE": "bash_complete", "COMP_CWORD": "4",
                      "COMP_WORDS": "cnntool train mnist --model ho"})  # fmt: skip
    assert "plain,hog-logreg" in found.text
