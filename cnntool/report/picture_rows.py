"""Tables of small pictures: a row for each thing, its name on the left, captions below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnntool.errors import ShapeError
from cnntool.report.colours import Colour, Pixels
from cnntool.report.grids import BACKGROUND, LARGEST, drawn
from cnntool.report.lettering import Lettering

_LONGEST = 140  # pixels of a name
_FONT = 12


def picture_rows(
    rows: Sequence[Sequence[NDArray[Any]]],
    names: Sequence[str],
    *,
    cell: tuple[int, int],
    heads: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    gap: int = 4,
    background: Colour = BACKGROUND,
) -> Pixels:
    """Pictures in rows and columns on one sheet.

    Args:
        rows: Pictures as :func:`cnntool.report.grids.grid` takes them; rows may differ in length.
        names: One a row.
        cell: Height and width of the room for a picture.
        heads: Names of the columns; none are written where they do not fit.
        captions: A line below each picture.
        gap: Pixels between cells and around them.
        background: Red, green and blue, 0..255.

    Shape:
        (H, W) or (H, W, C) each -> (H', W', 3), uint8.

    Raises:
        ShapeError: A sheet of more than 200 million pixels.

    Example:
        >>> dot = np.zeros((4, 4), np.uint8)
        >>> picture_rows([[dot, dot], [dot]], ["a", "b"], cell=(20, 30)).shape
        (52, 83, 3)
    """
    text, small = Lettering(_FONT, background), Lettering(min(_FONT, _size(cell[1])), background)
    shown = [text.shortened(line, _LONGEST) for name in names for line in text.lines(name, 1000)]
    left = round(max(map(text.width, shown), default=0)) + 2 * gap
    above = gap + (small.line if heads and _fit(small, heads, cell[1]) else 0)
    below = small.line if captions else 0
    step_y, step_x = cell[0] + below + gap, cell[1] + gap
    columns = max(map(len, rows))
    size = left + columns * step_x, above + len(rows) * step_y
    if size[0] * size[1] > LARGEST:
        raise ShapeError(
            f"a sheet of {len(rows)} rows and {columns} columns would be {size[0]}×{size[1]}, more "
            f"than {LARGEST // 10**6} million pixels; take fewer with --channels"
        )
    sheet = Image.new("RGB", size, background)
    if above > gap:
        for number, head in enumerate(heads):
            small.draw(sheet, [head], left + number * step_x + cell[1] / 2, gap // 2)
    for number, (row, name) in enumerate(zip(rows, shown, strict=True)):
        top = above + number * step_y
        text.draw_centred(
            sheet, name, left - 2 * gap - text.width(name) / 2 + gap, top + cell[0] / 2
        )
        for place, pixels in enumerate(row):
            picture = drawn(pixels, cell)
            first = left + place * step_x
            spare = cell[0] - picture.height, cell[1] - picture.width
            sheet.paste(picture, (first + spare[1] // 2, top + spare[0] // 2))
            if captions:
                lines = small.lines(captions[number][place], cell[1] + gap)
                small.draw(sheet, lines, first + cell[1] / 2, top + cell[0])
    return np.asarray(sheet)


def _size(width: int) -> int:
    return max(9, width // 5)


def _fit(lettering: Lettering, heads: Sequence[str], width: int) -> bool:
    return max(map(lettering.width, heads)) <= width
