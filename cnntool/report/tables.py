r"""Tables for people and for programs: one writer for ``--as table|csv|tsv|json|jsonl``.

Rows go out as they come, so that a reader downstream can work while the next input is read. A
JSON array is closed whatever happens in between. Names with bytes that are no text survive.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import BinaryIO, Literal, Self, TextIO, get_args

from cnntool.errors import NameNotFound
from cnntool.files import send

Kind = Literal["table", "csv", "tsv", "json", "jsonl"]
"""How a table is written."""

Row = Mapping[str, object]
"""One row: column names to text, numbers, truth values, None, or lists and mappings of these."""

_WIDTHS_FROM = 200  # rows that a table of text is laid out from; later ones are streamed
_GAP = "  "
# what JSON strings of ours spell out: lone surrogates, controls, direction changes, separators
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_TSV_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_CSV_SPECIAL = re.compile('[",\r\n]')


class TableWriter:
    r"""Writes rows to ``stream`` as a table of one kind.

    ======  =====================================================================================
    table   Aligned columns for reading; unprintable characters are escaped.
    csv     RFC 4180 with plain line ends: header, quotes where needed.
    tsv     Header, tabs between values; backslash, tab, newline and unprintables are escaped.
    json    One array of objects, also if it is empty or the rows end early.
    jsonl   One object a line.
    ======  =====================================================================================

    In csv and tsv None is empty, and undecodable bytes of names are those bytes; in JSON they are
    lone surrogates (``\udce9``). Numbers have the fewest digits that read back the same; numbers
    that are not finite are null in JSON. Lists and mappings are JSON in every kind.

    Use it as a context manager, or call :meth:`close`.

    Args:
        kind: One of table, csv, tsv, json, jsonl.
        stream: Open for bytes, or a text stream.
        columns: Names of the columns; None takes those of the first row.

    Raises:
        NameNotFound: There is no such kind.

    Example:
        >>> import sys
        >>> with TableWriter("table", sys.stdout) as table:
        ...     table.row({"kernel": "box", "sum": 1.0})
        ...     table.row({"kernel": "sobel-x", "sum": 0.0})
        kernel   sum
        box      1.0
        sobel-x  0.0
    """

    def __init__(
        self, kind: str, stream: BinaryIO | TextIO, columns: Sequence[str] | None = None
    ) -> None:
        if kind not in get_args(Kind):
            raise NameNotFound.among("table format", kind, get_args(Kind))
        self._kind = kind
        self._stream = stream
        self._columns = None if columns is None else list(columns)
        self._fixed = columns is not None
        self._layout: _Layout | None = None
        self._waiting: list[Row] = []
        self._rows = 0
        self._closed = False
        self._on_terminal = stream.isatty()

    def row(self, row: Row) -> None:
        """Write one row; a column that it lacks is empty.

        Raises:
            ValueError: It has a column that the header, written long ago, lacks.
            SystemFailure: The stream does not take it.
            BrokenPipeError: Nobody reads the stream any more.
        """
        if self._kind in ("json", "jsonl"):
            self._write_object(row)
        elif self._kind == "table":
            self._write_aligned(row)
        else:
            self._write_header(row)
            self._write_separated([row.get(name) for name in self._known_columns(row)])
        self._rows += 1

    def close(self) -> None:
        """Write what is missing: the end of the array, the rows of a short table, a header."""
        if self._closed:
            return
        self._closed = True
        if self._kind == "json":
            self._send("\n]\n" if self._rows else "[]\n")
        elif self._kind == "table":
            self._lay_out()
        elif self._kind != "jsonl" and self._rows == 0 and self._columns is not None:
            self._write_separated(self._columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, OSError):
            self.close()
            return
        with contextlib.suppress(OSError):  # the stream may be what failed
            self.close()

    def _known_columns(self, row: Row) -> list[str]:
        if self._columns is None:
            self._columns = list(row)
        known = dict.fromkeys(self._columns)  # rows of features have thousands of columns
        unknown = [name for name in row if name not in known]
        if unknown:
            raise ValueError(
                f"row has columns {unknown} that the header lacks; it has {self._columns}"
            )
        return self._columns

    def _write_object(self, row: Row) -> None:
        if self._fixed and self._columns is not None:
            row = {name: row.get(name) for name in self._columns} | dict(row)
        text = json_text(row)
        if self._kind == "jsonl":
            self._send(text + "\n")
        else:
            self._send(("[\n" if self._rows == 0 else ",\n") + text)

    def _write_header(self, row: Row) -> None:
        if self._rows == 0:
            self._write_separated(self._known_columns(row))

    def _write_separated(self, values: Sequence[object]) -> None:
        self._send(self._separated(values) + "\n")

    def _separated(self, values: Sequence[object]) -> str:
        """One line of csv or tsv, without its end."""
        texts = [cell_text(value) for value in values]
        if self._kind == "tsv":
            return "\t".join(map(_tsv_cell, texts))
        if self._on_terminal:
            texts = [_printable(text) for text in texts]
        # a lone empty value must not look like an empty line
        return ",".join(map(_csv_cell, texts)) or '""'

    def _write_aligned(self, row: Row) -> None:
        self._known_columns(row)
        if self._layout is not None:
            self._send(self._layout.line(row))
            return
        self._waiting.append(row)
        if len(self._waiting) >= _WIDTHS_FROM:
            self._lay_out()

    def _lay_out(self) -> None:
        """Fix the widths of the columns from the rows so far, and write those."""
        if self._layout is None and self._columns is not None:
            self._layout = _Layout(self._columns, self._waiting)
            lines = [self._layout.header, *map(self._layout.line, self._waiting)]
            self._waiting = []
            self._send("".join(lines))

    def _send(self, text: str) -> None:
        stream = self._stream
        if isinstance(stream, io.TextIOBase) and not hasattr(stream, "buffer"):
            stream.write(text)
            return
        binary = stream
        if hasattr(stream, "buffer"):
            stream.flush()
            binary = stream.buffer
        send(binary, text.encode("utf-8", "surrogateescape"), "the table")  # type: ignore[arg-type]


class _Layout:
    """Widths and alignment of the columns of a table for reading."""

    def __init__(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        self.columns = columns
        self.right = [
            any(_is_number(row.get(name)) for row in rows)
            and all(_is_number(row.get(name)) or row.get(name) is None for row in rows)
            for name in columns
        ]
        self.widths = [
            max([_width(_printable(name))] + [_width(_shown(row.get(name))) for row in rows])
            for name in columns
        ]
        self.header = self._joined([_printable(name) for name in columns])

    def line(self, row: Row) -> str:
        """``row`` in its columns; what is wider than its column pushes the rest."""
        return self._joined([_shown(row.get(name)) for name in self.columns])

    def _joined(self, cells: Sequence[str]) -> str:
        padded = []
        for cell, width, right in zip(cells, self.widths, self.right, strict=True):
            space = " " * (width - _width(cell))
            padded.append(space + cell if right else cell + space)
        return _GAP.join(padded).rstrip() + "\n"


def cell_text(value: object) -> str:
    """``value`` as it stands in csv, tsv and tables.

    Example:
        >>> cell_text(None), cell_text(True), cell_text(0.1), cell_text([1, 2])
        ('', 'true', '0.1', '[1, 2]')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, Mapping | list | tuple):
        return json_text(value)
    return str(value)


