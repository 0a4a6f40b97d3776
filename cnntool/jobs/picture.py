"""The part that all picture jobs share: read one picture, make results, write each whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnntool import backend
from cnntool.backend import Array
from cnntool.errors import InputError, OptionError
from cnntool.files import quote
from cnntool.filters.channels import luma
from cnntool.filters.levels import Levels
from cnntool.filters.ranges import fit_floats
from cnntool.folder.job import STANDARD_INPUT, STANDARD_OUTPUT, Done, Item
from cnntool.folder.outputs import OutputPlan
from cnntool.images.formats import FORMATS, by_suffix, output_format
from cnntool.images.limits import limits as limits_named
from cnntool.images.limits import memory_needed, reserve
from cnntool.images.picture import Picture
from cnntool.images.reading import opened
from cnntool.images.writing import encode

Named = tuple[str, Picture | bytes]
"""A result: the word in its file name, and the picture, or the bytes of another kind of file."""

FLOAT_BYTES = 4
"""Of a float32 sample."""


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
        depth: Bits of integer outputs, 8 or 16; 0 keeps the input's where the format can. Floats
            carry no range of their own: with 16 their samples count as 0..65535.
        range: How results are fitted into the samples of the output.
        quality: Of JPEG and WebP, 1..100.
        device: Where to compute.
        threads: Threads inside one picture.
        verbose: How much the notes tell.
        write: Whether files are written; else only :meth:`lines` are printed.
    """

    plan: OutputPlan
    format: str = ""
    limits: str = "normal"
    gray: bool = False
    depth: int = 0
    range: str = "auto"
    quality: int = 90
    device: str = "cpu"
    threads: int = 1
    verbose: int = 0
    write: bool = True

    def whats(self) -> tuple[str, ...]:
        """Words in the names of the results, one a result."""
        raise NotImplementedError(f"{type(self).__name__} names no results")

    def buffers(self) -> int:
        """Float copies of the picture that are alive at once, for the memory limit."""
        return 0

    def floats(self, picture: Picture, target: Target) -> int:
        """Float samples alive at once that only the decoded picture tells of.

        A result in floats and the file that is made of it; :meth:`buffers` knows the rest.
        """
        return 2 * picture.pixels.size if target.dtype is None else 0

    def size_out(self, picture: Picture) -> tuple[int, int]:
        """Height and width of the largest result."""
        return picture.pixels.shape[0], picture.pixels.shape[1]

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """The results of one picture, as (what, picture); notes for the user are appended."""
        raise NotImplementedError(f"{type(self).__name__} makes no results")

    def lines(self, picture: Picture, notes: list[str]) -> Iterator[str]:
        """Text to print about one picture; notes for the user are appended."""
        yield from ()

    def place(self, item: Item, what: str) -> str:
        """The file of one result; ``-`` is standard output."""
        return self.plan.path(item, what)

    def outputs(self, item: Item) -> tuple[str, ...]:
        """Names of the files that the item will become."""
        return tuple(self.place(item, what) for what in self.whats()) if self.write else ()

    def __call__(self, item: Item) -> Done:
        """Read, say what was asked for, filter, write."""
        notes: list[str] = []
        with opened(item.path, limits=self.limits, kernels=self.buffers()) as picture:
            notes += picture.notes
            if self.gray:
                picture = grey(picture)
            done = Done(
                rows=tuple({"text": line, "path": item.path} for line in self.lines(picture, notes))
            )
            if self.write:
                target = self.target(item, picture, notes)
                results = self.results(picture, target, notes)
                with self._reserved(self.floats(picture, target), picture):
                    done = self.deliver(item, target, results, done)
        return replace(done, notes=tuple(dict.fromkeys(notes)))

    @contextmanager
    def _reserved(self, floats: int, picture: Picture) -> Iterator[None]:
        """Hold the memory for so many float samples beside what reading the picture took.

        A result that is larger than the picture needs the more, and has to keep to the limits
        of pictures itself.
        """
        profile = limits_named(self.limits)
        before = picture.pixels.shape[0] * picture.pixels.shape[1]
        height, width = self.size_out(picture)
        needed, what = floats * FLOAT_BYTES, f"floats of {width} x {height} pixels"
        if height * width > before:
            profile.check_picture(width, height)
            needed = needed * height * width // before
            needed += memory_needed(height * width - before, self.buffers())
            what = f"a result of {width} x {height} pixels"
        if not needed:
            yield
            return
        with reserve(needed, profile, what):
            yield

    def deliver(
        self, item: Item, target: Target, results: Iterable[Named], done: Done | None = None
    ) -> Done:
        """Encode every result and write it whole, or hand it over for standard output."""
        paths: list[str] = []
        payload = None
        for what, result in results:
            path = self.place(item, what)
            if isinstance(result, Picture):
                data = encode(result, target.format, quality=self.quality)
            else:
                data = result
            if path == STANDARD_OUTPUT:
                payload = data
            elif self.plan.write(path, data):
                paths.append(path)
        if payload is not None:
            paths = []  # standard output carries the bytes and nothing else
        return replace(done or Done(), paths=tuple(paths), payload=payload)

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
        if self.depth and entry.floats and not entry.grey16:
            raise OptionError(f"{entry.title} holds floats; leave out --depth, or write npy")
        if entry.floats and not self.depth:
            return Target(name, None)
        if self.range == "raw" and name == "tiff":
            return Target(name, None)  # the writer takes grey floats, and says so of others
        deep = entry.grey16 and (picture.channels == 1 or entry.color16)
        if self.depth == 16 and not deep:
            raise OptionError(f"{entry.title} holds 8 bits; use png, tiff, pnm or npy for 16")
        wide = picture.pixels.dtype == np.uint16
        if self.depth == 16 or (wide and deep and not self.depth):
            return Target(name, np.uint16)
        if wide and not self.depth:
            notes.append(f"{entry.title} holds 8 bits; 16-bit samples were scaled down")
        return Target(name, np.uint8)

    def full_range(self, picture: Picture) -> float:
        """Largest sample of a picture that is worked on: 255 or 65535."""
        floats = picture.pixels.dtype.kind == "f"
        return 65535.0 if floats and self.depth == 16 else picture.full_range

    def levels(
        self, picture: Picture, target: Target, mode: str = "auto", zero_sum: bool = False
    ) -> Levels | None:
        """How to fit results of ``picture`` into the target's samples; None for floats."""
        if target.dtype is None:
            return None
        return Levels(target.dtype, mode, zero_sum, full_range=self.full_range(picture))

    def ranged(
        self,
        result: Picture,
        target: Target,
        full_range: float,
        notes: list[str],
        *,
        signed: bool = False,
        title: str = "",
    ) -> Picture:
        """A result fitted into the target by the rule of ``range``; opacity is only rounded.

        Args:
            result: What was computed.
            target: What it is written as.
            full_range: Largest sample in the units of the result.
            notes: What was clipped is appended.
            signed: Whether the result scatters about 0.
            title: Put before the note.
        """
        pixels = result.pixels
        if target.dtype is None:
            untouched = self.range in ("auto", "raw")
        else:
            untouched = pixels.dtype == target.dtype and self.range in ("auto", "clip")
        if untouched:
            return result
        colour = pixels[..., :-1] if result.alpha else pixels
        if target.dtype is None:
            floats = colour.astype(np.result_type(colour, np.float32), copy=False)
            fitted = fit_floats(floats, self.range, full_range)
        else:
            levels = Levels(target.dtype, self.range, signed, full_range=full_range)
            fitted = levels.of(colour)
            if note := levels.report.note():
                notes.append(f"{title}: {note}" if title else note)
        if result.alpha:
            opacity = pixels[..., -1:]
            if target.dtype is not None:
                opacity = Levels(target.dtype, "clip", full_range=full_range).of(opacity)
            fitted = np.concatenate([fitted, opacity.astype(fitted.dtype)], axis=2)
        return replace(result, pixels=fitted)

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
        levels = Levels(target.dtype, "clip", full_range=self.full_range(picture))
        pixels = levels.of(picture.pixels)
        return replace(picture, pixels=pixels)


def part(path: str, *, limits: str, kernels: int = 0) -> Picture:
    """The picture in one of several files that become one result; errors name the file.

    Raises:
        InputError: As for :func:`cnntool.images.reading.opened`.
    """
    try:
        with opened(path, limits=limits, kernels=kernels) as picture:
            return picture
    except InputError as error:
        name = "standard input" if path == STANDARD_INPUT else quote(path)
        raise type(error)(f"{name}: {error}", **error.facts) from error


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
