"""Rows of features as tests look at them."""

import numpy as np
from cli_runner import done
from PIL import Image


def picture(path, rng, shape):
    """A file of noise: (path, pixels)."""
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path, pixels


def rows(result):
    """[(path, numbers)] of a table of tabs."""
    header, *lines = result.lines
    names = header.split("\t")
    assert names == ["path", *(f"f{i}" for i in range(len(names) - 1))]
    cells = [line.split("\t") for line in lines]
    assert all(len(c) == len(names) for c in cells)
    return [(c[0], np.array(c[1:], float)) for c in cells]


def numbers(*args, **options):
    """The numbers of the only row."""
    ((_, found),) = rows(done(*args, **options))
    return found
