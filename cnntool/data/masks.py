"""``images/`` and ``masks/``: pictures with a class for every pixel.

::

    roads/images/1.jpg    roads/masks/1.png          roads/train/images/1.jpg …
    roads/images/2.jpg    roads/masks/2.png          roads/test/masks/9.png

A mask has the name of its picture, with the suffix of any format without loss. Its samples are
class numbers: grey values, or places in a PNG's palette. 255 is no class: such pixels are not
learned from. Masks with 0 and 255 alone have two classes, black and white. ``classes.txt``, one
name a line, names the classes; a palette has no names.
"""

# names stay strings: bytes that are no text pass through
# ruff: noqa: PTH112

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnntool.data import memory
from cnntool.data.choosing import limited
from cnntool.data.class_folders import part_folders
from cnntool.data.dataset import Dataset, Split
from cnntool.data.fitting import nearest
from cnntool.data.idx_folders import class_file
from cnntool.data.pictures import Gathered, Wish, assemble, bad_notes, gather
from cnntool.errors import InputError, ModelFileError
from cnntool.files import WalkLog, complaint, one_line, quote, walk
from cnntool.images.formats import FORMATS, KNOWN_SUFFIXES, sniff
from cnntool.images.limits import limits, memory_needed, reserve
from cnntool.images.png import PngHeader
from cnntool.images.reading import decode, inspect, read_bytes

IMAGES, MASKS = "images", "masks"
"""Names of the two folders."""

IGNORED = 255
"""Label of pixels that belong to no class."""

_LOSSLESS = ("png", "gif", "bmp", "tiff", "pnm", "npy")
_SUFFIXES = tuple(KNOWN_SUFFIXES)


def has_masks(folder: str) -> bool:
    """Whether ``folder``, or ``train/`` in it, holds ``images/`` and ``masks/``."""
    try:
        folders = part_folders(folder)
    except (OSError, ModelFileError):
        folders = {}
    return _is_pair(folders.get("train", folder)) or _is_pair(folder)


def load_masks(
    folder: str,
    wish: Wish | None = None,
    *,
    limit: int | None = None,
    seed: int = 0,
    classes: Sequence[str] = (),
) -> Dataset:
    """The data set for segmentation in ``folder``; labels are (M, H, W) uint8.

    Args:
        folder: Holds ``images/`` and ``masks/``, or ``train/`` and others that do.
        wish: Size, fit and colour of the pictures; masks take the nearest pixel.
        limit: Read no more than this many pictures of ``train``.
        seed: Chooses them.
        classes: Names of the classes, if a network has fixed them.

    Raises:
        ModelFileError: Pictures without masks, of other sizes than these, masks that are none.
        LimitError: They need too much memory.
    """
    wish = wish or Wish()
    folders = {"train": folder} if _is_pair(folder) else part_folders(folder)
    notes: list[str] = []
    parts: dict[str, tuple[Gathered, list[NDArray[np.uint8]], list[str]]] = {}
    for part, path in folders.items():
        pairs = _pairs(path, notes)
        if limit is not None and part == "train":
            chosen = limited(np.zeros(len(pairs), np.int64), limit, seed)
            pairs = [pairs[number] for number in chosen]
        found = gather([image for image, _ in pairs], wish, quote(path))
        masks = _masks(pairs, found, wish)
        notes += bad_notes(found.bad)
        good = [p for (p, _), pixels in zip(pairs, found.pixels, strict=True) if pixels is not None]
        parts[part] = found, masks, good
    names = _classes([mask for _, masks, _ in parts.values() for mask in masks], folder, classes)
    color = wish.color or ("rgb" if any(f.colored for f, _, _ in parts.values()) else "gray")
    background = wish.surround(parts["train"][0].pixels)
    splits = {}
    for part, (found, masks, good) in parts.items():
        images = assemble(found, wish, color, background)
        labels = _assembled(masks, images.shape[2:])
        splits[part] = Split(images, cast("NDArray[np.int64]", labels), tuple(good))
    _check_sizes(splits, folder)
    return Dataset(
        os.path.basename(os.path.abspath(folder)),
        names,
        splits["train"],
        splits.get("test"),
        splits.get("validation"),
        color=color,
        fit=wish.fit if wish.size is not None else "",
        background=background,
        notes=tuple(notes),
    )


def read_mask(path: str) -> NDArray[np.uint8]:
    """Class numbers of every pixel, (H, W), from a mask's file.

    Raises:
        InputError: It is damaged, in colours, in a format with loss, or has numbers above 255.
    """
    data = read_bytes(path)
    format = sniff(data)
    if format is not None and format not in _LOSSLESS:
        raise InputError(f"a mask in {FORMATS[format].title} lost its numbers; save masks as PNG")
    if format == "png":
        indices = _palette(data)
        if indices is not None:
            return indices
    picture = decode(data)
    values = picture.pixels
    if picture.alpha:
        values = values[..., :-1]
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            raise InputError("a mask in colours; use grey values or a palette as class numbers")
        values = values[..., 0]
    if picture.mode == "1":
        ones: NDArray[np.uint8] = np.minimum(values, 1).astype(np.uint8)
        return ones
    numbers = values.astype(np.float64)
    whole = np.clip(np.nan_to_num(np.rint(numbers)), 0, 255)
    if not np.array_equal(whole, numbers):
        raise InputError("a mask with numbers that are not 0 to 255; classes are 0 to 254")
    classes: NDArray[np.uint8] = whole.astype(np.uint8)
    return classes


