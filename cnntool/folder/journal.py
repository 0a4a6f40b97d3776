"""The report of a run: JSON lines, one for each input, whole and safe on the disk at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from cnntool.files import WholeFile

Status = Literal["done", "failed", "skipped"]


class Journal:
    r"""The file of ``--report``; it has its name only when it is complete.

    A line has the keys ``path``, ``status`` (done, failed or skipped), ``outputs`` (a list),
    ``error`` (text or null) and ``seconds``. Bytes of names that are no text are written as lone
    surrogates (``\\udce9``), as Python's own json reads them back.

    Args:
        path: Where it goes.
        force: Replace a file that is there.

    Raises:
        OptionError: The file exists and ``force`` is off.
        SystemFailure: It cannot be written.
    """

    def __init__(self, path: str, *, force: bool = False) -> None:
        self._file = WholeFile(path, force=force, sync=True)

    def add(
        self,
        path: str,
        status: Status,
        *,
        outputs: Sequence[str] = (),
        error: str | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Append the line of one input."""
        line = {
            "path": path,
            "status": status,
            "outputs": list(outputs),
            "error": error,
            "seconds": round(seconds, 6),
        }
        self._file.write(json.dumps(line).encode() + b"\n")

    def commit(self) -> None:
        """Give the file its name, after the disk has it."""
        self._file.commit()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.discard()
