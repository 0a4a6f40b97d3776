"""torchvision's names: typed in by hand, and what is said of weights that do not fit."""

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import ModelFileError, NameNotFound, SpecError
from cnntool.models import create
from cnntool.models.torch_names import TORCHVISION, rename, torch_names
from cnntool.nn import parse, trace


def traced(name, **options):
    spec = create(name, **options)
    return trace(spec.chain, spec.input)


def shapes(name, found):
    """torchvision's name -> shape."""
    names = torch_names(name, found)
    return {
        names[f"{row.name}.{tensor.name}"]: tensor.shape
        for row in found.rows
        for tensor in (*row.parameters, *row.buffers)
    }


def weights(name, **options):
    """A state dict that holds shapes only."""
    return {
        key: SimpleNamespace(shape=shape)
        for key, shape in shapes(name, traced(name, **options)).items()
    }


def keys(*modules, parts=("weight", "bias")):
    return [f"{module}.{part}" for module in modules for part in parts]


def norm(module):
    return keys(module, parts=("weight", "bias", "running_mean", "running_var"))


# -------------------------------------------------------------------------------------- names
COUNTS = {
    "alexnet": 16,
    "vgg11": 22,
    "vgg13": 26,
    "vgg16": 32,
    "vgg19": 38,
    "resnet18": 102,
    "resnet34": 182,
    "resnet50": 267,
    "googlenet": 287,
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_every_array_has_a_name_of_its_own(name):
    found = traced(name)
    names = torch_names(name, found)
    ours = [f"{r.name}.{t.name}" for r in found.rows for t in (*r.parameters, *r.buffers)]
    assert list(names) == ours
    assert len(names) == len(set(names.values())) == COUNTS[name]


def test_all_networks_are_counted():
    assert set(COUNTS) == set(TORCHVISION)


def test_alexnet():
    features = [f"features.{number}" for number in (0, 3, 6, 8, 10)]
    classifier = [f"classifier.{number}" for number in (1, 4, 6)]
    found = shapes("alexnet", traced("alexnet"))
    assert list(found) == keys(*features, *classifier)
    assert found["features.0.weight"] == (64, 3, 11, 11)
    assert found["features.10.bias"] == (256,)
    assert found["classifier.1.weight"] == (4096, 256 * 6 * 6)
    assert found["classifier.6.weight"] == (1000, 4096)


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("vgg11", (0, 3, 6, 8, 11, 13, 16, 18)),
        ("vgg13", (0, 2, 5, 7, 10, 12, 15, 17, 20, 22)),
        ("vgg16", (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
        ("vgg19", (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)),
    ],
)
def test_vgg(name, features):
    found = shapes(name, traced(name))
    modules = [f"features.{number}" for number in features]
    assert list(found) == keys(*modules, "classifier.0", "classifier.3", "classifier.6")
    assert found["features.0.weight"] == (64, 3, 3, 3)
    assert found[f"features.{features[-1]}.weight"] == (512, 512, 3, 3)
    assert found["classifier.0.weight"] == (4096, 512 * 7 * 7)


@pytest.mark.parametrize(
    ("name", "blocks", "convolutions", "downsampled"),
    [
        ("resnet18", (2, 2, 2, 2), 2, (2, 3, 4)),
        ("resnet34", (3, 4, 6, 3), 2, (2, 3, 4)),
        ("resnet50", (3, 4, 6, 3), 3, (1, 2, 3, 4)),
    ],
)
def test_resnet(name, blocks, convolutions, downsampled):
    expected = ["conv1.weight", *norm("bn1")]
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            here = f"layer{stage}.{block}"
            for number in range(1, convolutions + 1):
                expected += [f"{here}.conv{number}.weight", *norm(f"{here}.bn{number}")]
            if block == 0 and stage in downsampled:
                expected += [f"{here}.downsample.0.weight", *norm(f"{here}.downsample.1")]
    assert list(shapes(name, traced(name))) == [*expected, "fc.weight", "fc.bias"]


def test_shapes_of_resnets():
    small, large = (shapes(name, traced(name)) for name in ("resnet18", "resnet50"))
    assert small["conv1.weight"] == large["conv1.weight"] == (64, 3, 7, 7)
    assert small["layer2.0.downsample.0.weight"] == (128, 64, 1, 1)
    assert small["layer3.0.conv1.weight"] == (256, 128, 3, 3)
    assert small["layer4.1.bn2.running_var"] == (512,)
    assert small["fc.weight"] == (1000, 512)
    assert large["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert large["layer1.1.conv1.weight"] == (64, 256, 1, 1)
    assert large["layer3.5.conv2.weight"] == (256, 256, 3, 3)
    assert large["layer4.2.conv3.weight"] == (2048, 512, 1, 1)
    assert large["fc.weight"] == (1000, 2048)


def test_googlenet():
    found = shapes("googlenet", traced("googlenet"))
    expected = [
        key
        for unit in ("conv1", "conv2", "conv3")
        for key in (f"{unit}.conv.weight", *norm(f"{unit}.bn"))
    ]
    for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        for branch in ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1"):
            unit = f"inception{module}.{branch}"
            expected += [f"{unit}.conv.weight", *norm(f"{unit}.bn")]
    assert list(found) == [*expected, "fc.weight", "fc.bias"]
    assert found["inception3a.branch1.conv.weight"] == (64, 192, 1, 1)
    assert found["inception4d.branch2.1.conv.weight"] == (288, 144, 3, 3)
    assert found["inception5b.branch4.1.conv.weight"] == (128, 832, 1, 1)


def test_our_names():
    names = torch_names("resnet50", traced("resnet50"))
    assert names["0.conv.weight"] == "conv1.weight"
    assert names["1.batchnorm.running_mean"] == "bn1.running_mean"
    assert names["4.main.6.conv.weight"] == "layer1.0.conv3.weight"
    assert names["10.shortcut.batchnorm.bias"] == "layer2.0.downsample.1.bias"
    assert names["34.main.4.batchnorm.running_var"] == "layer4.2.bn2.running_var"
    assert names["38.dense.bias"] == "fc.bias"
    names = torch_names("googlenet", traced("googlenet"))
    assert names["11.branch1.3.conv.weight"] == "inception3a.branch2.1.conv.weight"
    assert names["21.branch3.batchnorm.bias"] == "inception5b.branch4.1.bn.bias"


def test_widths_and_classes_are_free():
    text = create("vgg11", classes=3).text.replace("512", "24").replace("4096", "10")
    found = trace(parse(text), (1, 45, 38))
    assert list(torch_names("vgg11", found).values()) == list(weights("vgg11"))
    assert shapes("vgg11", found)["classifier.0.weight"] == (10, 24 * 7 * 7)
    assert shapes("vgg11", found)["features.0.weight"] == (64, 1, 3, 3)


def test_names_need_no_arrays():
    code = (
        "import sys\n"
        "from cnntool.models import create\n"
        "from cnntool.models.torch_names import torch_names\n"
        "from cnntool.nn import trace\n"
        "torch_names('alexnet', trace(create('alexnet').chain, (3, 224, 224)))\n"
        "assert 'numpy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# -------------------------------------------------------------------------- networks that are none
@pytest.mark.parametrize("name", ["resnet20", "lenet5", "alexnet-2012", "inception"])
def test_other_names_are_refused(name):
    with pytest.raises(
        NameNotFound,
        match=rf"^torchvision has no network that is built like '{name}' here; its names are known "
        r"for alexnet, vgg11, vgg13, vgg16, vgg19, resnet18, resnet34, resnet50, googlenet, "
        r"efficientnet-lite0$",
    ):
        torch_names(name, traced("alexnet"))


def test_other_layers_are_refused():
    with pytest.raises(
        SpecError,
        match=r"the network is not built like vgg11: it has layer 2\.conv with weight, bias where "
        r"vgg11 has layer 2\.maxpool; change nothing but widths and classes of 'vgg11', or name "
        r"the network that it is$",
    ):
        rename({}, "vgg11", traced("vgg13"))
    text = create("alexnet").text
    for longer, message in [
        (f"{text} | softmax", r"it has layer 22\.softmax where alexnet has its end"),
        (text.rpartition(" | ")[0], r"it has its end where alexnet has layer 20\.relu"),
        (
            f"{text} bias=no",
            r"it has layer 21\.dense with weight where alexnet has .* weight, bias",
        ),
    ]:
        with pytest.raises(SpecError, match=message):
            torch_names("alexnet", trace(parse(longer), (3, 224, 224)))


# ------------------------------------------------------------------------------------- weights
@pytest.mark.parametrize("name", TORCHVISION)
def test_renamed_arrays_are_those_that_were_given(name):
    found, state = traced(name), weights(name)
    names = torch_names(name, found)
    result = rename(state, name, found)
    assert list(result) == list(names)
    assert all(result[ours] is state[theirs] for ours, theirs in names.items())


def test_what_is_no_weight_is_left_out():
    found, state = traced("resnet18"), weights("resnet18")
    counters = {
        key.replace("running_mean", "num_batches_tracked"): SimpleNamespace(shape=())
        for key in state
        if key.endswith("running_mean")
    }
    assert len(counters) == 20
    assert rename({**counters, **state}, "resnet18", found) == rename(state, "resnet18", found)


def test_heads_for_training_are_left_out():
    found, state = traced("googlenet"), weights("googlenet")
    heads = {
        "aux1.conv.conv.weight": SimpleNamespace(shape=(128, 512, 1, 1)),
        "aux2.fc2.bias": SimpleNamespace(shape=(1000,)),
    }
    assert rename({**state, **heads}, "googlenet", found) == rename(state, "googlenet", found)
    with pytest.raises(ModelFileError, match=r"2 are unexpected \(aux1.conv.conv.weight, aux2"):
        rename({**weights("resnet18"), **heads}, "resnet18", traced("resnet18"))


@pytest.mark.parametrize("front", ["module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers_are_taken_off(front):
    found, state = traced("alexnet"), weights("alexnet")
    wrapped = {front + key: value for key, value in state.items()}
    assert rename(wrapped, "alexnet", found) == rename(state, "alexnet", found)


def test_an_array_twice():
    state = weights("alexnet")
    state["module.features.3.bias"] = state["features.3.bias"]
    with pytest.raises(
        ModelFileError,
        match=r"the weights hold both 'features\.3\.bias' and 'module\.features\.3\.bias', which "
        r"mean one array; give those of one network",
    ):
        rename(state, "alexnet", traced("alexnet"))


def failure(state, name, **options):
    with pytest.raises(ModelFileError) as caught:
        rename(state, name, traced(name, **options))
    assert caught.value.exit_code == 4
    return caught.value


def test_missing_and_unexpected():
    state = weights("resnet18")
    del state["layer4.0.downsample.1.running_var"]
    state["layer4.0.downsample.2.weight"] = SimpleNamespace(shape=(1,))
    error = failure(state, "resnet18")
    assert str(error) == (
        "the weights do not fit resnet18: 1 of 102 arrays is missing "
        "(layer4.0.downsample.1.running_var), 1 is unexpected (layer4.0.downsample.2.weight); "
        "give all weights of torchvision's resnet18"
    )
    assert error.missing == ["layer4.0.downsample.1.running_var"]
    assert error.unexpected == ["layer4.0.downsample.2.weight"]
    assert error.wrong == {}


def test_a_few_of_many_are_named():
    state = {f"{number}.weight": SimpleNamespace(shape=(2,)) for number in range(5)}
    message = str(failure(state, "vgg11"))
    assert (
        "all 22 arrays are missing (features.0.weight, features.0.bias, features.3.weight, …), "
        "5 are unexpected (0.weight, 1.weight, 2.weight, …); give all" in message
    )
    assert "all 22 arrays are missing" in str(failure({}, "vgg11"))


def test_names_from_files_do_nothing_to_a_terminal():
    odd = "fc\x1b[2J" + "x" * 1000
    message = str(failure({odd: SimpleNamespace(shape=())}, "vgg11"))
    assert r"1 is unexpected (fc\x1b[2Jxxx" in message and "x…)" in message
    assert message.isprintable() and len(message) < 300
    message = str(failure(dict.fromkeys([odd, f"module.{odd}"]), "vgg11"))
    assert message.isprintable() and len(message) < 300


def test_another_number_of_classes():
    error = failure(weights("resnet18", classes=21), "resnet18")
    assert str(error) == (
        "the weights do not fit resnet18: 2 have other shapes (fc.weight is 21×512, not 1000×512, "
        "fc.bias is 21, not 1000); these are for 21 classes, so make the network with as many"
    )
    assert error.wrong == {
        "fc.weight": ((21, 512), (1000, 512)),
        "fc.bias": ((21,), (1000,)),
    }
    message = str(failure(weights("vgg13"), "vgg13", classes=2))
    assert "these are for 1000 classes" in message


def test_other_widths():
    fix = r"; make alexnet with the widths, classes and channels of input that they were made for$"
    state = weights("alexnet")
    state["features.0.weight"] = SimpleNamespace(shape=(64, 1, 11, 11))
    message = str(failure(state, "alexnet"))
    assert re.search(
        r"1 has another shape \(features\.0\.weight is 64×1×11×11, not 64×3×11×11\)" + fix, message
    )
    state = weights("alexnet")
    for key in ("classifier.6.weight", "classifier.6.bias"):
        state[key] = SimpleNamespace(shape=())
    message = str(failure(state, "alexnet"))
    assert "classifier.6.bias is a number, not 1000" in message and re.search(fix, message)


@pytest.mark.parametrize(
    ("name", "other"),
    [("resnet18", "resnet34"), ("vgg16", "alexnet"), ("resnet50", "googlenet")],
)
def test_weights_of_another_network_are_recognised(name, other):
    state = weights(other, classes=5)
    if other == "googlenet":
        state["aux1.fc1.bias"] = SimpleNamespace(shape=(1024,))
    message = str(failure(state, name))
    assert message.endswith(f"; these are weights of {other}, so make that network")


@given(st.data())
@settings(max_examples=40)
def test_no_change_of_the_names_goes_unseen(data):
    name = data.draw(st.sampled_from(["alexnet", "vgg13", "resnet18"]))
    state = weights(name)
    key = data.draw(st.sampled_from(sorted(state)))
    what = data.draw(st.sampled_from(["drop", "rename", "reshape"]))
    array = state.pop(key)
    if what == "rename":
        state[key + data.draw(st.sampled_from(["_", "0", ".weight"]))] = array
    elif what == "reshape":
        state[key] = SimpleNamespace(shape=(*array.shape, 1))
    error = failure(state, name)
    assert key in str(error)
    assert error.missing == ([] if what == "reshape" else [key])
    assert list(error.wrong) == ([key] if what == "reshape" else [])
