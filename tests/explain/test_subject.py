"""Models opened: layers and classes by name, scores and their gradients."""

import numpy as np
import pytest
from reference_explain import bars_subject, passed, subject
from small_models import numbers
from trained_models import CLASSES, bars, changed, trained

from cnntool.errors import InputError, ModelFileError, NameNotFound, OptionError
from cnntool.explain.subject import Subject, check_change
from cnntool.nn.modelfile import Preprocessing, SavedModel, save_model
from cnntool.nn.saved_model import HogFeatures


def saved(path, spec, input, **fields):
    fields.setdefault("preprocessing", Preprocessing(color="gray", mean=(0.0,), std=(1.0,)))
    model = SavedModel(spec=spec, input=input, tensors=numbers(spec, input), **fields)
    save_model(path, model, force=True)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


def test_a_model_from_its_file(path):
    save_model(path, trained())
    found = Subject.load(path)
    assert found.classes == CLASSES and found.path == str(path)
    assert found.shape == (1, 12, 10) and found.device.name == "cpu"
    images = np.ascontiguousarray(bars(3, seed=5)[0].transpose(1, 2, 3, 0))
    expected = np.stack([passed(images[..., n]).scores for n in range(3)], axis=1)
    np.testing.assert_allclose(found.scores(images), expected, rtol=1e-4, atol=1e-4)
    shares = np.exp(expected) / np.exp(expected).sum(axis=0)
    np.testing.assert_allclose(found.shares(found.scores(images)), shares, atol=1e-4)


def test_models_that_are_not_for_this(path):
    saved(path, "conv 2 1", (1, 5, 6), task="segment")
    with pytest.raises(OptionError, match="a model that segments; a classifier is needed here"):
        Subject.load(path)
    assert Subject.load(path, segments=True).plain.output == (2, 5, 6)
    saved(path, "dense 9 | reshape 1x3x3", (4,), task="generate")
    with pytest.raises(
        OptionError, match="makes pictures; a classifier or one that segments is needed here"
    ):
        Subject.load(path, segments=True)
    saved(path, "dense 3", (7,))
    with pytest.raises(OptionError, match="it takes vectors of 7 numbers; one that takes pictures"):
        Subject.load(path)
    features = HogFeatures(size=(24, 32))
    plain = Preprocessing(color="gray", scale=1, mean=(0.0,), std=(1.0,))
    saved(path, "dense 3", (features.length,), features=features, preprocessing=plain)
    with pytest.raises(OptionError, match=r"m\.safetensors': it sees histograms of gradients, not"):
        Subject.load(path)


def test_names():
    one = bars_subject()
    assert one.layer("1.relu").output == (6, 12, 10)
    assert one.class_number("lying") == 1
    with pytest.raises(
        NameNotFound,
        match=r"unknown layer 'relu'; did you mean '1\.relu'\? There are 0\.conv, 1\.relu, "
        r"2\.maxpool, 3\.flatten, 4\.dense$",
    ):
        one.layer("relu")
    with pytest.raises(NameNotFound, match=r"unknown layer 'x'; there are 0\.conv, "):
        one.layer("x")
    with pytest.raises(
        NameNotFound, match=r"unknown class 'laying'; did you mean 'lying'.* There are standing, "
    ):
        one.class_number("laying")
    with pytest.raises(OptionError, match=r"layer 4\.dense gives 3 numbers, no maps; take one"):
        one.maps("4.dense")
    assert one.maps("0.conv").name == "0.conv"


def test_names_of_a_deep_network_do_not_fill_the_screen():
    one = subject("(conv 2 3 pad=1 | relu)*20 | flatten | dense 2", (1, 5, 6))
    with pytest.raises(NameNotFound) as caught:
        one.layer("7.convolution")
    message = str(caught.value)
    assert message.endswith("more. See 'cnntool shape MODEL'") and len(message) < 290


@pytest.mark.parametrize("end", ["", " | sigmoid"])
def test_one_output_is_two_classes(end):
    """The first is what the second is not: its score is the negative, as is its gradient."""
    one = subject("flatten | dense 1" + end, (1, 3, 4), ("no", "yes"))
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 4, 2)).astype(np.uint8)
    scores = one.scores(images)
    assert scores.shape == (2, 2) and not scores[0].any()
    weight = one.plain.tensors["1.dense.weight"].reshape(3, 4)
    no, yes = (one.chosen(scores, [k, k]) for k in (0, 1))
    np.testing.assert_allclose(no, -yes)
    expected = weight * (1 / 255 / 0.2)
    np.testing.assert_allclose(one.gradient(images, [0, 1])[0, :, :, 0], -expected, rtol=1e-5)
    np.testing.assert_allclose(one.gradient(images, [0, 1])[0, :, :, 1], expected, rtol=1e-5)
    np.testing.assert_allclose(one.shares(scores).sum(axis=0), 1)


def test_a_class_for_each_picture():
    one = subject("flatten | dense 4", (1, 3, 4))
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 4, 3)).astype(np.uint8)
    scores = one.scores(images)
    np.testing.assert_array_equal(
        one.chosen(scores, [2, 0, 3]), [scores[2, 0], scores[0, 1], scores[3, 2]]
    )
    weight = one.plain.tensors["1.dense.weight"].reshape(4, 3, 4) / 255 / 0.2
    found = one.gradient(images, [2, 0, 3])
    np.testing.assert_allclose(found[0].transpose(2, 0, 1), weight[[2, 0, 3]], rtol=1e-5)


def test_plain_pictures():
    one = subject("flatten | dense 2", (3, 2, 2))
    np.testing.assert_allclose(
        one.plain_samples("mean").ravel(), [0.4 * 255, 0.5 * 255, 0.3 * 255], rtol=1e-6
    )
    assert one.plain_samples("black").ravel().tolist() == [0, 0, 0]
    assert one.plain_samples("white").ravel().tolist() == [255, 255, 255]
    # the mean is what the network takes for 0
    samples = np.broadcast_to(one.plain_samples("mean")[..., None], (3, 2, 2, 1))
    np.testing.assert_allclose(one.inputs(samples), 0, atol=1e-6)


def test_numbers_that_are_not_finite():
    broken = changed(tensors={k: np.full_like(v, 3e38) for k, v in trained().tensors.items()})
    one, image = bars_subject(broken), np.full((1, 12, 10, 1), 255, np.uint8)
    with pytest.raises(ModelFileError, match="the network gives numbers that are not finite"):
        one.scores(image)
    with pytest.raises(ModelFileError, match="not finite"):
        one.gradient(image, [0])


def test_gradients_that_tell_nothing():
    check_change(np.array([0.0, 1e-30]), "cat", "1.relu")
    with pytest.raises(
        InputError,
        match=r"the gradient of the score of 'cat' at 1\.relu is 0 everywhere: .* take another",
    ):
        check_change(np.zeros(3), "cat", "1.relu")
