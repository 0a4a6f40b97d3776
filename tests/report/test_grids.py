"""Sheets and matrix pictures: what lies where, in which colour, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from cnntool.errors import MissingPackage, OptionError, ShapeError
from cnntool.report import lettering
from cnntool.report.grids import BACKGROUND, LARGEST, grid, matrix_picture
from cnntool.report.lettering import Lettering, drawable


def flat(height, width, *colour, dtype=np.uint8):
    return np.full((height, width, len(colour)), colour, dtype)


def is_background(region, background=BACKGROUND):
    return (region == background).all()


# --- where pictures lie ---


def test_places_row_by_row():
    colours = [(10 * k, 0, 255 - 10 * k) for k in range(5)]
    sheet = grid([flat(20, 30, *c) for c in colours], columns=3, cell=(20, 30), gap=4)
    assert sheet.shape == (4 + 2 * 24, 4 + 3 * 34, 3) and sheet.dtype == np.uint8
    for k, colour in enumerate(colours):
        top, left = 4 + 24 * (k // 3), 4 + 34 * (k % 3)
        assert (sheet[top : top + 20, left : left + 30] == colour).all()
    assert is_background(sheet[4 + 24 :, 4 + 68 :])  # the empty place
    assert is_background(sheet[:4]) and is_background(sheet[:, :4])
    assert is_background(sheet[:, 34:38]) and is_background(sheet[24:28])


def test_pictures_keep_their_proportions_and_stand_in_the_middle():
    sheet = grid([flat(10, 40, 9, 8, 7)], cell=(100, 80), gap=0)
    assert sheet.shape == (100, 80, 3)
    assert (sheet[40:60] == (9, 8, 7)).all()
    assert is_background(sheet[:40]) and is_background(sheet[60:])


def test_with_captions_pictures_stand_on_them():
    sheet = grid([flat(10, 40, 9, 8, 7)], cell=(100, 80), gap=0, captions=["name"])
    assert sheet.shape[0] > 100
    assert (sheet[80:100] == (9, 8, 7)).all()
    text = sheet[100:]
    assert not is_background(text)
    columns = np.flatnonzero((text != BACKGROUND).any(axis=(0, 2)))
    assert abs((columns[0] + columns[-1]) / 2 - 40) < 3  # centred


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 60))
def test_every_picture_has_a_place(count, height, width):
    sheet = grid([flat(height, width, 1, 2, 3)] * count, cell=(height, width), gap=1)
    assert (sheet == (1, 2, 3)).all(axis=2).sum() == count * height * width


def test_more_columns_than_pictures():
    assert grid([flat(20, 30, 0, 0, 0)] * 2, columns=9, cell=(20, 30), gap=0).shape == (20, 60, 3)


def test_sheets_are_landscape():
    for count in (4, 6, 12, 24, 100):
        height, width, _ = grid([flat(28, 28, 0, 0, 0)] * count).shape
        assert 0.9 < width / height < 2.1


@pytest.mark.parametrize(
    "size, cell",
    [
        ((1000, 500), (320, 160)),
        ((28, 28), (140, 140)),
        ((200, 300), (200, 300)),
        ((1, 7), (19, 133)),
    ],
)
def test_cells_fit_the_largest_picture(size, cell):
    sheet = grid([flat(*size, 0, 0, 0), flat(1, 1, 0, 0, 0)], columns=2, gap=0)
    assert sheet.shape == (cell[0], 2 * cell[1], 3)


# --- how they are drawn ---


def test_small_pictures_grow_by_whole_factors(rng):
    small = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    sheet = grid([small], cell=(59, 60), gap=0)  # 8 times, and some room left
    exact = np.repeat(np.repeat(small, 8, axis=0), 8, axis=1)
    np.testing.assert_array_equal(sheet[9:49, 2:58], exact)


def test_large_pictures_shrink_smoothly():
    stripes = np.zeros((400, 600), np.uint8)
    stripes[::2] = 200
    sheet = grid([stripes], cell=(100, 150), gap=0)
    assert sheet.shape == (100, 150, 3)
    assert np.abs(sheet[5:-5].astype(int) - 100).max() < 30


def test_a_little_too_small_pictures_fill_the_cell():
    assert (grid([flat(30, 20, 5, 6, 7)], cell=(45, 30), gap=0) == (5, 6, 7)).all()


def test_thin_pictures_keep_a_pixel():
    sheet = grid([np.zeros((1, 3000), np.uint8)], cell=(50, 60), gap=0)
    assert (sheet == 0).all(axis=2).sum() == 60


@pytest.mark.parametrize(
    "pixels, grey",
    [
        (np.full((4, 5), 77, np.uint8), 77),
        (np.full((4, 5, 1), 77, np.uint8), 77),
        (np.full((4, 5), 77 * 257, np.uint16), 77),
        (np.full((4, 5), 76.6, np.float32), 77),
        (np.full((4, 5), -3.0), 0),
        (np.full((4, 5), 1e300), 255),
        (np.full((4, 5), np.nan), 0),
        (np.full((4, 5), np.inf, np.float32), 255),
        (np.full((4, 5), -np.inf), 0),
        (np.full((4, 5), 300, np.int64), 255),
        (np.full((4, 5), -5, np.int8), 0),
        (np.full((4, 5), True), 255),
        (np.full((4, 5), False), 0),
    ],
)
def test_samples_of_any_type(pixels, grey):
    pixels.setflags(write=False)
    assert (grid([pixels], cell=(4, 5), gap=0) == grey).all()


def test_floats_of_another_range():
    assert (grid([np.full((4, 5), 0.5)], cell=(4, 5), gap=0, full_range=1) == 128).all()


@pytest.mark.parametrize("channels", [2, 4])
def test_transparent_parts_show_a_checkerboard(channels):
    pixels = np.full((24, 40, channels), 100, np.uint8)
    pixels[..., -1] = 0
    pixels[:, :16, -1] = 255
    sheet = grid([pixels], cell=(24, 40), gap=0)
    assert (sheet[:, :16] == 100).all()
    assert (sheet[:8, 16:24] == 255).all() and (sheet[:8, 24:32] == 204).all()
    assert (sheet[8:16, 16:24] == 204).all() and (sheet[8:16, 24:32] == 255).all()


def test_invisible_colours_do_not_bleed():
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, 32:] = (255, 255, 255, 255)  # the rest is invisible black
    sheet = grid([pixels], cell=(20, 20), gap=0)
    assert sheet.min() >= 200


# --- captions ---


def test_captions_are_shortened_to_their_cell():
    names = ["a-very-long-name-of-a-picture-from-a-long-holiday.png", "b"]
    sheet = grid([flat(20, 60, 0, 0, 0)] * 2, columns=2, cell=(20, 60), gap=6, captions=names)
    assert is_background(sheet[26:, :6]) and is_background(sheet[26:, 66:72])
    assert not is_background(sheet[26:, 6:66])


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=60), st.integers(0, 200))
def test_any_text_fits(text, width):
    words = Lettering(12)
    for line in words.lines(text, width):
        assert words.width(line) <= width or line == "…"
        assert line.isprintable() or line == ""


def test_shortening_keeps_both_ends_and_what_fits():
    words = Lettering(13)
    short = words.shortened("beginning-middle-end", 90)
    head, tail = short.split("…")
    assert "beginning-middle-end".startswith(head) and "beginning-middle-end".endswith(tail)
    assert len(head) > len(tail) > 0
    assert words.shortened("short", 90) == "short"


@pytest.mark.parametrize(
    "text, plain",
    [
        ("Café, naïve", "Cafe, naive"),
        ("Cafe\N{COMBINING ACUTE ACCENT}", "Cafe"),
        ("3×3 −1 90°", "3x3 -1 90 deg"),
        ("漢字", "??"),
        ("a\tb\x07c\udce9", "a b?c?"),
        ("dots…", "dots…"),
    ],
)
def test_letters_that_the_font_lacks(text, plain):
    assert drawable(text) == plain


def test_lines_of_a_caption():
    one = grid([flat(20, 90, 0, 0, 0)], cell=(20, 90), gap=0, captions=["true: cat"])
    two = grid([flat(20, 90, 0, 0, 0)], cell=(20, 90), gap=0, captions=["true: cat\nseen: dog"])
    assert two.shape[0] - one.shape[0] == Lettering(9).line
    assert not is_background(two[one.shape[0] :])


def test_captions_are_legible_on_dark_and_light():
    for background, legible in (((20, 20, 20), 255), (BACKGROUND, 45)):
        sheet = grid(
            [flat(40, 90, 99, 99, 99)], cell=(40, 90), captions=["HHH"], background=background
        )
        text = sheet[48:].astype(int)
        assert np.abs(text - legible).sum(axis=2).min() < 120
        assert is_background(sheet[:8], background)


# --- what is refused ---


@pytest.mark.parametrize(
    "options, message",
    [
        ({"captions": ["a"]}, "one caption a picture, got 1 for 2"),
        ({"columns": 0}, "at least one column, got 0"),
        ({"gap": -1}, "gap between pictures must be 0 or more, got -1"),
        ({"cell": 0}, "a cell must be at least 1 pixel, got 0,0"),
        ({"cell": (1, 2, 3)}, "cell takes one number or two"),
        ({"background": (0, 0, 256)}, "red, green, blue from 0 to 255, got"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(OptionError, match=message):
        grid([flat(4, 5, 0, 0, 0)] * 2, **options)


def test_no_pictures():
    with pytest.raises(OptionError, match="at least one picture, got none"):
        grid([])


@pytest.mark.parametrize("shape", [(4,), (0, 5), (4, 5, 5), (2, 3, 4, 1)])
def test_what_is_no_picture(shape):
    text = "x".join(map(str, shape))
    with pytest.raises(ShapeError, match=rf"picture 2 has shape {text}; a sheet takes \(H, W\)"):
        grid([flat(4, 5, 0, 0, 0), np.zeros(shape, np.uint8)])


def test_sheets_have_a_limit():
    with pytest.raises(ShapeError, match=r"3 pictures with cells of 12000×9000 .* 200 million"):
        grid([np.zeros((2, 3))] * 3, cell=(9000, 12000))


def test_pillow_without_its_font_library(monkeypatch):
    def missing(size):
        raise ImportError("The _imagingft C module is not installed")

    monkeypatch.setattr(ImageFont, "load_default", missing)
    lettering._font.cache_clear()
    with pytest.raises(MissingPackage, match="captions need Pillow with FreeType"):
        grid([flat(4, 5, 0, 0, 0)], captions=["a"])


# --- matrices ---


def squares(matrix, side):
    """Corner colours of the squares, inside of the lines, where no number is."""
    drawing = matrix_picture(matrix, cell=side)
    return drawing[3::side, 3::side].astype(int)


def test_colours_tell_signs():
    red, green, blue = squares([[-2, -1, 0], [1, 2, 0.0]], 40).transpose(2, 0, 1)
    assert blue[0, 0] > red[0, 0] + 60 and red[1, 1] > blue[1, 1] + 60
    assert (red[0, 2], green[0, 2], blue[0, 2]) == (255, 255, 255)
    # the larger, the darker
    assert green[0, 0] < green[0, 1] < 255 and green[1, 1] < green[1, 0] < 255


def test_without_negative_numbers_the_scale_starts_at_white():
    colours = squares([[0, 1, 2, 3, 4]], 40)[0]
    assert (colours[0] == 255).all()
    assert (np.diff(colours.sum(axis=1)) < -50).all()


def test_zeros_are_white_and_what_is_not_finite_is_grey():
    assert (squares([[0, 0]], 40) == 255).all()
    assert (squares([[np.nan, 1], [np.inf, 1]], 40)[:, 0] == 200).all()


def test_numbers_are_written():
    side = 50
    inside = slice(4, side - 3)
    drawing = matrix_picture([[0, 1], [0, -1]], cell=side)
    first, below = drawing[inside, inside], drawing[side:][inside, inside]
    np.testing.assert_array_equal(first, below)  # both 0
    assert (first == 45).all(axis=2).any()
    dark = drawing[inside, side:][:, inside]
    assert (dark == 255).all(axis=2).any()  # white on red
    rows, columns = np.nonzero((first != 255).any(axis=2))
    assert abs(rows.mean() - 21) < 1.5 and abs(columns.mean() - 21) < 1.5


@pytest.mark.parametrize("matrix", [[[1 / 9] * 3], [[-0.00390625, 1.859375]], [[1e-9, 12345678.0]]])
def test_wide_numbers_stay_in_their_squares(matrix):
    side = (matrix_picture(matrix).shape[1] - 1) // len(matrix[0])
    drawing = matrix_picture(matrix)
    for column in range(len(matrix[0])):
        left = column * side + 1
        square = drawing[1:side, left : left + side - 1]
        edge = np.concatenate([square[0], square[-1], square[:, 0], square[:, -1]])
        assert (edge == square[0, 0]).all()
        assert (square != square[0, 0]).any()


def test_sizes():
    assert matrix_picture([[1]]).shape == (97, 97, 3)
    assert matrix_picture(np.eye(3, 5)).shape == (3 * 64 + 1, 5 * 64 + 1, 3)
    assert matrix_picture(np.ones((2, 2)), cell=10).shape == (20, 20, 3)
    for size in (64, 101, 700, 1001):
        drawing = matrix_picture(np.random.default_rng(size).standard_normal((size, size)))
        assert 512 <= drawing.shape[0] <= 1025


def test_large_matrices_are_colours_only():
    matrix = np.zeros((90, 120))
    matrix[5, 7] = 1
    drawing = matrix_picture(matrix)
    side = drawing.shape[1] // 120
    assert (drawing != 255).any(axis=2).sum() == side * side


@pytest.mark.parametrize("matrix", [[1, 2], [[]], np.zeros((2, 3, 1)), 5])
def test_what_is_no_matrix(matrix):
    with pytest.raises(ShapeError, match="a matrix has rows and columns and is not empty, got"):
        matrix_picture(matrix)


def test_squares_have_a_size():
    with pytest.raises(OptionError, match="must be at least 1 pixel, got 0"):
        matrix_picture([[1]], cell=0)
    with pytest.raises(ShapeError, match="1×3 with squares of 100000 pixels is too large"):
        matrix_picture([[1, 2, 3]], cell=100_000)
    assert LARGEST == 200_000_000


def test_results_are_pictures(tmp_path):
    for number, drawing in enumerate(
        (grid([np.eye(3)], captions=["x"]), matrix_picture(np.eye(3)))
    ):
        path = tmp_path / f"{number}.png"
        Image.fromarray(drawing).save(path)
        np.testing.assert_array_equal(np.asarray(Image.open(path)), drawing)
