"""From pictures to input: the formula sample by sample, and what is said of negatives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from trained_models import SIZE, trained

from cnntool.data.fitting import prepared
from cnntool.errors import InputError, ShapeError
from cnntool.filters import hog
from cnntool.images.picture import Picture
from cnntool.nn.saved_model import HogFeatures, Preprocessing, SavedModel
from cnntool.predict.preprocess import Preprocessor

COLOUR = Preprocessing(mean=(0.5, 0.25, 0.1), std=(0.5, 0.3, 0.2))
GREY = Preprocessing(color="gray", mean=(0.13,), std=(0.31,))


def slow(images, how):
    """(x · scale - mean) / std of every sample by itself, in double precision."""
    out = np.empty(images.shape)
    for place, value in np.ndenumerate(images):
        c = place[0]
        out[place] = (float(value) * how.scale - how.mean[c]) / how.std[c]
    return out


@pytest.mark.parametrize("how", [COLOUR, GREY, Preprocessing()], ids=["rgb", "gray", "plain"])
def test_prepare_is_the_formula(xp, rng, how):
    images = rng.integers(0, 256, (how.channels, 4, 3, 5), dtype=np.uint8)
    on_device = xp.to_device(images)
    with xp.no_transfers():
        found = Preprocessor(how, (4, 3)).prepare(on_device)
    assert found.dtype == np.float32
    assert_allclose(xp.to_host(found), slow(images, how), rtol=2e-6, atol=2e-6)
    assert np.array_equal(xp.to_host(on_device), images)


@settings(deadline=None, max_examples=40)
@given(
    st.floats(1e-3, 1e3), st.floats(-10, 10), st.floats(1e-2, 1e2),
    st.integers(0, 255), st.sampled_from([np.uint8, np.float32]),
)  # fmt: skip
def test_any_constants(scale, mean, std, value, dtype):
    how = Preprocessing(color="gray", scale=scale, mean=(mean,), std=(std,))
    images = np.full((1, 1, 1, 1), value, dtype)
    expected = slow(images, how).item()
    size = (value * scale + abs(mean)) / std  # what is subtracted may be far larger than the rest
    found = Preprocessor(how, (1, 1)).prepare(images).item()
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6 * size)


@pytest.mark.parametrize("how", [COLOUR, GREY], ids=["rgb", "gray"])
def test_restore_undoes_prepare(xp, rng, how):
    images = rng.integers(0, 256, (how.channels, 4, 3, 5), dtype=np.uint8)
    one = Preprocessor(how, (4, 3))
    inputs = one.prepare(xp.to_device(images))
    before = xp.to_host(inputs).copy()
    with xp.no_transfers():
        found = one.restore(inputs)
    assert_allclose(xp.to_host(found), images, atol=1e-3)
    assert np.array_equal(xp.to_host(inputs), before)
    assert_allclose(one.shifts, slow(np.zeros((how.channels, 1, 1, 1)), how).ravel(), rtol=1e-6)


def test_prepare_into_an_array(rng):
    images = rng.integers(0, 256, (3, 4, 2, 5), dtype=np.uint8)
    one = Preprocessor(COLOUR, (4, 2))
    out = np.empty(images.shape, np.float32)
    assert one.prepare(images, out=out) is out
    assert np.array_equal(out, one.prepare(images))


def test_neighbours_change_nothing(rng):
    images = rng.integers(0, 256, (3, 5, 4, 9), dtype=np.uint8)
    one = Preprocessor(COLOUR, (5, 4))
    whole = one.prepare(images)
    for n in range(9):
        assert np.array_equal(one.prepare(images[..., n : n + 1])[..., 0], whole[..., n])


def test_prepare_refuses_other_channels():
    for shape in ((1, 4, 4, 2), (3, 4, 4)):
        with pytest.raises(ShapeError, match=r"do not fit; \(C, H, W, N\) with C = 3 is needed"):
            Preprocessor(COLOUR, (4, 4)).prepare(np.zeros(shape, np.uint8))


def test_features_in_place_of_pictures(rng):
    features = HogFeatures(size=(16, 12), cell=(4, 4), block=(2, 2), orientations=7)
    how = Preprocessing(color="gray", scale=1, mean=(0.0,), std=(1.0,))
    images = rng.integers(0, 256, (1, 16, 12, 3), dtype=np.uint8)
    found = Preprocessor(how, (16, 12), features).prepare(images)
    assert found.shape == (features.length, 3) and found.dtype == np.float32
    for n in range(3):
        expected = hog(images[0, ..., n], orientations=7, cell=(4, 4), block=(2, 2))
        assert_allclose(found[:, n], expected, atol=1e-5)


# --- one picture


def test_pictures_become_what_data_sets_hold(rng):
    """Colour, size, fit and background are those of the model, by the rule for data sets."""
    picture = Picture(rng.integers(0, 256, (9, 20, 3), dtype=np.uint8))
    for fit in ("stretch", "crop", "pad"):
        how = Preprocessing(color="gray", fit=fit, mean=(0.0,), std=(1.0,), background=0.5)
        found = Preprocessor(how, (6, 7)).from_picture(picture)
        assert found.shape == (1, 6, 7) and found.dtype == np.uint8
        assert np.array_equal(found, prepared(picture, "gray", (6, 7), fit, 0.5))


def test_grey_pictures_for_a_colour_model(rng):
    pixels = rng.integers(0, 256, (4, 5), dtype=np.uint8)
    found = Preprocessor(COLOUR, (4, 5)).from_picture(Picture(pixels))
    assert np.array_equal(found, np.stack([pixels] * 3))


def test_negatives_keep_the_background(rng):
    pixels = rng.integers(0, 256, (4, 8), dtype=np.uint8)
    how = Preprocessing(color="gray", fit="pad", mean=(0.0,), std=(1.0,), background=0.0)
    found = Preprocessor(how, (8, 8)).from_picture(Picture(pixels), invert=True)
    assert np.array_equal(found[0, 2:6], 255 - pixels)
    assert not found[0, :2].any() and not found[0, 6:].any()


def test_samples_of_16_bits_and_floats():
    deep = Picture(np.array([[0, 32768, 65535]], np.uint16))
    floats = Picture(np.array([[-3.0, 127.6, 300.0]], np.float32))
    one = Preprocessor(GREY, (1, 3))
    assert one.from_picture(deep).tolist() == [[[0, 128, 255]]]
    assert one.from_picture(floats).tolist() == [[[0, 128, 255]]]


def test_pictures_that_cannot_be_used():
    one = Preprocessor(GREY, (1, 2))
    with pytest.raises(InputError, match="NaN or infinity among its samples"):
        one.from_picture(Picture(np.array([[1, np.nan]], np.float32)))
    with pytest.raises(InputError, match="2 channels"):
        one.from_picture(Picture(np.zeros((1, 2, 2), np.uint8)))


def test_of_a_model():
    one = Preprocessor.of(trained())
    assert one.size == SIZE and one.shape == (1, *SIZE)
    features = HogFeatures(size=(16, 24))
    hog_model = SavedModel(
        spec="dense 2", input=(features.length,), tensors={}, features=features,
        preprocessing=Preprocessing(scale=1),
    )  # fmt: skip
    assert Preprocessor.of(hog_model).shape == (3, 16, 24)
    with pytest.raises(ShapeError, match="the model takes 7 numbers, not pictures"):
        Preprocessor.of(SavedModel(spec="dense 2", input=(7,), tensors={}))


# --- brightness


def note(brightness, mean, **options):
    how = Preprocessing(color="gray", mean=(0.0,), std=(1.0,), brightness=brightness)
    image = np.full((1, 3, 4), round(255 * mean), np.uint8)
    return Preprocessor(how, (3, 4)).unlike_training(image, **options)


@pytest.mark.parametrize("mean", [0.62, 0.8, 1.0])
def test_bright_where_the_training_was_dark(mean):
    found = note(0.13, mean)
    assert found == (
        f"brightness {mean:.2f} is unlike that of the training's pictures, 0.13; "
        "--invert takes its negative"
    )


def test_dark_where_the_training_was_bright():
    assert "brightness 0.10 is unlike" in note(0.9, 0.1)


def test_negatives_that_are_unlike():
    assert note(0.13, 0.9, inverted=True).endswith("0.13; try it without --invert")


@pytest.mark.parametrize(("brightness", "mean"), [
    (0.13, 0.0), (0.13, 0.13), (0.13, 0.5), (0.13, 0.58),  # dark, or in between
    (0.45, 0.0), (0.45, 1.0), (0.55, 0.0),  # the training was neither dark nor bright
    (None, 1.0),
])  # fmt: skip
def test_nothing_to_say(brightness, mean):
    assert note(brightness, mean) == ""
