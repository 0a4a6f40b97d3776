"""Sheets with a title above and a scale of colours below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from cnntool.report.colours import Colour, Pixels, Scale, coloured
from cnntool.report.grids import BACKGROUND, short_number
from cnntool.report.lettering import Lettering

_GAP = 8
_TITLE, _TEXT = 16, 12  # sizes of fonts
_BAR = (160, 12)  # width and height of a scale
_NARROWEST = 240  # a title needs some room


def figure(
    sheet: Pixels,
    title: str,
    lines: Sequence[str] = (),
    *,
    scale: Scale | None = None,
    unit: str = "",
    background: Colour = BACKGROUND,
) -> Pixels:
    """A sheet with its title, lines below that, and the scale of its colours at the bottom.

    Args:
        sheet: What is shown, on the background.
        title: First line; shortened to fit, like the others.
        lines: Smaller lines below it.
        scale: What the colours mean; None: there are none.
        unit: What the scale's numbers are.
        background: Red, green and blue, 0..255.

    Shape:
        (H, W, 3) -> (H', W', 3), uint8.

    Example:
        >>> figure(np.zeros((40, 300, 3), np.uint8), "a title").shape
        (70, 300, 3)
    """
    heading, text = Lettering(_TITLE, background), Lettering(_TEXT, background)
    width = max(sheet.shape[1], _NARROWEST)
    room = width - 2 * _GAP
    above = _GAP + heading.line + text.line * len(lines)
    below = text.line + _GAP if scale is not None else 0
    whole = Image.new("RGB", (width, above + sheet.shape[0] + below), background)
    heading.draw(whole, heading.lines(title, room), width / 2, _GAP)
    shown = [text.shortened(line, room) for line in lines]
    text.draw(whole, text.lines("\n".join(shown), room), width / 2, _GAP + heading.line)
    whole.paste(Image.fromarray(sheet), ((width - sheet.shape[1]) // 2, above))
    if scale is not None:
        _draw_scale(whole, text, scale, unit, above + sheet.shape[0] + text.line / 2)
    return np.asarray(whole)


def _draw_scale(
    whole: Image.Image, text: Lettering, scale: Scale, unit: str, middle: float
) -> None:
    """Lowest number, bar of colours, highest number and what they are, centred."""
    low, high = short_number(scale.low), short_number(scale.high)
    after = text.shortened(f"{high} {unit}".rstrip(), max(60, whole.width - _BAR[0] - 120))
    before = text.width(low)
    left = round((whole.width - before - _BAR[0] - text.width(after) - 2 * _GAP) / 2)
    text.draw_centred(whole, low, left + before / 2, middle)
    bar = round(left + before + _GAP)
    colours = np.rint(coloured(np.linspace(0, 1, _BAR[0]), scale.stops)).astype(np.uint8)
    strip = Image.fromarray(np.repeat(colours[None], _BAR[1], axis=0))
    whole.paste(strip, (bar, round(middle - _BAR[1] / 2)))
    text.draw_centred(whole, after, bar + _BAR[0] + _GAP + text.width(after) / 2, middle)
