"""Arrays of other programs as the weights of a network."""

import pathlib

import numpy as np
import pytest
from onnx_imports import model, outputs
from safetensors.numpy import load_file, save
from small_models import numbers
from torch_files import archive, legacy, weights
from torch_networks import CLASSES, NETWORKS, golden, narrow

from cnntool.errors import ModelFileError, OptionError
from cnntool.exchange.importing import Wishes
from cnntool.exchange.onnx_import import written
from cnntool.exchange.weight_files import encode_weights, names_of
from cnntool.exchange.weight_import import import_weights
from cnntool.models import create
from cnntool.models.imagenet import imagenet_classes
from cnntool.nn import trace
from cnntool.nn.modelfile import encode_model
from cnntool.nn.saved_model import HogFeatures, Preprocessing, SavedModel, tensor_shapes
from cnntool.nn.spec import Spec

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
SMALL = "conv 2 3 | batchnorm | flatten | dense 4"


def spec(text=SMALL, input=(3, 5, 6)):
    return Spec.of(text, input)


def imported(data, network=None, wishes=None, name="w.pth"):
    return import_weights(name, data, network, wishes or Wishes())


def refused(data, network=None, wishes=None, kind=ModelFileError):
    with pytest.raises(kind) as error:
        imported(data, network, wishes)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- torch's own networks


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("form", [archive, legacy, "safetensors"])
def test_narrow_networks_of_torch(name, form):
    """The names find their layers whatever the widths; torch's logits are the judge."""
    state, x, logits = golden(name)
    text = written(narrow(create(name, classes=CLASSES).chain))
    floats = {key: a for key, a in state.items() if a.dtype == np.float32}
    data = save(state) if form == "safetensors" else weights(floats, form)
    found, told = imported(data, Spec.of(text, x.shape[:3]))
    assert told == f"torch's names of {name}"
    np.testing.assert_allclose(outputs(found, x), logits, rtol=0, atol=1e-4 * abs(logits).max())


def test_a_checkpoint_of_torch_by_order():
    text = (
        "conv 4 3x2 2x1 pad=1 bias=no | batchnorm | relu | maxpool 2 | flatten | dropout | dense 6"
    )
    data = (GOLDEN / "torch_net.pth").read_bytes()
    found, told = imported(data, Spec.of(text, (3, 9, 10)))
    assert told == "order of the layers"
    expected = load_file(GOLDEN / "torch_net.safetensors")
    x = np.moveaxis(expected["pictures"], 0, -1)
    np.testing.assert_allclose(outputs(found, x).T, expected["logits"], rtol=1e-5, atol=1e-5)


def test_built_in_network_with_other_classes():
    """As many classes as the last layer of the weights has; ImageNet's names for its 1000."""
    arrays = named("alexnet", 12)
    found, _ = imported(weights(arrays), create("alexnet"))
    assert found.spec.endswith("dense 12") and found.classes == () and found.name == "alexnet"
    assert found.preprocessing == Preprocessing()


def named(name, classes):
    """Arrays of a network by torch's names, of zeros, which take no memory."""
    from cnntool.models.torch_names import torch_names

    made = create(name, classes)
    found = trace(made.chain, made.input)
    names = torch_names(name, found)
    return {names[key]: np.zeros(shape, np.float32) for key, shape in tensor_shapes(found).items()}


@pytest.mark.parametrize(("name", "mean", "classes"), [
    ("googlenet", 0.5, 1000), ("resnet18", 0.485, 1000), ("resnet18", 0.0, 7),
    ("efficientnet-lite0", 127.0, 1000),
])  # fmt: skip
def test_what_published_weights_want(name, mean, classes):
    found, told = imported(weights(named(name, classes)), create(name))
    assert told == f"torch's names of {name}"
    assert found.preprocessing.mean[0] == mean
    assert found.preprocessing.fit == ("crop" if classes == 1000 else "stretch")
    assert found.classes == (imagenet_classes() if classes == 1000 else ())


# --- our own files


