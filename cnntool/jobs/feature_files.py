"""Feature rows as files: ``.npy`` (n, d); ``.npz`` with ``features`` (n, d) and ``paths`` (n,)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cnntool.files import write_whole
from cnntool.images.arrays import write


def write_features(
    path: str,
    rows: Sequence[NDArray[np.generic]],
    names: Sequence[str],
    *,
    force: bool = False,
) -> None:
    """Write rows of one length; the suffix chooses the form.

    Args:
        path: ``.npy`` or ``.npz``.
        rows: Vectors (d,).
        names: The picture of each row.
        force: Overwrite an existing file.
    """
    matrix = np.stack(rows)
    if path.lower().endswith(".npy"):
        write_whole(path, write(matrix), force=force)
        return
    # bytes that are no text would not survive in an array of text
    texts = np.array([name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                      for name in names])  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in (("features", matrix), ("paths", texts)):
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            archive.writestr(entry, member.getvalue())
    write_whole(path, buffer.getvalue(), force=force)
