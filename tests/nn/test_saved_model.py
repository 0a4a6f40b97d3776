# ruff: noqa: E501 - tables of models, each beside what is said of it
"""What must be true of a model, and what is said where it is not."""

import dataclasses
import re

import numpy as np
import pytest

from cnntool.models import MODELS, create
from cnntool.nn import parse, trace
from cnntool.nn.contradictions import Contradiction, tensor_shapes
from cnntool.nn.saved_model import Preprocessing, SavedModel, check

GRAY = Preprocessing(color="gray", mean=(0.5,), std=(0.25,))


def made(spec="conv 4 3 | flatten | dense 3", input=(1, 5, 6), **fields):
    """A model of this specification, with numbers in all its arrays."""
    shapes = tensor_shapes(trace(parse(spec), input))
    tensors = {
        name: np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        for name, shape in shapes.items()
    }
    return SavedModel(
        **({"spec": spec, "input": input, "tensors": tensors, "preprocessing": GRAY} | fields)
    )


def changed(model, **arrays):
    """The model with some arrays in place of others; None takes one away."""
    tensors = {**model.tensors, **arrays}
    kept = {name: array for name, array in tensors.items() if array is not None}
    return dataclasses.replace(model, tensors=kept)


def how(**fields):
    return dataclasses.replace(GRAY, **fields)


def test_shapes_are_those_of_torch():
    spec = "conv 4 3x5 groups=2 | batchnorm | deconv 6 2 bias=no | flatten | dense 7"
    assert tensor_shapes(trace(parse(spec), (2, 8, 9))) == {
        "0.conv.weight": (4, 1, 3, 5),
        "0.conv.bias": (4,),
        "1.batchnorm.weight": (4,),
        "1.batchnorm.bias": (4,),
        "1.batchnorm.running_mean": (4,),
        "1.batchnorm.running_var": (4,),
        "2.deconv.weight": (4, 6, 2, 2),
        "4.dense.weight": (7, 6 * 7 * 6),
        "4.dense.bias": (7,),
    }


@pytest.mark.parametrize("name", MODELS)
def test_every_array_of_the_built_in_networks_has_a_name_of_its_own(name):
    spec = create(name)
    found = trace(spec.chain, spec.input)
    arrays = [tensor for row in found.rows for tensor in (*row.parameters, *row.buffers)]
    assert len(tensor_shapes(found)) == len(arrays)


@pytest.mark.parametrize(
    "model",
    [
        made(),
        made(classes=("a", "b", "c")),
        made("dense 1", (9,), classes=("no", "yes")),
        made("conv 1 1", task="segment", classes=("ground", "thing")),
        made("conv 3 1", (3, 4, 4), task="segment", preprocessing=Preprocessing()),
        made("dense 75 | reshape 3x5x5", (8,), task="generate", preprocessing=Preprocessing()),
        made("deconv 1 4", (7, 1, 1), task="generate", classes=("0", "1", "2")),
        made(name="vgg-small", history={"accuracy": "0.99", "note": "ü\n\udce9"}),
        made(preprocessing=how(scale=1, mean=(0,), std=(1,), background=1, brightness=0)),
        made(classes=("caf\udce9", "a\nb", "😀")),
        made("relu | flatten", (1, 2, 2)),
    ],
)
def test_what_is_right(model):
    assert check(model) == {name: array.shape for name, array in model.tensors.items()}


