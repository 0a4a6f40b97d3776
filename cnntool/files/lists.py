"""Lists of file names: one a line, or between NUL characters as ``find -print0`` writes them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from cnntool.errors import InputError, OptionError
from cnntool.files.names import quote

_BLOCK = 1 << 16
_LONGEST_NAME = 1 << 16  # bytes; paths are at most 4096 on Linux, 64 KiB on Windows
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_names(source: str, *, null: bool = False, stdin: BinaryIO | None = None) -> Iterator[str]:
    r"""The names in a list, one after the other, while it is still being written.

    Bytes that are no text survive, as in all file names of Python. Empty names are skipped, and a
    carriage return at the end of a line is not part of a name.

    Args:
        source: The list's path, or ``-`` for standard input.
        null: Names end with NUL instead of newline, and may then hold anything else.
        stdin: What ``-`` reads, sys.stdin by default.

    Raises:
        InputError: The list cannot be read, or is no list of names.
        OptionError: It holds NUL characters but ``null`` is off.

    Example:
        >>> import io
        >>> list(read_names("-", stdin=io.BytesIO(b"a.png\r\n\nb c.png")))
        ['a.png', 'b c.png']
    """
    shown = "standard input" if source == "-" else quote(source)
    separator = b"\0" if null else b"\n"
    rest = b""
    first = True
    for block in _blocks(source, shown, stdin):
        if not null and b"\0" in block:
            raise OptionError(f"{shown}: the list has NUL characters between names; add -0")
        *names, rest = (rest + block).split(separator)
        if len(rest) > _LONGEST_NAME:
            raise InputError(
                f"{shown}: no list of file names: more than {_LONGEST_NAME} bytes without "
                + ("a NUL character; leave out -0" if null else "a line end")
            )
        if first and names and not null:
            names[0] = names[0].removeprefix(_BYTE_ORDER_MARK)
            first = False
        for name in names:
            yield from _decoded(name, null)
    if first and not null:
        rest = rest.removeprefix(_BYTE_ORDER_MARK)
    yield from _decoded(rest, null)


def _decoded(name: bytes, null: bool) -> Iterator[str]:
    if not null:
        name = name.removesuffix(b"\r")
    if name:
        yield os.fsdecode(name)


def _blocks(source: str, shown: str, stdin: BinaryIO | None) -> Iterator[bytes]:
    try:
        if source == "-":
            stream = stdin if stdin is not None else _standard_input(shown)
            yield from _until_end(stream)
        else:
            with open(source, "rb", buffering=0) as stream:
                yield from _until_end(stream)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{shown}: the list cannot be read: {error.strerror or error}") from error


def _until_end(stream: BinaryIO) -> Iterator[bytes]:
    # read1 gives what is there, so that names are worked on while `find` still looks
    read = getattr(stream, "read1", stream.read)
    while block := read(_BLOCK):
        yield block


def _standard_input(shown: str) -> BinaryIO:
    if sys.stdin is None:
        raise InputError(f"{shown}: the list cannot be read: it is closed")
    return sys.stdin.buffer
