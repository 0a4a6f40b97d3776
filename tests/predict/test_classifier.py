"""Scores do not depend on neighbours, workers and devices; groups and rounds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from trained_models import SIZE, SPEC, bars, trained

from cnntool import models
from cnntool.backend import get
from cnntool.errors import ModelFileError
from cnntool.nn.modelfile import HogFeatures, Preprocessing
from cnntool.nn.network import Network
from cnntool.nn.spec import parse
from cnntool.predict.classifier import Classifier
from cnntool.predict.preprocess import Preprocessor

HOW = Preprocessor(trained().preprocessing, SIZE)


def network(spec=SPEC, input=(1, *SIZE), device=None):
    found = Network(parse(spec), input, device=device)
    if spec == SPEC:
        found.load(trained().tensors)
    else:
        found.initialise(seed=3)
    return found


def batch(count, seed=7):
    return np.ascontiguousarray(bars(count, seed)[0].transpose(1, 2, 3, 0))


def softmax(logits):
    """One column at a time, as the formula stands."""
    columns = [np.exp(np.float64(c) - c.max()) for c in logits.T]
    return np.stack([c / c.sum() for c in columns], axis=1)


def test_logits_are_the_networks():
    net, images = network(), batch(75)
    expected = net.predict(HOW.prepare(images), logits=True)
    with Classifier(net, HOW) as classify:
        found = classify(images)
        shares = classify.scores(found)
    assert found.dtype == np.float32
    assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert shares.dtype == np.float64
    assert_allclose(shares, softmax(found), rtol=1e-12)


def assert_same(found, expected):
    """Equal but for last bits: BLAS libraries may round columns otherwise by their place."""
    assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def test_neighbours_workers_and_numbers_change_nothing():
    images = batch(150)
    net = network()
    with Classifier(net, HOW) as classify:
        expected = classify(images)
        for chosen in ([0], [7, 3], range(40, 100), range(149, -1, -1)):
            found = classify(np.ascontiguousarray(images[..., list(chosen)]))
            assert_same(found, expected[:, list(chosen)])
    for workers in (2, 3):
        with Classifier(net, HOW, threads=workers) as classify:
            assert classify.workers == workers
            classify.start()
            assert_same(classify(images), expected)
            assert np.array_equal(classify(images[..., :5]), expected[:, :5])


def test_built_in_network_gives_the_same_in_any_company(rng):
    spec = models.create("cnn-mnist", 10, (1, 28, 28))
    net = Network(spec.chain, (1, 28, 28))
    net.initialise(seed=1)
    how = Preprocessor(Preprocessing(color="gray", mean=(0.13,), std=(0.3,)), (28, 28))
    images = rng.integers(0, 256, (1, 28, 28, 40), dtype=np.uint8)
    with Classifier(net, how) as classify:
        expected = classify(images)
        for n in (0, 17, 39):
            assert_same(classify(images[..., n : n + 1])[:, 0], expected[:, n])


def test_features_give_the_same_in_any_company(rng):
    features = HogFeatures(size=(28, 28), cell=(4, 4), block=(2, 2))
    net = network("dense 5", (features.length,))
    plain = Preprocessing(color="gray", scale=1, mean=(0.0,), std=(1.0,))
    images = rng.integers(0, 256, (1, 28, 28, 70), dtype=np.uint8)
    with Classifier(net, Preprocessor(plain, (28, 28), features), threads=2) as classify:
        expected = classify(images)
        for n in (0, 31, 69):
            assert_same(classify(images[..., n : n + 1])[:, 0], expected[:, n])


def test_inputs_are_not_changed():
    images = batch(40)
    before = images.copy()
    with Classifier(network(), HOW) as classify:
        classify(images)
    assert np.array_equal(images, before)


@pytest.mark.parametrize("end", ["", " | softmax"])
def test_last_softmax_is_no_second_one(end):
    plain = network("flatten | dense 3")
    other = network("flatten | dense 3" + end)
    with Classifier(plain, HOW) as a, Classifier(other, HOW) as b:
        assert_allclose(a.scores(a(batch(5))), b.scores(b(batch(5))), rtol=1e-6)


def test_sigmoids_are_kept_as_scores():
    net = network("flatten | dense 3 | sigmoid")
    with Classifier(net, HOW) as classify:
        logits = classify(batch(5))
        shares = classify.scores(logits)
    assert_allclose(shares, 1 / (1 + np.exp(-np.float64(logits))), rtol=1e-12)


@pytest.mark.parametrize("end", ["", " | sigmoid"])
def test_one_output_is_two_classes(end):
    net = network("flatten | dense 1" + end)
    with Classifier(net, HOW) as classify:
        assert classify.classes == 2
        logits = classify(batch(9))
        shares = classify.scores(logits)
    assert logits.shape == (2, 9)
    expected = 1 / (1 + np.exp(-np.float64(net.predict(HOW.prepare(batch(9)), logits=True))))
    assert_allclose(shares, [1 - expected[0], expected[0]], rtol=1e-4)


def test_on_a_gpu(double, double_as_gpu):
    images = batch(70)
    with Classifier(network(), HOW) as classify:
        expected = classify(images)
    net = network(device=get("gpu"))
    with Classifier(net, HOW, threads=4) as classify:
        assert classify.workers == 1 and classify.group == 256
        found = classify(images)
    assert isinstance(found, np.ndarray)
    assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_groups_are_small_for_large_networks():
    def group(name, input):
        spec = models.create(name, 10, input)
        how = Preprocessor(Preprocessing(), input[1:])
        with Classifier(Network(spec.chain, input), how) as classify:
            return classify.group

    assert group("cnn-cifar", (3, 32, 32)) == 16
    assert group("cnn-cifar", (3, 64, 64)) == 4


def test_no_more_workers_than_pictures_need():
    for pictures, workers in ((0, 1), (1, 1), (63, 1), (64, 2), (100, 3), (1000, 8)):
        with Classifier(network(), HOW, threads=8, pictures=pictures) as classify:
            assert (classify.group, classify.workers) == (32, workers)
            assert classify.round == 32 * workers
    with Classifier(network(), HOW, threads=8, group=10, pictures=100) as classify:
        assert (classify.group, classify.workers) == (10, 8)


def test_no_pictures():
    with Classifier(network(), HOW) as classify:
        assert classify(batch(2)[..., :0]).shape == (3, 0)


def test_numbers_that_are_not_finite():
    net = network("flatten | dense 3")
    net.tensors["1.dense.weight"][...] = 3e38
    images = np.full((1, *SIZE, 2), 255, np.uint8)
    with Classifier(net, HOW) as classify, np.errstate(all="ignore"):
        with pytest.raises(ModelFileError, match="the network gives numbers that are not finite"):
            classify(images)
