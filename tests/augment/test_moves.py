"""Moves of pictures against SciPy's affine maps in float64, and where they must be exact."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_augment import (
    each,
    homogeneous,
    moved,
    scaled,
    sheared,
    shifted,
    turned,
)

from cnntool.augment import Augmentation

SHAPE = (2, 13, 18, 5)
TOLERANCE = 5e-3  # of 255: places in float32, at the steepest edges


def pictures(rng, shape=SHAPE):
    return rng.integers(0, 256, shape).astype(np.float32)


def done(text, x, seed=3, step=1, **options):
    return Augmentation.parse(text).apply(x, seed=seed, step=step, **options)


def drawn(text, x, seed=3, step=1):
    """By picture: the numbers of every step."""
    h, w, n = x.shape[1:]
    return Augmentation.parse(text).drawn((h, w), n, seed=seed, step=step)


CASES = {
    "rotate 30:30": lambda row: turned(30),
    "rotate 180": lambda row: turned(row[0]["angle"]),
    "scale 0.7:0.7": lambda row: scaled(0.7),
    "scale 0.5:2": lambda row: scaled(row[0]["factor"]),
    "shift 0.2": lambda row: shifted(row[0]["down"], row[0]["across"]),
    "shift 0.1:0.1 -0.3:-0.2": lambda row: shifted(1.3, row[0]["across"]),
    "shear 20": lambda row: sheared(row[0]["across"], 0),
    "shear 20 down=15": lambda row: sheared(row[0]["across"], row[0]["down"]),
    "rotate 40 | shift 0.2 | scale 0.3 | shear 10 | vflip p=1": lambda row: (
        scaled(-1, 1)
        @ sheared(row[3]["across"], 0)
        @ scaled(row[2]["factor"])
        @ shifted(row[1]["down"], row[1]["across"])
        @ turned(row[0]["angle"])
    ),
    "shift 0.2 | rotate 40": lambda row: (
        turned(row[1]["angle"]) @ shifted(row[0]["down"], row[0]["across"])
    ),
}


@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize("border", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_as_scipy(rng, text, border):
    x = pictures(rng)
    first, *rest = text.split(" | ")
    spelled = " | ".join([f"{first} border={border}", *rest])
    rows = drawn(text, x)
    y = done(spelled, x)
    expected = each(x, lambda plane, n: moved(plane, CASES[text](rows[n]), border))
    np.testing.assert_allclose(y, expected, atol=TOLERANCE)


def test_fill(rng):
    x = pictures(rng)
    y = done("rotate 30:30 fill=200", x)
    expected = each(x, lambda plane, n: moved(plane, turned(30), fill=200))
    np.testing.assert_allclose(y, expected, atol=TOLERANCE)
    wide = done("rotate 30:30 fill=200", x * 257, full_range=65535)
    np.testing.assert_allclose(wide, y * 257, atol=TOLERANCE * 257)


def test_nearest(rng):
    x = pictures(rng)
    y = done("rotate 30:30 interpolation=nearest border=edge", x)
    expected = each(x, lambda plane, n: moved(plane, turned(30), "edge", order=0))
    np.testing.assert_array_equal(y, expected)


def test_crop_is_a_window_at_a_random_place(rng):
    x = pictures(rng)
    text = "crop 0.4:0.9 ratio=1.5"
    rows = drawn(text, x)

    def window(row):
        row = row[0]
        back = homogeneous(np.diag([row["height"], row["width"]]), row["down"], row["across"])
        return np.linalg.inv(back)

    expected = each(x, lambda plane, n: moved(plane, window(rows[n]), "edge"))
    np.testing.assert_allclose(done(text, x), expected, atol=TOLERANCE)
    for row in rows:
        row = row[0]
        # the outermost pixels of the window lie in the picture
        assert abs(row["down"]) <= (1 - row["height"]) * 6 + 1e-4
        assert abs(row["across"]) <= (1 - row["width"]) * 8.5 + 1e-4
        assert 0.4 / 1.5**0.5 - 1e-5 <= min(row["height"], row["width"])
        assert max(row["height"], row["width"]) <= 1


@pytest.mark.parametrize("border", ["constant fill=255", "reflect"])
def test_crop_never_shows_what_lies_beyond(rng, border):
    x = pictures(rng) * 0 + 7
    np.testing.assert_array_equal(done(f"crop 0.1 ratio=3 | rotate 0 border={border}", x), x)


def test_flips_turns_and_whole_pixels_are_exact(rng):
    x = pictures(rng)
    np.testing.assert_array_equal(done("hflip p=1", x), x[:, :, ::-1])
    np.testing.assert_array_equal(done("vflip p=1", x), x[:, ::-1])
    np.testing.assert_array_equal(done("hflip p=1 | vflip p=1", x), x[:, ::-1, ::-1])
    np.testing.assert_array_equal(done("rotate 180:180", x), x[:, ::-1, ::-1])
    np.testing.assert_array_equal(done("rotate -180:-180", x), x[:, ::-1, ::-1])
    square = x[:, :, :13]
    np.testing.assert_array_equal(done("rotate 90:90", square), np.rot90(square, 1, (1, 2)))
    np.testing.assert_array_equal(done("rotate -90:-90", square), np.rot90(square, -1, (1, 2)))
    np.testing.assert_array_equal(done("rotate 270:270", square), np.rot90(square, 3, (1, 2)))
    y = done("shift 2:2px -3:-3px fill=9", x)
    np.testing.assert_array_equal(y[:, 2:, :-3], x[:, :-2, 3:])
    assert (y[:, :2] == 9).all() and (y[:, :, -3:] == 9).all()
    y = done("shift 2:2px -3:-3px border=wrap", x)
    np.testing.assert_array_equal(y, np.roll(x, (2, -3), (1, 2)))
    y = done("shift 4px border=reflect", x)
    padded = np.pad(x, ((0, 0), (4, 4), (4, 4), (0, 0)), "reflect")
    for n, row in enumerate(drawn("shift 4px", x)):
        down, across = (int(row[0][name]) for name in ("down", "across"))
        part = padded[:, 4 - down : 17 - down, 4 - across : 22 - across, n]
        np.testing.assert_array_equal(y[..., n], part)


def test_large_batches_and_pictures_are_read_in_strips(rng):
    x = pictures(rng, (1, 40, 30, 90))
    whole = done("rotate 50 | scale 0.2", x)
    for n in (0, 41, 89):
        part = done("rotate 50 | scale 0.2", x[..., n : n + 1], offset=n)
        np.testing.assert_array_equal(part[..., 0], whole[..., n])
    photo = pictures(rng, (3, 200, 150, 1))
    expected = each(photo, lambda plane, n: moved(plane, turned(30)))
    np.testing.assert_allclose(done("rotate 30:30", photo), expected, atol=0.05)


def test_indices_beyond_float32(rng, monkeypatch):
    from cnntool.augment import sampling

    x = pictures(rng)
    y = done("rotate 30:30", x)
    monkeypatch.setattr(sampling, "_EXACT", 0)
    np.testing.assert_array_equal(done("rotate 30:30", x), y)


@settings(max_examples=40)
@given(
    h=st.integers(1, 6),
    w=st.integers(1, 6),
    border=st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"]),
    down=st.floats(-1, 1),
    across=st.floats(-1, 1),
    angle=st.floats(-360, 360),
)
def test_small_pictures_moved_far(h, w, border, down, across, angle):
    x = np.arange(1, h * w + 1, dtype=np.float32).reshape(1, h, w, 1)
    # a factor that shrinks shows many repetitions
    text = f"shift {down:.3f}:{down:.3f} {across:.3f}:{across:.3f} | rotate {angle:.2f}:{angle:.2f}"
    y = done(f"{text} border={border} | scale 0.3:0.3", x)
    forward = scaled(0.3) @ turned(round(angle, 2)) @ shifted(
        round(down, 3) * h, round(across, 3) * w
    )  # fmt: skip
    expected = moved(x[0, :, :, 0], forward, border)
    np.testing.assert_allclose(y[0, :, :, 0], expected, atol=2e-3)


def test_elastic_reads_where_its_field_says(rng):
    x = pictures(rng, (2, 13, 18, 3))
    aug = Augmentation.parse("rotate 20:20 | elastic 1.5px 4px | scale 0.9:0.9 border=edge")
    work = aug_session(aug, x)
    y = aug.apply(x, seed=3, step=1)
    row, column = work._where().rows(slice(0, 13))
    # the middle of the picture, turned and scaled, and what the field adds
    back = np.linalg.inv(scaled(0.9) @ turned(20))[:2, :2]
    places = np.stack(np.meshgrid(np.arange(13) - 6, np.arange(18) - 8.5, indexing="ij"))
    plain = np.einsum("ij,jhw->ihw", back, places) + np.array([6, 8.5])[:, None, None]
    field = work._where()._fields[0].rows(slice(0, 13))
    np.testing.assert_allclose(row, plain[0][..., None] + field[0], atol=1e-4)
    np.testing.assert_allclose(column, plain[1][..., None] + field[1], atol=1e-4)
    for n in range(3):
        for c in range(2):
            expected = scipy.ndimage.map_coordinates(
                x[c, :, :, n].astype(np.float64), [row[..., n], column[..., n]], order=1,
                mode="nearest",
            )  # fmt: skip
            np.testing.assert_allclose(y[c, :, :, n], expected, atol=TOLERANCE)


def aug_session(aug, x, seed=3, step=1):
    from cnntool.augment.session import session

    return session(aug.steps, x, seed, step, 0, None, 255.0)
