"""Models from files and folders, and everything that is none."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sealed_files import flipped, raw, sealed
from small_models import numbers
from trained_models import CLASSES, changed, trained

from cnntool.errors import DeviceError, InputError, ModelFileError, OptionError
from cnntool.nn.modelfile import Preprocessing, SavedModel, encode_model, save_model
from cnntool.nn.saved_model import HogFeatures
from cnntool.predict.model import TrainedModel


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "bars.safetensors"
    save_model(path, trained())
    return path


def model(tmp_path, spec, input=(1, 5, 6), **fields):
    """A model of random weights, loaded."""
    fields.setdefault("preprocessing", Preprocessing(color="gray", mean=(0.0,), std=(1.0,)))
    saved = SavedModel(spec=spec, input=input, tensors=numbers(spec, input), **fields)
    save_model(tmp_path / "m.safetensors", saved, force=True)
    return TrainedModel.load(tmp_path / "m.safetensors")


def test_network_weights_and_preprocessing(file, rng):
    found = TrainedModel.load(file)
    assert found.path == str(file)
    assert found.classes == CLASSES and found.named
    assert found.preprocess.how == trained().preprocessing
    assert found.device.name == "cpu"
    assert str(found) == "bars, 3 classes, pictures 1×12×10, device cpu"
    for name, array in trained().tensors.items():
        assert np.array_equal(found.network.tensors[name], array)
    assert found.saved.tensors == {}, "weights are in memory once"


def test_folder_of_a_run(tmp_path, file):
    assert TrainedModel.load(str(tmp_path / "bars.safetensors")).classes == CLASSES
    os.rename(file, tmp_path / "model.safetensors")
    found = TrainedModel.load(tmp_path)
    assert found.path == str(tmp_path / "model.safetensors")


def test_folder_without_a_model(tmp_path):
    with pytest.raises(ModelFileError, match=r"no model.safetensors in this folder; models are"):
        TrainedModel.load(tmp_path)
    (tmp_path / "checkpoint.safetensors").touch()
    words = "': its training has not made a model yet; go on with it: cnntool train --resume '"
    with pytest.raises(ModelFileError, match=words):
        TrainedModel.load(tmp_path)


def test_no_such_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"'x\.safetensors': no such file"):
        TrainedModel.load("x.safetensors")
    words = "'lenet5' is a built-in network without weights; 'cnntool train DATASET --model lenet5'"
    with pytest.raises(OptionError, match=words):
        TrainedModel.load("lenet5")
    save_model("lenet5", trained())
    assert TrainedModel.load("lenet5").classes == CLASSES


# --- classes


def test_classes_without_names(tmp_path):
    found = model(tmp_path, "flatten | dense 4")
    assert found.classes == ("0", "1", "2", "3") and not found.named


@pytest.mark.parametrize(("names", "classes"), [
    ((), ("0", "1")), (("cat", "dog"), ("cat", "dog")), (("cat",), ("not cat", "cat")),
])  # fmt: skip
def test_one_output_tells_two_classes(tmp_path, names, classes):
    found = model(tmp_path, "flatten | dense 1 | sigmoid", classes=names)
    assert found.classes == classes


# --- use


def test_models_for_other_tasks(tmp_path):
    words = "m.safetensors': a model that segments; a classifier is needed here"
    with pytest.raises(OptionError, match=words):
        model(tmp_path, "conv 2 1", task="segment")
    with pytest.raises(OptionError, match="a model that makes pictures; a classifier is needed"):
        model(tmp_path, "dense 9 | reshape 1x3x3", (4,), task="generate")
    with pytest.raises(OptionError, match=r"takes vectors of 7 numbers; one that takes pictures"):
        model(tmp_path, "dense 3", (7,))


def test_several_tasks_will_do(tmp_path):
    path = tmp_path / "m.safetensors"
    model(tmp_path, "flatten | dense 2")
    assert TrainedModel.load(path, tasks=("segment", "classify")).saved.task == "classify"
    with pytest.raises(
        OptionError, match="tells classes; one that segments or a generator is needed here"
    ):
        TrainedModel.load(path, tasks=("segment", "generate"))


def test_model_of_features(tmp_path):
    features = HogFeatures(size=(24, 32))
    plain = Preprocessing(color="gray", scale=1, mean=(0.0,), std=(1.0,))
    found = model(tmp_path, "dense 3", (features.length,), features=features, preprocessing=plain)
    assert found.preprocess.shape == (1, 24, 32)
    assert "pictures 1×24×32" in str(found)


def test_device(file, double_as_gpu):
    found = TrainedModel.load(file, device="gpu")
    assert found.device.name == "gpu:0"
    assert TrainedModel.load(file, device=double_as_gpu).device.is_gpu


def test_device_that_is_not_there(file):
    with pytest.raises((DeviceError, OptionError)):
        TrainedModel.load(file, device="gpu:77")


# --- files that are no models


def test_foreign_files_are_named(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(pickle.dumps({"weights": 1}))
    with pytest.raises(ModelFileError) as error:
        TrainedModel.load(path)
    assert error.value.exit_code == 4
    assert str(error.value).endswith(
        "x.pt': a pickle of Python objects, which can run code when it is loaded; cnntool never "
        "unpickles; models are what 'cnntool train' makes: RUN/model.safetensors"
    )


def test_safetensors_of_other_programs(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(raw('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)))
    with pytest.raises(ModelFileError, match="not written by cnntool"):
        TrainedModel.load(path)


def test_newer_version(tmp_path):
    data = encode_model(trained())
    place = data.index(b'"version":"1"')
    path = tmp_path / "new.safetensors"
    path.write_bytes(sealed(data[:place] + b'"version":"7"' + data[place + 13 :]))
    with pytest.raises(ModelFileError, match=r"new.safetensors': it has version 7, and .* update"):
        TrainedModel.load(path)


def test_unknown_layer(tmp_path):
    data = encode_model(changed(spec=trained().spec))
    place = data.index(b"relu")
    path = tmp_path / "m.safetensors"
    path.write_bytes(sealed(data[:place] + b"evil" + data[place + 4 :]))
    with pytest.raises(ModelFileError, match=r"its specification cannot be used: .*evil"):
        TrainedModel.load(path)


def test_every_changed_bit_is_noticed(tmp_path):
    data = encode_model(trained())
    path = tmp_path / "m.safetensors"
    rng = np.random.default_rng(5)
    for bit in rng.integers(0, 8 * len(data), 60):
        path.write_bytes(flipped(data, int(bit)))
        with pytest.raises(ModelFileError, match=r"m.safetensors': "):
            TrainedModel.load(path)
    for length in (0, 1, 8, 100, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ModelFileError):
            TrainedModel.load(path)


WATCHED = """
import json, sys
found = []
# the modules that loading needs are imported first: imports compile code
from cnntool.predict.model import TrainedModel
from cnntool.errors import CnntoolError
try:
    TrainedModel.load("good.safetensors")
