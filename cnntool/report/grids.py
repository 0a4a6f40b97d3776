"""Sheets of small pictures with captions, and matrices as pictures.

Both are drawn with Pillow and the font that it brings, so they look the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from cnntool.errors import OptionError, ShapeError
from cnntool.geometry import pair
from cnntool.report.colours import PAPER, Colour, Pixels, Scale
from cnntool.report.lettering import Lettering

BACKGROUND: Colour = (238, 238, 238)
LARGEST = 200_000_000
"""Pixels that a sheet may have."""

_CELL = 320  # longer side of a cell that is not asked for: larger pictures shrink to it
_SMALL = 128  # and smaller ones grow at least to this
_LANDSCAPE = 1.4  # width of a sheet over its height, where columns are not asked for
_CHECKS = (8, (255, 255, 255), (204, 204, 204))  # side of the squares, their two colours


def grid(
    pictures: Sequence[NDArray[Any]],
    *,
    columns: int | None = None,
    captions: Sequence[str] | None = None,
    cell: int | Sequence[int] | None = None,
    gap: int = 8,
    background: Colour = BACKGROUND,
    full_range: float = 255.0,
) -> Pixels:
    """All pictures on one sheet, row by row, each with its caption below.

    Pictures keep their proportions: large ones shrink smoothly, small ones grow by whole factors,
    so that their pixels stay squares. Transparent parts show a checkerboard.

    Args:
        pictures: One or more, of any sizes: grey, grey with opacity, RGB or RGBA. Samples are
            0..255, or 0..65535 for uint16; others are cut off there; False and True are black and
            white; NaN is black.
        columns: Pictures in a row, >= 1; as many as give a sheet somewhat wider than high if left
            out.
        captions: A text for each picture; lines are parted by newlines and shortened to fit.
        cell: Room for a picture in pixels, one number or (height, width); fitting the largest
            picture, but its longer side from 128 to 320, if left out.
        gap: Pixels between cells and around them, >= 0.
        background: Red, green and blue, 0..255.
        full_range: The largest sample of pictures of floats.

    Shape:
        (H, W) or (H, W, C) each, C from 1 to 4 -> (H', W', 3), uint8.

    Raises:
        OptionError: No pictures, a wrong number of captions, sizes that make no sense.
        ShapeError: An array that is no picture, or a sheet of more than 200 million pixels.

    Example:
        >>> grid([np.zeros((40, 30)), np.zeros((20, 30))], cell=(40, 30), gap=5).shape
        (50, 75, 3)
    """
    _check(pictures, captions, columns, gap, background)
    height, width = _cell_size(pictures, cell)
    lettering, below = Lettering(_font_size(width), background), 0
    texts = [lettering.lines(text, width) for text in captions or ()]
    if captions is not None:
        below = max(map(len, texts)) * lettering.line + gap // 2
    step_y, step_x = height + below + gap, width + gap
    columns = columns or _columns(len(pictures), step_y, step_x)
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    size = columns * step_x + gap, rows * step_y + gap
    if size[0] * size[1] > LARGEST:
        raise ShapeError(
            f"a sheet of {len(pictures)} pictures with cells of {width}×{height} pixels would be "
            f"{size[0]}×{size[1]}, more than {LARGEST // 10**6} million pixels; "
            "take fewer pictures or smaller cells"
        )
    sheet = Image.new("RGB", size, background)
    for place, pixels in enumerate(pictures):
        row, column = divmod(place, columns)
        left, top = gap + column * step_x, gap + row * step_y
        picture = drawn(pixels, (height, width), full_range=full_range)
        # in the middle; with a caption at the bottom, next to its text
        spare = height - picture.height
        sheet.paste(
            picture, (left + (width - picture.width) // 2, top + (spare if below else spare // 2))
        )
        if texts:
            lettering.draw(sheet, texts[place], left + width / 2, top + height + gap // 2)
    return np.asarray(sheet)


def matrix_picture(matrix: ArrayLike, *, cell: int | None = None) -> Pixels:
    """A kernel or another small matrix as coloured squares with their numbers.

    Red is positive, blue negative, white 0; a matrix without negative numbers goes from white over
    orange to red. Numbers are left out where squares are too small for them.

    Args:
        matrix: Numbers, not empty; what is not finite is grey.
        cell: Side of a square in pixels, >= 1; it depends on the matrix if left out.

    Shape:
        (h, w) -> (H', W', 3), uint8.

    Raises:
        ShapeError: Not a matrix, or a picture of more than 200 million pixels.
        OptionError: A side below 1.

    Example:
        >>> matrix_picture([[-1, 0, 1], [-2, 0, 2]], cell=40).shape
        (81, 121, 3)
    """
    values = np.asarray(matrix, np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ShapeError(
            "a matrix has rows and columns and is not empty, got shape "
            + "x".join(map(str, values.shape))
        )
    rows, columns = values.shape
    side = _square_side(values) if cell is None else cell
    if side < 1:
        raise OptionError(f"the side of a square must be at least 1 pixel, got {side}")
    line = 1 if side >= _LINED else 0
    if (rows * side + line) * (columns * side + line) > LARGEST:
        raise ShapeError(
            f"a matrix of {rows}×{columns} with squares of {side} pixels is too large to draw; "
            f"the limit is {LARGEST // 10**6} million pixels"
        )
    colours = _heat(values)
    # (rows columns 3) -> (rows·side columns·side 3)
    drawing = np.repeat(np.repeat(colours, side, axis=0), side, axis=1)
    if line:
        drawing = np.pad(drawing, ((0, 1), (0, 1), (0, 0)), constant_values=_LINE)
        drawing[::side] = drawing[:, ::side] = _LINE
    size = _fitting_size(values, side)
    if size is None:
        return drawing
    picture = Image.fromarray(drawing)
    for (r, c), value in np.ndenumerate(values):
        lettering = Lettering(size, tuple(map(int, colours[r, c])))
        lettering.draw_centred(picture, short_number(value), (c + 0.5) * side, (r + 0.5) * side)
    return np.asarray(picture)


# --- sheets ---


def _check(
    pictures: Sequence[NDArray[Any]],
    captions: Sequence[str] | None,
    columns: int | None,
    gap: int,
    background: Colour,
) -> None:
    if len(pictures) == 0:
        raise OptionError("a sheet needs at least one picture, got none")
    if captions is not None and len(captions) != len(pictures):
        raise OptionError(
            f"a sheet needs one caption a picture, got {len(captions)} for {len(pictures)}"
        )
    if columns is not None and columns < 1:
        raise OptionError(f"a sheet needs at least one column, got {columns}")
    if gap < 0:
        raise OptionError(f"the gap between pictures must be 0 or more, got {gap}")
    if len(background) != 3 or not all(0 <= part <= 255 for part in background):
        raise OptionError(f"a background is red, green, blue from 0 to 255, got {background}")
    for place, pixels in enumerate(pictures, start=1):
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        if pixels.ndim not in (2, 3) or pixels.size == 0 or channels > 4:
            raise ShapeError(
                f"picture {place} has shape {'x'.join(map(str, pixels.shape))}; a sheet takes "
                "(H, W) or (H, W, C) with up to 4 channels, not empty"
            )


def _cell_size(
    pictures: Sequence[NDArray[Any]], cell: int | Sequence[int] | None
) -> tuple[int, int]:
    """Height and width of the room for a picture."""
    if cell is not None:
        height, width = pair(cell, "cell")
        if min(height, width) < 1:
            raise OptionError(f"a cell must be at least 1 pixel, got {height},{width}")
        return height, width
    height = max(pixels.shape[0] for pixels in pictures)
    width = max(pixels.shape[1] for pixels in pictures)
    longest = max(height, width)
    factor = _CELL / longest if longest > _CELL else max(1, -(-_SMALL // longest))
    return max(1, round(height * factor)), max(1, round(width * factor))


def _columns(count: int, height: int, width: int) -> int:
    """Columns that make a landscape sheet with few places left empty."""

    def badness(columns: int) -> float:
        rows = -(-count // columns)
        shape = math.log(columns * width / (rows * height) / _LANDSCAPE)
        return abs(shape) + (rows * columns - count) / count

    return min(range(1, count + 1), key=badness)


def _font_size(width: int) -> int:
    return min(14, max(9, width // 10))


def _image(pixels: NDArray[Any], full_range: float) -> Image.Image:
    """8-bit samples in the mode that the number of channels means."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    elif pixels.dtype != np.uint8:
        top = full_range if pixels.dtype.kind == "f" else 255.0
        if pixels.dtype == np.uint16:
            top = 65535.0
        values = np.clip(pixels, 0, top).astype(np.float32) * np.float32(255 / top)
        pixels = np.rint(np.nan_to_num(values)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels))


