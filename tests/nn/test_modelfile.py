# ruff: noqa: E501 - tables of files, each beside what is said of it
"""Model files: what goes in comes out, and nothing else ever does."""

import contextlib
import json
import re

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed_files import digest, flipped, sealed
from small_models import SPEC, assert_equal, numbers, small

from cnntool.errors import ModelFileError
from cnntool.models import create
from cnntool.nn import modelfile, trace
from cnntool.nn.contradictions import tensor_shapes
from cnntool.nn.modelfile import (
    Preprocessing,
    SavedModel,
    decode_model,
    encode_model,
    load_model,
    save_model,
)
from cnntool.nn.tensor_file import encode


def texts(**changes):
    """The metadata of a small model, some changed; None takes one away."""
    with_changes = modelfile.model_texts(small()) | changes
    return {name: text for name, text in with_changes.items() if text is not None}


def how(**changes):
    """The metadata of preprocessing, some changed."""
    return json.dumps(json.loads(texts()["preprocessing"]) | changes)


# -------------------------------------------------------------------------------------- coming back


def test_round_trip_through_a_file(tmp_path):
    path = tmp_path / "model.safetensors"
    model = small()
    save_model(path, model)
    found = load_model(str(path))
    assert_equal(found, model)
    assert list(found.tensors) == list(tensor_shapes(found.trace()))
    assert found.spec == SPEC
    assert all(array.flags.writeable for array in found.tensors.values())
    assert encode_model(found) == path.read_bytes()


FLOATS = st.floats(-1e6, 1e6)
POSITIVE = st.floats(1e-6, 1e6)
SHARES = st.floats(0, 1)
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)


@st.composite
def models(draw):
    """Models of all kinds."""
    color = draw(st.sampled_from(["gray", "rgb"]))
    channels = {"gray": 1, "rgb": 3}[color]
    task = draw(st.sampled_from(["classify", "segment", "generate"]))
    spec, input = {
        "classify": ("conv 2 3 | batchnorm | flatten | dense 4", (channels, 4, 5)),
        "segment": ("residual(conv 4 3 pad=1, conv 4 1) | relu", (channels, 3, 4)),
        "generate": (f"dense {channels * 6} | reshape {channels}x3x2", (5,)),
    }[task]
    return SavedModel(
        spec=spec,
        input=input,
        tensors=numbers(spec, input, draw(st.integers(0, 99))),
        task=task,
        classes=draw(st.just(()) | st.lists(WORDS, min_size=4, max_size=4, unique=True).map(tuple)),
        preprocessing=Preprocessing(
            color=color,
            fit=draw(st.sampled_from(["stretch", "crop", "pad"])),
            scale=draw(POSITIVE),
            mean=draw(st.tuples(*[FLOATS] * channels)),
            std=draw(st.tuples(*[POSITIVE] * channels)),
            background=draw(SHARES),
            brightness=draw(st.none() | SHARES),
        ),
        name=draw(st.sampled_from(["", "lenet5", "alexnet-2012"])),
        history=draw(st.dictionaries(WORDS, st.text(max_size=20), max_size=3)),
    )


@settings(max_examples=80)
@given(models())
def test_round_trip(model):
    data = encode_model(model)
    assert_equal(decode_model(data), model)
    assert data == encode_model(decode_model(data))


@pytest.mark.parametrize("scale", [1 / 255, 1 / 127.5, 0.1, 1, np.float64(1) / 3])
def test_numbers_come_back_exactly(scale):
    preprocessing = Preprocessing(
        color="gray", scale=scale, mean=(-0.0,), std=(0.1 + 0.2,), brightness=5e-324
    )
    found = decode_model(encode_model(small(preprocessing=preprocessing))).preprocessing
    assert found == preprocessing
    assert type(found.scale) is float
    assert np.signbit(found.mean[0])


