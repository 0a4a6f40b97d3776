"""A network that tells the class of every pixel, applied to pictures of any size.

Either the whole picture is brought to the size of the network's input, as in training, and the
shares of the classes back to the picture's; or the network slides over the picture at its own size,
tile by tile (:mod:`cnntool.predict.tiles`).
"""

from __future__ import annotations

from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from cnntool.data.fitting import fitted, framed, placement
from cnntool.data.masks import IGNORED
from cnntool.errors import OptionError, ShapeError, SpecError
from cnntool.images.picture import Picture
from cnntool.images.resizing import resized
from cnntool.nn.facts import times
from cnntool.nn.network import Network
from cnntool.predict.classifier import Classifier
from cnntool.predict.model import TrainedModel
from cnntool.predict.preprocess import Preprocessor
from cnntool.predict.tiles import of_size, tiled

Shares = NDArray[np.float32]


class Segmenter:
    """A model that segments, ready for pictures.

    Args:
        model: The model.
        tile: Rows and columns of a tile; None brings whole pictures to the network's size.
        threads: Workers that share tiles, or the work on one picture.

    Raises:
        OptionError: The network cannot have tiles of this size.
    """

    def __init__(self, model: TrainedModel, *, tile: int | None = None, threads: int = 1) -> None:
        self.model, self.tile = model, tile
        network, preprocess = model.network, model.preprocess
        if tile is not None:
            network = _of_size(model, tile)
            preprocess = Preprocessor(preprocess.how, (tile, tile))
        self.preprocess = preprocess
        self._classify = Classifier(network, preprocess, threads=1 if tile is None else threads)

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Send the workers home."""
        self._classify.close()

    def start(self) -> None:
        """Make the workers now, before this process has other threads."""
        self._classify.start()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.model.classes

    def shares(
        self, picture: Picture, *, invert: bool = False
    ) -> tuple[Shares, NDArray[np.bool_] | None]:
        """How likely each class is at each pixel.

        Args:
            picture: Any picture.
            invert: Whether its negative is taken.

        Returns:
            Shares (K, H, W) of the picture's size, which sum to 1; and where the network has seen
            nothing, (H, W) booleans, or None: beyond what ``crop`` cuts off.

        Raises:
            InputError: It has a strange number of channels, or holds NaN.
        """
        if self.tile is not None:
            return self._tiled(picture, invert), None
        image = self.preprocess.from_picture(picture, invert=invert)
        found = self._told(image[..., None])[..., 0]
        return self._back(found, picture.pixels.shape[:2])

    def labels(self, picture: Picture, *, invert: bool = False) -> NDArray[np.uint8]:
        """The most likely class of each pixel, (H, W); 255 where the network has seen nothing."""
        shares, unseen = self.shares(picture, invert=invert)
        found: NDArray[np.uint8] = shares.argmax(axis=0).astype(np.uint8)
        if unseen is not None:
            found[unseen] = IGNORED
        return found

    def _told(self, images: NDArray[np.uint8]) -> Shares:
        """Shares (K, h, w, N) for samples (C, h, w, N), of the input's size."""
        shares = self._classify.scores(self._classify(images)).astype(np.float32)
        return shares

    def _back(
        self, shares: Shares, size: tuple[int, int]
    ) -> tuple[Shares, NDArray[np.bool_] | None]:
        """Shares of the fitted picture as those of the picture itself."""
        fit, input_size = self.preprocess.how.fit, self.preprocess.size
        top, left, height, width, made, (down, right) = placement(*size, input_size, fit)
        if shares.shape[1:] != input_size:
            shares = _stretched(shares, input_size)
        # without the frame that pad gave it
        shares = shares[:, down : down + made[0], right : right + made[1]]
        part = _stretched(shares, (height, width))
        if (height, width) == size:
            return part, None
        whole = np.zeros((len(part), *size), np.float32)
        whole[:, top : top + height, left : left + width] = part
        unseen = np.ones(size, bool)
        unseen[top : top + height, left : left + width] = False
        return whole, unseen

    def _tiled(self, picture: Picture, invert: bool) -> Shares:
        """Shares from overlapping tiles."""
        assert self.tile is not None
        side, how = self.tile, self.preprocess.how
        pixels = fitted(picture, gray=how.channels == 1, size=None, fit=how.fit)
        if invert:
            pixels = 255 - pixels
        image = framed(pixels, how.channels)
        return tiled(image, (side, side), self._of_tiles, self._classify.round)

    def _of_tiles(self, tiles: NDArray[np.uint8]) -> Shares:
        """Shares (K, side, side, N) of tiles (C, side, side, N)."""
        shares, size = self._told(tiles), tiles.shape[1:3]
        if shares.shape[1:3] != size:
            parts = [_stretched(shares[..., n], size) for n in range(shares.shape[3])]
            shares = np.stack(parts, axis=3)
        return shares


def _of_size(model: TrainedModel, side: int) -> Network:
    """The same network for squares of another size."""
    try:
        found = of_size(model.network, (model.preprocess.how.channels, side, side))
    except SpecError as error:
        raise OptionError(f"--tile {side} does not fit the network: {error.message}") from error
    if len(found.output) != 3:
        raise ShapeError(f"the network gives {times(found.output)}, no maps")
    return found


def _stretched(shares: Shares, size: tuple[int, int]) -> Shares:
    """(K, h, w) -> (K, *size), with straight lines between samples."""
    if shares.shape[1:] == size:
        return shares
    planes = [resized(Picture(np.ascontiguousarray(plane)), size).pixels for plane in shares]
    return np.stack(planes).astype(np.float32)
