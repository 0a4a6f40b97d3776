"""Arrays into pictures of bytes: shapes, exactness, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.data.samples import as_bytes, as_pictures
from cnntool.errors import ModelFileError


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 4, 6), (5, 1, 4, 6)),
        ((5, 4, 6, 1), (5, 1, 4, 6)),
        ((5, 4, 6, 3), (5, 3, 4, 6)),
        ((5, 1, 4, 6), (5, 1, 4, 6)),
        ((5, 3, 4, 6), (5, 3, 4, 6)),
        ((5, 3, 4, 3), (5, 3, 3, 4)),  # both could be channels: the last are
        ((0, 4, 6), (0, 1, 4, 6)),
    ],
)
def test_shapes(shape, expected, rng):
    array = rng.integers(2, 256, shape, dtype=np.uint8)
    found, notes = as_pictures(array, "x")
    assert found.shape == expected and found.dtype == np.uint8 and found.flags.c_contiguous
    assert notes == ()
    channels_last = array[..., None] if array.ndim == 3 else array
    if channels_last.shape[-1] == expected[1]:
        np.testing.assert_array_equal(np.moveaxis(found, 1, 3), channels_last)
    else:
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((5, 784), r"x: an array of 5x784; .*reshape rows of pixels to \(N, 28, 28\)"),
        ((5, 780), r"reshape rows of pixels to \(N, H, W\)"),
        ((5, 4, 6, 4), "with 1 or 3 channels; leave the channel of opacity out"),
        ((5, 4, 6, 2), "with 1 or 3 channels$"),
        ((5,), "x: an array of 5; pictures are"),
        ((), "x: an array of one number"),
        ((5, 0, 6), r"pictures of size 0 \(5x0x6\)"),
    ],
)
def test_shapes_that_are_no_pictures(shape, words):
    with pytest.raises(ModelFileError, match=words):
        as_pictures(np.zeros(shape, np.uint8), "x")


# --- samples ---


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("how", ["divide", "multiply"])
def test_all_256_bytes_survive_a_division(dtype, how):
    whole = np.arange(256).reshape(1, 16, 16)
    if how == "divide":
        unit = (whole / 255).astype(dtype)
    else:
        unit = whole.astype(dtype) * dtype(1 / 255)
    found, notes = as_bytes(unit, "x")
    np.testing.assert_array_equal(found, whole)
    assert notes == (f"x: {np.dtype(dtype).name} samples 0..1 read as 0..255",)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16, np.int64, np.float16, np.float64])
def test_whole_numbers_of_any_type(dtype):
    whole = np.arange(0, 126).reshape(2, 7, 9)
    found, notes = as_bytes(whole.astype(dtype), "x")
    np.testing.assert_array_equal(found, whole)
    assert notes == (f"x: {np.dtype(dtype).name} samples read as bytes",)


def test_truth_values():
    found, notes = as_bytes(np.array([[[True, False]]]), "x")
    assert found.tolist() == [[[255, 0]]] and notes == ("x: true and false read as 255 and 0",)


def test_black_pictures_are_worth_a_word():
    array = np.array([[[0, 1]]], np.uint8)
    found, notes = as_bytes(array, "x")
    assert found is not None and found.tolist() == array.tolist()
    assert notes == ("x: no sample is above 1, of 255; the pictures are black",)


def test_zeros_and_ones_as_floats_are_black_and_white():
    assert as_bytes(np.array([[[0.0, 1.0]]]), "x")[0].tolist() == [[[0, 255]]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.5, 0.3], "the sample 0.5 is no byte: 0..1 was expected to be k/255"),
        ([3.0, 0.5], "the sample 0.5 is no byte: 0..255 was expected to be whole"),
        ([0.0, 255.5], r"samples from 0 to 255.5; bytes are 0 to 255. Save pictures before"),
        ([-0.42, 2.8], "samples from -0.42 to 2.8"),
        ([0.0, np.nan], "NaN or infinity among the samples; repair or drop them"),
        ([0.0, np.inf], "NaN or infinity"),
        ([0, 256], "samples from 0 to 256"),
        ([-1, 5], "samples from -1 to 5"),
        ([1j, 0], "samples of type complex128; pictures have numbers"),
        (["a", "b"], "samples of type str"),
    ],
)
def test_samples_that_are_no_bytes(values, words):
    with pytest.raises(ModelFileError, match=words):
        as_bytes(np.array([[values]]), "x")


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=30),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
)
def test_bytes_through_floats_and_back(values, dtype, unit):
    whole = np.array(values).reshape(-1, 1, 1)
    stored = (whole / 255 if unit else whole).astype(dtype)
    expected = whole * 255 if not unit and max(values) <= 1 else whole
    np.testing.assert_array_equal(as_bytes(stored, "x")[0], expected)


def test_inputs_are_not_changed():
    array = np.full((2, 3, 3), 0.2)
    array.flags.writeable = False
    as_pictures(array, "x")


def test_many_pictures_in_pieces(monkeypatch, rng):
    monkeypatch.setattr("cnntool.data.samples._PIECE", 40)
    whole = rng.integers(0, 256, (11, 3, 5))
    np.testing.assert_array_equal(as_bytes(whole / 255, "x")[0], whole)
