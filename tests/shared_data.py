"""Files kept beside the repository: large or malformed collections that are not shipped."""

import pathlib

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[1].parent / "shared"


def shared(path: str) -> pathlib.Path:
    """The file or folder ``path`` of the collection; the test is skipped where there is none."""
    found = FOLDER / path
    if not found.exists():
        pytest.skip(f"needs {path} in a folder 'shared' beside the repository")
    return found
