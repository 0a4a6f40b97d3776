"""From stored pictures to a network's input in training: random changes, then as in prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool.augment.augmentation import Augmentation
from cnntool.backend import Array
from cnntool.data.dataset import Dataset
from cnntool.data.masks import IGNORED
from cnntool.nn.saved_model import Preprocessing
from cnntool.predict.preprocess import Preprocessor
from cnntool.train.options import Options

SAMPLE = 10_000
"""Pictures, evenly spaced, that mean and spread are taken from."""


@dataclass(frozen=True)
class Preparation:
    """What is done to pictures before the network sees them.

    Attributes:
        preprocessor: What prediction does too.
        augmentation: Random changes in training; None if there are none.
        seed: Of these.
        of_pixels: Whether labels are classes of pixels.
    """

    preprocessor: Preprocessor
    augmentation: Augmentation | None = None
    seed: int = 0
    of_pixels: bool = False

    @classmethod
    def of(cls, dataset: Dataset, options: Options) -> Preparation:
        """For a data set: every channel to mean 0 and spread 1 over the training pictures.

        A model that is trained further keeps its own.
        """
        augmentation = Augmentation.parse(options.augment) if options.augment else None
        if options.preprocessing is not None:
            kept: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in options.preprocessing.items()
            }
            preprocessor = Preprocessor(Preprocessing(**kept), dataset.shape[1:])
            return cls(preprocessor, augmentation, options.seed, dataset.segments)
        images = dataset.train.images
        values = images[:: max(1, len(images) // SAMPLE)].astype(np.float32)
        mean = values.mean(axis=(0, 2, 3), dtype=np.float64) / 255
        std = values.std(axis=(0, 2, 3), dtype=np.float64) / 255
        preprocessing = Preprocessing(
            color=dataset.color,
            fit=dataset.fit or options.fit,
            mean=tuple(round(float(m), 4) for m in mean),
            std=tuple(max(round(float(s), 4), 1e-3) for s in std),
            background=dataset.background,
            brightness=round(float(mean.mean()), 4),
        )
        preprocessor = Preprocessor(preprocessing, dataset.shape[1:])
        return cls(preprocessor, augmentation, options.seed, dataset.segments)

    def picture(self, x: Array) -> Array:
        """Pictures (C, H, W, N), 0..255, as prediction prepares them."""
        return self.preprocessor.prepare(x)

    @property
    def moves_labels(self) -> bool:
        """Whether the classes of pixels move with the pictures."""
        return self.of_pixels and self.augmentation is not None and self.augmentation.moves

    def batch(
        self, x: Array, labels: Array, step: int, offset: int, total: int
    ) -> tuple[Array, Array]:
        """Part of a training batch; see :data:`cnntool.nn.step.Prepare`."""
        if self.augmentation is not None:
            change, seed = self.augmentation, self.seed
            if self.moves_labels:
                x, moved = change.apply_with_masks(
                    x, labels[None], seed=seed, step=step, offset=offset, total=total,
                    ignore=IGNORED,
                )  # fmt: skip
                labels = moved[0]
            else:
                x = change.apply(x, seed=seed, step=step, offset=offset, total=total)
        return self.preprocessor.prepare(x), labels
