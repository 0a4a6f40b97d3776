"""Occlusion against a slow loop over patches."""

import numpy as np
import pytest
import reference_explain as reference
from reference_explain import bars_subject, subject
from trained_models import bars, trained

from cnntool.errors import OptionError
from cnntool.explain.occlusion import occlusion

IMAGE = bars(1, seed=9)[0][0]


def slow(image, number, size, stride, fill):
    """Every patch by itself; a pixel's mean over the patches that lie on it."""
    _, height, width = image.shape

    def starts(length, side, step):
        found = []
        for start in range(0, length, step):
            found.append(min(start, length - side))
            if start + side >= length:
                break
        return found

    drops = [[[] for _ in range(width)] for _ in range(height)]
    for top in starts(height, size[0], stride[0]):
        for left in starts(width, size[1], stride[1]):
            covered = image.astype(np.float64)
            covered[0, top : top + size[0], left : left + size[1]] = fill
            drop = reference.score(image, number) - reference.score(covered, number)
            for y in range(top, top + size[0]):
                for x in range(left, left + size[1]):
                    drops[y][x].append(drop)
    return np.array([[np.mean(cell) for cell in line] for line in drops])


@pytest.mark.parametrize(("size", "stride", "fill"), [
    ((3, 4), (2, 3), "mean"), ((5, 2), (3, 1), "black"), ((1, 1), (1, 1), "white"),
    ((4, 4), (4, 4), "mean"),
])  # fmt: skip
def test_against_a_slow_loop(size, stride, fill):
    how = trained().preprocessing
    sample = {"mean": how.mean[0] * 255, "black": 0, "white": 255}[fill]
    for number in (0, 2):
        found = occlusion(bars_subject(), IMAGE, number, size=size, stride=stride, fill=fill)
        expected = slow(IMAGE, number, size, stride, sample)
        assert found.shape == (12, 10) and found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_patch_is_a_quarter_by_itself():
    one = bars_subject()
    found = occlusion(one, IMAGE, 1)
    np.testing.assert_array_equal(found, occlusion(one, IMAGE, 1, size=(3, 2), stride=(1, 1)))


def test_colours_are_covered_by_their_means():
    one = subject("flatten | dense 2 bias=no", (3, 4, 5))
    image = np.random.default_rng(1).integers(0, 256, (3, 4, 5)).astype(np.uint8)
    found = occlusion(one, image, 1, size=(1, 1), stride=(1, 1))
    weight = one.plain.tensors["1.dense.weight"][1].reshape(3, 4, 5)
    # a sum of products: what the covered products were
    expected = (weight * one.inputs(image[..., None])[..., 0]).sum(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_progress_and_memory():
    told = []
    occlusion(bars_subject(), IMAGE, 1, size=(2, 2), stride=(1, 1),
              progress=lambda done, total: told.append((done, total)))  # fmt: skip
    assert told[-1] == (99, 99) and len(told) == 4, "32 patches at a time"


@pytest.mark.parametrize("size", [(12, 10), (13, 2), (2, 11)])
def test_patches_that_leave_nothing(size):
    with pytest.raises(OptionError, match=f"a patch of {size[0]}×{size[1]} covers all of a pictur"):
        occlusion(bars_subject(), IMAGE, 0, size=size)
