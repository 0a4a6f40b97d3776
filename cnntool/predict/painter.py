"""Generators that make pictures of pictures: larger ones, coloured ones, filled ones.

What a generator of convolutions learned on small pictures it does to larger ones too, tile by tile.
A gap in the middle it fills in pictures of its own size alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnntool.data.fitting import fitted, framed
from cnntool.errors import SpecError
from cnntool.images.picture import Picture
from cnntool.nn.facts import times
from cnntool.nn.gan_inputs import generator_input, joined
from cnntool.nn.network import Network
from cnntool.predict.conditions import enlarged, grey, without_middle
from cnntool.predict.generator import Generator, samples_of
from cnntool.predict.tiles import of_size, tiled

SIDE = 128
"""Rows and columns of tiles, where a picture is larger than those that the generator knows."""


class Painter:
    """A generator whose condition is a picture, ready for pictures.

    Args:
        generator: Of one of :data:`cnntool.nn.gan_spec.PICTURE_CONDITIONS`.
        seed: Of random maps, if it takes any.
    """

    def __init__(self, generator: Generator, seed: int = 0) -> None:
        self.generator, self.seed = generator, seed
        self.condition = generator.generation.condition
        self._known: Network = generator.networks[0]
        self._tile: Network | None = None

    @property
    def channels(self) -> int:
        """Of the pictures that it makes."""
        return self.generator.shape[0]

    @property
    def factor(self) -> int:
        """How many times larger its pictures are."""
        return 2 if self.condition == "superres" else 1

    def paint(self, picture: Picture, notes: list[str]) -> NDArray[np.uint8]:
        """What it makes of a picture: (H, W) or (H, W, 3).

        Args:
            picture: Any; ``superres`` makes both sides twice as long.
            notes: Gets what a person should know.

        Raises:
            InputError: It has a strange number of channels, or holds NaN.
        """
        gray = self.channels == 1 or self.condition == "colorize"
        size = picture.pixels.shape[:2]
        _, rows, columns = self._known.input
        most = rows // self.factor, columns // self.factor
        whole = size[0] <= most[0] and size[1] <= most[1]
        tile = None if whole or self.condition == "inpaint" else self._tiles()
        small = tile is None and (size != most if self.condition == "inpaint" else not whole)
        if small:
            notes.append(
                f"brought from {times(size)} to {times(most)}, the size that this model knows"
            )
        pixels = fitted(picture, gray=gray, size=most if small else None, fit="stretch")
        samples = framed(pixels, 1 if gray else 3).astype(np.float32) / np.float32(127.5) - 1
        context = self._context(samples[..., None])[..., 0]
        network = self._known if tile is None else tile
        _, rows, columns = network.input
        made = tiled(context, (rows, columns), lambda tiles: self._made(network, tiles))
        found = samples_of(made)
        return found[0] if len(found) == 1 else np.ascontiguousarray(found.transpose(1, 2, 0))

    def _context(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.condition == "superres":
            found: NDArray[np.float32] = enlarged(samples)
        elif self.condition == "colorize":
            found = samples if len(samples) == 1 else grey(samples)
        else:
            found = without_middle(samples)
        return found

    def _made(self, network: Network, context: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pictures (C, h, w, N) of contexts."""
        device, latent = self.generator.device, self.generator.generation.latent
        put, noise = device.to_device(np.ascontiguousarray(context)), None
        if latent:
            stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed)))
            maps = (latent, *context.shape[1:])
            noise = device.to_device(stream.standard_normal(maps, dtype=np.float32))
        x = generator_input(noise, put, None)
        found: NDArray[np.float32] = device.to_host(
            joined(network.predict(x), put, self.generator.joins[0])
        )
        return found

    def _tiles(self) -> Network | None:
        """The network for tiles; None if it has weights for pictures of its own size alone."""
        if self._tile is None:
            maps = self._known.input[0]
            try:
                found = of_size(self._known, (maps, SIDE, SIDE))
            except SpecError:
                return None
            if found.output[1:] != (SIDE, SIDE):
                return None
            self._tile = found
        return self._tile
