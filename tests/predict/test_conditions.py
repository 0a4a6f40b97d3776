"""Pictures as conditions: against Pillow, and as the pyramid of the filters has them."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from cnntool.errors import OptionError
from cnntool.filters.pyramid import expand, reduce
from cnntool.predict.conditions import (
    context_of,
    enlarged,
    grey,
    halved,
    larger,
    smaller,
    without_middle,
)


def pictures(rng, *shape):
    return rng.uniform(-1, 1, shape).astype(np.float32)


def test_bicubic_is_that_of_pillow(rng):
    """Keys' cubic with a = -1/2, which is Pillow's when it enlarges."""
    x = pictures(rng, 2, 5, 7, 3)
    found = enlarged(x)
    assert found.shape == (2, 10, 14, 3)
    for c in range(2):
        for n in range(3):
            image = Image.fromarray(x[c, :, :, n], "F")
            expected = np.asarray(image.resize((14, 10), Image.Resampling.BICUBIC))
            np.testing.assert_allclose(found[c, :, :, n], expected, atol=1e-5)


def test_halves_are_means(rng):
    x = pictures(rng, 1, 4, 6, 2)
    found = halved(x)
    for y in range(2):
        for z in range(3):
            block = x[:, 2 * y : 2 * y + 2, 2 * z : 2 * z + 2]
            np.testing.assert_allclose(found[:, y, z], block.mean(axis=(1, 2)), atol=1e-6)


def test_contexts(rng):
    x = pictures(rng, 3, 4, 8, 2)
    np.testing.assert_array_equal(context_of("superres", x), enlarged(halved(x)))
    luma = 0.299 * x[:1] + 0.587 * x[1:2] + 0.114 * x[2:]
    np.testing.assert_allclose(context_of("colorize", x), luma, atol=1e-6)
    expected = x.copy()
    expected[:, 1:3, 2:6] = 0
    np.testing.assert_array_equal(context_of("inpaint", x), expected)
    np.testing.assert_array_equal(without_middle(x), expected)


@pytest.mark.parametrize("size", [(7, 5), (8, 6), (9, 10)])
def test_levels_of_a_pyramid(size, rng):
    x = pictures(rng, 2, *size, 3)
    half = tuple(-(-side // 2) for side in size)
    quarter = tuple(-(-side // 2) for side in half)
    for level, wanted in ((smaller(x, size), 0), (smaller(x, half), 1), (smaller(x, quarter), 2)):
        for c in range(2):
            for n in range(3):
                expected = x[c, :, :, n]
                for _ in range(wanted):
                    expected = reduce(expected)
                np.testing.assert_allclose(level[c, :, :, n], expected, atol=1e-6)
    grown = larger(smaller(x, half), size)
    np.testing.assert_allclose(grown[1, :, :, 2], expand(reduce(x[1, :, :, 2]), size), atol=1e-6)


def test_a_pyramid_comes_back_exactly(rng):
    """Its small level enlarged, and what is missing at each doubling."""
    x = pictures(rng, 1, 7, 12, 4)
    levels = [x]
    while min(levels[-1].shape[1:3]) > 2:
        size = tuple(-(-side // 2) for side in levels[-1].shape[1:3])
        levels.append(smaller(levels[-1], size))
    missing = [above - larger(below, above.shape[1:3]) for above, below in pairwise(levels)]
    back = levels[-1]
    for part in reversed(missing):
        back = larger(back, part.shape[1:3]) + part
    np.testing.assert_allclose(back, x, atol=2e-7)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda x: halved(x[:, :3]), "pictures of 3x6 cannot be halved; choose even sides"),
        (grey, "colorize needs pictures in colour; these are grey"),
        (lambda x: smaller(x, (3, 3)), "stages of 3x3 are no level of a pyramid over 4x6"),
        (lambda x: smaller(x, (5, 6)), "stages of 5x6 are no level"),
    ],
)
def test_pictures_that_will_not_do(act, message, rng):
    with pytest.raises(OptionError, match=message):
        act(pictures(rng, 1, 4, 6, 2))
