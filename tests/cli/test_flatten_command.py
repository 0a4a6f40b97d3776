"""``cnntool flatten``: pixels in the order of a network's flatten."""

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from feature_rows import numbers, picture, rows
from PIL import Image


@pytest.fixture
def colour(tmp_path, rng):
    return picture(tmp_path / "colour.png", rng, (45, 38, 3))


@pytest.fixture
def grey(tmp_path, rng):
    return picture(tmp_path / "grey.png", rng, (45, 38))


def test_flatten_order(colour, grey):
    path, pixels = colour
    assert np.array_equal(numbers("flatten", path), pixels.transpose(2, 0, 1).ravel())
    path, pixels = grey
    assert np.array_equal(numbers("flatten", path), pixels.ravel())


def test_flatten_of_the_lecture(samples):
    first = numbers("flatten", samples / "lecture-a.png")
    assert first[:12].tolist() == [3, 3, 5, 1, 2, 3, 3, 4, 0, 1, 4, 5]
    assert len(first) == 36


def test_flatten_unit(tmp_path, colour):
    path, pixels = colour
    np.testing.assert_allclose(
        numbers("flatten", path, "--unit"), pixels.transpose(2, 0, 1).ravel() / 255, rtol=1e-6
    )
    deep = np.array([[0, 257, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert numbers("flatten", tmp_path / "deep.png").tolist() == [0, 257, 65535]
    np.testing.assert_allclose(
        numbers("flatten", tmp_path / "deep.png", "--unit"), [0, 257 / 65535, 1], rtol=1e-6
    )


def test_flatten_gray_and_size(colour):
    path, pixels = colour
    luma = np.rint(pixels @ np.array([0.299, 0.587, 0.114]))
    assert np.abs(numbers("flatten", path, "--gray") - luma.ravel()).max() <= 1
    assert numbers("flatten", path, "--size", "7x5").shape == (7 * 5 * 3,)
    small = numbers("flatten", path, "--size", "1x1", "--gray")
    assert abs(small[0] - luma.mean()) < 2


def test_flatten_mixed_colour_needs_gray(tmp_path, rng):
    picture(tmp_path / "1.png", rng, (6, 5, 3))
    picture(tmp_path / "2.png", rng, (6, 5))
    result = invoke("flatten", tmp_path)
    assert result.status == 1
    assert "gives 30 numbers, the first picture 90; bring all" in result.errors[0]
    assert len(rows(done("flatten", tmp_path, "--gray"))) == 2


def test_flatten_needs_something():
    assert "no input; name files, folders or -" in refused(2, "flatten")
