"""The binary files of CIFAR-10: a byte of the label, then 3 x 32 x 32 samples, for each picture.

The other form in which CIFAR comes is Python pickles, which can run code; it is never read.

Reference:
    A. Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images; the layout is on
    https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version".
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from cnntool.data.dataset import Dataset, Split
from cnntool.data.known import KNOWN
from cnntool.errors import ModelFileError
from cnntool.files import quote

*TRAIN, TEST = KNOWN["cifar10"].members
RECORDS = 10_000
"""Pictures in each of the six files."""

SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
"""Bytes of a picture with its label."""

PICKLES = ("data_batch_1", "test_batch")
"""Files of the form that is not read."""


def load_cifar(folder: str) -> Dataset:
    """The six files in ``folder``: 50 000 pictures to learn from, 10 000 to test with.

    Raises:
        ModelFileError: A file is missing or damaged.
    """
    images = np.empty((len(TRAIN) * RECORDS, *SHAPE), np.uint8)
    labels = np.empty(len(images), np.int64)
    for number, name in enumerate(TRAIN):
        rows = slice(number * RECORDS, (number + 1) * RECORDS)
        _read(os.path.join(folder, name), images[rows], labels[rows])
    test = Split(np.empty((RECORDS, *SHAPE), np.uint8), np.empty(RECORDS, np.int64))
    _read(os.path.join(folder, TEST), test.images, test.labels)
    return Dataset(
        os.path.basename(os.path.abspath(folder)),
        KNOWN["cifar10"].classes,
        Split(images, labels),
        test,
        color="rgb",
    )


def _read(path: str, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    size = RECORDS * RECORD
    try:
        with open(path, "rb", buffering=0) as file:
            records = np.fromfile(file, np.uint8, size + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ModelFileError(f"{quote(path)}: cannot be read: {reason}", path=path) from error
    if len(records) != size:
        more = "more than that" if len(records) > size else f"{len(records)}"
        raise ModelFileError(f"{quote(path)}: {size} bytes expected, {more} found", path=path)
    records = records.reshape(RECORDS, RECORD)
    highest = int(records[:, 0].max())
    if highest > 9:
        raise ModelFileError(
            f"{quote(path)}: label {highest} is out of range: 10 classes are 0 to 9", path=path
        )
    labels[:] = records[:, 0]
    images.reshape(RECORDS, -1)[:] = records[:, 1:]
