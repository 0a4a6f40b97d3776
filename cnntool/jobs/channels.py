"""``split`` a picture into its channels, ``merge`` channels into a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from cnntool.errors import InputError, ShapeError
from cnntool.files import quote
from cnntool.filters.channels import SPACES, merge, split
from cnntool.filters.matrix_text import matrix_lines
from cnntool.folder.job import Done, Item
from cnntool.images.picture import Picture
from cnntool.images.reading import opened
from cnntool.jobs.picture import Named, PictureJob, Target

PRINTED = 64 * 64
"""Samples of the largest plane that is printed."""


@dataclass(frozen=True, kw_only=True)
class SplitJob(PictureJob):
    """One grey picture a channel.

    Attributes:
        space: A key of :data:`cnntool.filters.channels.SPACES`.
        channels: Names of the channels wanted; none means all.
        values: Print the matrices.
        crop: Top, left, height and width of what is printed.
        write: Whether pictures are written.
    """

    space: str = "rgb"
    channels: tuple[str, ...] = ()
    values: bool = False
    crop: tuple[int, int, int, int] | None = None
    write: bool = True

    def whats(self) -> tuple[str, ...]:
        """Names of the channels, as for a colour picture."""
        return self.channels or SPACES[self.space].names

    def outputs(self, item: Item) -> tuple[str, ...]:
        """No files where only values are printed."""
        return super().outputs(item) if self.write else ()

    def buffers(self) -> int:
        """Other spaces than RGB are computed in floats."""
        return 0 if self.space == "rgb" else 2

    def __call__(self, item: Item) -> Done:
        """Split, then print what was asked for."""
        done = super().__call__(item) if self.write else Done()
        if not self.values:
            return done
        with opened(item.path, limits=self.limits, kernels=self.buffers()) as picture:
            lines = list(self._lines(picture))
        return replace(done, rows=tuple({"text": line} for line in lines))

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """The channels that were asked for."""
        for name, plane in self._planes(picture):
            yield name, self.fitted(replace(picture, pixels=plane, alpha=False), target)

    def _planes(self, picture: Picture) -> Iterator[tuple[str, Any]]:
        found = dict(split(picture.pixels, self.space, alpha=picture.alpha))
        for name in self.channels or found:
            if name not in found:
                raise InputError(
                    f"no channel {name}; this picture has {', '.join(found)} in {self.space}"
                )
            yield name, found[name]

    def _lines(self, picture: Picture) -> Iterator[str]:
        for name, plane in self._planes(picture):
            if self.crop is not None:
                top, left, height, width = self.crop
                plane = plane[top : top + height, left : left + width]
                if plane.size == 0:
                    raise ShapeError(
                        f"--crop {','.join(map(str, self.crop))} lies outside the picture of "
                        f"{picture.pixels.shape[0]}x{picture.pixels.shape[1]}"
                    )
            if plane.size > PRINTED:
                raise ShapeError(
                    f"{plane.shape[0]}x{plane.shape[1]} values are too many to print; "
                    f"show a part with --crop T,L,H,W, at most {PRINTED} values"
                )
            yield f"{name} ({plane.shape[0]}x{plane.shape[1]})"
            yield from matrix_lines(plane)


@dataclass(frozen=True, kw_only=True)
class MergeJob(PictureJob):
    """Grey pictures of one size into one picture.

    Attributes:
        paths: The channels' files, in the order of the space, opacity last.
        space: A key of :data:`cnntool.filters.channels.SPACES`.
    """

    paths: tuple[str, ...]
    space: str = "rgb"

    def whats(self) -> tuple[str, ...]:
        """``merged``, where no name was given."""
        return ("merged",)

    def __call__(self, item: Item) -> Done:
        """Read all channels, merge, write."""
        pictures = [self._plane(path) for path in self.paths]
        first = pictures[0]
        for path, picture in zip(self.paths, pictures, strict=True):
            if picture.pixels.shape != first.pixels.shape:
                raise ShapeError(
                    f"{quote(path)} is {_size(picture)}, {quote(self.paths[0])} is "
                    f"{_size(first)}; channels need one size"
                )
            if picture.pixels.dtype != first.pixels.dtype:
                raise InputError(
                    f"{quote(path)} has {picture.pixels.dtype} samples, "
                    f"{quote(self.paths[0])} {first.pixels.dtype}; channels need one type"
                )
        alpha = len(pictures) == len(SPACES[self.space].names) + 1
        pixels = merge([picture.pixels for picture in pictures], self.space, alpha=alpha)
        whole = replace(first, pixels=pixels, alpha=alpha)
        notes: list[str] = []
        target = self.target(item, whole, notes)
        return self.deliver(item, target, [("merged", self.fitted(whole, target))], notes)

    def _plane(self, path: str) -> Picture:
        with opened(path, limits=self.limits, kernels=2) as picture:
            if picture.channels != 1:
                raise InputError(
                    f"{quote(path)} has {picture.channels} channels; merge takes grey pictures, "
                    "such as 'cnntool split' writes"
                )
            pixels = picture.pixels
            return replace(picture, pixels=pixels.reshape(pixels.shape[:2]))


def _size(picture: Picture) -> str:
    return "x".join(map(str, picture.pixels.shape[:2]))
