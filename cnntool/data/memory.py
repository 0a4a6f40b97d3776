"""How large a data set may be: all of it lies in memory while a network learns from it."""

from __future__ import annotations

import functools

from cnntool.errors import LimitError
from cnntool.images.limits import in_words, physical_memory

SHARE = 2
"""One part in so many of the machine's memory may be a data set."""


@functools.cache
def budget() -> int:
    """Bytes that a data set may take."""
    return physical_memory() // SHARE


def check(nbytes: int, what: str, remedy: str) -> None:
    """Raise before anything of ``nbytes`` bytes is made, if that is too much.

    Args:
        nbytes: Bytes needed.
        what: Subject of the message, in the plural: "70000 pictures of 1x28x28".
        remedy: What would help.

    Raises:
        LimitError: It is more than :func:`budget`.
    """
    if nbytes > budget():
        raise LimitError(
            f"{what} need {in_words(nbytes)} of memory, a data set may take {in_words(budget())} "
            f"here; {remedy}",
            needed=nbytes,
            budget=budget(),
        )