def refused(model, message):
    with pytest.raises(Contradiction, match="^" + re.escape(message)):
        check(model)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"spec": None}, "its specification is no text"),
        ({"spec": ""}, "its specification cannot be used: the specification is empty"),
        ({"spec": "cnv 4 3"}, "its specification cannot be used: unknown layer 'cnv' at column 1"),
        ({"spec": "conv 4 9"}, "its specification cannot be used: layer 0.conv 'conv 4 9' (colu"),
        ({"spec": "conv 4 3 | os.system 1"}, "its specification cannot be used: unknown layer 'os'"),
        ({"spec": "((relu)*9999)*9999"}, "its specification cannot be used: the network has more"),
        ({"input": [1, 5, 6]}, "its input is a list; it must be (C, H, W) or (n,), each from 1"),
        ({"input": (1, 5)}, "its input is (1, 5); it must be (C, H, W) or (n,)"),
        ({"input": ()}, "its input is (); it must be"),
        ({"input": (1, 0, 6)}, "its input is (1, 0, 6); it must be"),
        ({"input": (1, -5, -6)}, "its input is (1, -5, -6); it must be"),
        ({"input": (True, 5, 6)}, "its input is a tuple; it must be"),
        ({"input": (1.0, 5, 6)}, "its input is a tuple; it must be"),
        ({"input": (1, 5, 1_000_001)}, "its input is (1, 5, 1000001); it must be (C, H, W) or (n,"),
        ({"input": None}, "its input is None; it must be"),
        ({"input": (1, 10**6, 10**5)}, "its input has 100000000000 numbers, more than the 268435456"),
        ({"spec": "(upsample 100)*2 | conv 4 3"}, "its layer 1.upsample has 3000000000 numbers, more"),
        ({"name": "../evil"}, "its network is called '../evil'; such names are of a-z, 0-9, '-',"),
        ({"name": "VGG"}, "its network is called 'VGG'; such names are"),
        ({"name": "a" * 101}, "its network is called 'aaaaaa"),
        ({"name": None}, "its network is called None; such names are"),
        ({"name": "vgg16\n"}, r"its network is called 'vgg16\n'; such names are"),
        # what it is for
        ({"task": "detect"}, "its task is 'detect'; possible are classify, segment, generate"),
        ({"task": 1}, "its task is 1; possible are classify, segment, generate"),
        ({"task": "segment"}, "its task is segment, which needs maps C×H×W; it gives 3 numbers"),
        ({"task": "generate"}, "its task is generate, which needs maps C×H×W; it gives 3 numbers"),
        # classes
        ({"classes": ["a", "b", "c"]}, "its classes are no names; each must be a text of 1 to 1000"),
        ({"classes": ("a", "b", 3)}, "its classes are no names"),
        ({"classes": ("a", "b", "")}, "its classes are no names"),
        ({"classes": ("a", "b", "c" * 1001)}, "its classes are no names"),
        ({"classes": ("a", "b", "\ud800")}, "its classes are no names"),
        ({"classes": ("a", "b", "a")}, "two of its classes are called 'a'"),
        ({"classes": ("a", "b")}, "it has names for 2 classes; its outputs are 3"),
        ({"classes": ("a", "b", "c", "d")}, "it has names for 4 classes; its outputs are 3"),
        # history
        ({"history": ["a"]}, "its history is not texts by name"),
        ({"history": {"a": 1}}, "its history is not texts by name"),
        ({"history": {"": "a"}}, "its history is not texts by name"),
        ({"history": {"a": "\ud800"}}, "its history is not texts by name"),
        # preprocessing
        ({"preprocessing": how(color="cmyk")}, "its colour mode is 'cmyk'; possible are gray, rgb"),
        ({"preprocessing": how(color=["gray"])}, "its colour mode is a list; possible are"),
        ({"preprocessing": how(fit="zoom")}, "its fit is 'zoom'; possible are stretch, crop, pad"),
        ({"preprocessing": how(scale=0)}, "its scale is 0; it must be a number from 1e-06 to 1e+06"),
        ({"preprocessing": how(scale=float("nan"))}, "its scale is nan; it must be a number"),
        ({"preprocessing": how(scale=float("inf"))}, "its scale is inf; it must be a number"),
        ({"preprocessing": how(scale=True)}, "its scale is True; it must be a number"),
        ({"preprocessing": how(scale="1")}, "its scale is '1'; it must be a number"),
        ({"preprocessing": how(scale=None)}, "its scale is None; it must be a number"),
        ({"preprocessing": how(mean=())}, "its mean must be one number a channel: 1"),
        ({"preprocessing": how(mean=(0.0,) * 3)}, "its mean must be one number a channel: 1"),
        ({"preprocessing": how(mean=0.5)}, "its mean must be one number a channel: 1"),
        ({"preprocessing": how(mean=([],))}, "its mean is a list; it must be a number from -1e+06"),
        ({"preprocessing": how(mean=(2e6,))}, "its mean is 2000000.0; it must be a number"),
        ({"preprocessing": how(std=(0,))}, "its std is 0; it must be a number from 1e-06 to 1e+06"),
        ({"preprocessing": how(std=(-1.0,))}, "its std is -1.0; it must be a number"),
        ({"preprocessing": how(std=(1.0, 1.0))}, "its std must be one number a channel: 1"),
        ({"preprocessing": how(background=256)}, "its background is 256; it must be a number from 0"),
        ({"preprocessing": how(brightness=-0.1)}, "its brightness is -0.1; it must be a number fro"),
        ({"preprocessing": Preprocessing()}, "the channels of its input are 1, those of rgb pictures 3"),
    ],
)  # fmt: skip
def test_fields_that_contradict(fields, message):
    refused(dataclasses.replace(made(), **fields), message)


