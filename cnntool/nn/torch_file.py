"""Arrays by name from files that ``torch.save`` made of a state dict, without PyTorch.

Since version 1.6 such a file is a ZIP archive, uncompressed: a pickle, and a member for each run of
numbers, guarded by CRCs. Older ones are three small pickles (a number, a version, facts of the
machine), the pickle itself, one with a list of keys, and the runs of numbers, guarded by nothing.
Either way the pickle is read by :mod:`cnntool.nn.torch_pickle`, which runs nothing of it, and every
size is compared with the bytes that are there before anything is made of it.

References:
    PyTorch 2.13, torch/serialization.py: ``save``, ``_legacy_load``, ``_load``.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import ModelFileError
from cnntool.files import one_line
from cnntool.grammar import shown
from cnntool.nn.tensor_header import MAX_TENSORS, Refused, check_count, check_name
from cnntool.nn.torch_pickle import read_pickle
from cnntool.nn.torch_refs import StorageRef, TensorRef

MAX_NUMBERS = 1 << 29
"""Most numbers of all tensors together: 2 GiB as float32; a few bytes can ask for any many."""

MAX_PICKLE = 64 << 20
"""Longest pickle in an archive, in bytes."""

WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params",
)  # fmt: skip
"""Keys of checkpoints that hold the state dict, the likeliest first."""

_MOST_MEMBERS = MAX_TENSORS + 1000
_MAGIC = 0x1950A86A20F9469CFC6C
_MAGIC_PICKLE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PROTOCOL = 1001
_AGAIN = "make or fetch it again"
# NumPy has no word for BF16
_TYPES = {
    "F64": "f8", "F32": "f4", "F16": "f2", "BF16": "u2", "I64": "i8", "I32": "i4", "I16": "i2",
    "I8": "i1", "U8": "u1", "BOOL": "u1",
}  # fmt: skip
# what zipfile raises for damaged archives
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, NotImplementedError,
    RuntimeError, LookupError, OverflowError, OSError,
)  # fmt: skip

Fetch = Callable[[StorageRef], NDArray[Any]]
"""The numbers of a storage, flat, as they lie in the file."""


def is_torch_file(data: bytes | bytearray) -> bool:
    r"""Whether bytes are a file of ``torch.save``, by how they begin; of a ZIP archive, any.

    Example:
        >>> is_torch_file(b"PK\x03\x04"), is_torch_file(b"{}")
        (True, False)
    """
    return data[:4] == b"PK\x03\x04" or data[: len(_MAGIC_PICKLE)] == _MAGIC_PICKLE


def decode_torch(data: bytes | bytearray, *, where: str) -> dict[str, NDArray[Any]]:
    """The arrays of a state dict in the bytes of a file.

    Args:
        data: The whole file.
        where: What messages call it: its name in quotes.

    Returns:
        Arrays in memory of their own, C-contiguous, in the order of the file. F16 and BF16 come as
        float32, other types as they are.

    Raises:
        ModelFileError: It is no such file, is damaged or cut off, or names anything that a state
            dict does not need.
    """
    try:
        if data[:4] == b"PK\x03\x04":
            return _archive(data)
        if data[: len(_MAGIC_PICKLE)] == _MAGIC_PICKLE:
            return _legacy(memoryview(data))
        raise Refused("no file of torch.save: neither a ZIP archive nor its older form")
    except Refused as error:
        raise ModelFileError(f"{where}: {error}") from None


# ---------------------------------------------------------------------------------- the two forms
def _archive(data: bytes | bytearray) -> dict[str, NDArray[Any]]:
    if data.count(b"PK\x01\x02") > _MOST_MEMBERS:  # before a list of them is made
        raise Refused(f"its archive has more than {_MOST_MEMBERS} members")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _members(archive, len(data))
    except Refused:
        raise
    except _DAMAGE as error:
        reason = one_line(str(error) or type(error).__name__, 80)
        raise Refused(f"a damaged archive ({reason}); {_AGAIN}") from error


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, NDArray[Any]]:
    if sum(entry.file_size for entry in archive.infolist()) > size:
        raise Refused("a damaged archive: its members have more bytes than the file")
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        # torch puts everything below one folder, whose name is any
        name = entry.filename.partition("/")[2]
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise Refused(
                f"member '{shown(entry.filename)}' is packed or encrypted; torch stores it plain"
            )
        if name in entries:
            raise Refused(f"member '{shown(entry.filename)}' is there twice")
        entries[name] = entry
    if "constants.pkl" in entries:
        raise Refused("a TorchScript file, which holds code; save its state_dict() in torch")
    if "data.pkl" not in entries:
        raise Refused("a ZIP archive without data.pkl, so not from torch.save")
    if entries["data.pkl"].file_size > MAX_PICKLE:
        raise Refused(f"its pickle has more than {MAX_PICKLE} bytes")
    order = archive.read(entries["byteorder"]) if "byteorder" in entries else b"little"
    if order not in (b"little", b"big"):
        raise Refused("its byte order is neither little nor big")
    pickle = memoryview(archive.read(entries["data.pkl"]))
    value, end = read_pickle(pickle)
    if end != len(pickle):
        raise Refused(f"{len(pickle) - end} bytes follow its pickle; {_AGAIN}")

    def fetch(storage: StorageRef) -> NDArray[Any]:
        entry = entries.get(f"data/{storage.key}")
        if entry is None:
            raise Refused(f"storage '{shown(storage.key)}' is missing; {_AGAIN}")
        dtype = _stored(storage.word, big=order == b"big")
        if entry.file_size != storage.count * dtype.itemsize:
            raise Refused(
                f"storage '{shown(storage.key)}' has {entry.file_size} bytes; {storage.count} "
                f"numbers of {storage.word} need {storage.count * dtype.itemsize}"
            )
        return np.frombuffer(archive.read(entry), dtype)

    return _arrays(value, fetch)


def _legacy(view: memoryview) -> dict[str, NDArray[Any]]:
    magic, at = read_pickle(view)
    protocol, at = read_pickle(view, at)
    system, at = read_pickle(view, at)
    if magic != _MAGIC or protocol != _PROTOCOL or not isinstance(system, dict):
        raise Refused(f"its beginning is not what torch writes; {_AGAIN}")
    value, at = read_pickle(view, at)
    keys, at = read_pickle(view, at)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Refused(f"its list of storages is damaged; {_AGAIN}")
    named = {ref.storage.key: ref.storage for ref in _references(value)}
    big = system.get("little_endian") is False
    places: dict[str, NDArray[Any]] = {}
    for key in keys:
        if key not in named or key in places:
            raise Refused(f"storage '{shown(key)}' belongs to no tensor, or stands twice")
        dtype = _stored(named[key].word, big=big)
        size = dtype.itemsize * named[key].count
        if at + 8 + size > len(view):
            raise Refused(
                f"truncated: {max(len(view) - at - 8, 0)} of {size} bytes of storage "
                f"'{shown(key)}' are there; {_AGAIN}"
            )
        count = int.from_bytes(view[at : at + 8], "big" if big else "little")
        if count != named[key].count:
            raise Refused(
                f"storage '{shown(key)}' has {count} numbers, its tensors say {named[key].count}"
            )
        places[key] = np.frombuffer(view, dtype, count, at + 8) if count else np.empty(0, dtype)
        at += 8 + size
    if at != len(view):
        raise Refused(f"{len(view) - at} bytes behind its numbers belong to nothing; {_AGAIN}")

    def fetch(storage: StorageRef) -> NDArray[Any]:
        if storage.key not in places or named[storage.key] != storage:
            raise Refused(
                f"storage '{shown(storage.key)}' is missing, or named with two types; {_AGAIN}"
            )
        return places[storage.key]

    return _arrays(value, fetch)


def _stored(word: str, *, big: bool) -> np.dtype[Any]:
    return np.dtype((">" if big else "<") + _TYPES[word])


# ------------------------------------------------------------------------------------- state dict
def state_dict(value: object) -> dict[str, TensorRef]:
    """The tensors by name in what a pickle holds: itself, or one entry of a checkpoint.

    Raises:
        Refused: There is none, or there are several and none has a usual name.
    """
    if not isinstance(value, dict):
        raise Refused(f"it holds a {_kind(value)}, not a state dict")
    if own := _tensors(value):
        return own
    inner = {key: found for key, item in value.items() if (found := _tensors(item))}
    for key in WRAPPERS:
        if key in inner:
            return inner[key]
    if len(inner) == 1:
        return next(iter(inner.values()))
    if inner:
        keys = ", ".join(f"'{shown(str(key), 30)}'" for key in list(inner)[:4])
        raise Refused(f"it holds several state dicts: {keys}; save one of them alone")
    raise Refused("it holds no tensors by name; save the state_dict() of a network")


def _tensors(value: object) -> dict[str, TensorRef]:
    """Entries of a dict that are tensors; others, such as counters of epochs, are left out."""
    if not isinstance(value, dict):
        return {}
    return {
        key: item
        for key, item in value.items()
        if isinstance(key, str) and isinstance(item, TensorRef)
    }


def _kind(value: object) -> str:
    return "tensor" if isinstance(value, TensorRef) else type(value).__name__


def _references(value: object) -> Iterator[TensorRef]:
    """All tensors in a value, which may hold itself."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, TensorRef):
            yield item
        elif isinstance(item, dict | list | tuple) and id(item) not in seen:
            seen.add(id(item))
            waiting += item.values() if isinstance(item, dict) else item


