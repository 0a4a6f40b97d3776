"""Sheets of pictures beside their true masks and what a network makes of them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cnntool.data.dataset import Split
from cnntool.data.masks import IGNORED
from cnntool.predict import metrics
from cnntool.predict.classifier import Classifier
from cnntool.report.class_colours import overlaid, painted
from cnntool.report.grids import grid, planes_to_pixels
from cnntool.report.lettering import drawable


def mask_sheet(
    classify: Classifier, split: Split, chosen: Sequence[int], classes: Sequence[str]
) -> NDArray[np.uint8]:
    """One row a picture: the picture, its true classes, those of the network, and these over it.

    Args:
        classify: The network.
        split: Pictures with masks.
        chosen: Numbers of those that are shown.
        classes: Names.

    Shape:
        (H', W', 3).
    """
    pictures, captions = [], []
    for number in chosen:
        image, truth = split.images[number], split.labels[number]
        logits = classify(np.ascontiguousarray(image[..., None]))[..., 0]
        found = logits.argmax(axis=0).astype(np.uint8)
        counts = truth != IGNORED
        counted = metrics.confusion_matrix(truth[counts], found[counts], len(classes))
        overlap = metrics.mean_of_classes(metrics.iou(counted))
        shown = planes_to_pixels(image)
        pictures += [shown, painted(truth.astype(np.uint8)), painted(found), overlaid(shown, found)]
        name = os.path.basename(split.paths[number]) if split.paths else f"picture {number}"
        captions += [drawable(name), "truth", "network", f"IoU {overlap:.2f}"]
    return grid(pictures, captions=captions, columns=4)


def some(count: int, most: int) -> list[int]:
    """Numbers at equal distances, at most so many.

    Example:
        >>> some(100, 4), some(2, 4)
        ([0, 25, 50, 75], [0, 1])
    """
    return [n * count // most for n in range(most)] if count > most else list(range(count))
