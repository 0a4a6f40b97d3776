"""What a classifier takes for what: the confusion matrix as a picture, and its worst pairs.

Right and wrong have a colour scale each, both by the share of the true class. On one scale the
errors of a good classifier, a thousandth of what is right, would all look like nothing.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from cnntool.errors import OptionError, ShapeError
from cnntool.report.colours import Pixels, Stops, coloured
from cnntool.report.lettering import Lettering, drawable

Counts = NDArray[np.int64]

MOST = 2000
"""Classes at most: with more, a cell would have less than two pixels in a picture of any use."""

RIGHT: Stops = ((240, 246, 252), (107, 174, 214), (8, 69, 130))
WRONG: Stops = ((255, 234, 205), (244, 135, 60), (150, 25, 10))
_NOTHING = (255, 255, 255)
_EMPTY = (236, 236, 236)  # the row of a class that has no pictures
_LINE = 222
_BACKGROUND = (255, 255, 255)

_GAP = 10  # between parts of the picture
_LONGEST = 170  # pixels of a label
_LEGIBLE = 8  # the smallest font
_PITCH = 9  # pixels that a label needs at least
_LINED = 12  # side of a cell from which cells have lines between them
_BAR = (120, 12)  # size of a colour scale in the legend
_TITLE, _TEXT = 17, 13  # sizes of fonts


def confusion_picture(matrix: ArrayLike, labels: Sequence[str], title: str = "") -> Pixels:
    """The matrix as coloured cells: a row for each true class, a column for what it was taken for.

    What is right is blue, what is wrong is orange to red; where there is nothing it is white. The
    darker, the larger the share of the true class; the scale of errors ends at the largest of them
    and rises steeply, so that a single error is seen. Counts stand in the cells where they fit.

    Args:
        matrix: How often each class was taken for each, >= 0; rows are true, columns predicted.
        labels: Names of the classes, 1 to 2000; long ones are shortened, and in large matrices
            only some are written.
        title: First line; the accuracy stands below it.

    Shape:
        (K, K) -> (H, W, 3), uint8.

    Raises:
        ShapeError: The matrix is not square, or there is not one label a row.
        OptionError: Not counts, or too many classes.

    Example:
        >>> picture = confusion_picture([[9, 1], [0, 10]], ["cat", "dog"], "pets")
        >>> picture.ndim, picture.dtype
        (3, dtype('uint8'))
    """
    counts, names = _checked(matrix, labels)
    sheet = _Sheet(counts, [drawable(name) for name in names], drawable(title))
    return np.asarray(sheet.drawn())


def confusion_png(matrix: ArrayLike, labels: Sequence[str], title: str = "") -> bytes:
    """:func:`confusion_picture` as the bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(confusion_picture(matrix, labels, title)).save(file, "PNG", optimize=True)
    return file.getvalue()


def confused_pairs(matrix: ArrayLike, labels: Sequence[str], n: int = 5) -> list[str]:
    """A line for each of the pairs that are confused most often, the worst first.

    Args:
        matrix: As for :func:`confusion_picture`.
        labels: Names of the classes.
        n: Lines at most.

    Raises:
        ShapeError, OptionError: As for :func:`confusion_picture`.

    Example:
        >>> confused_pairs([[95, 5, 0], [0, 100, 0], [2, 0, 48]], ["4", "7", "9"])
        ['4 taken for 7: 5 of 100', '9 taken for 4: 2 of 50']
    """
    counts, names = _checked(matrix, labels)
    totals = counts.sum(axis=1)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    # by count; of equal ones the larger share of its class, then the order of the classes
    order = np.lexsort((-_shares(wrong, totals).ravel(), -wrong.ravel()))[: max(0, n)]
    return [
        f"{names[row]} taken for {names[column]}: {wrong[row, column]} of {totals[row]}"
        for row, column in (divmod(int(place), len(names)) for place in order)
        if wrong[row, column]
    ]


def _checked(matrix: ArrayLike, labels: Sequence[str]) -> tuple[Counts, list[str]]:
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ShapeError(
            "a confusion matrix has a row and a column for each class, got shape "
            + "x".join(map(str, counts.shape))
        )
    if len(labels) != len(counts):
        raise ShapeError(f"{len(counts)} classes need as many labels, got {len(labels)}")
    if counts.dtype.kind not in "iu" or counts.min() < 0:
        raise OptionError("a confusion matrix holds counts: whole numbers of at least 0")
    if len(counts) > MOST:
        raise OptionError(f"{len(counts)} classes are too many to draw; the limit is {MOST}")
    return counts.astype(np.int64), list(labels)


