"""What every source of labelled pictures becomes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import InputError


@dataclass(frozen=True, eq=False)
class Split:
    """Pictures with their classes.

    Attributes:
        images: (M, C, H, W), 0..255.
        labels: (M,), class numbers from 0. In a data set for segmentation (M, H, W) uint8, the
            class of each pixel, or 255 for none.
        paths: Where each picture came from; empty if they are not files.
        vectors: (M, K), numbers that come with each picture, such as a caption's embedding; None
            if none do.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    paths: tuple[str, ...] = ()
    vectors: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, numbers: NDArray[np.int64] | slice) -> Split:
        """Some of them."""
        chosen = np.arange(len(self))[numbers]
        paths = tuple(self.paths[n] for n in chosen) if self.paths else ()
        vectors = None if self.vectors is None else self.vectors[numbers]
        return Split(self.images[numbers], self.labels[numbers], paths, vectors)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled pictures of one size.

    Attributes:
        name: What it is called: ``mnist``, or a folder's name.
        classes: Names of the classes, in the order of their numbers.
        train: What to learn from.
        test: What is never used to choose anything; None if there is none.
        validation: What choices may look at; None if there is none.
        color: ``gray`` or ``rgb``.
        fit: How pictures of other sizes were brought to this one: ``stretch crop pad``; empty if
            none was.
        background: What surrounds pictures where ``fit`` is ``pad``, from 0, black, to 1, white.
        fingerprint: SHA-256 over pictures, labels and class names of all parts, 64 hex digits.
        notes: What a person should know before training: sizes and modes found, bad files.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split | None = None
    validation: Split | None = None
    color: str = "gray"
    fit: str = ""
    background: float = 0.0
    fingerprint: str = ""
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every picture."""
        _, c, h, w = self.train.images.shape
        return c, h, w

    @property
    def segments(self) -> bool:
        """Whether every pixel has a class, not every picture."""
        return self.train.labels.ndim > 1

    def part(self, name: str) -> Split:
        """``train``, ``validation`` or ``test``.

        Raises:
            InputError: It has no such part.
        """
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        found = parts.get(name)
        if found is None:
            known = ", ".join(key for key, value in parts.items() if value is not None)
            raise InputError(f"'{self.name}' has no {name} part; it has {known}")
        return found
