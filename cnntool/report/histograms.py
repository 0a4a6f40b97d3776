"""Histograms of orientations as a picture: in each cell a star of lines along the edges there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WANTED = 512  # longer side that small pictures grow to
_CELL = 16  # shorter side of a cell that lines can be told apart in
_LARGEST = 4096  # longer side that nothing grows beyond
_BRIGHT = 99.0  # percentile of the cells' largest values that is drawn white
_GAMMA = 0.6  # lifts weak edges: most cells hold a tenth of the strongest


def draw_histograms(
    cells: NDArray[Any],
    cell: Sequence[int],
    size: Sequence[int],
    *,
    signed: bool = False,
) -> NDArray[np.uint8]:
    """One line a bin, at right angles to the bin's middle gradient, as bright as the bin is full.

    The drawing covers the picture, magnified by a whole number: small pictures grow to about 512
    pixels and cells to 16, so that lines can be told apart. What does not fill a cell at the bottom
    and right stays black.

    Args:
        cells: Histograms, all >= 0.
        cell: Rows and columns of a cell in pixels of the picture.
        size: Rows and columns of the picture.
        signed: Whether the bins span 360° instead of 180°; opposite directions share a line.

    Shape:
        (cells down, cells across, bins) -> (f·H, f·W), uint8.

    Example:
        >>> drawing = draw_histograms(np.array([[[1.0, 0.0]]]), (8, 8), (8, 8))
        >>> drawing.shape, int(drawing.max())
        ((512, 512), 255)
    """
    down, across, bins = cells.shape
    zoom = _zoom(cell, size)
    height, width = cell[0] * zoom, cell[1] * zoom
    lines = _lines(height, width, bins, signed)
    strengths = _strengths(cells)
    drawing = np.zeros((size[0] * zoom, size[1] * zoom), np.uint8)
    for row in range(down):
        # a row of cells at a time: (height, across, width)
        strip = np.zeros((height, across, width), np.float32)
        for strength, line in zip(strengths[row].T, lines, strict=True):
            np.maximum(strip, strength[None, :, None] * line[:, None, :], out=strip)
        inside = drawing[row * height : (row + 1) * height, : across * width]
        inside[...] = np.rint(255 * strip).reshape(height, across * width)
    return drawing


def _zoom(cell: Sequence[int], size: Sequence[int]) -> int:
    """How many pixels of the drawing a pixel of the picture becomes, down and across."""
    wanted = max(-(-_CELL // min(cell)), _WANTED // max(size), 1)
    return max(1, min(wanted, _LARGEST // max(size)))


def _strengths(cells: NDArray[Any]) -> NDArray[np.float32]:
    """Brightness 0..1 of each line: few extreme cells must not leave all others dark."""
    largest = cells.max(axis=2)
    white = np.percentile(largest[largest > 0], _BRIGHT) if largest.any() else 1.0
    return np.asarray(np.minimum(cells / white, 1.0) ** _GAMMA, np.float32)


def _lines(height: int, width: int, bins: int, signed: bool) -> NDArray[np.float32]:
    """Smooth lines through the middle of a cell, one a bin: (bins, height, width), 0..1."""
    y = (np.arange(height) - (height - 1) / 2)[:, None]
    x = (np.arange(width) - (width - 1) / 2)[None, :]
    half_length = min(height, width) / 2 - 1
    half_width = max(0.5, min(height, width) / 24)
    turn = 2 * math.pi if signed else math.pi
    lines = np.empty((bins, height, width), np.float32)
    for place in range(bins):
        angle = turn * (place + 0.5) / bins
        across = np.abs(y * math.sin(angle) + x * math.cos(angle))
        along = np.abs(y * math.cos(angle) - x * math.sin(angle))
        # the share of a pixel that the line covers, nearly
        lines[place] = np.clip(half_width + 0.5 - across, 0, 1)
        lines[place] *= np.clip(half_length + 0.5 - along, 0, 1)
    return lines
