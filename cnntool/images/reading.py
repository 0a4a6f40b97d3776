"""The one reader: bytes first, then a look at the outline, then limits, then pixels.

The file is read whole before anything looks at it, so that it cannot change under a decoder. What
it is, is told by content. Its header is judged against the limits before any pixel is decoded.
Whatever a decoder may raise for a bad file leaves here as an :class:`InputError` with a reason in
one line; the path is added by who knows it.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from cnntool.errors import CnntoolError, InputError, LimitError, SystemFailure
from cnntool.files.names import one_line
from cnntool.images import arrays, netpbm, png, structure
from cnntool.images.decoding import decode as decode_with_pillow
from cnntool.images.formats import FORMATS, describe, readable, sniff
from cnntool.images.header import Header
from cnntool.images.limits import Limits, memory_needed, reserve
from cnntool.images.limits import limits as limits_named
from cnntool.images.picture import Picture

STANDARD_INPUT = "-"

_BLOCK = 1 << 20
_LONGEST_REASON = 120
_INSPECTORS = {
    "png": png.inspect,
    "jpeg": structure.inspect_jpeg,
    "gif": structure.inspect_gif,
    "bmp": structure.inspect_bmp,
    "tiff": structure.inspect_tiff,
    "webp": structure.inspect_webp,
    "pnm": netpbm.inspect_pnm,
    "pfm": netpbm.inspect_pfm,
    "npy": arrays.inspect,
}
_ENVIRONMENT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_ENDS_EARLY = (EOFError, IndexError, struct.error)


@contextmanager
def opened(
    source: str | os.PathLike[str],
    *,
    limits: str | Limits = "normal",
    kernels: int = 0,
    stdin: BinaryIO | None = None,
) -> Iterator[Picture]:
    """The picture in a file, with its share of the memory budget held while the block runs.

    Args:
        source: A path, or ``-`` for standard input.
        limits: ``normal``, ``strict``, ``off``, or a profile of one's own.
        kernels: Float results of the picture's size that will be made of it, >= 0.
        stdin: What ``-`` reads, if not the process's standard input.

    Raises:
        InputError: The file is missing, damaged or no picture.
        LimitError: It is larger than the limits allow.
        SystemFailure: No more files can be opened, or the like.

    Example:
        >>> import io
        >>> with opened("-", stdin=io.BytesIO(b"P2 2 1 255 7 8 ")) as picture:
        ...     picture.pixels
        array([[7, 8]], dtype=uint8)
    """
    profile = limits_named(limits)
    data = read_bytes(source, limits=profile, stdin=stdin)
    header = inspect(data, limits=profile)
    size = f"{header.width} x {header.height} pixels"
    if kernels:
        size += f" and {kernels} result{'s' if kernels > 1 else ''}"
    with reserve(memory_needed(header.pixels, kernels), profile, size):
        picture = _decode(data, header)
        del data
        holder = [picture]
        del picture
        yield holder.pop()  # only the block holds the picture, and may let go of it early


def read(
    source: str | os.PathLike[str],
    *,
    limits: str | Limits = "normal",
    stdin: BinaryIO | None = None,
) -> Picture:
    """The picture in a file; the memory budget is held only while it is decoded.

    Args:
        source: A path, or ``-`` for standard input.
        limits: ``normal``, ``strict``, ``off``, or a profile of one's own.
        stdin: What ``-`` reads, if not the process's standard input.

    Raises:
        InputError: The file is missing, damaged or no picture.
        LimitError: It is larger than the limits allow.
        SystemFailure: No more files can be opened, or the like.
    """
    with opened(source, limits=limits, stdin=stdin) as picture:
        return picture


def decode(data: bytes, *, limits: str | Limits = "normal") -> Picture:
    r"""The picture in the bytes of a file.

    Args:
        data: The whole file.
        limits: ``normal``, ``strict``, ``off``, or a profile of one's own.

    Raises:
        InputError: The bytes are damaged or no picture.
        LimitError: The picture is larger than the limits allow.

    Example:
        >>> decode(b"P5 2 1 255\nAB").pixels
        array([[65, 66]], dtype=uint8)
    """
    profile = limits_named(limits)
    header = inspect(data, limits=profile)
    size = f"{header.width} x {header.height} pixels"
    with reserve(memory_needed(header.pixels), profile, size):
        return _decode(data, header)


def inspect(data: bytes, *, limits: str | Limits = "normal") -> Header:
    r"""Format, size and number of frames of a file, without decoding it.

    Raises:
        InputError: The bytes are no picture, or parts of it are missing.
        LimitError: A side, the number of frames or the file is larger than the limits allow.

    Example:
        >>> header = inspect(b"P5 2 1 255\nAB")
        >>> header.format, header.width, header.height
        ('pnm', 2, 1)
    """
    profile = limits_named(limits)
    profile.check_file_size(len(data))
    if not data:
        raise InputError("the file is empty")
    format = sniff(data)
    if format is None:
        raise InputError(f"not a picture: {describe(data)}; readable are {readable()}")
    with _one_kind_of_error(FORMATS[format].title):
        header: Header = _INSPECTORS[format](data)
    profile.check_picture(header.width, header.height, header.frames)
    return header


def _decode(data: bytes, header: Header) -> Picture:
    with _one_kind_of_error(FORMATS[header.format].title, header):
        if isinstance(header, netpbm.PnmHeader):
            return netpbm.read_pnm(data, header)
        if isinstance(header, netpbm.PfmHeader):
            return netpbm.read_pfm(data, header)
        if isinstance(header, arrays.NpyHeader):
            return arrays.read(data, header)
        return decode_with_pillow(data, header)


@contextmanager
def _one_kind_of_error(title: str, header: Header | None = None) -> Iterator[None]:
    """Turn all that decoders raise for bad files into errors of ours."""
    try:
        yield
    except CnntoolError:
        raise
    except MemoryError as error:
        size = f"{header.width} x {header.height} pixels do" if header else "the header does"
        raise LimitError(
            f"{size} not fit the memory that is left; try fewer --jobs or a smaller picture"
        ) from error
    except Exception as error:  # decoders raise nearly every class that there is
        raise InputError(_reason(title, error)) from error


def _reason(title: str, error: Exception) -> str:
    text = one_line(str(error) or type(error).__name__, _LONGEST_REASON)
    if isinstance(error, _ENDS_EARLY) or "truncated" in text.lower():
        return f"truncated {title} (the picture data end too early)"
    return f"damaged {title} ({text})"


def read_bytes(
    source: str | os.PathLike[str],
    *,
    limits: str | Limits = "normal",
    stdin: BinaryIO | None = None,
) -> bytes:
    """All bytes of a file or of standard input, if the limits allow as many.

    Args:
        source: A path, or ``-`` for standard input.
        limits: ``normal``, ``strict``, ``off``, or a profile of one's own.
        stdin: What ``-`` reads, if not the process's standard input.

    Raises:
        InputError: No such file, a folder, a device, no permission, or nothing in it.
        LimitError: It is larger than the limits allow; no more than that was read.
        SystemFailure: No more files can be opened, or the like.
    """
    profile = limits_named(limits)
    if os.fspath(source) == STANDARD_INPUT:
        return _standard_input(stdin, profile)
    try:
        with open(source, "rb", buffering=0) as file:
            kind = os.fstat(file.fileno()).st_mode
            if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
                raise InputError("a device, not a file")
            data = _all_of(file, profile)
    except CnntoolError:
        raise
    except FileNotFoundError as error:
        raise InputError("no such file") from error
    except PermissionError as error:
        raise InputError("no permission to read it") from error
    except IsADirectoryError as error:
        raise InputError("a folder, not a file") from error
    except OSError as error:
        raise _cannot_read(error) from error
    except ValueError as error:  # a NUL character in the name
        raise InputError(f"no possible file name: {one_line(str(error), 60)}") from error
    if not data:
        raise InputError("the file is empty")
    return data


def _cannot_read(error: OSError) -> CnntoolError:
    reason = f"cannot be read: {error.strerror or type(error).__name__}"
    if error.errno in _ENVIRONMENT:
        return SystemFailure(reason, errno=error.errno)
    return InputError(reason)


def _standard_input(stdin: BinaryIO | None, profile: Limits) -> bytes:
    if stdin is None:
        if sys.stdin is None:
            raise InputError("standard input is closed")
        stdin = sys.stdin.buffer
    if stdin.isatty():
        raise InputError("standard input is a terminal; name a file or pipe a picture in")
    try:
        data = _all_of(stdin, profile)
    except OSError as error:
        raise _cannot_read(error) from error
    if not data:
        raise InputError("standard input is empty")
    return data


def _all_of(file: BinaryIO | io.RawIOBase, profile: Limits) -> bytes:
    """Read to the end, or to the limit; a regular file in one piece."""
    size = 0
    try:
        status = os.fstat(file.fileno())
    except OSError:  # no real file
        status = None
    if status is not None and stat.S_ISREG(status.st_mode):
        size = status.st_size
        profile.check_file_size(size)
    # one byte more than expected shows the end, or that the file grows
    first = file.read(size + 1) or b""
    block = file.read(_BLOCK)
    if not block:
        return first
    rest = io.BytesIO()
    rest.write(first)
    while block:
        rest.write(block)
        profile.check_file_size(rest.tell())
        block = file.read(_BLOCK)
    return rest.getvalue()
