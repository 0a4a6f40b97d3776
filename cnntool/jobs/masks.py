"""``predict`` of models that segment: a mask for each picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cnntool.data.fitting import fitted
from cnntool.errors import OptionError
from cnntool.folder.job import Item
from cnntool.images.formats import FORMATS
from cnntool.images.indexed import encode_indexed
from cnntool.images.picture import Picture
from cnntool.jobs.picture import Named, PictureJob, Target
from cnntool.predict.segmenter import Segmenter
from cnntool.report.class_colours import overlaid, palette

MASKS = ("palette", "index", "overlay", "prob")
"""What a mask may be: class numbers with colours, as grey values, colours over the picture, shares
of the classes."""

_LOSSLESS = ("png", "bmp", "tiff", "pnm", "npy")


@dataclass(frozen=True, kw_only=True)
class MaskJob(PictureJob):
    """Reads a picture and writes what a network makes of its pixels.

    Attributes:
        segmenter: The network.
        mask: One of :data:`MASKS`.
        invert: Whether negatives are taken.
    """

    segmenter: Segmenter
    mask: str = "palette"
    invert: bool = False

    def whats(self) -> tuple[str, ...]:
        """``mask``, ``overlay`` or ``prob``."""
        return (self.mask if self.mask in ("overlay", "prob") else "mask",)

    def buffers(self) -> int:
        """Shares of all classes, and sums of weights."""
        return len(self.segmenter.classes) + 2

    def target(self, item: Item, picture: Picture, notes: list[str]) -> Target:
        """Format and samples of the mask.

        Raises:
            OptionError: The format has no palette, or loses numbers.
        """
        found = super().target(item, picture, notes)
        title = FORMATS[found.format].title
        if self.mask == "palette" and found.format != "png":
            raise OptionError(f"{title} holds no palette here; write png, or take --mask index")
        if self.mask == "index" and found.format not in _LOSSLESS:
            raise OptionError(f"{title} would change class numbers; write png, tiff, pnm or npy")
        return found if found.dtype is None else replace(found, dtype=np.uint8)

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """The one result."""
        (what,) = self.whats()
        plain = replace(picture, alpha=False, icc=b"")
        if self.mask == "prob":
            shares, _ = self.segmenter.shares(picture, invert=self.invert)
            sure = np.rint(255 * shares.max(axis=0)).astype(np.uint8)
            yield what, replace(plain, pixels=shares if target.dtype is None else sure)
            return
        labels = self.segmenter.labels(picture, invert=self.invert)
        if self.mask == "palette":
            yield what, encode_indexed(labels, palette().tobytes())
            return
        if self.mask == "overlay":
            labels = overlaid(fitted(picture, gray=False, size=None, fit="stretch"), labels)
        yield what, replace(plain, pixels=labels)
