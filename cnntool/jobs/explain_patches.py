"""``explain patches``: all pictures of a data set pass by, and what excites filters is cut out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.data.dataset import Split
from cnntool.data.loading import load, picture_files
from cnntool.errors import InputError, OptionError, enumerated
from cnntool.explain.patches import Patch, TopPatches, cut
from cnntool.explain.subject import Subject
from cnntool.files import quote
from cnntool.folder.inputs import Inputs, collect
from cnntool.images.formats import FORMATS, KNOWN_SUFFIXES
from cnntool.images.picture import Picture
from cnntool.images.reading import opened
from cnntool.images.writing import encode
from cnntool.predict.classifier import group_size
from cnntool.report import explanations
from cnntool.report.grids import drawn, planes_to_pixels, short_number
from cnntool.report.tables import Row

COLUMNS = ("filter", "rank", "source", "box", "at", "activation")
"""Of the table: ``box`` is top, left, bottom, right (excluded) in the network's input."""

PARTS = ("train", "validation", "test")

_KEPT = 64  # pictures of files that are kept while patches are cut
_MOST = 4096  # patches of a sheet


class Arrays:
    """Pictures of a data set that lies in memory.

    Args:
        split: The pictures.
        name: Of data set and part.
    """

    def __init__(self, split: Split, name: str) -> None:
        self._split, self.name = split, name

    def __len__(self) -> int:
        return len(self._split)

    def source(self, number: int) -> str:
        """What a picture is called."""
        paths = self._split.paths
        return paths[number] if paths else f"{self.name}/{number}"

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Samples (C, H, W)."""
        image: NDArray[np.uint8] = self._split.images[number]
        return image

    def batches(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """All pictures, (C, H, W, N) each time."""
        for first in range(0, len(self), size):
            part = self._split.images[first : first + size]
            yield np.ascontiguousarray(part.transpose(1, 2, 3, 0))


class Files:
    """Picture files of a folder, read one after another and again when patches are cut.

    Args:
        subject: For whom they are.
        inputs: The files.
        name: Of the folder.
        limits: Profile of limits for reading.
        invert: Whether negatives are taken.
    """

    def __init__(
        self, subject: Subject, inputs: Inputs, name: str, *, limits: str, invert: bool
    ) -> None:
        self.inputs, self.name = inputs, name
        self.good: list[str] = []
        one = subject.preprocess

        @lru_cache(maxsize=_KEPT)
        def read(path: str) -> NDArray[np.uint8]:
            with opened(path, limits=limits, kernels=2) as picture:
                return one.from_picture(picture, invert=invert)

        self._read = read

    def __len__(self) -> int:
        return len(self.inputs.items)

    def source(self, number: int) -> str:
        """The path of a picture that could be read."""
        return self.good[number]

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Samples (C, H, W), read anew.

        Raises:
            InputError: It was there and is no more.
        """
        path = self.good[number]
        try:
            return self._read(path)
        except InputError as error:
            raise InputError(f"{quote(path)}: {error.message}") from error


Source = Arrays | Files


