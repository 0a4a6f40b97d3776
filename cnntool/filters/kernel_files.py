"""Kernels from files: ``@k.txt``, ``@k.csv``, ``@k.json``, ``@k.npy``, and libvips' matrix files.

A file is read once, up to a fixed size, and told by its content; only where content alone is
ambiguous does the suffix decide. The ``.npy`` header is matched by a pattern, so nothing in a file
is ever run.
"""

from __future__ import annotations

import math
import os
import re

from cnntool.errors import OptionError
from cnntool.filters.kernel import Kernel
from cnntool.filters.kernel_families import MAX_SIDE
from cnntool.filters.kernel_matrix import (
    Value,
    kernel_of,
    parse_json,
    parse_matrix,
    parse_rows,
    real,
    shown,
    too_large,
)

MAX_BYTES = 16 << 20
"""Largest kernel file that is read."""

_NPY = b"\x93NUMPY"
# numpy/lib/format.py writes the header's keys in this order; others may not
_HEADER = {
    "descr": re.compile(r"'descr'\s*:\s*'([<>|=][biuf][0-9]+)'"),
    "order": re.compile(r"'fortran_order'\s*:\s*(True|False)"),
    "shape": re.compile(r"'shape'\s*:\s*\(([0-9, ]*)\)"),
}
_TYPES = re.compile(r"[<>|=](b1|[iu][1248]|f[248])")


def read_kernel(path: str) -> Kernel:
    """The kernel in a file, named after the file.

    Args:
        path: The file; its content may be rows of numbers, JSON, NumPy's .npy with two
            dimensions, or a libvips matrix (``width height [scale offset]`` in front).

    Raises:
        OptionError: The file cannot be read, is too large, or holds no kernel.
    """
    called = "@" + shown(path, 80)
    if path in ("", "-"):
        raise OptionError(
            "a kernel cannot come from standard input, which is for pictures; "
            "name a file (-k @kernel.txt) or write the matrix itself"
            if path
            else "'@' needs the name of a kernel file: @kernel.txt"
        )
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise OptionError(f"kernel '{called}' cannot be read: {reason}") from error
    if len(data) > MAX_BYTES:
        raise OptionError(
            f"kernel '{called}' is larger than {MAX_BYTES >> 20} MiB; is it a kernel?"
        )
    name = stem(path)
    if data.startswith(_NPY):
        return _from_npy(data, name, called)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise OptionError(
            f"kernel '{called}' is neither text nor .npy; write rows of numbers, JSON or .npy"
        )
    if text.lstrip()[:1] in ("[", "{"):
        return parse_json(text, name, called)
    return _from_text(text, name, called, os.path.splitext(path)[1].lower())


def stem(path: str) -> str:
    """The file's name without folder and suffix, fit to be part of another file's name.

    Example:
        >>> stem("my/edge kernel.v2.txt"), stem("/dev/fd/.txt"), stem("a:b.csv")
        ('edge kernel.v2', 'txt', 'a-b')
    """
    return safe_word(os.path.splitext(os.path.basename(path))[0].lstrip("."))


def safe_word(text: str) -> str:
    """Text without characters that some file system or terminal cannot bear.

    Example:
        >>> safe_word("gaussian:sigma=1.4")
        'gaussian-sigma=1.4'
    """
    safe = "".join("-" if c in '/\\:*?"<>|' or not c.isprintable() else c for c in text)
    return safe.strip() or "custom"


def _from_text(text: str, name: str, called: str, suffix: str) -> Kernel:
    lines = [line for line in (raw.split("#")[0] for raw in text.splitlines()) if line.strip()]
    table = None
    if suffix == ".csv":
        # where values are parted by ';' a ',' can only be a decimal comma, which is no number here
        semicolons = any(";" in line for line in lines)
        table = parse_rows(lines, called, r"\s;" if semicolons else r"\s,")
    elif not any(";" in line or "/" in line for line in lines):
        table = parse_rows(lines, called)
    if table is None:
        return parse_matrix("\n".join(lines), name, called)
    header = _libvips_header(table, called, suffix)
    if header is None:
        return kernel_of(table, name, called)
    scale, offset = header
    return kernel_of(table[1:], name, called, scale, offset)


def _libvips_header(
    table: list[list[Value]], called: str, suffix: str
) -> tuple[float, float] | None:
    """Scale and offset if the first row is a libvips header (width, height[, scale, offset])."""
    first = table[0] if table else []
    rest = table[1:]
    if len(first) not in (2, 4) or not rest:
        return None
    width, height = first[0], first[1]
    fits = height == len(rest) and all(len(row) == width for row in rest)
    if not fits and suffix != ".mat":
        return None
    if not fits:
        raise OptionError(
            f"kernel '{called}': its first row promises {real(height):g} rows of "
            f"{real(width):g} values; {len(rest)} rows of {len(rest[0])} follow"
        )
    # 2 2 / 1 0 / 0 -1 could also be a matrix of three rows
    if suffix not in (".mat", ".csv") and len(first) == width:
        raise OptionError(
            f"kernel '{called}' can be read in two ways, as {len(table)}×{len(first)} numbers or "
            f"as a libvips matrix of {len(rest)}×{len(first)}; name it .mat for libvips, "
            ".csv for plain numbers"
        )
    if suffix == ".csv" and len(first) == width:
        return None
    scale, offset = (real(first[2]), real(first[3])) if len(first) == 4 else (1, 0)
    if scale == 0:
        raise OptionError(f"kernel '{called}' divides by 0: the scale in its first row")
    return scale, offset


def _from_npy(data: bytes, name: str, called: str) -> Kernel:
    """A two-dimensional .npy (format 1 to 3) of numbers."""
    wide = len(data) > 6 and data[6] > 1
    start = 12 if wide else 10
    length = int.from_bytes(data[8:start], "little")
    if len(data) < start or data[6] not in (1, 2, 3) or start + length > len(data):
        raise OptionError(f"kernel '{called}' is a damaged .npy file: its header is cut off")
    header = data[start : start + length].decode("latin-1")
    found = {key: pattern.search(header) for key, pattern in _HEADER.items()}
    descr, order, shape = found["descr"], found["order"], found["shape"]
    if descr is None or order is None or shape is None or not _TYPES.fullmatch(descr.group(1)):
        raise OptionError(
            f"kernel '{called}' holds no plain real numbers; save it as float64 or integers"
        )
    sides = [int(word) for word in shape.group(1).replace(" ", "").split(",") if word]
    if len(sides) != 2:
        raise OptionError(
            f"kernel '{called}' has {len(sides)} dimensions; a kernel has two, height and width"
        )
    if max(sides) > MAX_SIDE:
        too_large(called)
    import numpy as np

    kind = np.dtype(descr.group(1))
    body = data[start + length :]
    if len(body) != math.prod(sides) * kind.itemsize:
        raise OptionError(
            f"kernel '{called}' is a damaged .npy file: {len(body)} bytes of data, "
            f"{math.prod(sides) * kind.itemsize} expected"
        )
    array = np.frombuffer(body, kind).reshape(sides, order="F" if order.group(1) == "True" else "C")
    if not np.isfinite(array).all():
        raise OptionError(f"kernel '{called}' holds NaN or infinity; weights must be finite")
    return kernel_of((array if kind.kind != "b" else array.view(np.uint8)).tolist(), name, called)
