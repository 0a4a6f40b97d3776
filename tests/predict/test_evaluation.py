"""What is made of predictions for pictures whose classes are known."""

import json
import math

import numpy as np
import pytest
from trained_models import CLASSES, SIZE, bars, trained

from cnntool.errors import InputError, NameNotFound, OptionError, ShapeError
from cnntool.nn.network import Network
from cnntool.nn.spec import parse
from cnntool.predict.classifier import Classifier
from cnntool.predict.evaluation import Evaluation, class_numbers, evaluate
from cnntool.predict.preprocess import Preprocessor

HOW = Preprocessor(trained().preprocessing, SIZE)


@pytest.fixture(scope="module")
def classify():
    network = Network(parse(trained().spec), (1, *SIZE))
    network.load(trained().tensors)
    with Classifier(network, HOW) as found:
        yield found


def made(labels, predictions, losses=None, ranks=None, classes="abc"):
    labels, predictions = np.array(labels), np.array(predictions)
    count = len(labels)
    return Evaluation(
        tuple(classes),
        labels,
        predictions,
        np.array(ranks) if ranks is not None else (labels != predictions).astype(int),
        np.array(losses if losses is not None else [1.0] * count),
        np.full(count, 0.5),
    )


def test_evaluate_is_prediction_one_by_one(classify):
    images, labels = bars(100, seed=11)
    labels = (labels + (np.arange(100) % 10 == 0)) % 3  # some are wrong
    calls = []
    found = evaluate(classify, images, labels, CLASSES, progress=lambda *a: calls.append(a))
    assert calls == [(32, 100), (64, 100), (96, 100), (100, 100)]
    for n in range(100):
        logits = np.float64(classify(images[n][..., None])[:, 0])
        shares = np.exp(logits) / np.exp(logits).sum()
        assert found.predictions[n] == shares.argmax()
        assert found.scores[n] == pytest.approx(shares.max(), rel=1e-6)
        assert found.losses[n] == pytest.approx(-math.log(shares[labels[n]]), rel=1e-6)
        assert found.ranks[n] == (shares > shares[labels[n]]).sum()
    assert found.labels is labels and len(found) == 100
    assert 0.85 <= found.accuracy <= 0.92
    assert found.accuracy == (found.predictions == labels).mean()
    assert found.loss == pytest.approx(found.losses.mean())


def test_numbers():
    found = made([0, 0, 1, 1, 1], [0, 1, 1, 1, 2], losses=[0, 4, 0, 0, 1], ranks=[0, 1, 0, 0, 2])
    assert found.confusion.tolist() == [[1, 1, 0], [0, 2, 1], [0, 0, 0]]
    assert found.accuracy == 0.6 and found.loss == 1
    assert found.top_k == {1: 0.6, 2: 0.8}
    assert found.rows()[1] == {
        "label": "b",
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
        "support": 3,
    }
    assert found.rows()[2] == {"label": "c", "precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert found.mean("recall") == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    pairs = [(pair.true, pair.predicted) for pair in found.most_confused()]
    assert pairs == [(0, 1), (1, 2)]


def test_top_k_stops_below_the_number_of_classes():
    assert list(made([0], [0], classes="ab").top_k) == [1]
    assert list(made([0], [0], classes="abcd").top_k) == [1, 2, 3]
    assert list(made([0], [0], classes="abcdefghij").top_k) == [1, 2, 3, 5]


def test_json_is_plain_and_complete():
    found = made([0, 1], [0, 2]).as_json()
    assert list(found) == ["accuracy", "loss", "top_k", "per_class", "confusion"]
    assert found == json.loads(json.dumps(found))
    assert found["top_k"] == {"1": 0.5, "2": 1.0}
    assert found["confusion"] == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_worst_first():
    found = made([0] * 5, [0] * 5, losses=[1, 3, 0, 3, 2])
    assert found.worst(3).tolist() == [1, 3, 4]
    assert found.worst(99).tolist() == [1, 3, 4, 0, 2]


def test_measures():
    found = made([0, 0, 1, 1, 1], [0, 1, 1, 1, 2], ranks=[0, 1, 0, 0, 2])
    assert found.measure("accuracy") == 0.6
    assert found.measure("top-2") == 0.8
    assert found.measure("top-3") == 1
    assert found.measure("f1") == found.mean("f1")
    with pytest.raises(NameNotFound, match="unknown measure 'loss'"):
        found.measure("loss")


def test_pictures_that_do_not_fit(classify):
    images, labels = bars(3, size=(12, 11))
    with pytest.raises(ShapeError, match=r"do not fit; the network needs \(M, C, H, W\) with"):
        evaluate(classify, images, labels, CLASSES)
    images, labels = bars(3)
    with pytest.raises(ShapeError, match="2 labels and pictures of shape"):
        evaluate(classify, images, labels[:2], CLASSES)
    with pytest.raises(InputError, match="there are no pictures to evaluate"):
        evaluate(classify, images[:0], labels[:0], CLASSES)
    with pytest.raises(InputError, match=r"label \d is no class; there are 3, from 0"):
        evaluate(classify, images, labels + 3, CLASSES)


# --- classes of model and data set


def test_classes_in_any_order():
    known = ["cat", "dog", "owl"]
    assert class_numbers(known, ["owl", "cat", "dog"], named=True).tolist() == [2, 0, 1]
    assert class_numbers(["0", "1"], ["left", "right"], named=False).tolist() == [0, 1]


@pytest.mark.parametrize(("known", "given", "words"), [
    (
        ["cat", "dog"],
        ["cat", "cow"],
        r"the classes of model \(2\) and data set \(2\) differ: only the model has 'dog'; only the "
        "data set has 'cow'",
    ),
    (["cat", "dog"], ["cat"], "differ: only the model has 'dog'$"),
    (["cat"], ["cat", "a", "b", "c", "d"], "only the data set has 'a', 'b', 'c' and 1 more$"),
    (["cat", "Dog"], ["cat", "dog"], "only the model has 'Dog'; only the data set has 'dog'"),
])  # fmt: skip
def test_other_classes(known, given, words):
    with pytest.raises(OptionError, match=words):
        class_numbers(known, given, named=True)


def test_other_number_of_classes():
    words = "the model tells 3 classes without names, the data set has 2; they must be the same"
    with pytest.raises(OptionError, match=words):
        class_numbers(["0", "1", "2"], ["a", "b"], named=False)
