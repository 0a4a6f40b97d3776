"""Trainings of generators: what is kept, what is told, and that stopping leaves no trace."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from cnntool import backend
from cnntool.data.dataset import Dataset, Split
from cnntool.errors import Diverged, ModelFileError, OptionError
from cnntool.filters.pyramid import expand, reduce
from cnntool.predict.conditions import without_middle
from cnntool.train import checkpoint, gan_health
from cnntool.train.adversarial import SHOWN, AdversarialSession
from cnntool.train.gan_batches import GanBatches
from cnntool.train.gan_options import GAN_ROW_NAMES, GanOptions, GanProgress

CLASSES = ("bars", "columns", "blank")
WIDTH = 4  # numbers of a vector

ONE = """
latent 6
condition {condition}
stage 8x12
generator
  dense 96 bias=no | batchnorm | relu | reshape 4x4x6 | deconv 1 4 2 pad=1 | tanh
discriminator
  conv 4 4 2 pad=1 | leakyrelu 0.2 | dropout 0.2 | flatten | dense {outputs}
"""
TWO = """
latent 6
condition class
embed 2
stage 4x6
generator
  dense 24 bias=no | batchnorm | relu | reshape 1x4x6 | tanh
discriminator
  conv 4 3 pad=1 | leakyrelu 0.2 | flatten | dense 4
stage 8x12
generator
  conv 4 3 pad=1 bias=no | batchnorm | relu | conv 1 3 pad=1 | tanh
discriminator
  conv 4 3 2 pad=1 bias=no | batchnorm | leakyrelu 0.2 | flatten | dense 4
