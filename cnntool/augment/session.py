"""The changes of one batch, from what is drawn to pictures and masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnntool.augment.chance import Chance
from cnntool.augment.colours import Line, turn_hue
from cnntool.augment.draws import Draw, described, draw
from cnntool.augment.elastic import Field
from cnntool.augment.opacity import unweighted, weighted
from cnntool.augment.pixels import add_noise, blur, corners, cut_out
from cnntool.augment.places import Places, places
from cnntool.augment.sampling import sample, sample_labels
from cnntool.augment.steps import Reading, Step
from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError

IGNORE = 255
"""The label of what lies beyond a mask: no class, left out of losses and scores."""


def session(
    steps: Sequence[Step],
    x: Array,
    seed: int,
    step: int,
    offset: int,
    total: int | None,
    full_range: float,
) -> Session:
    """The changes of a batch, or of a part of one.

    Raises:
        ShapeError: ``x`` is no batch, or no such part of one.
    """
    if x.ndim != 4 or 0 in x.shape[:3]:
        raise ShapeError(
            "a batch has channels, rows, columns (at least one of each) and pictures; got shape "
            f"{x.shape}"
        )
    h, w, n = x.shape[1:]
    if offset < 0 or (total is not None and offset + n > total):
        whole = "" if total is None else f" of {total}"
        raise ShapeError(f"{n} pictures from number {offset} on are no part of a batch{whole}")
    chance = Chance(array_module(x), n, seed=seed, step=step, offset=offset)
    return Session(steps, chance, (h, w), full_range)


class Session:
    """The changes of one batch.

    Args:
        steps: What is done.
        chance: The random numbers.
        size: Rows and columns of the pictures.
        full_range: Largest sample.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        chance: Chance,
        size: tuple[int, int],
        full_range: float = 255.0,
    ) -> None:
        self.drawn = draw(steps, chance, size)
        self._chance, self._size, self._full = chance, size, full_range
        self._reading = Reading.of(steps)
        self._moves = [one for one in self.drawn if one.step.entry.family == "geometry"]
        self._others = [one for one in self.drawn if one.step.entry.family != "geometry"]
        self._places: Places | None = None

    def check_masks(self, x: Array, masks: Array, ignore: int) -> None:
        """Refuse masks that do not fit their pictures.

        Raises:
            ShapeError: They have another size or number.
            OptionError: Their type cannot hold ``ignore``.
        """
        if masks.ndim != 4 or masks.shape[1:] != x.shape[1:]:
            raise ShapeError(
                f"masks of shape {masks.shape} do not fit pictures of shape {x.shape}; rows, "
                "columns and number must be the same"
            )
        dtype = np.dtype(masks.dtype)
        if dtype.kind not in "iu" or not np.iinfo(dtype).min <= ignore <= np.iinfo(dtype).max:
            raise OptionError(
                f"labels of type {dtype} cannot hold {ignore}, the label of what lies beyond a "
                "mask; use uint8 or int64"
            )

    def pictures(self, x: Array, alpha: bool) -> Array:
        """Everything done to pictures (C, H, W, N); the last channel may be opacity."""
        full = self._full
        if x.shape[-1] == 0:
            return x.astype(np.float32)
        if not alpha or x.shape[0] == 1:
            y, _ = self._changed(self._moved(x, self._reading.fill), None)
            return self._clipped(y)
        xp, y = array_module(x), x.astype(np.float32, order="C")
        if self._moves:
            # what is transparent must not colour what moves over it, and beyond is nothing
            y = unweighted(self._moved(weighted(y, full), 0.0), full)
        colours, opacity = self._changed(xp.ascontiguousarray(y[:-1]), y[-1:])
        return xp.concatenate([self._clipped(colours), opacity])

    def labels(self, masks: Array, ignore: int) -> Array:
        """Moves done to masks (K, H, W, N)."""
        if not self._moves or masks.shape[-1] == 0:
            return masks.copy()
        return sample_labels(masks, self._where(), ignore)

    def described(self, image: int) -> list[dict[str, Any]]:
        """What was drawn for one picture, as plain values; for sessions on the host."""
        rows = described(self.drawn, image)
        for one, row in zip(self.drawn, rows, strict=True):
            if one.step.word == "cutout" and row["applied"]:
                found = corners(one, self._chance, self._size)
                row["holes"] = [[int(top), int(left)] for top, left in found[..., image]]
        return rows

    def _where(self) -> Places:
        """Where pictures and masks are read."""
        if self._places is None:
            fields = [
                Field(one, self._chance, self._size)
                for one in self._moves
                if one.step.word == "elastic"
            ]
            self._places = places(self._moves, fields, self._chance, self._size)
        return self._places

    def _moved(self, x: Array, fill: float) -> Array:
        """A copy in float32 after all moves."""
        if not self._moves:
            return x.astype(np.float32, order="C")
        reading, fill = self._reading, fill * self._full / 255
        nearest = reading.interpolation == "nearest" or all(map(_whole_pixels, self._moves))
        return sample(x, self._where(), reading.border, fill, nearest)

    def _changed(self, x: Array, opacity: Array) -> tuple[Array, Array]:
        """All that is not a move, done to colours in place; opacity is None if there is none."""
        line: Line | None = None
        for one in self._others:
            word = one.step.word
            if word in ("brightness", "contrast", "saturation"):
                line = line or Line(x, self._full)
                line.add(one)
                continue
            if line is not None:
                line.done()
                line = None
            if word == "hue":
                turn_hue(x, one)
            elif word == "noise":
                add_noise(x, one, self._chance, self._full)
            elif word == "cutout":
                cut_out(x, one, self._chance, self._full)
            elif opacity is None:
                x = blur(x, one)
            else:
                xp = array_module(x)
                together = weighted(xp.concatenate([x, opacity]), self._full)
                together = unweighted(blur(together, one), self._full)
                x, opacity = xp.ascontiguousarray(together[:-1]), together[-1:]
        if line is not None:
            line.done()
        return x, opacity

    def _clipped(self, x: Array) -> Array:
        if self._others:
            array_module(x).clip(x, 0, self._full, out=x)
        return x


def _whole_pixels(one: Draw) -> bool:
    """Whether every place that is read is a pixel's own."""
    step = one.step
    if step.word == "shift":
        return step.amount("down").pixels and step.amount("across").pixels
    return step.word in ("hflip", "vflip")
