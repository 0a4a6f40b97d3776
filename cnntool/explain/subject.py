"""A trained model opened: layers and classes by name, scores and their gradients."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import Array, Backend
from cnntool.errors import InputError, NameNotFound, OptionError
from cnntool.files import quote
from cnntool.nn.facts import times
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.network import Network
from cnntool.nn.observed import ObservedNetwork
from cnntool.nn.observer import Observer
from cnntool.predict.classifier import Logits, check_finite, shares
from cnntool.predict.model import TrainedModel
from cnntool.predict.preprocess import Preprocessor

_FEW = 12  # layers whose names fit into a message

Samples = NDArray[np.uint8] | NDArray[np.float32]
"""Pictures: samples 0..255, (C, H, W) or (C, H, W, N)."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A network that takes pictures, with everything to look into it.

    Attributes:
        network: The network, its layers one by one.
        preprocess: From samples to its input.
        classes: What its classes are called.
        path: File of the model; empty if there is none.

    Example:
        >>> from cnntool.nn import parse
        >>> from cnntool.nn.saved_model import Preprocessing
        >>> net = Network(parse("flatten | dense 3"), (1, 2, 2))
        >>> net.initialise(seed=1)
        >>> how = Preprocessor(Preprocessing(color="gray", mean=(0.5,), std=(0.5,)), (2, 2))
        >>> subject = Subject(ObservedNetwork(net), how, ("cat", "dog", "owl"))
        >>> image, owl = np.full((1, 2, 2, 1), 128, np.uint8), subject.class_number("owl")
        >>> subject.scores(image).shape, subject.gradient(image, [owl]).shape
        ((3, 1), (1, 2, 2, 1))
    """

    network: ObservedNetwork
    preprocess: Preprocessor
    classes: tuple[str, ...]
    path: str = ""

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str | Backend = "cpu",
        segments: bool = False,
    ) -> Subject:
        """The model in a file or in the folder of a run.

        Args:
            path: A model file, or a folder with one.
            device: Where it is to compute.
            segments: Whether one that tells a class of each pixel will do too.

        Raises:
            OptionError: It sees no pictures but vectors or histograms, or has another task.
            ModelFileError, InputError, DeviceError: See
                :meth:`cnntool.predict.model.TrainedModel.load`.
        """
        tasks = ("classify", "segment") if segments else ("classify",)
        return cls.of(TrainedModel.load(path, device=device, tasks=tasks))

    @classmethod
    def of(cls, model: TrainedModel) -> Subject:
        """A loaded model, opened.

        Raises:
            OptionError: It sees histograms of gradients in place of pictures.
        """
        if model.saved.features is not None:
            raise OptionError(
                f"{quote(model.path)}: it sees histograms of gradients, not pictures, and has one "
                "dense layer; there is nothing inside to look at ('cnntool hog --visualize' draws "
                "such histograms)"
            )
        return cls(ObservedNetwork(model.network), model.preprocess, model.classes, model.path)

    @property
    def plain(self) -> Network:
        """The network as it predicts."""
        return self.network.network

    @property
    def device(self) -> Backend:
        """Where it computes."""
        return self.plain.device

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a picture."""
        return self.preprocess.shape

    # --- names

    def layer(self, name: str) -> LayerRow:
        """The row of a layer.

        Raises:
            NameNotFound: There is none of this name; the message lists those that there are.
        """
        rows = self.network.rows
        if name not in rows:
            see = "cnntool shape MODEL" if len(rows) > _FEW else None
            raise NameNotFound.among("layer", name, rows, see, listed=True)
        return rows[name]

    def class_number(self, label: str) -> int:
        """The number of a class.

        Raises:
            NameNotFound: There is none of this name; the message lists those that there are.
        """
        if label not in self.classes:
            raise NameNotFound.among("class", label, self.classes, listed=True)
        return self.classes.index(label)

    def maps(self, name: str) -> LayerRow:
        """The row of a layer that gives maps.

        Raises:
            NameNotFound: There is no such layer.
            OptionError: It gives a vector.
        """
        row = self.layer(name)
        if len(row.output) != 3:
            raise OptionError(
                f"layer {name} gives {times(row.output)}, no maps; take one that comes before "
                "the flatten"
            )
        return row

    # --- numbers

    def inputs(self, images: Samples) -> Array:
        """What the network gets of pictures, on its device.

        Shape:
            (C, H, W, N) -> the same, float32.
        """
        return self.preprocess.prepare(self.device.to_device(images))

    def scores(self, images: Samples) -> Logits:
        """Scores of all classes, before the softmax or sigmoid; in main memory.

        A single output tells two classes apart: the first scores 0, as in ``predict``.

        Shape:
            (C, H, W, N) -> (K, N), float32.

        Raises:
            ModelFileError: The network gives numbers that are not finite.
        """
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            y, _ = self.network.forward(self.inputs(images))
        found = np.zeros((len(self.classes), images.shape[-1]), np.float32)
        found[-y.shape[0] :] = self.device.to_host(y)
        check_finite(found)
        return found

    def shares(self, scores: Logits) -> NDArray[np.float64]:
        """Share of each class, as ``predict`` tells it."""
        return shares(self.plain, scores)

    def chosen(self, scores: Logits, numbers: Sequence[int]) -> NDArray[np.float32]:
        """The score of one class for each picture.

        The first of two classes that a single output tells apart scores its negative.

        Args:
            scores: Of all classes, (K, N).
            numbers: A class for each picture.

        Shape:
            (K, N) -> (N,).
        """
        found: NDArray[np.float32] = scores[np.asarray(numbers), np.arange(scores.shape[1])]
        if self.plain.output[0] == 1:
            found = np.where(np.asarray(numbers) == 0, -scores[1], found)
        return found

    def seed(self, numbers: Sequence[int]) -> Array:
        """The gradient of :meth:`chosen`, summed, at the network's output; on its device.

        Args:
            numbers: A class for each picture.

        Shape:
            -> (outputs, N), float32.
        """
        outputs, count = self.plain.output[0], len(numbers)
        seed = np.zeros((outputs, count), np.float32)
        if outputs == 1:
            seed[0] = np.where(np.asarray(numbers) == 0, -1, 1)
        else:
            seed[np.asarray(numbers), np.arange(count)] = 1
        return self.device.to_device(seed)

    def gradient(
        self, images: Samples, numbers: Sequence[int], observer: Observer | None = None
    ) -> NDArray[np.float32]:
        """How fast the score of one class changes with each sample of each picture.

        Args:
            images: Samples 0..255.
            numbers: A class for each picture.
            observer: Who looks on, or changes the gradient on its way.

        Shape:
            (C, H, W, N) -> the same, in main memory; score per grey level.

        Raises:
            ModelFileError: The gradient is not finite.
        """
        # numbers that are too large are told once, below, not by every operation
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            _, backward = self.network.forward(self.inputs(images), observer, gradient=True)
            if backward is None:
                raise RuntimeError("a pass with gradients gave none")
            found = self.device.to_host(backward(self.seed(numbers))) * self._factors
        check_finite(found)
        return found

    def plain_samples(self, fill: str) -> NDArray[np.float32]:
        """Samples of a picture of one colour.

        Args:
            fill: A word of :data:`cnntool.explain.words.FILLS`.

        Shape:
            -> (C, 1, 1).
        """
        how = self.preprocess.how
        if fill == "mean":
            samples = np.array(how.mean, np.float32) / np.float32(how.scale)
        else:
            samples = np.full(how.channels, 255 if fill == "white" else 0, np.float32)
        return samples[:, None, None]

    @cached_property
    def _factors(self) -> NDArray[np.float32]:
        return np.array(self.preprocess.factors, np.float32)[:, None, None, None]


def check_change(gradient: NDArray[np.floating], label: str, what: str) -> None:
    """Refuse a gradient that tells nothing.

    Args:
        gradient: Of the score of a class.
        label: Of that class.
        what: At which it was taken.

    Raises:
        InputError: It is zero everywhere.
    """
    if not gradient.any():
        raise InputError(
            f"the gradient of the score of '{label}' at {what} is 0 everywhere: nothing there "
            "changes it; take another --class or --layer"
        )
