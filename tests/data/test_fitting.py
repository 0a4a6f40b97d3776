"""Pictures to one size, colour and depth: geometry and samples against plain rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnntool.data.fitting import (
    brightness_of_edges,
    fitted,
    framed,
    nearest,
    on_white,
    placement,
    prepared,
)
from cnntool.errors import InputError, NameNotFound
from cnntool.images.picture import Picture


def picture(pixels, **options):
    return Picture(np.asarray(pixels), **options)


# --- geometry ---


sides = st.integers(1, 300)


@settings(max_examples=200)
@given(sides, sides, sides, sides)
def test_crop_takes_the_largest_middle_part_of_the_right_shape(height, width, rows, columns):
    top, left, h, w, size, offset = placement(height, width, (rows, columns), "crop")
    assert size == (rows, columns) and offset == (0, 0)
    assert 1 <= h <= height and 1 <= w <= width and (h == height or w == width)
    # in the middle, as far as whole pixels go
    assert 0 <= (height - h) - 2 * top <= 1 and 0 <= (width - w) - 2 * left <= 1
    # one side is whole, the other within half a pixel of the exact proportion
    assert abs(h - width * rows / columns) <= 0.5 or abs(w - height * columns / rows) <= 0.5 or (
        1 in (h, w)
    )  # fmt: skip


@settings(max_examples=200)
@given(sides, sides, sides, sides)
def test_pad_keeps_the_proportions_inside(height, width, rows, columns):
    top, left, h, w, (made_h, made_w), (y, x) = placement(height, width, (rows, columns), "pad")
    assert (top, left, h, w) == (0, 0, height, width)
    assert 1 <= made_h <= rows and 1 <= made_w <= columns
    assert made_h == rows or made_w == columns
    scale = min(rows / height, columns / width)
    assert abs(made_h - max(1, height * scale)) <= 0.5 + 1e-9
    assert abs(made_w - max(1, width * scale)) <= 0.5 + 1e-9
    assert 0 <= rows - made_h - 2 * y <= 1 and 0 <= columns - made_w - 2 * x <= 1


def test_stretch_takes_everything():
    assert placement(3, 5, (7, 2), "stretch") == (0, 0, 3, 5, (7, 2), (0, 0))


def test_unknown_words():
    with pytest.raises(NameNotFound, match="unknown fit 'corp'; did you mean 'crop'"):
        placement(3, 5, (7, 2), "corp")
    with pytest.raises(NameNotFound, match="unknown colour mode 'grey'; did you mean 'gray'"):
        prepared(picture(np.zeros((2, 3), np.uint8)), "grey")


# --- samples ---


def test_no_size_changes_nothing(rng):
    pixels = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(prepared(picture(pixels), "rgb"), pixels.transpose(2, 0, 1))
    grey = pixels[..., 0]
    np.testing.assert_array_equal(prepared(picture(grey), "gray"), grey[None])
    np.testing.assert_array_equal(prepared(picture(grey), "rgb"), np.stack([grey] * 3))


def test_colour_to_grey_is_luma(rng):
    pixels = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    found = prepared(picture(pixels), "gray")[0]
    expected = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(found - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("size", [(9, 4), (3, 11), (20, 30)])
def test_stretch_is_pillows_bilinear(rng, size, channels):
    shape = (13, 17, channels) if channels else (13, 17)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    found = prepared(picture(pixels), "rgb" if channels else "gray", size)
    oracle = Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR)
    expected = np.asarray(oracle).reshape(*size, -1).transpose(2, 0, 1)
    # Pillow rounds between its two passes
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_crop_cuts_before_it_shrinks(rng):
    pixels = rng.integers(0, 256, (8, 20), dtype=np.uint8)
    found = prepared(picture(pixels), "gray", (4, 4), "crop")
    expected = prepared(picture(pixels[:, 6:14]), "gray", (4, 4))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("background", "sample"), [(0.0, 0), (1.0, 255), (0.5, 128)])
def test_pad_surrounds(rng, background, sample):
    pixels = rng.integers(0, 256, (8, 20, 3), dtype=np.uint8)
    found = prepared(picture(pixels), "rgb", (11, 10), "pad", background)
    inner = prepared(picture(pixels), "rgb", (4, 10))
    np.testing.assert_array_equal(found[:, 3:7], inner)
    assert (found[:, :3] == sample).all() and (found[:, 7:] == sample).all()


def test_16_bits_and_floats():
    deep = np.array([[0, 257 * 3, 257 * 200 + 128, 65535]], np.uint16)
    assert fitted(picture(deep), gray=True).tolist() == [[0, 3, 200, 255]]
    assert fitted(picture(np.array([[1.5, -3, 300, 2.5]])), gray=True).tolist() == [[2, 0, 255, 2]]
    with pytest.raises(InputError, match="NaN or infinity among its samples"):
        fitted(picture(np.array([[np.nan, 1]], np.float32)), gray=False)


def test_16_bits_keep_their_precision_until_the_end():
    deep = np.array([[100, 200]], np.uint16).repeat(2, axis=0)  # below one step of 8 bits
    assert fitted(picture(deep), gray=True, size=(1, 1)).tolist() == [[1]]


def test_transparent_parts_are_white():
    colour = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 200, 51]]], np.uint8)
    found = prepared(picture(colour, alpha=True), "rgb")
    assert found[:, 0].T.tolist() == [[10, 20, 30], [255, 255, 255], [204, 224, 244]]
    grey = np.array([[[0, 0], [100, 255]]], np.uint16)
    assert on_white(picture(grey, alpha=True)).pixels.tolist() == [
        [65535, round(65535 + (100 - 65535) * 255 / 65535)]
    ]


@pytest.mark.parametrize("channels", [2, 4])
def test_strange_channels(channels):
    with pytest.raises(InputError, match=f"{channels} channels; pictures have one, or red"):
        fitted(picture(np.zeros((2, 3, channels), np.uint8)), gray=False)


def test_frames():
    pixels = np.array([[1, 2]], np.uint8)
    assert framed(pixels, 1, (2, 4), 1.0).tolist() == [[[255, 1, 2, 255], [255] * 4]]
    assert framed(pixels, 3).tolist() == [[[1, 2]]] * 3


def test_edges_decide_the_background(rng):
    paper = np.full((9, 9), 240, np.uint8)
    paper[1:-1, 1:-1] = 0  # dark inside
    night = 255 - paper
    assert brightness_of_edges([paper, night, paper, None]) == 1.0
    assert brightness_of_edges([paper, night, night]) == 0.0
    assert brightness_of_edges([]) == 0.0
    assert brightness_of_edges([np.full((2, 3, 3), 128, np.uint8)]) == 1.0


def test_inputs_are_not_changed(rng):
    pixels = rng.integers(0, 256, (8, 9, 4), dtype=np.uint8)
    pixels.flags.writeable = False
    for fit in ("stretch", "crop", "pad"):
        prepared(picture(pixels, alpha=True), "gray", (4, 3), fit)


# --- masks ---


def slow_nearest(mask, size):
    """Every new pixel from the old pixel that its middle lies in."""
    out = np.zeros(size, mask.dtype)
    for y in range(size[0]):
        for x in range(size[1]):
            row = (y + 0.5) * mask.shape[0] / size[0]
            column = (x + 0.5) * mask.shape[1] / size[1]
            out[y, x] = mask[int(row), int(column)]
    return out


@pytest.mark.parametrize("size", [(3, 4), (7, 5), (21, 10), (1, 1), (4, 40)])
def test_nearest(rng, size):
    mask = rng.integers(0, 9, (7, 10), dtype=np.uint8)
    np.testing.assert_array_equal(nearest(mask, size, "stretch"), slow_nearest(mask, size))
    top, left, h, w, made, _ = placement(7, 10, size, "crop")
    part = mask[top : top + h, left : left + w]
    np.testing.assert_array_equal(nearest(mask, size, "crop"), slow_nearest(part, made))
    made = placement(7, 10, size, "pad").size
    np.testing.assert_array_equal(nearest(mask, size, "pad"), slow_nearest(mask, made))


def test_masks_lie_where_their_pictures_lie(rng):
    """A picture of flat areas and its mask meet after any fit."""
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 1
    mask[20:] += 2
    for fit in ("stretch", "crop", "pad"):
        small = nearest(mask, (10, 12), fit)
        shades = fitted(picture(mask * 60), gray=True, size=(10, 12), fit=fit)
        assert small.shape == shades.shape
        assert np.abs(small.astype(int) * 60 - shades).max() <= 60  # at borders alone
        assert (np.rint(shades / 60) == small).mean() > 0.8
