"""What a model's file says of how pictures are made, and what contradicts itself."""

import dataclasses
import json
import re

import numpy as np
import pytest
from small_generators import KINDS, in_stages, of_class, painter, plain, saved
from small_models import assert_equal

from cnntool.errors import ModelFileError
from cnntool.nn.contradictions import Contradiction
from cnntool.nn.generation import Generation, Maker
from cnntool.nn.modelfile import decode_model, encode_model, load_model
from cnntool.nn.saved_model import check


@pytest.mark.parametrize("name", KINDS)
def test_files_say_it_all(name, tmp_path):
    model = KINDS[name]()
    assert check(model) == {key: array.shape for key, array in model.tensors.items()}
    assert_equal(load_model(str(saved(tmp_path, model))), model)


@pytest.mark.parametrize("name", KINDS)
def test_every_cut_and_flip_is_noticed(name, rng):
    data = bytes(encode_model(KINDS[name]()))
    for length in sorted({*rng.integers(0, len(data), 40).tolist()}):
        with pytest.raises(ModelFileError):
            decode_model(data[:length], where="it")
    for place in rng.integers(0, len(data), 40).tolist():
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(0, 8))
        with pytest.raises(ModelFileError):
            decode_model(flipped, where="it")


def refused(model, message):
    with pytest.raises(Contradiction, match=re.escape(message)):
        check(model)


@pytest.mark.parametrize(
    ("build", "changes", "message"),
    [
        (plain, {"condition": "words"}, "its condition is 'words'; possible are none, class"),
        (plain, {"joins": "sews"}, "its way to join pictures is 'sews'; possible are , adds, fi"),
        (plain, {"latent": -1}, "its latent is -1; possible are 0 to 10000"),
        (plain, {"latent": True}, "its latent is True; possible are 0 to 10000"),
        (plain, {"width": 10_001}, "its width is 10001; possible are 0 to 10000"),
        (plain, {"width": 3}, "its condition 'none' has 3 numbers"),
        (plain, {"latent": 4}, "its first generator takes 5 numbers, which does not fit 4 random"),
        (plain, {"condition": "superres"}, "its first generator takes 5 numbers, which does not"),
        (painter, {"condition": "none"}, "its first generator takes 1×8×8, which does not fit 0"),
        (of_class, {"width": 0}, "its condition 'class' has 0 numbers"),
        (of_class, {"width": 4, "latent": 3}, "its condition has 4 classes, 3 have names"),
        (plain, {"later": ["a"]}, "its stages are no list of at most 8"),
        (plain, {"later": ("a",)}, "stage 2 is 'a'"),
        (plain, {"later": (Maker(3, (1, 4, 4)),)}, "the specification of stage 2 is no text"),
        (plain, {"later": (Maker("relu", [1, 4]),)}, "the input of stage 2 is a list"),
        (plain, {"later": (Maker("relu", (1, 0, 4)),)}, "the input of stage 2 is (1, 0, 4)"),
        (plain, {"later": (Maker("rlu", (1, 4, 4)),)}, "stage 2 cannot be used: unknown layer"),
        (plain, {"later": (Maker("relu", (1, 12, 16), "fills"),)}, "possible are , adds"),
        (plain, {"later": (Maker("conv 1 1", (2, 9, 9)),)},
         "stage 2 takes 2×9×9 and makes 1×9×9, after pictures of 1×6×8"),
        (in_stages, {"embedding": "dense 5"}, "its embedding makes 5 numbers; 4 are needed"),
        (in_stages, {"embedding": None}, "the specification of embed is no text"),
        (in_stages, {"embed": 0}, "its first generator takes 6 numbers, which does not fit 4"),
    ],
)  # fmt: skip
def test_what_contradicts_itself(build, changes, message):
    model = build()
    generation = dataclasses.replace(model.generation, **changes)
    refused(dataclasses.replace(model, generation=generation), message)


def test_what_is_no_generation():
    refused(dataclasses.replace(plain(), generation="yes"), "its generation is 'yes'")
    classifier = dataclasses.replace(plain(), task="segment", generation=Generation(latent=5))
    refused(classifier, "it says how it generates, and its task is segment")


def test_arrays_of_all_networks_are_needed():
    model = in_stages()
    for name in model.tensors:
        tensors = {key: value for key, value in model.tensors.items() if key != name}
        refused(dataclasses.replace(model, tensors=tensors), f"array '{name}' of its spec")
    more = {**model.tensors, "stage3/0.conv.weight": np.zeros((1, 1), np.float32)}
    refused(dataclasses.replace(model, tensors=more), "belongs to no layer")


def test_entries_of_a_file_that_make_no_sense(monkeypatch):
    model = in_stages()

    def with_entry(change):
        asdict = dataclasses.asdict

        def changed(value, **options):
            found = asdict(value, **options)
            return change(found) if isinstance(value, Generation) else found

        with monkeypatch.context() as patch:
            patch.setattr(dataclasses, "asdict", changed)
            return encode_model(model)

    for change, message in (
        (lambda found: found | {"more": 1}, "its generation must say condition, width"),
        (lambda found: found | {"later": 3}, "the later stages of its generation are no list"),
        (lambda found: found | {"later": [3]}, "a later stage of its generation is no object"),
        (lambda found: found | {"later": [{"spec": "relu"}]}, "its later stage must say spec, i"),
        (lambda found: [found], "generation"),
    ):
        with pytest.raises(ModelFileError, match=re.escape(message)):
            decode_model(with_entry(change), where="it")


def test_what_a_generation_says_is_plain_json():
    found = json.loads(json.dumps(dataclasses.asdict(in_stages().generation)))
    assert found["later"][0]["input"] == [4, 5, 8]
    assert found["condition"] == "class"
