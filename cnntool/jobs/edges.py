"""``edges``: one operator over a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cnntool.filters.edges import SIGNED, edges
from cnntool.images.picture import Picture
from cnntool.jobs.picture import Named, PictureJob, Target


@dataclass(frozen=True, kw_only=True)
class EdgesJob(PictureJob):
    """Gradient magnitude, one derivative, the angle, or Canny's edges.

    Attributes:
        operator: A key of :data:`cnntool.filters.operators.OPERATORS`.
        show: A key of :data:`cnntool.filters.operators.SHOWS`.
        border: What lies around the picture.
        border_value: Value of the border ``constant``.
        sigma: Smoothing of Canny, in pixels.
        low: Lower threshold of Canny, share of the full range.
        high: Upper threshold of Canny.
    """

    operator: str = "sobel"
    show: str = "magnitude"
    border: str = "reflect"
    border_value: float = 0.0
    sigma: float = 1.0
    low: float = 0.1
    high: float = 0.2

    def whats(self) -> tuple[str, ...]:
        """``edges``."""
        return ("edges",)

    def buffers(self) -> int:
        """Canny and hsv work on whole floats."""
        return 3 if self.operator == "canny" or self.show == "hsv" else 1

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """The one result."""
        signed = self.show in SIGNED
        levels = self.levels(picture, target, self.range, signed)
        pixels = edges(
            self.on_device(picture.pixels),
            self.operator,
            self.show,
            border=self.border,
            border_value=self.border_value,
            sigma=self.sigma,
            low=self.low,
            high=self.high,
            alpha=picture.alpha,
            full_range=self.full_range(picture),
            levels=levels,
            threads=self.threads,
        )
        if levels is not None and (note := levels.report.note()):
            notes.append(note)
        result = replace(picture, pixels=self.on_host(pixels))
        # angles, colours and lines fill the range of their own
        if levels is None and self.operator != "canny" and self.show in (*SIGNED, "magnitude"):
            result = self.ranged(result, target, self.full_range(picture), notes)
        yield "edges", result