"""
PYRAMID = """
latent 3
stage 4x6
generator dense 24 | tanh | reshape 1x4x6
discriminator flatten | dense 1
stage 8x12 adds
generator conv 3 3 pad=1 | relu | conv 1 3 pad=1
discriminator conv 4 3 2 pad=1 | leakyrelu 0.2 | flatten | dense 1
"""
FILLS = """
condition inpaint
stage 8x12
generator conv 4 3 pad=1 | relu | conv 1 3 pad=1 | tanh
discriminator conv 4 3 2 pad=1 | leakyrelu 0.2 | flatten | dense 1
"""
SPECS = {
    "none": ONE.format(condition="none", outputs=1),
    "class": ONE.format(condition="class", outputs=4),
    "vector": ONE.format(condition="vector", outputs=WIDTH + 1),
    "two": TWO,
    "pyramid": PYRAMID,
    "fills": FILLS,
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 43)
    images = rng.integers(0, 50, (43, 1, 8, 12)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        place = rng.integers(0, 7)
        if label == 0:
            image[0, place] = 220
        elif label == 1:
            image[0, :, place] = 220
    vectors = rng.standard_normal((43, WIDTH)).astype(np.float32)
    return Dataset("made", CLASSES, Split(images, labels.astype(np.int64), vectors=vectors))


def options(name="class", **others):
    width = {"class": 3, "two": 3, "vector": WIDTH}.get(name, 0)
    values = {
        "dataset": "made", "model": "custom", "spec": SPECS[name], "input": (1, 8, 12),
        "classes": CLASSES, "width": width, "epochs": 2, "batch_size": 9, "lr": 0.01, "seed": 5,
    }  # fmt: skip
    return GanOptions(**{**values, **others})


class Watch:
    """Stops after some steps."""

    def __init__(self, steps=10**9):
        self.left, self.rows, self.losses, self.warnings = steps, [], [], []

    def step(self, loss, images, lr):
        self.left -= 1
        self.losses.append(loss)

    def epoch(self, row):
        self.rows.append(row)

    def warn(self, text):
        self.warnings.append(text)

    def stop(self):
        return self.left <= 0


def train(data, chosen, *, threads=1, steps=10**9, found=None, until=None):
    cpu = backend.get("cpu")
    watch = Watch(steps)
    with AdversarialSession(chosen, data, device=cpu, threads=threads, checkpoint=found) as session:
        ended = session.run(watch, until=until)
        saved = session.checkpoint({"fingerprint": "-"})
        return session, watch, checkpoint.decode(saved.encode(), "it"), ended


def untimed(rows):
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows
    ]


# --- stopping ---


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", SPECS)
def test_stopped_and_resumed_is_uninterrupted(data, name, threads):
    """Bit by bit, between stages too; 4 batches an epoch, 2 or 4 epochs."""
    chosen = options(name, d_steps=2 if name == "none" else 1)
    whole_session, whole, expected, ended = train(data, chosen, threads=threads)
    assert ended
    assert whole_session.finished
    for stops in ((1,), (4, 6), (8,), (3, 9, 13)):
        found, rows, done = None, [], 0
        for stop in (*stops, 10**9):
            session, watch, found, _ = train(
                data, chosen, threads=threads, steps=stop - done, found=found
            )
            rows += watch.rows
            done = stop
        for kind in ("weights", "optimiser"):
            one, other = getattr(found, kind), getattr(expected, kind)
            assert set(one) == set(other)
            for key, value in other.items():
                np.testing.assert_array_equal(one[key], value, err_msg=f"{stops} {key}")
        assert untimed(rows) == untimed(whole.rows)
        np.testing.assert_array_equal(session.samples(), whole_session.samples())


def test_a_checkpoint_does_not_change_later(data):
    session, _, _, _ = train(data, options("two"), steps=6)
    saved = session.checkpoint({})
    before = {name: value.copy() for name, value in saved.weights.items()}
    session.run(Watch())
    for name, value in before.items():
        np.testing.assert_array_equal(saved.weights[name], value)


def test_a_checkpoint_of_other_pictures(data):
    _, _, found, _ = train(data, options(), steps=4)
    few = dataclasses.replace(data, train=Split(data.train.images[:20], data.train.labels[:20]))
    found = dataclasses.replace(found, progress=dataclasses.replace(found.progress, batch=3))
    with pytest.raises(ModelFileError, match="more batches in an epoch than the data"):
        train(few, options(), found=found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.weights.pop("mean/parameters"), "lacks the running mean"),
        (lambda found: found.weights.pop("generator/0.conv.weight"), "0.conv.weight is missing"),
        (lambda found: found.weights.pop("stage1/0.dense.weight"), "0.dense.weight is missing"),
        (lambda found: found.weights.pop("embedding/0.dense.weight"), "0.dense.weight is missing"),
        (lambda found: found.optimiser.clear(), "missing|lacks|state|optimiser"),
        (lambda found: setattr(found.progress, "stage", 2), "more stages than its networks"),
    ],
)
def test_checkpoints_that_lack_something(data, change, message):
    _, _, found, _ = train(data, options("two"), steps=10)
    found = dataclasses.replace(
        found, weights=dict(found.weights), optimiser=dict(found.optimiser),
        progress=dataclasses.replace(found.progress),
    )  # fmt: skip
    change(found)
    with pytest.raises(ModelFileError, match=message):
        train(data, options("two"), found=found)


def test_until(data):
    session, watch, _, ended = train(data, options("two"), until=3)
    assert ended
    assert not session.finished
    assert [row["stage"] for row in watch.rows] == [1, 1, 2]


# --- what it learns ---


def test_other_seeds_make_other_pictures(data):
    first, second = (train(data, options(seed=seed))[0].samples() for seed in (1, 2))
    assert first.shape == second.shape == (SHOWN, 1, 8, 12)
    assert not np.array_equal(first, second)


def test_workers_agree(data):
    alone, together = (train(data, options("two"), threads=threads)[1].losses for threads in (1, 2))
    np.testing.assert_allclose(alone[:6], together[:6], rtol=1e-3)


def test_pictures_of_classes_come_to_differ(data):
    """What it makes of 'bars' has brighter rows than what it makes of 'blank'."""
    session, watch, _, _ = train(data, options(epochs=60, batch_size=20))
    pictures = session.samples().astype(float)
    numbers = np.array([n * 3 // SHOWN for n in range(SHOWN)])
    peak = pictures.max(axis=(1, 2, 3))
    assert peak[numbers == 0].mean() > peak[numbers == 2].mean() + 50
    assert peak[numbers == 1].mean() > peak[numbers == 2].mean() + 50
    assert 0.4 < watch.rows[-1]["variety"] < 2


def test_rows_and_columns(data):
    session, watch, _, _ = train(data, options("class"))
    assert session.columns == tuple(
        name for name in GAN_ROW_NAMES if name not in ("stage", "content", "kl")
    )
    row = watch.rows[-1]
    assert tuple(row) == session.columns
    assert row["epoch"] == 2
    assert 0 < row["fake"] < 1
    assert row["images_per_second"] > 0
    session, watch, _, _ = train(data, options("two", content=1.0))
    assert session.columns == GAN_ROW_NAMES
    assert watch.rows[0]["kl"] > 0
    assert watch.rows[-1]["kl"] == 0  # its embedding learned in the first stage


def test_the_running_mean_begins_with_what_there_is(data):
    """Weights of the sampler are a mean of the generator's, its statistics too."""
    session, _, _, _ = train(data, options(), steps=3)
    mean = session.sampler().networks[0].state()
    now = session.generator.state()
    for name, value in now.items():
        assert np.abs(mean[name] - value).max() < 0.2 * max(1, np.abs(value).max())


