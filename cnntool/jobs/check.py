"""``check``: is every file a whole picture?"""

from __future__ import annotations

import os
from dataclasses import dataclass

from cnntool.errors import InputError
from cnntool.folder.job import Done, Item
from cnntool.images.reading import opened

COLUMNS = (
    "path", "status", "format", "width", "height", "mode", "channels", "bits", "class", "error",
)  # fmt: skip
"""One row a file. ``mode``: how the file stores its pixels; ``channels``, ``bits``: as read."""


@dataclass(frozen=True, kw_only=True)
class CheckJob:
    """Decodes a file completely and tells what it is.

    Attributes:
        limits: Profile of limits for reading.
    """

    limits: str = "normal"

    def outputs(self, item: Item) -> tuple[str, ...]:
        """Nothing is written."""
        return ()

    def __call__(self, item: Item) -> Done:
        """One row; a damaged file's row says what is wrong with it."""
        row: dict[str, object] = dict.fromkeys(COLUMNS)
        row["path"] = item.path
        # pictures of one class lie in one folder
        row["class"] = os.path.basename(os.path.dirname(item.path)) if item.folder else None
        try:
            with opened(item.path, limits=self.limits) as picture:
                height, width = picture.pixels.shape[:2]
                row |= {
                    "status": "ok",
                    "format": picture.format,
                    "width": width,
                    "height": height,
                    "mode": picture.mode,
                    "channels": picture.channels,
                    "bits": picture.pixels.dtype.itemsize * 8,
                }
                return Done(rows=(row,), notes=picture.notes)
        except InputError as error:
            row |= {"status": "bad", "error": str(error)}
            return Done(rows=(row,), failures=(str(error),))
