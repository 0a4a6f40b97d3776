"""A small model for tests of files that hold one."""

import dataclasses

import numpy as np

from cnntool.nn import parse, trace
from cnntool.nn.contradictions import tensor_shapes
from cnntool.nn.modelfile import Preprocessing, SavedModel

SPEC = "conv 2 3 stride=2x1 bias=no\nbatchnorm | relu  # small\nflatten | dense 3"


def numbers(spec, input, seed=0):
    """Random arrays for all parameters and buffers."""
    rng = np.random.default_rng(seed)
    shapes = tensor_shapes(trace(parse(spec), input))
    return {name: rng.random(shape, dtype=np.float32) for name, shape in shapes.items()}


def small(**fields):
    """A model of 90 numbers."""
    model = SavedModel(
        spec=SPEC,
        input=(1, 5, 6),
        tensors=numbers(SPEC, (1, 5, 6)),
        classes=("cat", "Köln", "caf\udce9"),
        preprocessing=Preprocessing(color="gray", fit="pad", mean=(0.1307,), std=(0.3081,)),
        name="lenet5",
        history={"accuracy": "0.991", "command": "train 'a b'\n"},
    )
    return dataclasses.replace(model, **fields)


def assert_equal(found, expected):
    """Every field, and every bit of every array."""
    for field in dataclasses.fields(SavedModel):
        if field.name != "tensors":
            assert getattr(found, field.name) == getattr(expected, field.name), field.name
    assert found.tensors.keys() == expected.tensors.keys()
    for name, array in expected.tensors.items():
        assert found.tensors[name].dtype == np.float32
        assert found.tensors[name].shape == array.shape
        assert found.tensors[name].tobytes() == array.tobytes()