def test_tasks_that_do_not_fit():
    refused(made("conv 3 3"), "its task is classify, which needs a vector; it gives 3×3×4")
    refused(
        made("conv 2 3", task="segment", classes=("a", "b", "c")),
        "it has names for 3 classes; its outputs are 2",
    )
    refused(
        made("dense 1", (4,), classes=("a", "b", "c")),
        "it has names for 3 classes; its outputs are 1",
    )
    refused(
        made("deconv 2 4", (7, 1, 1), task="generate"),
        "the channels of its output are 2, those of gray pictures 1",
    )


NAN = np.zeros((3, 48), np.float32)
NAN[1, 5:8] = np.nan
INFINITE = np.array([np.inf, 1, -np.inf], np.float32)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("2.dense.bias", None, "array '2.dense.bias' of its specification is missing"),
        ("3.dense.bias", np.zeros(3, np.float32), "array '3.dense.bias' belongs to no layer of it"),
        ("", np.zeros(0, np.float32), "array '' belongs to no layer of its specification"),
        ("2.dense.bias", np.zeros(4, np.float32), "array '2.dense.bias' is (4,); its specification"),
        ("2.dense.bias", np.zeros((3, 1), np.float32), "array '2.dense.bias' is (3, 1); its spec"),
        ("2.dense.bias", np.float32(0), "array '2.dense.bias' is a float32; it must be one of NumPy"),
        ("2.dense.bias", np.zeros(3), "array '2.dense.bias' is float64; it must be float32"),
        ("2.dense.bias", [0.0] * 3, "array '2.dense.bias' is a list; it must be one of NumPy"),
        ("2.dense.weight", NAN, "3 of 144 numbers of array '2.dense.weight' are NaN or infinite; "
         "the training diverged, a smaller learning rate may help"),
        ("2.dense.bias", INFINITE, "2 of 3 numbers of array '2.dense.bias' are NaN or infinite"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(name, array, message):
    refused(changed(made(), **{name: array}), message)


def test_several_arrays():
    model = made()
    refused(
        dataclasses.replace(model, tensors={}),
        "array '0.conv.weight' (and 3 more) of its specification is missing",
    )
    refused(changed(model, a=NAN, b=NAN), "array 'a' (and 1 more) belongs to no layer")


def test_the_largest_numbers_are_finite():
    largest = np.full(3, np.finfo(np.float32).max, np.float32)
    check(changed(made(), **{"2.dense.bias": largest}))
    check(changed(made(), **{"2.dense.bias": -largest}))


def test_variances():
    model = made("batchnorm | flatten")
    bad = np.array([-1e-9], np.float32)
    refused(
        changed(model, **{"0.batchnorm.running_var": bad}),
        "array '0.batchnorm.running_var' holds variances below 0",
    )
    check(changed(model, **{"0.batchnorm.running_mean": bad}))


def test_finding_the_class_that_stands_twice_is_quick():
    many = tuple(map(str, range(200_000)))
    refused(made(classes=(*many, "7")), "two of its classes are called '7'")
