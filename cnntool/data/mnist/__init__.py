"""The complete MNIST, as it ships with the package: 60 000 + 10 000 handwritten digits.

``images.xz`` holds the pictures of both parts as one run of bytes, in two streams so that two
threads unpack them in half the time. Unpacked they are kept in the user's cache folder, where the
next load finds them in a tenth of the time. Whatever the bytes come from, they must have the
SHA-256 of the four original files before anything learns from them.

Measured on two cores: 0.45 s from the package, 0.08 s from the cache.

Reference:
    LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition.
    Authors and licence: LICENCE-MNIST.md in this folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import stat
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from cnntool.data.dataset import Dataset, Split
from cnntool.data.places import cache_folder
from cnntool.errors import CnntoolError, ModelFileError
from cnntool.files import WholeFile, quote

CLASSES = tuple("0123456789")
TRAIN, TEST, SIDE = 60_000, 10_000, 28

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""Of the four original files, unpacked, with their headers."""

FINGERPRINT = "4c6053ebb4e0bcec133b2f4f9b69136dc29524eec3344c5d84ccc3c72c3d27e1"
"""What :func:`cnntool.data.fingerprint.fingerprint` gives; the checks above imply it."""

CACHE_NAME = "mnist-70000.raw"
"""The pictures, unpacked, in the cache folder."""

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_STREAMS = (0, 4_602_080)  # where the streams of images.xz begin
_PIXELS = SIDE * SIDE
_BLOCK = 1 << 20


class _Damaged(Exception):
    """Bytes that are not MNIST; the text says what is wrong."""


def load() -> Dataset:
    """MNIST: parts ``train`` (60 000) and ``test`` (10 000), pictures (M, 1, 28, 28) uint8.

    A copy in the cache that is damaged is written anew without a word; where nothing can be
    written, nothing is.

    Raises:
        ModelFileError: The files of the package are damaged or missing.
    """
    labels = _labels()
    images = _from_cache()
    if images is None:
        images = _from_package()
        _into_cache(images)
    pictures = images.reshape(TRAIN + TEST, 1, SIDE, SIDE)
    return Dataset(
        "mnist",
        CLASSES,
        Split(pictures[:TRAIN], labels[:TRAIN]),
        Split(pictures[TRAIN:], labels[TRAIN:]),
        fingerprint=FINGERPRINT,
    )


def _labels() -> NDArray[np.int64]:
    path = os.path.join(_FOLDER, "labels.xz")
    try:
        with open(path, "rb") as file:
            labels = np.frombuffer(lzma.decompress(file.read()), np.uint8)
        _check_size(labels, TRAIN + TEST)
        _check(labels[:TRAIN], "train-labels-idx1-ubyte", TRAIN)
        _check(labels[TRAIN:], "t10k-labels-idx1-ubyte", TEST)
    except (OSError, lzma.LZMAError, _Damaged) as error:
        raise _broken(path, error) from error
    return labels.astype(np.int64)


def _from_package() -> NDArray[np.uint8]:
    path = os.path.join(_FOLDER, "images.xz")
    try:
        with open(path, "rb") as file:
            packed = memoryview(file.read())
        images = np.empty((TRAIN + TEST) * _PIXELS, np.uint8)
        pieces = [packed[a:b] for a, b in zip(_STREAMS, (*_STREAMS[1:], None), strict=True)]
        with ThreadPoolExecutor(len(pieces)) as threads:
            # the interpreter lock is free while xz works
            list(threads.map(_unpack, pieces, np.split(images, len(pieces))))
        _check_images(images)
    except (OSError, lzma.LZMAError, _Damaged) as error:
        raise _broken(path, error) from error
    return images


def _unpack(packed: memoryview, out: NDArray[np.uint8]) -> None:
    """Fill ``out`` with what one stream holds, no more and no less."""
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
    filled = 0
    data = packed
    while not stream.eof:
        block = stream.decompress(data, _BLOCK)
        data = packed[:0]
        if not block and stream.needs_input and not stream.eof:
            raise _Damaged("it ends too early")
        if filled + len(block) > len(out):
            raise _Damaged("it holds too much")
        out[filled : filled + len(block)] = np.frombuffer(block, np.uint8)
        filled += len(block)
    if filled != len(out) or stream.unused_data:
        raise _Damaged("it has another length")


def _from_cache() -> NDArray[np.uint8] | None:
    """The pictures as the cache has them; None where it has none or they are damaged."""
    folder = cache_folder()
    if folder is None:
        return None
    size = (TRAIN + TEST) * _PIXELS
    try:
        with open(os.path.join(folder, CACHE_NAME), "rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size != size:
                return None
            images = np.empty(size, np.uint8)
            view = images.data
            while view:
                count = file.readinto(view)
                if not count:
                    return None
                view = view[count:]
        _check_images(images)
    except (OSError, _Damaged):
        return None
    return images


def _into_cache(images: NDArray[np.uint8]) -> None:
    folder = cache_folder()
    if folder is None:
        return
    # the cache saves half a second; no trouble with it is worth a word
    with contextlib.suppress(OSError, CnntoolError):
        os.makedirs(folder, exist_ok=True)
        with WholeFile(os.path.join(folder, CACHE_NAME), force=True) as file:
            file.write(images.data)


def _check_images(images: NDArray[np.uint8]) -> None:
    _check_size(images, (TRAIN + TEST) * _PIXELS)
    border = TRAIN * _PIXELS
    with ThreadPoolExecutor(1) as thread:
        test = thread.submit(_check, images[border:], "t10k-images-idx3-ubyte", TEST, SIDE, SIDE)
        _check(images[:border], "train-images-idx3-ubyte", TRAIN, SIDE, SIDE)
        test.result()


def _check_size(values: NDArray[np.uint8], size: int) -> None:
    if len(values) != size:
        raise _Damaged(f"it unpacks to {len(values)} bytes instead of {size}")


def _check(values: NDArray[np.uint8], name: str, *sizes: int) -> None:
    """Compare with the original IDX file of these sizes, header and all."""
    header = struct.pack(f">HBB{len(sizes)}I", 0, 0x08, len(sizes), *sizes)
    digest = hashlib.sha256(header)
    digest.update(values.data)
    if digest.hexdigest() != SHA256[name]:
        raise _Damaged(f"its SHA-256 is not that of {name}")


def _broken(path: str, error: Exception) -> ModelFileError:
    reason = "it is missing" if isinstance(error, FileNotFoundError) else str(error)
    return ModelFileError(
        f"{quote(path)}: the MNIST that ships with cnntool is damaged ({reason}); "
        "install cnntool again",
        path=path,
    )
