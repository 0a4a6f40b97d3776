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
from cnntool.nn.facts import times
from cnntool.nn.gan_inputs import embedded, generator_input, joined
from cnntool.nn.gan_spec import PICTURE_CONDITIONS
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

    def towards(self, other: Drawn, shares: NDArray[np.floating]) -> Drawn:
        """Numbers on the way to others, one share of the way a picture.

        Args:
            other: As many pictures.
            shares: (N,), from 0, these, to 1, the others.

        References:
            Shoemake 1985, Animating rotation with quaternion curves: along a great circle, so that
            numbers stay as long as random ones are (White 2016, Sampling generative networks).
        """
        noise = tuple(
            None if a is None or b is None else _on_circle(a, b, shares)
            for a, b in zip(self.noise, other.noise, strict=True)
        )
        if self.chance is None or other.chance is None:
            return Drawn(noise)
        return Drawn(noise, _on_circle(self.chance, other.chance, shares))


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

    def __str__(self) -> str:
        """In one line, for notes."""
        words = in_words(self.generation.condition, self.generation.width, self.generation.latent)
        return f"makes pictures {times(self.shape)} of {words}, device {self.device.name}"

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
        """Classes as conditions, (K, N); None if it does not take any."""
        if self.generation.condition != "class":
            return None
        return np.eye(self.generation.width, dtype=np.float32)[:, list(numbers)]

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


def _on_circle(
    a: NDArray[np.floating], b: NDArray[np.floating], shares: NDArray[np.floating]
) -> NDArray[np.float32]:
    """From a to b, (…, N) each, along the circle on which both lie, lengths in equal steps."""
    first, second = (x.reshape(-1, x.shape[-1]).astype(np.float64) for x in (a, b))
    lengths = [np.maximum(np.linalg.norm(x, axis=0), 1e-12) for x in (first, second)]
    first, second = first / lengths[0], second / lengths[1]
    angle = np.arccos(np.clip((first * second).sum(axis=0), -1, 1))
    sine = np.sin(angle)
    close = sine < 1e-6  # the same direction: a straight line
    safe = np.where(close, 1.0, sine)
    before = np.where(close, 1 - shares, np.sin((1 - shares) * angle) / safe)
    after = np.where(close, shares, np.sin(shares * angle) / safe)
    length = (1 - shares) * lengths[0] + shares * lengths[1]
    found: NDArray[np.float32] = ((before * first + after * second) * length).astype(np.float32)
    return found.reshape(a.shape)


def in_words(condition: str, width: int, latent: int) -> str:
    """What pictures are made of.

    Args:
        condition: One of :data:`cnntool.nn.gan_spec.CONDITIONS`.
        width: Numbers of the condition: classes, or of a vector.
        latent: Random numbers, or maps.

    Example:
        >>> in_words("class", 10, 64)
        '64 random numbers and one of 10 classes'
    """
    words = {
        "none": "",
        "class": f"one of {width} classes",
        "vector": f"a vector of {width} numbers",
        "superres": "pictures of half the size",
        "colorize": "grey pictures",
        "inpaint": "pictures without their middle",
    }
    unit = "maps" if condition in PICTURE_CONDITIONS else "numbers"
    parts = [f"{latent} random {unit}"] if latent else []
    parts += [words[condition]] if words[condition] else []
    return " and ".join(parts)


def samples_of(pictures: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Samples from -1 to 1 as 0 to 255.

    Example:
        >>> samples_of(np.array([-1.0, 0.0, 2.0])).tolist()
        [0, 128, 255]
    """
    found: NDArray[np.uint8] = np.rint(np.clip((pictures + 1) * 127.5, 0, 255)).astype(np.uint8)
    return found
