"""Pictures on their way into a training: normalised as in prediction, changed at random before."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from cnntool.augment.augmentation import Augmentation
from cnntool.data.dataset import Dataset, Split
from cnntool.errors import OptionError
from cnntool.predict.preprocess import Preprocessor
from cnntool.train import preparation
from cnntool.train.options import Options
from cnntool.train.preparation import Preparation


def made(count=30, channels=1, seed=1, **fields):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 200, (count, channels, 7, 5)).astype(np.uint8)
    images[:, -1] //= 3  # channels differ
    split = Split(images, np.arange(count) % 2)
    return Dataset("made", ("a", "b"), split, color="gray" if channels == 1 else "rgb", **fields)


OPTIONS = Options(dataset="made", model="custom", spec="flatten | dense 2", input=(1, 7, 5),
                  classes=("a", "b"))  # fmt: skip


def prepared(dataset, **changes):
    return Preparation.of(dataset, dataclasses.replace(OPTIONS, **changes))


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_0_and_spread_1(channels):
    dataset = made(channels=channels)
    found = prepared(dataset)
    how = found.preprocessor.how
    for channel in range(channels):
        values = dataset.train.images[:, channel].astype(float) / 255
        assert how.mean[channel] == pytest.approx(values.mean(), abs=5e-5)
        assert how.std[channel] == pytest.approx(values.std(), abs=5e-5)
    assert len(how.mean) == len(how.std) == channels
    assert how.scale == 1 / 255
    assert how.brightness == pytest.approx(dataset.train.images.mean() / 255, abs=1e-4)
    x = np.ascontiguousarray(dataset.train.images.transpose(1, 2, 3, 0))
    y = found.picture(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.mean(axis=(1, 2, 3)), 0, atol=2e-3)
    np.testing.assert_allclose(y.std(axis=(1, 2, 3)), 1, atol=2e-3)


def test_only_training_pictures_count():
    white = Split(np.full((9, 1, 7, 5), 255, np.uint8), np.zeros(9, np.int64))
    alone, beside = prepared(made()), prepared(made(validation=white, test=white))
    assert alone.preprocessor.how == beside.preprocessor.how


def test_numbers_that_files_keep():
    """Few digits: what the model's file says is what was used."""
    how = prepared(made()).preprocessor.how
    assert all(number == round(number, 4) for number in (*how.mean, *how.std, how.brightness))


def test_pictures_without_contrast():
    black = Split(np.zeros((6, 1, 7, 5), np.uint8), np.arange(6) % 2)
    found = prepared(dataclasses.replace(made(), train=black))
    assert found.preprocessor.how.std == (0.001,)
    assert np.isfinite(found.picture(np.full((1, 7, 5, 2), 255, np.uint8))).all()


def test_of_many_pictures_a_sample_is_looked_at(monkeypatch):
    monkeypatch.setattr(preparation, "SAMPLE", 10)
    dataset = made(35)
    expected = dataset.train.images[::3].mean() / 255
    assert prepared(dataset).preprocessor.how.mean[0] == pytest.approx(expected, abs=5e-5)


def test_how_pictures_are_fitted_is_kept():
    dataset = made(fit="pad", background=0.75)
    how = prepared(dataset, fit="crop").preprocessor.how
    assert (how.fit, how.background, how.color) == ("pad", 0.75, "gray")
    assert prepared(made(), fit="crop").preprocessor.how.fit == "crop"
    assert prepared(made(channels=3)).preprocessor.how.color == "rgb"


def changed_by(found, x, step, offset, total):
    """Pictures of a batch, whose labels stay as they are."""
    labels = np.arange(x.shape[-1])
    pictures, same = found.batch(x, labels, step, offset, total)
    assert same is labels
    return pictures


def test_a_batch_without_changes_is_a_picture():
    found = prepared(made())
    x = made(8, seed=2).train.images.transpose(1, 2, 3, 0)
    assert found.augmentation is None
    np.testing.assert_array_equal(changed_by(found, x, 3, 0, 8), found.picture(x))


