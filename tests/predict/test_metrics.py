"""Numbers about predictions, against counting picture by picture and the text of definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from cnntool.errors import InputError, OptionError, ShapeError
from cnntool.predict import metrics


def slow_counts(labels, predictions, classes):
    """Lists of (true, predicted) pairs counted one by one."""
    table = [[0] * classes for _ in range(classes)]
    for truth, guess in zip(labels, predictions, strict=True):
        table[truth][guess] += 1
    return table


def slow_scores(labels, predictions, k):
    """(precision, recall, f1, support) of class k from true and false positives and negatives."""
    pairs = list(zip(labels, predictions, strict=True))
    tp = sum(t == k and p == k for t, p in pairs)
    fp = sum(t != k and p == k for t, p in pairs)
    fn = sum(t == k and p != k for t, p in pairs)
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return precision, recall, f1, tp + fn


def slow_overlap(labels, predictions, k):
    """(IoU, Dice) of class k from sets of places."""
    true = {place for place, label in enumerate(labels) if label == k}
    guess = {place for place, label in enumerate(predictions) if label == k}
    if not true | guess:
        return math.nan, math.nan
    common = len(true & guess)
    return common / len(true | guess), 2 * common / (len(true) + len(guess))


PAIRS = st.integers(1, 5).flatmap(
    lambda k: st.tuples(
        st.just(k),
        st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), max_size=40),
    )
)


@settings(deadline=None, max_examples=60)
@given(PAIRS)
def test_everything_against_counting(case):
    classes, pairs = case
    labels, predictions = [t for t, _ in pairs], [p for _, p in pairs]
    found = metrics.confusion_matrix(labels, predictions, classes)
    assert found.tolist() == slow_counts(labels, predictions, classes)
    right = sum(t == p for t, p in pairs)
    assert metrics.accuracy(found) == (right / len(pairs) if pairs else 0)
    for k, scores in enumerate(metrics.per_class(found)):
        expected = slow_scores(labels, predictions, k)
        assert scores.number == k
        assert (scores.precision, scores.recall, scores.support) == (*expected[:2], expected[3])
        assert scores.f1 == pytest.approx(expected[2])
    for k, (overlap, dice) in enumerate(zip(metrics.iou(found), metrics.dice(found), strict=True)):
        assert_allclose((overlap, dice), slow_overlap(labels, predictions, k))


def test_confusion_has_true_classes_as_rows():
    found = metrics.confusion_matrix([0, 0, 2], [1, 1, 2], 3)
    assert found.tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 1]]
    assert found.dtype == np.int64


def test_confusion_of_pixels_leaves_out_those_without_a_class():
    labels = np.array([[0, 1, -100], [1, -100, 1]])
    predictions = np.array([[0, 1, 1], [0, 7, 1]], np.uint8)
    assert metrics.confusion_matrix(labels, predictions, 2).tolist() == [[1, 0], [1, 2]]


@pytest.mark.parametrize(("labels", "predictions", "error", "words"), [
    ([0, 3], [0, 0], InputError, "label 3 is no class; there are 3, from 0"),
    ([0, -1], [0, 0], InputError, "label -1 is no class"),
    ([0, 0], [0, 5], InputError, "prediction 5 is no class"),
    ([0.0], [0], InputError, "class numbers are whole numbers, got float64"),
    ([0, 1], [0], ShapeError, r"\(2,\) labels do not fit \(1,\) predictions"),
])  # fmt: skip
def test_confusion_refuses(labels, predictions, error, words):
    with pytest.raises(error, match=words):
        metrics.confusion_matrix(labels, predictions, 3)


def test_most_confused(rng):
    confusion = rng.integers(0, 4, (5, 5))
    pairs = [
        (-confusion[t, p], -confusion[t, p] / confusion[t].sum(), t, p)
        for t in range(5)
        for p in range(5)
        if t != p and confusion[t, p]
    ]
    found = metrics.most_confused(confusion, 100)
    assert [(-f.count, -f.share, f.true, f.predicted) for f in found] == sorted(pairs)
    assert metrics.most_confused(confusion, 2) == found[:2]
    assert metrics.most_confused(np.diag([3, 0, 4])) == []


def test_most_confused_leaves_its_argument_alone():
    confusion = np.array([[3, 1], [2, 4]])
    metrics.most_confused(confusion)
    assert confusion.tolist() == [[3, 1], [2, 4]]


def test_ranks_and_top_k(rng):
    scores = rng.integers(0, 4, (6, 50)) / 4  # with many ties
    labels = rng.integers(0, 6, 50)
    found = metrics.ranks(scores, labels)
    for n in range(50):
        order = sorted(range(6), key=lambda k: (-scores[k, n], k))
        assert found[n] == order.index(labels[n])
    assert metrics.top_k(found, 1) == (scores.argmax(axis=0) == labels).mean()
    for k in range(1, 8):
        hits = [labels[n] in np.argsort(-scores[:, n], kind="stable")[:k] for n in range(50)]
        assert metrics.top_k(found, k) == pytest.approx(np.mean(hits))
    assert metrics.top_k(np.array([], np.int64), 3) == 0
    with pytest.raises(OptionError, match="the k best classes are 1 or more, got 0"):
        metrics.top_k(found, 0)


def test_cross_entropy(rng):
    logits = (10 * rng.standard_normal((4, 30))).astype(np.float32)
    labels = rng.integers(0, 4, 30)
    slow = []
    for n in range(30):
        column = [float(x) for x in logits[:, n]]
        total = math.fsum(math.exp(x) for x in column)
        slow.append(-math.log(math.exp(column[labels[n]]) / total))
    assert_allclose(metrics.cross_entropy(logits, labels), slow, rtol=1e-9)
    # far beyond what exp bears
    assert metrics.cross_entropy([[-1e5], [1e5]], [0]).tolist() == [2e5]


@pytest.mark.parametrize("measure", [metrics.ranks, metrics.cross_entropy])
def test_scores_and_labels_must_fit(measure):
    for scores, labels in (([1.0, 2.0], [0]), ([[1.0, 2.0]], [0]), (np.zeros((0, 2)), [0, 0])):
        with pytest.raises(ShapeError, match=r"do not fit; they must be \(K, N\) and \(N,\)"):
            measure(scores, labels)
    with pytest.raises(InputError, match="label 2 is no class; there are 2, from 0"):
        measure(np.zeros((2, 3)), [0, 1, 2])
    with pytest.raises(InputError, match="label -1 is no class"):
        measure(np.zeros((2, 1)), [-1])


def test_mean_of_classes():
    assert metrics.mean_of_classes([0.25, math.nan, 0.75]) == 0.5
    assert math.isnan(metrics.mean_of_classes([math.nan]))
