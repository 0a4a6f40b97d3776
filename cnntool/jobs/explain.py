"""``explain`` of pictures: what a network makes of each, drawn, or as the numbers themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnntool.explain.activations import activations
from cnntool.explain.gradcam import gradcam, spread
from cnntool.explain.occlusion import occlusion
from cnntool.explain.saliency import saliency
from cnntool.explain.subject import Samples, Subject
from cnntool.explain.words import COPIES, METHODS, NOISE
from cnntool.folder.job import Item
from cnntool.images.formats import FORMATS
from cnntool.images.picture import Picture
from cnntool.images.writing import encode
from cnntool.jobs.picture import Named, PictureJob, Target
from cnntool.nn.facts import times
from cnntool.nn.layer_rows import LayerRow
from cnntool.report import explanations
from cnntool.report.grids import planes_to_pixels

Map = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class LookJob(PictureJob):
    """Brings a picture to the network's size and colour, and draws what is found.

    Formats of floats get the numbers, all others the drawing.

    Attributes:
        subject: The network.
        invert: Whether negatives are taken.
    """

    subject: Subject
    invert: bool = False

    def buffers(self) -> int:
        """Copies in floats of a picture on its way to the input's size."""
        return 2

    def floats(self, picture: Picture, target: Target) -> int:
        """None: results have the size of the network's input, whatever the picture's is."""
        return 0

    def target(self, item: Item, picture: Picture, notes: list[str]) -> Target:
        """Drawings have 8 bits; a picture's own depth does not matter."""
        pixels = np.zeros((1, 1, *picture.pixels.shape[2:]), np.uint8)
        plain = replace(picture, pixels=pixels)
        found = super().target(item, plain, notes)
        return Target(found.format, None if FORMATS[found.format].floats else np.uint8)

    def samples(self, picture: Picture, notes: list[str]) -> NDArray[np.uint8]:
        """The picture as the network sees it; a note if it is unlike the training's."""
        one = self.subject.preprocess
        image = one.from_picture(picture, invert=self.invert)
        if unlike := one.unlike_training(image, inverted=self.invert):
            notes.append(unlike)
        return image


@dataclass(frozen=True, kw_only=True)
class ActivationsJob(LookJob):
    """The maps of layers.

    Attributes:
        layers: Names of the layers.
        channels: Numbers of the maps; empty: all.
        each: Whether every map has a scale of its own.
    """

    layers: tuple[str, ...]
    channels: tuple[int, ...] = ()
    each: bool = False

    def whats(self) -> tuple[str, ...]:
        """The layers' names."""
        return self.layers

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """A drawing or an array for each layer."""
        image = self.samples(picture, notes)
        only = self.layers[0] if len(self.layers) == 1 else None
        found = activations(self.subject, image, only, threads=self.threads)
        for name in self.layers:
            maps = found[name]
            numbers = self.channels or range(len(maps))
            maps = maps[np.asarray(numbers)]
            if target.dtype is None:
                yield name, encode(maps, target.format)
            else:
                row = self.subject.network.rows[name]
                yield name, Picture(self._drawn(image, row, maps, numbers))

    def _drawn(
        self, image: Samples, row: LayerRow, maps: Map, numbers: Sequence[int]
    ) -> NDArray[np.uint8]:
        lines = [f"{row.spec}, from {times(row.input)}"]
        if maps.ndim == 3:
            title = f"{row.name}: {len(maps)} maps of {maps.shape[1]}×{maps.shape[2]}"
            if len(maps) < row.output[0]:
                title = f"{row.name}: {len(maps)} of {row.output[0]} maps"
            pixels = planes_to_pixels(image.astype(np.uint8))
            return explanations.maps_figure(pixels, maps, numbers, title, lines, each=self.each)
        outputs = self.subject.plain.output
        named = row.output == outputs == (len(self.subject.classes),) and row.name in (
            self.subject.network.last, list(self.subject.network.rows)[-1],
        )  # fmt: skip
        names = [self.subject.classes[n] if named else str(n) for n in numbers]
        return explanations.numbers_figure(maps, names, f"{row.name}: {times(row.output)}", lines)


class Evidence(NamedTuple):
    """What was found about the score of a class.

    Attributes:
        raw: The numbers, for files.
        values: One for each pixel, or a whole number of times as many each way, for drawing.
        line: What was done.
        word: What the numbers are.
        unit: In which units.
        signed: Whether they may be below 0.
    """

    raw: Map
    values: Map
    line: str
    word: str
    unit: str
    signed: bool


@dataclass(frozen=True, kw_only=True)
class EvidenceJob(LookJob):
    """Which parts of a picture the score of a class depends on.

    Attributes:
        number: Of the class; None: the one that the network takes the picture for.
    """

    number: int | None = None

    def evidence(self, image: NDArray[np.uint8], number: int) -> Evidence:
        """What speaks for a class.

        Args:
            image: Samples as the network sees them.
            number: Of the class.
        """
        raise NotImplementedError(f"{type(self).__name__} finds nothing")

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """One drawing or array."""
        subject = self.subject
        image = self.samples(picture, notes)
        scores = subject.scores(image[..., None])
        shares = subject.shares(scores)[:, 0]
        best = int(shares.argmax())
        number = best if self.number is None else self.number
        label, score = subject.classes[number], float(subject.chosen(scores, [number])[0])
        if self.verbose:
            notes.append(f"'{label}', share {shares[number]:.4f}, score {score:.4g}")
        found = self.evidence(image, number)
        if target.dtype is None:
            yield self.whats()[0], encode(found.raw, target.format)
            return
        if not found.values.any():
            notes.append(f"nothing in it speaks for '{label}'; the map is empty")
        title = f"{label}: share {shares[number]:.4f}, score {score:.4g}"
        if number != best:
            title += f" (taken for {subject.classes[best]}, share {shares[best]:.4f})"
        pixels = explanations.evidence_figure(
            planes_to_pixels(image),
            found.values,
            title,
            [found.line],
            word=found.word,
            unit=found.unit,
            signed=found.signed,
        )
        yield self.whats()[0], Picture(pixels)


@dataclass(frozen=True, kw_only=True)
class SaliencyJob(EvidenceJob):
    """By gradients.

    Attributes:
        method: A key of :data:`cnntool.explain.words.METHODS`.
        baseline: Where integrated gradients start.
        steps: How many they take; None: as many as it needs.
        copies: Noisy copies of smoothgrad.
        noise: How noisy, as a share of the range.
        seed: Of the noise.
    """

    method: str = "gradient"
    baseline: str = "black"
    steps: int | None = None
    copies: int = COPIES
    noise: float = NOISE
    seed: int = 0

    def whats(self) -> tuple[str, ...]:
        """``saliency``, or the method where one was chosen."""
        return ("saliency" if self.method == "gradient" else self.method,)

    def evidence(self, image: NDArray[np.uint8], number: int) -> Evidence:
        """Gradients as they are; drawn, the size of slopes or the sum of parts over channels."""
        raw = saliency(
            self.subject,
            image,
            number,
            self.method,
            baseline=self.baseline,
            steps=self.steps,
            copies=self.copies,
            noise=self.noise,
            seed=self.seed,
        )
        slopes = self.method in ("gradient", "smoothgrad")
        values = np.abs(raw).max(axis=0) if slopes else raw.sum(axis=0)
        per = " per grey level" if slopes or self.method == "guided" else ""
        line = f"{self.method}: {METHODS[self.method]}"
        return Evidence(
            raw[0] if len(raw) == 1 else np.ascontiguousarray(raw.transpose(1, 2, 0)),
            values, line, self.method, f"of the score{per}", not slopes,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class GradcamJob(EvidenceJob):
    """By the maps of a layer.

    Attributes:
        layer: Its name.
    """

    layer: str

    def whats(self) -> tuple[str, ...]:
        """``gradcam``."""
        return ("gradcam",)

    def evidence(self, image: NDArray[np.uint8], number: int) -> Evidence:
        """The layer's map as it is; drawn, as large as the picture."""
        raw = gradcam(self.subject, image, number, self.layer)
        row, size = self.subject.network.rows[self.layer], image.shape[1:]
        values = spread(raw, row, size, explanations.zoom(size))
        shape = f"{raw.shape[0]}×{raw.shape[1]}"
        line = f"Grad-CAM at {self.layer}, {shape} positions"
        return Evidence(raw, values, line, "Grad-CAM", "sum of weighted maps", signed=False)


@dataclass(frozen=True, kw_only=True)
class OcclusionJob(EvidenceJob):
    """By covering it.

    Attributes:
        size: Rows and columns of the patch; None: a quarter of the picture's.
        stride: Its steps; None: a quarter of the patch.
        fill: A word of :data:`cnntool.explain.words.FILLS`.
    """

    size: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    fill: str = "mean"

    def whats(self) -> tuple[str, ...]:
        """``occlusion``."""
        return ("occlusion",)

    def evidence(self, image: NDArray[np.uint8], number: int) -> Evidence:
        """How much of the score each pixel holds."""
        found = occlusion(
            self.subject, image, number, size=self.size, stride=self.stride, fill=self.fill
        )
        size = self.size or tuple(max(1, side // 4) for side in image.shape[1:])
        fill = "the mean colour" if self.fill == "mean" else self.fill
        line = f"occlusion: what the score loses behind a patch of {size[0]}×{size[1]} in {fill}"
        return Evidence(found, found, line, "occlusion", "of the score", signed=True)