# --- batches ---


def batches(data, name):
    chosen = options(name)
    session = AdversarialSession(chosen, data, device=backend.get("cpu"))
    with session:
        return GanBatches(session.spec, session.pairs, chosen, data, backend.get("cpu"))


def test_batches_of_an_epoch_are_all_pictures_but_an_incomplete_rest(data):
    found = batches(data, "vector")
    numbers = np.concatenate([labels for _, labels in found.epoch(0, 0)])
    assert len(found) == 4
    assert len(set(numbers.tolist())) == 36
    again = np.concatenate([labels for _, labels in found.epoch(0, 0)])
    np.testing.assert_array_equal(numbers, again)
    other = np.concatenate([labels for _, labels in found.epoch(1, 0)])
    assert not np.array_equal(numbers, other)
    for (x, labels), _ in zip(found.epoch(0, 0), range(1), strict=False):
        np.testing.assert_array_equal(x, data.train.images[labels].transpose(1, 2, 3, 0))
        batch = found.batch((x, labels), stage=0, step=3)
        np.testing.assert_array_equal(batch.condition, data.train.vectors[labels].T)
        np.testing.assert_allclose(batch.real, x / 127.5 - 1, atol=1e-6)


def test_random_numbers_follow_from_the_step(data):
    found = batches(data, "two")
    pictures = next(found.epoch(0, 0))
    one, same, later, turn = (
        found.batch(pictures, stage=0, step=step, turn=turn)
        for step, turn in ((3, 0), (3, 0), (4, 0), (3, 1))
    )
    np.testing.assert_array_equal(one.noise, same.noise)
    np.testing.assert_array_equal(one.chance, same.chance)
    for other in (later, turn):
        assert not np.array_equal(one.noise, other.noise)
    np.testing.assert_array_equal(one.condition, np.eye(3)[:, pictures[1]])
    again, others = found.others(3, 1), found.others(4, 1)
    np.testing.assert_array_equal(again[1], found.others(3, 1)[1])
    assert again[1].shape == others[1].shape == (9,)


def test_a_stage_that_adds_learns_what_is_missing(data):
    """Its pictures are levels of a pyramid; it gets the level below, enlarged."""
    found = batches(data, "pyramid")
    pictures = next(found.epoch(0, 0))
    whole = (pictures[0].astype(np.float32) / np.float32(127.5) - 1)[0]
    small = found.batch(pictures, stage=0, step=0)
    np.testing.assert_allclose(small.real[0], reduce(whole), atol=1e-6)
    assert small.context is None
    large = found.batch(pictures, stage=1, step=0)
    np.testing.assert_allclose(large.context[0], expand(reduce(whole), whole.shape), atol=1e-6)
    np.testing.assert_allclose(large.real[0], whole, atol=1e-6)
    assert large.joins == "adds"
    assert large.judged
    assert large.noise.shape == (1, 8, 12, 9)


def test_a_gap_is_in_the_middle(data):
    found = batches(data, "fills")
    pictures = next(found.epoch(0, 0))
    batch = found.batch(pictures, stage=0, step=0)
    np.testing.assert_array_equal(batch.context, without_middle(batch.real))
    assert (batch.context[:, 2:6, 3:9] == 0).all()
    assert batch.joins == "fills"


