"""``train --model RUN``: a trained model goes on on other pictures."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from cli_runner import done, refused
from PIL import Image
from small_generators import plain
from small_generators import saved as saved_generator
from trained_models import SPEC, bars, trained
from training_runs import (
    bytes_of,
    metrics,
    report,
    train,
    without_matplotlib,
    write_folders,
    write_npz,
)

from cnntool.data.loading import load
from cnntool.nn.modelfile import load_model, save_model
from cnntool.predict.model import TrainedModel

FAST = ("--epochs", 1, "--threads", 1)


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    without_matplotlib(monkeypatch)
    save_model("m.safetensors", trained())


def tensors(path):
    return load_model(str(path)).tensors


def two_classes():
    """Standing and lying bars, as folders."""
    x, y = bars(60, seed=3)
    write_folders(Path("few"), 60, seed=3)
    for path in Path("few/slanting").iterdir():
        path.unlink()
    Path("few/slanting").rmdir()
    return x, y


def test_a_new_head_for_other_classes():
    two_classes()
    result = done("train", "few", "--model", "m.safetensors", "--new-head", "--freeze", "all",
                  *FAST, "--epochs", 12, "--lr", 0.05, "-o", "r")  # fmt: skip
    assert "begins    weights of 'm.safetensors'; a new last layer; " in result.stderr
    model = TrainedModel.load("r")
    assert model.classes == ("lying", "standing")
    before, after = tensors("m.safetensors"), tensors("r/model.safetensors")
    head = list(after)[-1].rpartition(".")[0]
    for name, value in after.items():
        if name.startswith(head):
            assert value.shape[0] == 2
        else:
            np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert float(metrics("r")[-1]["train_accuracy"]) > 0.8
    options = report("r")["options"]
    assert options["start"] == "m.safetensors"
    assert options["new_head"] is True
    assert len(options["freeze"]) >= 1


def test_preprocessing_is_that_of_the_model():
    two_classes()
    done("train", "few", "--model", "m.safetensors", "--new-head", *FAST, "-o", "r")
    assert TrainedModel.load("r").saved.preprocessing == trained().preprocessing
    assert load_model("r/model.safetensors").input == trained().input


def test_the_same_classes_go_on():
    """Weights begin where they were: one small step changes little."""
    source = write_npz(classes=np.array(trained().classes))
    result = done("train", source, "--model", "m.safetensors", *FAST, "--lr", 1e-6, "-o", "r")
    assert "begins    weights of 'm.safetensors'\n" in result.stderr
    before, after = tensors("m.safetensors"), tensors("r/model.safetensors")
    assert before.keys() == after.keys()
    for name, value in after.items():
        np.testing.assert_allclose(value, before[name], atol=1e-3)
    assert float(metrics("r")[0]["train_accuracy"]) > 0.9


def test_a_run_goes_on_as_another_one():
    train(write_npz(), "first")
    done("train", "bars.npz", "--model", "first", *FAST, "-o", "second")
    assert report("second")["options"]["start"] == "first"


def test_stopped_and_resumed_is_uninterrupted():
    """Without the model that it began with."""
    two_classes()
    options = ("--model", "m.safetensors", "--new-head", "--freeze", "0", "--epochs", 3,
               "--threads", 1, "--augment", "hflip")  # fmt: skip
    done("train", "few", *options, "-o", "whole")
    done("train", "few", *options, "-o", "part", "--stop-after", 1)
    Path("m.safetensors").unlink()
    done("train", "--resume", "part", "--threads", 1)
    assert bytes_of("part") == bytes_of("whole")


def test_dry_run():
    two_classes()
    result = done("train", "few", "--model", "m.safetensors", "--new-head", "--dry-run")
    assert "start = m.safetensors" in result.lines
    assert "new_head = True" in result.lines
    assert not os.path.exists("runs")


def test_pixels():
    done("datasets", "make", "shapes", "shapes", "--count", 12, "--size", "16x16")
    spec = "conv 4 3 pad=1 | relu | conv 4 1"
    done("train", "shapes", "--model", spec, *FAST, "-o", "first")
    done("datasets", "make", "digit-scenes", "scenes", "--count", 12, "--size", "16x16")
    done("train", "scenes", "--model", "first", "--new-head", *FAST, "-o", "second")
    assert tensors("second/model.safetensors")["2.conv.weight"].shape == (11, 4, 1, 1)
    line = refused(2, "train", write_npz(), "--model", "first", "--new-head")
    assert "'first' tells classes of pixels; 'bars' has them of pictures" in line
    line = refused(2, "train", "shapes", "--model", "m.safetensors", "--new-head")
    assert "'m.safetensors' tells classes of pictures; 'shapes' has them of pixels" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "'m.safetensors' tells classes 3 ("),
        ((), "'few' has 2 ('lying', 'standing'); --new-head gives the network a new last layer"),
        (("--new-head", "--freeze", "7.conv"), "unknown layer with weights '7.conv'"),
        (("--new-head", "--freeze", "all", "--freeze", "HEAD"), "--freeze leaves no layer to lea"),
        (("--new-head", "--size", "9x9"), "--size is decided by the model that training begins"),
        (("--new-head", "--init", "he"), "--init is decided by the model that training begins"),
    ],
)
def test_requests_that_make_no_sense(options, message):
    two_classes()
    head = list(trained().tensors)[-1].rpartition(".")[0]
    options = [head if option == "HEAD" else option for option in options]
    assert message in refused(2, "train", "few", "--model", "m.safetensors", *options)


def test_only_for_trained_models():
    source = write_npz()
    line = refused(2, "train", source, "--model", SPEC, "--freeze", "0")
    assert "--freeze keeps layers of a trained model; name one: --model RUN/ or FILE" in line
    line = refused(2, "train", source, "--new-head")
    assert "--new-head replaces layers of a trained model" in line
    line = refused(2, "train", source, "--model", "hog-logreg", "--freeze", "0")
    assert "--freeze" in line
    line = refused(2, "train", source, "--model", "dcgan", "--freeze", "0", "--size", "8x8")
    assert "--freeze means nothing to the training of a generator" in line


def test_models_of_other_kinds():
    source = write_npz()
    path = saved_generator(Path(), plain(), "g.safetensors")
    line = refused(2, "train", source, "--model", path)
    assert "a model that makes pictures; a classifier or one that segments is needed" in line
    done("train", source, "--model", "hog-logreg", "-o", "hog")
    line = refused(2, "train", source, "--model", "hog", "--new-head")
    assert "it takes features, no pictures, so no network can be trained further" in line
    Path("empty").mkdir()
    assert "no model.safetensors in this folder" in refused(4, "train", source, "--model", "empty")
    assert "none.safetensors" in refused(1, "train", source, "--model", "none.safetensors")


def test_networks_without_a_last_layer():
    train(write_npz(), "r", spec="conv 3 3 | relu | globalavgpool | flatten")
    two_classes()
    line = refused(2, "train", "few", "--model", "r", "--new-head")
    assert "its network does not end in dense or conv, so it has no last layer to replace" in line


def test_layers_complete():
    found = json.loads(done("shape", "m.safetensors", "--json").text)
    assert any(layer["params"] for layer in found["layers"])


def test_the_model_is_not_cleared_away():
    write_npz()
    train("bars.npz", "r")
    for output in ("r", "./r/"):
        line = refused(2, "train", "bars.npz", "--model", "r", *FAST, "-o", output, "-f")
        assert "holds 'r', which the training begins with; choose another folder with -o" in line
    assert "holds 'r/model.safetensors'" in refused(
        2, "train", "bars.npz", "--model", "r/model.safetensors", *FAST, "-o", "r", "-f"
    )
    assert Path("r/model.safetensors").exists()
    done("train", "bars.npz", "--model", "m.safetensors", "--new-head", *FAST, "-o", ".", "-f")
    assert Path("m.safetensors").exists()
    result = done("train", "bars.npz", "--model", "r", *FAST, "-q")
    assert result.lines[0] == os.path.join("runs", "bars-custom-tuned", "model.safetensors")


def test_names_of_networks_before_folders():
    """And what can only be a path is no specification."""
    Path("lenet5").mkdir()
    assert "model = lenet5" in done("train", "mnist", "--model", "lenet5", "--dry-run").lines
    assert "'runs/none': no such file" in refused(1, "train", "mnist", "--model", "runs/none")
    Path("m.bin").write_bytes(Path("m.safetensors").read_bytes())
    write_npz(classes=np.array(trained().classes))
    done("train", "bars.npz", "--model", "m.bin", *FAST, "-o", "b")


def test_frames_are_those_of_the_model(rng):
    """Dark ones on light pictures too: what training sees is what prediction sees."""

    def write(folder, ink, paper):
        for label, turned in (("a", False), ("b", True)):
            Path(folder, label).mkdir(parents=True)
            for n in range(10):
                pixels = np.full((20, 12), paper, np.uint8)
                (pixels.T if turned else pixels)[4:7] = ink
                Image.fromarray(pixels).save(f"{folder}/{label}/{n}.png")

    write("dark", 255, 0)
    write("light", 0, 255)
    options = ("--model", "conv 4 3 | relu | flatten | dense 2", *FAST, "-q")
    done("train", "dark", "--size", "20x20", "--fit", "pad", *options, "-o", "r")
    assert TrainedModel.load("r").saved.preprocessing.background == 0
    done("train", "light", "--model", "r", *FAST, "--epochs", 2, "--stop-after", 1, "-o", "s")
    seen = load("light", size=(20, 20), fit="pad", background=0.0)
    assert report("s")["data"]["fingerprint"] == seen.fingerprint
    done("train", "--resume", "s", "--threads", 1)  # the same data again
