"""Every error that cnntool raises on purpose.

Each class carries the exit status of the command line and is also the builtin that a NumPy user
expects, so that library code can be caught with ``except ValueError``. A message has three parts:
what is wrong, what was found, what would work. Facts that a program may want are attributes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class CnntoolError(Exception):
    """Base of all errors meant for the user; ``exit_code`` is the status of the command.

    Args:
        message: One sentence for the user.
        facts: Values behind the sentence; each becomes an attribute.
    """

    exit_code = 1

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        return self.message


class InputError(CnntoolError, ValueError):
    """One input is missing, damaged or unusable; other inputs go on (exit 1)."""


class LimitError(InputError):
    """An input is larger than the limits allow; decoding was not tried (exit 1)."""


class ShapeError(InputError):
    """Sizes do not fit each other: an image smaller than a window, say (exit 1)."""


class GateError(CnntoolError):
    """A check that the user asked for was not met (exit 1)."""


class OptionError(CnntoolError, ValueError):
    """An option, kernel or specification makes no sense, or outputs collide (exit 2)."""

    exit_code = 2


class SpecError(OptionError):
    """A network's specification cannot be read, or its shapes do not fit (exit 2).

    Facts, where they are known: ``line`` and ``column`` in the text, both from 1; ``layer``, the
    name of the layer whose shape is impossible, and ``input``, the shape that it gets.
    """


class NameNotFound(OptionError, LookupError):
    """A name (kernel, layer, model, class) is unknown; the message suggests near ones (exit 2)."""

    @classmethod
    def among(
        cls,
        kind: str,
        name: str,
        known: Iterable[str],
        see: str | None = None,
        *,
        listed: bool = False,
    ) -> NameNotFound:
        """Error for ``name`` with suggestions from ``known``.

        Args:
            kind: What it should be the name of.
            name: What was written.
            known: All names.
            see: A command that shows them.
            listed: Whether the message names all, or as many as fit.

        Example:
            >>> print(NameNotFound.among("kernel", "sobl-x", ["sobel-x", "box"], "cnntool kernels"))
            unknown kernel 'sobl-x'; did you mean 'sobel-x'? See 'cnntool kernels'
            >>> print(NameNotFound.among("class", "owl", ["cat", "dog"], listed=True))
            unknown class 'owl'; there are cat, dog
        """
        known = list(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
        message = f"unknown {kind} '{name}'"
        if near:
            message += "; did you mean " + " or ".join(f"'{n}'" for n in near) + "?"
        if listed:
            message += (" There are " if near else "; there are ") + enumerated(known)
        if see:
            message += ("" if message.endswith("?") else ".") + f" See '{see}'"
        return cls(message, name=name, near=near)


def enumerated(names: Sequence[str], room: int = 140) -> str:
    """Names in a message, as many as fit.

    Args:
        names: At least one.
        room: Most characters of names; the first one is always told.

    Example:
        >>> enumerated(["cat", "dog"]), enumerated(["0.conv", "1.relu", "2.flatten"], room=15)
        ('cat, dog', '0.conv, 1.relu and 1 more')
    """
    shown = ""
    for number, name in enumerate(names):
        longer = f"{shown}, {name}" if shown else name
        if shown and len(longer) > room:
            return f"{shown} and {len(names) - number} more"
        shown = longer
    return shown


class SystemFailure(CnntoolError, OSError):
    """The environment stopped the run: disk full, read-only, permission, memory (exit 3)."""

    exit_code = 3


class DeviceError(CnntoolError, RuntimeError):
    """The device asked for does not work; the message says which part is missing (exit 3)."""

    exit_code = 3


class MissingPackage(CnntoolError, ImportError):
    """An optional package is needed; the message says how to install it (exit 3)."""

    exit_code = 3


class Diverged(CnntoolError, ArithmeticError):
    """A training came to numbers that are not finite (exit 5)."""

    exit_code = 5


class ModelFileError(CnntoolError, ValueError):
    """A model, data set or checkpoint file is invalid or unsafe (exit 4)."""

    exit_code = 4
