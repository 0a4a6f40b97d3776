"""Learning rates: pure functions of the number of the step, so a resumed run goes on exactly.

Nothing is counted here. A :class:`Schedule` is what a run's options say, and :meth:`Schedule.lr`
is the rate of any step, asked in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from math import cos, isfinite, pi
from types import MappingProxyType

from cnntool.errors import ModelFileError, NameNotFound, OptionError

ONE_CYCLE_RISE = 0.3
"""Share of a one-cycle training in which the rate rises, unless a warm-up is given; torch's."""

ONE_CYCLE_START = 25.0
"""What the highest rate of one cycle is divided by at the beginning; torch's."""

ONE_CYCLE_END = 1e4
"""What the first rate of one cycle is divided by at the end; torch's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The learning rate of every step of a training.

    Make it with :func:`create`, which checks the numbers and fills in what is left out.

    Attributes:
        name: A key of :data:`SCHEDULES`.
        peak: The highest rate; what ``--lr`` says.
        total: Steps of the whole training.
        warmup: Steps in which the rate rises.
        every: Steps after which ``step`` lowers the rate.
        factor: What ``step`` multiplies it by.
    """

    name: str
    peak: float
    total: int
    warmup: int
    every: int
    factor: float

    def lr(self, step: int) -> float:
        """The rate of a step.

        Args:
            step: Its number, from 0. Behind the end, schedules with an end keep their last rate.

        Raises:
            OptionError: The number is negative.

        Example:
            >>> schedule = create("cosine", 0.1, total=100)
            >>> [round(schedule.lr(step), 4) for step in (0, 25, 50, 99)]
            [0.1, 0.0854, 0.05, 0.0]
        """
        if step < 0:
            raise OptionError(f"steps count from 0, got {step}")
        return self.peak * SCHEDULES[self.name].share(self, step)

    def extended(self, total: int) -> Schedule:
        """The same schedule for a training of another length.

        Raises:
            ModelFileError: Its rates depend on the length; what was trained so far would not be
                the beginning of the longer training.

        Example:
            >>> create("constant", 0.1, total=100).extended(200).total
            200
        """
        if total != self.total and not extends(self.name):
            others = " or ".join(name for name in SCHEDULES if extends(name))
            raise ModelFileError(
                f"a {self.name} schedule of {self.total} steps cannot become one of {total}: its "
                f"rates depend on the length; train anew with {self.name} and that length, or "
                f"with {others}, which can be extended"
            )
        return replace(self, total=total)

    def as_json(self) -> dict[str, object]:
        """Plain values; ``create(**values)`` checks them and is the schedule again."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of schedule.

    Attributes:
        summary: What it does, one line.
        share: The rate of a step as a share of the peak.
        extends: Whether it is the same for any length of training.
    """

    summary: str
    share: Callable[[Schedule, int], float]
    extends: bool


def constant(schedule: Schedule, step: int) -> float:
    """The peak, after the warm-up.

    Formula:
        min(1, (s + 1) / (warmup + 1)) in step s: the rate rises evenly, and the first step behind
        the warm-up is the first at the peak.

    References:
        Goyal et al. 2017, Accurate, large minibatch SGD, section 2.2 (gradual warm-up).
    """
    return min(1.0, (step + 1) / (schedule.warmup + 1))


def stepwise(schedule: Schedule, step: int) -> float:
    """The peak times ``factor`` after every ``every`` steps, counted from the first step on.

    Formula:
        factor^floor(s / every), and the warm-up of :func:`constant`.

    References:
        torch.optim.lr_scheduler.StepLR.
    """
    falls = step // schedule.every
    return float(schedule.factor**falls) * constant(schedule, step)


def cosine(schedule: Schedule, step: int) -> float:
    """From the peak down to 0 along half a cosine; no restarts.

    Formula:
        (1 + cos(π·t)) / 2 with t = (s - warmup) / (total - warmup), behind the warm-up of
        :func:`constant`. The rate would be 0 in step ``total``, so the last step still moves.

    References:
        Loshchilov, Hutter 2017, SGDR: stochastic gradient descent with warm restarts, equation 5.
    """
    if step < schedule.warmup:
        return constant(schedule, step)
    length = max(schedule.total - schedule.warmup, 1)
    return _fall(min((step - schedule.warmup) / length, 1.0))


