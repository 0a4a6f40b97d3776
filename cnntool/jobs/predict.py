"""``predict``: files decoded side by side, their pictures classified in rounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.folder.job import Done, Item
from cnntool.images.reading import opened
from cnntool.predict.classifier import Classifier
from cnntool.predict.preprocess import Preprocessor

DIGITS = 4
"""Decimals of a score: those that rounding on the way cannot change."""

_BUFFERS = 2  # copies in floats of a picture on its way to the input's size, for the memory limit


def columns(top: int | None) -> tuple[str, ...]:
    """Of the rows; ``rank`` where labels were counted.

    Args:
        top: Labels of each picture, if that was asked for.

    Example:
        >>> columns(None)
        ('path', 'label', 'score')
    """
    return ("path", "label", "score", *(("rank",) if top is not None else ()))


@dataclass(frozen=True, kw_only=True)
class DecodeJob:
    """Reads a picture and brings it to the size and colour of a network's input.

    Its row has ``path`` and ``image``, the samples (C, H, W).

    Attributes:
        preprocess: Size, colour and fit.
        limits: Profile of limits for reading.
        invert: Whether negatives are taken.
    """

    preprocess: Preprocessor
    limits: str = "normal"
    invert: bool = False

    def outputs(self, item: Item) -> tuple[str, ...]:
        """No file: rows go where the table goes."""
        return ()

    def __call__(self, item: Item) -> Done:
        """Read and fit; say if it is unlike what the network has learned from."""
        with opened(item.path, limits=self.limits, kernels=_BUFFERS) as picture:
            image = self.preprocess.from_picture(picture, invert=self.invert)
            notes = picture.notes
        unlike = self.preprocess.unlike_training(image, inverted=self.invert)
        return Done(
            rows=({"path": item.path, "image": image},), notes=(*notes, unlike) if unlike else notes
        )


class Answers:
    """Collects pictures until there is work for all workers, and gives rows in their order.

    No picture is forgotten if a signal or an error comes in between: :meth:`finish` does what is
    left.

    Args:
        classify: The network.
        classes: Names of its classes.
        top: Labels of each picture; None gives one and no rank.
        emit: Gets each row.
    """

    def __init__(
        self,
        classify: Classifier,
        classes: tuple[str, ...],
        *,
        top: int | None,
        emit: Callable[[Mapping[str, object]], None],
    ) -> None:
        self._classify, self._classes, self._top, self._emit = classify, classes, top, emit
        self._waiting: list[tuple[str, NDArray[np.uint8]]] = []
        self._rows: deque[dict[str, object]] = deque()

    def add(self, row: Mapping[str, Any]) -> None:
        """Take the row of a :class:`DecodeJob`."""
        self._waiting.append((row["path"], row["image"]))
        if len(self._waiting) >= self._classify.round:
            self.finish()

    def finish(self) -> None:
        """Give the rows of all pictures so far."""
        self._give()
        if self._waiting:
            images = np.stack([image for _, image in self._waiting], axis=3)
            shares = self._classify.scores(self._classify(images))
            columns = zip(self._waiting, shares.T, strict=True)
            rows = deque(row for (path, _), column in columns for row in self._of(path, column))
            # one statement, in which no signal comes
            self._rows, self._waiting = rows, []
            self._give()

    def _give(self) -> None:
        while self._rows:
            self._emit(self._rows.popleft())

    def _of(self, path: str, shares: NDArray[np.float64]) -> list[dict[str, object]]:
        """Rows of one picture, the best label first; of equal shares the smaller number."""
        order = np.argsort(-shares, kind="stable")[: self._top or 1]
        rows: list[dict[str, object]] = [
            {"path": path, "label": self._classes[k], "score": round(float(shares[k]), DIGITS)}
            for k in order
        ]
        if self._top is not None:
            for rank, row in enumerate(rows, start=1):
                row["rank"] = rank
        return rows