def _palette(data: bytes) -> NDArray[np.uint8] | None:
    """Places in the palette, where a PNG has one; the reader of pictures gives colours."""
    header = inspect(data)
    if not isinstance(header, PngHeader) or header.color_type != 3:
        return None
    with reserve(memory_needed(header.pixels), limits("normal")):
        try:
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                return np.array(image, np.uint8)
        except (OSError, ValueError, SyntaxError) as error:
            raise InputError(f"damaged PNG ({one_line(str(error), 80)})") from error


def _is_pair(folder: str) -> bool:
    return all(os.path.isdir(os.path.join(folder, name)) for name in (IMAGES, MASKS))


def _pairs(folder: str, notes: list[str]) -> list[tuple[str, str]]:
    """Pictures with their masks, in natural order."""
    if not _is_pair(folder):
        raise ModelFileError(f"{quote(folder)}: no {IMAGES}/ and {MASKS}/ in it")
    images = dict(_stems(os.path.join(folder, IMAGES)))
    masks = dict(_stems(os.path.join(folder, MASKS)))
    lonely = [path for stem, path in images.items() if stem not in masks]
    if lonely:
        raise ModelFileError(
            f"{quote(folder)}: {len(lonely)} of {len(images)} pictures have no mask of their name; "
            f"the first is {quote(lonely[0])}"
        )
    if not images:
        raise ModelFileError(f"{quote(os.path.join(folder, IMAGES))}: no pictures")
    if more := len(set(masks) - set(images)):
        notes.append(f"{quote(folder)}: masks without a picture are left out ({more})")
    return [(path, masks[stem]) for stem, path in images.items()]


def _stems(folder: str) -> Iterator[tuple[str, str]]:
    """(path below the folder without its suffix, path) of each picture file."""
    log = WalkLog()
    seen: dict[str, str] = {}
    for path, below in walk(
        folder, recursive=True, wanted=lambda name: name.lower().endswith(_SUFFIXES), log=log
    ):
        stem = os.path.join(below, os.path.splitext(os.path.basename(path))[0])
        if stem in seen:
            raise ModelFileError(
                f"{quote(seen[stem])} and {quote(path)} differ in their suffix alone; keep one"
            )
        seen[stem] = path
        yield stem, path
    for path, reason in log.failures:
        raise ModelFileError(complaint(path, reason))


def _masks(
    pairs: Sequence[tuple[str, str]], found: Gathered, wish: Wish
) -> list[NDArray[np.uint8]]:
    """Masks of the good pictures, fitted but without frame; a bad mask spoils its picture."""
    masks = []
    for number, (_, path) in enumerate(pairs):
        if found.pixels[number] is None:
            continue
        try:
            mask = read_mask(path)
        except InputError as error:
            found.bad.append((path, str(error)))
            found.pixels[number] = None
            continue
        if mask.shape != found.originals[number]:
            rows, columns = found.originals[number]
            raise ModelFileError(
                f"{quote(path)}: the mask has {mask.shape[0]}x{mask.shape[1]} pixels, its picture "
                f"{rows}x{columns}"
            )
        masks.append(mask if wish.size is None else nearest(mask, wish.size, wish.fit))
    if 2 * len(masks) < len(pairs):
        path, reason = found.bad[0]
        raise ModelFileError(
            f"{len(found.bad)} of {len(pairs)} pictures or masks cannot be read; the first is "
            f"{complaint(path, reason)}"
        )
    return masks


def _classes(
    masks: Sequence[NDArray[np.uint8]], folder: str, fixed: Sequence[str]
) -> tuple[str, ...]:
    """Names of the classes; masks of black and white become 0 and 1 in place."""
    counts = sum((np.bincount(mask.reshape(-1), minlength=256) for mask in masks), np.zeros(256))
    present = np.flatnonzero(counts)
    names = tuple(fixed) or class_file(folder)
    # with more names than two, white means what it always means: no class
    if set(present.tolist()) == {0, IGNORED} and len(names) in (0, 2):
        for mask in masks:
            mask[mask == IGNORED] = 1
        present = np.array([0, 1])
    present = present[present != IGNORED]
    highest = int(present[-1]) if len(present) else 0
    if names and highest >= len(names):
        raise ModelFileError(
            f"{quote(folder)}: class {highest} in a mask is out of range: {len(names)} classes are "
            f"0 to {len(names) - 1}"
        )
    if not names and len(present) and highest + 1 > 2 * len(present):
        shown = ", ".join(map(str, present[:6])) + (" …" if len(present) > 6 else "")
        raise ModelFileError(
            f"{quote(folder)}: masks with the values {shown}; they are class numbers 0, 1, 2 …, "
            f"and {IGNORED} for none"
        )
    return names or tuple(map(str, range(highest + 1)))


def _assembled(masks: list[NDArray[np.uint8]], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """All masks as one array (M, H, W), frames ignored."""
    rows, columns = size
    memory.check(len(masks) * rows * columns, f"{len(masks)} masks", "choose a smaller --size")
    out = np.full((len(masks), rows, columns), IGNORED, np.uint8)
    for place, mask in zip(out, masks, strict=True):
        top, left = (rows - mask.shape[0]) // 2, (columns - mask.shape[1]) // 2
        place[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return out


def _check_sizes(splits: dict[str, Split], folder: str) -> None:
    sizes = {part: split.images.shape[2:] for part, split in splits.items() if len(split)}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{part} {rows}x{columns}" for part, (rows, columns) in sizes.items())
        raise ModelFileError(
            f"{quote(folder)}: parts of different sizes: {shown}; choose one with --size HxW"
        )
