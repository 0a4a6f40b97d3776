"""Logistic regression on histograms of gradients: what worked before networks did.

A linear classifier on features that a person thought of. It is fitted in seconds, has one best
solution and nothing random, and is what a network must beat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cnntool.data.dataset import Split
from cnntool.errors import InputError
from cnntool.filters.hog_batch import default_cell
from cnntool.geometry import pair
from cnntool.nn.saved_model import COLORS, HogFeatures, Preprocessing, SavedModel
from cnntool.predict.features import hog_features
from cnntool.train.logistic import fit_logistic

NAME = "hog-logreg"
"""What ``--model`` calls it."""

L2 = 0.005
"""Best for the digits of MNIST, measured on a sixth of the training pictures; so are the norm and
the signed gradients that :func:`fit` has by default. From 0.002 to 0.01 hardly anything changes."""

MAX_ITER = 100
"""Digits of MNIST need about 80 steps."""

Report = Callable[[str, int, int, float | None], object]
"""Gets the stage (``features`` or ``steps``), how many are done, of how many, and the loss."""


@dataclass(frozen=True, eq=False)
class Result:
    """A model and how it came about.

    Attributes:
        model: Ready to be saved.
        loss: Mean cross-entropy on the training pictures, with the regularisation.
        accuracy: Share of these that it tells rightly.
        iterations: Steps of the search.
        converged: Whether it ended because nothing was left to gain.
    """

    model: SavedModel
    loss: float
    accuracy: float
    iterations: int
    converged: bool


def fit(
    split: Split,
    classes: Sequence[str],
    *,
    cell: int | Sequence[int] | None = None,
    block: int | Sequence[int] = 2,
    orientations: int = 9,
    norm: str = "l2",
    signed: bool = True,
    sqrt: bool = False,
    l2: float = L2,
    max_iter: int = MAX_ITER,
    class_weight: Sequence[float] | None = None,
    preprocessing: Preprocessing | None = None,
    threads: int = 1,
    report: Report | None = None,
) -> Result:
    """A classifier of the pictures of a data set.

    All features are held in memory: 4·d·M bytes, 311 MB for the 60 000 digits of MNIST.

    Args:
        split: What to learn from.
        classes: Names of the classes, at least 2.
        cell: Rows and columns of a cell in pixels; about a seventh of the shorter side if left
            out: 4 for 28×28.
        block: Rows and columns of a block in cells.
        orientations: Bins of a histogram.
        norm: How blocks are normalised: 'l1', 'l1-sqrt', 'l2' or 'l2-hys'.
        signed: Whether rising and falling gradients differ. If not, a negative gets the same
            features as its picture.
        sqrt: Whether the root of the samples is taken first.
        l2: Strength of the regularisation, see :func:`cnntool.train.logistic.fit_logistic`.
        max_iter: Steps at most.
        class_weight: How much a picture of each class counts; all the same if left out.
        preprocessing: How pictures were made ready: its colour, fit, background and brightness are
            kept. If left out, they are told from the pictures themselves.
        threads: Threads that share the pictures in the search.
        report: Called as it goes on; the search ends where it answers True to a step.

    Raises:
        InputError: No pictures, or labels that are no classes.
        ShapeError: Pictures that hold no whole block.
        OptionError, NameNotFound: Options that make no sense.

    Example:
        >>> stripes = np.zeros((8, 1, 8, 8), np.uint8)
        >>> stripes[:4, :, ::4], stripes[4:, :, :, ::4] = 255, 255
        >>> split = Split(stripes, np.repeat([0, 1], 4))
        >>> result = fit(split, ("lying", "standing"), orientations=4)
        >>> result.accuracy, result.model.spec, result.model.features.cell
        (1.0, 'dense 2', (2, 2))
    """
    count, _, height, width = split.images.shape
    if not count:
        raise InputError("there are no pictures to learn from")
    rows, columns = pair(default_cell((height, width)) if cell is None else cell, "cell")
    down, across = pair(block, "block")
    wanted = HogFeatures(
        size=(height, width),
        orientations=orientations,
        cell=(rows, columns),
        block=(down, across),
        norm=norm,
        signed=signed,
        sqrt=sqrt,
    )
    images = split.images.transpose(1, 2, 3, 0)  # n c h w -> c h w n
    features = hog_features(wanted, images, progress=_stage(report, "features"))
    step = _step(report)
    found = fit_logistic(
        features,
        split.labels,
        len(classes),
        l2=l2,
        max_iter=max_iter,
        class_weight=class_weight,
        threads=threads,
        report=step,
    )
    scores = found.weight @ features + found.bias[:, None]
    right = int(np.count_nonzero(scores.argmax(axis=0) == split.labels))
    model = SavedModel(
        spec=f"dense {len(classes)}",
        input=(len(features),),
        tensors={"0.dense.weight": found.weight, "0.dense.bias": found.bias},
        classes=tuple(classes),
        preprocessing=_preprocessing(split, preprocessing),
        features=wanted,
        name=NAME,
    )
    return Result(model, found.loss, right / count, found.iterations, found.converged)


def _preprocessing(split: Split, given: Preprocessing | None) -> Preprocessing:
    """How pictures are made ready; their samples stay as they are."""
    channels = split.images.shape[1]
    if given is None:
        modes = {number: color for color, number in COLORS.items()}
        brightness = split.images.mean(dtype=np.float64) / 255
        given = Preprocessing(color=modes[channels], brightness=round(float(brightness), 4))
    return replace(given, scale=1.0, mean=(0.0,) * channels, std=(1.0,) * channels)


def _stage(report: Report | None, stage: str) -> Callable[[int, int], object] | None:
    if report is None:
        return None
    return lambda done, total: report(stage, done, total, None)


def _step(report: Report | None) -> Callable[[int, int, float], object] | None:
    if report is None:
        return None
    return lambda done, total, loss: report("steps", done, total, loss)
