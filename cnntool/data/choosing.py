"""Some of many pictures, so that every class keeps its share; the same seed, the same choice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LIMIT, _VALIDATION = 1, 2  # so that both choices of one seed are independent


def limited(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Numbers of ``count`` pictures, in order; all of them if there are no more.

    Args:
        labels: (M,), class of each picture.
        count: How many are wanted, >= 0.
        seed: >= 0.

    Example:
        >>> limited(np.array([0, 0, 0, 0, 1, 1]), 3, seed=0).tolist()
        [0, 3, 5]
    """
    return _chosen(labels, min(count, len(labels)), seed, _LIMIT)


def held_out(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Which pictures are held out: the nearest number to ``share`` of all, (M,).

    Every class keeps at least one picture that is not held out.

    Args:
        labels: (M,), class of each picture.
        share: At least 0, less than 1.
        seed: >= 0.
    """
    held = np.zeros(len(labels), np.bool_)
    held[_chosen(labels, round(share * len(labels)), seed, _VALIDATION, spare=1)] = True
    return held


def shares(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """``count`` shared out in proportion to ``sizes``, none above its size.

    Fractions are rounded down; what is left over goes to the largest fractions, the first of equal
    ones.

    Example:
        >>> shares(np.array([50, 30, 21]), 10).tolist()
        [5, 3, 2]
    """
    total = int(sizes.sum())
    count = min(count, total)
    if not count:
        return np.zeros(len(sizes), np.int64)
    # whole numbers of any size: the same answer on every machine
    exact = [int(size) * count for size in sizes]
    floors = np.array([number // total for number in exact], np.int64)
    rest = [number % total for number in exact]
    order = sorted(range(len(rest)), key=lambda place: -rest[place])
    for place in order[: count - int(floors.sum())]:
        floors[place] += 1
    return floors


def _chosen(
    labels: NDArray[np.int64], count: int, seed: int, purpose: int, spare: int = 0
) -> NDArray[np.int64]:
    """Numbers of the pictures chosen, in order; ``spare`` of each class are never chosen."""
    sizes = np.bincount(labels) if len(labels) else np.zeros(0, np.int64)
    wanted = shares(np.maximum(sizes - spare, 0), count)
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, purpose])))
    # a stable sort puts classes together and keeps the order inside
    by_class = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    chosen = [
        random.permutation(members)[:number]
        for members, number in zip(by_class, wanted, strict=False)
    ]
    numbers: NDArray[np.int64] = np.sort(np.concatenate([np.zeros(0, np.int64), *chosen]))
    return numbers
