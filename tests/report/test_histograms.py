"""Drawings of histograms: sizes, brightness, and which way the lines lie."""

import numpy as np
import pytest

from cnntool.report.histograms import draw_histograms


def one_cell(bins, place, **options):
    cells = np.zeros((1, 1, bins))
    cells[0, 0, place] = 3
    return draw_histograms(cells, (8, 8), (8, 8), **options)


def direction(drawing):
    """Degrees of the longest axis, 0 across and 90 up, from the spread of its bright pixels."""
    y, x = np.nonzero(drawing > 127)
    values, axes = np.linalg.eigh(np.cov(x, y))
    dx, dy = axes[:, np.argmax(values)]
    return np.degrees(np.arctan2(-dy, dx)) % 180


@pytest.mark.parametrize("bins", [2, 4, 9])
def test_lines_lie_across_the_gradient(bins):
    """Angles of gradients turn clockwise in a picture whose rows count downwards."""
    for place in range(bins):
        gradient = 180 * (place + 0.5) / bins
        along = (90 - gradient) % 180
        off = (direction(one_cell(bins, place)) - along + 90) % 180 - 90
        assert abs(off) < 2


def test_opposite_directions_share_a_line():
    assert np.array_equal(one_cell(8, 1, signed=True), one_cell(8, 5, signed=True))
    assert np.array_equal(one_cell(8, 1, signed=True), one_cell(4, 1))


@pytest.mark.parametrize(
    "cell, size, zoom",
    [
        ((8, 8), (300, 451), 2),  # cells of 16
        ((8, 8), (64, 128), 4),  # 512 pixels
        ((2, 2), (5, 5), 102),
        ((16, 16), (3000, 2000), 1),
        ((8, 8), (3000, 2000), 1),  # nothing beyond 4096
        ((1, 1), (200, 300), 13),
        ((40, 10), (120, 700), 2),
    ],
)
def test_size(cell, size, zoom):
    cells = np.ones((size[0] // cell[0], size[1] // cell[1], 1))
    drawing = draw_histograms(cells, cell, size)
    assert drawing.shape == (size[0] * zoom, size[1] * zoom)
    assert drawing.dtype == np.uint8
    # what fills no cell stays black
    assert not drawing[cells.shape[0] * cell[0] * zoom :].any()
    assert not drawing[:, cells.shape[1] * cell[1] * zoom :].any()


def test_fuller_bins_are_brighter():
    cells = np.array([[[0.0, 1, 4, 100]]])
    cells = np.concatenate([cells[..., place : place + 1] for place in range(4)], axis=1)
    drawing = draw_histograms(cells, (16, 16), (16, 64))
    peaks = drawing.reshape(drawing.shape[0], 4, -1).max(axis=(0, 2))
    assert peaks[0] == 0
    assert 0 < peaks[1] < peaks[2] < peaks[3] == 255


def test_nothing_to_draw():
    assert not draw_histograms(np.zeros((2, 3, 9)), (8, 8), (16, 24)).any()
