"""What generators get and what becomes of what they make, in training and afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from cnntool.backend import Array, array_module
from cnntool.nn.gan_spec import hole


@dataclass(frozen=True, eq=False)
class GanBatch:
    """What a step learns from; samples are from -1 to 1.

    Attributes:
        real: Pictures, (C, H, W, N).
        noise: Random numbers of the generator, (L, N), or maps (L, H, W, N).
        context: Pictures that are a condition, (C', H, W, N); None if there are none.
        judged: Whether the discriminator sees these too.
        joins: How the generator's pictures are joined with them: ``adds``, ``fills`` the middle, or
            not at all.
        condition: Numbers that are a condition, (K, N); None if there are none.
        given: What the generator gets in their place, (K', N); None: the same.
        chance: Random numbers of the embedding, (E, N); None if there is none.
    """

    real: Array
    noise: Array | None
    context: Array | None = None
    judged: bool = False
    joins: str = ""
    condition: Array | None = None
    given: Array | None = None
    chance: Array | None = None


def generator_input(noise: Array | None, context: Array | None, condition: Array | None) -> Array:
    """What a generator gets: pictures, random maps and numbers spread over maps; or numbers alone.

    Shape:
        noise (L, N), condition (K, N) -> (L + K, N); with a context (C, H, W, N) and random maps
        (L, H, W, N) -> (C + L + K, H, W, N).
    """
    parts = [part for part in (context, noise) if part is not None]
    if condition is not None:
        if context is not None:
            maps = condition[:, None, None]
            condition = array_module(maps).broadcast_to(maps, (len(maps), *context.shape[1:]))
        parts.append(condition)
    return array_module(parts[0]).concatenate(parts)


def joined(made: Array, context: Array | None, how: str) -> Array:
    """What a generator made, together with the picture that was its condition.

    Args:
        made: (C, H, W, N).
        context: As many maps.
        how: ``adds``; ``fills``, where only the middle is taken of what was made; or nothing.
    """
    if how == "adds":
        return made + context
    if how == "fills" and context is not None:
        whole = context.copy()
        rows, columns = hole(*made.shape[1:3])
        whole[:, rows, columns] = made[:, rows, columns]
        return whole
    return made


def embedded(numbers: Array, chance: Array) -> tuple[Array, Array, Array]:
    """Numbers drawn by what an embedding network says: (drawn, means, logarithms of spreads).

    Shape:
        numbers (2·E, N), chance (E, N) -> three of (E, N).

    References:
        Zhang et al. 2017, StackGAN, section 3.2, conditioning augmentation.

    Example:
        >>> import numpy as np
        >>> drawn, *_ = embedded(np.array([[1.0], [0.0]]), np.array([[0.5]]))
        >>> drawn.item()  # 1 + exp(0)·0.5
        1.5
    """
    xp, half = array_module(numbers), len(numbers) // 2
    means, logs = numbers[:half], xp.clip(numbers[half:], -8, 8)
    return means + xp.exp(logs) * chance, means, logs


def divergence(means: Array, logs: Array) -> Array:
    """KL divergence of normal distributions from the standard one, summed over all.

    It is ½·Σ(σ² + μ² - 1 - ln σ²), with logs = ln σ.

    Example:
        >>> import numpy as np
        >>> float(divergence(np.array([[2.0]]), np.array([[0.0]])))
        2.0
    """
    xp = array_module(means)
    return 0.5 * (xp.exp(2 * logs) + means * means - 1 - 2 * logs).sum()


def logits_of(answers: Array, condition: Array | None) -> Array:
    """How real pictures are: a discriminator's last number, plus the others times a condition.

    Shape:
        answers (K + 1, N), condition (K, N) -> (N,).
    """
    if condition is None:
        return answers[-1]
    return answers[-1] + (answers[:-1] * condition).sum(axis=0)
