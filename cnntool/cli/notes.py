"""Sentences about many pictures: notes on stderr, text on standard output."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from cnntool.cli.streams import emit, warn
from cnntool.files import terminal_safe


class Notes:
    """Notes on stderr; the same one about many files is printed once and then counted."""

    def __init__(self, *, quiet: bool, every: bool) -> None:
        self.quiet, self.every = quiet, every
        self._seen: Counter[str] = Counter()

    def add(self, sentence: str) -> None:
        """Print a note, if it is the first of its kind."""
        if self.quiet:
            return
        # the same words about another file, with other numbers, are the same note
        words = sentence.rsplit("': ", 1)[-1]
        kind = re.sub(r"\d+(\.\d+)?|less than 1", "#", words)
        self._seen[kind] += 1
        if self.every or self._seen[kind] == 1:
            warn(sentence)

    def close(self) -> None:
        """Say how many notes were left out."""
        more = sum(self._seen.values()) - len(self._seen)
        if more and not self.every and not self.quiet:
            plural = "s" if more > 1 else ""
            warn(f"{more} more note{plural} of the same kind; -v shows all")


class Text:
    """Prints lines of text; the name of the picture stands above them where there are several."""

    def __init__(self, headed: bool) -> None:
        self.headed, self.last = headed, ""

    def __call__(self, row: Mapping[str, Any]) -> None:
        """Print one line."""
        path = str(row.get("path", ""))
        if self.headed and path != self.last:
            emit(f"# {terminal_safe(path)}")
            self.last = path
        emit(str(row["text"]))
