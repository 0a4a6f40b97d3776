"""What a file says about its picture before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from cnntool.errors import InputError
from cnntool.images.formats import FORMATS


@dataclass(frozen=True)
class Header:
    """Size and kind of a picture file, from its first bytes and its outline.

    Attributes:
        format: A key of :data:`~cnntool.images.formats.FORMATS`.
        width: Columns as stored, before any EXIF rotation.
        height: Rows as stored.
        frames: Pictures in the file.
        area: Pixels that decoding will allocate; more than width x height where a TIFF has larger
            tiles than its picture.
    """

    format: str
    width: int
    height: int
    frames: int = 1
    area: int = 0

    @property
    def pixels(self) -> int:
        """Pixels for the memory rule."""
        return max(self.area, self.width * self.height)


def truncated(format: str, detail: str) -> InputError:
    """The error for a file that ends too early."""
    return InputError(f"truncated {FORMATS[format].title} ({detail})", format=format)


def damaged(format: str, detail: str) -> InputError:
    """The error for a file whose contents contradict its format."""
    return InputError(f"damaged {FORMATS[format].title} ({detail})", format=format)


class Cursor:
    """Reads numbers from bytes in order; running off the end is a truncated file.

    Args:
        data: The whole file.
        format: Named in errors.
        position: First byte to read.
        little_endian: Whether numbers begin with their lowest byte.
    """

    def __init__(
        self, data: bytes, format: str, position: int = 0, *, little_endian: bool = True
    ) -> None:
        self.data = data
        self.format = format
        self.position = position
        self.little_endian = little_endian

    def number(self, size: int) -> int:
        """The unsigned integer of the next ``size`` bytes."""
        return int.from_bytes(self.take(size), "little" if self.little_endian else "big")

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        start = self.position
        self.skip(size)
        return self.data[start : self.position]

    def skip(self, size: int) -> None:
        """Step over ``size`` bytes, which must be there."""
        end = self.position + size
        if end > len(self.data):
            missing = end - len(self.data)
            raise truncated(self.format, f"{missing} of {end} bytes are missing")
        self.position = end
