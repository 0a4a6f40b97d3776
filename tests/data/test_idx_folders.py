"""Folders of IDX files: pairs of pictures and labels, names of classes, EMNIST."""

import gzip
import shutil

import numpy as np
import pytest
from data_files import idx, write_idx

from cnntool.data.idx_folders import idx_sets, load_idx
from cnntool.data.loading import load
from cnntool.errors import ModelFileError


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (12, 4, 6), dtype=np.uint8)


LABELS = np.array([0, 1, 2] * 4)


def refused(words, folder="d", **options):
    with pytest.raises(ModelFileError, match=words) as caught:
        load(folder, **options)
    assert caught.value.exit_code == 4


def test_parts_of_a_set(folder, images):
    write_idx(folder / "d", images, LABELS)
    write_idx(folder / "d", images[:5], LABELS[:5], "t10k", packed=True)
    write_idx(folder / "d", images[5:8], LABELS[5:8], "validation")
    data = load("d")
    assert (data.name, data.classes, data.color) == ("d", ("0", "1", "2"), "gray")
    np.testing.assert_array_equal(data.train.images[:, 0], images)
    np.testing.assert_array_equal(data.train.labels, LABELS)
    np.testing.assert_array_equal(data.test.images[:, 0], images[:5])
    np.testing.assert_array_equal(data.validation.labels, LABELS[5:8])
    assert data.train.labels.dtype == np.int64 and data.notes == ()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("TRAIN-IMAGES-IDX3-UBYTE", "TRAIN-LABELS-IDX1-UBYTE"),
        ("images-idx3-ubyte", "labels-idx1-ubyte"),
        ("cars-train-images-idx3-ubyte", "cars-train-labels-idx1-ubyte"),
    ],
)
def test_names_of_files(folder, images, name, other):
    (folder / name).write_bytes(idx(images))
    (folder / f"{other}.gz").write_bytes(gzip.compress(idx(LABELS.astype(np.uint8))))
    assert len(load(str(folder)).train) == 12


def test_a_plain_file_goes_before_a_packed_one(folder, images):
    write_idx(folder / "d", images, LABELS, packed=True)
    write_idx(folder / "d", images[:6], LABELS[:6])
    assert len(load("d").train) == 6


def test_colour_pictures(folder, rng):
    images = rng.integers(0, 256, (4, 3, 5, 6), dtype=np.uint8)
    (folder / "train-images-idx4-ubyte").write_bytes(idx(images))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.array([0, 1, 1, 0], np.uint8)))
    data = load(str(folder))
    assert data.color == "rgb" and data.shape == (3, 5, 6)
    np.testing.assert_array_equal(data.train.images, images)


def test_float_pictures(folder):
    images = (np.arange(48).reshape(4, 3, 4) * 5 / 255).astype(np.float32)
    (folder / "train-images-idx3-ubyte").write_bytes(idx(images))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.array([0, 1, 1, 0], np.uint8)))
    data = load(str(folder))
    np.testing.assert_array_equal(data.train.images.ravel(), np.arange(48) * 5)
    assert "float32 samples 0..1 read as 0..255" in data.notes[0]


# --- what does not fit ---


def test_counts_that_differ(folder, images):
    write_idx(folder / "d", images[:4], [0, 1, 2, 0, 1])
    refused("train-labels-idx1-ubyte': 5 labels for 4 pictures")


def test_labels_out_of_range(folder, images):
    write_idx(folder / "d", images[:4], [0, 1, 2, 255])
    refused("label 255 where 4 different ones occur; labels are class numbers 0, 1, 2")


def test_labels_of_the_test_that_were_never_trained(folder, images):
    write_idx(folder / "d", images, LABELS)
    write_idx(folder / "d", images[:3], [0, 1, 3], "t10k")
    refused("label 3 of test is out of range: 3 classes are 0 to 2")


def test_labels_in_two_dimensions(folder, images):
    write_idx(folder / "d", images, LABELS)
    column = LABELS.astype(np.uint8)[:, None]
    (folder / "d" / "train-labels-idx1-ubyte").write_bytes(idx(column))
    assert "labels of train in a column read as a row" in load("d").notes[0]
    one_hot = np.eye(3, dtype=np.uint8)[LABELS]
    (folder / "d" / "train-labels-idx1-ubyte").write_bytes(idx(one_hot))
    refused("labels of train are an array of 12x3; one label a picture.*one-hot.*argmax")


