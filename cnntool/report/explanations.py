"""Pictures of what is found inside networks: maps, filters, patches, evidence, made pictures.

All of it is drawn from arrays; who found them is not known here. Pictures are pixels (H, W) or
(H, W, 3), uint8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.report.colours import Pixels, Scale
from cnntool.report.figures import figure
from cnntool.report.grids import grid, matrix_picture, short_number
from cnntool.report.picture_rows import picture_rows

Values = NDArray[np.floating[Any]]

PANEL = 280
"""About the longer side of a panel, in pixels."""

PATCH = 112
"""The longer side of a patch at most, in pixels."""

_LARGEST_PANEL = 448
_TILE = 224  # longer side of a map at most
_SHEET = 1_600_000  # pixels that a sheet of many maps has, about
_CAPTIONED = 30  # width of a cell from which there is room for a number below it
_SPARE = 0.005  # share of the strongest values that may lie beyond the end of the scale

MOST_ROWS, MOST_COLUMNS = 512, 64
"""Filters, and maps of each, that are drawn at most."""


def zoom(size: Sequence[int], panel: int = PANEL) -> int:
    """How many pixels of a panel a pixel of the picture becomes, down and across.

    Example:
        >>> zoom((28, 28)), zoom((224, 300))
        (10, 1)
    """
    return max(1, round(panel / max(size)))


def enlarged(pixels: NDArray[Any], factor: int) -> NDArray[Any]:
    """Every pixel as a square."""
    return np.repeat(np.repeat(pixels, factor, axis=0), factor, axis=1)


# --- which pixels matter


def evidence_figure(
    picture: Pixels,
    values: Values,
    title: str,
    lines: Sequence[str],
    *,
    word: str,
    unit: str,
    signed: bool,
    spare: bool = True,
) -> Pixels:
    """A picture, what each of its pixels means for a class, and both in one.

    Args:
        picture: As the network sees it.
        values: One number a pixel, or a whole number of times as many each way.
        title: First line.
        lines: Lines below it.
        word: What the values are, below them.
        unit: What the scale's numbers are.
        signed: Whether values below 0 count.
        spare: Whether a few extremes may lie beyond the scale's ends.
    """
    factor = zoom(picture.shape[:2])
    shown = enlarged(picture, factor)
    large = enlarged(values, shown.shape[0] // values.shape[0])
    scale = Scale.of(values, signed=signed, spare=_SPARE if spare else 0.0)
    panels = [shown, scale.paint(large), scale.laid_over(shown, large)]
    sheet = grid(
        panels,
        columns=3,
        captions=["input", word, "overlay"],
        cell=_cell_of(shown.shape[0], shown.shape[1], _LARGEST_PANEL),
    )
    return figure(sheet, title, lines, scale=scale, unit=unit)


# --- maps


def maps_figure(
    picture: Pixels,
    maps: Values,
    numbers: Sequence[int],
    title: str,
    lines: Sequence[str] = (),
    *,
    each: bool = False,
) -> Pixels:
    """The maps of a layer, the picture in front of them.

    Args:
        picture: What the network saw.
        maps: (K, h, w).
        numbers: Number of each map.
        title: First line.
        lines: Lines below it.
        each: Whether every map has a scale of its own; else one serves all.
    """
    scale = Scale.of(maps, spare=_SPARE)
    tiles = [(Scale.of(one, signed=scale.signed) if each else scale).paint(one) for one in maps]
    side = min(max(math.sqrt(_SHEET / (len(tiles) + 1)) - 8, 12), _TILE)
    ratio = max(picture.shape[:2])
    cell = round(side * picture.shape[0] / ratio), round(side * picture.shape[1] / ratio)
    cell = max(1, cell[0]), max(1, cell[1])
    captions = ["input", *map(str, numbers)] if cell[1] >= _CAPTIONED else None
    sheet = grid([picture, *tiles], captions=captions, cell=cell, gap=8 if captions else 3)
    return figure(sheet, title, lines, scale=None if each else scale)


def numbers_figure(
    values: Values, names: Sequence[str], title: str, lines: Sequence[str] = ()
) -> Pixels:
    """The numbers of a vector as coloured squares, each with its name and value where they fit."""
    scale = Scale.of(values)
    if len(values) > _MOST_NUMBERS:
        columns = math.ceil(math.sqrt(2 * len(values)))
        padded = np.full(-(-len(values) // columns) * columns, np.nan)
        padded[: len(values)] = values
        sheet = enlarged(scale.paint(padded.reshape(-1, columns)), max(1, 720 // columns))
        return figure(sheet, title, lines, scale=scale)
    tiles = [scale.paint(np.full((1, 1), value)) for value in values]
    captions = [f"{name}\n{short_number(v)}" for name, v in zip(names, values, strict=True)]
    widest = 56 if max(map(len, names)) <= 8 else 88
    columns = len(values) if len(values) <= 10 else 16 if widest == 56 else 10
    sheet = grid(tiles, columns=columns, captions=captions, cell=(28, widest), gap=6)
    return figure(sheet, title, lines, scale=scale)


_MOST_NUMBERS = 256


# --- filters


def filters_figure(
    planes: Values,
    numbers: Sequence[int],
    title: str,
    lines: Sequence[str] = (),
    *,
    coloured: bool = False,
) -> Pixels:
    """The filters of a layer: blue is negative, white 0, red positive.

    Args:
        planes: (A, B, h, w): a filter in each row, what it has for each map.
        numbers: Number of each filter.
        title: First line.
        lines: Lines below it.
        coloured: Whether the three planes of a filter are red, green and blue; they are drawn as a
            colour then, middle grey being 0.
    """
    scale = Scale.of(planes, signed=True)
    count, others, height, width = planes.shape
    if coloured:
        half = 0.5 + 0.5 * planes.transpose(0, 2, 3, 1) / scale.high  # (A, h, w, 3)
        tiles = list(np.rint(255 * half).astype(np.uint8))
        sheet = _tiles(tiles, numbers)
        return figure(sheet, title, [*lines, "middle grey is 0"], background=_DARKER)
    if height * width == 1 and others > 1:
        matrix = planes.reshape(count, others)
        if matrix.size <= _WRITTEN:
            sheet = matrix_picture(matrix)
        else:
            sheet = enlarged(scale.paint(matrix), max(1, 720 // max(matrix.shape)))
        return figure(sheet, title, lines, scale=scale)
    if others == 1:
        sheet = _tiles(list(scale.paint(planes[:, 0])), numbers)
        return figure(sheet, title, lines, scale=scale, background=_DARKER)
    side = zoom((height, width), min(48, max(24, 1200 // others)))
    sheet = picture_rows(
        [list(scale.paint(of_filter)) for of_filter in planes],
        list(map(str, numbers)),
        cell=(height * side, width * side),
        heads=list(map(str, range(others))),
        background=_DARKER,
    )
    return figure(sheet, title, lines, scale=scale, background=_DARKER)


_DARKER = (205, 205, 205)  # a ground on which white filters have edges
_WRITTEN = 256  # numbers of a matrix that are written into it


def _tiles(tiles: Sequence[Pixels], numbers: Sequence[int]) -> Pixels:
    height, width = tiles[0].shape[:2]
    side = zoom((height, width), 96 if len(tiles) <= 100 else 48)
    cell = height * side, width * side
    captions = list(map(str, numbers)) if cell[1] >= _CAPTIONED else None
    return grid(tiles, captions=captions, cell=cell, background=_DARKER)


# --- patches and made pictures


def patches_figure(
    rows: Sequence[Sequence[NDArray[Any]]],
    names: Sequence[str],
    captions: Sequence[Sequence[str]],
    title: str,
    lines: Sequence[str] = (),
) -> Pixels:
    """Patches, a row a filter, each with a line below it."""
    height = max(patch.shape[0] for row in rows for patch in row)
    width = max(patch.shape[1] for row in rows for patch in row)
    factor = zoom((height, width), 60)
    cell = _cell_of(height * factor, width * factor, PATCH)
    return figure(picture_rows(rows, names, cell=cell, captions=captions), title, lines)


def made_figure(
    rows: Sequence[Sequence[Pixels]],
    names: Sequence[str],
    captions: Sequence[Sequence[str]],
    heads: Sequence[str],
    title: str,
    lines: Sequence[str] = (),
) -> Pixels:
    """Pictures that were made: each with its captions, or a row of stages for each.

    Args:
        rows: The stages of each picture, one or more.
        names: Of the pictures.
        captions: Lines below each, which may be several in one text.
        heads: Names of the stages.
        title: First line.
        lines: Lines below it.
    """
    height, width = rows[0][0].shape[:2]
    if len(heads) > 1:
        factor = zoom((height, width), 112)
        cell = _cell_of(height * factor, width * factor, 224)
        short = [[text.split("\n")[0] for text in row] for row in captions]
        sheet = picture_rows(rows, names, cell=cell, heads=heads, captions=short)
        return figure(sheet, title, lines)
    panel = PANEL if len(rows) == 1 else 140 if len(rows) <= 60 else 84
    factor = zoom((height, width), panel)
    texts = [f"{name}\n{row[0]}" for name, row in zip(names, captions, strict=True)]
    sheet = grid(
        [row[0] for row in rows],
        captions=texts,
        cell=_cell_of(height * factor, width * factor, _LARGEST_PANEL),
    )
    return figure(sheet, title, lines)


def _cell_of(height: int, width: int, most: int) -> tuple[int, int]:
    """Room for a picture: its own size, unless its longer side would have more pixels than that."""
    factor = min(1.0, most / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))
