"""Text in drawings, in the one font that Pillow brings along.

The font holds little more than ASCII, so other letters lose their accents and what is left without
a glyph becomes a question mark.
"""

from __future__ import annotations

import functools
import unicodedata

from PIL import Image, ImageDraw, ImageFont

from cnntool.errors import MissingPackage

DOTS = "…"

_LIKE = {
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{HYPHEN}": "-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{DEGREE SIGN}": " deg",
    "\N{LATIN SMALL LETTER SHARP S}": "ss",
}


class Lettering:
    """A font size, and a colour that is legible on a background.

    Args:
        size: Of the font, in pixels.
        background: Red, green and blue below the text.

    Raises:
        MissingPackage: Pillow was built without its font library.

    Example:
        >>> Lettering(12).lines("first line", width=200)
        ['first line']
    """

    def __init__(self, size: int, background: tuple[int, ...] = (255, 255, 255)) -> None:
        self.size = size
        self.font = _font(size)
        red, green, blue = background
        dark = 299 * red + 587 * green + 114 * blue < 140_000
        self.colour = (255, 255, 255) if dark else (45, 45, 45)

    @property
    def line(self) -> int:
        """Pixels from one line to the next."""
        return round(1.35 * self.size)

    def width(self, text: str) -> float:
        """Pixels that a line takes."""
        return float(self.font.getlength(text))

    def lines(self, text: str, width: float) -> list[str]:
        """The lines of a text, drawable, each shortened to ``width`` pixels."""
        return [self.shortened(drawable(line), width) for line in text.split("\n")]

    def shortened(self, text: str, width: float) -> str:
        """The line with dots in place of its middle if it is too wide: both ends tell most.

        Example:
            >>> short = Lettering(12).shortened("photographs-of-the-summer.png", 120)
            >>> short.startswith("photo"), "…" in short, short.endswith(".png")
            (True, True, True)
        """
        if self.width(text) <= width:
            return text
        low, high = 0, len(text) - 1  # so many characters fit, beside the dots
        while low < high:
            middle = (low + high + 1) // 2
            if self.width(_ends(text, middle)) <= width:
                low = middle
            else:
                high = middle - 1
        return _ends(text, low)

    def draw(self, picture: Image.Image, lines: list[str], x: float, y: float) -> None:
        """Lines centred about x, the first below y."""
        pen = ImageDraw.Draw(picture)
        for number, text in enumerate(lines):
            start = round(x - self.width(text) / 2)
            pen.text((start, y + number * self.line), text, self.colour, self.font, anchor="la")

    def draw_centred(self, picture: Image.Image, text: str, x: float, y: float) -> None:
        """One line with its digits centred about (x, y)."""
        pen = ImageDraw.Draw(picture)
        # all digits are as high as this one, so numbers stand on one line
        _, top, _, bottom = pen.textbbox((0, 0), "0", font=self.font, anchor="ls")
        start = round(x - self.width(text) / 2), round(y - (top + bottom) / 2)
        pen.text(start, text, self.colour, self.font, anchor="ls")


def drawable(text: str) -> str:
    """The text in characters that the font has.

    Example:
        >>> drawable("Café 漢 −1")
        'Cafe ? -1'
    """
    return "".join(map(_drawable, unicodedata.normalize("NFC", text)))


@functools.lru_cache(maxsize=4096)
def _drawable(character: str) -> str:
    if " " <= character <= "~":
        return character
    if character.isspace():
        return " "
    if character in _LIKE:
        return _LIKE[character]
    plain = unicodedata.normalize("NFKD", character)
    if plain.isprintable() and _has_glyphs(character):
        return character
    return "".join(c for c in plain if " " <= c <= "~") or "?"


def _has_glyphs(text: str) -> bool:
    """Whether the font draws this otherwise than a character that no font has."""
    font = _font(12)
    return bytes(font.getmask(text)) != bytes(font.getmask("\uffff"))


def _ends(text: str, count: int) -> str:
    """The first and the last characters, ``count`` in all, with dots between."""
    last = count * 2 // 5
    return text[: count - last] + DOTS + text[len(text) - last :]


@functools.lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    try:
        font = ImageFont.load_default(size)
    except ImportError as error:
        raise MissingPackage(
            "captions need Pillow with FreeType, this one was built without it; "
            "pip install --force-reinstall pillow"
        ) from error
    assert isinstance(font, ImageFont.FreeTypeFont)  # a size was given
    return font
