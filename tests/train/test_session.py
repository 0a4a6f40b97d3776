"""The training loop: what it learns, and that stopping leaves no trace in the result."""

import dataclasses

import numpy as np
import pytest

from cnntool import backend
from cnntool.data.dataset import Dataset, Split
from cnntool.errors import Diverged
from cnntool.train import checkpoint
from cnntool.train.options import Options
from cnntool.train.session import Session

CLASSES = ("bars", "columns", "blank")


def pictures(count, seed):
    """Bright rows, bright columns, or noise alone: 10x12."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.integers(0, 60, (count, 1, 10, 12)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        place = rng.integers(0, 9)
        if label == 0:
            image[0, place] = 220
        elif label == 1:
            image[0, :, place] = 220
    return Split(images, labels.astype(np.int64))


@pytest.fixture(scope="module")
def data():
    return Dataset(
        "made", CLASSES, pictures(203, 1), validation=pictures(50, 2), test=pictures(60, 3)
    )


OPTIONS = Options(
    dataset="made", model="custom",
    spec="conv 6 3 | batchnorm | relu | maxpool 2 | flatten | dropout 0.2 | dense 3",
    input=(1, 10, 12), classes=CLASSES, epochs=3, batch_size=25, optimizer="adamw", lr=0.01,
    weight_decay=0.01, seed=5,
)  # fmt: skip


class Watch:
    """Stops after some steps."""

    def __init__(self, steps=10**9):
        self.left, self.rows, self.losses = steps, [], []

    def step(self, loss, images, lr):
        self.left -= 1
        self.losses.append(loss)

    def epoch(self, row):
        self.rows.append(row)

    def stop(self):
        return self.left <= 0


def train(data, options=OPTIONS, *, threads=1, steps=10**9, found=None, until=None):
    cpu = backend.get("cpu")
    watch = Watch(steps)
    with Session(options, data, device=cpu, threads=threads, checkpoint=found) as session:
        ended = session.run(watch, until=until)
        saved = session.checkpoint({"fingerprint": "-"})
        return session, watch, checkpoint.decode(saved.encode(), "it"), ended


def weights_equal(one, other):
    assert set(one.weights) == set(other.weights)
    return all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)


def untimed(rows):
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows
    ]


def test_it_learns(data):
    session, watch, saved, ended = train(data, dataclasses.replace(OPTIONS, epochs=8))
    assert ended
    assert session.finished
    assert watch.rows[-1]["val_accuracy"] > 0.9
    assert session.scores(data.test).accuracy > 0.9
    assert [row["epoch"] for row in watch.rows] == list(range(1, 9))
    assert saved.progress.step == 8 * 9  # 203 pictures in batches of 25, the last one smaller
    assert watch.rows[0]["train_loss"] > watch.rows[-1]["train_loss"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("stops", [(1,), (9,), (13,), (4, 17), (26,)])
def test_stopped_and_resumed_is_uninterrupted(data, threads, stops):
    _, whole, expected, _ = train(data, threads=threads)
    found, rows, done = None, [], 0
    for stop in (*stops, 10**9):
        _, watch, found, _ = train(data, threads=threads, steps=stop - done, found=found)
        rows += watch.rows
        done = stop
    assert weights_equal(found, expected)
    for name, value in expected.optimiser.items():
        np.testing.assert_array_equal(found.optimiser[name], value)
    for name, value in expected.best.items():
        np.testing.assert_array_equal(found.best[name], value)
    assert untimed(rows) == untimed(whole.rows)
    assert found.progress.best == expected.progress.best


def test_same_seed_same_bits_other_seed_other_weights(data):
    runs = [train(data, dataclasses.replace(OPTIONS, seed=seed))[2] for seed in (5, 5, 6)]
    assert weights_equal(runs[0], runs[1])
    assert not weights_equal(runs[0], runs[2])


def test_one_and_two_workers_agree_to_rounding(data):
    one = train(data, threads=1, steps=6)[1].losses
    two = train(data, threads=2, steps=6)[1].losses
    np.testing.assert_allclose(one, two, rtol=2e-5)


def test_until_stops_between_epochs(data):
    session, _, saved, ended = train(data, until=2)
    assert ended
    assert not session.finished
    assert saved.progress.epoch == 2
    _, rest, final, _ = train(data, found=saved)
    assert [row["epoch"] for row in rest.rows] == [3]
    assert weights_equal(final, train(data)[2])


def test_patience(data):
    options = dataclasses.replace(OPTIONS, epochs=50, patience=2, lr=1e-7)
    session, watch, saved, _ = train(data, options)
    assert session.finished
    assert saved.progress.stopped_early
    assert len(watch.rows) == saved.progress.best + 2


def test_the_best_weights_are_those_of_the_best_epoch(data):
    session, watch, saved, _ = train(data)
    values = [row["val_accuracy"] for row in watch.rows]
    assert saved.progress.best == int(np.argmax(values)) + 1
    session.use_best()
    assert session.scores(data.validation).accuracy == max(values)


def test_divergence_is_noticed_at_once(data):
    options = dataclasses.replace(OPTIONS, optimizer="sgd", lr=1e9, schedule="constant")
    with pytest.raises(
        Diverged, match=r"diverged in epoch 1, step \d+: the loss is .* smaller --lr"
    ):
        train(data, options)


def test_balanced_classes_count_alike(data):
    few = data.train.take(np.flatnonzero((data.train.labels != 2) | (np.arange(203) % 9 == 0)))
    rare = dataclasses.replace(data, train=few)
    options = dataclasses.replace(OPTIONS, class_weight="balanced", epochs=1)
    with Session(options, rare, device=backend.get("cpu")) as session:
        weights = session._class_weights()
    counts = np.bincount(few.labels)
    np.testing.assert_allclose(weights * counts, counts.sum() / 3, rtol=1e-6)


def test_scores_against_plain_sums(data):
    session, *_ = train(data)
    found = session.scores(data.test)
    x = session.preparation.picture(np.moveaxis(data.test.images, 0, -1))
    z = session.network.predict(x, logits=True).astype(np.float64)
    shares = np.exp(z) / np.exp(z).sum(axis=0)
    expected = [-np.log(shares[label, n]) for n, label in enumerate(data.test.labels)]
    assert found.loss == pytest.approx(np.mean(expected), rel=1e-5)
    assert found.accuracy == np.mean(z.argmax(axis=0) == data.test.labels)
