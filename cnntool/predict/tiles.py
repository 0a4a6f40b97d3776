"""Networks that slide over a picture in tiles.

Tiles overlap, and what a network says of them is mixed: nearly nothing at their edges, where it
sees least, and most in their middles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import SpecError
from cnntool.nn.facts import times
from cnntool.nn.network import Network
from cnntool.nn.shapes import trace

OVERLAP = 4
"""Neighbouring tiles share one part in so many."""

Maps = NDArray[np.float32]


def tiled(
    image: NDArray[Any],
    size: tuple[int, int],
    apply: Callable[[NDArray[Any]], Maps],
    together: int = 1,
) -> Maps:
    """What a network makes of a picture, tile by tile.

    Args:
        image: (C, H, W); what is smaller than a tile is continued by its edges.
        size: Rows and columns of a tile.
        apply: (C, *size, N) -> (K, *size, N), for at most ``together`` tiles.
        together: Tiles that go through the network at once.

    Shape:
        (K, H, W).

    Example:
        >>> image = np.arange(24.0, dtype=np.float32).reshape(1, 4, 6)
        >>> np.allclose(tiled(image, (3, 4), lambda tiles: 2 * tiles), 2 * image)
        True
    """
    rows, columns = image.shape[1:]
    more = [(0, 0), (0, max(0, size[0] - rows)), (0, max(0, size[1] - columns))]
    if max(map(sum, more)):
        image = np.pad(image, more, mode="edge")
    places = [
        np.s_[row : row + size[0], column : column + size[1]]
        for row in _starts(image.shape[1], size[0])
        for column in _starts(image.shape[2], size[1])
    ]
    weight = _ramp(size[0])[:, None] * _ramp(size[1])
    total: Maps | None = None
    weights = np.zeros(image.shape[1:], np.float32)
    for first in range(0, len(places), together):
        some = places[first : first + together]
        found = apply(np.stack([image[:, *place] for place in some], axis=3))
        if total is None:
            total = np.zeros((len(found), *image.shape[1:]), np.float32)
        for number, place in enumerate(some):
            total[:, *place] += found[..., number] * weight
            weights[place] += weight
    assert total is not None
    total /= weights
    return total[:, :rows, :columns]


def of_size(network: Network, shape: tuple[int, int, int]) -> Network:
    """The same network for pictures of another size, on the same device.

    Args:
        network: Of convolutions.
        shape: (C, H, W) of its new input.

    Raises:
        SpecError: Its layers do not fit, or it has weights for pictures of one size alone.
    """
    trace(network.chain, shape)
    other = Network(network.chain, shape, device=network.device)
    if any(
        tuple(value.shape) != tuple(network.tensors[key].shape)
        for key, value in other.tensors.items()
    ):
        raise SpecError(
            f"the network has weights for pictures of {times(network.input)} alone; tiles need a "
            "network of convolutions"
        )
    other.load(network.state())
    return other


def _ramp(side: int) -> Maps:
    """What the lines of a tile count.

    Example:
        >>> _ramp(9).tolist()
        [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0]
    """
    ramp = np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1))
    return np.minimum(ramp, max(1, side // OVERLAP)).astype(np.float32)


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
