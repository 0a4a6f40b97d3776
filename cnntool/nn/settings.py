"""Settings of layers: what a word may be given, and what it was given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from cnntool.nn.nodes import Value
from cnntool.nn.values import Kind, Sides


@dataclass(frozen=True)
class Setting:
    """One value that a layer takes.

    Attributes:
        name: Its key.
        kind: What it may be.
        summary: What it does, in a few words.
        default: Its value if left out.
        label: How it is called where it stands by its place (``OUT``, ``K``, ``S``); empty if it
            is only written ``key=value``.
        required: Whether it must be given.
        like: The setting that it equals if left out.
        spelled: Whether texts show it even where it has its default.
    """

    name: str
    kind: Kind
    summary: str
    default: Value = None
    label: str = ""
    required: bool = False
    like: str = ""
    spelled: bool = False


class Settings(Mapping[str, Value]):
    """All settings of one layer, those left out with their defaults.

    Example:
        >>> from cnntool.nn.layer_values import settings
        >>> from cnntool.nn.spec import parse
        >>> found = settings(parse("conv 8 3x5").items[0])
        >>> found.whole("out"), found.pair("kernel"), found.pair("stride"), found.flag("bias")
        (8, (3, 5), (1, 1), True)
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Settings({self._values})"

    def whole(self, name: str) -> int:
        """A whole number; 0 where it has no value."""
        value = self._values[name]
        if value is None:
            return 0
        return value if isinstance(value, int) else self._wrong(name)

    def real(self, name: str) -> float:
        """A number."""
        value = self._values[name]
        return float(value) if isinstance(value, int | float) else self._wrong(name)

    def flag(self, name: str) -> bool:
        """Yes or no."""
        value = self._values[name]
        return value if isinstance(value, bool) else self._wrong(name)

    def word(self, name: str) -> str:
        """A word."""
        value = self._values[name]
        return value if isinstance(value, str) else self._wrong(name)

    def pair(self, name: str) -> tuple[int, int]:
        """Rows and columns."""
        value = self._values[name]
        if isinstance(value, tuple) and len(value) == 2:
            return value[0], value[1]
        return self._wrong(name)

    def maps(self, name: str) -> tuple[int, int, int]:
        """Channels, rows and columns."""
        value = self._values[name]
        if isinstance(value, tuple) and len(value) == 3:
            return value[0], value[1], value[2]
        return self._wrong(name)

    def sides(self, name: str) -> Sides:
        """Top, right, bottom and left, or ``same``."""
        value = self._values[name]
        if isinstance(value, tuple) and len(value) == 4:
            return value[0], value[1], value[2], value[3]
        return self.word(name)

    def _wrong(self, name: str) -> NoReturn:
        raise TypeError(f"{name} is {self._values[name]!r}")
