"""``cnntool export``: files for other programs, checked before they are written."""

import os
import re
import sys

import numpy as np
import onnx
import pytest
from cli_runner import done, invoke, process, refused
from safetensors.numpy import load_file
from small_generators import in_stages, of_class
from trained_models import SIZE, bars, trained

from cnntool.exchange import onnx_run
from cnntool.jobs import exporting
from cnntool.nn.modelfile import Preprocessing, SavedModel, save_model
from cnntool.nn.network import Network
from cnntool.nn.saved_model import HogFeatures
from cnntool.nn.spec import parse


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, the current one, with a model in m.safetensors."""
    monkeypatch.chdir(tmp_path)
    save_model("m.safetensors", trained())
    return tmp_path


def logits(pictures):
    """What the model makes of samples (N, 1, H, W)."""
    network = Network(parse(trained().spec), (1, *SIZE))
    network.load(trained().tensors)
    how = trained().preprocessing
    x = (pictures.transpose(1, 2, 3, 0) / 255 - how.mean[0]) / how.std[0]
    return network.predict(x.astype(np.float32)).T


def test_onnx(here):
    result = done("export", "m.safetensors", "bars.onnx")
    assert result.lines == ["bars.onnx"]
    assert re.fullmatch(
        r"cnntool: 'bars.onnx': \d+ parameters, opset 17; .*onnx.* on 3 random inputs: largest "
        r"difference \S+ of outputs up to \S+",
        result.errors[0],
    )
    assert sorted(os.listdir()) == ["bars.onnx", "m.safetensors"]
    pictures, _ = bars(5)
    how = trained().preprocessing
    x = ((pictures / 255 - how.mean[0]) / how.std[0]).astype(np.float32)
    found = onnx_run.Runner((here / "bars.onnx").read_bytes())(x)
    np.testing.assert_allclose(found, logits(pictures), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("options", "dtype"), [
    ((), np.uint8), (("--samples", "uint8"), np.uint8), (("--samples", "float"), np.float32),
])  # fmt: skip
def test_preprocessing_inside(here, options, dtype):
    done("export", "m.safetensors", "bars.onnx", "--with-preprocess", *options)
    pictures, _ = bars(5)
    found = onnx_run.Runner((here / "bars.onnx").read_bytes())(pictures.astype(dtype))
    np.testing.assert_allclose(found, logits(pictures), rtol=1e-4, atol=1e-4)


def test_mnist_is_judged_by_its_pictures(here):
    spec = "flatten | dense 10"
    network = Network(parse(spec), (1, 28, 28))
    network.initialise(seed=1)
    how = Preprocessing(color="gray", mean=(0.1307,), std=(0.3081,))
    saved = SavedModel(spec=spec, input=(1, 28, 28), tensors=network.state(), preprocessing=how)
    save_model("digits.safetensors", saved)
    assert (
        "on 3 random inputs and 16 pictures of MNIST"
        in done("export", "digits.safetensors", "digits.onnx").stderr
    )


def test_safetensors(here):
    result = done("export", "m.safetensors", "w.safetensors")
    assert result.lines == ["w.safetensors"]
    assert result.errors == [
        "cnntool: 'w.safetensors': 603 parameters in 4 arrays, the specification's names; read "
        "back bit for bit"
    ]
    found = load_file("w.safetensors")
    for name, array in trained().tensors.items():
        assert np.array_equal(found[name], array)


def test_a_run_folder_and_quiet(here):
    os.mkdir("run")
    os.rename("m.safetensors", "run/model.safetensors")
    result = done("export", "run", "a.onnx", "-q")
    assert result.lines == ["a.onnx"] and result.stderr == ""
    done("export", "run/", "b.safetensors")


def test_existing_files_are_kept(here):
    (here / "a.onnx").write_text("mine")
    words = refused(2, "export", "m.safetensors", "a.onnx")
    assert words == "cnntool: 'a.onnx' exists; -f (--force) overwrites it"
    assert (here / "a.onnx").read_text() == "mine"
    done("export", "m.safetensors", "a.onnx", "-f")
    onnx.checker.check_model("a.onnx")


def test_the_model_itself(here):
    before = (here / "m.safetensors").read_bytes()
    words = refused(2, "export", "m.safetensors", "./m.safetensors", "-f")
    assert words == "cnntool: './m.safetensors' is the model itself; name another file"
    assert (here / "m.safetensors").read_bytes() == before


@pytest.mark.parametrize(("arguments", "status", "words"), [
    (["m.safetensors", "a.h5"], 2, "'a.h5' has the suffix '.h5'; possible are .onnx and .safeten"),
    (["m.safetensors", "a"], 2, "'a' has no suffix; possible are .onnx and .safetensors"),
    (["m.safetensors", "-"], 2, "'-' has no suffix"),
    (["gone.safetensors", "a.onnx"], 1, "'gone.safetensors': no such file"),
    (["lenet5", "a.onnx"], 2, "'lenet5' is a built-in network without weights"),
    (["m.safetensors", "no/a.onnx"], 3, "'no/a.onnx': cannot be written: No such file"),
    (["m.safetensors", "a.safetensors", "--with-preprocess"], 2, "--with-preprocess is for .onnx"),
    (["m.safetensors", "a.onnx", "--names", "torch"], 2, "--names is for .safetensors"),
    (["m.safetensors", "a.safetensors", "--names", "torch"], 2, "torch's names are known for netw"),
])  # fmt: skip
def test_refusals(here, arguments, status, words):
    assert words in refused(status, "export", *arguments)
    assert os.listdir() == ["m.safetensors"]


def test_features(here):
    features = HogFeatures(size=(24, 32))
    how = Preprocessing(color="gray", scale=1, mean=(0.0,), std=(1.0,))
    tensors = {"0.dense.weight": np.ones((3, features.length), np.float32),
               "0.dense.bias": np.zeros(3, np.float32)}  # fmt: skip
    saved = SavedModel(
        spec="dense 3", input=(features.length,), tensors=tensors, preprocessing=how,
        features=features,
    )  # fmt: skip
    save_model("hog.safetensors", saved)
    done("export", "hog.safetensors", "hog.onnx")
    words = refused(2, "export", "hog.safetensors", "b.onnx", "--with-preprocess")
    assert "takes features or vectors and no pictures, so there is no preprocessing" in words


def test_a_difference_leaves_no_file(here, monkeypatch):
    right = onnx_run.Runner.__call__
    monkeypatch.setattr(onnx_run.Runner, "__call__", lambda self, x: right(self, x) * 1.01)
    words = refused(4, "export", "m.safetensors", "a.onnx")
    assert "'a.onnx': not written, because its outputs differ: with " in words
    assert "at most 0.0001 of the outputs is rounding" in words
    assert os.listdir() == ["m.safetensors"]


def test_arrays_that_come_back_changed(here, monkeypatch):
    monkeypatch.setattr(exporting, "encode_weights", damaged(exporting.encode_weights))
    words = refused(4, "export", "m.safetensors", "w.safetensors")
    assert "'w.safetensors': " in words and os.listdir() == ["m.safetensors"]


def damaged(encode):
    def wrong(*arguments, **options):
        data = bytearray(encode(*arguments, **options))
        data[-1] ^= 1
        return bytes(data)

    return wrong


def test_without_onnx(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx.checker", None)
    words = refused(3, "export", "m.safetensors", "a.onnx")
    assert words == "cnntool: ONNX files need the package onnx; pip install 'cnntool[onnx]'"
    done("export", "m.safetensors", "a.safetensors")


def test_what_only_onnxruntime_checks(here, monkeypatch):
    spec = "lrn 3 | flatten | dense 2"
    network = Network(parse(spec), (3, 5, 4))
    network.initialise(seed=1)
    save_model("n.safetensors", SavedModel(spec=spec, input=(3, 5, 4), tensors=network.state()))
    for module in (onnx_run, exporting):
        monkeypatch.setattr(module, "has_onnxruntime", lambda: False)
    words = refused(3, "export", "n.safetensors", "a.onnx")
    assert "'a.onnx': not written: checking it needs onnxruntime (the reference of onnx " in words
    assert "errs at LRN); pip install onnxruntime" in words
    assert not os.path.exists("a.onnx")


def test_help_loads_no_packages():
    program = (
        "import sys; from cnntool.cli.main import _run\n"
        "for name in ('export', 'import'): _run([name, '--help'])\n"
        "assert not {'onnx', 'onnxruntime', 'numpy', 'google'} & set(sys.modules)"
    )
    import subprocess

    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=30)


def test_the_program_itself(here):
    result = process("export", "m.safetensors", "a.onnx", cwd=here)
    assert result.status == 0 and result.lines == ["a.onnx"], result.stderr
    assert len(result.errors) == 1, "nothing from the packages that compute"


def test_missing_arguments(here):
    assert invoke("export", "m.safetensors").status == 2


def test_generators(here):
    """One network is a file of ONNX; several are weights alone."""
    save_model("one.safetensors", of_class())
    result = done("export", "one.safetensors", "one.onnx")
    assert "'one.onnx': 384 parameters, opset" in result.stderr
    save_model("two.safetensors", in_stages())
    line = refused(2, "export", "two.safetensors", "two.onnx")
    assert "its pictures are made by several networks, and an ONNX file holds one; export" in line
    assert not os.path.exists("two.onnx")
    total = sum(array.size for array in in_stages().tensors.values())
    result = done("export", "two.safetensors", "weights.safetensors")
    assert f"{total} parameters in {len(in_stages().tensors)} arrays" in result.stderr
