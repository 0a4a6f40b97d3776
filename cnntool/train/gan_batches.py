"""What adversarial steps learn from: pictures, conditions and random numbers of a batch.

What is drawn follows from the seed, the number of the step and of the discriminator's turn in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import Backend
from cnntool.data.batches import Batches
from cnntool.data.dataset import Dataset
from cnntool.errors import ModelFileError
from cnntool.nn.gan_inputs import GanBatch, embedded
from cnntool.nn.gan_spec import GanSpec, Pair
from cnntool.nn.network import Network
from cnntool.predict.conditions import context_of, larger, smaller
from cnntool.predict.generator import Drawn, Generator
from cnntool.train.gan_options import GanOptions

Pictures = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Samples (C, H, W, N) and their classes, or the numbers of their vectors."""


class GanBatches:
    """The batches of an adversarial training.

    Args:
        spec: Its networks.
        pairs: Their stages.
        options: What it is.
        dataset: What it learns from.
        device: Where.

    Raises:
        ModelFileError: The pictures come without the vectors that are the condition.
    """

    def __init__(
        self,
        spec: GanSpec,
        pairs: list[Pair],
        options: GanOptions,
        dataset: Dataset,
        device: Backend,
    ) -> None:
        self.spec, self.pairs, self.options, self.device = spec, pairs, options, device
        self.vectors = _vectors(spec.condition, dataset, options.width)
        train = dataset.train
        if self.vectors is not None:  # the number of a picture leads to its vector
            train = replace(train, labels=np.arange(len(train)))
        self.count = len(train)
        self._pictures = Batches(train, options.batch_size, options.seed, keep_last=False)

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._pictures)

    def epoch(self, number: int, first: int) -> Iterator[Pictures]:
        """The pictures of an epoch, from a batch on."""
        yield from self._pictures.epoch(number, first)

    def others(self, step: int, turn: int) -> Pictures:
        """Another batch, for one more turn of the discriminator."""
        numbers = self._stream(step, turn, 1).integers(0, self.count, self.options.batch_size)
        return self._pictures.take(numbers)

    def batch(
        self,
        pictures: Pictures,
        *,
        stage: int,
        step: int,
        turn: int = 0,
        embedding: Network | None = None,
        earlier: Generator | None = None,
    ) -> GanBatch:
        """What a step learns from.

        Args:
            pictures: The real ones.
            stage: Which networks learn.
            step: The number of the step.
            turn: Of the discriminator in it.
            embedding: What turns conditions into means and spreads, if there is one.
            earlier: Generators of the stages before, if there are any.
        """
        x, labels = pictures
        pair, images = self.pairs[stage], int(labels.shape[-1])
        stream = self._stream(step, turn, 0)
        whole = x.astype(np.float32) / np.float32(127.5) - 1
        real = smaller(whole, pair.stage.size)
        condition = given = self.condition(labels)
        chance = normal(stream, (self.spec.embed, images)) if self.spec.embed else None
        context = None
        if self.spec.of_pictures:
            context = context_of(self.spec.condition, whole)
        elif stage and pair.stage.adds:
            below = self.pairs[stage - 1].stage.size
            context = larger(smaller(whole, below), pair.stage.size)
        elif earlier is not None:
            before = earlier.pictures(self._drawn(stream, earlier, chance, images), condition)
            context = larger(before, pair.stage.size)
        maps = pair.input[1:] if len(pair.input) == 3 else ()
        latent = self.spec.latent if not stage else min(self.spec.latent, 1)
        noise = normal(stream, (latent, *maps, images)) if latent else None
        if embedding is not None and stage:  # it learned in the first stage
            said = embedding.predict(self.device.to_device(condition))
            given = self.device.to_host(embedded(said, self.device.to_device(chance))[0])
            chance = None
        arrays = {
            "real": real, "noise": noise, "context": context, "condition": condition,
            "given": None if given is condition else given, "chance": chance,
        }  # fmt: skip
        put = {
            name: None if array is None else self.device.to_device(np.ascontiguousarray(array))
            for name, array in arrays.items()
        }
        return GanBatch(**put, judged=pair.context > 0, joins=self.joins(stage))

    def joins(self, stage: int) -> str:
        """What becomes of what a stage makes: one of :data:`cnntool.nn.generation.JOINS`."""
        if self.spec.condition == "inpaint":
            return "fills"
        return "adds" if self.pairs[stage].stage.adds else ""

    def condition(self, labels: NDArray[np.integer]) -> NDArray[np.float32] | None:
        """Conditions (K, N) of classes, or of the numbers of vectors; None if they are none."""
        if self.vectors is not None:
            return np.ascontiguousarray(self.vectors[labels].T)
        if self.spec.condition == "class":
            return np.eye(self.options.width, dtype=np.float32)[:, labels]
        return None

    def _stream(self, *key: int) -> np.random.Generator:
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([self.options.seed, *key]))
        )

    def _drawn(
        self,
        stream: np.random.Generator,
        earlier: Generator,
        chance: NDArray[np.float32] | None,
        images: int,
    ) -> Drawn:
        """Random numbers of the stages before."""
        noise: list[NDArray[np.float32] | None] = []
        for number, network in enumerate(earlier.networks):
            latent = self.spec.latent if not number else min(self.spec.latent, 1)
            maps = network.input[1:] if number else ()
            noise.append(normal(stream, (latent, *maps, images)) if latent else None)
        return Drawn(tuple(noise), chance)


def normal(stream: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Normally distributed numbers."""
    return stream.standard_normal(shape, dtype=np.float32)


def _vectors(condition: str, dataset: Dataset, width: int) -> NDArray[np.float32] | None:
    """Vectors that come with the pictures, (M, K)."""
    if condition != "vector":
        return None
    vectors: NDArray[np.float32] | None = dataset.train.vectors
    if vectors is None or vectors.shape[1] != width:
        raise ModelFileError(f"the pictures of '{dataset.name}' come without vectors of {width}")
    return vectors