def test_pictures_with_nan(folder):
    images = np.zeros((2, 2, 2), np.float32)
    images[1, 0, 1] = np.nan
    (folder / "train-images-idx3-ubyte").write_bytes(idx(images))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.array([0, 1], np.uint8)))
    refused("NaN or infinity among the samples", str(folder))


def test_no_samples(folder):
    write_idx(folder / "d", np.zeros((0, 3, 3)), np.zeros(0))
    refused("d: no pictures to learn from")


def test_one_class(folder, images):
    write_idx(folder / "d", images, np.zeros(12))
    refused("d: all pictures are of one class, '0'; two at least are needed")


def test_missing_files(folder, images):
    write_idx(folder / "d", images, LABELS)
    (folder / "d" / "train-labels-idx1-ubyte").unlink()
    refused("no labels for train; pictures and labels are two files")
    write_idx(folder / "e", images, LABELS, "t10k")
    refused("no pictures to learn from", "e")


def test_an_empty_test_set_is_none(folder, images):
    write_idx(folder / "d", images, LABELS)
    write_idx(folder / "d", images[:0], LABELS[:0], "t10k")
    assert load("d").test is None


@pytest.mark.shared
def test_bad_labels_of_the_collection(folder, shared_data):
    files = shared_data / "malformed" / "idx-malformed"
    for name, words in (
        ("labels-out-of-range.idx1", "label 255"),
        ("labels-count-5.idx1", "5 labels for 4 pictures"),
        ("labels-2d.idx", "of one class"),  # a column, read with a note
        ("ok-labels.idx1-ubyte", None),
    ):
        shutil.copy(files / "ok-images.idx3-ubyte", folder / "train-images-idx3-ubyte")
        shutil.copy(files / name, folder / "train-labels-idx1-ubyte")
        if words is None:
            assert len(load(str(folder)).train) == 4
        else:
            refused(words, str(folder))
    shutil.copy(files / "f32-nan.idx", folder / "train-images-idx3-ubyte")
    refused("an array of 2x2; pictures are", str(folder))


# --- EMNIST, several sets, names ---


def test_several_sets_in_one_folder(folder, images):
    for name, count in (("emnist-digits", 12), ("emnist-letters", 9)):
        write_idx(folder / "e", images[:count], LABELS[:count], prefix=f"{name}-")
    assert set(idx_sets("e")) == {"emnist-digits", "emnist-letters"}
    refused("several sets of IDX files; name one of 'e/emnist-digits', 'e/emnist-letters'", "e")
    data = load("e/emnist-letters")
    assert data.name == "emnist-letters" and len(data.train) == 9
    np.testing.assert_array_equal(data.train.images[:, 0], images[:9].transpose(0, 2, 1))
    assert "turned upright" in data.notes[0]


def test_emnist_letters_count_from_one(folder, rng):
    labels = np.array([1, 2, 3, 2])
    write_idx(folder, rng.integers(0, 9, (4, 5, 5)), labels, prefix="emnist-letters-")
    (folder / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n3 67 99\n")
    data = load(str(folder))
    assert data.classes == ("A", "B", "C") and data.train.labels.tolist() == [0, 1, 2, 1]
    assert any("labels count from 1" in note for note in data.notes)


def test_names_in_a_file(folder, images):
    write_idx(folder / "d", images, LABELS)
    (folder / "d" / "classes.txt").write_text("cat\ndog\n\ncow\nhen\n")
    assert load("d").classes == ("cat", "dog", "cow", "hen")
    (folder / "d" / "classes.txt").write_text("cat\ndog\n")
    refused("label 2 of train is out of range: 2 classes are 0 to 1")
    (folder / "d" / "classes.txt").write_bytes(b"\xff\xfe")
    refused("names of classes cannot be read")


def test_a_folder_called_like_a_known_set_has_its_names(folder, rng):
    labels = np.arange(10)
    write_idx(folder / "x" / "fashion-mnist", rng.integers(0, 9, (10, 5, 5)), labels)
    assert load("x/fashion-mnist").classes[:2] == ("T-shirt/top", "Trouser")
    (folder / "x" / "fashion-mnist").rename(folder / "x" / "other")
    assert load("x/other").classes[:2] == ("0", "1")


def test_no_idx_files(folder):
    with pytest.raises(ModelFileError, match=r"no IDX files such as train-images-idx3-ubyte\.gz"):
        load_idx(str(folder))
