"""Data sets in one ``.npz``: arrays of pictures and labels for each part.

``numpy.load`` takes an archive that unpacks to any size, runs pickles if it is let, and overlooks
bytes left over. Here every member is compared with its own header before anything of its size is
allocated, Python objects are never loaded, and the archive's CRCs are checked to the last byte.

===========  =======================================  ======================================
part         pictures                                 labels
===========  =======================================  ======================================
train        ``x_train``, ``train_images``, ``images``,   ``y_train``, ``train_labels``,
             ``x``                                    ``labels``, ``y``
validation   ``x_val``, ``val_images``                ``y_val``, ``val_labels``
test         ``x_test``, ``test_images``              ``y_test``, ``test_labels``
===========  =======================================  ======================================

``classes`` (text) names the classes. ``vectors_train``, ``vectors_val`` and ``vectors_test`` hold
numbers that come with each picture, one row each, such as the embedding of a caption.
"""

from __future__ import annotations

import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO

import numpy as np
from numpy.typing import NDArray

from cnntool.data import memory
from cnntool.data.dataset import Dataset, Split
from cnntool.data.labels import number_labels
from cnntool.data.samples import as_pictures
from cnntool.errors import CnntoolError, InputError, LimitError, ModelFileError
from cnntool.files import one_line, quote
from cnntool.images.arrays import MAGIC, layout

IMAGES: dict[str, tuple[str, ...]] = {
    "train": ("x_train", "train_images", "images", "x"),
    "validation": ("x_val", "x_valid", "x_validation", "val_images"),
    "test": ("x_test", "test_images"),
}
LABELS: dict[str, tuple[str, ...]] = {
    "train": ("y_train", "train_labels", "labels", "y"),
    "validation": ("y_val", "y_valid", "y_validation", "val_labels"),
    "test": ("y_test", "test_labels"),
}
VECTORS: dict[str, tuple[str, ...]] = {
    "train": ("vectors_train",),
    "validation": ("vectors_val", "vectors_valid", "vectors_validation"),
    "test": ("vectors_test",),
}
"""Names of the arrays of each part, in small letters."""

CLASSES = "classes"

_HEAD = 1 << 14  # more than the longest header
_BLOCK = 1 << 20
_DEFLATE_RATIO = 1032
_MOST_MEMBERS = 1000
_DTYPE = re.compile(r"[<>|=](?:b1|[iu][1248]|f[248]|[US]\d{1,4})")
# what zipfile raises for damaged archives
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, NotImplementedError,
    RuntimeError, LookupError, OverflowError,
)  # fmt: skip


def load_npz(path: str) -> Dataset:
    """The data set in the file at ``path``.

    Pictures as in :func:`cnntool.data.samples.as_pictures`, labels as in
    :func:`cnntool.data.labels.number_labels`.

    Raises:
        ModelFileError: It is missing, damaged, unsafe, or its arrays are no data set.
        LimitError: An array is larger than the memory allows; it was not read.
    """
    what = quote(path)
    arrays = read_npz(path)
    names = _class_names(arrays, what)
    images: dict[str, NDArray[np.uint8]] = {}
    labels: dict[str, NDArray[np.generic]] = {}
    vectors: dict[str, NDArray[np.float32]] = {}
    notes: list[str] = []
    used = {CLASSES} & set(arrays)
    for part in IMAGES:
        pictures, answers = (_one_of(arrays, kind[part], what) for kind in (IMAGES, LABELS))
        if not pictures and not answers:
            continue
        if not pictures or not answers:
            have, lack = (pictures, LABELS) if pictures else (answers, IMAGES)
            raise ModelFileError(f"{what}: has {have} but no {lack[part][0]}")
        used |= {pictures, answers}
        labels[part] = arrays[answers]
        images[part], more = as_pictures(arrays[pictures], f"{what}: {pictures}")
        notes += more
        if labels[part].ndim and len(labels[part]) != len(images[part]):
            raise ModelFileError(
                f"{what}: {len(labels[part])} labels in {answers} for {len(images[part])} "
                f"pictures in {pictures}"
            )
        if numbers := _one_of(arrays, VECTORS[part], what):
            used.add(numbers)
            vectors[part] = _vectors(arrays[numbers], len(images[part]), f"{what}: {numbers}")
    if "train" not in images:
        found = ", ".join(f"'{one_line(name, 40)}'" for name in list(arrays)[:6]) or "nothing"
        raise ModelFileError(
            f"{what}: no x_train and y_train (nor train_images, images, x); it holds {found}"
        )
    _check_alike(images, what)
    numbered = number_labels(labels, what, names)
    if left := sorted(set(arrays) - used):
        shown = ", ".join(f"'{one_line(name, 40)}'" for name in left[:6])
        notes.append(f"{what}: other arrays are left out: {shown}")
    parts = {
        part: Split(images[part], numbered.parts[part], vectors=vectors.get(part))
        for part in images
    }
    return Dataset(
        os.path.splitext(os.path.basename(path))[0],
        numbered.classes,
        parts["train"],
        parts.get("test"),
        parts.get("validation"),
        color="gray" if images["train"].shape[1] == 1 else "rgb",
        notes=(*notes, *numbered.notes),
    )