def _shares(counts: Counts, totals: Counts) -> NDArray[np.float64]:
    """Parts of the true class; 0 in the rows of classes without pictures."""
    return counts / np.maximum(totals, 1)[:, None]


def _colours(counts: Counts) -> tuple[Pixels, float]:
    """The colour of each cell, (K, K, 3), and the largest share that is wrong."""
    totals = counts.sum(axis=1)
    shares = _shares(counts, totals)
    own = np.eye(len(counts), dtype=bool)
    worst = float(np.where(own, 0, shares).max())
    # a root: a tenth of the worst error has a third of its strength
    parts = np.sqrt(shares / worst) if worst else shares
    wrong = np.where((counts > 0)[..., None], coloured(parts, WRONG), _NOTHING)
    wrong[totals == 0] = _EMPTY
    right = np.where((totals > 0)[:, None, None], coloured(shares, RIGHT), wrong)
    found: Pixels = np.rint(np.where(own[..., None], right, wrong)).astype(np.uint8)
    return found, worst


def _side(classes: int) -> int:
    """Pixels of a cell: roomy for few classes, and a picture that fits a screen for many."""
    if classes > 200:
        return max(2, min(_PITCH, 2000 // classes))
    return max(_PITCH, min(96, round(340 / math.pow(classes, 0.7))))


class _Sheet:
    """The picture and the places of its parts.

    Args:
        counts: The matrix.
        names: Labels that the font can draw.
        title: A text that the font can draw.
    """

    def __init__(self, counts: Counts, names: list[str], title: str) -> None:
        self.counts, self.title = counts, title
        self.side = _side(len(counts))
        self.letters = Lettering(max(_LEGIBLE, min(14, self.side - 2)), _BACKGROUND)
        self.text, self.heading = Lettering(_TEXT, _BACKGROUND), Lettering(_TITLE, _BACKGROUND)
        self.names = [self.letters.shortened(name, _LONGEST) for name in names]
        widest = max(map(self.letters.width, self.names))
        self.every = -(-_PITCH // self.side)  # which labels are written
        self.upright = widest > self.side - 4
        columns = widest if self.upright else self.letters.line
        across = self.side * len(counts) + 1
        words = max(self.heading.width(title), self.text.width(self._summary()))
        self.left = _GAP + self.text.line + round(widest) + _GAP
        head = (self.heading.line if title else 0) + self.text.line + _GAP
        self.top = _GAP + head + self.text.line + round(columns) + _GAP // 2
        legend = 2 * (self.text.line + 4)
        self.width = max(
            self.left + across + 2 * _GAP, round(words) + 2 * _GAP, self._legend_width() + 2 * _GAP
        )
        self.height = self.top + across + 2 * _GAP + legend

    def drawn(self) -> Image.Image:
        """The whole picture."""
        sheet = Image.new("RGB", (self.width, self.height), _BACKGROUND)
        colours, worst = _colours(self.counts)
        sheet.paste(Image.fromarray(self._cells(colours)), (self.left, self.top))
        self._numbers(sheet, colours)
        self._labels(sheet)
        y = _GAP
        if self.title:
            self.heading.draw(sheet, [self.title], self.width / 2, y)
            y += self.heading.line
        self.text.draw(sheet, [self._summary()], self.width / 2, y)
        self._legend(sheet, worst)
        return sheet

    def _summary(self) -> str:
        total, right = int(self.counts.sum()), int(np.trace(self.counts))
        if not total:
            return "no pictures"
        return f"accuracy {100 * right / total:.2f} %, {total - right} of {total} wrong"

    def _cells(self, colours: Pixels) -> Pixels:
        """(K, K, 3) -> (K·side + 1, K·side + 1, 3), with a frame, and lines if there is room."""
        side = self.side
        cells = np.repeat(np.repeat(colours, side, axis=0), side, axis=1)
        cells = np.pad(cells, ((0, 1), (0, 1), (0, 0)), constant_values=_LINE)
        step = side if side >= _LINED else len(cells) - 1
        cells[::step] = cells[:, ::step] = _LINE
        return cells

    def _numbers(self, sheet: Image.Image, colours: Pixels) -> None:
        """Counts in cells that have room for them."""
        size = self._number_size()
        if size is None:
            return
        room, side = self.side - 3, self.side
        for row, column in np.argwhere(self.counts):
            lettering = Lettering(size, tuple(map(int, colours[row, column])))
            text = str(self.counts[row, column])
            if lettering.width(text) <= room:
                place = self.left + (column + 0.5) * side, self.top + (row + 0.5) * side
                lettering.draw_centred(sheet, text, *place)

    def _number_size(self) -> int | None:
        """The largest font in which all counts fit; the smallest if at least some fit in that."""
        widest = max(map(str, self.counts.ravel().tolist()), key=len)
        for size in range(min(18, self.side // 3 + 3), _LEGIBLE - 1, -1):
            if Lettering(size).width(widest) <= self.side - 4 and size <= self.side - 4:
                return size
        return _LEGIBLE if self.side >= _LINED else None

    def _labels(self, sheet: Image.Image) -> None:
        """Names of rows and columns, and what they mean."""
        end = self.side * len(self.names)
        for place in range(0, len(self.names), self.every):
            name, middle = self.names[place], (place + 0.5) * self.side
            x = self.left - _GAP // 2 - self.letters.width(name) / 2
            self.letters.draw_centred(sheet, name, x, self.top + middle)
            if self.upright:
                bottom = self.top - _GAP // 2
                _draw_upright(sheet, self.letters, name, round(self.left + middle), bottom)
            else:
                y = self.top - self.letters.line / 2 - 1
                self.letters.draw_centred(sheet, name, self.left + middle, y)
        above = self.heading.line if self.title else 0
        y = _GAP + above + self.text.line + _GAP // 2
        self.text.draw(sheet, ["predicted"], self.left + end / 2, y)
        bottom = self.top + round((end + self.text.width("true")) / 2)
        _draw_upright(sheet, self.text, "true", _GAP + self.text.line // 2 - 2, bottom)

    def _legend_width(self) -> int:
        words = (self.text.width("right  0"), self.text.width("100.00 % of a true class"))
        return round(sum(words)) + _BAR[0] + 2 * _GAP

    def _legend(self, sheet: Image.Image, worst: float) -> None:
        """A bar of colours for each scale, with the shares at its ends."""
        width, height = _BAR
        left = (self.width - self._legend_width()) // 2
        bar = left + round(self.text.width("wrong  0")) + _GAP
        y = self.height - _GAP - 2 * (self.text.line + 4)
        parts = np.linspace(0, 1, width)
        for word, stops, reach in (
            ("right", RIGHT, "100 %"),
            ("wrong", WRONG, f"{100 * worst:.3g} %"),
        ):
            if word == "wrong" and not worst:
                break
            middle = y + self.text.line / 2
            strength = parts if word == "right" else np.sqrt(parts)
            colours = np.rint(coloured(strength, stops)).astype(np.uint8)
            strip = Image.fromarray(np.repeat(colours[None], height, axis=0))
            sheet.paste(strip, (bar, round(middle - height / 2)))
            before, after = f"{word}  0", f"{reach} of a true class"
            x = bar - _GAP / 2 - self.text.width(before) / 2
            self.text.draw_centred(sheet, before, x, middle)
            x = bar + width + _GAP / 2 + self.text.width(after) / 2
            self.text.draw_centred(sheet, after, x, middle)
            y += self.text.line + 4


def _draw_upright(sheet: Image.Image, lettering: Lettering, text: str, x: int, bottom: int) -> None:
    """One line that runs upwards from ``bottom``, centred about the column x."""
    size = max(1, round(lettering.width(text))), lettering.line
    lying = Image.new("RGB", size, _BACKGROUND)
    lettering.draw_centred(lying, text, size[0] / 2, size[1] / 2)
    upright = lying.transpose(Image.Transpose.ROTATE_90)
    # the background of neighbours must not cover this one: only darker pixels count
    place = x - upright.width // 2, bottom - upright.height
    darkest = lettering.colour[0]  # letters are as dark as lying ones
    mask = upright.convert("L").point(lambda value: (255 - value) * 255 // (255 - darkest))
    sheet.paste(lettering.colour, (*place, place[0] + upright.width, bottom), mask)
