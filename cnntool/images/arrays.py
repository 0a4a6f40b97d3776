"""NumPy's .npy files, read and written without NumPy's loader.

``numpy.load`` can run code from a file (pickles), takes files with bytes left over, and reads a
header of any length before it looks at it. Here the header is matched by a pattern, never
evaluated, the dtype must be on a short list, and the length must fit to the byte.

Reference:
    NEP 1, A simple file format for NumPy arrays; format versions 1.0, 2.0 and 3.0.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import InputError
from cnntool.files.names import one_line
from cnntool.images.header import Cursor, Header, damaged, truncated
from cnntool.images.picture import Picture

MAGIC = b"\x93NUMPY"

_LONGEST_HEADER = 10_000
_FIELD = re.compile(
    r"""\s*(['"])(?P<key>\w+)\1\s*:\s*(?:
        (['"])(?P<text>[^'"]{0,200})\3 | (?P<flag>True|False) | \((?P<sizes>[\dL,\s]{0,300})\)
    )\s*(?:,|$)""",
    re.VERBOSE,
)
_DTYPE = re.compile(r"[<>|=]?([biuf])(\d{1,2})")
# what each kind of number becomes; u1, u2, f4 and f8 stay
_READ_AS = {
    "u1": "u1", "u2": "u2", "f4": "f4", "f8": "f8",
    "f2": "f4", "i1": "f4", "i2": "f4", "i4": "f8", "u4": "f8", "i8": "f8", "u8": "f8", "b1": "u1",
}  # fmt: skip


@dataclass(frozen=True)
class NpyHeader(Header):
    """Header of a .npy file that holds a picture.

    Attributes:
        dtype: Of the samples, with their order of bytes, as NumPy abbreviates it.
        shape: (H, W) or (H, W, C), C <= 4.
        fortran: Whether the first index runs fastest.
        start: Where the samples begin.
    """

    dtype: str = "|u1"
    shape: tuple[int, ...] = ()
    fortran: bool = False
    start: int = 0


def inspect(data: bytes) -> NpyHeader:
    """Header of a .npy file.

    Raises:
        InputError: It is damaged, or the array is no picture.
    """
    descr, fortran, shape, start = layout(data)
    _check_dtype(descr)
    _check_shape(shape)
    return NpyHeader(
        "npy", shape[1], shape[0], dtype=descr, shape=shape, fortran=fortran, start=start
    )


def layout(data: bytes) -> tuple[str, bool, tuple[int, ...], int]:
    """Dtype, whether the first index runs fastest, shape, and where the samples begin.

    Args:
        data: A .npy file with an array of any kind, or as much of it as holds the header.

    Raises:
        InputError: The header is damaged, or an array of several fields.
    """
    at = Cursor(data, "npy", len(MAGIC))
    major, minor = at.number(1), at.number(1)
    if (major, minor) not in ((1, 0), (2, 0), (3, 0)):
        raise damaged("npy", f"unknown format version {major}.{minor}")
    length = at.number(2 if major == 1 else 4)
    if length > _LONGEST_HEADER:
        raise damaged("npy", f"a header of {length} bytes, more than {_LONGEST_HEADER}")
    text = at.take(length).decode("latin-1" if major < 3 else "utf-8", "replace")
    return (*_fields(text), at.position)


def _fields(text: str) -> tuple[str, bool, tuple[int, ...]]:
    """Values of the three keys, which may come in any order."""
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):
        raise damaged("npy", "its header is no dictionary")
    text = text[1:-1].strip()
    found: dict[str, re.Match[str]] = {}
    position = 0
    while position < len(text):
        field = _FIELD.match(text, position)
        if not field or field["key"] in found:
            if "'descr'" in text and re.search(r"'descr'\s*:\s*\[", text):
                raise InputError(
                    ".npy file with a structured array; a picture is one array of numbers"
                )
            raise damaged("npy", "its header is not what NumPy writes")
        found[field["key"]] = field
        position = field.end()
    values = {key: found[key] for key in ("descr", "fortran_order", "shape") if key in found}
    if len(values) != 3 or len(found) != 3:
        raise damaged("npy", "its header does not hold descr, fortran_order and shape alone")
    descr, flag, sizes = values["descr"]["text"], values["fortran_order"]["flag"], values["shape"]
    if descr is None or flag is None or sizes["sizes"] is None:
        raise damaged("npy", "a value of the wrong kind in its header")
    numbers = [part.strip().removesuffix("L") for part in sizes["sizes"].split(",")]
    if numbers[-1] == "":
        numbers.pop()
    if not all(number.isdecimal() and len(number) < 20 for number in numbers):
        raise damaged("npy", "a size in its header that is no number")
    return descr, flag == "True", tuple(int(number) for number in numbers)


def _check_dtype(descr: str) -> None:
    found = _DTYPE.fullmatch(descr)
    if not found or "".join(found.groups()) not in _READ_AS:
        if descr.endswith("O"):
            raise InputError(".npy file with Python objects; these are never loaded")
        kind = "complex numbers" if "c" in descr else f"dtype '{one_line(descr, 40)}'"
        raise InputError(f".npy file with {kind}; a picture has uint8, uint16, float32 or float64")


def _check_shape(shape: tuple[int, ...]) -> None:
    shown = " x ".join(map(str, shape)) or "()"
    if 0 in shape:
        raise InputError(f".npy file with an empty array ({shown})")
    if len(shape) == 2 or (len(shape) == 3 and shape[2] <= 4):
        return
    hint = ""
    if len(shape) in (3, 4):
        hint = "; if it is a stack of several results, take one of them"
    raise InputError(
        f".npy file with an array of {shown}; a picture is H x W or H x W x C with C up to 4{hint}"
    )


def read(data: bytes, header: NpyHeader) -> Picture:
    """The picture of a .npy file; the pixels may be a read-only view of ``data``.

    Raises:
        InputError: The file is longer or shorter than its header says.
    """
    dtype: np.dtype[np.generic] = np.dtype(header.dtype)
    count = math.prod(header.shape)
    size = count * dtype.itemsize
    missing = header.start + size - len(data)
    if missing > 0:
        raise truncated("npy", f"{missing} of {size} bytes of samples are missing")
    if missing < 0:
        raise damaged("npy", f"{-missing} bytes too many")
    stored = np.frombuffer(data, dtype, count, header.start)
    stored = stored.reshape(header.shape, order="F" if header.fortran else "C")
    if stored.ndim == 3 and stored.shape[2] == 1:
        stored = stored[:, :, 0]  # (H, W, 1) -> (H, W)
    kind = f"{dtype.kind}{dtype.itemsize}"
    pixels = np.require(stored, _READ_AS[kind], ["C_CONTIGUOUS", "ALIGNED"])
    notes: tuple[str, ...] = ()
    if dtype.kind == "b":
        pixels = pixels * np.uint8(255)
        notes = ("true and false read as 255 and 0",)
    elif dtype.kind != "f" and _READ_AS[kind] != kind:
        notes = (f"{dtype.name} samples read as {pixels.dtype.name}",)
    return Picture(pixels, format="npy", notes=notes, mode=dtype.name)


def write(array: NDArray[np.generic]) -> bytes:
    """A .npy file, version 1.0, little endian, C order, of an array of any shape.

    Args:
        array: Booleans or real numbers.

    Example:
        >>> len(write(np.zeros((2, 3), np.float32)))
        152
    """
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    shape = repr(tuple(int(n) for n in array.shape))
    fields = f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    # magic, version and length take 10 bytes; samples begin at a multiple of 64
    padding = -(10 + len(fields) + 1) % 64
    text = (fields + " " * padding + "\n").encode("latin-1")
    head = MAGIC + b"\x01\x00" + len(text).to_bytes(2, "little") + text
    return b"".join((head, array.data))
