"""A network that tells the class of every pixel, applied to pictures of any size.

Either the whole picture is brought to the size of the network's input, as in training, and the
shares of the classes back to the picture's; or the network slides over the picture at its own size,
tile by tile. Tiles overlap, and what they say is mixed: nearly nothing at their edges, where a
network sees least, and most in their middles.
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
from cnntool.nn.shapes import trace
from cnntool.predict.classifier import Classifier
from cnntool.predict.model import TrainedModel
from cnntool.predict.preprocess import Preprocessor

OVERLAP = 4
"""Neighbouring tiles share one part in so many."""

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
        rows, columns = image.shape[1:]
        more = [(0, 0), (0, max(0, side - rows)), (0, max(0, side - columns))]
        if max(map(sum, more)):
            image = np.pad(image, more, mode="edge")
        places = [
            (row, column)
            for row in _starts(image.shape[1], side)
            for column in _starts(image.shape[2], side)
        ]
        ramp = np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1))
        ramp = np.minimum(ramp, max(1, side // OVERLAP)).astype(np.float32)
        weight = ramp[:, None] * ramp
        total: Shares | None = None
        weights = np.zeros(image.shape[1:], np.float32)
        step = self._classify.round
        for first in range(0, len(places), step):
            some = places[first : first + step]
            tiles = [image[:, row : row + side, column : column + side] for row, column in some]
            shares = self._told(np.stack(tiles, axis=3))
            if shares.shape[1:3] != (side, side):
                shares = np.stack(
                    [_stretched(shares[..., n], (side, side)) for n in range(len(some))], axis=3
                )
            if total is None:
                total = np.zeros((len(shares), *image.shape[1:]), np.float32)
            for number, (row, column) in enumerate(some):
                place = np.s_[row : row + side, column : column + side]
                total[:, place[0], place[1]] += shares[..., number] * weight
                weights[place] += weight
        assert total is not None
        total /= weights
        return total[:, :rows, :columns]


def _of_size(model: TrainedModel, side: int) -> Network:
    """The same network for squares of another size."""
    network, shape = model.network, (model.preprocess.how.channels, side, side)
    name = f"--tile {side}"
    try:
        output = trace(network.chain, shape).output
        other = Network(network.chain, shape, device=network.device)
    except SpecError as error:
        raise OptionError(f"{name} does not fit the network: {error.message}") from error
    if any(
        tuple(value.shape) != tuple(network.tensors[key].shape)
        for key, value in other.tensors.items()
    ):
        raise OptionError(
            f"{name}: the network has weights for pictures of {times(network.input)} alone; tiles "
            "need a network of convolutions"
        )
    if len(output) != 3:
        raise ShapeError(f"the network gives {times(output)}, no maps")
    other.load(network.state())
    return other


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin along a side: equal steps, the last one ends with it.

    Example:
        >>> _starts(100, 64), _starts(64, 64)
        ([0, 36], [0])
    """
    count = 1 + -(-(length - side) // max(1, side - side // OVERLAP))
    if count == 1:
        return [0]
    return [(length - side) * n // (count - 1) for n in range(count)]


def _stretched(shares: Shares, size: tuple[int, int]) -> Shares:
    """(K, h, w) -> (K, *size), with straight lines between samples."""
    if shares.shape[1:] == size:
        return shares
    planes = [resized(Picture(np.ascontiguousarray(plane)), size).pixels for plane in shares]
    return np.stack(planes).astype(np.float32)
