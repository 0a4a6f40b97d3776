"""Confusion matrices: what colour means, what fits, what is said."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnntool.errors import OptionError, ShapeError
from cnntool.report import confusion
from cnntool.report.confusion import confused_pairs, confusion_picture, confusion_png

NAMES = ("cat", "dog", "owl")


def cell(matrix, labels, row, column, title=""):
    """The pixels of one cell, without lines."""
    sheet = confusion._Sheet(np.array(matrix), list(labels), title)
    picture = confusion_picture(matrix, labels, title)
    top, left = sheet.top + row * sheet.side, sheet.left + column * sheet.side
    return picture[top + 1 : top + sheet.side - 1, left + 1 : left + sheet.side - 1]


def colour(matrix, row, column, labels=NAMES):
    """The colour of a cell, beside its number."""
    return cell(matrix, labels, row, column)[0, 0].astype(int)


def many(classes, errors=3):
    """A matrix with some errors a row."""
    rng = np.random.default_rng(classes)
    counts = np.diag(rng.integers(50, 100, classes))
    rows, columns = rng.integers(0, classes, (2, errors * classes))
    np.add.at(counts, (rows, columns), 1)
    return counts


# --- colours ---


def test_right_is_blue_wrong_is_red_nothing_is_white():
    matrix = [[90, 10, 0], [3, 47, 0], [0, 1, 99]]
    for k in range(3):
        red, _, blue = colour(matrix, k, k)
        assert blue > red + 80
    for row, column in ((0, 1), (1, 0), (2, 1)):
        red, _, blue = colour(matrix, row, column)
        assert red > blue + 50
    for row, column in ((0, 2), (1, 2), (2, 0)):
        assert (colour(matrix, row, column) == 255).all()


def test_darker_means_a_larger_share_of_the_true_class():
    matrix = [[800, 150, 50], [10, 85, 5], [0, 0, 9]]
    lightness = [colour(matrix, row, column).sum() for row, column in ((0, 1), (1, 0), (0, 2))]
    assert lightness == sorted(lightness)
    # 5 of 100 and 50 of 1000 are the same share
    assert (colour(matrix, 1, 2) == colour(matrix, 0, 2)).all()
    assert colour(matrix, 2, 2).sum() < colour(matrix, 1, 1).sum() < colour(matrix, 0, 0).sum()


def test_a_single_error_is_seen_beside_many():
    matrix = [[99_999, 1, 0], [50_000, 50_000, 0], [0, 0, 100_000]]
    assert 255 - colour(matrix, 0, 1).min() > 40


def test_a_class_without_pictures_is_grey():
    matrix = [[5, 1, 0], [0, 0, 0], [0, 2, 7]]
    for column in range(3):
        found = colour(matrix, 1, column)
        assert len(set(found)) == 1
        assert found[0] < 250


def test_nothing_wrong_and_nothing_at_all():
    perfect = confusion_picture(np.diag([5, 6, 7]), NAMES)
    faulty = confusion_picture([[5, 0, 0], [0, 6, 0], [1, 0, 6]], NAMES)
    assert perfect.shape == faulty.shape
    reddish = (perfect[..., 0].astype(int) - perfect[..., 2]) > 40
    assert not reddish.any()  # no scale of errors in the legend either
    empty = confusion_picture(np.zeros((3, 3), int), NAMES)
    assert empty.shape == perfect.shape


# --- numbers and names ---


def has_number(matrix, row, column, labels=NAMES):
    pixels = cell(matrix, labels, row, column)
    return bool((pixels != pixels[0, 0]).any())


def test_numbers_stand_in_cells_but_for_zeros():
    matrix = [[90, 10, 0], [3, 47, 0], [0, 1, 99]]
    for row in range(3):
        for column in range(3):
            assert has_number(matrix, row, column) == (matrix[row][column] > 0)


def test_numbers_that_do_not_fit_vanish():
    matrix = np.diag([5] * 100)
    matrix[0, 0] = 1234567
    labels = [str(n) for n in range(100)]
    assert not has_number(matrix, 0, 0, labels)
    assert has_number(matrix, 1, 1, labels)
    large = np.diag([5] * 200)
    assert not has_number(large, 1, 1, [str(n) for n in range(200)])


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 37, 100, 200, 700])
def test_sizes(classes):
    picture = confusion_picture(many(classes), [f"class {n}" for n in range(classes)], "title")
    height, width, channels = picture.shape
    assert (picture.dtype, channels) == (np.uint8, 3)
    assert 200 < height < 2500
    assert 200 < width < 2500
    # nothing is cut off at the sides
    frame = np.concatenate([picture[:3].reshape(-1), picture[-3:].reshape(-1)])
    assert (frame == 255).all()
    assert (picture[:, :2] == 255).all()
    assert (picture[:, -2:] == 255).all()


def test_long_names_are_shortened_and_stand_upright():
    matrix = np.diag([5, 6, 7])
    short = confusion_picture(matrix, NAMES)
    longer = confusion_picture(matrix, ["a longish name", "dog", "owl"])
    longest = confusion_picture(matrix, ["a class with a very long name" * 20, "dog", "owl"])
    assert short.shape[0] < longer.shape[0] <= longest.shape[0] < short.shape[0] + 200
    assert longest.shape[1] < short.shape[1] + 200


def test_titles_widen_the_picture():
    matrix = np.diag([5, 6, 7])
    wide = confusion_picture(matrix, NAMES, "a long title " * 8)
    assert wide.shape[1] > confusion_picture(matrix, NAMES).shape[1]
    assert wide.shape[0] > confusion_picture(matrix, NAMES).shape[0]


def test_the_accuracy_is_told():
    def summary(matrix):
        return confusion._Sheet(np.array(matrix), ["a", "b"], "")._summary()

    assert summary([[980, 20], [3, 497]]) == "accuracy 98.47 %, 23 of 1500 wrong"
    assert summary([[0, 0], [0, 0]]) == "no pictures"


def test_any_letters():
    confusion_picture(np.eye(3, dtype=int), ["漢字", "caf\udce9", "a\nb"], "\x1b[31m 漢")


def test_png():
    matrix = many(10)
    labels = list("0123456789")
    with Image.open(io.BytesIO(confusion_png(matrix, labels, "digits"))) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(
            np.asarray(image), confusion_picture(matrix, labels, "digits")
        )


# --- pairs ---


def test_pairs():
    matrix = [[970, 0, 12], [4, 90, 0], [4, 0, 0]]
    assert confused_pairs(matrix, ["4", "7", "9"]) == [
        "4 taken for 9: 12 of 982",
        "9 taken for 4: 4 of 4",  # of equal counts the larger share
        "7 taken for 4: 4 of 94",
    ]
    assert confused_pairs(matrix, ["4", "7", "9"], 1) == ["4 taken for 9: 12 of 982"]
    assert confused_pairs(matrix, ["4", "7", "9"], 0) == []
    assert confused_pairs(np.diag([1, 2]), ["a", "b"]) == []


@settings(max_examples=50)
@given(st.integers(1, 6), st.integers(0, 8), st.randoms(use_true_random=False))
def test_pairs_are_the_largest_counts(classes, most, random):
    matrix = [[random.choice([0, 0, 1, 2, 30]) for _ in range(classes)] for _ in range(classes)]
    labels = [f"c{n}" for n in range(classes)]
    wanted = []
    for row in range(classes):
        for column in range(classes):
            if row != column and matrix[row][column]:
                total = sum(matrix[row])
                count = matrix[row][column]
                text = f"c{row} taken for c{column}: {count} of {total}"
                wanted.append((-count, -count / total, row, column, text))
    assert confused_pairs(matrix, labels, most) == [text for *_, text in sorted(wanted)[:most]]


# --- refusals ---


@pytest.mark.parametrize(
    ("matrix", "labels", "error", "message"),
    [
        ([[1, 2]], ["a"], ShapeError, "a row and a column for each class, got shape 1x2"),
        ([1, 2], ["a"], ShapeError, "a row and a column for each class, got shape 2"),
        (np.zeros((0, 0), int), [], ShapeError, "got shape 0x0"),
        (np.eye(3, dtype=int), ["a"], ShapeError, "3 classes need as many labels, got 1"),
        ([[1, -1], [0, 1]], ["a", "b"], OptionError, "holds counts: whole numbers of at least 0"),
        ([[0.5, 1], [0, 1]], ["a", "b"], OptionError, "holds counts: whole numbers of at least 0"),
        (
            np.zeros((2001, 2001), int),
            [""] * 2001,
            OptionError,
            "2001 classes are too many to draw",
        ),
    ],
)
def test_refusals(matrix, labels, error, message):
    for function in (confusion_picture, confused_pairs):
        with pytest.raises(error, match=message):
            function(matrix, labels)