def read_npz(path: str) -> dict[str, NDArray[np.generic]]:
    """All arrays of numbers or text in a ``.npz``, by their names.

    Raises:
        ModelFileError: It is missing, damaged or unsafe.
        LimitError: Its arrays are larger than the memory allows; none was read.
    """
    what = quote(path)
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            entries = _entries(archive, what)
            total = sum(entry.file_size for entry in entries.values())
            memory.check(total, f"{what}: its arrays", "take a part of them")
            return {name: _array(archive, entry, what) for name, entry in entries.items()}
    except CnntoolError:
        raise
    except MemoryError as error:
        raise LimitError(f"{what}: its arrays do not fit the memory that is left") from error
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else (
            error.strerror or str(error)
        )  # fmt: skip
        raise ModelFileError(f"{what}: cannot be read: {reason}", path=path) from error
    except _DAMAGE as error:
        reason = one_line(str(error) or type(error).__name__, 100)
        raise ModelFileError(f"{what}: damaged .npz ({reason})", path=path) from error


def _entries(archive: zipfile.ZipFile, what: str) -> dict[str, zipfile.ZipInfo]:
    """Members by the names of their arrays; nothing is unpacked."""
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise ModelFileError(f"{what}: {len(members)} members; a data set has a few")
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in members:
        name = entry.filename.removesuffix(".npy")
        shown = f"{what}: member '{one_line(entry.filename, 60)}'"
        if name == entry.filename:
            raise ModelFileError(f"{shown} is no .npy file")
        if name in found:
            raise ModelFileError(f"{shown} is there twice")
        if entry.flag_bits & 1:
            raise ModelFileError(f"{shown} is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ModelFileError(f"{shown} is packed in a way that NumPy never uses")
        if entry.file_size > _DEFLATE_RATIO * entry.compress_size + 64:
            raise ModelFileError(
                f"{shown} claims to unpack {entry.compress_size} bytes to {entry.file_size}"
            )
        found[name] = entry
    return found


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, what: str) -> NDArray[np.generic]:
    shown = f"{what}: {one_line(entry.filename, 60)}"
    with archive.open(entry) as member:
        head = _up_to(member, _HEAD)
        if not head.startswith(MAGIC):
            raise ModelFileError(f"{shown}: no array in NumPy's format")
        try:
            descr, fortran, shape, start = layout(head)
        except InputError as error:
            raise ModelFileError(f"{shown}: {error}") from error
        if descr.endswith("O"):
            raise ModelFileError(f"{shown}: Python objects, which are never loaded")
        if not _DTYPE.fullmatch(descr):
            raise ModelFileError(f"{shown}: dtype '{one_line(descr, 40)}'; numbers or text only")
        dtype: np.dtype[np.generic] = np.dtype(descr)
        size = math.prod(shape) * dtype.itemsize
        if start + size != entry.file_size:
            raise ModelFileError(
                f"{shown}: {size} bytes of samples expected, {entry.file_size - start} found"
            )
        array = np.empty(math.prod(shape), dtype)
        if size:
            view = array.view(np.uint8).data
            view[: len(head) - start] = head[start:]
            filled = len(head) - start
            while block := member.read(_BLOCK):
                view[filled : filled + len(block)] = block
                filled += len(block)
            if filled != size:
                raise ModelFileError(f"{shown}: {size} bytes of samples expected, {filled} found")
    return array.reshape(shape, order="F" if fortran else "C")


def _up_to(member: IO[bytes], count: int) -> bytes:
    """As many bytes, or all that there are."""
    found = b""
    while len(found) < count and (block := member.read(count - len(found))):
        found += block
    return found


def _one_of(arrays: Mapping[str, object], names: tuple[str, ...], what: str) -> str:
    """The array called by one of ``names``; '' if there is none."""
    found = [name for name in arrays if name.lower() in names]
    if len(found) > 1:
        raise ModelFileError(f"{what}: both '{found[0]}' and '{found[1]}'; keep one")
    return found[0] if found else ""


def _class_names(arrays: Mapping[str, NDArray[np.generic]], what: str) -> tuple[str, ...]:
    names = arrays.get(CLASSES)
    if names is None:
        return ()
    if names.ndim != 1 or names.dtype.kind not in "US" or len(set(names.tolist())) < len(names):
        raise ModelFileError(f"{what}: classes is no list of different names")
    if names.dtype.kind == "S":
        return tuple(bytes(name).decode("utf-8", "replace") for name in names)
    return tuple(str(name) for name in names)


def _vectors(found: NDArray[np.generic], count: int, what: str) -> NDArray[np.float32]:
    """Numbers that come with pictures, (count, K).

    Raises:
        ModelFileError: They are none.
    """
    if found.dtype.kind not in "biuf" or found.ndim != 2 or not found.shape[1]:
        raise ModelFileError(f"{what}: no table of numbers, one row a picture")
    if len(found) != count:
        raise ModelFileError(f"{what}: {len(found)} rows for {count} pictures")
    with np.errstate(over="ignore"):
        numbers = found.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise ModelFileError(f"{what}: NaN or infinity")
    return numbers


def _check_alike(images: Mapping[str, NDArray[np.uint8]], what: str) -> None:
    shapes = {part: pictures.shape[1:] for part, pictures in images.items()}
    if len(set(shapes.values())) > 1:
        shown = ", ".join(f"{part} {'x'.join(map(str, s))}" for part, s in shapes.items())
        raise ModelFileError(f"{what}: parts of different sizes: {shown}")
