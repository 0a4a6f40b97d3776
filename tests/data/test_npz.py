"""Data sets in one .npz: keys, shapes, and archives that mean harm."""

import io
import pickle
import struct
import sys
import zipfile

import numpy as np
import pytest
from data_files import npy, npz
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.data import memory
from cnntool.data.loading import load
from cnntool.data.npz import load_npz, read_npz
from cnntool.errors import CnntoolError, LimitError, ModelFileError

X = np.arange(4 * 3 * 5, dtype=np.uint8).reshape(4, 3, 5) * 4
Y = np.array([0, 1, 1, 0])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "d.npz"


@pytest.fixture
def loaded(path):
    """Writes arrays by NumPy itself and loads them."""

    def function(**arrays):
        np.savez(path, **arrays)
        return load(str(path))

    return function


def refused(path, data, words):
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=words) as caught:
        load_npz(str(path))
    assert "d.npz" in str(caught.value) and caught.value.exit_code == 4


# --- what is read ---


def test_keras_names(loaded):
    data = loaded(x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2])
    assert (data.name, data.color, data.classes, data.notes) == ("d", "gray", ("0", "1"), ())
    np.testing.assert_array_equal(data.train.images[:, 0], X)
    np.testing.assert_array_equal(data.test.images[:, 0], X[:2])
    assert data.train.labels.tolist() == Y.tolist() and data.validation is None


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "val_images", "val_labels"),
        ("images", "labels", "x_val", "y_val"),
        ("X", "Y", "x_valid", "y_valid"),
    ],
)
def test_other_names(loaded, names):
    x, y, x_val, y_val = names
    data = loaded(**{x: X, y: Y[:, None], x_val: X[1:], y_val: Y[1:]})
    assert len(data.train) == 4 and len(data.validation) == 3
    assert "in a column" in data.notes[0]


def test_compressed_and_in_fortran_order(path):
    np.savez_compressed(path, x_train=np.asfortranarray(X), y_train=Y)
    np.testing.assert_array_equal(load(str(path)).train.images[:, 0], X)


@pytest.mark.parametrize("dtype", [">i2", "<u4", "i8", ">f4", "f8", "bool"])
def test_types_of_samples(loaded, dtype):
    values = X > 50 if dtype == "bool" else X
    data = loaded(x_train=values.astype(dtype), y_train=Y)
    expected = np.where(values, 255, 0) if dtype == "bool" else X
    np.testing.assert_array_equal(data.train.images[:, 0], expected)


def test_floats_from_0_to_1(loaded):
    data = loaded(x_train=(X / 255).astype(np.float32), y_train=Y)
    np.testing.assert_array_equal(data.train.images[:, 0], X)


def test_colour_last_and_first(loaded, rng):
    pictures = rng.integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    expected = pictures.transpose(0, 3, 1, 2)
    for array in (pictures, expected):
        data = loaded(x=array, y=Y)
        np.testing.assert_array_equal(data.train.images, expected)
        assert data.color == "rgb" and data.shape == (3, 5, 6)


@pytest.mark.parametrize(
    "words", [np.array(["b", "a", "a", "b"]), np.array([b"b", b"a", b"a", b"b"])]
)
def test_words_as_labels(loaded, words):
    data = loaded(x=X, y=words)
    assert data.classes == ("a", "b") and data.train.labels.tolist() == [1, 0, 0, 1]


def test_names_of_classes(loaded):
    data = loaded(x=X, y=Y, classes=np.array(["cat", "dog", "cow"]))
    assert data.classes == ("cat", "dog", "cow") and data.notes == ()
    assert loaded(x=X, y=Y, classes=np.array([b"cat", b"dog"])).classes == ("cat", "dog")


def test_other_arrays_are_named(loaded):
    assert loaded(x=X, y=Y, weights=np.ones(4)).notes == (
        f"{_shown(loaded)}: other arrays are left out: 'weights'",
    )


def _shown(loaded):
    return f"'{loaded.__closure__[0].cell_contents}'"


# --- arrays that are no data set ---