def drawn(pixels: NDArray[Any], cell: tuple[int, int], *, full_range: float = 255.0) -> Image.Image:
    """A picture in RGB, as large as a cell allows and with its own proportions.

    Args:
        pixels: A picture as :func:`grid` takes it.
        cell: Height and width.
        full_range: The largest sample of pictures of floats.
    """
    return _fitted(_image(pixels, full_range), *cell)


def planes_to_pixels(image: NDArray[np.uint8]) -> Pixels:
    """A picture as networks take it as one to be shown: (C, H, W) -> (H, W) or (H, W, 3).

    Example:
        >>> planes_to_pixels(np.zeros((3, 4, 5), np.uint8)).shape
        (4, 5, 3)
    """
    return image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))


def _fitted(image: Image.Image, height: int, width: int) -> Image.Image:
    """RGB as large as the cell allows."""
    scale = min(width / image.width, height / image.height)
    if scale >= 2:
        factor = int(scale)
        image = image.resize(
            (image.width * factor, image.height * factor), Image.Resampling.NEAREST
        )
    elif scale != 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        method = Image.Resampling.HAMMING if scale < 1 else Image.Resampling.BICUBIC
        image = image.resize(size, method)
    if image.mode not in ("LA", "RGBA"):
        return image.convert("RGB")
    ground = _checkerboard(image.width, image.height)
    ground.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return ground


