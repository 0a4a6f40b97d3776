"""``edges``: one operator over a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cnntool.filters.edges import edges
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
        range: How results are fitted into integers.
        sigma: Smoothing of Canny, in pixels.
        low: Lower threshold of Canny, share of the full range.
        high: Upper threshold of Canny.
    """

    operator: str = "sobel"
    show: str = "magnitude"
    border: str = "reflect"
    border_value: float = 0.0
    range: str = "auto"
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
        signed = self.show in ("x", "y")
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
            full_range=picture.full_range,
            levels=levels,
            threads=self.threads,
        )
        if levels is not None and (note := levels.report.note()):
            notes.append(note)
        yield "edges", replace(picture, pixels=self.on_host(pixels))
