"""Arrays by name and a few texts in one file: the layout of safetensors, written and read strictly.

A file is::

    8 bytes    length of the header, little-endian
    header     JSON, behind it spaces: {"__metadata__": {text: text}, name: {"dtype", "shape",
               "data_offsets"}, …}
    data       the arrays, little-endian, one behind another without a gap

Files that are written here are sealed: the header begins with the metadata entry ``sha256``, the
SHA-256 of the whole file with the digits of this very entry taken as zeros. So any change anywhere
is noticed, one of the digits included. It is a guard against damage, not against a forger, who can
seal a file anew: so everything that a sealed file says is checked as if it were not. Other programs
read such a file like any other of its kind.

References:
    Hugging Face, safetensors: Format, https://github.com/huggingface/safetensors#format
    NIST FIPS 180-4, Secure Hash Standard.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import CnntoolError, InputError, ModelFileError, SystemFailure
from cnntool.files import quote
from cnntool.grammar import shown
from cnntool.nn.tensor_header import (
    FOREIGN_TYPES,
    MAX_AXES,
    MAX_HEADER,
    METADATA,
    TYPES,
    Entry,
    Refused,
    check_count,
    check_end,
    check_name,
    choices,
    data_start,
    read_header,
)

_WORDS = {np.dtype(code): word for word, code in TYPES.items()}
_DIGEST = "sha256"
_DIGITS = 64
_ALIGNMENT = 8
_BLOCK = 1 << 20
_ENVIRONMENT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

# json.dumps writes it so, and the digits always lie at one place
_SEAL = f'{{"{METADATA}":{{"{_DIGEST}":"'.encode()
_FIRST = 8 + len(_SEAL)
_LAST = _FIRST + _DIGITS
_HEXADECIMAL = re.compile(rb"[0-9a-f]{64}\"")


@dataclass(frozen=True, slots=True, eq=False)
class TensorFile:
    """What a file holds.

    Attributes:
        tensors: Arrays by name in the order of the file.
        metadata: Texts by name, the digest left out.
        digest: The SHA-256 that sealed the file, 64 digits; empty if nothing did.
    """

    tensors: dict[str, NDArray[Any]]
    metadata: dict[str, str]
    digest: str = ""


def encode(
    tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str], *, where: str = "the file"
) -> bytes:
    """The bytes of a sealed file; equal arguments give equal bytes, in whatever order they come.

    Args:
        tensors: Arrays of the types in :data:`~cnntool.nn.tensor_header.TYPES`, at most 10 000, in
            any byte order and memory layout. Names are printable, at most 512 characters, no paths.
        metadata: Texts by name; ``sha256`` is taken.
        where: What messages call the file.

    Raises:
        ModelFileError: A name, type or text cannot be written, or there are too many of them.

    Example:
        >>> data = encode({"x": np.zeros((2, 3), np.float32)}, {"made": "today"})
        >>> data[8:35], len(data)
        (b'{"__metadata__":{"sha256":"', 200)
        >>> decode(data, where="a").tensors["x"].shape
        (2, 3)
    """
    try:
        return _encode(tensors, metadata)
    except Refused as error:
        raise ModelFileError(f"{where} cannot be written: {error}") from None


def _encode(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    check_count(len(tensors))
    parts = [(name, *_stored(name, array)) for name, array in tensors.items()]
    # larger items first: without gaps each array still begins at a multiple of its item's size
    parts.sort(key=lambda part: (-part[2].itemsize, part[0]))
    header: dict[str, object] = {METADATA: _texts(metadata)}
    offset = 0
    for name, word, array in parts:
        end = offset + array.nbytes
        header[name] = {"dtype": word, "shape": array.shape, "data_offsets": (offset, end)}
        offset = end
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # lone surrogates: bytes of the system that are no text
        raise Refused("a text in it holds bytes that are no characters") from None
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > MAX_HEADER:
        raise Refused(f"its names and texts need {len(text)} bytes; at most {MAX_HEADER} fit")
    head = len(text).to_bytes(8, "little") + text
    data = [array.reshape(-1).view(np.uint8).data for _, _, array in parts]
    digest = hashlib.sha256(head)
    for piece in data:
        digest.update(piece)
    return b"".join([head[:_FIRST], digest.hexdigest().encode(), head[_LAST:], *data])


def _stored(name: str, array: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """The word for an array's type, and the array as its bytes lie in the file."""
    check_name(name)
    word = _WORDS.get(array.dtype.newbyteorder("<"))
    if word is None:
        raise Refused(f"array '{shown(name)}' is {array.dtype}; {choices(TYPES)}")
    if array.ndim > MAX_AXES:
        raise Refused(f"array '{shown(name)}' has {array.ndim} axes; at most {MAX_AXES} fit")
    return word, np.asarray(array, TYPES[word], order="C")


