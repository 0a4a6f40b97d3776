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
from cnntool.images.picture import Picture
from cnntool.images.reading import inspect, read_bytes
from cnntool.images.writing import encode

SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".pgm", ".pnm", ".npy")
"""Of masks: formats without loss."""

_NO_CLASS = (224, 224, 192)  # colour of 255 where a palette has none
_COLOURS = np.array(
    [
        (230, 60, 60), (60, 180, 75), (70, 110, 230), (250, 190, 40), (145, 60, 190),
        (70, 220, 220), (240, 110, 200), (160, 200, 60), (150, 100, 50), (128, 128, 0),
    ],
    np.float32,
)  # fmt: skip
_IGNORED_COLOUR = np.array((40, 40, 40), np.float32)
_STRENGTH = np.float32(0.5)


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
            palette = palette.ljust(765, b"\0") + bytes(_NO_CLASS)
        image = Image.fromarray(np.ascontiguousarray(labels)).convert("L")
        image.putpalette(palette)
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()


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


def overlaid(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A small picture with the colours of its classes; class 0 stays, 255 gets dark.

    Args:
        pixels: (h, w) or (h, w, C), a picture that may be smaller than its mask.
        labels: (H, W), class numbers.

    Shape:
        (h, w, 3).
    """
    h, w = pixels.shape[:2]
    rows, columns = (
        np.arange(small) * large // small for small, large in zip((h, w), labels.shape, strict=True)
    )
    nearest = labels[rows[:, None], columns]
    flat = pixels[..., None] if pixels.ndim == 2 else pixels
    colour = flat[..., :3] if flat.shape[2] > 2 else flat[..., :1].repeat(3, axis=2)
    paint = _COLOURS[(nearest - 1) % len(_COLOURS)]
    paint = np.where((nearest == 255)[..., None], _IGNORED_COLOUR, paint)
    share = np.where(nearest == 0, np.float32(0), _STRENGTH)[..., None]
    mixed: NDArray[np.uint8] = np.rint(colour * (1 - share) + paint * share).astype(np.uint8)
    return mixed