@pytest.mark.parametrize("names", ["auto", "spec"])
def test_our_own_files_come_back(names):
    how = Preprocessing(fit="pad", mean=(0.1, 0.2, 0.3), std=(0.3, 0.4, 0.5))
    saved = model(SMALL, (3, 5, 6), classes=tuple("abcd"), preprocessing=how, name="own")
    found, told = imported(encode_weights(saved, names=names))
    assert told == "names of the specification"
    assert (found.spec, found.classes, found.preprocessing) == (SMALL, tuple("abcd"), how)
    assert all(np.array_equal(found.tensors[key], a) for key, a in saved.tensors.items())


def test_torch_gets_its_names():
    text = written(narrow(create("resnet18", classes=CLASSES).chain))
    state, x, _ = golden("resnet18")
    saved, _ = imported(save(state), Spec.of(text, x.shape[:3]))
    named = SavedModel(**{**fields(saved), "name": "resnet18"})
    called = names_of(named)
    assert called["0.conv.weight"] == "conv1.weight"
    back, told = imported(encode_weights(named))
    assert told == "torch's names of resnet18"
    assert all(np.array_equal(back.tensors[key], a) for key, a in saved.tensors.items())
    assert names_of(named, "spec")["0.conv.weight"] == "0.conv.weight"
    own = SavedModel(**{**fields(named), "name": "mine"})
    assert names_of(own)["0.conv.weight"] == "0.conv.weight"
    with pytest.raises(OptionError, match="torch's names are known for networks"):
        names_of(own, "torch")


def fields(saved):
    return {name: getattr(saved, name) for name in saved.__dataclass_fields__}


def test_features_of_pictures_stay():
    features = HogFeatures(size=(24, 32))
    how = Preprocessing(color="gray", scale=1, mean=(0.0,), std=(1.0,))
    saved = model("dense 3", (features.length,), features=features, preprocessing=how)
    found, _ = imported(encode_weights(saved))
    assert found.features == features and found.preprocessing == how


def test_others_read_our_files(tmp_path):
    saved = model(SMALL, (3, 5, 6))
    (tmp_path / "w.safetensors").write_bytes(encode_weights(saved))
    found = load_file(tmp_path / "w.safetensors")
    assert found.keys() == saved.tensors.keys()
    assert all(np.array_equal(found[key], array) for key, array in saved.tensors.items())


# --- names, order, shapes


def arrays(**changes):
    """The arrays of the small network, by its own names."""
    found = dict(numbers(SMALL, (3, 5, 6)))
    for name, array in changes.items():
        found[name.replace("__", ".")] = array
    return found


def test_names_of_the_specification():
    found, told = imported(weights(arrays()), spec())
    assert told == "names of the specification" and found.task == "classify"


def test_names_by_order():
    """Numbers count as such: layer 10 comes after layer 2."""
    places = {"0.conv": "module.net.2", "1.batchnorm": "module.net.3", "3.dense": "module.net.10"}
    renamed = {}
    for key, array in arrays().items():
        layer, _, own = key.rpartition(".")
        renamed[f"{places[layer]}.{own}"] = array
    renamed["module.net.3.num_batches_tracked"] = np.array(7)
    found, told = imported(save(renamed), spec(), name="w.safetensors")
    assert told == "order of the layers"
    assert all(np.array_equal(found.tensors[key], a) for key, a in arrays().items())


def renamed(**changes):
    return {f"m.{key}": array for key, array in arrays(**changes).items()}


