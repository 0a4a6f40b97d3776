"""A change with its settings, checked; and what several of them have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cnntool.augment.amounts import Amount, Value
from cnntool.augment.words import ALIASES, WORDS, Word, canonical
from cnntool.errors import NameNotFound, OptionError
from cnntool.grammar import NOWHERE, BadValue, Place

MAX_STEPS = 100
"""Most changes in one text."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change: a word and its settings.

    Made by :func:`step`, or read from a text by :func:`cnntool.augment.language.parse`.

    Attributes:
        word: A key of :data:`cnntool.augment.words.WORDS`.
        given: Settings that differ from the defaults, in the order of that table.
        place: Where it stands.

    Example:
        >>> from cnntool.augment.language import parse
        >>> turn, = parse("rotate 15 p=0.5")
        >>> turn.word, turn.amount("amount"), turn.real("p"), turn.choice("border")
        ('rotate', Amount(low=-15.0, high=15.0, pixels=False), 0.5, 'constant')
    """

    word: str
    given: tuple[tuple[str, Value], ...] = ()
    place: Place = field(default=NOWHERE, compare=False, repr=False)

    @property
    def entry(self) -> Word:
        """Its line of the table."""
        return WORDS[self.word]

    def __getitem__(self, name: str) -> Value:
        """A setting; what was left out has its default."""
        given = dict(self.given)
        if name in given:
            return given[name]
        setting = self.entry.setting(name)
        if setting is None:
            raise KeyError(name)
        return self[setting.like] if setting.like else setting.default

    def amount(self, name: str) -> Amount:
        """Two ends."""
        value = self[name]
        if not isinstance(value, Amount):
            raise TypeError(f"{name} is {value!r}")
        return value

    def real(self, name: str) -> float:
        """A number."""
        value = self[name]
        if not isinstance(value, int | float):
            raise TypeError(f"{name} is {value!r}")
        return float(value)

    def choice(self, name: str) -> str:
        """A word."""
        return str(self[name])


def step(word: str, place: Place = NOWHERE, /, **values: object) -> Step:
    """A change from values, checked as texts are.

    Args:
        word: A key of :data:`~cnntool.augment.words.WORDS` or an alias.
        place: Where it stands in a text.
        values: Settings by name; ranges are a number, a pair of ends, an
            :class:`~cnntool.augment.amounts.Amount`, or text such as ``2px``.

    Raises:
        NameNotFound: There is no such change.
        OptionError: A setting that it does not take, one that is missing, or a wrong value.

    Example:
        >>> step("rotate", amount=15, p=1)
        Step(word='rotate', given=(('amount', Amount(low=-15.0, high=15.0, pixels=False)),))
    """
    entry = WORDS.get(canonical(word))
    if entry is None:
        raise NameNotFound.among("change", word, [*WORDS, *ALIASES], "cnntool augment --help")
    checked: dict[str, Value] = {}
    for name, value in values.items():
        setting = entry.setting(name)
        if setting is None:
            known = ", ".join(setting.name for setting in entry.settings)
            raise OptionError(f"{entry.word} has no setting '{name}'; it takes {known}")
        try:
            checked[name] = setting.kind.check(value)
        except BadValue as error:
            raise OptionError(
                f"{entry.word}: {name}={value!r} does not fit; it must be {setting.kind.form}"
            ) from error
    for setting in entry.settings:
        if setting.required and setting.name not in checked:
            raise OptionError(f"{entry.word} needs {setting.name}, {setting.summary}")
    return normal_step(entry, checked, place)


def normal_step(entry: Word, values: dict[str, Value], place: Place) -> Step:
    """A change from checked values: defaults left out, in the table's order.

    Raises:
        OptionError: The values exclude each other.
    """
    if "fill" in values and values.get("border", "constant") != "constant":
        raise OptionError(
            f"'{entry.word}'{f' at {place}' if place.lines else ''}: fill is the value of "
            f"border=constant, border={values['border']} has none; leave one out",
            line=place.line,
            column=place.column,
        )
    given: list[tuple[str, Value]] = []
    for setting in entry.settings:
        if setting.name not in values:
            continue
        default = values[setting.like] if setting.like else setting.default
        # a fill of 0 and a border that is spelled out still decide for the others
        if values[setting.name] != default or setting.name in ("border", "fill", "interpolation"):
            given.append((setting.name, values[setting.name]))
    return Step(entry.word, tuple(given), place)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a moved picture is read; one way for all that moves it, because it is read once.

    Attributes:
        border: What lies around the picture.
        fill: Value of the border 'constant', 0..255.
        interpolation: How pixels are read between their places.
    """

    border: str = "constant"
    fill: float = 0.0
    interpolation: str = "bilinear"

    @classmethod
    def of(cls, steps: Sequence[Step]) -> Reading:
        """What the steps ask for.

        Raises:
            OptionError: Two of them ask for different things.

        Example:
            >>> Reading.of([step("rotate", amount=5, fill=255), step("shift", down=0.1)])
            Reading(border='constant', fill=255.0, interpolation='bilinear')
        """
        found: dict[str, tuple[Step, Value]] = {}
        for one in steps:
            if one.entry.family != "geometry":
                continue
            for name, value in one.given:
                if name not in ("border", "fill", "interpolation"):
                    continue
                first, before = found.setdefault(name, (one, value))
                if value != before:
                    raise _two_ways(first, f"{name}={_written(first, name)}",
                                    one, f"{name}={_written(one, name)}")  # fmt: skip
        border, fill = found.get("border"), found.get("fill")
        if border is not None and fill is not None and border[1] != "constant":
            raise _two_ways(border[0], f"border={border[1]}",
                            fill[0], f"fill={_written(fill[0], 'fill')}")  # fmt: skip
        return cls(**{name: value for name, (_, value) in found.items()})  # type: ignore[arg-type]


def _written(one: Step, name: str) -> str:
    setting = one.entry.setting(name)
    return "" if setting is None else setting.kind.write(one[name])


def _two_ways(first: Step, one: str, second: Step, other: str) -> OptionError:
    where = f" at {second.place}" if second.place.lines else ""
    return OptionError(
        f"'{first.word}' has {one}, '{second.word}'{where} {other}; the picture is read once after "
        "all moves, so give one of them",
        line=second.place.line,
        column=second.place.column,
    )


def check_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps, if they go together.

    Raises:
        OptionError: There are none or too many, or they contradict each other.
    """
    if not steps:
        raise OptionError("there are no changes; write words with | between them, such as "
                          "'hflip p=0.5 | rotate 15'")  # fmt: skip
    if len(steps) > MAX_STEPS:
        raise OptionError(f"{len(steps)} changes are too many; at most {MAX_STEPS} are done")
    Reading.of(steps)
    return tuple(steps)
