"""What a folder run hands to a job and gets back: plain, picklable values.

A job is a frozen dataclass of plain values with ``outputs(item)`` and ``__call__(item)``. It reads
one input, computes, and writes its files whole; the runner decides order, threads, errors and
reports. Nothing here knows pictures, so that another executor can run any job anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

STANDARD_INPUT = "-"
STANDARD_OUTPUT = "-"


@dataclass(frozen=True, slots=True)
class Item:
    """One input.

    Attributes:
        path: The file as found, or ``-`` for standard input.
        folder: Its folder below the folder argument or ``--root``; '' for a file named directly.
    """

    path: str
    folder: str = ""


@dataclass(frozen=True)
class Done:
    """What a job made of one item.

    Attributes:
        paths: Files written, in order; the runner prints them.
        rows: Table rows, for commands that print tables.
        payload: Bytes for standard output (``-o -``).
        notes: Sentences for stderr, without the path (the runner adds it).
        failures: Reasons why parts of the item failed (a damaged file in ``check``); any makes
            the item count as failed although its rows are printed.
    """

    paths: tuple[str, ...] = ()
    rows: tuple[Mapping[str, object], ...] = ()
    payload: bytes | None = None
    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = field(default=())


class Job(Protocol):
    """What the runner needs of a job."""

    def outputs(self, item: Item) -> tuple[str, ...]:
        """Names of the files that the item will become, as far as known before reading it.

        ``-`` stands for standard output, none for a job that only gives rows.
        """

    def __call__(self, item: Item) -> Done:
        """Do the work for one item.

        Raises:
            CnntoolError: The item failed (:class:`InputError`) or the run must stop (others).
        """