def test_vectors_must_be_there(data):
    bare = dataclasses.replace(data, train=Split(data.train.images, data.train.labels))
    with pytest.raises(ModelFileError, match="'made' come without vectors of 4"):
        train(bare, options("vector"))


# --- what is told ---


def test_divergence_is_told_at_once(data):
    with pytest.raises(Diverged, match=r"diverged in epoch 1, step \d+: losses .* smaller --lr"):
        train(data, options(lr=1e30))


def test_a_discriminator_that_wins(data):
    _, watch, _, _ = train(data, options("none", epochs=8, d_steps=12, lr=0.003, label_smoothing=0))
    assert any("the discriminator wins: it is" in text for text in watch.warnings)


def row(**others):
    return {"epoch": 5, "real": 0.9, "fake": 0.1, "variety": 0.9} | others


def test_what_is_said_of_measured_numbers():
    def said(won=0, of_pictures=False, **others):
        return list(gan_health.complaints(row(**others), won, of_pictures=of_pictures))

    assert said() == []
    (text,) = said(won=2, real=0.99, fake=0.01)
    assert "it is 99% sure of real pictures and 1% of made ones" in text
    assert said(won=1) == said(won=3) == []  # once
    (text,) = said(variety=0.2)
    assert text.startswith("made pictures are alike: they differ 20% as much as real ones")
    assert said(variety=0.2, of_pictures=True) == []
    assert said(variety=0.2, epoch=1) == []
    assert not gan_health.wins(row(), 0.1)
    assert gan_health.wins(row(real=0.98, fake=0.02), 0)


def test_variety_is_measured_against_real_pictures(data):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (50, 1, 3, 4)).astype(np.uint8)
    expected = np.mean([np.std(pictures[:, 0, y, x]) for y in range(3) for x in range(4)])
    assert gan_health.spread(pictures) == pytest.approx(expected, rel=1e-5)


# --- options ---


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"epochs": 0}, "--epochs must be from 1 to 1000000, got 0"),
        ({"batch_size": 1}, "--batch-size must be from 2 to 1000000, got 1"),
        ({"d_steps": 0}, "--d-steps must be from 1 to 100, got 0"),
        ({"label_smoothing": 0.95}, "--label-smoothing must be from 0 to 0.9, got 0.95"),
        ({"content": -1}, "--content must be from 0 to 1000000.0, got -1"),
        ({"lr": float("nan")}, "--lr must be a number above 0, got nan"),
        ({"gan_loss": "hinge"}, "--gan-loss must be nonsaturating or minimax, got 'hinge'"),
    ],
)
def test_options_that_make_no_sense(others, message):
    with pytest.raises(OptionError, match=message):
        options(**others)


def test_options_come_back(data):
    chosen = options("two", size=(8, 12), limit=40)
    assert GanOptions.from_json(chosen.as_json()) == chosen
    values = chosen.as_json()
    with pytest.raises(ModelFileError, match="'more' is not in both"):
        GanOptions.from_json(values | {"more": 1})
    with pytest.raises(TypeError):
        GanOptions.from_json(values | {"epochs": "2"})
    del values["spec"]
    with pytest.raises(ModelFileError, match="'spec' is not in both"):
        GanOptions.from_json(values)


def test_progress_comes_back():
    progress = GanProgress(stage=1, epoch=2, batch=3, step=9, sums={"d_loss": 0.5}, seen=4,
                           history=[{"epoch": 1, "d_loss": 0.1}], won=1)  # fmt: skip
    assert GanProgress.from_json(progress.as_json()) == progress
    for change in ({"stage": -1}, {"history": [{"other": 1}]}, {"step": "9"}, {"sums": []}):
        with pytest.raises(TypeError):
            GanProgress.from_json(progress.as_json() | change)


def test_names_of_stages_follow_each_other(data):
    """Finished stages are kept under their names; the last one as it is, so that it can go on."""
    _, _, saved, _ = train(data, options("two"))
    starts = {name.split("/")[0] for name in saved.weights}
    assert starts == {"stage1", "generator", "discriminator", "mean", "embedding"}
    for one, other in pairwise(["generator", "discriminator", "embedding"]):
        assert any(name.startswith(f"{one}/") for name in saved.optimiser), (one, other)
