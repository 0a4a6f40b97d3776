"""What a run of ``augment`` tells beside its pictures: a sheet of some, a list of all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import OptionError
from cnntool.files import WholeFile, quote, terminal_safe, write_whole
from cnntool.folder.inputs import Inputs
from cnntool.folder.outputs import check_result_file
from cnntool.images.formats import FORMATS, WRITABLE, by_suffix
from cnntool.images.picture import Picture
from cnntool.images.resizing import resized
from cnntool.images.writing import encode

MOST_INPUTS = 6
"""Rows of a sheet."""

COPIES = (5, 7)
"""Fewest and most copies beside an input."""

_SIDE = 320  # longest side of a picture on a sheet
_SMALL = 128  # and what the longest of small ones grow to


@dataclass(frozen=True, eq=False)
class Shown:
    """One row of a sheet.

    Attributes:
        path: The input.
        pictures: The input and its copies, small.
    """

    path: str
    pictures: tuple[NDArray[np.uint8], ...]


def small(picture: Picture, full_range: float) -> NDArray[np.uint8]:
    """A picture in 8 bits, no larger than a sheet shows it."""
    h, w = picture.pixels.shape[:2]
    scale = min(1.0, _SIDE / max(h, w))
    floats = replace(picture, pixels=picture.pixels.astype(np.float32))
    made = resized(floats, (max(1, round(h * scale)), max(1, round(w * scale)))).pixels
    samples = np.clip(made.astype(np.float32) * np.float32(255 / full_range), 0, 255)
    rounded: NDArray[np.uint8] = np.rint(samples).astype(np.uint8)
    return rounded


def some_of(paths: Sequence[str], most: int = MOST_INPUTS) -> tuple[str, ...]:
    """A few names from all over a list.

    Example:
        >>> some_of([str(n) for n in range(10)], 3)
        ('1', '5', '8')
    """
    if len(paths) <= most:
        return tuple(paths)
    return tuple(paths[(2 * n + 1) * len(paths) // (2 * most)] for n in range(most))


class Companions:
    """The files of ``--preview`` and ``--manifest``: claimed first, written at the end.

    Args:
        preview: The sheet, if there is one.
        manifest: The list, one line of JSON for each file written, if there is one.
        force: Replace files that are there.

    Attributes:
        chosen: The inputs that the sheet shows.
    """

    def __init__(
        self, preview: str | None = None, manifest: str | None = None, *, force: bool = False
    ) -> None:
        self._preview, self._manifest, self._force = preview, manifest, force
        self._rows: list[Shown] = []
        self._list: WholeFile | None = None
        self.chosen: tuple[str, ...] = ()
        if preview is not None:
            name = by_suffix(preview)
            if name is None or not FORMATS[name].writes or FORMATS[name].floats:
                known = ", ".join(FORMATS[f].suffixes[0] for f in WRITABLE if not FORMATS[f].floats)
                raise OptionError(f"--preview {quote(preview)}: use one of the suffixes {known}")

    def claim(self, inputs: Inputs) -> None:
        """Refuse files that are inputs, results or there already, before anything is read."""
        for path, option in self._files():
            check_result_file(path, inputs, option, force=self._force, prepare=False)
        self.chosen = some_of([item.path for item in inputs.items])

    def start(self, inputs: Inputs) -> None:
        """Try the folders, and begin the list."""
        for path, option in self._files():
            check_result_file(path, inputs, option, force=self._force)
        if self._manifest is not None:
            self._list = WholeFile(self._manifest, force=self._force)

    def row(self, row: Mapping[str, Any]) -> None:
        """Take a row of the job."""
        if "sheet" in row:
            self._rows.append(row["sheet"])
        elif self._list is not None:
            self._list.write(json.dumps(row["record"]).encode() + b"\n")

    def finish(self) -> tuple[str, ...]:
        """Write both; names of the pictures among them."""
        self.close()
        if self._preview is None or not self._rows:
            return ()
        rows, self._rows = self._rows, []
        write_whole(self._preview, _sheet(rows, self._preview), force=self._force)
        return (self._preview,)

    def close(self) -> None:
        """Give the list its name, however the run ended: it tells what was written."""
        unfinished, self._list = self._list, None
        if unfinished is not None:
            unfinished.commit()

    def _files(self) -> list[tuple[str, str]]:
        both = (self._preview, "--preview"), (self._manifest, "--manifest")
        return [(path, option) for path, option in both if path is not None]


def _sheet(rows: Sequence[Shown], path: str) -> bytes:
    """A row for each input, as high as its pictures."""
    from cnntool.report.grids import grid

    width = max(picture.shape[1] for row in rows for picture in row.pictures)
    height = max(picture.shape[0] for row in rows for picture in row.pictures)
    times = max(1, -(-_SMALL // max(height, width)))
    strips = []
    for row in rows:
        copies = [f"a{number}" for number in range(len(row.pictures) - 1)]
        strips.append(
            grid(
                row.pictures,
                columns=len(row.pictures),
                captions=[terminal_safe(os.path.basename(row.path)), *copies],
                cell=(times * max(picture.shape[0] for picture in row.pictures), times * width),
            )
        )
    return encode(Picture(np.concatenate(strips)), by_suffix(path) or "png")
