"""What a file is that is no model of ours, told from its first bytes; nothing in it is read."""

from __future__ import annotations

import re

from cnntool.images.formats import FORMATS, sniff

IMPORTABLE = ("a PyTorch file", "an ONNX file")
"""How the kinds begin that ``cnntool import`` takes."""

_NEVER = "which can run code when it is loaded; cnntool never unpickles"

_BEGINNINGS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", f"a PyTorch file: a pickle, {_NEVER}"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them"),
    (4, b"TFL3", "a TensorFlow Lite file"),
    (0, b"GGUF", "a GGUF file"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"\xfd7zXZ", "an xz file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"%PDF", "a PDF file"),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05].{6}[^{]", re.DOTALL)  # a header's length has a { behind it
# version of the format; then the producer's name, the graph or the like
_ONNX = re.compile(rb"\x08[\x01-\x20][\x12\x1a\x22\x28\x32\x3a\x42]")
_OBJECTS = re.compile(rb"'descr': *(?:\[.*)?'\|?O'?")
_HEAD, _TAIL = 1 << 12, 1 << 16  # of a ZIP archive: its first name, its list of names
_TEXT = 1 << 10


def foreign(data: bytes | bytearray) -> str:
    r"""The kind of file in words; nothing for a safetensors file, or one that is like nothing.

    Args:
        data: The whole file.

    Example:
        >>> foreign(b"PK\x03\x04............archive/data.pkl")
        'a PyTorch file: a pickle, which can run code when it is loaded; cnntool never unpickles'
        >>> foreign(b"\x89PNG\r\n\x1a\n")
        'a PNG picture; the model comes first, then what it is used on'
    """
    for place, beginning, kind in _BEGINNINGS:
        if data[place : place + len(beginning)] == beginning:
            return kind
    head = bytes(data[:_HEAD])
    if head.startswith(b"PK\x03\x04"):
        return _archive(head + bytes(data[-_TAIL:]))
    if head.startswith(b"\x93NUMPY"):
        if _OBJECTS.search(head):
            return f"an .npy file of Python objects: a pickle, {_NEVER}"
        return "an .npy file: one array without a network"
    if picture := sniff(head):
        return f"a {FORMATS[picture].title} picture; the model comes first, then what it is used on"
    if _PICKLE.match(head):
        return f"a pickle of Python objects, {_NEVER}"
    if _ONNX.match(head):
        return "an ONNX file"
    if head[8:9] != b"{" and head and _is_text(head[:_TEXT]):
        return "a text file"
    return ""


def _archive(names: bytes) -> str:
    """What a ZIP archive is, by names in it."""
    if b"/data.pkl" in names or b"/constants.pkl" in names:
        return f"a PyTorch file: a pickle, {_NEVER}"
    if b"model.weights.h5" in names:
        return "a Keras file"
    if b".npy" in names:
        return "an .npz file: arrays without a network"
    return "a ZIP archive"


def _is_text(data: bytes) -> bool:
    text = data.decode("utf-8", "ignore")
    return len(text.encode()) >= len(data) - 3 and all(
        c.isprintable() or c in "\t\r\n" for c in text
    )
