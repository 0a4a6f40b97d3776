"""Numbers as colours: ends, signs, extremes, what is no number, maps laid over pictures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cnntool.report.colours import GLOW, NOT_FINITE, PAPER, SIGNS, Scale, coloured


def luma(colour):
    return float(np.dot(colour, [0.299, 0.587, 0.114]))


@pytest.mark.parametrize("stops", [GLOW, PAPER, SIGNS])
def test_stops_are_met_and_between_them_it_is_linear(stops):
    places = np.linspace(0, 1, len(stops))
    np.testing.assert_allclose(coloured(places, stops), stops)
    middle = coloured((places[:-1] + places[1:]) / 2, stops)
    np.testing.assert_allclose(middle, (np.array(stops[:-1]) + np.array(stops[1:])) / 2)


def test_brightness_tells_the_order():
    parts = np.linspace(0, 1, 101)
    glow = [luma(colour) for colour in coloured(parts, GLOW)]
    assert (np.diff(glow) > 0).all(), "brighter all the way"
    paper = [luma(colour) for colour in coloured(parts, PAPER)]
    assert (np.diff(paper) < 0).all()
    signs = [luma(colour) for colour in coloured(parts, SIGNS)]
    assert (np.diff(signs[:51]) > 0).all() and (np.diff(signs[50:]) < 0).all()
    assert SIGNS[2] == (255, 255, 255)


def test_scales_of_numbers():
    assert Scale.of([0.0, 2, 5]) == Scale(0.0, 5.0, GLOW)
    assert Scale.of([-7.0, 2]) == Scale(-7.0, 7.0, SIGNS)
    assert Scale.of([1.0, 2], signed=True) == Scale(-2.0, 2.0, SIGNS)
    assert Scale.of([-9.0, 2], signed=False) == Scale(0.0, 2.0, GLOW)
    assert Scale.of([0.0, 0]) == Scale(0.0, 1.0, GLOW), "nothing at all still has a scale"
    assert Scale.of([]) == Scale(0.0, 1.0, GLOW)
    assert Scale.of([np.nan, np.inf, 3.0, -np.inf]) == Scale(0.0, 3.0, GLOW)


def test_extremes_may_be_spared():
    values = np.r_[np.linspace(0, 1, 199), 1000.0]
    assert Scale.of(values).high == 1000
    assert Scale.of(values, spare=0.01).high == pytest.approx(1, abs=0.02)
    # of a few strong values among nothing something must be left
    assert Scale.of(np.r_[np.zeros(999), 5.0], spare=0.01).high == 5


def test_painting():
    scale = Scale(0.0, 10.0, ((0, 0, 0), (200, 100, 50)))
    found = scale.paint([[0.0, 5, 10], [-3, 30, np.nan]])
    assert found.dtype == np.uint8
    assert found.tolist() == [
        [[0, 0, 0], [100, 50, 25], [200, 100, 50]],
        [[0, 0, 0], [200, 100, 50], list(NOT_FINITE)],
    ]


@given(arrays(np.float64, (3, 4), elements=st.floats(-1e6, 1e6)))
def test_stronger_numbers_are_never_paler(values):
    scale = Scale.of(values, signed=True)
    parts = scale.parts(values)
    assert (0 <= parts).all() and (parts <= 1).all()
    order = np.argsort(values, axis=None)
    assert (np.diff(parts.ravel()[order]) >= 0).all()
    np.testing.assert_allclose(scale.parts(-values), 1 - parts, atol=1e-12)


@pytest.mark.parametrize("colour", [False, True])
def test_laid_over_a_picture(colour):
    grey = np.array([[50, 50, 50]], np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=2) if colour else grey
    found = Scale(-1.0, 1.0, SIGNS).laid_over(picture, [[0.0, 1.0, -1.0]])
    assert found[0, 0].tolist() == [50, 50, 50], "where there is nothing the picture shows"
    assert found[0, 1, 0] > 150 > 60 > found[0, 1, 2]
    assert found[0, 2, 2] > 130 > 60 > found[0, 2, 0]
    glow = Scale(0.0, 1.0, GLOW).laid_over(picture, [[0.0, 1.0, 0.5]])
    assert glow[0, 0].tolist() == [50, 50, 50]
    assert luma(glow[0, 1]) > luma(glow[0, 2]) > 50
    assert picture.ravel()[0] == 50
