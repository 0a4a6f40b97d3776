"""Masks of pictures: found by name, read as class numbers, written as they were."""

# names stay strings: bytes that are no text pass through
# ruff: noqa: PTH113

from __future__ import annotations

import io
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnntool.data import masks
from cnntool.errors import InputError
from cnntool.files import complaint, quote
from cnntool.folder.job import Item
from cnntool.images.indexed import encode_indexed
from cnntool.images.picture import Picture
from cnntool.images.reading import inspect, read_bytes
from cnntool.images.writing import encode
from cnntool.report.class_colours import NO_CLASS

SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".pgm", ".pnm", ".npy")
"""Of masks: formats without loss."""


@dataclass(frozen=True, eq=False)
class Mask:
    """Class numbers of a picture's pixels.

    Attributes:
        path: The file.
        labels: (H, W), class numbers.
        palette: Red, green and blue of up to 256 numbers; empty for grey masks.
    """

    path: str
    labels: NDArray[np.uint8]
    palette: bytes = b""

    @property
    def black_and_white(self) -> bool:
        """Whether the labels are 0 and 255 and no others."""
        return set(np.unique(self.labels).tolist()) == {0, 255}

    def encoded(self, labels: NDArray[np.uint8]) -> bytes:
        """A PNG file of such labels, with the palette of this mask.

        Args:
            labels: (H, W), class numbers.
        """
        if not self.palette:
            return encode(Picture(labels), "png")
        # all 256 places: with fewer, places were stored in fewer bits than 255 needs
        palette = self.palette
        if len(palette) < 768:
            palette = palette.ljust(765, b"\0") + bytes(NO_CLASS)
        return encode_indexed(labels, palette)


def find_mask(folder: str, item: Item) -> str:
    """The file of the mask of an input: of its name, in the same place of the tree.

    Raises:
        InputError: There is none.
    """
    name = os.path.splitext(os.path.basename(item.path))[0]
    stem = os.path.join(folder, item.folder, name)
    for suffix in SUFFIXES:
        for written in (suffix, suffix.upper()):
            if os.path.isfile(stem + written):
                return stem + written
    raise InputError(
        f"no mask {quote(stem + '.png')}; masks have the names of their pictures and the suffix "
        f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    )


def read_mask(path: str) -> Mask:
    """The mask in a file.

    Raises:
        InputError: It is damaged, or no mask; the message names it.
    """
    try:
        return Mask(path, masks.read_mask(path), _palette(path))
    except InputError as error:
        raise InputError(f"its mask {complaint(path, str(error))}") from error


def _palette(path: str) -> bytes:
    """The colours of a PNG with a palette; such files are written again as they were."""
    if not path.lower().endswith(".png"):
        return b""
    data = read_bytes(path)
    if inspect(data).format != "png":
        return b""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        return bytes(image.getpalette("RGB") or ()) if image.mode == "P" else b""
