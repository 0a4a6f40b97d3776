"""How a training went: losses and accuracies over its epochs, as a picture and as text.

Rows have the columns of ``metrics.csv``; what is missing, or not finite, is left out.
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from cnntool.errors import MissingPackage
from cnntool.report.lettering import drawable
from cnntool.report.terminal_chart import NARROWEST, Chart, Points, drawn, encodable, side_by_side

Rows = Sequence[Mapping[str, Any]]

LINES: Mapping[str, Mapping[str, str]] = {
    "loss": {
        "train": "train_loss",
        "validation": "val_loss",
        "discriminator": "d_loss",
        "generator": "g_loss",
    },
    "accuracy": {"train": "train_accuracy", "validation": "val_accuracy"},
    "held for real": {"real pictures": "real", "made pictures": "fake"},
}
"""Title of a chart -> name of a line -> its column. The last two are shares; one of them is drawn:
how often the right class was found, or what a discriminator says of pictures."""

STEEP = 10.0
"""Losses whose largest is that many times the smallest are drawn logarithmically."""

_SIDE_BY_SIDE = 76  # columns of text that two charts beside each other need
_COLOURS = ("#1f5f9e", "#e07b1a")
_TEST = "#3a3a3a"


def curves_png(rows: Rows, title: str = "", test: Mapping[str, float] | None = None) -> bytes:
    """A picture of loss and accuracy, as the bytes of a PNG file.

    Args:
        rows: One an epoch: ``epoch``, and of the columns in :data:`LINES` what there is,
            accuracies as shares.
        title: Above all.
        test: ``loss`` and ``accuracy`` on the test pictures at the end.

    Raises:
        MissingPackage: matplotlib is not installed.
    """
    with _silent():
        return _drawn(rows, title, test or {})


def curves_chart(rows: Rows, width: int = 80, encoding: str | None = "utf-8") -> list[str]:
    """Loss and accuracy as rows of text; none where there are fewer than two epochs.

    Args:
        rows: As for :func:`curves_png`.
        width: Columns of the terminal; two charts stand side by side from 76.
        encoding: Of the terminal; without Braille in it, plain signs are used.

    Example:
        >>> rows = [{"epoch": n, "train_loss": 1 / n} for n in range(1, 6)]
        >>> for row in curves_chart(rows, 40, "ascii")[:3]:
        ...     print(row)
        train loss
           1 +**
             |  *
    """
    unicode = encodable(encoding)
    charts = []
    for what in _charts(rows):
        lines = {name: points for name, points in _lines(rows, what).items() if len(points) > 1}
        if not lines:
            continue
        percent = what != "loss"
        logarithmic = not percent and _steep(lines)
        title = what if percent else _loss_title(logarithmic)
        if len(lines) == 1:
            title = f"{next(iter(lines))} {title}"
        charts.append(Chart(title, lines, "epoch", percent=percent, logarithmic=logarithmic))
    if not charts or width < NARROWEST:
        return []
    if len(charts) == 2 and width >= _SIDE_BY_SIDE:
        half = min((width - 3) // 2, 60)
        left, right = (drawn(chart, half, unicode=unicode) for chart in charts)
        return side_by_side(left, right, half + 3)
    whole = min(width, 80)
    return [row for chart in charts for row in drawn(chart, whole, unicode=unicode)]


def _drawn(rows: Rows, title: str, test: Mapping[str, float]) -> bytes:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackage(
            "pictures of curves need matplotlib; pip install 'cnntool[plot]'"
        ) from error
    figure = Figure(figsize=(10, 4.2), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for axes, what in zip(figure.subplots(1, 2), _charts(rows), strict=True):
        _draw(axes, what, _lines(rows, what), test.get(what, math.nan))
    if title:
        # names of folders may hold letters that fonts lack, and signs of formulas
        figure.suptitle(drawable(title), parse_math=False)
    file = io.BytesIO()
    # no version of matplotlib inside: the same curves give the same bytes
    canvas.print_figure(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _draw(axes: Any, what: str, lines: Mapping[str, Points], test: float) -> None:
    """One of the two parts of the picture."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    percent = what != "loss"
    factor = 100 if percent else 1
    colours = dict(zip(LINES[what], 2 * _COLOURS, strict=False))
    for name, points in lines.items():
        axes.plot(
            [x for x, _ in points],
            [factor * y for _, y in points],
            color=colours[name],
            marker="o" if len(points) <= 40 else "",
            markersize=4,
            linewidth=1.8,
            label=name,
        )
    if _finite(test):
        text = f"test: {test:.2%}".replace("%", " %") if percent else f"test: {test:.4f}"
        axes.axhline(factor * test, color=_TEST, linestyle="--", linewidth=1.1, label=text)
    logarithmic = not percent and _steep(lines)
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set_title(f"{what}, %" if percent else _loss_title(logarithmic))
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#e4e4e4", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.has_data():
        axes.legend(frameon=False)


def _charts(rows: Rows) -> tuple[str, str]:
    """Titles of the two charts."""
    loss, *shares = LINES
    return loss, next((what for what in shares if _lines(rows, what)), shares[0])


def _lines(rows: Rows, what: str) -> Mapping[str, Points]:
    """Points (epoch, value) by the name of the line, where there are any."""
    found = {}
    for name, column in LINES[what].items():
        points = [
            (float(row["epoch"]), float(row[column])) for row in rows if _finite(row.get(column))
        ]
        if points:
            found[name] = points
    return found


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _steep(lines: Mapping[str, Points]) -> bool:
    values = [y for points in lines.values() for _, y in points]
    return bool(values) and min(values) > 0 and max(values) > STEEP * min(values)


def _loss_title(logarithmic: bool) -> str:
    return "loss (logarithmic)" if logarithmic else "loss"


@contextmanager
def _silent() -> Iterator[None]:
    """Without matplotlib's words about fonts and folders, which it says where it is new."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
