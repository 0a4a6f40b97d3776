"""Drawings of what is found inside networks: sizes, places and colours, not pixels by heart."""

import numpy as np
import pytest

from cnntool.errors import ShapeError
from cnntool.report import explanations
from cnntool.report.colours import GLOW, SIGNS, Scale
from cnntool.report.figures import figure
from cnntool.report.grids import BACKGROUND, drawn, planes_to_pixels
from cnntool.report.picture_rows import picture_rows

RED, GREY = (255, 0, 0), 90


def found(pixels, colour):
    """Rows and columns where a colour stands: (first, last) of both, or None."""
    places = np.argwhere((pixels == np.array(colour)).all(axis=2))
    if not len(places):
        return None
    (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0)
    return int(top), int(bottom), int(left), int(right)


def plain(height, width, colour=RED):
    return np.full((height, width, 3), colour, np.uint8)


# --- figures


def test_a_figure_holds_its_sheet_between_title_and_scale():
    sheet = plain(50, 400)
    bare = figure(sheet, "title")
    place = found(bare, RED)
    assert bare.shape[1] == 400 and place[3] - place[2] == 399 and place[1] - place[0] == 49
    full = figure(sheet, "title", ["one", "two"], scale=Scale(-1, 1, SIGNS), unit="of the score")
    assert found(full, RED)[0] > place[0] and full.shape[0] > bare.shape[0] + 30
    below = full[found(full, RED)[1] + 1 :]
    for colour in (SIGNS[0], SIGNS[-1]):
        assert found(below, colour) is not None, "both ends of the scale"
    assert found(below, SIGNS[0])[3] < found(below, SIGNS[-1])[2]


def test_narrow_sheets_leave_room_for_words():
    whole = figure(plain(10, 20), "a title that is much longer than the sheet is wide")
    assert whole.shape[1] >= 200
    place = found(whole, RED)
    middle = (place[2] + place[3]) / 2
    assert abs(middle - whole.shape[1] / 2) <= 1


def test_long_words_do_not_run_out():
    long = "w" * 500
    whole = figure(plain(30, 300), long, [long], scale=Scale(0, 1e-5, GLOW), unit=long)
    assert whole.shape[1] == 300
    top, bottom, _, _ = found(whole, RED)
    words = np.delete(whole, np.s_[top : bottom + 1], axis=0)
    assert (words[:, :2] == BACKGROUND).all() and (words[:, -2:] == BACKGROUND).all()


# --- rows


def test_rows_stand_beside_their_names():
    dot = plain(5, 5)
    sheet = picture_rows([[dot, dot], [dot]], ["first", "second"], cell=(20, 30))
    place = found(sheet, RED)
    assert place[0] < 10 and place[1] - place[0] == 20 + 4 + 19
    # 20 pixels in cells of 30, two of them
    assert place[3] - place[2] == 34 + 19
    assert sheet[:, : place[2] - 6].min() < 100, "names"
    taller = picture_rows([[dot], [dot]], ["a", "b"], cell=(20, 30), captions=[["1"], ["2"]])
    assert taller.shape[0] > picture_rows([[dot], [dot]], ["a", "b"], cell=(20, 30)).shape[0]


def test_heads_are_left_out_where_they_do_not_fit():
    dot = plain(5, 5)
    with_heads = picture_rows([[dot, dot]], ["a"], cell=(20, 30), heads=["0", "1"])
    without = picture_rows([[dot, dot]], ["a"], cell=(20, 30), heads=["much too long", "1"])
    assert with_heads.shape[0] > without.shape[0]


def test_sheets_that_would_be_too_large():
    dot = plain(2, 2)
    with pytest.raises(
        ShapeError, match=r"a sheet of 400 rows and 400 columns would be .* --channe"
    ):
        picture_rows([[dot] * 400] * 400, ["x"] * 400, cell=(100, 100))


def test_pictures_in_cells():
    assert drawn(plain(5, 10), (20, 20)).size == (20, 10)
    assert drawn(plain(100, 50), (20, 20)).size == (10, 20)
    image = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
    np.testing.assert_array_equal(planes_to_pixels(image)[1, 2], image[:, 1, 2])
    np.testing.assert_array_equal(planes_to_pixels(image[:1]), image[0])


# --- explanations


@pytest.mark.parametrize("shape", [(28, 28), (40, 48), (300, 500), (1, 7)])
@pytest.mark.parametrize("signed", [False, True])
def test_evidence(shape, signed):
    values = np.zeros(shape)
    values[0, -1] = 1.0
    if signed:
        values[-1, 0] = -1.0
    pixels = explanations.evidence_figure(
        np.full(shape, GREY, np.uint8), values, "cat", ["how"], word="map", unit="", signed=signed,
        spare=False,
    )  # fmt: skip
    assert pixels.shape[2] == 3 and max(pixels.shape) < 1700
    stops = SIGNS if signed else GLOW
    assert found(pixels, stops[-1]) is not None
    assert found(pixels, (GREY, GREY, GREY)) is not None


