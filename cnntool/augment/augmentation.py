"""Random changes done to batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool.augment.chance import Chance
from cnntool.augment.language import format_steps, parse
from cnntool.augment.session import IGNORE, Session, session
from cnntool.augment.steps import Step, check_steps
from cnntool.backend import Array


@dataclass(frozen=True)
class Augmentation:
    """Random changes, drawn anew for every picture of every step.

    First come all words that move pixels, in their order but in one go: each picture is read once.
    Then come the others, one after another. Samples are cut off at 0 and the full range at the
    end, if anything but moves is among the words.

    What is drawn depends on the seed, the step, the word's place in the text and the number of the
    picture in the whole batch, and on nothing else. Numbers that change nothing (an angle of 0, a
    factor of 1) leave every sample as it is, bit for bit.

    Attributes:
        steps: The changes, from :func:`cnntool.augment.parse` or
            :func:`cnntool.augment.steps.step`.

    Raises:
        OptionError: There are no steps, or they contradict each other.

    Example:
        >>> x = np.arange(12, dtype=np.uint8).reshape(1, 2, 3, 2)
        >>> y = Augmentation.parse("hflip p=1").apply(x, seed=1, step=0)
        >>> y[0, :, :, 0]
        array([[ 4.,  2.,  0.],
               [10.,  8.,  6.]], dtype=float32)
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", check_steps(self.steps))

    @classmethod
    def parse(cls, text: str) -> Augmentation:
        """The changes that a text asks for.

        Raises:
            OptionError: As for :func:`cnntool.augment.parse`.
        """
        return cls(parse(text))

    def __str__(self) -> str:
        return format_steps(self.steps)

    @property
    def moves(self) -> bool:
        """Whether any of them moves pixels.

        Example:
            >>> Augmentation.parse("noise 5").moves, Augmentation.parse("hflip | noise 5").moves
            (False, True)
        """
        return any(step.entry.family == "geometry" for step in self.steps)

    def apply(
        self,
        x: Array,
        *,
        seed: int,
        step: int,
        offset: int = 0,
        total: int | None = None,
        full_range: float = 255.0,
        alpha: bool = False,
    ) -> Array:
        """Changed pictures.

        Args:
            x: A batch, or a part of one; samples 0..255.
            seed: Any whole number; another one for each run.
            step: Any whole number; another one for each batch.
            offset: Number of the first picture within the whole batch, >= 0.
            total: Pictures of the whole batch; none: as many as there are.
            full_range: Largest sample, if it is not 255.
            alpha: Whether the last channel is opacity: it moves with the colours, what lies beyond
                the picture is transparent, and colours are mixed by their opacity.

        Shape:
            (C, H, W, N) -> the same, float32.

        Raises:
            ShapeError: ``x`` is no batch, or no such part of one.

        Example:
            >>> turn = Augmentation.parse("rotate 30 | noise 5")
            >>> x = np.full((3, 8, 6, 4), 90, np.uint8)
            >>> whole = turn.apply(x, seed=5, step=9)
            >>> part = turn.apply(x[..., 2:], seed=5, step=9, offset=2, total=4)
            >>> bool((whole[..., 2:] == part).all())
            True
        """
        return session(self.steps, x, seed, step, offset, total, full_range).pictures(x, alpha)

    def apply_with_masks(
        self,
        x: Array,
        masks: Array,
        *,
        seed: int,
        step: int,
        offset: int = 0,
        total: int | None = None,
        full_range: float = 255.0,
        alpha: bool = False,
        ignore: int = IGNORE,
    ) -> tuple[Array, Array]:
        """Changed pictures, and their masks moved as they were.

        Masks take the label of the nearest pixel; where the picture shows what lies beyond its
        border, they hold ``ignore``. Colours, blur, noise and holes leave them alone.

        Args:
            x: As for :meth:`apply`, like the others.
            masks: Labels, of an integer type.
            seed: Any whole number.
            step: Any whole number.
            offset: Number of the first picture.
            total: Pictures of the whole batch.
            full_range: Largest sample of pictures.
            alpha: Whether the last channel is opacity.
            ignore: The label of what lies beyond a mask: no class.

        Shape:
            x (C, H, W, N), masks (K, H, W, N) -> the same, float32 and the masks' dtype.

        Raises:
            ShapeError: As for :meth:`apply`, or masks of another size than their pictures.
            OptionError: Labels that are no integers, or of a type that cannot hold ``ignore``.

        Example:
            >>> x = np.zeros((1, 2, 3, 1), np.uint8)
            >>> masks = np.array([[1, 2, 3], [4, 5, 6]], np.uint8).reshape(1, 2, 3, 1)
            >>> moved = Augmentation.parse("shift 0:0px 1:1px")
            >>> moved.apply_with_masks(x, masks, seed=1, step=0)[1][0, ..., 0]
            array([[255,   1,   2],
                   [255,   4,   5]], dtype=uint8)
        """
        work = session(self.steps, x, seed, step, offset, total, full_range)
        work.check_masks(x, masks, ignore)
        return work.pictures(x, alpha), work.labels(masks, ignore)

    def drawn(
        self, size: tuple[int, int], count: int = 1, *, seed: int, step: int, offset: int = 0
    ) -> list[list[dict[str, Any]]]:
        """What :meth:`apply` draws for pictures, as plain values.

        Args:
            size: Rows and columns of the pictures.
            count: How many pictures.
            seed: As for :meth:`apply`, like the others.
            step: Any whole number.
            offset: Number of the first picture.

        Returns:
            For every picture a list with one dict a step: ``word``, ``applied``, and the numbers
            by name. Angles are in degrees, lengths in pixels, a crop's window in shares of the
            sides and pixels from the middle, holes first rows and columns.

        Example:
            >>> drawn, = Augmentation.parse("hflip | rotate 15").drawn((28, 28), seed=2, step=0)
            >>> drawn[0]
            {'word': 'hflip', 'applied': False}
            >>> drawn[1]
            {'word': 'rotate', 'applied': True, 'angle': 4.320908}
        """
        chance = Chance(np, count, seed=seed, step=step, offset=offset)
        work = Session(self.steps, chance, size)
        return [work.described(image) for image in range(count)]
