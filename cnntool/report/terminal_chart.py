"""Lines in text: small charts for a terminal.

A cell of text holds 2×4 dots of Braille, enough to see how a line runs. The first line of a chart
is drawn through, the second dotted; both are named at their ends, so no colour is needed. Where
the terminal's encoding has no Braille, cells hold one sign each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]

ROWS = 8
"""Rows of text of the lines' area."""

NARROWEST = 28
"""Columns of text that a chart needs."""

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # of a cell: column, row from above
_SIGNS = "*o"  # of the first line and the second, in plain text
_BOTH = "#"


@dataclass(frozen=True)
class Chart:
    """What is drawn.

    Attributes:
        title: First line.
        lines: Points by the name of the line, at most two lines; x rises.
        axis: What x counts.
        percent: Whether numbers are shares that are written in percent.
        logarithmic: Whether equal factors get equal heights, where all y are above 0.
    """

    title: str
    lines: Mapping[str, Points]
    axis: str = ""
    percent: bool = False
    logarithmic: bool = False


def encodable(encoding: str | None) -> bool:
    """Whether a stream of this encoding can show Braille and lines.

    Example:
        >>> encodable("utf-8"), encodable("cp1252"), encodable(None)
        (True, False, False)
    """
    try:
        "⣿┤│└─".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def drawn(chart: Chart, width: int, *, unicode: bool = True) -> list[str]:
    """The rows of text of a chart: its title, :data:`ROWS` rows of lines, and an axis of two rows.

    Args:
        chart: At least one line with two points.
        width: Columns of text, at least :data:`NARROWEST`; rows may be shorter.
        unicode: Whether the terminal shows Braille and box drawing.

    Example:
        >>> falling = Chart("loss", {"train": [(1, 0.4), (2, 0.1), (3, 0.0)]})
        >>> for row in drawn(falling, 28, unicode=False)[:4]:
        ...     print(row)
        loss
         0.4 +**
             |  *
             |   ***
    """
    low, high = _range(chart)
    ticks = _ticks(chart, low, high)
    margin = max(map(len, ticks.values())) + 1
    names = list(chart.lines) if len(chart.lines) > 1 else []
    columns = width - margin - 1 - max((len(name) + 1 for name in names), default=0)
    canvas = _Canvas(columns, unicode)
    xs = [x for points in chart.lines.values() for x, _ in points]
    first, last = min(xs), max(xs)
    ends: dict[int, str] = {}
    for number, (name, points) in enumerate(chart.lines.items()):
        places = [
            ((x - first) / ((last - first) or 1), _height(chart, y, low, high)) for x, y in points
        ]
        canvas.line(places, number)
        if names:
            _put(ends, round((1 - places[-1][1]) * (ROWS - 1)), name)
    tick, side, corner, bottom = "┤│└─" if unicode else "+|+-"
    rows = [chart.title]
    for row, text in enumerate(canvas.rows()):
        label = ticks.get(row, "")
        end = f" {ends[row]}" if row in ends else ""
        axis = tick if label else side
        rows.append(f"{label:>{margin - 1}} {axis}{text.ljust(columns) if end else text}{end}")
    rows.append(" " * margin + corner + bottom * columns)
    rows.append(" " * (margin + 1) + _between(f"{first:g}", chart.axis, f"{last:g}", columns))
    return [row.rstrip() for row in rows]


def side_by_side(left: Sequence[str], right: Sequence[str], at: int) -> list[str]:
    """Rows of two charts beside each other, the second from column ``at``.

    Example:
        >>> side_by_side(["a", "b"], ["c"], 3)
        ['a  c', 'b']
    """
    count = max(len(left), len(right))
    padded = [[*rows, *[""] * (count - len(rows))] for rows in (left, right)]
    return [f"{a:<{at}}{b}".rstrip() for a, b in zip(*padded, strict=True)]


class _Canvas:
    """A grid of dots, :data:`ROWS` rows high."""

    def __init__(self, columns: int, unicode: bool) -> None:
        self.unicode = unicode
        self.wide, self.high = (2 * columns, 4 * ROWS) if unicode else (columns, ROWS)
        self.cells = [[0] * columns for _ in range(ROWS)]

    def line(self, places: Points, number: int) -> None:
        """Lines from place to place; (0, 0) is the bottom left corner, (1, 1) the top right one."""
        dots = [(round(x * (self.wide - 1)), round((1 - y) * (self.high - 1))) for x, y in places]
        for start, end in zip(dots, dots[1:] or dots, strict=False):
            self._stroke(start, end, number)

    def _stroke(self, start: tuple[int, int], end: tuple[int, int], number: int) -> None:
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for step in range(steps + 1):
            x, y = (round(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True))
            if not self.unicode:
                self.cells[y][x] |= 1 << number
            elif number == 0 or (x + y) // 2 % 2 == 0:  # every second pair of dots
                self.cells[y // 4][x // 2] |= _DOTS[x % 2][y % 4]

    def rows(self) -> list[str]:
        """The cells as text."""
        if self.unicode:
            signs = [[chr(_BRAILLE + cell) if cell else " " for cell in row] for row in self.cells]
        else:
            known = [" ", *_SIGNS, _BOTH]
            signs = [[known[cell] for cell in row] for row in self.cells]
        return ["".join(row).rstrip() for row in signs]


def _range(chart: Chart) -> tuple[float, float]:
    ys = [y for points in chart.lines.values() for _, y in points]
    low, high = min(ys), max(ys)
    if low == high:
        return low - (abs(low) or 1) / 10, high + (abs(high) or 1) / 10
    return low, high


def _height(chart: Chart, y: float, low: float, high: float) -> float:
    """From 0, at ``low``, to 1, at ``high``."""
    if _logarithmic(chart, low):
        return math.log(y / low) / math.log(high / low)
    return (y - low) / (high - low)


def _logarithmic(chart: Chart, low: float) -> bool:
    return chart.logarithmic and low > 0


def _ticks(chart: Chart, low: float, high: float) -> dict[int, str]:
    """Row -> the number at its middle, for three rows."""
    found = {}
    for row in (0, (ROWS - 1) // 2, ROWS - 1):
        part = 1 - row / (ROWS - 1)
        if _logarithmic(chart, low):
            value = low * (high / low) ** part
        else:
            value = low + (high - low) * part
        found[row] = _number(value, high - low, percent=chart.percent)
    return found


def _number(value: float, spread: float, *, percent: bool) -> str:
    if percent:
        return f"{100 * value:.{1 if spread >= 0.02 else 2}f} %"
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"


def _put(ends: dict[int, str], row: int, name: str) -> None:
    """Name the end of a line in its row, or the next free one."""
    near = sorted(range(ROWS), key=lambda other: (abs(other - row), other))
    ends[next(other for other in near if other not in ends)] = name


def _between(first: str, middle: str, last: str, columns: int) -> str:
    """What stands below the axis: its ends, and what it counts if there is room."""
    room = columns - len(first) - len(last)
    return first + (middle.center(room) if len(middle) + 2 <= room else " " * room) + last
