"""Where the commands of a test run."""

import numpy as np
import pytest
from pillow_files import save


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photo(folder, rng):
    """Pixels of a small colour picture; it lies in the folder as a.png."""
    pixels = rng.integers(0, 256, (14, 17, 3), dtype=np.uint8)
    save("a.png", pixels)
    return pixels
