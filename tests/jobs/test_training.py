"""Plans of trainings, what watches over them, and what is said of them."""

import dataclasses
import re
import time

import numpy as np
import pytest

from cnntool import backend
from cnntool.data.dataset import Dataset, Split
from cnntool.errors import (
    Diverged,
    InputError,
    ModelFileError,
    NameNotFound,
    OptionError,
    SpecError,
    SystemFailure,
)
from cnntool.jobs import networks, training, training_plan, training_results, training_watch
from cnntool.jobs.training_plan import Plan, plan
from cnntool.nn.spec import Spec
from cnntool.train import checkpoint, run_folder
from cnntool.train.options import Options

SPEC = "flatten | dense 3"


def made(count=40, classes=("a", "b", "c"), seed=1, **parts):
    rng = np.random.default_rng(seed)

    def split(count):
        images = rng.integers(0, 256, (count, 1, 6, 5)).astype(np.uint8)
        return Split(images, np.arange(count) % len(classes))

    others = {name: split(number) for name, number in parts.items()}
    return Dataset("made", tuple(classes), split(count), fingerprint="f" * 64, **others)


def options(data, **changes):
    given = {"dataset": "made", "model": "custom", "spec": SPEC, "input": data.shape,
             "classes": data.classes, "epochs": 2, "batch_size": 10}  # fmt: skip
    return Options(**{**given, **changes})


class Display:
    """Remembers what it is told."""

    def __init__(self):
        self.begun, self.rows, self.notes, self.steps = [], [], [], 0

    def epoch_begins(self, number, of, batches, done=0):
        self.begun.append((number, of, batches, done))

    def step(self, loss, images, lr):
        self.steps += 1

    def epoch_ends(self, row):
        self.rows.append(row)

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def session():
    made_of = made(test=9)
    with training.session_of(
        Plan(options(made_of), made_of, "made-custom"), backend.get("cpu"), 1
    ) as found:
        yield found


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    from training_runs import without_matplotlib

    without_matplotlib(monkeypatch)


# --- plans


@pytest.fixture
def loads(monkeypatch):
    """Data sets are not read but made."""
    made_of = made(test=9)
    monkeypatch.setattr(training_plan, "load", lambda source, **asked: made_of)
    return made_of


def test_what_is_left_out_is_the_recipe(loads):
    found = plan("made", SPEC, networks.network)
    recipe = training_plan.recipe_for(loads)
    for name, value in recipe.options.items():
        if name != "batch_size":
            assert getattr(found.options, name) == value
    assert found.options.batch_size == min(recipe.options.get("batch_size", 64), 40)
    assert found.name == "made-custom" and found.notes == ()
    assert found.options.input == (1, 6, 5) and found.options.classes == ("a", "b", "c")


def test_what_is_given_wins(loads):
    found = plan("made", SPEC, networks.network, epochs=3, lr=0.5, seed=9, dropout=None)
    assert (found.options.epochs, found.options.lr, found.options.seed) == (3, 0.5, 9)
    assert found.options.dropout is None


def test_a_batch_of_all_is_told_only_if_it_was_asked_for(loads):
    assert plan("made", SPEC, networks.network, batch_size=41).notes == (
        "there are 40 training pictures: that is the batch size",
    )
    assert plan("made", SPEC, networks.network, batch_size=40).notes == ()