except CnntoolError:
    raise SystemExit("the good model must load")

def watch(event, arguments):
    names = ("pickle.", "marshal.", "exec", "compile", "import", "subprocess.", "os.system",
             "os.exec", "os.posix_spawn", "os.fork", "socket.", "ctypes.", "code.__new__")
    if event.startswith(names):
        found.append(f"{event} {arguments!r}"[:200])
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        found.append(f"writes {arguments[0]}")

sys.addaudithook(watch)
statuses = []
for path in sys.argv[1:]:
    try:
        TrainedModel.load(path)
        statuses.append(0)
    except CnntoolError as error:
        statuses.append(error.exit_code)
print(json.dumps([statuses, found]))
"""


class Trap:
    """An object whose unpickling would leave a file behind."""

    def __reduce__(self):
        return open, ("trapped", "w")


def test_hostile_files_run_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = encode_model(trained())
    save_model("good.safetensors", trained())
    objects = np.empty(2, object)
    objects[:] = Trap()
    files = {
        "a.pt": pickle.dumps(Trap()),
        "b.pth": pickle.dumps(Trap(), 2),
        "c.safetensors": pickle.dumps(Trap(), 0),
        "d.onnx": b"\x08\x08\x12\x07pytorch" + bytes(99),
        "e.h5": b"\x89HDF\r\n\x1a\n" + bytes(99),
        "f.safetensors": sealed(data.replace(b"relu", b"eval", 1)),
        "g.safetensors": data.replace(b"relu", b"eval", 1),
        "h.py": b"open('trapped', 'w')",
    }
    for name, content in files.items():
        with open(name, "wb") as file:
            file.write(content)
    np.save("i.npy", objects, allow_pickle=True)
    np.savez("j.npz", objects)
    names = [*files, "i.npy", "j.npz"]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *names],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    statuses, events = json.loads(done.stdout)
    assert statuses == [4] * len(names)
    assert events == []
    assert not os.path.exists("trapped")
