"""Names of the numbers that tell how good a model is; nothing here loads NumPy."""

from __future__ import annotations

import re

from cnntool.errors import NameNotFound

CLASS_COLUMNS = ("label", "precision", "recall", "f1", "support")
"""Of the table of classes."""

MEANS = ("precision", "recall", "f1")
"""What is also told as the mean over all classes, each counting alike."""

PIXEL_COLUMNS = ("label", "iou", "dice", "precision", "recall", "pixels")
"""Of the table of classes, where every pixel has one."""

PIXEL_MEASURES = ("accuracy", "mean-iou", "dice")
"""Names of numbers about pixels that are better when they are higher."""

_TOP = re.compile(r"top-([1-9][0-9]{0,5})", re.ASCII)


def check_measure(name: str) -> int:
    """Accept the name of a number that is better when it is higher.

    Args:
        name: ``accuracy``, ``top-K``, or one of :data:`MEANS`.

    Returns:
        The K of ``top-K``; 0 for the others.

    Raises:
        NameNotFound: There is no such number.

    Example:
        >>> check_measure("accuracy"), check_measure("top-5")
        (0, 5)
    """
    if name == "accuracy" or name in MEANS:
        return 0
    if match := _TOP.fullmatch(name):
        return int(match[1])
    raise NameNotFound.among("measure", name, ("accuracy", *MEANS, "top-2", "top-5"))


def check_pixel_measure(name: str) -> None:
    """Accept the name of a number about pixels.

    Raises:
        NameNotFound: There is no such number.
    """
    if name not in PIXEL_MEASURES:
        raise NameNotFound.among("measure", name, PIXEL_MEASURES)
