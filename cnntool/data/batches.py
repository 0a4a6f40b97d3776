"""Batches (C, H, W, B) of a part, in an order that follows from seed and epoch alone.

Which picture comes when is a function of (count, seed, epoch), never of what was drawn before. So
an epoch can be begun anywhere, and a training that is continued sees the same batches as one that
was never stopped.

A batch is gathered row by row and then turned in one copy, because the engine keeps the batch in
the last axis. 128 pictures of MNIST take 0.04 ms on one core, of a training step of a few ms, so no
thread works ahead: with two it would take its time from the workers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cnntool.data.dataset import Split
from cnntool.errors import OptionError


def order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The pictures of an epoch, (count,): a permutation of 0 … count - 1.

    Args:
        count: Pictures.
        seed: At least 0.
        epoch: From 0.

    Reference:
        O'Neill 2014, PCG; the seeds are spread by NumPy's SeedSequence.

    Example:
        >>> order(6, seed=1, epoch=0).tolist(), order(6, seed=1, epoch=1).tolist()
        ([4, 0, 2, 1, 5, 3], [1, 4, 0, 3, 2, 5])
    """
    sequence = np.random.SeedSequence([seed, epoch])
    permutation = np.random.Generator(np.random.PCG64(sequence)).permutation(count)
    return permutation.astype(np.int64, copy=False)


class Batches:
    """Batches of a part.

    Args:
        split: The part. Its pictures are read in place, never copied as a whole.
        batch_size: Pictures in a batch, at least 1.
        seed: Of the order; None keeps the pictures in theirs.
        keep_last: Whether a last batch of fewer pictures is given.

    Raises:
        OptionError: The size is below 1, or it is larger than the part and nothing would be left.

    Example:
        >>> split = Split(np.zeros((5, 1, 3, 4), np.uint8), np.arange(5))
        >>> [labels.tolist() for _, labels in Batches(split, 2, None).epoch(0)]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self, split: Split, batch_size: int, seed: int | None = 0, *, keep_last: bool = True
    ) -> None:
        if batch_size < 1:
            raise OptionError(f"a batch of {batch_size} pictures; at least 1 is needed")
        if not keep_last and batch_size > len(split):
            raise OptionError(
                f"a batch of {batch_size} pictures is more than the {len(split)} that there are"
            )
        self.split, self.batch_size, self.seed = split, batch_size, seed
        self.keep_last = keep_last
        self._rows = np.ascontiguousarray(split.images).reshape(len(split), -1)

    def __len__(self) -> int:
        """Batches of an epoch."""
        whole, rest = divmod(len(self.split), self.batch_size)
        return whole + (1 if rest and self.keep_last else 0)

    def epoch(
        self, number: int, start: int = 0
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """The batches of one epoch, from the batch ``start`` on.

        Args:
            number: Of the epoch, from 0.
            start: Batches to leave out, from 0 to ``len(self)``.

        Yields:
            Pictures (C, H, W, B) uint8, contiguous, and labels (B,); new arrays each time.
        """
        if self.seed is None:
            numbers = np.arange(len(self.split))
        else:
            numbers = order(len(self.split), self.seed, number)
        for place in range(start, len(self)):
            yield self.take(numbers[place * self.batch_size : (place + 1) * self.batch_size])

    def take(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The pictures of these numbers as one batch.

        Shape:
            (B,) -> (C, H, W, B) and (B,); masks (H, W) of each picture become (H, W, B).
        """
        rows = self._rows[numbers]  # B, C·H·W
        batch = np.ascontiguousarray(rows.T)
        labels = self.split.labels[numbers]
        if labels.ndim > 1:
            labels = np.ascontiguousarray(np.moveaxis(labels, 0, -1))
        return batch.reshape(*self.split.images.shape[1:], len(numbers)), labels