@pytest.mark.parametrize("name", ["lenet", "lenet5", "cnn-mnist", "vgg-small", "inception", "unet"])
def test_built_in_networks(name):
    spec = create(name)
    found = trace(spec.chain, spec.input)
    channels = spec.input[0]
    model = SavedModel(
        spec=spec.text,
        input=spec.input,
        tensors=numbers(spec.text, spec.input),
        task="classify" if len(found.output) == 1 else "segment",
        classes=tuple(f"class {n}" for n in range(spec.classes)),
        preprocessing=Preprocessing(
            color="gray" if channels == 1 else "rgb", mean=(0.5,) * channels, std=(1.0,) * channels
        ),
        name=name,
    )
    assert_equal(decode_model(encode_model(model)), model)


def test_order_does_not_count():
    model = small()
    backwards = small(
        tensors=dict(reversed(model.tensors.items())),
        history=dict(reversed(model.history.items())),
    )
    assert encode_model(model) == encode_model(backwards)


def test_other_programs_read_it(tmp_path):
    model, path = small(), tmp_path / "m.safetensors"
    save_model(path, model)
    found = safetensors.numpy.load_file(path)
    assert found.keys() == model.tensors.keys()
    for name, array in model.tensors.items():
        np.testing.assert_array_equal(found[name], array)
    with safetensors.safe_open(path, framework="np") as file:
        metadata = file.metadata()
    assert metadata["format"] == "cnntool model"
    assert metadata["version"] == "1"
    assert metadata["specification"] == SPEC
    assert json.loads(metadata["input"]) == [1, 5, 6]
    assert json.loads(metadata["classes"])[:2] == ["cat", "Köln"]
    assert json.loads(metadata["preprocessing"])["scale"] == 1 / 255
    assert metadata["sha256"].encode() == digest(path.read_bytes())


# ------------------------------------------------------------------------------------------- damage


def test_every_bit_counts():
    data = encode_model(small())
    assert len(data) < 2500
    for bit in range(8 * len(data)):
        with pytest.raises(ModelFileError):
            decode_model(flipped(data, bit))


def test_every_byte_counts():
    data = encode_model(small())
    for length in range(len(data)):
        with pytest.raises(ModelFileError):
            decode_model(data[:length])
    with pytest.raises(ModelFileError):
        decode_model(data + b"\0")


def test_forged_files_are_read_or_refused():
    """A header with any one bit changed and sealed anew: a model or an error of ours."""
    data = encode_model(small())
    start = 8 + int.from_bytes(data[:8], "little")
    outcomes = []
    for bit in range(64, 8 * start, 5):
        with contextlib.suppress(ModelFileError):
            outcomes.append(decode_model(sealed(flipped(data, bit))))
    assert outcomes  # a class may be called otherwise, say
    assert all(isinstance(model, SavedModel) for model in outcomes)


@settings(max_examples=150)
@given(st.data())
def test_forged_texts_are_read_or_refused(data):
    name = data.draw(st.sampled_from(list(texts())))
    old = texts()[name]
    cut = data.draw(st.integers(0, len(old)))
    piece = data.draw(st.text('0123456789.-+eE[]{},:"atrufalsn |()*x', max_size=6))
    new = old[:cut] + piece + old[cut + data.draw(st.integers(0, 3)) :]
    forged = encode(small().tensors, texts(**{name: new}))
    with contextlib.suppress(ModelFileError):
        assert isinstance(decode_model(forged), SavedModel)


NESTED = "[" * 700 + "]" * 700

