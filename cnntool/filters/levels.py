"""From computed values to 8- or 16-bit samples: rounding, range, and what was lost.

Half rounds to even, then the range rule decides what happens to values that no sample can hold.
Filters call :meth:`Levels.apply` for one strip of results after the other, while the strip is still
in the cache: abs of 25 million float32 values to uint8 in strips of 51 200 takes 19 ms on one core
of an AMD EPYC, of int16 values 8 to 13 ms, counting what was negative or too large
included.
"""

from __future__ import annotations

import functools
import math
import operator
import threading
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import DTypeLike

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError

Mode = Literal["auto", "clip", "abs", "offset", "rescale", "raw"]
MODES: tuple[str, ...] = get_args(Mode)

_PIECE = 1 << 20
"""Values worked on at a time. A few large calls beat a cache that is hit: each call of many threads
waits for the interpreter lock."""

_SCRATCH = threading.local()
"""Flags of a piece, one array a thread."""

_EXACT = 1 << 20
"""Values that are counted one by one; of each later piece only the first quarter is."""


@dataclass(frozen=True)
class LevelsReport:
    """What became of the values of one picture.

    Attributes:
        mode: The rule that was applied: clip, abs, offset or rescale.
        asked: The rule as the user gave it, such as auto.
        top: Largest sample, 255 or 65535.
        total: Number of values.
        negative: Values below 0 after rounding; like all counts, beyond the first million values
            an estimate from a quarter of them.
        clipped: Values that did not fit after the rule and became 0 or ``top``.
        invalid: NaN; written as 0.
    """

    mode: str
    asked: str
    top: int
    total: int = 0
    negative: int = 0
    clipped: int = 0
    invalid: int = 0

    @property
    def negative_share(self) -> float:
        """Share of negative values, 0..1."""
        return self.negative / max(self.total, 1)

    @property
    def clipped_share(self) -> float:
        """Share of clipped values, 0..1."""
        return self.clipped / max(self.total, 1)

    def note(self, asked: str | None = None) -> str | None:
        """One sentence for the user, or None where nothing happened that was not asked for.

        Args:
            asked: The rule that the user gave; as given to :class:`Levels` if left out.

        Example:
            >>> LevelsReport("abs", "auto", 255, total=100, negative=37).note()
            '37 % of values were negative; shown as absolute values (--range)'
            >>> LevelsReport("clip", "auto", 255, total=100, negative=5, clipped=7).note()
            '5 % of values were negative, 2 % above 255; clipped (--range)'
            >>> LevelsReport("clip", "clip", 255, total=100, negative=5, clipped=7).note()
        """
        asked = self.asked if asked is None else asked
        words = []
        if self.mode == "clip" and asked != "clip" and self.clipped:
            over = self.clipped - self.negative
            parts = [f"{self._percent(self.negative)} were negative"] if self.negative else []
            if over:
                parts.append(f"{self._percent(over, not parts)} {'' if parts else 'were '}above")
                parts[-1] += f" {self.top}"
            words.append(f"{', '.join(parts)}; clipped (--range)")
        elif self.mode == "abs":
            if asked != "abs" and self.negative:
                words.append(f"{self._percent(self.negative)} were negative")
                words.append("shown as absolute values" + ("" if self.clipped else " (--range)"))
            if self.clipped:
                words.append(
                    f"{self._percent(self.clipped, not words)} were above {self.top} and clipped "
                    "(--range)"
                )
        elif self.mode == "offset" and self.clipped:
            half = (self.top + 1) // 2
            words.append(
                f"{self._percent(self.clipped)} were outside {-half}..{self.top - half}; "
                "clipped (--range)"
            )
        if self.invalid:
            words.append(f"{self._percent(self.invalid, not words)} were NaN; written as 0")
        return "; ".join(words) or None

    def _percent(self, number: int, first: bool = True) -> str:
        share = 100 * number / max(self.total, 1)
        text = f"{share:.0f} %" if share >= 0.95 else "less than 1 %"
        return f"{text} of values" if first else text


