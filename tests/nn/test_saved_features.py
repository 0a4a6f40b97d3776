# ruff: noqa: E501 - tables of features, each beside what is said of it
"""Features in model files: they come back, and what cannot be is refused."""

import dataclasses
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed_files import flipped, sealed
from small_models import assert_equal, small

from cnntool.errors import ModelFileError
from cnntool.filters import hog_length
from cnntool.filters.words import HOG_NORMS as FILTER_NORMS
from cnntool.nn import modelfile
from cnntool.nn.contradictions import Contradiction
from cnntool.nn.modelfile import HogFeatures, Preprocessing, decode_model, encode_model
from cnntool.nn.saved_model import HOG_NORMS, check
from cnntool.nn.tensor_file import encode

HOG = HogFeatures(size=(12, 15), orientations=4, cell=(4, 5), block=(2, 1), norm="l2", signed=True)
PLAIN = Preprocessing(color="gray", scale=1, mean=(0.0,), std=(1.0,))


def made(features=HOG, **fields):
    """A model of logistic regression on features."""
    count = features.length
    rng = np.random.default_rng(0)
    tensors = {
        "0.dense.weight": rng.random((3, count), dtype=np.float32),
        "0.dense.bias": rng.random(3, dtype=np.float32),
    }
    model = small(
        spec="dense 3", input=(count,), tensors=tensors, preprocessing=PLAIN, features=features
    )
    return dataclasses.replace(model, **fields)


def hog(**fields):
    return dataclasses.replace(HOG, **fields)


def entry(**changes):
    """The metadata of a model whose entry ``features`` is changed; None takes a key away."""
    texts = modelfile.model_texts(made())
    found = json.loads(texts["features"]) | changes
    return texts | {
        "features": json.dumps({name: value for name, value in found.items() if value is not None})
    }


def test_round_trip():
    model = made()
    data = encode_model(model)
    assert_equal(decode_model(data), model)
    assert decode_model(data).features == HOG
    assert encode_model(decode_model(data)) == data


@settings(max_examples=50)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    cell=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    block=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    orientations=st.integers(1, 12),
    norm=st.sampled_from(HOG_NORMS),
    signed=st.booleans(),
    sqrt=st.booleans(),
)
def test_any_features(size, cell, block, **more):
    features = HogFeatures(size=size, cell=cell, block=block, **more)
    if any(s < c * b for s, c, b in zip(size, cell, block, strict=True)):
        assert features.length == 0
        return
    assert features.length == hog_length(*size, features.orientations, cell, block)
    model = made(features)
    assert_equal(decode_model(encode_model(model)), model)


def test_norms_are_those_of_the_filter():
    assert HOG_NORMS == tuple(FILTER_NORMS)


def test_other_models_have_no_entry():
    assert "features" not in modelfile.model_texts(small())
    assert decode_model(encode_model(small())).features is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": {"kind": "hog"}}, "its features are a dict; they must be HogFeatures or None"),
        ({"features": hog(size=(12, 15, 1))}, "the size of its features is (12, 15, 1); it must be two whole"),
        ({"features": hog(size=12)}, "the size of its features is 12; it must be two whole numbers"),
        ({"features": hog(size=(0, 15))}, "the size of its features is (0, 15); it must be"),
        ({"features": hog(size=(12.0, 15))}, "the size of its features is a tuple; it must be"),
        ({"features": hog(size=(True, 15))}, "the size of its features is a tuple; it must be"),
        ({"features": hog(size=(12, 1_000_001))}, "the size of its features is (12, 1000001); it must"),
        ({"features": hog(cell=[4, 5])}, "the cell of its features is a list; it must be two whole"),
        ({"features": hog(block=(-1, 1))}, "the block of its features is (-1, 1); it must be"),
        ({"features": hog(orientations=0)}, "its features have 0 orientations; possible are 1 to 360"),
        ({"features": hog(orientations=361)}, "its features have 361 orientations; possible are"),
        ({"features": hog(orientations=True)}, "its features have True orientations; possible are"),
        ({"features": hog(orientations=4.0)}, "its features have 4.0 orientations; possible are"),
        ({"features": hog(norm="l3")}, "its norm of features is 'l3'; possible are l1, l1-sqrt, l2, l2-hys"),
        ({"features": hog(norm=None)}, "its norm of features is None; possible are"),
        ({"features": hog(signed=1)}, "'signed' and 'sqrt' of its features must be true or false"),
        ({"features": hog(sqrt=None)}, "'signed' and 'sqrt' of its features must be true or false"),
        ({"features": hog(size=(10**6, 10**6))}, "its pictures have 1000000000000 numbers, more than"),
        ({"features": hog(orientations=5)}, "its features are 60 numbers; its task is classify with the input 48"),
        ({"features": hog(block=(9, 9))}, "its features are 0 numbers; its task is classify"),
        ({"task": "generate"}, "its features are 48 numbers; its task is generate with the input 48"),
        ({"preprocessing": dataclasses.replace(PLAIN, scale=1 / 255)}, "its features are computed of samples as they are: its scale must be 1, its mean 0"),
        ({"preprocessing": dataclasses.replace(PLAIN, mean=(0.1,))}, "its features are computed of"),
        ({"preprocessing": dataclasses.replace(PLAIN, std=(2.0,))}, "its features are computed of"),
    ],
)  # fmt: skip
def test_features_that_cannot_be(fields, message):
    with pytest.raises(Contradiction, match="^" + re.escape(message)):
        check(made(**fields) if "features" not in fields else dataclasses.replace(made(), **fields))


NESTED = json.loads("[" * 700 + "]" * 700)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (entry() | {"features": "null"}, "its entry 'features' is not an object in JSON"),
        (entry() | {"features": ""}, "its entry 'features' is unusable: no JSON"),
        (entry() | {"features": "{}"}, "its entry 'features' must say kind, size, orientations, cell, block"),
        (entry(kind="sift"), "the kind of its features is unknown; possible is hog"),
        (entry(kind=["hog"]), "the kind of its features is unknown; possible is hog"),
        (entry(kind=None), "its entry 'features' must say kind, size"),
        (entry(norm=None), "its entry 'features' must say kind, size"),
        (entry(hook="x"), "its entry 'features' must say kind, size"),
        (entry(size=[12.0, 15]), "the size of its features is a tuple; it must be two whole numbers"),
        (entry(size=NESTED), "the size of its features is a tuple; it must be two whole numbers"),
        (entry(cell={"a": 1}), "the cell of its features is a dict; it must be two whole numbers"),
        (entry(orientations="4"), "its features have '4' orientations; possible are 1 to 360"),
        (entry(signed=0), "'signed' and 'sqrt' of its features must be true or false"),
        (entry(orientations=8), "its features are 96 numbers; its task is classify"),
    ],
)  # fmt: skip
def test_entries_that_lie(texts, message):
    data = encode(made().tensors, texts)
    with pytest.raises(ModelFileError, match="^" + re.escape(f"'a': {message}")):
        decode_model(data, where="'a'")


def test_entry_of_a_model_of_pictures():
    texts = modelfile.model_texts(small()) | {"features": modelfile.model_texts(made())["features"]}
    with pytest.raises(
        ModelFileError, match="its features are 48 numbers; its task is classify wi"
    ):
        decode_model(encode(small().tensors, texts))


def test_forged_files_are_read_or_refused():
    data = encode_model(made())
    start = 8 + int.from_bytes(data[:8], "little")
    for bit in range(64, 8 * start, 7):
        try:
            found = decode_model(sealed(flipped(data, bit)))
        except ModelFileError:
            continue
        check(found)