def _checkerboard(width: int, height: int) -> Image.Image:
    side, light, dark = _CHECKS
    rows, columns = np.mgrid[:height, :width] // side
    odd = (rows + columns) % 2 == 1
    return Image.fromarray(np.where(odd[..., None], dark, light).astype(np.uint8))


# --- matrices ---

_LINE = 190
_LONGEST_SIDE = 1024  # of a picture whose squares' side is not asked for
_LINED = 16  # side from which squares have lines between them
_LEGIBLE = 8  # the smallest font
_LARGEST_FONT = 24


def _heat(values: NDArray[np.float64]) -> Pixels:
    """(h, w) -> colours (h, w, 3) by sign and size."""
    scale = Scale.of(values)
    return (scale if scale.signed else replace(scale, stops=PAPER)).paint(values)


def short_number(value: float) -> str:
    """Whole numbers as they are, others with three digits.

    Example:
        >>> short_number(0.0), short_number(-12.345), short_number(0.000123456)
        ('0', '-12.3', '0.000123')
    """
    if math.isfinite(value) and value == int(value) and abs(value) < 1e6:
        return str(int(value))
    text = f"{value:.3g}"
    return text.replace("e-0", "e-").replace("e+0", "e")


def _widest(values: NDArray[np.float64]) -> str:
    lettering = Lettering(_LARGEST_FONT)
    return max(map(short_number, values.ravel()), key=lettering.width)


def _square_side(values: NDArray[np.float64]) -> int:
    """Roomy squares for small matrices, small ones for large matrices."""
    longest = int(max(values.shape))
    limit = max(1, _LONGEST_SIDE // longest)
    if limit < _LINED:
        return limit
    comfortable = Lettering(18).width(_widest(values)) + 20
    return min(limit, max(64, min(96, 320 // longest), int(comfortable)))


def _fitting_size(values: NDArray[np.float64], side: int) -> int | None:
    """The largest font in which all numbers fit into their squares; None if none is legible."""
    if side < _LINED:
        return None
    widest = _widest(values)
    for size in range(min(_LARGEST_FONT, side // 4 + 2), _LEGIBLE - 1, -1):
        lettering = Lettering(size)
        if lettering.width(widest) <= side - max(4, size // 2) and lettering.line <= side - 2:
            return size
    return None
