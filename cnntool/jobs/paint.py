"""``generate`` of models whose condition is a picture: a picture for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cnntool.folder.job import Item
from cnntool.images.picture import Picture
from cnntool.jobs.picture import Named, PictureJob, Target
from cnntool.predict.painter import Painter


@dataclass(frozen=True, kw_only=True)
class PaintJob(PictureJob):
    """Reads a picture and writes what a generator makes of it.

    Attributes:
        painter: The generator.
    """

    painter: Painter

    def whats(self) -> tuple[str, ...]:
        """``superres``, ``colorize`` or ``inpaint``."""
        return (self.painter.condition,)

    def size_out(self, picture: Picture) -> tuple[int, int]:
        """As large, or twice."""
        height, width = picture.pixels.shape[:2]
        return self.painter.factor * height, self.painter.factor * width

    def buffers(self) -> int:
        """Contexts, results and their weights."""
        return 4 * self.painter.factor**2

    def target(self, item: Item, picture: Picture, notes: list[str]) -> Target:
        """Samples have 8 bits, as in the pictures that it learned from."""
        found = super().target(item, picture, notes)
        return found if found.dtype is None else replace(found, dtype="uint8")

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """The one result."""
        pixels = self.painter.paint(picture, notes)
        yield self.painter.condition, replace(picture, pixels=pixels, alpha=False, icc=b"")