def test_vectors_come_with_their_pictures(loaded, rng):
    vectors, others = rng.standard_normal((4, 3)), np.arange(4).reshape(2, 2)
    data = loaded(x_train=X, y_train=Y, vectors_train=vectors, x_test=X[:2], y_test=Y[:2],
                  vectors_test=others)  # fmt: skip
    np.testing.assert_array_equal(data.train.vectors, vectors.astype(np.float32))
    np.testing.assert_array_equal(data.test.vectors, others)
    assert data.notes == ()
    np.testing.assert_array_equal(
        data.train.take(np.array([2, 0])).vectors, data.train.vectors[[2, 0]]
    )
    changed = loaded(x_train=X, y_train=Y, vectors_train=vectors + 1, x_test=X[:2], y_test=Y[:2],
                     vectors_test=others)  # fmt: skip
    bare = loaded(x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2])
    assert bare.train.vectors is None
    assert len({found.fingerprint for found in (data, changed, bare)}) == 3


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (np.zeros((3, 2)), "vectors_train: 3 rows for 4 pictures"),
        (np.zeros(4), "vectors_train: no table of numbers, one row a picture"),
        (np.zeros((4, 0)), "vectors_train: no table of numbers"),
        (np.full((4, 1), "a"), "vectors_train: no table of numbers"),
        (np.full((4, 1), np.nan), "vectors_train: NaN or infinity"),
        (np.full((4, 1), 1e300), "vectors_train: NaN or infinity"),
    ],
)
def test_vectors_that_do_not_fit(path, vectors, words):
    np.savez(path, x_train=X, y_train=Y, vectors_train=vectors)
    refused(path, path.read_bytes(), words)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x_train": X}, "has x_train but no y_train"),
        ({"y_test": Y, "x": X, "y": Y}, "has y_test but no x_test"),
        ({"a": X, "b": Y}, r"no x_train and y_train \(nor .*\); it holds 'a', 'b'"),
        ({}, "it holds nothing"),
        ({"x_train": X, "images": X, "y": Y}, "both 'x_train' and 'images'; keep one"),
        ({"x": X, "y": Y[:3]}, "3 labels in y for 4 pictures in x"),
        ({"x": X, "y": np.array([0, 1, 1, 99])}, "label 99 where 3 different ones occur"),
        (
            {"x": X, "y": Y, "x_test": X[:, 1:], "y_test": Y},
            "parts of different sizes: train 1x3x5",
        ),
        ({"x": X.reshape(4, 15), "y": Y}, r"x: an array of 4x15; .*\(N, H, W\)"),
        ({"x": X - 99.5, "y": Y}, "samples from -99.5 to .*before they are normalised"),
        ({"x": X, "y": Y, "classes": np.array(["a", "a"])}, "no list of different names"),
        ({"x": X, "y": Y, "classes": Y}, "no list of different names"),
        ({"x": X, "y": np.float32(3)}, "labels of train are an array of"),
        ({"x": np.array(["a"] * 4), "y": Y}, "an array of 4; pictures are"),
    ],
)
def test_arrays_that_do_not_fit(path, arrays, words):
    np.savez(path, **arrays)
    refused(path, path.read_bytes(), words)


def test_nothing_to_learn_from(loaded):
    with pytest.raises(ModelFileError, match="d: no pictures to learn from"):
        loaded(x=X[:0], y=Y[:0])
    with pytest.raises(ModelFileError, match="NaN or infinity"):
        loaded(x=np.where(X > 100, np.nan, X), y=Y)


# --- archives that are damaged or mean harm ---


