"""Brightness, contrast, saturation and hue against loops over single pixels."""

import colorsys

import numpy as np
import pytest

from cnntool.augment import Augmentation

SHAPE = (3, 5, 7, 4)


def colours(rng, shape=SHAPE):
    return rng.integers(0, 256, shape).astype(np.float32)


def done(text, x, **options):
    return Augmentation.parse(text).apply(x, seed=3, step=1, **options)


def factors(text, x):
    rows = Augmentation.parse(text).drawn(x.shape[1:3], x.shape[3], seed=3, step=1)
    return [[step.get("factor", step.get("turn")) for step in row] for row in rows]


def grey(pixel):
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2] if len(pixel) == 3 else pixel[0]


def by_pixel(x, n, function):
    """``function`` of every pixel (C,) of one picture (C, H, W)."""
    c, h, w = x.shape[:3]
    y = np.empty((c, h, w))
    for i in range(h):
        for j in range(w):
            y[:, i, j] = function(x[:, i, j, n].astype(np.float64))
    return y


def test_brightness(rng):
    x = colours(rng)
    y = done("brightness 0.5", x)
    for n, (factor,) in enumerate(factors("brightness 0.5", x)):
        expected = by_pixel(x, n, lambda p, f=factor: np.clip(p * f, 0, 255))
        np.testing.assert_allclose(y[..., n], expected, atol=1e-2)
    np.testing.assert_array_equal(done("brightness 2:2", x), np.clip(2 * x, 0, 255))
    np.testing.assert_array_equal(done("brightness 0:0", x), 0 * x)


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast(rng, channels):
    x = colours(rng, (channels, 5, 7, 4))
    y = done("contrast 0.5", x)
    for n, (factor,) in enumerate(factors("contrast 0.5", x)):
        mean = np.mean([grey(x[:, i, j, n].astype(float)) for i in range(5) for j in range(7)])
        expected = np.clip(mean + factor * (x[..., n] - mean), 0, 255)
        np.testing.assert_allclose(y[..., n], expected, atol=2e-2)


def test_saturation(rng):
    x = colours(rng)
    y = done("saturation 0:3", x)
    for n, (factor,) in enumerate(factors("saturation 0:3", x)):
        expected = by_pixel(
            x, n, lambda p, f=factor: np.clip(grey(p) + f * (p - grey(p)), 0, 255)
        )  # fmt: skip
        np.testing.assert_allclose(y[..., n], expected, atol=2e-2)


def test_lines_in_a_row_are_one(rng):
    x = colours(rng) / 2 + 60  # far from the ends, where single words would cut off
    text = "brightness 0.2 | contrast 0.2 | saturation 0.4 | brightness 0.1 | contrast 0.1"
    y = done(text, x)
    for n, row in enumerate(factors(text, x)):
        picture = x[..., n].astype(np.float64)
        for word, f in zip(text.split(" | "), row, strict=True):
            luma = np.einsum("c,chw->hw", [0.299, 0.587, 0.114], picture)
            if word.startswith("brightness"):
                picture = picture * f
            elif word.startswith("contrast"):
                picture = luma.mean() + f * (picture - luma.mean())
            else:
                picture = luma + f * (picture - luma)
        np.testing.assert_allclose(y[..., n], np.clip(picture, 0, 255), atol=2e-2)


def test_nothing_is_cut_off_between_words(rng):
    x = colours(rng)
    y = done("brightness 2:2 | brightness 0.5:0.5", x)
    np.testing.assert_array_equal(y, x)


def test_hue_is_that_of_hsv(rng):
    x = colours(rng)
    y = done("hue 0.5", x)

    def turned(pixel, turn):
        h, s, v = colorsys.rgb_to_hsv(*pixel / 255)
        return 255 * np.array(colorsys.hsv_to_rgb((h + turn) % 1, s, v))

    for n, (turn,) in enumerate(factors("hue 0.5", x)):
        np.testing.assert_allclose(
            y[..., n], by_pixel(x, n, lambda p, t=turn: turned(p, t)), atol=1e-2
        )


def test_hue_of_pure_colours():
    red = np.zeros((3, 1, 1, 1), np.float32)
    red[0] = 200
    third = done("hue 0.3333333333:0.3333333333", red)[:, 0, 0, 0]
    np.testing.assert_allclose(third, [0, 200, 0], atol=1e-2)
    half = done("hue 0.5:0.5", red)[:, 0, 0, 0]
    np.testing.assert_allclose(half, [0, 200, 200], atol=1e-2)


@pytest.mark.parametrize("text", ["saturation 1", "hue 0.5", "saturation 0:5 | hue 0.5"])
def test_grey_pictures_have_no_colour(rng, text):
    grey_picture = colours(rng, (1, 5, 7, 4))
    np.testing.assert_array_equal(done(text, grey_picture), grey_picture)
    three = np.repeat(grey_picture, 3, axis=0)
    np.testing.assert_allclose(done(text, three), three, atol=1e-3)


def test_mean_does_not_depend_on_the_part(rng):
    x = rng.uniform(0, 255, (3, 31, 17, 9)).astype(np.float32)
    y = done("contrast 0.9", x)
    for n in range(9):
        alone = done("contrast 0.9", np.ascontiguousarray(x[..., n : n + 1]), offset=n)
        np.testing.assert_array_equal(alone[..., 0], y[..., n])


def test_pictures_of_16_bits(rng):
    x = colours(rng)
    text = "contrast 0.5 | hue 0.2 | brightness 0.3 | saturation 0.5"
    wide = done(text, x * 257, full_range=65535)
    np.testing.assert_allclose(wide, done(text, x) * 257, atol=20)
