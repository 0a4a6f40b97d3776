"""Where data sets that are not in the package lie on this machine.

Everything here can be made again, by unpacking or by downloading, so its place is the user's cache
folder. Deleting it costs time and nothing else.
"""

# names stay strings: bytes that are no text pass through
# ruff: noqa: PTH111, PTH113, PTH117

from __future__ import annotations

import os
import sys

from cnntool.data.known import Known

INSTALLED = ("/usr/share/datasets", "/usr/local/share/datasets")
"""Where distributions of Linux install data sets, each in a folder of its name."""


def cache_folder() -> str | None:
    r"""The folder of cnntool in the user's cache; it need not exist. None for a user without home.

    ``$XDG_CACHE_HOME/cnntool`` where that variable holds an absolute path, else
    ``%LOCALAPPDATA%\cnntool`` on Windows and ``~/.cache/cnntool`` elsewhere.

    Reference:
        XDG Base Directory Specification 0.8: relative paths in the variable are ignored.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base) and sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "cnntool") if os.path.isabs(base) else None


def download_folder(name: str) -> str | None:
    """Where the data set ``name`` is downloaded to; None for a user without home."""
    cache = cache_folder()
    return None if cache is None else os.path.join(cache, "datasets", name)


def found(entry: Known) -> str | None:
    """The folder that holds all files of a known data set, packed or not; None if there is none."""
    for folder in candidates(entry.name):
        paths = [os.path.join(folder, name) for name in entry.kept]
        if paths and all(
            os.path.isfile(path) or os.path.isfile(path.removesuffix(".gz")) for path in paths
        ):
            return folder
    return None


def candidates(name: str) -> tuple[str, ...]:
    """Folders that may hold the data set ``name``, the user's own first."""
    own = download_folder(name)
    installed = (os.path.join(folder, name) for folder in INSTALLED)
    return (*(() if own is None else (own,)), *installed)
