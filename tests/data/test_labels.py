"""Labels into class numbers."""

import numpy as np
import pytest

from cnntool.data.labels import number_labels
from cnntool.errors import ModelFileError


def numbered(train, names=(), **others):
    parts = {part: np.asarray(labels) for part, labels in {"train": train, **others}.items()}
    return number_labels(parts, "x", names)


def test_numbers_stay():
    found = numbered(np.array([2, 0, 1, 2], np.uint8), test=[1, 1])
    assert found.classes == ("0", "1", "2") and found.notes == ()
    assert found.parts["train"].tolist() == [2, 0, 1, 2] and found.parts["test"].tolist() == [1, 1]
    assert all(labels.dtype == np.int64 for labels in found.parts.values())


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.float32, np.float64, bool])
def test_types_of_numbers(dtype):
    assert numbered(np.array([1, 0, 1], dtype)).parts["train"].tolist() == [1, 0, 1]


def test_a_class_without_pictures_stays():
    assert numbered([0, 1, 3]).classes == ("0", "1", "2", "3")
    assert len(numbered([0, 1, 2, 9]).classes) == 10
    assert len(numbered([0, 19]).classes) == 20
    assert numbered([1, 2], test=[0]).classes == ("0", "1", "2")


def test_counting_from_one():
    found = numbered([1, 3, 2], test=[3])
    assert found.classes == ("1", "2", "3") and found.parts["train"].tolist() == [0, 2, 1]
    assert found.parts["test"].tolist() == [2]
    assert found.notes == ("x: labels count from 1; class '1' has number 0",)


def test_words_in_natural_order():
    found = numbered(["class10", "class2", "class2"], test=["class10"])
    assert found.classes == ("class2", "class10")
    assert found.parts["train"].tolist() == [1, 0, 0] and found.parts["test"].tolist() == [1]
    assert numbered(np.array([b"b", b"a"])).classes == ("a", "b")


def test_names_give_the_order():
    assert numbered(["b", "a"], names=("b", "a", "c")).parts["train"].tolist() == [0, 1]
    assert numbered([1, 0], names=("b", "a", "c")).classes == ("b", "a", "c")


def test_empty_parts():
    found = numbered(np.zeros(0, np.uint8), test=np.zeros(0))
    assert found.classes == () and found.parts["test"].dtype == np.int64


def test_a_column():
    found = numbered([[1], [0]])
    assert found.parts["train"].tolist() == [1, 0]
    assert found.notes == ("x: labels of train in a column read as a row",)


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ([0, 1, 255], [], "label 255 where 3 different ones occur"),
        ([0, 20], [], "label 20 where 2 different ones occur"),
        ([0, 1], [2], "label 2 of test is out of range: 2 classes are 0 to 1"),
        ([0, 1], [-1], "labels of test begin at -1; class numbers begin at 0"),
        ([0.5, 1.0], [], "labels of train are fractions; whole numbers or words"),
        ([np.nan, 1.0], [], "labels of train are fractions"),
        ([0, 10**6], [], "labels of train reach 1e.06; at most 100000 classes"),
        ([0, 1], ["a"], "labels of test are of type str"),
        (["a", "b"], [0], "labels of test are int64, those of train words"),
        (["cat", "dog"], ["cow"], "label 'cow' of test is no class of train; it has 'cat', 'dog'"),
        ([b"\xff", b"a"], [], "labels of train are bytes that are no UTF-8 text"),
        ([[1, 0], [0, 1]], [], "an array of 2x2; .*argmax"),
        (np.zeros((2, 2, 2)), [], "an array of 2x2x2; one label a picture is expected$"),
        ([1j, 0], [], "labels of train are of type complex128"),
    ],
)
def test_labels_that_are_no_classes(train, test, words):
    parts = {"train": np.asarray(train)}
    if len(test):
        parts["test"] = np.asarray(test)
    with pytest.raises(ModelFileError, match=words):
        number_labels(parts, "x")


def test_labels_beyond_the_names():
    with pytest.raises(ModelFileError, match="label 2 of train is out of range: 2 classes"):
        numbered([0, 2], names=("a", "b"))


def test_many_classes_in_a_message():
    words = [f"c{n}" for n in range(9)]
    with pytest.raises(ModelFileError, match=r"it has 'c0', .*'c4' and 4 more"):
        numbered(words, test=["z"])
