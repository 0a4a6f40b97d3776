"""Where the numbers of a tensor lie in a file of torch's, as its pickle tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

STORAGES: Mapping[str, str] = MappingProxyType(
    {
        "DoubleStorage": "F64",
        "FloatStorage": "F32",
        "HalfStorage": "F16",
        "BFloat16Storage": "BF16",
        "LongStorage": "I64",
        "IntStorage": "I32",
        "ShortStorage": "I16",
        "CharStorage": "I8",
        "ByteStorage": "U8",
        "BoolStorage": "BOOL",
    }
)
"""Classes of ``torch`` that hold numbers -> the type of these numbers."""


@dataclass(frozen=True, slots=True)
class StorageRef:
    """A run of numbers in the file.

    Attributes:
        key: What the file calls it.
        word: Type of the numbers, a value of :data:`STORAGES`.
        count: How many they are.
    """

    key: str
    word: str
    count: int


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A tensor: which numbers of a storage it shows, and how.

    Attributes:
        storage: The numbers.
        offset: The number that it begins with.
        shape: Its sizes.
        strides: Numbers from one item to the next along each axis.
    """

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def reach(self) -> int:
        """Numbers of the storage up to the last one that it shows."""
        if 0 in self.shape:
            return 0
        steps = zip(self.shape, self.strides, strict=True)
        return self.offset + sum((size - 1) * stride for size, stride in steps) + 1
