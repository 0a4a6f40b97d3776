"""Rounds of ``predict``: every picture has its rows once, whatever comes in between."""

import numpy as np
import pytest
from trained_models import CLASSES, SIZE, SPEC, bars, trained

from cnntool.jobs.predict import Answers, columns
from cnntool.nn.network import Network
from cnntool.nn.spec import parse
from cnntool.predict.classifier import Classifier
from cnntool.predict.preprocess import Preprocessor


@pytest.fixture
def classify():
    network = Network(parse(SPEC), (1, *SIZE))
    network.load(trained().tensors)
    with Classifier(network, Preprocessor(trained().preprocessing, SIZE), group=4) as found:
        yield found


def decoded(count):
    """Rows as the files give them."""
    return [{"path": f"{n}.png", "image": image} for n, image in enumerate(bars(count)[0])]


def test_rows_come_as_soon_as_a_round_is_full(classify):
    rows, counts = [], []
    answers = Answers(classify, CLASSES, top=None, emit=rows.append)
    for row in decoded(10):
        answers.add(row)
        counts.append(len(rows))
    assert counts == [0, 0, 0, 4, 4, 4, 4, 8, 8, 8]
    answers.finish()
    answers.finish()
    assert [row["path"] for row in rows] == [f"{n}.png" for n in range(10)]
    assert [tuple(row) for row in rows] == [columns(None)] * 10


def test_rank_is_there_if_it_was_asked_for(classify):
    rows = []
    answers = Answers(classify, CLASSES, top=2, emit=rows.append)
    answers.add(decoded(1)[0])
    answers.finish()
    assert [tuple(row) for row in rows] == [columns(2)] * 2
    assert [row["rank"] for row in rows] == [1, 2]


def test_interrupted_while_writing(classify):
    """The rows that were not begun come later, none twice."""
    rows = []

    def emit(row):
        rows.append(row)
        if len(rows) == 2:
            raise KeyboardInterrupt

    answers = Answers(classify, CLASSES, top=None, emit=emit)
    pictures = decoded(6)
    for row in pictures[:3]:
        answers.add(row)
    with pytest.raises(KeyboardInterrupt):
        answers.add(pictures[3])
    answers.add(pictures[4])
    answers.finish()
    assert [row["path"] for row in rows] == [f"{n}.png" for n in range(5)]


def test_interrupted_while_predicting(classify, monkeypatch):
    """The round is done again."""
    rows, calls = [], []

    class Interrupted:
        round = 4
        scores = staticmethod(classify.scores)

        def __call__(self, images):
            calls.append(images.shape)
            if len(calls) == 1:
                raise KeyboardInterrupt
            return classify(images)

    answers = Answers(Interrupted(), CLASSES, top=None, emit=rows.append)
    pictures = decoded(4)
    for row in pictures[:3]:
        answers.add(row)
    with pytest.raises(KeyboardInterrupt):
        answers.add(pictures[3])
    assert rows == []
    answers.finish()
    assert [row["path"] for row in rows] == [f"{n}.png" for n in range(4)]
    assert calls == [(1, *SIZE, 4)] * 2


def test_of_equal_scores_the_first_class_stands_first(classify):
    class Even:
        round = 1

        def __call__(self, images):
            return np.zeros((3, images.shape[-1]), np.float32)

        scores = staticmethod(classify.scores)

    rows = []
    Answers(Even(), CLASSES, top=3, emit=rows.append).add(decoded(1)[0])
    assert [(row["label"], row["score"]) for row in rows] == [(name, 0.3333) for name in CLASSES]