def json_text(value: object) -> str:
    r"""``value`` as JSON in one line, readable in any language and safe on a terminal.

    Example:
        >>> print(json_text({"class": "caf\u00e9", "loss": float("nan")}))
        {"class": "café", "loss": null}
    """
    text = json.dumps(_finite(value), ensure_ascii=False, default=_plain)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _finite(value: object) -> object:
    """``value`` without numbers that JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def _plain(value: object) -> object:
    """Numbers and arrays of NumPy as Python's, without importing it."""
    item = getattr(value, "tolist", None)
    if item is None:
        raise TypeError(f"no value for a table: {type(value).__name__}")
    plain = item()
    # str has the fewest digits for the value's own precision: 0.1, not 0.10000000149011612
    return _finite(float(str(value)) if isinstance(plain, float) else plain)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    return _printable(cell_text(value))


def _printable(text: str) -> str:
    r"""``text`` with escapes for what a terminal would act on: ``\x1b``, ``\u202e``, ``\udce9``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _tsv_cell(text: str) -> str:
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_TSV_ESCAPES.get(c) or (c if _is_tsv_text(c) else ascii(c)[1:-1]) for c in text)


def _is_tsv_text(character: str) -> bool:
    # bytes of names that are no text pass as they are
    return character.isprintable() or "\udc80" <= character <= "\udcff"


def _csv_cell(text: str) -> str:
    if _CSV_SPECIAL.search(text) or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text


def _width(text: str) -> int:
    """Columns of a terminal that ``text`` takes: two for wide East Asian characters."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(character) in ("Mn", "Me", "Cf")
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )
