"""The parts of many pictures that excite the filters of a layer most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import array_module
from cnntool.explain.subject import Samples, Subject
from cnntool.nn.layer_rows import LayerRow
from cnntool.predict.classifier import check_finite

Box = tuple[int, int, int, int]
"""Top, left, bottom and right in pixels of the network's input, the last two excluded."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A place that excites a filter.

    Attributes:
        filter: Number of the filter: of a map, or of a number of a vector.
        rank: 1 for the strongest of the filter.
        source: Number of the picture, in the order in which they came.
        at: Row and column of the neuron in the layer's map; (0, 0) in a vector.
        activation: What it gave.
        field: What the neuron sees, which may reach beyond the picture where the network pads.
        box: The part of that in the picture.
    """

    filter: int
    rank: int
    source: int
    at: tuple[int, int]
    activation: float
    field: Box
    box: Box


class TopPatches:
    """Collects the strongest places of each filter while pictures pass by, one place a picture.

    Its memory grows with filters and patches, not with pictures.

    Args:
        subject: The network.
        layer: Name of the layer.
        top: Patches of each filter, at least 1.
        channels: Numbers of the filters; None: all.

    Attributes:
        row: The layer.
        channels: Numbers of the filters.
        pictures: How many have passed by.

    Raises:
        NameNotFound: There is no such layer.

    Example:
        >>> from cnntool.nn import parse
        >>> from cnntool.nn.network import Network
        >>> from cnntool.nn.observed import ObservedNetwork
        >>> from cnntool.nn.saved_model import Preprocessing
        >>> from cnntool.predict.preprocess import Preprocessor
        >>> net = Network(parse("conv 1 1x2 bias=no"), (1, 1, 4))
        >>> net.load({"0.conv.weight": np.array([-1.0, 1.0]).reshape(1, 1, 1, 2)})
        >>> how = Preprocessor(Preprocessing(color="gray", scale=1, mean=(0,), std=(1,)), (1, 4))
        >>> found = TopPatches(Subject(ObservedNetwork(net), how, ()), "0.conv", top=2)
        >>> pictures = np.array([[0, 0, 9, 9], [7, 7, 7, 9], [1, 5, 5, 5]], np.uint8)
        >>> found.add(pictures.T.reshape(1, 1, 4, 3))
        >>> [(patch.source, patch.activation, patch.box) for patch in found.patches()]
        [(0, 9.0, (0, 1, 1, 3)), (2, 4.0, (0, 0, 1, 2))]
    """

    def __init__(
        self, subject: Subject, layer: str, *, top: int = 9, channels: Sequence[int] | None = None
    ) -> None:
        self.row: LayerRow = subject.layer(layer)
        self.channels = list(range(self.row.output[0])) if channels is None else list(channels)
        self.pictures = 0
        self._subject, self._top = subject, top
        shape = len(self.channels), 0
        self._values = np.zeros(shape, np.float32)
        self._sources, self._places = np.zeros(shape, np.int64), np.zeros(shape, np.int64)

    def add(self, images: Samples) -> None:
        """Let pictures pass by.

        Args:
            images: Samples 0..255.

        Shape:
            (C, H, W, N).

        Raises:
            ModelFileError: The network gives numbers that are not finite.
        """
        subject, count = self._subject, images.shape[-1]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            y, _ = subject.network.forward(subject.inputs(images), end=self.row.name)
        flat = y.reshape(y.shape[0], -1, count)  # maps, positions, pictures
        if len(self.channels) < len(flat):
            flat = flat[array_module(flat).asarray(np.array(self.channels))]
        places = subject.device.to_host(flat.argmax(axis=1))
        values = subject.device.to_host(flat.max(axis=1))
        check_finite(values)
        sources = np.broadcast_to(np.arange(self.pictures, self.pictures + count), values.shape)
        self.pictures += count
        values = np.concatenate([self._values, values], axis=1)
        # of equal ones those that came first
        order = np.argsort(-values, axis=1, kind="stable")[:, : self._top]
        self._values = np.take_along_axis(values, order, axis=1)
        self._sources, self._places = (
            np.take_along_axis(np.concatenate(both, axis=1), order, axis=1)
            for both in ((self._sources, sources), (self._places, places))
        )

    def patches(self) -> list[Patch]:
        """What was found so far: filter by filter, the strongest first."""
        return [
            self._patch(number, rank) for number in range(len(self.channels))
            for rank in range(self._values.shape[1])
        ]  # fmt: skip

    def _patch(self, number: int, rank: int) -> Patch:
        columns = self.row.output[2] if len(self.row.output) == 3 else 1
        row, column = divmod(int(self._places[number, rank]), columns)
        top, left, bottom, right = field = self.row.field.box(row, column)
        _, height, width = self._subject.shape
        y, x = min(max(top, 0), height), min(max(left, 0), width)
        # a field may lie in the padding, or be empty between the kernels of a deconvolution
        box = y, x, max(y, min(bottom, height)), max(x, min(right, width))
        return Patch(
            filter=self.channels[number],
            rank=rank + 1,
            source=int(self._sources[number, rank]),
            at=(row, column),
            activation=float(self._values[number, rank]),
            field=field,
            box=box,
        )


def cut(image: Samples, patch: Patch) -> tuple[Samples, NDArray[np.bool_]]:
    """What a neuron sees, and which pixels of that lie in the picture.

    Where the field reaches beyond the picture there are zeros; but along an axis on which it is
    longer than the picture, the picture is all that is cut.

    Shape:
        (C, H, W) -> (C, h, w) and (h, w).

    Example:
        >>> image = np.arange(1, 7, dtype=np.uint8).reshape(1, 2, 3)
        >>> corner = Patch(0, 1, 0, (0, 0), 1.0, (-1, -1, 1, 1), (0, 0, 1, 1))
        >>> part, inside = cut(image, corner)
        >>> part.tolist(), inside.tolist()
        ([[[0, 0], [0, 1]]], [[False, False], [False, True]])
    """
    (y0, y1), (x0, x1) = (
        (0, length) if last - first > length else (first, max(last, first))
        for first, last, length in zip(
            patch.field[:2], patch.field[2:], image.shape[1:], strict=True
        )
    )
    whole = np.zeros((image.shape[0], y1 - y0, x1 - x0), image.dtype)
    inside = np.zeros(whole.shape[1:], np.bool_)
    top, left, bottom, right = patch.box
    if bottom > top and right > left:
        part = slice(top - y0, bottom - y0), slice(left - x0, right - x0)
        whole[:, *part] = image[:, top:bottom, left:right]
        inside[part] = True
    return whole, inside
