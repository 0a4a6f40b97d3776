"""Blur against SciPy, noise by its statistics, holes against loops."""

import numpy as np
import pytest
import scipy.ndimage
from reference_augment import each

from cnntool.augment import Augmentation

SHAPE = (2, 12, 17, 5)


def pictures(rng, shape=SHAPE):
    return rng.integers(0, 256, shape).astype(np.float32)


def done(text, x, seed=3, step=1, **options):
    return Augmentation.parse(text).apply(x, seed=seed, step=step, **options)


def drawn(text, x):
    rows = Augmentation.parse(text).drawn(x.shape[1:3], x.shape[3], seed=3, step=1)
    return [row[0] for row in rows]


@pytest.mark.parametrize("text", ["blur 2", "blur 1:1", "blur 6:6", "blur 0.05:0.3"])
def test_blur_as_scipy(rng, text):
    x = pictures(rng)
    sigmas = [row["sigma"] for row in drawn(text, x)]
    expected = each(
        x.astype(np.float64),
        lambda plane, n: scipy.ndimage.gaussian_filter(plane, sigmas[n], mode="mirror"),
    )
    np.testing.assert_allclose(done(text, x), expected, atol=2e-3)


def test_blur_in_strips(rng):
    x = pictures(rng, (1, 150, 130, 1))
    expected = scipy.ndimage.gaussian_filter(x[0, :, :, 0].astype(float), 3, mode="mirror")
    np.testing.assert_allclose(done("blur 3:3", x)[0, :, :, 0], expected, atol=2e-3)


def test_blur_of_one_does_not_depend_on_the_others(rng):
    x = pictures(rng)
    y = done("blur 3", x)
    for n in range(5):
        alone = done("blur 3", x[..., n : n + 1], offset=n)
        np.testing.assert_array_equal(alone[..., 0], y[..., n])


def test_noise_is_normal_with_the_sigma_drawn(rng):
    x = np.full((3, 31, 33, 6), 128, np.float32)
    y = done("noise 1:20", x) - 128
    for n, row in enumerate(drawn("noise 1:20", x)):
        z = y[..., n].ravel() / row["sigma"]
        assert abs(z.mean()) < 0.06
        assert abs(z.std() - 1) < 0.04
        assert abs(np.mean(z**4) - 3) < 0.5
    flat = y.reshape(3, -1, 6)
    for one, other in ((flat[0, :, 0], flat[1, :, 0]), (flat[0, :, 0], flat[0, :, 1])):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.12
    shifted = np.corrcoef(flat[0, :-1, 0], flat[0, 1:, 0])[0, 1]
    assert abs(shifted) < 0.1


def test_noise_is_another_each_step_and_word():
    x = np.full((1, 9, 9, 3), 128, np.float32)
    one = done("noise 5:5", x)
    assert (one == done("noise 5:5", x)).all()
    for other in (done("noise 5:5", x, step=2), done("noise 5:5", x, seed=4)):
        assert (one == other).mean() < 0.05
    twice = done("noise 5:5 | noise 5:5", x) - 128
    assert np.abs(twice - 2 * (one - 128)).mean() > 1
    assert abs(twice.std() - 5 * 2**0.5) < 1


def test_noise_of_odd_sizes():
    for shape in ((1, 1, 1, 1), (1, 1, 1, 3), (3, 3, 1, 2), (1, 90, 91, 3)):
        x = np.full(shape, 128, np.float32)
        assert (done("noise 9:9", x) != x).mean() > 0.9


def test_noise_is_cut_off_at_the_ends():
    x = np.zeros((1, 20, 20, 2), np.float32)
    y = done("noise 30:30", x)
    assert y.min() == 0 and 0.4 < (y == 0).mean() < 0.6
    assert done("noise 250:250", x + 255).max() == 255


@pytest.mark.parametrize("text", ["cutout 0.4", "cutout 5px count=3 fill=9", "cutout 0.1:0.9"])
def test_cutout_covers_squares(rng, text):
    x = pictures(rng)
    y = done(text, x)
    fill = 9 if "fill" in text else 0
    for n, row in enumerate(drawn(text, x)):
        expected = x[..., n].copy()
        side = round(row["pixels"])
        for top, left in row["holes"]:
            assert -(side // 2) <= top < 12 - side // 2
            assert -(side // 2) <= left < 17 - side // 2
            for i in range(12):
                for j in range(17):
                    if 0 <= i - top < side and 0 <= j - left < side:
                        expected[:, i, j] = fill
        np.testing.assert_array_equal(y[..., n], expected)
    if "px" in text:
        assert all(len(row["holes"]) == 3 and row["pixels"] == 5 for row in drawn(text, x))


def test_cutout_middles_are_anywhere():
    x = np.full((1, 9, 14, 3000), 1, np.float32)
    hits = (done("cutout 1px", x) == 0).mean(axis=(0, 3))
    np.testing.assert_allclose(hits, 1 / (9 * 14), atol=0.006)


def test_cutout_of_everything_and_nothing(rng):
    x = pictures(rng)
    np.testing.assert_array_equal(done("cutout 0", x), x)
    assert (done("cutout 50px fill=77", x) == 77).all()
    assert (done("cutout 50px fill=255", x * 257, full_range=65535) == 65535).all()
