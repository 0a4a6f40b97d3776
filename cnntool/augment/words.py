"""The closed table of random changes: word, settings, and the names that others give them.

Adding a word is one entry here, one entry in :data:`cnntool.augment.draws.DRAWS`, and what it does
to pictures. The parser, the messages, the help and the tests read this table. Nothing here loads
NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from cnntool.augment.amounts import Amount, Choice, Kind, Range, Real, Value, Whole

BORDERS = ("constant", "reflect", "edge", "symmetric", "wrap")
"""What lies around a picture that was moved."""

INTERPOLATIONS = ("bilinear", "nearest")

Family = Literal["geometry", "colour", "pixels"]
"""Moves pixels; changes their colours; works on their surroundings."""


@dataclass(frozen=True)
class Setting:
    """One value that a word takes.

    Attributes:
        name: Its key.
        kind: What it may be.
        summary: What it does, in a few words.
        default: Its value if left out.
        label: How it is called where it stands by its place; empty if it is only written
            ``key=value``.
        required: Whether it must be given.
        like: The setting that it equals if left out.
    """

    name: str
    kind: Kind
    summary: str
    default: Value = 0.0
    label: str = ""
    required: bool = False
    like: str = ""


@dataclass(frozen=True)
class Word:
    """One change of the language.

    Attributes:
        word: How it is written.
        summary: What it does, one line.
        family: When it is done: geometry comes first, in one go.
        settings: What it takes, those by place first, in order.
        aliases: What other libraries call it, in lower case without ``_`` and ``-``.
        example: A text to copy.
    """

    word: str
    summary: str
    family: Family
    settings: tuple[Setting, ...]
    aliases: tuple[str, ...] = ()
    example: str = ""

    @property
    def placed(self) -> tuple[Setting, ...]:
        """Settings that are written by their place."""
        return tuple(setting for setting in self.settings if setting.label)

    @property
    def usage(self) -> str:
        """How to write it: ``shift DOWN [ACROSS]``."""
        parts = [s.label if s.required else f"[{s.label}]" for s in self.placed]
        return " ".join([self.word, *parts])

    def setting(self, name: str) -> Setting | None:
        """The setting of a name."""
        return next((setting for setting in self.settings if setting.name == name), None)


_P = Setting("p", Real(0, 1), "chance that it is done", 1.0)
_FLIP = (Setting("p", Real(0, 1), "chance that it is done", 0.5, label="P"),)
_INTERPOLATION = Setting(
    "interpolation",
    Choice(INTERPOLATIONS, (("linear", "bilinear"),)),
    "how pixels are read between their places",
    "bilinear",
)
_MOVED = (
    _P,
    Setting(
        "border",
        Choice(
            BORDERS,
            (("zero", "constant"), ("replicate", "edge"), ("mirror", "reflect"),
             ("circular", "wrap"), ("tile", "wrap")),
        ),
        "what lies around the picture",
        "constant",
    ),
    Setting("fill", Real(0, 255), "value of the border 'constant', 0 to 255", 0.0),
    _INTERPOLATION,
)  # fmt: skip


def _amount(kind: Range, summary: str, label: str = "A", name: str = "amount") -> Setting:
    return Setting(name, kind, summary, label=label, required=True)


def _factor(word: str, summary: str, aliases: tuple[str, ...] = ()) -> Word:
    factor = _amount(Range("around 1", 0, 10), "factor from 1-A to 1+A")
    return Word(word, summary, "colour", (factor, _P), aliases, f"{word} 0.2")


def _table() -> tuple[Word, ...]:
    share = "share of the side, or pixels"
    angle = Range("around 0", -80, 80, "degrees")
    return (
        Word(
            "hflip", "left and right change places", "geometry", _FLIP,
            ("horizontalflip", "randomhorizontalflip", "fliplr", "mirror"), "hflip p=0.5",
        ),
        Word(
            "vflip", "top and bottom change places", "geometry", _FLIP,
            ("verticalflip", "randomverticalflip", "flipud"), "vflip p=0.5",
        ),
        Word(
            "rotate", "turns about the centre, counter-clockwise where positive", "geometry",
            (_amount(Range("around 0", -360, 360, "degrees"), "angle from -A to A"), *_MOVED),
            ("rotation", "randomrotation"), "rotate 15",
        ),
        Word(
            "shift", "moves down and across; by whole pixels where given in pixels", "geometry",
            (
                _amount(
                    Range("around 0", -1, 1, "", length=True, whole=True),
                    f"rows from -DOWN to DOWN: {share}", "DOWN", "down",
                ),
                Setting(
                    "across", Range("around 0", -1, 1, "", length=True, whole=True),
                    f"columns, if not like DOWN: {share}", label="ACROSS", like="down",
                ),
                *_MOVED,
            ),
            ("translate", "translation", "randomtranslation"), "shift 0.1",
        ),
        Word(
            "scale", "enlarges or shrinks about the centre", "geometry",
            (_amount(Range("around 1", 0.01, 100), "factor from 1-A to 1+A"), *_MOVED),
            ("zoom", "randomscale", "randomzoom"), "scale 0.1",
        ),
        Word(
            "crop", "a part at a random place, enlarged to the whole size", "geometry",
            (
                _amount(Range("down to", 0.01, 1), "share of each side from A to 1"),
                Setting("ratio", Real(1, 10), "largest change of width to height", 1.0),
                _P, _INTERPOLATION,
            ),
            ("randomcrop", "randomresizedcrop", "resizedcrop"), "crop 0.8",
        ),
        Word(
            "shear", "slants: rows slide sideways, the upper ones to the right where positive",
            "geometry",
            (
                _amount(angle, "angle from -A to A"),
                Setting("down", angle, "angle by which columns slide", Amount(0.0, 0.0)),
                *_MOVED,
            ),
            ("randomshear", "slant"), "shear 10",
        ),
        Word(
            "elastic", "moves pixels by a smooth random field", "geometry",
            (
                _amount(
                    Range("exactly", 0, 0.5, length=True),
                    "standard deviation of the moves: share of the shorter side, or pixels",
                ),
                Setting(
                    "grid", Range("exactly", 0.02, 1, length=True, fixed=True),
                    "distance of independent moves", Amount(0.2, 0.2), "GRID",
                ),
                *_MOVED,
            ),
            ("elastictransform", "elasticdistortion", "elasticdeformation"), "elastic 0.03 0.2",
        ),
        _factor("brightness", "multiplies all samples", ("randombrightness",)),
        _factor(
            "contrast", "multiplies distances from the picture's mean grey", ("randomcontrast",)
        ),
        _factor("saturation", "multiplies distances from each pixel's grey", ("color", "colour")),
        Word(
            "hue", "turns the circle of colours", "colour",
            (_amount(Range("around 0", -0.5, 0.5, "of a full turn"), "turn from -A to A"), _P),
            ("huerotate", "randomhue"), "hue 0.05",
        ),
        Word(
            "blur", "Gaussian blur", "pixels",
            (_amount(Range("up to", 0, 50, "pixels"), "sigma from 0 to A"), _P),
            ("gaussianblur", "gaussblur"), "blur 1.5",
        ),
        Word(
            "noise", "adds Gaussian noise to every sample", "pixels",
            (_amount(Range("up to", 0, 255), "sigma from 0 to A, in samples of 0..255"), _P),
            ("gaussnoise", "gaussiannoise"), "noise 10",
        ),
        Word(
            "cutout", "covers squares at random places", "pixels",
            (
                _amount(
                    Range("exactly", 0, 1, length=True),
                    "side: share of the shorter side, or pixels",
                ),
                Setting("count", Whole(1, 100), "how many", 1),
                Setting("fill", Real(0, 255), "what they hold, 0 to 255", 0.0),
                _P,
            ),
            ("randomerasing", "erase", "coarsedropout", "cut"), "cutout 0.25",
        ),
    )  # fmt: skip


WORDS: Mapping[str, Word] = MappingProxyType({entry.word: entry for entry in _table()})
"""Word -> entry, in the order in which they are listed."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {alias: entry.word for entry in WORDS.values() for alias in entry.aliases}
)
"""What other libraries call a change -> its word."""


def canonical(word: str) -> str:
    """The word of the language for a word in any spelling, or the word in lower case.

    Example:
        >>> canonical("RandomHorizontalFlip"), canonical("gaussian_blur"), canonical("Rotate")
        ('hflip', 'blur', 'rotate')
    """
    plain = word.casefold().replace("_", "").replace("-", "")
    return ALIASES.get(plain, plain)
