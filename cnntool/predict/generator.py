"""A trained generator: pictures from numbers, classes or other pictures, in one stage or several.

What is drawn for a picture follows from its seed alone, so a picture can be made again, and in any
company.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnntool import backend
from cnntool.backend import Array, Backend
from cnntool.errors import OptionError
from cnntool.nn.adversarial import embedded, generator_input, joined
from cnntool.nn.generation import EMBED, Generation
from cnntool.nn.network import Network
from cnntool.nn.saved_model import SavedModel
from cnntool.nn.spec import parse
from cnntool.predict.conditions import larger
from cnntool.predict.model import load_saved

GROUP = 64
"""Pictures that are made together."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Random numbers of pictures.

    Attributes:
        noise: Of each stage: numbers (L, N), or maps (L, H, W, N); None where there are none.
        chance: Of an embedding, (E, N); None if there is none.
    """

    noise: tuple[Array | None, ...]
    chance: Array | None = None

    def part(self, some: slice) -> Drawn:
        """Those of some pictures."""
        cut = tuple(None if maps is None else maps[..., some] for maps in self.noise)
        return Drawn(cut, None if self.chance is None else self.chance[..., some])


@dataclass(frozen=True, eq=False)
class Generator:
    """Networks that make pictures.

    Attributes:
        networks: Of each stage.
        joins: What becomes of each stage's picture, of :data:`cnntool.nn.generation.JOINS`.
        generation: What they are given.
        embedding: The network that turns a condition into means and spreads; None if there is none.
        classes: Names of the classes.
        path: The model's file; empty while it is trained.
        saved: What the file says; None while it is trained.
    """

    networks: tuple[Network, ...]
    joins: tuple[str, ...]
    generation: Generation
    embedding: Network | None = None
    classes: tuple[str, ...] = ()
    path: str = ""
    saved: SavedModel | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str | Backend = "cpu") -> Generator:
        """The generator in a file or in the folder of a run.

        Raises:
            As :func:`cnntool.predict.model.load_saved`; DeviceError: The device does not work.
        """
        file, saved = load_saved(path, tasks=("generate",))
        on = device if isinstance(device, Backend) else backend.get(device)
        how = saved.generation or Generation(latent=saved.input[0])
        parts = {"": (saved.spec, saved.input), **how.networks()}
        made = {}
        for name, (spec, input) in parts.items():
            network = Network(parse(spec), input, device=on)
            start = f"{name}/" if name else ""
            network.load({key: saved.tensors[f"{start}{key}"] for key in network.tensors})
            made[name] = network
        embedding = made.pop(EMBED, None)
        joins = (how.joins, *(maker.joins for maker in how.later))
        return cls(tuple(made.values()), joins, how, embedding, saved.classes, file, saved)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of its pictures."""
        return self.networks[-1].output

    @property
    def device(self) -> Backend:
        """Where it computes."""
        return self.networks[0].device

    def draw(self, seeds: Sequence[int]) -> Drawn:
        """The random numbers of pictures, one seed each."""
        how = self.generation
        streams = [np.random.Generator(np.random.PCG64(np.random.SeedSequence(s))) for s in seeds]
        noise: list[Array | None] = []
        for number, network in enumerate(self.networks):
            if number == 0 and not how.of_pictures:
                shape: tuple[int, ...] = (how.latent,)
            else:
                shape = (min(how.latent, 1 if number else how.latent), *network.input[1:])
            noise.append(self._normal(streams, shape) if shape[0] else None)
        chance = self._normal(streams, (how.embed,)) if how.embed else None
        return Drawn(tuple(noise), chance)

    def _normal(
        self, streams: Sequence[np.random.Generator], shape: tuple[int, ...]
    ) -> NDArray[np.float32]:
        columns = [stream.standard_normal(shape) for stream in streams]
        return np.stack(columns, axis=-1).astype(np.float32)

    def condition(self, numbers: Sequence[int]) -> NDArray[np.float32] | None:
        """Classes as conditions, (K, N); None if it does not take any.

        Raises:
            OptionError: One of them is no class.
        """
        width = self.generation.width
        if self.generation.condition != "class":
            return None
        if not all(0 <= number < width for number in numbers):
            raise OptionError(f"classes are 0 to {width - 1}, got {max(numbers)}")
        return np.eye(width, dtype=np.float32)[:, list(numbers)]

    def pictures(
        self,
        drawn: Drawn,
        condition: NDArray[np.float32] | None = None,
        context: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Pictures with samples from -1 to 1.

        Args:
            drawn: Random numbers of N pictures.
            condition: Class or vector of each, (K, N).
            context: Pictures that are the condition, (C', H, W, N).

        Shape:
            (C, H, W, N), in main memory.
        """
        given = (*drawn.noise, condition, context)
        count = next(part.shape[-1] for part in given if part is not None)
        parts = []
        for first in range(0, count, GROUP):
            some = slice(first, min(first + GROUP, count))
            cut = [None if part is None else part[..., some] for part in (condition, context)]
            parts.append(self._together(drawn.part(some), *cut))
        return np.concatenate(parts, axis=-1)

    def _together(
        self, drawn: Drawn, condition: Array | None, context: Array | None
    ) -> NDArray[np.float32]:
        device = self.device
        put = [None if a is None else device.to_device(a) for a in (condition, context)]
        condition, context = put
        if self.embedding is not None and condition is not None:
            said = self.embedding.predict(condition)
            condition, *_ = embedded(said, device.to_device(drawn.chance))
        made: Array = None
        for network, how, noise in zip(self.networks, self.joins, drawn.noise, strict=True):
            if made is not None:
                context = larger(made, (network.input[1], network.input[2]))
            random = None if noise is None else device.to_device(noise)
            x = generator_input(random, context, condition)
            made = joined(network.predict(x.astype(np.float32, copy=False)), context, how)
        found: NDArray[np.float32] = device.to_host(made)
        return found


def samples_of(pictures: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Samples from -1 to 1 as 0 to 255.

    Example:
        >>> samples_of(np.array([-1.0, 0.0, 2.0])).tolist()
        [0, 128, 255]
    """
    found: NDArray[np.uint8] = np.rint(np.clip((pictures + 1) * 127.5, 0, 255)).astype(np.uint8)
    return found
