import numpy as np
import pytest

from cnntool.filters.matrix_text import matrix_lines, number_text, planes


@pytest.mark.parametrize(
    "value, text",
    [
        (3, "3"),
        (-0.0, "0"),
        (-12.0, "-12"),
        (0.1, "0.1"),
        (1 / 3, "0.333333"),
        (2.5e-7, "2.5e-07"),
        (123456789.0, "123456789"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (np.float32(0.25), "0.25"),
        (np.uint8(255), "255"),
    ],
)
def test_numbers(value, text):
    assert number_text(value) == text


def test_columns_are_aligned():
    matrix = np.array([[1, -0.5], [100, 2]])
    assert list(matrix_lines(matrix)) == ["   1 -0.5", " 100    2"]
    assert list(matrix_lines(np.zeros((0, 3)))) == []


@pytest.mark.parametrize(
    "shape, names",
    [
        ((2, 3), [""]),
        ((2, 3, 1), [""]),
        ((2, 3, 2), ["L", "A"]),
        ((2, 3, 3), ["R", "G", "B"]),
        ((2, 3, 4), ["R", "G", "B", "A"]),
    ],
)
def test_planes(shape, names):
    found = list(planes(np.arange(np.prod(shape)).reshape(shape)))
    assert [name for name, _ in found] == names
    assert all(plane.shape == (2, 3) for _, plane in found)