def onecycle(schedule: Schedule, step: int) -> float:
    """Up from a low rate to the peak during the warm-up, then down to almost nothing.

    Formula:
        From 1/25 to 1 in the steps 0 to warmup - 1, then to 1/25/10⁴ in step total - 1, both along
        half a cosine. Momentum stays as it is.

    References:
        Smith 2018, A disciplined approach to neural network hyper-parameters, part 1; with the
        cosines and divisors of torch.optim.lr_scheduler.OneCycleLR.
    """
    top, end = schedule.warmup - 1, schedule.total - 1
    low, lowest = 1 / ONE_CYCLE_START, 1 / ONE_CYCLE_START / ONE_CYCLE_END
    if step <= top:
        return 1 - (1 - low) * _fall(step / top if top else 1.0)
    return lowest + (1 - lowest) * _fall(min((step - top) / max(end - top, 1), 1.0))


def _fall(way: float) -> float:
    """From 1 at 0 to 0 at 1 along half a cosine."""
    return (1 + cos(pi * way)) / 2


SCHEDULES: Mapping[str, Shape] = MappingProxyType(
    {
        "constant": Shape("the same rate all along", constant, extends=True),
        "step": Shape("down by a factor after every so many steps", stepwise, extends=True),
        "cosine": Shape("down to 0 along half a cosine", cosine, extends=False),
        "onecycle": Shape("up, then down to almost 0", onecycle, extends=False),
    }
)
"""Name -> kind of schedule."""


def extends(name: str) -> bool:
    """Whether a longer training continues the same schedule.

    Raises:
        NameNotFound: There is no such schedule.

    Example:
        >>> [name for name in SCHEDULES if extends(name)]
        ['constant', 'step']
    """
    if name not in SCHEDULES:
        raise NameNotFound.among("schedule", name, SCHEDULES)
    return SCHEDULES[name].extends


def create(
    name: str,
    peak: float,
    total: int,
    warmup: int | None = None,
    *,
    every: int | None = None,
    factor: float = 0.1,
) -> Schedule:
    """A schedule by its name.

    Args:
        name: A key of :data:`SCHEDULES`.
        peak: Highest rate, > 0.
        total: Steps of the training, >= 1.
        warmup: Steps in which the rate rises, 0 to ``total``. None means none; for ``onecycle``
            :data:`ONE_CYCLE_RISE` of all.
        every: For ``step``: steps after which the rate falls, >= 1. None means a third of
            ``total``; it is kept when the training is extended.
        factor: For ``step``: what the rate is multiplied by, above 0 to 1.

    Raises:
        NameNotFound: There is no such schedule.
        OptionError: A number is out of range.

    Example:
        >>> schedule = create("step", 0.1, total=90)
        >>> [round(schedule.lr(step), 4) for step in (0, 29, 30, 60, 90)]
        [0.1, 0.1, 0.01, 0.001, 0.0001]
    """
    if name not in SCHEDULES:
        raise NameNotFound.among("schedule", name, SCHEDULES)
    if not (isfinite(peak) and peak > 0):
        raise OptionError(f"the learning rate must be above 0, got {peak:g}")
    if total < 1:
        raise OptionError(f"a training has at least one step, got {total}")
    if warmup is None:
        warmup = max(1, round(ONE_CYCLE_RISE * total)) if name == "onecycle" else 0
    if not 0 <= warmup <= total:
        raise OptionError(
            f"a warm-up of {warmup} steps does not fit a training of {total}; take 0 to {total}"
        )
    every = -(-total // 3) if every is None else every
    if every < 1:
        raise OptionError(f"the rate can fall after 1 step or more, got {every}")
    if not 0 < factor <= 1:
        raise OptionError(f"the rate falls by a factor above 0 and at most 1, got {factor:g}")
    return Schedule(
        name=name,
        peak=float(peak),
        total=total,
        warmup=warmup,
        every=every,
        factor=float(factor),
    )
