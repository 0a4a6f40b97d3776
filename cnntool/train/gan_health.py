"""What measured numbers tell of an adversarial training that goes wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLLAPSED = 0.35
"""Variety, as a share of that of real pictures, below which few modes are left."""

SURE = (0.97, 0.03)
"""Mean answers to real and made pictures of a discriminator that has won."""

WON = 2
"""Epochs in a row after which that is said."""


def spread(pictures: NDArray[np.uint8]) -> float:
    """How much pictures differ: the mean standard deviation of a pixel over them.

    Shape:
        (N, C, H, W).

    Example:
        >>> spread(np.zeros((3, 1, 2, 2), np.uint8))
        0.0
    """
    return float(pictures.astype(np.float32).std(axis=0).mean())


def wins(row: Mapping[str, Any], smoothing: float) -> bool:
    """Whether the discriminator told nearly all pictures apart in an epoch.

    Args:
        row: Of ``metrics.csv``.
        smoothing: How far below 1 its target for real pictures was.

    Example:
        >>> wins({"real": 0.9, "fake": 0.01}, 0.1), wins({"real": 0.9, "fake": 0.01}, 0)
        (True, False)
    """
    return bool(row["real"] > SURE[0] * (1 - smoothing) and row["fake"] < SURE[1])


def complaints(row: Mapping[str, Any], won: int, *, of_pictures: bool) -> Iterator[str]:
    """What to say after an epoch.

    Args:
        row: Of ``metrics.csv``.
        won: Epochs in a row in which the discriminator won, with this one.
        of_pictures: Whether pictures are made of pictures, and differ as these do.
    """
    if won == WON:
        yield (
            f"the discriminator wins: it is {row['real']:.0%} sure of real pictures and "
            f"{row['fake']:.0%} of made ones, and the generator learns little; a smaller --lr, "
            "--label-smoothing, or another --model may help"
        )
    if row["variety"] < COLLAPSED and not of_pictures and row["epoch"] > 1:
        yield (
            f"made pictures are alike: they differ {row['variety']:.0%} as much as real ones, so "
            "few modes are left; --seed, a smaller --lr or a condition may help"
        )
