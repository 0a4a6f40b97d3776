"""``split`` a picture into its channels, ``merge`` channels into a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cnntool.errors import InputError, NameNotFound, OptionError, ShapeError
from cnntool.files import quote
from cnntool.filters.channels import SPACES, merge, split
from cnntool.filters.matrix_text import matrix_lines
from cnntool.folder.job import Done, Item
from cnntool.images.picture import Picture
from cnntool.jobs.picture import Named, PictureJob, Target, part

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
    """

    space: str = "rgb"
    channels: tuple[str, ...] = ()
    values: bool = False
    crop: tuple[int, int, int, int] | None = None

    def whats(self) -> tuple[str, ...]:
        """Names of the channels, as for a colour picture."""
        return self.channels or SPACES[self.space].names

    def buffers(self) -> int:
        """Other spaces than RGB are computed in floats."""
        return 0 if self.space == "rgb" else 2

    def lines(self, picture: Picture, notes: list[str]) -> Iterator[str]:
        """The matrices, if they were asked for."""
        if self.values:
            yield from self._lines(picture)

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """The channels that were asked for."""
        for name, plane in self._planes(picture):
            yield name, self.fitted(replace(picture, pixels=plane, alpha=False), target)

    def _planes(self, picture: Picture) -> Iterator[tuple[str, Any]]:
        # arrays do not say what their channels are: the last of 2 or 4 is opacity, as in files
        alpha = picture.alpha or picture.channels in (2, 4)
        full_range = self.full_range(picture)
        found = dict(split(picture.pixels, self.space, alpha=alpha, full_range=full_range))
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
        alpha = has_opacity(self.space, len(pictures))
        pixels = merge(
            [picture.pixels for picture in pictures],
            self.space,
            alpha=alpha,
            full_range=self.full_range(first),
        )
        whole = replace(first, pixels=pixels, alpha=alpha, icc=b"")
        notes = [note for picture in pictures for note in picture.notes]
        target = self.target(item, whole, notes)
        results = [("merged", self.fitted(whole, target))]
        return self.deliver(item, target, results, Done(notes=tuple(notes)))

    def _plane(self, path: str) -> Picture:
        picture = part(path, limits=self.limits, kernels=2)
        if picture.channels != 1:
            raise InputError(
                f"{quote(path)} has {picture.channels} channels; merge takes grey pictures, "
                "such as 'cnntool split' writes"
            )
        pixels = picture.pixels
        return replace(picture, pixels=pixels.reshape(pixels.shape[:2]))


def check_names(space: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """Channels that pictures in this space can have, in the spelling of the table.

    Raises:
        NameNotFound: None is called so.

    Example:
        >>> check_names("rgb", ["b", "A"])
        ('B', 'A')
    """
    known = _known(space)
    spelled = {name.lower(): name for name in known}
    for name in wanted:
        if name.lower() not in spelled:
            raise NameNotFound(
                f"no channel '{name}' in {space}; use {', '.join(known)}", name=name, near=[]
            )
    return tuple(spelled[name.lower()] for name in wanted)


def _known(space: str) -> tuple[str, ...]:
    table = SPACES[space]
    # a grey picture has one channel in RGB, which is called L
    return (*table.names, *(("L",) if space == "rgb" else ()), table.alpha)


def check_count(space: str, count: int) -> None:
    """Check that as many channels make a picture.

    Raises:
        OptionError: They do not.
    """
    names = SPACES[space].names
    if count not in _counts(space):
        grey = "; a grey picture from 1" if space == "rgb" else ""
        raise OptionError(
            f"{space} is merged from {len(names)} picture{'s' if len(names) > 1 else ''} "
            f"({', '.join(names)}){grey}; opacity is one more; got {count}"
        )


def has_opacity(space: str, count: int) -> bool:
    """Whether the last of as many channels is opacity."""
    return _counts(space).index(count) % 2 == 1


def _counts(space: str) -> list[int]:
    """Numbers of channels: without and with opacity."""
    full = len(SPACES[space].names)
    return [1, 2, 3, 4] if space == "rgb" else [full, full + 1]


def _size(picture: Picture) -> str:
    return "x".join(map(str, picture.pixels.shape[:2]))