def test_changes_come_before_the_normalisation():
    text = "hflip p=0.5 | shift 2 | brightness 0.3"
    found = prepared(made(), augment=text, seed=11)
    x = np.ascontiguousarray(made(8, seed=2).train.images.transpose(1, 2, 3, 0))
    before = x.copy()
    changed = Augmentation.parse(text).apply(x, seed=11, step=3, offset=0, total=8)
    expected = Preprocessor(found.preprocessor.how, (7, 5)).prepare(changed)
    np.testing.assert_array_equal(changed_by(found, x, 3, 0, 8), expected)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("cuts", [(0, 8), (0, 3, 8), (0, 1, 4, 7, 8)])
def test_however_a_batch_is_split(cuts):
    """Workers change their part as the whole would have been."""
    found = prepared(made(), augment="hflip p=0.5 | rotate 30 | noise 0.1", seed=3)
    x = np.ascontiguousarray(made(8, seed=2).train.images.transpose(1, 2, 3, 0))
    whole = changed_by(found, x, 5, 0, 8)
    for begin, end in pairwise(cuts):
        part = changed_by(found, np.ascontiguousarray(x[..., begin:end]), 5, begin, 8)
        np.testing.assert_allclose(part, whole[..., begin:end], rtol=1e-6, atol=1e-6)


def test_other_changes_in_every_step_and_for_every_seed():
    x = np.ascontiguousarray(made(8, seed=2).train.images.transpose(1, 2, 3, 0))
    one, two = (prepared(made(), augment="shift 3", seed=seed) for seed in (1, 2))
    batches = [
        changed_by(one, x, 0, 0, 8),
        changed_by(one, x, 1, 0, 8),
        changed_by(two, x, 0, 0, 8),
    ]
    assert len({batch.tobytes() for batch in batches}) == 3
    np.testing.assert_array_equal(changed_by(one, x, 1, 0, 8), batches[1])


def test_prediction_changes_nothing_at_random():
    x = np.ascontiguousarray(made(8, seed=2).train.images.transpose(1, 2, 3, 0))
    plain, found = prepared(made()), prepared(made(), augment="hflip | rotate 90")
    np.testing.assert_array_equal(plain.picture(x), found.picture(x))


def test_unknown_changes():
    with pytest.raises(OptionError, match="unknown word 'turn'"):
        prepared(made(), augment="turn 3")


def test_on_a_device(double):
    found = prepared(made(), augment="hflip p=0.5", seed=3)
    x = np.ascontiguousarray(made(8, seed=2).train.images.transpose(1, 2, 3, 0))
    there = changed_by(found, double.to_device(x), 5, 0, 8)
    np.testing.assert_allclose(
        double.to_host(there), changed_by(found, x, 5, 0, 8), rtol=1e-5, atol=1e-6
    )


def pixels(augment="", seed=3):
    """Preparation of a data set with a class for every pixel, and a batch of it."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (8, 1, 7, 5), dtype=np.uint8)
    split = Split(images, rng.integers(0, 3, (8, 7, 5)).astype(np.uint8))
    found = prepared(Dataset("m", ("a", "b", "c"), split), augment=augment, seed=seed)
    return found, np.ascontiguousarray(np.moveaxis(images, 0, -1)), np.moveaxis(split.labels, 0, -1)


def test_masks_move_with_their_pictures():
    found, x, masks = pixels("shift 2px")
    assert found.moves_labels
    whole, moved = found.batch(x, masks, 4, 0, 8)
    shifts = Augmentation.parse("shift 2px").drawn((7, 5), 8, seed=3, step=4)
    for n, ((drawn,),) in enumerate(zip(shifts, strict=True)):
        down, across = round(drawn["down"]), round(drawn["across"])
        expected = np.full((7, 5), 255)
        for row, column in np.ndindex(7, 5):
            if 0 <= row - down < 7 and 0 <= column - across < 5:
                expected[row, column] = masks[row - down, column - across, n]
        np.testing.assert_array_equal(moved[..., n], expected)
    part, own = found.batch(np.ascontiguousarray(x[..., 3:]), masks[..., 3:], 4, 3, 8)
    np.testing.assert_array_equal(own, moved[..., 3:])
    np.testing.assert_allclose(part, whole[..., 3:], rtol=1e-6)


@pytest.mark.parametrize("augment", ["", "noise 3 | brightness 0.2"])
def test_masks_that_stay(augment):
    found, x, masks = pixels(augment)
    assert not found.moves_labels
    assert found.batch(x, masks, 4, 0, 8)[1] is masks
