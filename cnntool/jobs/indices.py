"""The ``.npz`` between ``pool --indices`` and ``unpool``: positions of maxima and the size before.

``indices`` (H', W'[, C]) int64 holds r·W + c of each maximum in its own plane; ``size`` (2,) int64
holds H and W of the picture before pooling.
"""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import InputError
from cnntool.files import one_line, quote
from cnntool.images.arrays import write
from cnntool.images.reading import read_bytes

LARGEST = 1 << 30
"""Bytes that one array of such a file may unpack to."""

MEMBERS = ("indices.npy", "size.npy")

# what zipfile and NumPy's reader of headers raise for damaged files
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, tokenize.TokenError, struct.error, ValueError, OSError,
    EOFError, NotImplementedError, RuntimeError, SyntaxError, LookupError, TypeError,
    OverflowError, MemoryError,
)  # fmt: skip


def pack_indices(indices: NDArray[np.int64], size: tuple[int, ...]) -> bytes:
    """The file's bytes; the same arrays give the same bytes.

    Example:
        >>> data = pack_indices(np.zeros((1, 2), np.int64), (2, 4))
        >>> [a.shape for a in unpack_indices(data)]
        [(1, 2), (2,)]
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in zip(MEMBERS, (indices, np.asarray(size, np.int64)), strict=True):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, write(np.asarray(array, np.int64)))
    return buffer.getvalue()


def unpack_indices(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions and size from the file's bytes.

    Raises:
        InputError: It is no such file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sorted(entry.filename for entry in entries) != sorted(MEMBERS):
                raise InputError("holds no pooling indices; write them with 'pool --indices'")
            if any(entry.file_size > LARGEST for entry in entries):
                raise InputError(f"unpacks to more than {LARGEST >> 20} MiB")
            arrays = [
                np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in MEMBERS
            ]
    except InputError:
        raise
    except _DAMAGE as error:
        reason = one_line(str(error) or type(error).__name__, 120)
        raise InputError(f"damaged pooling indices ({reason})") from error
    indices, size = arrays
    if indices.dtype != np.int64 or size.dtype != np.int64 or size.shape != (2,):
        raise InputError("holds no pooling indices; write them with 'pool --indices'")
    if indices.ndim not in (2, 3) or size.min() < 1 or int(size[0]) * int(size[1]) > LARGEST:
        raise InputError("pooling indices of an impossible size")
    if indices.size and not 0 <= indices.min() <= indices.max() < size[0] * size[1]:
        raise InputError(f"a position lies outside the picture of {size[0]}x{size[1]}")
    return indices, size


def read_indices(path: str) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Positions and (H, W) from the file at ``path``.

    Raises:
        InputError: It cannot be read, or is no such file; the message names it.
    """
    try:
        indices, size = unpack_indices(read_bytes(path))
    except InputError as error:
        raise InputError(f"--indices {quote(path)}: {error}") from error
    return indices, (int(size[0]), int(size[1]))