def _arrays(value: object, fetch: Fetch) -> dict[str, NDArray[Any]]:
    """Copies of the tensors of a state dict."""
    references = state_dict(value)
    check_count(len(references))
    total = sum(prod(ref.shape) for ref in references.values())
    if total > MAX_NUMBERS:
        raise Refused(f"its tensors have {total} numbers; at most {MAX_NUMBERS} are read")
    fetched: dict[StorageRef, NDArray[Any]] = {}
    found: dict[str, NDArray[Any]] = {}
    for name, ref in references.items():
        check_name(name)
        if ref.storage not in fetched:  # tensors may share one
            fetched[ref.storage] = fetch(ref.storage)
        found[name] = _array(ref, fetched[ref.storage])
    return found


def _array(ref: TensorRef, numbers: NDArray[Any]) -> NDArray[Any]:
    # the pickle's reader has seen to it that no tensor reaches beyond its storage
    if 0 in ref.shape:
        values = numbers[:0].reshape(ref.shape)
    else:
        strides = tuple(stride * numbers.itemsize for stride in ref.strides)
        begun = numbers[ref.offset :]
        values = np.lib.stride_tricks.as_strided(begun, ref.shape, strides, writeable=False)
    if ref.storage.word == "BF16":  # the upper half of a float32
        return np.ascontiguousarray((values.astype(np.uint32) << np.uint32(16)).view(np.float32))
    if ref.storage.word == "F16":
        return values.astype(np.float32, order="C")
    if ref.storage.word == "BOOL":
        return np.ascontiguousarray(values != 0)
    return values.astype(values.dtype.newbyteorder("="), order="C")