def test_a_built_in_network_gets_the_classes(loads):
    found = plan("made", "mlp" if "mlp" in training_plan.MODELS else "lenet", None)
    assert found.options.spec.rstrip().endswith("dense 3")
    assert found.options.model in training_plan.MODELS
    assert found.name == f"made-{found.options.model}"


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        ("flatten | dense 5", SpecError, "ends in 5 numbers, 'made' has 3 classes; let it end in"),
        ("conv 3 3", SpecError, "ends in 3×4×3, 'made' has 3"),
        ("conv 3 9", SpecError, "0.conv"),
        ("lenet9", NameNotFound, "unknown model 'lenet9'; did you mean"),
        ("a.safetensors", InputError, "'a.safetensors': no such file"),
        (".", ModelFileError, "'.': no model.safetensors in this folder"),
    ],
)
def test_networks_that_do_not_fit(loads, model, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        plan("made", model, networks.network)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"augment": "spin"}, "unknown word 'spin'"),
        ({"patience": 3}, "--patience looks at validation pictures"),
        ({"dropout": 0.5}, "the network has none"),
        ({"warmup": 3.5, "epochs": 3}, "--warmup is a part of the training's 3 epochs, got 3.5"),
    ],
)
def test_options_that_make_no_sense(loads, given, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        plan("made", SPEC, networks.network, **given)


@pytest.mark.parametrize(
    "spec",
    [
        "flatten | dropout 0.1 | dense 3 | dropout",
        "(conv 3 3 pad=1 | dropout 0.2)*2 | flatten | dense 3 | dropout 0.9",
        "residual(dropout 0.3 | relu, dropout) | flatten | dense 3",
        "concat(dropout 0.3 | conv 2 1, relu | dropout p=0.1) | flatten | dense 3",
        "skip(dropout 0.3 | conv 2 1) | pooled 2 (dropout) | flatten | dense 3",
    ],
)
def test_one_share_for_all_dropout_layers(spec):
    found = training_plan._with_dropout(Spec.of(spec), 0.25)
    assert found.count("dropout 0.25") == spec.count("dropout") == found.count("dropout")
    rest = re.compile(r"dropout(?: p=[\d.]+| [\d.]+)?")
    assert rest.sub("X", found).split() == rest.sub("X", Spec.of(spec).text).split()
    assert training_plan._with_dropout(Spec.of(spec), None) == spec


def test_where_data_lie(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir()
    (tmp_path / "data").mkdir()
    assert training_plan.folder_of_data("mnist") == ""  # that is the built-in one
    assert training_plan.folder_of_data("data") == "data"
    assert training_plan.folder_of_data("data.npz") == ""


# --- words


def test_many_classes_are_not_all_named():
    data = made(80, classes=[f"class {n}" for n in range(20)])
    text = training_plan.describe_data(data)["classes"]
    assert text.startswith("20: class 0 (4), class 1 (4), ")
    assert text.endswith(", class 11 (4), and 8 others")
    few = training_plan.describe_data(made(4))["classes"]
    assert few == "3: a (2), b (1), c (1)"


def test_description():
    data = made(40, test=9, validation=6)
    chosen = Plan(options(data, lr=0.125, epochs=1, seed=8), data, "made-custom")
    found = training_plan.describe(chosen, 1, "cpu", "r")
    assert found["data"] == "made: 40 training, 6 validation, 9 test pictures 1x6x5"
    assert found["network"] == "custom: 93 parameters, 9e-05 M MACs"
    assert found["training"] == (
        "adamw, lr 0.125 onecycle, batches of 10, 1 epoch, seed 8, on 1 core"
    )
    assert training_plan.describe(chosen, 4, "cpu", "r")["training"].endswith("on 4 cores")
    assert training_plan.describe(chosen, 1, "gpu:1", "r")["training"].endswith("on gpu:1")


# --- what watches


def test_epochs_are_shown(session, tmp_path):
    display = Display()
    outcome = training.train(session, str(tmp_path), display)
    assert display.begun == [(1, 2, 4, 0), (2, 2, 4, 0)]
    assert [row["epoch"] for row in display.rows] == [1, 2]
    assert display.steps == 8 and display.notes == []
    assert outcome.failure is None
    assert outcome.test.accuracy == outcome.scores["accuracy"]


def test_an_epoch_that_goes_on_is_shown_from_where_it_is(session, tmp_path):
    training.train(session, str(tmp_path), Display(), max_time=1e-9)
    assert session.progress.batch == 1
    display = Display()
    training.train(session, str(tmp_path), display)
    assert display.begun == [(1, 2, 4, 1), (2, 2, 4, 0)]


def test_stop_after_begins_no_further_epoch(session, tmp_path):
    display = Display()
    outcome = training.train(session, str(tmp_path), display, stop_after=1)
    assert display.begun == [(1, 2, 4, 0)]
    assert outcome.notes[-1] == f"saved; go on with: cnntool train --resume '{tmp_path}'"
    assert training.train(session, str(tmp_path), display, stop_after=1).written
    assert display.begun == [(1, 2, 4, 0)]


@pytest.fixture
def saves(monkeypatch):
    """Counts checkpoints by the step that they were made at."""
    found, real = [], checkpoint.save

    def save(folder, what):
        found.append((what.progress.epoch, what.progress.batch))
        real(folder, what)

    monkeypatch.setattr(checkpoint, "save", save)
    return found


def test_checkpoints_at_epochs_and_in_between(session, tmp_path, saves):
    training.train(session, str(tmp_path), Display(), every=1e-9)
    assert saves == [
        (0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 0)
    ]  # fmt: skip


def test_no_state_is_saved_twice(session, tmp_path, saves):
    training.train(session, str(tmp_path), Display(), stop_after=1)
    training.train(session, str(tmp_path), Display())
    assert saves == [(0, 0), (1, 0), (2, 0)]


def test_checkpoints_are_not_made_more_often_than_asked_for(session, tmp_path, saves, monkeypatch):
    """Time passes by a second a look."""
    clock = iter(range(10_000))
    monkeypatch.setattr(training_watch.time, "monotonic", lambda: float(next(clock)))
    training.train(session, str(tmp_path), Display(), every=2.5)
    assert saves == [(0, 0), (0, 3), (1, 0), (1, 3), (2, 0)]


def test_the_first_checkpoint_must_be_written(session, tmp_path, monkeypatch):
    def save(folder, what):
        raise SystemFailure("'x': cannot be written: No space left on device")

    monkeypatch.setattr(checkpoint, "save", save)
    display = Display()
    with pytest.raises(SystemFailure, match="No space left"):
        training.train(session, str(tmp_path), display)
    assert display.steps == 0 and display.notes == []


def test_metrics_that_cannot_be_written_are_told(session, tmp_path, monkeypatch):
    real, calls = run_folder.write_metrics, []

    def write(folder, history, columns):
        calls.append(len(history))
        if len(calls) == 1:
            raise SystemFailure("'m': cannot be written: Input/output error")
        real(folder, history, columns)

    monkeypatch.setattr(run_folder, "write_metrics", write)
    display = Display()
    training.train(session, str(tmp_path), display)
    assert display.notes == ["'m': cannot be written: Input/output error"]
    assert calls == [1, 2, 2]
    assert (tmp_path / "metrics.csv").read_text().count("\n") == 3


def test_a_divergence_names_what_can_be_used(session, tmp_path, monkeypatch):
    def run(watcher, until=None):
        raise Diverged("training diverged")

    monkeypatch.setattr(session, "run", run)
    with pytest.raises(Diverged, match=r"diverged; '.*checkpoint.safetensors' holds the state"):
        training.train(session, str(tmp_path), Display())
    monkeypatch.setattr(checkpoint, "save", lambda folder, what: None)
    (tmp_path / "checkpoint.safetensors").unlink()
    with pytest.raises(Diverged, match="training diverged; there is no checkpoint yet"):
        training.train(session, str(tmp_path), Display())


def test_the_time_is_up_only_when_something_was_done(session, tmp_path):
    """Else nothing would ever come of many short sessions."""
    for _ in range(8):
        training.train(session, str(tmp_path), Display(), max_time=1e-9)
    assert session.finished


def test_interval(session, tmp_path):
    training.train(session, str(tmp_path), Display(), every=7.5, stop_after=1)
    found, _ = checkpoint.newest(str(tmp_path))
    assert training_watch.interval(found) == 7.5
    assert found.facts["pictures"] == "40 training, 9 test"
    assert found.facts["device"] == "cpu" and found.facts["threads"] == "1"
    without = dataclasses.replace(found, facts={})
    assert training_watch.interval(without) == training_watch.CHECKPOINT_SECONDS
    wrong = dataclasses.replace(found, facts={"every": "soon"})
    assert training_watch.interval(wrong) == training_watch.CHECKPOINT_SECONDS


# --- results


def test_a_model_that_could_not_be_saved_is_noticed_before(monkeypatch):
    data = made(classes=("a", "", "c"))
    chosen = Plan(options(data), data, "made-custom")
    with pytest.raises(
        ModelFileError, match="this network cannot be saved as a model: its classes are no names"
    ):
        training.session_of(chosen, backend.get("cpu"), 1)


def test_a_gpu_has_one_worker(double_as_gpu):
    data = made()
    with training.session_of(Plan(options(data), data, "x"), double_as_gpu, 4) as session:
        assert session.threads == 1


def test_history_has_nothing_that_differs_from_run_to_run():
    found = training_results.history("made", 3, None, epochs=7)
    assert list(found) == ["cnntool", "dataset", "epochs", "seed"]
    assert (found["epochs"], found["seed"]) == ("7", "3")


def test_training_takes_no_longer_than_it_says(session, tmp_path):
    begun = time.perf_counter()
    training.train(session, str(tmp_path), Display())
    assert 0 < session.progress.seconds < time.perf_counter() - begun
