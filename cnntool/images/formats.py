"""The file formats: their names, their suffixes and what each can hold.

One table for the reader, the writer and the command line. Files are told apart by content
(:func:`sniff`); the suffix only chooses the format of an output and which files of a folder are
worth opening. Nothing here imports NumPy or Pillow, so that ``--help`` can ask.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """One file format.

    Attributes:
        name: The word of ``--format`` and the key of :data:`FORMATS`.
        title: The name in messages.
        suffixes: File name endings in lower case; outputs get the first.
        writes: Whether outputs can have this format.
        alpha: Whether it keeps transparency.
        grey16: Whether it keeps 16-bit grey samples.
        color16: Whether 16-bit colour can be written (only ``npy`` reads it back as 16 bit).
        floats: Whether floats are its natural content, so that raw results fit.
        lossy: Whether ``--quality`` applies.
        max_side: Largest width or height that the format allows, in pixels; 0 means no limit.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    writes: bool = True
    alpha: bool = False
    grey16: bool = False
    color16: bool = False
    floats: bool = False
    lossy: bool = False
    max_side: int = 0


FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format("png", "PNG", (".png", ".apng"), alpha=True, grey16=True, color16=True),
        Format("jpeg", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), lossy=True, max_side=65_500),
        Format("gif", "GIF", (".gif",), writes=False, alpha=True),
        Format("bmp", "BMP", (".bmp", ".dib")),
        Format("tiff", "TIFF", (".tif", ".tiff"), alpha=True, grey16=True, color16=True),
        Format("webp", "WebP", (".webp",), alpha=True, lossy=True, max_side=16_383),
        Format("pnm", "PNM", (".pnm", ".pgm", ".ppm", ".pbm"), grey16=True, color16=True),
        Format("pfm", "PFM", (".pfm",), floats=True),
        Format("npy", ".npy", (".npy",), alpha=True, grey16=True, color16=True, floats=True),
    )
}
"""Every format that is read, by name."""

WRITABLE: tuple[str, ...] = tuple(name for name, entry in FORMATS.items() if entry.writes)
"""The choices of ``--format``."""

KNOWN_SUFFIXES: frozenset[str] = frozenset(
    suffix for entry in FORMATS.values() for suffix in entry.suffixes
)
"""Files of a folder with other suffixes are skipped."""

_BY_SUFFIX = {suffix: entry.name for entry in FORMATS.values() for suffix in entry.suffixes}

_PNM_START = re.compile(rb"P[1-6][\s#]")
_PFM_START = re.compile(rb"P[Ff]\s")
_BMP_HEADER_SIZES = frozenset((12, 40, 52, 56, 64, 108, 124))

# Recognised only to say so: these are never decoded.
_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%!PS", "an EPS or PostScript file"),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (0, b"%PDF", "a PDF file"),
    (4, b"ftypavi", "an AVIF file"),
    (4, b"ftyphei", "a HEIC file"),
    (4, b"ftypmif1", "a HEIC file"),
    (4, b"ftyp", "a video file"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 file"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL file"),
    (0, b"\xff\x0a", "a JPEG XL file"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"qoif", "a QOI file"),
    (0, b"P7\n", "a PAM file"),
    (0, b"PF4\n", "a PFM file with four channels"),
    (0, b"\x00\x00\x01\x00", "an icon file"),
    (0, b"DDS ", "a DDS file"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR file"),
    (0, b"<svg", "an SVG file"),
    (0, b"<?xml", "an XML file"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"PK\x03\x04", "a ZIP archive (or an .npz file)"),
    (0, b"\x1f\x8b", "a gzip file"),
)


def by_suffix(path: str | os.PathLike[str]) -> str | None:
    """Name of the format that the suffix of ``path`` stands for, in any case, or None.

    Example:
        >>> by_suffix("photos/CAT.JPG"), by_suffix("notes.txt")
        ('jpeg', None)
    """
    return _BY_SUFFIX.get(os.path.splitext(os.fspath(path))[1].lower())


def output_format(name: str) -> str:
    """The format to write for an input of format ``name``: itself, or PNG where it is only read.

    Example:
        >>> output_format("jpeg"), output_format("gif")
        ('jpeg', 'png')
    """
    return name if FORMATS[name].writes else "png"


def sniff(data: bytes) -> str | None:
    """Name of the format that ``data`` begins as, or None for anything else.

    Example:
        >>> sniff(b"GIF89a..."), sniff(b"%!PS-Adobe-3.0 EPSF-3.0")
        ('gif', None)
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith(b"\x93NUMPY"):
        return "npy"
    if _PNM_START.match(data):
        return "pnm"
    if _PFM_START.match(data):
        return "pfm"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    return None


def describe(data: bytes) -> str:
    """What data that no reader takes seems to be, for the error message.

    Example:
        >>> describe(b"%PDF-1.7 ...")
        'a PDF file'
    """
    if b"PNG" in data[:8] or b"IHDR" in data[8:20]:
        return "a PNG with a damaged signature (was it transferred as text?)"
    for offset, magic, what in _FOREIGN:
        if data[offset : offset + len(magic)].lower() == magic.lower():
            return what
    if data[:2] == b"BM":
        return "a damaged BMP"
    return "of unknown content"


def readable() -> str:
    """The readable formats as a phrase: "png, jpeg, … and npy"."""
    names = list(FORMATS)
    return f"{', '.join(names[:-1])} and {names[-1]}"
