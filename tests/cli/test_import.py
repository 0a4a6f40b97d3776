"""``cnntool import``: networks and weights of other programs as models; nothing of them is run."""

import json
import os
import pathlib
import pickle
import re
import zipfile

import numpy as np
import pytest
from cli_runner import done, invoke, process, refused
from onnx_files import bare, graph_file, node
from safetensors.numpy import load_file, save_file
from torch_files import archive, called, legacy, weights
from trained_models import CLASSES, trained, write_pictures
from watched import Trap, watched

from cnntool.nn.modelfile import load_model, save_model
from cnntool.nn.network import Network
from cnntool.nn.spec import parse

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
NET = "conv 4 3x2 2x1 pad=1 bias=no | batchnorm | relu | maxpool 2 | flatten | dense 6"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, the current one, with a model in m.safetensors."""
    monkeypatch.chdir(tmp_path)
    save_model("m.safetensors", trained())
    return tmp_path


def labels(model, paths):
    return [line.split("\t")[1:] for line in done("predict", model, *paths).lines[1:]]


# --- there and back


@pytest.mark.parametrize("kind", ["onnx", "safetensors"])
def test_there_and_back(here, kind):
    """The same labels and scores, with nothing said besides."""
    done("export", "m.safetensors", f"out.{kind}")
    result = done("import", f"out.{kind}", "-o", "back.safetensors")
    assert result.lines == ["back.safetensors"]
    assert result.errors[0].startswith(
        "cnntool: 'back.safetensors': bars, 5 layers, 603 parameters, 1×12×10 in, 3 classes; "
    )
    assert len(result.errors) == 1
    back, first = load_model("back.safetensors"), trained()
    assert (back.spec, back.classes, back.preprocessing) == (
        first.spec, first.classes, first.preprocessing,
    )  # fmt: skip
    paths, _ = write_pictures(here / "in", 12)
    assert labels("back.safetensors", paths) == labels("m.safetensors", paths)


def test_operators_alone(here):
    done("export", "m.safetensors", "out.onnx")
    (here / "out.onnx").write_bytes(bare((here / "out.onnx").read_bytes()))
    result = done("import", "out.onnx", "-o", "back.safetensors")
    assert [line.partition(";")[0] for line in result.errors[1:]] == [
        "cnntool: preprocessing is not in the file: samples 0..255 times 0.00392157, nothing "
        "subtracted, stretched to size",
        "cnntool: classes have no names, only numbers",
    ]
    (here / "names.txt").write_text("\n".join(CLASSES))
    how = trained().preprocessing
    told = ["--mean", how.mean[0], "--std", how.std[0], "--class-names", "names.txt"]
    result = done("import", "out.onnx", "-o", "back.safetensors", "-f", *told)
    assert len(result.errors) == 1
    paths, _ = write_pictures(here / "in", 12)
    assert labels("back.safetensors", paths) == labels("m.safetensors", paths)


def test_a_checkpoint_of_torch(here):
    (here / "net.txt").write_text(NET)
    for spec in (NET, "@net.txt"):
        result = done(
            "import", GOLDEN / "torch_net.pth", "--spec", spec, "--input", "3x9x10", "-o",
            "net.safetensors", "-f", "-q",
        )  # fmt: skip
        assert result.lines == ["net.safetensors"] and result.stderr == ""
    saved = load_model("net.safetensors")
    network = Network(parse(saved.spec), saved.input)
    network.load(saved.tensors)
    expected = load_file(GOLDEN / "torch_net.safetensors")
    found = network.predict(np.ascontiguousarray(np.moveaxis(expected["pictures"], 0, -1)))
    np.testing.assert_allclose(found.T, expected["logits"], rtol=1e-5, atol=1e-5)
    assert saved.history["arrays"] == "order of the layers"


def test_the_specification_is_shown(here):
    done("export", "m.safetensors", "w.safetensors")
    result = done("import", "w.safetensors", "-o", "b.safetensors", "-v")
    assert result.errors[1:] == trained().spec.splitlines()


# --- class names


@pytest.mark.parametrize("text", [
    "a\nb c\nç\n", "\ufeffa\r\nb c\r\nç", json.dumps(["a", "b c", "ç"]),
    json.dumps({"0": "a", "2": "ç", "1": "b c"}),
    json.dumps({"0": ["n1", "a"], "1": ["n2", "b c"], "2": ["n3", "ç"]}),
])  # fmt: skip
def test_class_names(here, text):
    done("export", "m.safetensors", "w.safetensors")
    (here / "names").write_bytes(text.encode())
    done("import", "w.safetensors", "--class-names", "names", "-o", "b.safetensors")
    assert load_model("b.safetensors").classes == ("a", "b c", "ç")


@pytest.mark.parametrize(("text", "words"), [
    ("a\nb\n", "there are 2 class names ('a' to 'b'), and the network has 3 outputs; each needs a"),
    ("a\nb\na\n", "--class-names: 'names': two classes are called 'a'"),
    ("\n \n", "--class-names: 'names' holds no names; write one a line"),
    ("[1, 2]", "--class-names: 'names' must be a list of names, or names by number from 0"),
    ('{"1": "a"}', "--class-names: 'names' must be a list of names, or names by number from 0"),
    ('["a"', "--class-names: 'names' is no JSON, though it begins so"),
    (b"\xff\xfe", "--class-names: 'names' is no text in UTF-8"),
])  # fmt: skip
def test_class_names_that_are_none(here, text, words):
    done("export", "m.safetensors", "w.safetensors")
    (here / "names").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert words in refused(
        2, "import", "w.safetensors", "--class-names", "names", "-o", "b.safetensors"
    )
    assert not os.path.exists("b.safetensors")


def test_class_names_that_are_not_there(here):
    done("export", "m.safetensors", "w.safetensors")
    arguments = ["import", "w.safetensors", "-o", "b.safetensors", "--class-names"]
    assert "'gone.txt': no such file" in refused(1, *arguments, "gone.txt")


# --- refusals


@pytest.fixture
def files(here):
    """Files that are none to import, by name."""
    save_file({"0.w": np.ones(3, np.float32)}, "w.safetensors")
    (here / "w.pth").write_bytes(weights({"0.w": np.ones(3, np.float32)}))
    (here / "text.pth").write_text("conv 8 3")
    (here / "plain.pkl").write_bytes(pickle.dumps({"a": 1}))
    (here / "net.pth").write_bytes(graph_file([node("Relu", "x", "y")]))
    (here / "net.onnx").write_bytes(graph_file([node("Mul", "x x", "y")]))
    (here / "damaged.onnx").write_bytes(b"\x08\x08\x12")
    (here / "evil.pth").write_bytes(archive({"a": called("os", "system", "touch trapped")}))
    (here / "whole.pt").write_bytes(archive(called("torch.nn.modules.container", "Sequential")))
    with zipfile.ZipFile("a.zip", "w") as members:
        members.writestr("a.txt", "")
    return here


@pytest.mark.parametrize(("arguments", "status", "words"), [
    (["gone.pth"], 1, "'gone.pth': no such file"),
    (["."], 1, "'.': a folder, not a file"),
    (["text.pth"], 4, "'text.pth': a text file; imported are .onnx, .safetensors and .pth"),
    (["plain.pkl"], 4, "'plain.pkl': a pickle of Python objects, which can run code when it is lo"),
    (["net.pth"], 4, "'net.pth': an ONNX file; call it .onnx"),
    (["a.zip"], 4, "'a.zip': a ZIP archive without data.pkl, so not from torch.save"),
    (["w.pth"], 2, "'w.pth' holds weights and no network; say which: --spec resnet18, or --spec @"),
    (["w.safetensors", "--spec", "resnt18"], 2, "unknown model 'resnt18'; did you mean 'resnet18'"),
    (["w.safetensors", "--spec", "dense 3 |"], 2, "a layer is missing after '|'"),
    (["w.safetensors", "--spec", "dense 3"], 2, "does not say the shape of its input; give it"),
    (["w.safetensors", "--spec", "flatten | dense 2", "--input", "3x4x5"], 4,
     "'w.safetensors': '0' has w; layer 1.dense, whose turn it is, needs bias, weight"),
    (["w.safetensors", "--spec", "vgg11"], 4, "'w.safetensors': the weights do not fit vgg11: all"),
    (["m.safetensors"], 2, "'m.safetensors' is a model already; give it to the other commands as"),
    (["net.onnx", "--spec", "vgg11"], 2, "an .onnx file says its layers itself; leave --spec out"),
    (["net.onnx"], 4, "node 'Mul_y' (Mul): multiplies two values (as squeeze-and-excitation and g"),
    (["damaged.onnx"], 4, "'damaged.onnx': no ONNX file, or damaged: truncated: a number"),
    (["evil.pth", "--spec", "vgg11"], 4,
     "'evil.pth': its pickle names 'os.system' at byte 13, which is no part of a"),
    (["whole.pt", "--spec", "vgg11"], 4, "a whole network, which needs its code; save its"),
    (["w.pth", "--mean", "a"], 2, "'a' are no numbers; write one, or one for each channel"),
    (["w.pth", "--scale", "0"], 2, "Invalid value for '--scale'"),
])  # fmt: skip
def test_refusals(files, arguments, status, words):
    assert words in refused(status, "import", *arguments, "-o", "out.safetensors")
    assert not os.path.exists("out.safetensors") and not os.path.exists("trapped")


def test_existing_files_are_kept(files):
    done("export", "m.safetensors", "a.onnx")
    words = refused(2, "import", "a.onnx", "-o", "m.safetensors")
    assert words == "cnntool: 'm.safetensors' exists; -f (--force) overwrites it"
    done("export", "m.safetensors", "v.safetensors")
    words = refused(2, "import", "v.safetensors", "-o", "./v.safetensors", "-f")
    assert words == "cnntool: './v.safetensors' is the file to import; name another one"
    words = refused(3, "import", "a.onnx", "-o", "gone/m.safetensors")
    assert words.startswith("cnntool: 'gone/m.safetensors': cannot be written: No such file")
    assert invoke("import", "a.onnx").status == 2, "-o is needed"


def test_other_commands_say_how_to_import(files):
    picture, _ = write_pictures(files / "in", 1)
    for name in ("w.pth", "net.pth"):
        words = refused(4, "predict", name, picture[0])
        assert "'cnntool import' makes a model of it and runs nothing in it" in words
    words = refused(4, "predict", "w.safetensors", picture[0])
    assert "files of other programs must be imported" in words
    done("export", "m.safetensors", "v.safetensors")
    words = refused(4, "predict", "v.safetensors", picture[0])
    assert "no model file" in words and "'cnntool import'" in words


# --- nothing runs


def test_hostile_files_run_nothing(here):
    """Pickles of every protocol and form, and files of ONNX that ask for other files."""
    names = []
    for protocol in range(6):
        for number, data in enumerate([
            pickle.dumps(Trap(), protocol),
            pickle.dumps({"state_dict": {"a": Trap()}}, protocol),
        ]):  # fmt: skip
            for form, made in (("zip", archive(data)), ("old", legacy(data)), ("raw", data)):
                names.append(f"{protocol}-{number}-{form}.pth")
                (here / names[-1]).write_bytes(made)
    for code in (
        b"cbuiltins\nopen\n(Vtrapped\nVw\ntR.",
        b"(cbuiltins\nopen\nVtrapped\nVw\no.",
        b"\x80\x04\x8c\x08builtins\x8c\x04open\x93\x8c\x07trapped\x8c\x01w\x86R.",
    ):
        for form in (archive, legacy):
            names.append(f"{len(names)}.pth")
            (here / names[-1]).write_bytes(form(code))
    commands = [["import", name, "--spec", "vgg11", "-o", "out.safetensors"] for name in names]
    statuses, events, errors = watched(commands)
    assert events == []
    assert set(statuses) == {4} and len(errors.splitlines()) == len(commands)
    assert not os.path.exists("trapped") and not os.path.exists("out.safetensors")


def test_the_program_itself(here):
    done("export", "m.safetensors", "a.onnx")
    result = process("import", "a.onnx", "-o", "b.safetensors", cwd=here)
    assert result.status == 0 and result.lines == ["b.safetensors"], result.stderr
    assert len(result.errors) == 1, "nothing from the packages that compute"
    assert re.search(r"checked by .*onnx\S* \S+ on 3 random inputs: largest", result.errors[0])