def test_evidence_finer_than_the_picture():
    values = np.kron(np.eye(4), np.ones((70, 70)))
    pixels = explanations.evidence_figure(
        np.zeros((4, 4), np.uint8), values, "cat", [], word="map", unit="", signed=False
    )
    assert found(pixels, GLOW[-1]) is not None


@pytest.mark.parametrize(("count", "size"), [(1, (24, 24)), (8, (24, 30)), (300, (7, 7)),
                                             (64, (1, 1)), (3, (300, 400))])  # fmt: skip
def test_maps(count, size):
    maps = np.zeros((count, *size))
    maps[:, 0, 0] = 1
    picture = np.full((28, 36), GREY, np.uint8)
    pixels = explanations.maps_figure(picture, maps, range(count), "0.conv")
    assert found(pixels, (GREY, GREY, GREY)) is not None, "the input is there"
    assert found(pixels, GLOW[-1]) is not None
    assert 150 < max(pixels.shape) < 3000


def test_maps_share_a_scale_or_not():
    maps = np.stack([np.eye(4), np.eye(4) / 100])
    together = explanations.maps_figure(np.zeros((4, 4), np.uint8), maps, (0, 1), "t")
    each = explanations.maps_figure(np.zeros((4, 4), np.uint8), maps, (0, 1), "t", each=True)
    bright = [(pixels == GLOW[-1]).all(axis=2).sum() for pixels in (together, each)]
    assert bright[1] > 1.5 * bright[0] > 0
    assert together.shape[0] > each.shape[0], "only one scale can be drawn"


@pytest.mark.parametrize("count", [2, 10, 100, 256, 5000])
def test_numbers(count):
    values = np.linspace(-1, 1, count)
    pixels = explanations.numbers_figure(values, list(map(str, range(count))), "7.dense")
    assert found(pixels, SIGNS[-1]) is not None and found(pixels, SIGNS[0]) is not None
    assert max(pixels.shape) < 2500


def test_filters_in_colour():
    planes = np.zeros((2, 3, 5, 4))
    planes[0, 0] = 0.5  # red, as strong as the scale goes
    planes[1, 2] = -0.5
    pixels = explanations.filters_figure(planes, (0, 1), "0.conv", coloured=True)
    assert found(pixels, (255, 128, 128)) is not None
    assert found(pixels, (128, 128, 0)) is not None


@pytest.mark.parametrize("shape", [(8, 1, 5, 3), (6, 4, 3, 3), (10, 7, 1, 1), (40, 300, 1, 1),
                                   (200, 1, 3, 3), (3, 64, 2, 2)])  # fmt: skip
def test_filters(shape):
    planes = np.zeros(shape)
    planes[0] = 1.0
    planes[-1] = -1.0
    pixels = explanations.filters_figure(planes, range(shape[0]), "3.conv", ["a row a filter"])
    assert found(pixels, SIGNS[-1]) is not None and found(pixels, SIGNS[0]) is not None
    assert max(pixels.shape) < 4000


def test_patches_and_what_lies_outside_of_pictures():
    inside = plain(6, 8)
    half = np.concatenate([inside, np.full((6, 8, 1), 255, np.uint8)], axis=2)
    half[:, :4, 3] = 0
    pixels = explanations.patches_figure(
        [[inside, half], [inside, inside]], ["filter 0", "filter 7"], [["1", "2"], ["3", "4"]], "t"
    )
    assert found(pixels, RED) is not None
    assert found(pixels, (204, 204, 204)) is not None, "the checkerboard"


def test_made_pictures():
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    one = [plain(28, 28, colour) for colour in colours]
    single = explanations.made_figure([one[:1]], ["3"], [["1.0\nscore 9"]], ["step 9"], "t")
    many = explanations.made_figure(
        [one[:1]] * 10, list("0123456789"), [["1.0\nscore 9"]] * 10, ["step 9"], "t"
    )
    stages = explanations.made_figure(
        [one], ["3"], [["0.1\nx", "0.5\nx", "1.0\nx"]], ["step 1", "step 5", "step 9"], "t"
    )
    side = found(single, colours[0])
    assert side[1] - side[0] > 200, "alone it is large"
    assert many.shape[1] > single.shape[1]
    lefts = [found(stages, colour)[2] for colour in colours]
    assert lefts == sorted(lefts) and len(set(lefts)) == 3


def test_zoom_is_a_whole_number():
    assert explanations.zoom((28, 20)) == 10 and explanations.zoom((1000, 4)) == 1
    np.testing.assert_array_equal(
        explanations.enlarged(np.array([[1, 2]]), 2), [[1, 1, 2, 2], [1, 1, 2, 2]]
    )