class Marker:
    """Pickled, it writes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickles_are_never_loaded(path, tmp_path):
    marker = str(tmp_path / "executed")
    events = []
    sys.addaudithook(lambda name, _: events.append(name) if name == "pickle.find_class" else None)
    objects = np.array([Marker(marker)], object)
    np.savez(path, x=X, y=objects)
    refused(path, path.read_bytes(), "y.npy: Python objects, which are never loaded")
    refused(
        path, npz({"x": X, "y.npy": pickle.dumps(Marker(marker))}), "no array in NumPy's format"
    )
    assert not (tmp_path / "executed").exists() and not events


def header(text: bytes, body=b"", version=1):
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text + body


HEAD = b"{'descr': '|u1', 'fortran_order': False, 'shape': (4, 3, 5), }\n"


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (header(HEAD, bytes(59)), "60 bytes of samples expected, 59 found"),
        (header(HEAD, bytes(61)), "60 bytes of samples expected, 61 found"),
        (
            header(HEAD.replace(b"4, 3, 5", b"65536, 65536, 8"), bytes(9)),
            "samples expected, 9 found",
        ),
        (header(HEAD.replace(b"|u1", b"|V4"), bytes(240)), "dtype '|V4'; numbers or text only"),
        (header(HEAD.replace(b"|u1", b"<c8"), bytes(480)), "dtype '<c8'"),
        (header(HEAD.replace(b"|u1", b"<M8"), bytes(480)), "dtype '<M8'"),
        (header(HEAD.replace(b"'|u1'", b"[('a','|u1')]"), bytes(60)), "structured array"),
        (header(HEAD.replace(b"False", b"__import__('os')"), bytes(60)), "damaged .npy"),
        (header(HEAD, bytes(60), version=9), "unknown format version 9.0"),
        (b"\x93NUMPY\x02\0" + struct.pack("<I", 10**9) + HEAD, "a header of 1000000000 bytes"),
        (b"\x93NUM", "no array in NumPy's format"),
        (b"", "no array in NumPy's format"),
    ],
)
def test_members_that_are_damaged(path, member, words):
    refused(path, npz({"x.npy": member, "y": Y}), words)


def test_archives_with_odd_members(path):
    refused(path, npz({"x": X, "y": Y, "readme.txt": b"hello"}), "'readme.txt' is no .npy file")
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = io.BytesIO(npz({"x": X, "y": Y}))
        with zipfile.ZipFile(data, "a") as archive:
            archive.writestr("x.npy", npy(X))
    refused(path, data.getvalue(), "'x.npy' is there twice")
    refused(path, npz({"x": X, "y": Y}, zipfile.ZIP_BZIP2), "packed in a way that NumPy never uses")
    many = {f"a{n}": np.zeros(1, np.uint8) for n in range(1001)}
    refused(path, npz(many), "1001 members; a data set has a few")


def test_encrypted_members(path):
    data = bytearray(npz({"x": X, "y": Y}, zipfile.ZIP_STORED))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    refused(path, bytes(data), "'x.npy' is encrypted")


def test_a_member_that_claims_too_much(path, monkeypatch):
    data = bytearray(npz({"x": X, "y": Y}))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 3_000_000_000)
    refused(path, bytes(data), r"claims to unpack \d+ bytes to 3000000000")
    monkeypatch.setattr(memory, "budget", lambda: 100)
    path.write_bytes(npz({"x": X, "y": Y}))
    with pytest.raises(LimitError, match=r"its arrays need .* of memory, a data set may take 100"):
        load_npz(str(path))


def test_every_cut_is_noticed(path):
    data = npz({"x": X, "y": Y})
    for end in range(0, len(data), 3):
        path.write_bytes(data[:end])
        with pytest.raises(ModelFileError):
            load_npz(str(path))
    refused(path, data[:-5], "damaged .npz")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_flipped_bits_never_change_samples(path, compression, rng):
    data = npz({"x": X, "y": Y}, compression)
    for place in rng.integers(0, 8 * len(data), 400):
        spoiled = bytearray(data)
        spoiled[place // 8] ^= 1 << int(place) % 8
        path.write_bytes(bytes(spoiled))
        try:
            arrays = read_npz(str(path))
        except CnntoolError:
            continue
        for name, expected in (("x", X), ("y", Y)):
            if name in arrays:  # its name may be what changed
                np.testing.assert_array_equal(arrays[name], expected)


@settings(max_examples=60)
@given(st.binary(max_size=200), st.integers(0, 600))
def test_any_bytes(tmp_path_factory, noise, place):
    data = npz({"x": X, "y": Y})
    path = tmp_path_factory.mktemp("npz") / "d.npz"
    path.write_bytes(data[:place] + noise + data[place + len(noise) :])
    try:
        load_npz(str(path))
    except CnntoolError as error:
        assert len(error.message) < 400


def test_no_file(tmp_path):
    with pytest.raises(ModelFileError, match="cannot be read: no such file"):
        load_npz(str(tmp_path / "gone.npz"))
    with pytest.raises(ModelFileError, match="cannot be read: Is a directory"):
        load_npz(str(tmp_path))