def open_source(
    subject: Subject,
    source: str,
    *,
    part: str | None = None,
    limit: int | None = None,
    limits: str = "normal",
    invert: bool = False,
) -> Source:
    """The pictures of a data set, for a network.

    Args:
        subject: The network.
        source: A data set as ``train`` takes it, or any folder with pictures in it.
        part: One of :data:`PARTS`; None: ``train``, which is all of what has no parts.
        limit: At most so many pictures, evenly spaced.
        limits: Profile of limits for reading files.
        invert: Whether negatives are taken.

    Raises:
        InputError: There is no such part, or no picture.
        ModelFileError: The data are damaged.
        OptionError: Negatives were asked for of pictures that are no files.
    """
    folders = picture_files(source)
    name = part or "train"
    if not folders:
        if invert:
            raise OptionError("--invert is for picture files; leave it out for such a data set")
        how = subject.preprocess.how
        data = load(
            source,
            size=subject.preprocess.size,
            fit=how.fit,
            color=how.color,
            background=how.background,
            one_class=True,
        )
        split = data.part(name)
        if limit is not None and limit < len(split):
            split = split.take(np.arange(limit) * len(split) // limit)
        return Arrays(split, f"{data.name}/{name}")
    if name not in folders:
        raise InputError(f"{quote(source)} has no {name} part; it has {', '.join(folders)}")
    inputs = collect([folders[name]], suffixes=KNOWN_SUFFIXES, recursive=True)
    if limit is not None and limit < len(inputs.items):
        count = len(inputs.items)
        inputs.items = [inputs.items[n * count // limit] for n in range(limit)]
    return Files(subject, inputs, folders[name], limits=limits, invert=invert)


class Collector:
    """Hands pictures to the search as many at a time as go well through the network.

    Args:
        subject: The network.
        search: Who looks at them.
        files: Where their names are noted.
    """

    def __init__(self, subject: Subject, search: TopPatches, files: Files) -> None:
        self._search, self._files = search, files
        self._size = group_size(subject.plain)
        self._waiting: list[NDArray[np.uint8]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Take the row of a :class:`cnntool.jobs.predict.DecodeJob`."""
        self._files.good.append(row["path"])
        self._waiting.append(row["image"])
        if len(self._waiting) >= self._size:
            self.finish()

    def finish(self) -> None:
        """Look at what is left."""
        if self._waiting:
            self._search.add(np.stack(self._waiting, axis=3))
            self._waiting = []


def search_arrays(
    subject: Subject,
    search: TopPatches,
    source: Arrays,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Look at all pictures of a data set in memory.

    Args:
        subject: The network.
        search: Who looks.
        source: The pictures.
        progress: Is told how many are done, and how many there are.
    """
    for images in source.batches(group_size(subject.plain)):
        search.add(images)
        if progress is not None:
            progress(search.pictures, len(source))


def rows(patches: Sequence[Patch], source: Source) -> Iterator[Row]:
    """A row a patch."""
    for patch in patches:
        yield {
            "filter": patch.filter,
            "rank": patch.rank,
            "source": source.source(patch.source),
            "box": list(patch.box),
            "at": list(patch.at),
            "activation": float(f"{patch.activation:.7g}"),  # what float32 tells
        }


def silent(patches: Sequence[Patch]) -> str:
    """A note about filters that nothing excites; nothing if there are none."""
    found = [patch.filter for patch in patches if patch.rank == 1 and patch.activation <= 0]
    if not found:
        return ""
    are = "filters are" if len(found) > 1 else "filter is"
    return f"{len(found)} {are} never above 0: {enumerated(list(map(str, found)), 60)}"


def patches_file(
    subject: Subject,
    search: TopPatches,
    source: Source,
    format: str,
    quality: int = 90,
) -> bytes:
    """The patches as a sheet, or as an array (filters, patches, h, w[, C]) of samples.

    Args:
        subject: The network.
        search: What was found.
        source: Where the pictures are.
        format: A key of :data:`cnntool.images.formats.FORMATS`.
        quality: Of JPEG and WebP.

    Raises:
        InputError: A file is no longer there.
        OptionError: Too many patches for a sheet.
    """
    patches = search.patches()
    if len(patches) > _MOST and not FORMATS[format].floats:
        raise OptionError(
            f"{len(patches)} patches are too many for a sheet, {_MOST} at most; choose filters "
            "with --channels or a smaller --top"
        )
    cuts = (cut(source.picture(patch.source), patch) for patch in patches)
    by_filter: dict[int, list[int]] = {}
    for place, patch in enumerate(patches):
        by_filter.setdefault(patch.filter, []).append(place)
    if FORMATS[format].floats:
        return encode(_stacked([part for part, _ in cuts], len(by_filter)), format)
    small = [_small(_shown(*found)) for found in cuts]
    row = search.row
    named = row.output == (len(subject.classes),) == subject.plain.output
    names = [subject.classes[n] if named else f"filter {n}" for n in by_filter]
    height, width = row.field.size
    seen = f"{min(height, subject.shape[1])}×{min(width, subject.shape[2])}"
    pixels = explanations.patches_figure(
        [[small[n] for n in places] for places in by_filter.values()],
        names,
        [[short_number(patches[n].activation) for n in places] for places in by_filter.values()],
        f"{row.name}: the parts that excite each filter most",
        [
            f"{row.spec}; a neuron sees {seen} pixels; {search.pictures} pictures of "
            f"{source.name}; below: activation"
        ],
    )
    return encode(Picture(pixels), format, quality=quality)


def _stacked(parts: Sequence[NDArray[Any]], filters: int) -> NDArray[np.uint8]:
    """Patches (C, h, w) as (filters, patches, h, w[, C]); smaller ones have zeros behind them."""
    shape = (len(parts[0]), max(p.shape[1] for p in parts), max(p.shape[2] for p in parts))
    every = np.zeros((len(parts), *shape), np.uint8)
    for place, part in zip(every, parts, strict=True):
        place[:, : part.shape[1], : part.shape[2]] = part
    every = every.reshape(filters, -1, *shape)
    return every[:, :, 0] if shape[0] == 1 else np.ascontiguousarray(np.moveaxis(every, 2, -1))


def _shown(part: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A patch as pixels, transparent where it lies outside the picture."""
    pixels = planes_to_pixels(part.astype(np.uint8))
    if inside.all():
        return pixels
    pixels = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
    return np.concatenate([pixels, (inside * 255).astype(np.uint8)[..., None]], axis=2)


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A patch no larger than it will be drawn: whole pictures by the thousand need room."""
    side = explanations.PATCH
    return pixels if max(pixels.shape[:2]) <= side else np.asarray(drawn(pixels, (side, side)))