class Levels:
    """Fits values into samples, strip by strip; safe for strips in several threads.

    Args:
        dtype: uint8 or uint16.
        mode: ``clip`` cuts off at 0 and the largest sample; ``abs`` drops signs, then cuts off;
            ``offset`` adds half of the range (128, 32768), then cuts off; ``rescale`` stretches
            the picture's smallest..largest value over the range; ``auto`` is abs for
            ``zero_sum``, else clip.
        zero_sum: Whether values scatter about 0: results of a kernel whose weights sum to 0.
        full_range: The largest sample in the units of the values: 255, or 65535 for pictures of
            16 bits. Where that is not ``dtype``'s largest, values are converted. Default: no
            conversion.

    Raises:
        OptionError: The mode is unknown or ``raw``, or the dtype is not uint8 or uint16.

    Example:
        >>> levels = Levels(np.uint8, "auto", zero_sum=True)
        >>> levels.of(np.array([-80, 2.5, 300.0])).tolist()
        [80, 2, 255]
        >>> levels.report.negative, levels.report.clipped
        (1, 1)
    """

    def __init__(
        self,
        dtype: DTypeLike,
        mode: str = "auto",
        zero_sum: bool = False,
        full_range: float | None = None,
    ) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
            raise OptionError(f"samples are uint8 or uint16, not {self.dtype}")
        self.top = int(np.iinfo(self.dtype).max)
        if mode == "raw":
            raise OptionError(
                f"--range raw keeps negative and fractional values, which {self.dtype.itemsize * 8}"
                "-bit samples cannot hold; take a float format (npy, pfm, tiff), or clip, abs, "
                "offset or rescale"
            )
        if mode not in MODES:
            raise OptionError(f"unknown range '{mode}'; use {', '.join(MODES)}")
        self.mode = ("abs" if zero_sum else "clip") if mode == "auto" else mode
        self._factor = self.top / full_range if full_range else 1.0
        self._lock = threading.Lock()
        self._asked = mode
        self._counts: tuple[int, ...] = (0, 0, 0, 0)
        # counts that still lie on a device, so that filtering need not wait for them
        self._pending: list[tuple[int, Array]] = []
        self._limits = (math.inf, -math.inf)

    @property
    def needs_whole_picture(self) -> bool:
        """Whether all values must go through :meth:`observe` before the first :meth:`apply`."""
        return self.mode == "rescale"

    @property
    def report(self) -> LevelsReport:
        """Counts of all strips so far."""
        with self._lock:
            pending, self._pending = self._pending, []
            for total, counts in pending:
                invalid, negative, *cut = map(int, counts.tolist())
                self._add(total, negative, sum(cut), invalid)
        return LevelsReport(self.mode, self._asked, self.top, *self._counts)

    def _add(self, *counts: int) -> None:
        self._counts = tuple(map(operator.add, self._counts, counts))

    def of(self, values: Array) -> Array:
        """Samples of a whole array; the values stay as they are.

        Shape:
            Any; the result has the same shape and lies on the same device.
        """
        xp = array_module(values)
        out = xp.empty(values.shape, dtype=self.dtype)
        if self.needs_whole_picture:
            self.observe(values)
        self.apply(values, out)
        return out

    def observe(self, values: Array) -> None:
        """Widen the limits that ``rescale`` stretches by those of a strip; others need none.

        NaN and infinities are left out.
        """
        if not self.needs_whole_picture or values.size == 0:
            return
        xp = array_module(values)
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            finite = xp.isfinite(values)
            low = float(xp.where(finite, values, math.inf).min())
            high = float(xp.where(finite, values, -math.inf).max())
        with self._lock:
            self._limits = min(self._limits[0], low), max(self._limits[1], high)

    def apply(self, strip: Array, out: Array, *, overwrite: bool = False) -> None:
        """Write the samples of a strip into ``out``.

        Args:
            strip: Values, floats or signed or unsigned integers.
            out: Samples, of ``dtype`` and the strip's shape.
            overwrite: Whether the strip may serve as scratch; its values are lost then.
        """
        if strip.size == 0:
            return
        xp = array_module(strip)
        if xp is not np:
            self._on_device(xp, strip, out)
            return
        for values, samples in _pieces(strip, out):
            counts = (values.size, *self._piece(values, samples, overwrite))
            with self._lock:
                self._add(*counts)

    def _piece(self, values: Array, out: Array, overwrite: bool) -> tuple[int, int, int]:
        """Counts of negative, clipped and NaN values; the samples are in ``out`` then."""
        small = values.dtype.itemsize < 4
        if values.dtype.kind != "f" or small:
            if values.dtype.kind not in "iu" or self.mode == "rescale" or self._factor != 1:
                # 24 bits hold every value of two bytes
                values, overwrite = values.astype(np.float32 if small else np.float64), True
        if self._factor != 1:
            factor = values.dtype.type(self._factor)
            values = np.multiply(values, factor, out=values if overwrite else None)
            overwrite = True
        if self.mode == "rescale":
            return self._stretch(values, out)
        return self._fit(values, out, overwrite)

    def _fit(self, values: Array, out: Array, overwrite: bool) -> tuple[int, int, int]:
        """All rules but rescale, in as few passes as the values ask for."""
        kind, whole = values.dtype.type, values.dtype.kind != "f"
        # what rounds to -1 is negative: -0.5 is not; top + 0.5, an odd half, rounds up
        below, above = (0.0, 1.0) if whole else (-0.5, 0.5)
        negative = clipped = invalid = 0
        if self.mode == "abs" and values.dtype.kind != "u":
            negative = self._number(np.less, values, kind(below))
            values, overwrite = np.abs(values, out=values if overwrite else None), True
            if whole:
                # read as unsigned, the smallest integer, which has no positive twin, is right too
                values = values.view(np.dtype(f"u{values.dtype.itemsize}"))
                kind = values.dtype.type
        high = values.max().item()
        if high != high:
            missing = np.isnan(values)
            invalid = int(np.count_nonzero(missing))
            values, overwrite = np.where(missing, kind(0), values), True
            high = values.max().item()
        low = 0 if self.mode == "abs" or values.dtype.kind == "u" else values.min().item()
        shift = (self.top + 1) // 2 if self.mode == "offset" else 0
        bottom, top = -shift, self.top - shift
        if low < below:
            negative = self._number(np.less, values, kind(below))
        if low < bottom + below:
            clipped = self._number(np.less, values, kind(bottom + below)) if shift else negative
        if high >= top + above:
            clipped += self._number(np.greater_equal, values, kind(top + above))
        if low < bottom or high > top:
            values = self._cut(values, bottom if low < bottom else None, top, overwrite)
            overwrite = True
        if not whole:
            values, overwrite = np.rint(values, out=values if overwrite else None), True
        if shift and whole and values.dtype.itemsize < out.dtype.itemsize:
            values, overwrite = values.astype(f"{values.dtype.kind}{out.dtype.itemsize}"), True
            kind = values.dtype.type
        if shift and values.dtype.kind == "u":
            values = np.add(values, kind(shift))
        elif shift:
            # -128 fits an int8 and 128 does not; the result is taken modulo 256 or 65536
            values = np.subtract(values, kind(-shift), out=values if overwrite else None)
        np.copyto(out, values, casting="unsafe")
        return negative, clipped, invalid

    def _number(self, compare: Any, values: Array, bound: Any) -> int:
        """How many values compare so; counting is a third of all passes, so late ones are sampled.

        Large pictures are counted exactly up to :data:`_EXACT` values and from the first quarter
        of each later piece: the note that is made of it shows whole percents.
        """
        if self._counts[0] < _EXACT or not values.flags.c_contiguous:
            return _count(compare, values, bound)
        sample = values.reshape(-1)[: -(-values.size // 4)]
        return _count(compare, sample, bound) * int(values.size) // int(sample.size)

    def _cut(self, values: Array, bottom: int | None, top: int, overwrite: bool) -> Array:
        """Values cut off at ``top`` and, unless None, at ``bottom``."""
        work, kind = values if overwrite else None, values.dtype.type
        if values.dtype.kind != "f":
            limits = np.iinfo(values.dtype)
            bottom, top = None if bottom is None else max(bottom, limits.min), min(top, limits.max)
        if bottom is not None:
            return np.clip(values, kind(bottom), kind(top), out=work)
        # NumPy takes the smaller of two arrays faster than of an array and a number
        other = _ceiling(values.dtype.str, top) if values.size <= _PIECE else None
        if other is None:
            return np.minimum(values, kind(top), out=work)
        return np.minimum(values, other[: values.size].reshape(values.shape), out=work)

    def _stretch(self, values: Array, out: Array) -> tuple[int, int, int]:
        negative, invalid = self._number(np.less, values, values.dtype.type(-0.5)), 0
        if np.isnan(values.max()):
            missing = np.isnan(values)
            invalid = int(np.count_nonzero(missing))
            values = np.where(missing, values.dtype.type(0), values)
        # 24 bits are too few to keep ties of half a level
        low, scale = self._line()
        work = np.subtract(values, low, dtype=np.float64)
        if scale:
            work *= scale
        else:
            work.fill(0)  # infinity times 0 is none
        np.clip(work, 0, self.top, out=work)
        np.copyto(out, np.rint(work, out=work), casting="unsafe")
        return negative, 0, invalid

    def _line(self) -> tuple[float, float]:
        """The value that becomes 0 and the levels for each unit above it."""
        low, high = (limit * self._factor for limit in self._limits)
        return (low, self.top / (high - low)) if low < high else (0.0, 0.0)

    def _on_device(self, xp: Any, values: Array, out: Array) -> None:
        """All rules without a choice that the host would have to wait for."""
        # integers that 24 bits cannot hold are above any sample
        kind: Any = np.float64 if values.dtype == np.float64 else np.float32
        values = values.astype(kind) * kind(self._factor)
        missing = xp.isnan(values)
        values = xp.where(missing, kind(0), values)
        masks = [missing, values < kind(-0.5)]
        shift = (self.top + 1) // 2 if self.mode == "offset" else 0
        if self.mode == "rescale":
            low, scale = self._line()
            values = (values - kind(low)) * kind(scale) if scale else xp.zeros_like(values)
        else:
            values = xp.abs(values) if self.mode == "abs" else values
            masks += [values < kind(-shift - 0.5), values >= kind(self.top - shift + 0.5)]
        values = xp.rint(xp.clip(values, kind(-shift), kind(self.top - shift)))
        out[...] = (values + kind(shift)).astype(self.dtype)
        with self._lock:
            self._pending.append((int(values.size), xp.stack([mask.sum() for mask in masks])))


@functools.cache
def _ceiling(kind: str, top: int) -> Array:
    """A piece full of the largest value, to compare with; there are few kinds."""
    ceiling = np.full(_PIECE, top, dtype=kind)
    ceiling.setflags(write=False)
    return ceiling


def to_integer(
    values: Array,
    dtype: DTypeLike,
    mode: str = "auto",
    *,
    zero_sum: bool = False,
    full_range: float | None = None,
) -> tuple[Array, LevelsReport]:
    """Samples of a whole picture and what became of its values.

    Args:
        values: Results of a filter, any shape.
        dtype: uint8 or uint16.
        mode: See :class:`Levels`.
        zero_sum: Whether values scatter about 0.
        full_range: The largest sample in the units of the values.

    Raises:
        OptionError: The mode is unknown or ``raw``, or the dtype is not uint8 or uint16.

    Example:
        >>> samples, report = to_integer(np.array([0.5, 1.5, -3.0]), np.uint8)
        >>> samples.tolist(), report.note()
        ([0, 2, 0], '33 % of values were negative; clipped (--range)')
    """
    levels = Levels(dtype, mode, zero_sum, full_range)
    return levels.of(values), levels.report


def _count(compare: Any, values: Array, bound: Any) -> int:
    # a fresh array of flags for each piece would cost more in page faults than the comparison
    flags: Array = getattr(_SCRATCH, "flags", None)
    if flags is None or flags.size < values.size:
        flags = _SCRATCH.flags = np.empty(max(values.size, _PIECE), bool)
    flags = flags[: values.size].reshape(values.shape)
    return int(np.count_nonzero(compare(values, bound, out=flags)))


def _pieces(strip: Array, out: Array) -> list[tuple[Array, Array]]:
    """Views of equal parts of both, small enough for the cache."""
    if strip.size <= _PIECE:
        return [(strip, out)]
    if strip.flags.c_contiguous and out.flags.c_contiguous:
        strip, out = strip.reshape(-1), out.reshape(-1)
    rows = max(1, _PIECE * len(strip) // strip.size)
    return [(strip[i : i + rows], out[i : i + rows]) for i in range(0, len(strip), rows)]
