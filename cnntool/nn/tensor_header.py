"""The header of a safetensors file: what it may say, and the checks of what it does say.

Nothing in it is believed: keys stand once, numbers are whole and bounded, types are those of a
closed list, and the arrays lie one behind another without gap or overlap, so that each byte of the
data belongs to exactly one of them.

References:
    Hugging Face, safetensors: Format, https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from cnntool.grammar import shown
from cnntool.nn import strict_json

MAX_HEADER = 4 << 20
"""Longest header in bytes: 10 000 arrays need about one million, long texts as much again.

Hostile JSON of this length takes about a second and 150 MiB to read.
"""

MAX_TENSORS = 10_000
"""Most arrays in a file."""

MAX_AXES = 8
"""Most axes of an array."""

TYPES: Mapping[str, str] = {
    "F64": "<f8",
    "I64": "<i8",
    "U64": "<u8",
    "F32": "<f4",
    "I32": "<i4",
    "U8": "|u1",
    "BOOL": "|b1",
}
"""What arrays hold: the file's word -> NumPy's, as the bytes lie in the file."""

FOREIGN_TYPES: Mapping[str, str] = {**TYPES, "F16": "<f2", "BF16": "<u2"}
"""What arrays of other programs' files may hold; NumPy has no word for BF16."""

METADATA = "__metadata__"
"""The key of the texts."""

_FIELDS = {"dtype", "shape", "data_offsets"}
_LONGEST_NAME = 512
_MOST_NUMBERS = 1 << 48  # NumPy bears such a shape even where one side is 0
_AGAIN = "make or fetch it again"


class Refused(ValueError):
    """What is wrong with a file; its name is put in front by who knows it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a header says of one array.

    Attributes:
        name: Its name.
        word: Its type, a key of the table of types.
        shape: Its sizes.
        begin: Its first byte, counted from the beginning of the data.
        end: The byte behind its last one.
    """

    name: str
    word: str
    shape: tuple[int, ...]
    begin: int
    end: int


def data_start(view: memoryview) -> int:
    """Where the header ends and the data begin.

    Args:
        view: The whole file.

    Raises:
        Refused: There is no header, or not all of it.
    """
    if len(view) < 8:
        what = f"{len(view)} bytes are too few for one" if len(view) else "the file is empty"
        raise Refused(f"no safetensors file, as models are: {what}")
    # the header's first byte tells files of other kinds better than a length read from them
    if len(view) > 8 and view[8] != ord("{"):
        raise Refused("no safetensors file, as models are: it does not begin with a header")
    length = int.from_bytes(view[:8], "little")
    if length > MAX_HEADER:
        raise Refused(f"its header has {length} bytes; at most {MAX_HEADER} are read")
    if length > len(view) - 8:
        raise Refused(
            f"truncated: {len(view) - 8} of {length} bytes of its header are there; {_AGAIN}"
        )
    return 8 + length


def read_header(view: memoryview, types: Mapping[str, str]) -> tuple[dict[str, str], list[Entry]]:
    """The texts and the arrays that a header names, these in the order of their bytes.

    Args:
        view: The header alone; spaces at its end count as such.
        types: The table of types.

    Raises:
        Refused: It says what it must not. Whether the arrays reach to the end of the file is
            left to :func:`check_end`.
    """
    data = bytes(view).rstrip(b" ")
    if data[:1] != b"{" or data[-1:] != b"}":  # no other white space around it, as JSON has it
        raise Refused("its header is no JSON object")
    try:
        header = strict_json.parse(data.decode())
    except UnicodeDecodeError:
        raise Refused("its header is no UTF-8 text") from None
    except strict_json.NotStrict as error:
        raise Refused(f"its header is unusable: {error}") from None
    if not isinstance(header, dict):
        raise Refused("its header is no JSON object")
    texts = _texts(header.pop(METADATA, {}))
    check_count(len(header))
    entries = [_entry(name, found, types) for name, found in header.items()]
    entries.sort(key=lambda entry: (entry.begin, entry.end))
    _check_order(entries)
    return texts, entries


def check_end(entries: list[Entry], there: int) -> None:
    """The arrays must reach to the end of the data and no further.

    Args:
        entries: All of them in order.
        there: Bytes of data in the file.

    Raises:
        Refused: They do not.
    """
    needed = entries[-1].end if entries else 0
    if needed > there:
        raise Refused(f"truncated: {there} of {needed} bytes of data are there; {_AGAIN}")
    if needed < there:
        raise Refused(f"{there - needed} bytes behind the last array belong to nothing; {_AGAIN}")


def check_count(count: int) -> None:
    """Refuse more than :data:`MAX_TENSORS` arrays."""
    if count > MAX_TENSORS:
        raise Refused(f"{count} arrays are too many; at most {MAX_TENSORS} fit")


def check_name(name: str) -> None:
    """Refuse names of arrays that a message, terminal or file system could take amiss."""
    parts = re.split(r"[/\\]", name)
    if (
        not 0 < len(name) <= _LONGEST_NAME
        or not name.isprintable()
        or name == METADATA
        or {".", ".."}.intersection(parts)
        or not parts[0]
    ):
        raise Refused(
            f"an array is called '{shown(name)}'; names are printable, at most {_LONGEST_NAME} "
            "characters long, and no paths"
        )


def choices(types: Mapping[str, str]) -> str:
    """The types, for messages."""
    return "possible are " + ", ".join(types)


def _texts(found: object) -> dict[str, str]:
    if not isinstance(found, dict):
        raise Refused(f"its {METADATA} is no object of texts")
    for name, text in found.items():
        if not isinstance(text, str):
            raise Refused(f"its metadata entry '{shown(name)}' is no text")
    return found


def _entry(name: str, found: object, types: Mapping[str, str]) -> Entry:
    check_name(name)
    called = f"array '{shown(name)}'"
    if not isinstance(found, dict) or found.keys() != _FIELDS:
        raise Refused(f"{called} is not described by dtype, shape and data_offsets alone")
    word = found["dtype"]
    if not isinstance(word, str) or word not in types:
        given = f"'{shown(word)}'" if isinstance(word, str) else "that is no text"
        raise Refused(f"{called} has a dtype {given}; {choices(types)}")
    shape, offsets = _wholes(found["shape"]), _wholes(found["data_offsets"])
    if shape is None or len(shape) > MAX_AXES or prod(max(n, 1) for n in shape) > _MOST_NUMBERS:
        raise Refused(f"{called} has an impossible shape; it must be at most {MAX_AXES} sizes")
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise Refused(f"{called} has impossible data_offsets; they must be its begin and end")
    begin, end = offsets
    needed = prod(shape) * np.dtype(types[word]).itemsize
    if needed != end - begin:
        raise Refused(f"{called} needs {needed} bytes, its data_offsets leave it {end - begin}")
    return Entry(name, word, shape, begin, end)


def _wholes(found: object) -> tuple[int, ...] | None:
    """A list of whole numbers, none of them negative; None if it is no such list."""
    if not isinstance(found, list):
        return None
    # 'type', because True is an int too
    plain = all(type(number) is int and number >= 0 for number in found)
    return tuple(found) if plain else None


def _check_order(entries: list[Entry]) -> None:
    reached = 0
    for entry in entries:
        if entry.begin != reached:
            what = "overlaps the one before" if entry.begin < reached else "leaves a gap in front"
            raise Refused(
                f"array '{shown(entry.name)}' {what}: it begins at byte {entry.begin} of the "
                f"data, not at {reached}"
            )
        reached = entry.end
