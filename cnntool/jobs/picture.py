"""The part that all picture jobs share: read one picture, make results, write each whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnntool import backend
from cnntool.backend import Array
from cnntool.errors import OptionError
from cnntool.filters.channels import luma
from cnntool.filters.levels import Levels
from cnntool.folder.job import STANDARD_OUTPUT, Done, Item
from cnntool.folder.outputs import OutputPlan
from cnntool.images.formats import FORMATS, by_suffix, output_format
from cnntool.images.picture import Picture
from cnntool.images.reading import opened
from cnntool.images.writing import encode

Named = tuple[str, Picture]
"""A result: the word in its file name, and the picture."""


@dataclass(frozen=True)
class Target:
    """The file format of an item's results and the samples that it gets.

    Attributes:
        format: A key of :data:`cnntool.images.formats.FORMATS`.
        dtype: uint8 or uint16; None for formats that take floats as they are.
    """

    format: str
    dtype: Any


@dataclass(frozen=True, kw_only=True)
class PictureJob:
    """Reads a picture, calls :meth:`results`, writes what comes.

    Attributes:
        plan: Names of the outputs.
        format: Format of the outputs; '' follows the output's suffix, else the input.
        limits: Profile of limits for reading.
        gray: Turn colour to grey first.
        depth: Bits of integer outputs, 8 or 16; 0 keeps the input's where the format can.
        quality: Of JPEG and WebP, 1..100.
        device: Where to compute.
        threads: Threads inside one picture.
        verbose: How much the notes tell.
    """

    plan: OutputPlan
    format: str = ""
    limits: str = "normal"
    gray: bool = False
    depth: int = 0
    quality: int = 90
    device: str = "cpu"
    threads: int = 1
    verbose: int = 0

    def whats(self) -> tuple[str, ...]:
        """Words in the names of the results, one a result."""
        raise NotImplementedError(f"{type(self).__name__} names no results")

    def buffers(self) -> int:
        """Float copies of the picture that are alive at once, for the memory limit."""
        return 0

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """The results of one picture, as (what, picture); notes for the user are appended."""
        raise NotImplementedError(f"{type(self).__name__} makes no results")

    def outputs(self, item: Item) -> tuple[str, ...]:
        """Names of the files that the item will become."""
        return tuple(self.plan.path(item, what) for what in self.whats())

    def __call__(self, item: Item) -> Done:
        """Read, filter, write."""
        notes: list[str] = []
        with opened(item.path, limits=self.limits, kernels=self.buffers()) as picture:
            notes += picture.notes
            target = self.target(item, picture, notes)
            if self.gray:
                picture = grey(picture)
            return self.deliver(item, target, self.results(picture, target, notes), notes)

    def deliver(
        self, item: Item, target: Target, results: Iterable[Named], notes: list[str]
    ) -> Done:
        """Encode every result and write it whole, or hand it over for standard output."""
        paths: list[str] = []
        payload = None
        for what, result in results:
            path = self.plan.path(item, what)
            data = encode(result, target.format, quality=self.quality)
            if path == STANDARD_OUTPUT:
                payload = data
            elif self.plan.write(path, data):
                paths.append(path)
        return Done(paths=tuple(paths), payload=payload, notes=tuple(dict.fromkeys(notes)))

    def target(self, item: Item, picture: Picture, notes: list[str]) -> Target:
        """Format and sample type of the results of ``item``.

        Raises:
            OptionError: The output's suffix is no picture format, or cannot hold ``depth``.
        """
        path = self.plan.path(item, self.whats()[0])
        if self.format:
            name = self.format
        elif path == STANDARD_OUTPUT:
            name = "npy" if picture.format == "npy" else "png"
        else:
            name = by_suffix(path) or output_format(picture.format)
        entry = FORMATS[name]
        if entry.floats:
            return Target(name, None)
        deep = entry.grey16 and (picture.channels == 1 or self.gray or entry.color16)
        if self.depth == 16 and not deep:
            raise OptionError(f"{entry.title} holds 8 bits; use png, tiff, pnm or npy for 16")
        wide = picture.pixels.dtype == np.uint16
        if self.depth == 16 or (wide and deep and not self.depth):
            return Target(name, np.uint16)
        if wide and not self.depth:
            notes.append(f"{entry.title} holds 8 bits; 16-bit samples were scaled down")
        return Target(name, np.uint8)

    def levels(
        self, picture: Picture, target: Target, mode: str = "auto", zero_sum: bool = False
    ) -> Levels | None:
        """How to fit results of ``picture`` into the target's samples; None for floats."""
        if target.dtype is None:
            return None
        return Levels(target.dtype, mode, zero_sum, full_range=picture.full_range)

    def on_device(self, pixels: Array) -> Array:
        """The pixels on the device of the job."""
        return pixels if self.device == "cpu" else backend.get(self.device).to_device(pixels)

    def on_host(self, pixels: Array) -> Array:
        """The pixels back in the host's memory."""
        return pixels if self.device == "cpu" else backend.get(self.device).to_host(pixels)

    def fitted(self, picture: Picture, target: Target) -> Picture:
        """Integer or float samples converted to the target's type, the range scaled."""
        if target.dtype is None or picture.pixels.dtype == target.dtype:
            return picture
        pixels = Levels(target.dtype, "clip", full_range=picture.full_range).of(picture.pixels)
        return replace(picture, pixels=pixels)


def grey(picture: Picture) -> Picture:
    """One grey channel, opacity kept; grey pictures as they are."""
    if picture.channels - picture.alpha == 1:
        return picture
    pixels = picture.pixels
    value = luma(pixels[..., :3] if picture.alpha else pixels)
    if np.issubdtype(pixels.dtype, np.integer):
        value = Levels(pixels.dtype, "clip").of(value)
    if picture.alpha:
        value = np.stack([value, pixels[..., 3].astype(value.dtype)], axis=2)
    return replace(picture, pixels=value)
