"""Data sets that are made, not collected: pictures with a class for every pixel, known exactly.

Each picture follows from the seed, the part and its number alone, so a part that is made longer
begins as the shorter one did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cnntool.data.made import digit_scenes, shapes
from cnntool.errors import NameNotFound

Pixels = NDArray[np.uint8]
Maker = Callable[[np.random.Generator, tuple[int, int]], tuple[Pixels, Pixels]]
"""(H, W) -> a picture (H, W, 3) and its mask (H, W)."""


@dataclass(frozen=True)
class Kind:
    """A kind of made data set.

    Attributes:
        name: What it is called.
        summary: One line about it.
        classes: Names of the classes, that of the background first.
        picture: Makes a picture and its mask.
    """

    name: str
    summary: str
    classes: tuple[str, ...]
    picture: Maker


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                "shapes",
                "overlapping ellipses, rectangles and triangles over textures",
                shapes.CLASSES,
                shapes.picture,
            ),
            Kind(
                "digit-scenes",
                "digits of MNIST over textures",
                digit_scenes.CLASSES,
                digit_scenes.picture,
            ),
        )
    }
)


def find(name: str) -> Kind:
    """The kind of a name.

    Raises:
        NameNotFound: There is none.

    Example:
        >>> find("shapes").classes
        ('background', 'ellipse', 'rectangle', 'triangle')
    """
    if name not in KINDS:
        raise NameNotFound.among("kind of data", name, KINDS)
    return KINDS[name]


def made(
    kind: Kind, size: tuple[int, int], *, seed: int, part: int, number: int
) -> tuple[Pixels, Pixels]:
    """One picture and its mask.

    Args:
        kind: What is made.
        size: Rows and columns.
        seed: At least 0.
        part: Of the data set, from 0.
        number: Of the picture in its part, from 0.

    Example:
        >>> image, mask = made(find("shapes"), (24, 32), seed=1, part=0, number=7)
        >>> image.shape, mask.shape, mask.max() < 4
        ((24, 32, 3), (24, 32), np.True_)
    """
    sequence = np.random.SeedSequence([seed, part, number])
    return kind.picture(np.random.Generator(np.random.PCG64(sequence)), size)