FITS_NOT = {
    "shape by name": (
        arrays(**{"3__dense__bias": np.zeros(5, np.float32)}),
        "array '3.dense.bias' is (5,); its network needs (4,)",
    ),
    "shape by order": (
        renamed(**{"3__dense__bias": np.zeros(5, np.float32)}),
        "array 'm.3.dense.bias' is (5,); layer 3.dense, whose turn it is, needs (4,)",
    ),
    "one array too few": (
        {key: a for key, a in renamed().items() if key != "m.3.dense.bias"},
        "'m.3.dense' has weight; layer 3.dense, whose turn it is, needs bias, weight",
    ),
    "one layer too few": (
        {key: a for key, a in renamed().items() if "dense" not in key},
        "it has arrays of 2 layers, the network 3 layers with arrays; layer 3.dense is left over",
    ),
    "one layer too many": (
        {**renamed(), "z.weight": np.zeros(3, np.float32)},
        "it has arrays of 4 layers, the network 3 layers with arrays; 'z' is left over",
    ),
    "whole numbers": (
        arrays(**{"3__dense__bias": np.zeros(4, np.int32)}),
        "array '3.dense.bias' is int32; weights are numbers with a point, so export the netw",
    ),
    "twice": ({**arrays(), "module.3.dense.bias": np.zeros(4, np.float32)},
              "array '3.dense.bias' is there twice"),
    "NaN": (arrays(**{"3__dense__bias": np.full(4, np.nan, np.float32)}),
            "4 of 4 numbers of array '3.dense.bias' are NaN or infinite"),
    "nothing": ({"a.num_batches_tracked": np.zeros((), np.int64)}, "it holds no arrays of weights"),
}  # fmt: skip


@pytest.mark.parametrize("name", FITS_NOT)
def test_weights_that_do_not_fit(name):
    given, words = FITS_NOT[name]
    assert refused(save(given), spec()).startswith(f"'w.pth': {words}")


def test_weights_of_another_network():
    words = refused(weights(named("alexnet", 7)), create("vgg11"))
    assert words.startswith("'w.pth': the weights do not fit vgg11: ")
    words = refused(weights(named("resnet18", 7)), create("resnet34"))
    assert words.endswith("so make that network")


def test_types_become_float32():
    given = {key: a.astype(np.float16) for key, a in arrays().items()}
    given["0.conv.weight"] = given["0.conv.weight"].astype(np.float64)
    found, _ = imported(save(given), spec())
    assert {array.dtype for array in found.tensors.values()} == {np.dtype(np.float32)}


@pytest.mark.shared
def test_malformed_files_stay_refused(shared_data):
    """Those of the collection that are well formed have arrays that belong to no layer."""
    files = sorted((shared_data / "malformed" / "safetensors-malformed").iterdir())
    assert len(files) > 30
    for file in files:
        assert refused(file.read_bytes(), spec()).startswith("'w.pth': ")


# --- what the user must say


def test_no_network():
    assert refused(save(arrays()), kind=OptionError) == (
        "'w.pth' holds weights and no network; say which: --spec resnet18, or --spec @net.txt with "
        "--input CxHxW"
    )
    assert refused(save(arrays()), Spec.of(SMALL), kind=OptionError) == (
        "the specification does not say the shape of its input; give it: --input CxHxW, such as "
        "3x224x224"
    )


def test_a_model_is_no_file_to_import():
    words = refused(encode_model(model(SMALL, (3, 5, 6))), kind=OptionError)
    assert words == "'w.pth' is a model already; give it to the other commands as it is"


def test_files_that_say_their_input():
    data = encode_weights(model(SMALL, (3, 5, 6)))
    words = refused(data, wishes=Wishes(input=(3, 9, 9)), kind=OptionError)
    assert words == "'w.pth': it says the shape of its input itself; leave --input out"


def test_metadata_that_are_damaged():
    data = save(arrays(), {"cnntool.format": "cnntool model"})
    assert refused(data).startswith("'w.pth': its metadata are damaged: ")


def test_wishes():
    wishes = Wishes(input=(3, 5, 6), mean=(0.5,), std=(2.0,), classes=tuple("abcd"), fit="pad")
    found, _ = imported(save(arrays()), Spec.of(SMALL), wishes)
    assert found.preprocessing == Preprocessing(fit="pad", mean=(0.5,) * 3, std=(2.0,) * 3)
    assert found.classes == tuple("abcd")
    words = refused(save(arrays()), spec(), Wishes(classes=("a", "b")), OptionError)
    assert words.startswith("there are 2 class names ('a' to 'b'), and the network has 4 outputs")