def _texts(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata by name, behind zeros for the digest."""
    found = {_DIGEST: "0" * _DIGITS}
    for name in sorted(metadata):
        if name == _DIGEST:
            raise Refused(f"the metadata entry '{_DIGEST}' is the file's own; name it otherwise")
        if not isinstance(metadata[name], str):
            raise Refused(f"the metadata entry '{shown(name)}' is no text")
        found[name] = metadata[name]
    return found


def decode(
    data: bytes | bytearray | memoryview, *, where: str, require_digest: bool = True
) -> TensorFile:
    """The arrays and texts in the bytes of a file.

    Args:
        data: The whole file.
        where: What messages call it: its name in quotes.
        require_digest: Refuse files that are not sealed. Without it files of other programs are
            read too, F16 and BF16 as float32; a seal is checked all the same where there is one.

    Returns:
        Arrays in memory of their own: writable, C-contiguous, in the machine's byte order.

    Raises:
        ModelFileError: It is no such file, is damaged or cut off, or says what it must not.

    Example:
        >>> data = encode({"x": np.array([1.5, -2], np.float32)}, {"unit": "mm"})
        >>> found = decode(data, where="a")
        >>> found.tensors["x"].tolist(), found.metadata
        ([1.5, -2.0], {'unit': 'mm'})
        >>> decode(data[:-1], where="'a.safetensors'")
        Traceback (most recent call last):
        ...
        cnntool.errors.ModelFileError: 'a.safetensors': truncated: 7 of 8 bytes of data are there; \
make or fetch it again
    """
    view = memoryview(data)
    try:
        return _decode(view.cast("B") if view.nbytes else memoryview(b""), require_digest)
    except Refused as error:
        raise ModelFileError(f"{where}: {error}") from None


def _decode(view: memoryview, require_digest: bool) -> TensorFile:
    start = data_start(view)
    digest = _check_seal(view, start) if view[8:_FIRST] == _SEAL else ""
    if require_digest and not digest:
        raise Refused(
            "not written by cnntool: its header does not begin with a SHA-256; files of other "
            "programs must be imported"
        )
    types = TYPES if require_digest else FOREIGN_TYPES
    metadata, entries = read_header(view[8:start], types)
    check_end(entries, len(view) - start)
    if digest:
        del metadata[_DIGEST]
    tensors = {entry.name: _array(view[start:], entry, types[entry.word]) for entry in entries}
    return TensorFile(tensors, metadata, digest)


def _check_seal(view: memoryview, start: int) -> str:
    """The digest of a sealed file, if it is the right one."""
    if _LAST < start and _HEXADECIMAL.fullmatch(view[_FIRST : _LAST + 1]):
        digest = hashlib.sha256(view[:_FIRST])
        digest.update(b"0" * _DIGITS)
        digest.update(view[_LAST:])
        if digest.hexdigest().encode() == view[_FIRST:_LAST]:
            return digest.hexdigest()
    entries = None
    with contextlib.suppress(Refused):
        _, entries = read_header(view[8:start], FOREIGN_TYPES)
    if entries is not None:  # a header that is whole can tell whether the end is missing
        check_end(entries, len(view) - start)
    raise Refused("damaged: its SHA-256 is not the one that it was sealed with; fetch it again")


def _array(data: memoryview, entry: Entry, code: str) -> NDArray[Any]:
    """A copy of one array's bytes, as numbers."""
    stored = np.dtype(code)
    count = (entry.end - entry.begin) // stored.itemsize
    values: NDArray[Any] = (
        np.frombuffer(data, stored, count, entry.begin) if count else np.empty(0, stored)
    )
    if entry.word == "BOOL" and count and values.view(np.uint8).max() > 1:
        raise Refused(f"array '{shown(entry.name)}' holds a byte that is neither 0 nor 1")
    if entry.word == "BF16":  # the upper half of a float32
        values = (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    elif entry.word == "F16":
        values = values.astype(np.float32)
    else:
        values = values.astype(stored.newbyteorder("="))
    return values.reshape(entry.shape)


def read_bytes(path: str | os.PathLike[str], *, limit: int) -> bytes | bytearray:
    """All bytes of a file, in memory: nothing that happens to the file later can change them.

    Args:
        path: The file.
        limit: Most bytes that it may have, >= 1; no more is ever read.

    Raises:
        InputError: No such file, a folder, a device, or no permission.
        ModelFileError: It is larger than ``limit``.
        SystemFailure: No more files can be opened, or the like.
    """
    name = quote(os.fspath(path))
    try:
        with open(path, "rb") as file:
            return _all_of(file, name, limit)
    except CnntoolError:
        raise
    except FileNotFoundError:
        raise InputError(f"{name}: no such file") from None
    except PermissionError:
        raise InputError(f"{name}: no permission to read it") from None
    except IsADirectoryError:
        raise InputError(f"{name}: a folder, not a file") from None
    except ValueError:
        raise InputError(f"{name}: no possible file name") from None
    except OSError as error:
        reason = f"{name}: cannot be read: {error.strerror or type(error).__name__}"
        if error.errno in _ENVIRONMENT:
            raise SystemFailure(reason, errno=error.errno) from error
        raise InputError(reason) from error


def _all_of(file: BufferedReader, name: str, limit: int) -> bytes | bytearray:
    status = os.fstat(file.fileno())
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        raise InputError(f"{name}: a device, not a file")
    expected = status.st_size if stat.S_ISREG(status.st_mode) else 0
    if expected > limit:
        raise ModelFileError(f"{name}: {expected} bytes; at most {limit} are read")
    first = file.read(expected + 1)  # one byte more shows the end, or that there is more
    if len(first) <= expected:
        return first
    found = bytearray(first)
    while len(found) <= limit and (block := file.read(min(_BLOCK, limit + 1 - len(found)))):
        found += block
    if len(found) > limit:
        raise ModelFileError(f"{name}: more than {limit} bytes; at most {limit} are read")
    return found
