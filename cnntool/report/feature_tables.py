"""Tables of long rows of numbers: a path and its features, written in pieces.

A HOG descriptor has a hundred thousand numbers and a row of pixels millions. As Python objects in a
row of named cells they would take a hundred bytes each; here they go from the array to the stream
a few thousand at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cnntool.report.tables import TableWriter, json_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK = 1 << 14  # numbers that are text at one time


class FeatureTable(TableWriter):
    r"""Writes a path and its numbers a row, in any form of :class:`TableWriter`.

    csv, tsv and table have the columns ``path f0 f1 …``, JSON objects the keys ``path`` and
    ``features``. Numbers have the fewest digits that read back the same in their own precision.

    Example:
        >>> import sys
        >>> import numpy as np
        >>> with FeatureTable("csv", sys.stdout) as table:
        ...     table.features("a.png", np.array([0.1, 2], np.float32))
        path,f0,f1
        a.png,0.1,2.0
    """

    def features(self, path: str, numbers: NDArray[Any]) -> None:
        """Write one row.

        Args:
            path: The picture's.
            numbers: Its features, (n,), of any kind of number; NaN is null in JSON.

        Raises:
            SystemFailure, BrokenPipeError: As for :meth:`TableWriter.row`.
        """
        if self._kind == "table":
            texts = (text for piece in _texts(numbers) for text in piece)
            self.row({"path": path, **{f"f{place}": text for place, text in enumerate(texts)}})
            return
        if self._kind in ("json", "jsonl"):
            before = "" if self._kind == "jsonl" else "[\n" if self._rows == 0 else ",\n"
            self._send(f'{before}{{"path": {json_text(path)}, "features": [')
            self._send_pieces(_texts(numbers, missing="null"), ", ")
            self._send("]}\n" if self._kind == "jsonl" else "]}")
        else:
            separator = "\t" if self._kind == "tsv" else ","
            if self._rows == 0:
                self._send("path")
                self._send_pieces(_names(numbers.size), separator, first=separator)
                self._send("\n")
            self._send(self._separated([path]))
            self._send_pieces(_texts(numbers), separator, first=separator)
            self._send("\n")
        self._rows += 1

    def _send_pieces(self, pieces: Iterator[list[str]], separator: str, first: str = "") -> None:
        for piece in pieces:
            self._send(first + separator.join(piece))
            first = separator


def _names(count: int) -> Iterator[list[str]]:
    for start in range(0, count, _CHUNK):
        yield [f"f{place}" for place in range(start, min(start + _CHUNK, count))]


def _texts(numbers: NDArray[Any], missing: str = "") -> Iterator[list[str]]:
    """The numbers as text; ``missing`` stands for those that are not finite."""
    for start in range(0, numbers.size, _CHUNK):
        # fixed-width text of the array's own type: the shortest digits, and fast
        texts: list[str] = numbers[start : start + _CHUNK].astype("U32").tolist()
        if missing and numbers.dtype.kind == "f":
            texts = [missing if "n" in text else text for text in texts]  # nan, inf
        yield texts
