"""IDX files, the format of MNIST and its kin, plain or packed by gzip.

A file is two zero bytes, a code for the type, the number of dimensions, their sizes as 32-bit
big-endian integers, and the samples, big-endian, last dimension fastest. It must hold exactly what
its header says: a byte less or more means that it is damaged, and nothing in the format would show
it otherwise. Whether it is packed is told by its first bytes, never by its name. Nothing is
allocated before the header was compared with the size of the file.

Reference:
    Y. LeCun's page of MNIST, section "THE IDX FILE FORMAT"; RFC 1952 for gzip.
"""

from __future__ import annotations

import io
import math
import os
import stat
import struct
import zlib
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cnntool.data import memory
from cnntool.errors import CnntoolError, LimitError, ModelFileError
from cnntool.files import one_line, quote
from cnntool.images.formats import FORMATS, describe, sniff

TYPES: dict[int, str] = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}
"""Code of a type in the third byte -> NumPy's name, without the order of bytes."""

MOST_DIMENSIONS = 8

_GZIP = b"\x1f\x8b"
_DEFLATE_RATIO = 1032  # deflate cannot pack tighter
_BLOCK = 1 << 20


def read_idx(path: str) -> NDArray[np.generic]:
    """The array in an IDX file, in the machine's order of bytes.

    Args:
        path: A file, plain or packed by gzip (several members in a row are one file).

    Raises:
        ModelFileError: It is missing, damaged, or no IDX file.
        LimitError: It holds more than fits the memory; nothing was read.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]))
        ...     file.flush()
        ...     read_idx(file.name)
        array([7, 8, 9], dtype=uint8)
    """
    try:
        with open(path, "rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise _Bad("no regular file")
            start = file.read(2)
            file.seek(0)
            if start == _GZIP:
                return _read(_Unpacked(file, found.st_size), path)
            return _read(_Plain(file, found.st_size), path)
    except CnntoolError:
        raise
    except _Bad as error:
        raise ModelFileError(f"{quote(path)}: {error}", path=path) from error
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise ModelFileError(f"{quote(path)}: cannot be read: {reason}", path=path) from error
    except ValueError as error:  # a NUL character in the name
        raise ModelFileError(f"{quote(path)}: {one_line(str(error), 60)}", path=path) from error


class _Bad(Exception):
    """What is wrong with the file."""


class _Source(Protocol):
    """Bytes of an IDX file, one after the other."""

    def fill(self, view: memoryview) -> int:
        """Fill ``view`` as far as there are bytes; how many there were."""

    def check_size(self, start: int, size: int) -> None:
        """Raise if the file cannot hold ``size`` bytes of samples from ``start`` on."""


class _Plain:
    def __init__(self, file: io.FileIO, size: int) -> None:
        self._file, self._size = file, size

    def fill(self, view: memoryview) -> int:
        filled = 0
        while filled < len(view):
            count = self._file.readinto(view[filled:])
            if not count:
                break
            filled += count
        return filled

    def check_size(self, start: int, size: int) -> None:
        if self._size != start + size:
            difference = start + size - self._size
            what = f"{difference} are missing" if difference > 0 else f"{-difference} are too many"
            raise _Bad(f"{size} bytes of samples expected, {self._size - start} found: {what}")


class _Unpacked:
    """A gzip file; each member is checked against its CRC and length by zlib."""

    def __init__(self, file: io.FileIO, size: int) -> None:
        self._file, self._size = file, size
        self._member = zlib.decompressobj(wbits=31)
        self._input = b""

    def fill(self, view: memoryview) -> int:
        filled = 0
        while filled < len(view):
            try:
                # never more than is wanted: a bomb stays packed
                block = self._member.decompress(self._input, min(_BLOCK, len(view) - filled))
            except zlib.error as error:
                raise _Bad(f"damaged gzip data ({one_line(str(error), 80)})") from error
            self._input = self._member.unconsumed_tail
            view[filled : filled + len(block)] = block
            filled += len(block)
            if not self._advance(idle=not block):
                break
        return filled

    def _advance(self, idle: bool) -> bool:
        """Get what is needed for more output; False at the end of the file."""
        if self._member.eof:
            rest = self._member.unused_data or self._file.read(_BLOCK) or b""
            if not rest:
                return False
            if len(rest) == 1:
                rest += self._file.read(1) or b""
            if not rest.startswith(_GZIP):
                raise _Bad("bytes after the end of the gzip data")
            self._member, self._input = zlib.decompressobj(wbits=31), rest
        elif not self._input and idle:
            self._input = self._file.read(_BLOCK) or b""
            if not self._input:
                raise _Bad("the gzip data end too early")
        return True

    def check_size(self, start: int, size: int) -> None:
        if start + size > _DEFLATE_RATIO * self._size:
            raise _Bad(
                f"{size} bytes of samples expected, more than {self._size} bytes of gzip data "
                "can hold"
            )


def _read(source: _Source, path: str) -> NDArray[np.generic]:
    dtype, sizes = _header(source)
    count = math.prod(sizes)
    size = count * dtype.itemsize
    source.check_size(4 + 4 * len(sizes), size)
    try:
        memory.check(size, f"{quote(path)}: its samples", "take a part of them")
        array = np.empty(count, dtype)
    except MemoryError as error:
        raise LimitError(f"{quote(path)}: {size} bytes do not fit the memory that is left") from (
            error
        )
    found = source.fill(array.view(np.uint8).data) if size else 0
    if found != size:
        raise _Bad(f"{size} bytes of samples expected, {found} found")
    if source.fill(memoryview(bytearray(1))):
        raise _Bad(f"more than the {size} bytes of samples that its header announces")
    if not dtype.isnative:
        array = array.byteswap(inplace=True).view(dtype.newbyteorder())
    return array.reshape(sizes)


def _header(source: _Source) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    start = bytearray(4)
    found = source.fill(memoryview(start))
    if found < 4:
        raise _Bad(f"no IDX file: {found} bytes" if found else "the file is empty")
    if start[0] or start[1]:
        raise _Bad(_foreign(source, bytes(start)))
    code, dimensions = start[2], start[3]
    if code not in TYPES:
        known = ", ".join(f"0x{known:02X}" for known in TYPES)
        raise _Bad(f"unknown type of samples 0x{code:02X}; IDX has {known}")
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise _Bad(f"{dimensions} dimensions; 1 to {MOST_DIMENSIONS} make sense")
    rest = bytearray(4 * dimensions)
    if source.fill(memoryview(rest)) < len(rest):
        raise _Bad("it ends inside its header")
    dtype: np.dtype[np.generic] = np.dtype(">" + TYPES[code])
    return dtype, struct.unpack(f">{dimensions}I", rest)


def _foreign(source: _Source, start: bytes) -> str:
    """What a file without the two zero bytes seems to be."""
    if start[2:] == b"\0\0" and start[1] in TYPES and 1 <= start[0] <= MOST_DIMENSIONS:
        return "its header is little-endian; IDX is big-endian, write it again so"
    more = bytearray(60)
    start += bytes(more[: source.fill(memoryview(more))])
    kind = sniff(start)
    what = f"this is a {FORMATS[kind].title} picture" if kind else f"{describe(start)}"
    return f"no IDX file, which begins with two zero bytes: {what}"