REFUSED = [
    # what it is
    ({"format": None}, "no model file: its metadata tell no format, not 'cnntool model'"),
    ({"format": "pt"}, "no model file: its metadata tell the format 'pt', not 'cnntool model'"),
    ({"format": "cnntool checkpoint"}, "no model file: its metadata tell the format 'cnntool chec"),
    ({"format": "\x1b[2J"}, r"no model file: its metadata tell the format '\x1b[2J', not"),
    ({"version": "2"}, "it has version 2, and this cnntool reads 1; update cnntool"),
    ({"version": "10", "more": ""}, "it has version 10, and this cnntool reads 1; update cnntool"),
    ({"version": None}, "its version is ''; it must be a number from 1"),
    ({"version": "0"}, "its version is '0'; it must be a number from 1"),
    ({"version": "1.0"}, "its version is '1.0'; it must be a number from 1"),
    ({"version": "01"}, "its version is '01'; it must be a number from 1"),
    ({"version": "٢"}, "its version is '٢'; it must be a number from 1"),
    ({"version": "9" * 5000}, "its version is '999"),
    ({"task": None}, "its metadata have no entry 'task'"),
    ({"history": None}, "its metadata have no entry 'history'"),
    ({"code": "import os"}, "its metadata have an entry 'code', which version 1 has not"),
    # texts within texts
    ({"input": ""}, "its entry 'input' is unusable: no JSON: expecting value at character 1"),
    ({"input": "{}"}, "its entry 'input' is not a list in JSON"),
    ({"input": "[1,5,6"}, "its entry 'input' is unusable: no JSON"),
    ({"input": "[1,5,NaN]"}, "its entry 'input' is unusable: NaN is no JSON number"),
    ({"input": "[1,5,1e999]"}, "its entry 'input' is unusable: the number 1e999 is too large"),
    ({"input": "[1,5," + "9" * 5000 + "]"}, "its entry 'input' is unusable: a number of 5000 dig"),
    ({"input": "[" * 100_000}, "its entry 'input' is unusable: JSON that is nested too deep"),
    ({"input": NESTED}, "its input is a tuple; it must be (C, H, W) or (n,)"),
    ({"input": "[1.0,5,6]"}, "its input is a tuple; it must be"),
    ({"input": "[true,5,6]"}, "its input is a tuple; it must be"),
    ({"input": "[1,5,6,1]"}, "its input is (1, 5, 6, 1); it must be"),
    ({"input": "[3,5,6]"}, "the channels of its input are 3, those of gray pictures 1"),
    ({"classes": "{}"}, "its entry 'classes' is not a list in JSON"),
    ({"classes": '["a","b"]'}, "it has names for 2 classes; its outputs are 3"),
    ({"classes": '["a","b",["c"]]'}, "its classes are no names"),
    ({"classes": f'["a","b",{NESTED}]'}, "its classes are no names"),
    ({"history": "[]"}, "its entry 'history' is not an object in JSON"),
    ({"history": '{"a":"1","a":"2"}'}, "its entry 'history' is unusable: the key 'a' stands twice"),
    ({"history": '{"a":1}'}, "its history is not texts by name"),
    ({"preprocessing": "[]"}, "its entry 'preprocessing' is not an object in JSON"),
    ({"preprocessing": "{}"}, "its entry 'preprocessing' must say color, fit, scale, mean, std, ba"),
    ({"preprocessing": how(hook="x")}, "its entry 'preprocessing' must say color, fit, scale"),
    ({"preprocessing": how(scale=[1])}, "its scale is a tuple; it must be a number"),
    ({"preprocessing": how(scale="__import__('os')")}, "its scale is '__import__('os')'; it must be"),
    ({"preprocessing": how(mean=0)}, "its mean must be one number a channel: 1"),
    ({"preprocessing": how(mean=[False])}, "its mean is False; it must be a number"),
    ({"preprocessing": how(mean=["0"])}, "its mean is '0'; it must be a number"),
    ({"preprocessing": how(std=[0])}, "its std is 0.0; it must be a number from 1e-06"),
    ({"preprocessing": how(std=json.loads(NESTED))}, "its std is a list; it must be a number"),
    ({"preprocessing": how(color="lab")}, "its colour mode is 'lab'; possible are gray, rgb"),
    # what the words mean
    ({"task": "detect"}, "its task is 'detect'; possible are classify, segment, generate"),
    ({"task": "segment"}, "its task is segment, which needs maps C×H×W; it gives 3 numbers"),
    ({"name": "../x"}, "its network is called '../x'; such names are"),
    ({"specification": ""}, "its specification cannot be used: the specification is empty"),
    ({"specification": "eval 1"}, "its specification cannot be used: unknown layer 'eval'"),
    ({"specification": "conv 8 9"}, "its specification cannot be used: layer 0.conv 'conv 8 9'"),
    ({"specification": "(" * 99 + "relu" + ")" * 99}, "its specification cannot be used: parenth"),
    ({"specification": "relu|" * 10_001 + "relu"}, "its specification cannot be used: the network"),
    ({"specification": "flatten | dense 1000000", "classes": "[]"}, "array '1.dense.weight' (and 1 more)"),
    ({"specification": "(upsample 100)*2 | flatten | dense 3"}, "its layer 1.upsample has 300000000"),
    ({"specification": SPEC.replace("dense 3", "dense 4")}, "it has names for 3 classes; its outputs are 4"),
    ({"specification": SPEC.replace("conv 2", "conv 3")}, "array '0.conv.weight' is (2, 1, 3, 3); "),
    ({"specification": SPEC.replace(" bias=no", "")}, "array '0.conv.bias' of its specification is"),
    ({"specification": SPEC.replace("batchnorm |", "")}, "array "),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_metadata_that_lie(changes, message):
    data = encode(small().tensors, texts(**changes))
    with pytest.raises(ModelFileError, match="^" + re.escape(f"'a.safetensors': {message}")):
        decode_model(data, where="'a.safetensors'")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("4.dense.bias", None, "array '4.dense.bias' of its specification is missing"),
        ("more", np.zeros(1, np.float32), "array 'more' belongs to no layer of its specification"),
        ("4.dense.bias", np.zeros(3), "array '4.dense.bias' is float64; it must be float32"),
        ("4.dense.bias", np.zeros(3, bool), "array '4.dense.bias' is bool; it must be float32"),
        ("4.dense.bias", np.zeros((1, 3), np.float32), "array '4.dense.bias' is (1, 3); its spe"),
        ("4.dense.bias", np.zeros(1 << 20, np.float32), "array '4.dense.bias' is (1048576,); its"),
        ("4.dense.bias", np.float32([1, np.nan, 2]), "1 of 3 numbers of array '4.dense.bias' are"),
        ("4.dense.bias", np.float32([1, -np.inf, np.inf]), "2 of 3 numbers of array '4.dense.bi"),
        ("1.batchnorm.running_var", np.float32([1, -1]), "array '1.batchnorm.running_var' holds"),
    ],
)
def test_arrays_that_lie(name, array, message):
    tensors = {**small().tensors, name: array}
    data = encode({key: value for key, value in tensors.items() if value is not None}, texts())
    with pytest.raises(ModelFileError, match="^" + re.escape(f"the model file: {message}")):
        decode_model(data)


def test_weights_of_other_programs(tmp_path):
    path = tmp_path / "foreign.safetensors"
    safetensors.numpy.save_file(dict(small().tensors), path, {"format": "pt"})
    with pytest.raises(ModelFileError, match=r"foreign.safetensors': not written by cnntool: its "):
        load_model(path)


def test_messages_can_be_shown(tmp_path):
    """A file that anybody made must not move the cursor of who reads what is wrong with it."""
    path = tmp_path / "a\x1b[31mb"
    path.write_bytes(encode(small().tensors, texts(format="\x1b]0;title\x07\u202e" * 50)))
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.shared
def test_malformed_files(shared_data):
    folder = shared_data / "malformed" / "safetensors-malformed"
    paths = sorted(folder.iterdir())
    assert len(paths) > 30
    for path in paths:
        with pytest.raises(ModelFileError):
            load_model(path)
