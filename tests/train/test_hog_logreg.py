"""Logistic regression on histograms of gradients: from pictures to a model that works."""

import dataclasses
import gzip

import numpy as np
import pytest

from cnntool.data.dataset import Split
from cnntool.errors import InputError, NameNotFound, OptionError, ShapeError
from cnntool.filters import hog
from cnntool.nn.modelfile import HogFeatures, Preprocessing, SavedModel, decode_model, encode_model
from cnntool.nn.network import Network
from cnntool.nn.spec import parse
from cnntool.predict.features import features_of, picture_shape
from cnntool.predict.preprocess import Preprocessor
from cnntool.train.hog_logreg import fit

NAMES = ("lying", "standing", "falling")


def stripes(rng, count, *, channels=1, height=16, width=20):
    """Noisy stripes in three directions, at any place."""
    labels = rng.integers(0, 3, count)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([y, x, (x + y) * 0.7])[labels] + rng.uniform(0, 6, (count, 1, 1))
    pictures = 128 + 60 * np.sin(waves) + rng.normal(0, 30, waves.shape)
    images = np.repeat(pictures[:, None], channels, axis=1).clip(0, 255).astype(np.uint8)
    return Split(images, labels)


def scores_of(model, split):
    network = Network(parse(model.spec), model.input)
    network.load(model.tensors)
    return network.predict(features_of(model, split.images.transpose(1, 2, 3, 0)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("norm", ["l2", "l2-hys"])
def test_learns_and_predicts_from_its_file(channels, norm, rng):
    train, test = (stripes(rng, count, channels=channels) for count in (60, 40))
    result = fit(train, NAMES, norm=norm, orientations=6)
    assert result.accuracy == 1.0
    model = decode_model(encode_model(result.model))
    assert (scores_of(model, test).argmax(axis=0) == test.labels).mean() >= 0.95
    assert model.spec == "dense 3"
    assert model.classes == NAMES
    assert model.name == "hog-logreg"
    assert model.preprocessing.color == ("gray" if channels == 1 else "rgb")
    assert model.preprocessing.brightness == pytest.approx(train.images.mean() / 255, abs=1e-4)
    assert model.features == HogFeatures(
        size=(16, 20), orientations=6, cell=(2, 2), block=(2, 2), norm=norm, signed=True
    )


def test_same_pictures_same_bytes(rng):
    split = stripes(rng, 50)
    before = split.images.copy()
    first, second = (encode_model(fit(split, NAMES).model) for _ in range(2))
    assert first == second
    np.testing.assert_array_equal(split.images, before)


def test_options_reach_the_model(rng):
    split = stripes(rng, 30)
    given = Preprocessing(color="gray", fit="pad", mean=(0.3,), std=(0.2,), background=1.0)
    options = {"orientations": 5, "norm": "l1-sqrt", "signed": False, "sqrt": True}
    model = fit(split, NAMES, cell=(4, 5), block=(2, 1), preprocessing=given, **options).model
    assert model.features == HogFeatures(size=(16, 20), cell=(4, 5), block=(2, 1), **options)
    assert model.preprocessing == Preprocessing(
        color="gray", fit="pad", scale=1, mean=(0.0,), std=(1.0,), background=1.0
    )


def test_features_are_those_of_single_pictures(rng):
    split = stripes(rng, 9, channels=3)
    model = fit(split, NAMES, cell=5, sqrt=True).model
    found = features_of(model, split.images.transpose(1, 2, 3, 0))
    for column, picture in zip(found.T, split.images, strict=True):
        wanted = hog(picture.transpose(1, 2, 0), 9, 5, 2, "l2", signed=True, sqrt=True)
        np.testing.assert_allclose(column, wanted, rtol=0, atol=1e-6)


def test_predictions_prepare_pictures_alike(rng):
    split = stripes(rng, 9)
    model = fit(split, NAMES).model
    images = split.images.transpose(1, 2, 3, 0)
    np.testing.assert_array_equal(
        Preprocessor.of(model).prepare(images), features_of(model, images)
    )


def test_unsigned_features_do_not_see_negatives(rng):
    split = stripes(rng, 30)
    model = fit(split, NAMES, signed=False).model
    negative = dataclasses.replace(split, images=255 - split.images)
    np.testing.assert_allclose(scores_of(model, negative), scores_of(model, split), atol=1e-3)


def test_reports(rng):
    split = stripes(rng, 30)
    told = []
    result = fit(split, NAMES, report=lambda *args: told.append(args))
    assert told[0] == ("features", 30, 30, None)
    assert [args[:3] for args in told[1:]] == [
        ("steps", n + 1, 100, ) for n in range(result.iterations)
    ]  # fmt: skip
    assert result.converged
    short = fit(split, NAMES, report=lambda stage, done, of, loss: stage == "steps" and done == 2)
    assert (short.iterations, short.converged) == (2, False)


def test_rare_classes_can_count_more(rng):
    split = stripes(rng, 60)
    plain, heavy = (
        fit(split, NAMES, l2=10, class_weight=weight).model for weight in (None, (1, 1, 50))
    )
    shares = [(scores_of(model, split).argmax(axis=0) == 2).mean() for model in (plain, heavy)]
    assert shares[1] > shares[0]
    assert shares[1] > 0.9


def test_threads_agree(rng):
    split = stripes(rng, 50)
    one, two = (scores_of(fit(split, NAMES, threads=n).model, split) for n in (1, 2))
    np.testing.assert_allclose(one, two, atol=0.05)


def test_refusals(rng):
    split = stripes(rng, 12)
    with pytest.raises(InputError, match="there are no pictures to learn from"):
        fit(split.take(slice(0, 0)), NAMES)
    with pytest.raises(InputError, match="label 2 is no class; labels are from 0 to 1"):
        fit(Split(split.images, np.full(12, 2)), NAMES[:2])
    with pytest.raises(ShapeError, match="hog needs at least 32 rows and 32 columns"):
        fit(split, NAMES, cell=16)
    with pytest.raises(NameNotFound, match="unknown norm 'l3'"):
        fit(split, NAMES, norm="l3")
    with pytest.raises(OptionError, match="orientations must be from 1 to 360, got 0"):
        fit(split, NAMES, orientations=0)
    with pytest.raises(OptionError, match="the L2 regularisation must be 0 or more"):
        fit(split, NAMES, l2=-1)


def test_features_of_the_wrong_pictures(rng):
    model = fit(stripes(rng, 12), NAMES).model
    assert picture_shape(model) == (1, 16, 20)
    with pytest.raises(
        ShapeError, match="features of pictures 1×16×20, got an array 1×20×16×2; it"
    ):
        features_of(model, np.zeros((1, 20, 16, 2), np.uint8))
    plain = SavedModel(spec="flatten | dense 3", input=(3, 4, 5), tensors={})
    assert picture_shape(plain) == (3, 4, 5)
    with pytest.raises(ShapeError, match="takes pictures as they are, it has no features"):
        features_of(plain, np.zeros((3, 4, 5, 2), np.uint8))
    with pytest.raises(ShapeError, match="the model takes 7 numbers, not pictures"):
        picture_shape(SavedModel(spec="dense 3", input=(7,), tensors={}))


@pytest.mark.shared
def test_digits(shared_data):
    """A few of the real digits; all of them give 98.4 % of the test pictures."""

    def read(part, count):
        folder = shared_data / "mnist"
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
            images = np.frombuffer(file.read(16 + count * 784), np.uint8, offset=16)
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
            labels = np.frombuffer(file.read(8 + count), np.uint8, offset=8)
        return Split(images.reshape(-1, 1, 28, 28), labels.astype(np.int64))

    result = fit(read("train", 2000), tuple("0123456789"), max_iter=15)
    assert result.model.features.length == 1296
    test = read("t10k", 1000)
    assert (scores_of(result.model, test).argmax(axis=0) == test.labels).mean() > 0.94
