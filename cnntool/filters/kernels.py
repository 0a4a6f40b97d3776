"""The named kernels: exact coefficients as data, each with what it does and where it is from.

Matrices stand as they lie on the image and are not flipped, so ``-x`` is positive where brightness
rises to the right and ``-y`` where it rises downwards. Laplacians have a negative centre, as the
mathematical ∇² has; the form with a positive centre is called ``outline``. A new kernel is one more
entry in the list below: listing, completion and the common tests follow by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cnntool.filters.kernel import Kernel, Rows

__all__ = ["ALIASES", "DIRECTIONS", "GROUPS", "KERNELS", "Kernel"]

DIRECTIONS = ("e", "ne", "n", "nw", "w", "sw", "s", "se")
"""Compass points, counter-clockwise from east: the order in which a ring is turned by 45°."""

_PILLOW = "Pillow, ImageFilter."
_TEXTBOOK = "Gonzalez & Woods, Digital Image Processing"
_LECTURE = "worked example of the course"

_BINOMIAL_5 = (1, 4, 6, 4, 1)
# Table 1 of the paper for five taps, with the digits of the authors' program
_FARID_SMOOTH = (
    0.0376593171958126,
    0.249153396177344,
    0.426374573253687,
    0.249153396177344,
    0.0376593171958126,
)
_FARID_EDGE = (-0.109603762960254, -0.276690988455557, 0, 0.276690988455557, 0.109603762960254)
_SQRT_2 = 2**0.5


def _rows(text: str) -> Rows:
    """Whole weights from text, rows parted by ';'."""
    return tuple(tuple(int(word) for word in row.split()) for row in text.split(";"))


def _outer(column: tuple[float, ...], row: tuple[float, ...]) -> Rows:
    return tuple(tuple(a * b for b in row) for a in column)


def _fixed(
    name: str, rows: str | Rows, summary: str, source: str, scale: int = 1, offset: int = 0
) -> Kernel:
    weights = _rows(rows) if isinstance(rows, str) else rows
    return Kernel(name, weights, summary, source, scale, offset)


def _pair(name: str, rows: str | Rows, what: str, source: str) -> Iterator[Kernel]:
    """``name-x`` and ``name-y``, its transpose; '5' moves behind the axis: sobel-x-5."""
    stem, _, size = name.partition(" ")
    tail = f"-{size}" if size else ""
    across = _fixed(
        f"{stem}-x{tail}", rows, f"{what}: brightness rising to the right is positive", source
    )
    yield across
    yield replace(
        across.transpose(),
        name=f"{stem}-y{tail}",
        summary=f"{what}: brightness rising downwards is positive",
    )


def _compass(name: str, rows: str, what: str, source: str) -> Iterator[Kernel]:
    """Eight kernels, the ring of the east one turned by 45° each time."""
    words = ("right", "upper right", "top", "upper left", "left", "lower left", "bottom")
    east = _fixed(name, rows, "", source)
    for step, (point, word) in enumerate(zip(DIRECTIONS, (*words, "lower right"), strict=True)):
        yield replace(
            east.rotate(45 * step),
            name=f"{name}-{point}",
            summary=f"{what} with its bright side at the {word}",
        )


def _table() -> Iterator[Kernel]:
    # leaving alone and smoothing
    yield _fixed(
        "identity", "0 0 0; 0 1 0; 0 0 0", "leaves the picture as it is", "unit of convolution"
    )
    yield _fixed("box-3", "1 1 1; 1 1 1; 1 1 1", "blurs: mean of 3×3 pixels", _TEXTBOOK, 9)
    yield _fixed(
        "gaussian-3",
        "1 2 1; 2 4 2; 1 2 1",
        "blurs a little: binomial weights, sigma 0.71",
        "Burt & Adelson 1983, binomial filter",
        16,
    )
    yield _fixed(
        "gaussian-5",
        _outer(_BINOMIAL_5, _BINOMIAL_5),
        "blurs: binomial weights, sigma 1",
        "Burt & Adelson 1983, binomial filter",
        256,
    )
    yield _fixed("smooth", "1 1 1; 1 5 1; 1 1 1", "blurs slightly", _PILLOW + "SMOOTH", 13)
    yield _fixed(
        "smooth-more",
        "1 1 1 1 1; 1 5 5 5 1; 1 5 44 5 1; 1 5 5 5 1; 1 1 1 1 1",
        "blurs slightly over 5×5 pixels",
        _PILLOW + "SMOOTH_MORE",
        100,
    )
    yield _fixed(
        "blur-pillow",
        "1 1 1 1 1; 1 0 0 0 1; 1 0 0 0 1; 1 0 0 0 1; 1 1 1 1 1",
        "blurs by the mean of a ring of 16 pixels",
        _PILLOW + "BLUR",
        16,
    )

    # first derivatives
    yield from _pair("diff", "-1 0 1", "difference of the two neighbours", "Dalal & Triggs 2005")
    yield from _pair(
        "sobel", "-1 0 1; -2 0 2; -1 0 1", "gradient with some smoothing", "Sobel & Feldman 1968"
    )
    yield from _pair(
        "sobel 5",
        _outer(_BINOMIAL_5, (-1, -2, 0, 2, 1)),
        "gradient with more smoothing, 5×5",
        "OpenCV, Sobel with ksize 5",
    )
    yield from _pair(
        "scharr",
        "-3 0 3; -10 0 10; -3 0 3",
        "gradient nearly alike in all directions",
        "Scharr 2000, thesis, Heidelberg",
    )
    yield from _pair(
        "prewitt", "-1 0 1; -1 0 1; -1 0 1", "gradient with plain averaging", "Prewitt 1970"
    )
    yield from _pair(
        "freichen",
        ((-1, 0, 1), (-_SQRT_2, 0, _SQRT_2), (-1, 0, 1)),
        "gradient weighted by distance",
        "Frei & Chen 1977",
    )
    yield from _pair(
        "farid",
        _outer(_FARID_SMOOTH, _FARID_EDGE),
        "gradient alike in all directions, 5×5",
        "Farid & Simoncelli 2004, table 1",
    )
    yield _fixed(
        "roberts-pos",
        "1 0; 0 -1",
        "diagonal difference: upper left minus lower right",
        "Roberts 1963",
    )
    yield _fixed(
        "roberts-neg",
        "0 1; -1 0",
        "diagonal difference: upper right minus lower left",
        "Roberts 1963",
    )
    yield _fixed(
        "vertical-edges",
        "1 0 -1; 1 0 -1; 1 0 -1",
        "gradient: brightness rising to the left is positive",
        _LECTURE,
    )

    # second derivatives
    yield _fixed(
        "laplacian-4",
        "0 1 0; 1 -4 1; 0 1 0",
        "second derivative ∇² from four neighbours",
        _TEXTBOOK,
    )
    yield _fixed(
        "laplacian-8",
        "1 1 1; 1 -8 1; 1 1 1",
        "second derivative ∇² from eight neighbours",
        _TEXTBOOK,
    )
    yield _fixed(
        "log-5",
        "0 0 1 0 0; 0 1 2 1 0; 1 2 -16 2 1; 0 1 2 1 0; 0 0 1 0 0",
        "Laplacian of a Gaussian with sigma of about 1.4",
        "Marr & Hildreth 1980; " + _TEXTBOOK,
    )
    yield _fixed(
        "outline",
        "-1 -1 -1; -1 8 -1; -1 -1 -1",
        "outlines: pixel against its eight neighbours",
        _PILLOW + "FIND_EDGES",
    )
    yield _fixed(
        "contour",
        "-1 -1 -1; -1 8 -1; -1 -1 -1",
        "outlines, dark on white",
        _PILLOW + "CONTOUR",
        offset=255,
    )

    # sharpening and relief
    yield _fixed("sharpen", "0 -1 0; -1 5 -1; 0 -1 0", "sharpens", _TEXTBOOK)
    yield _fixed(
        "sharpen-8",
        "-1 -1 -1; -1 9 -1; -1 -1 -1",
        "sharpens strongly",
        _PILLOW + "EDGE_ENHANCE_MORE",
    )
    yield _fixed(
        "sharpen-soft",
        "-2 -2 -2; -2 32 -2; -2 -2 -2",
        "sharpens softly",
        _PILLOW + "SHARPEN",
        16,
    )
    yield _fixed(
        "edge-enhance",
        "-1 -1 -1; -1 10 -1; -1 -1 -1",
        "makes edges stand out",
        _PILLOW + "EDGE_ENHANCE",
        2,
    )
    yield _fixed("detail", "0 -1 0; -1 10 -1; 0 -1 0", "brings out detail", _PILLOW + "DETAIL", 6)
    yield _fixed(
        "unsharp-5",
        "-1 -4 -6 -4 -1; -4 -16 -24 -16 -4; -6 -24 476 -24 -6; -4 -16 -24 -16 -4; -1 -4 -6 -4 -1",
        "sharpens: twice the picture minus its gaussian-5",
        "unsharp masking, " + _TEXTBOOK,
        256,
    )
    yield _fixed(
        "emboss",
        "-2 -1 0; -1 1 1; 0 1 2",
        "relief lit from the upper left",
        "imgaug, Emboss with strength 1",
    )
    yield _fixed(
        "emboss-pillow",
        "-1 0 0; 0 1 0; 0 0 0",
        "relief on grey: pixel minus its upper left neighbour, plus 128",
        _PILLOW + "EMBOSS",
        offset=128,
    )

    # lines
    yield _fixed("line-h", "-1 -1 -1; 2 2 2; -1 -1 -1", "bright horizontal lines", _TEXTBOOK)
    yield _fixed("line-v", "-1 2 -1; -1 2 -1; -1 2 -1", "bright vertical lines", _TEXTBOOK)
    yield _fixed(
        "line-45", "-1 -1 2; -1 2 -1; 2 -1 -1", "bright lines that rise to the right", _TEXTBOOK
    )
    yield _fixed(
        "line-135", "2 -1 -1; -1 2 -1; -1 -1 2", "bright lines that fall to the right", _TEXTBOOK
    )

    # compass sets
    yield from _compass("kirsch", "-3 -3 5; -3 0 5; -3 -3 5", "strong edge", "Kirsch 1971")
    yield from _compass("robinson", "-1 0 1; -2 0 2; -1 0 1", "edge", "Robinson 1977")
    yield from _compass("compass", "-1 1 1; -1 -2 1; -1 1 1", "edge", "Prewitt 1970, compass form")

    # the matrices that the course computes by hand
    yield _fixed(
        "lecture",
        "0 1 0; -1 2 -1; 0 1 0",
        "the kernel L of the worked convolutions",
        _LECTURE,
    )
    yield _fixed(
        "lecture-cross", "1 0 1; 0 1 0; 1 0 1", "sums the two diagonals: a feature map", _LECTURE
    )
    yield _fixed(
        "lecture-digit", "1 2 3; -4 7 4; 2 -5 1", "nine different weights on a digit", _LECTURE
    )


KERNELS: dict[str, Kernel] = {kernel.name: kernel for kernel in _table()}
"""All kernels without parameters, by name, in the order of the list."""

ALIASES: dict[str, str] = {
    "unity": "identity",
    "none": "identity",
    "binomial-3": "gaussian-3",
    "binomial-5": "gaussian-5",
    "roberts-1": "roberts-pos",
    "roberts-2": "roberts-neg",
    "laplacian": "laplacian-4",
    "find-edges": "outline",
    "edge": "outline",
    "sharpen-4": "sharpen",
    "edge-enhance-more": "sharpen-8",
    "sharpen-pillow": "sharpen-soft",
    "sobel-up": "robinson-n",
    "horizontal-edges": "prewitt-y",
    "horizontal-lines": "line-h",
    "vertical-lines": "line-v",
    "diagonal-lines": "line-45",
}
"""Other names of the same kernels."""


def _suffixed(stem: str, ends: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{stem}-{end}" for end in ends)


GROUPS: dict[str, tuple[str, ...]] = {
    **{stem: _suffixed(stem, ("x", "y")) for stem in ("sobel", "scharr", "prewitt")},
    **{stem: _suffixed(stem, ("x", "y")) for stem in ("freichen", "farid", "diff")},
    "roberts": ("roberts-pos", "roberts-neg"),
    **{stem: _suffixed(stem, DIRECTIONS) for stem in ("kirsch", "robinson", "compass")},
    "line": ("line-h", "line-v", "line-45", "line-135"),
}
"""Words that stand for several kernels and so are none."""
