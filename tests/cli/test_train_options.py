"""Every option of ``train`` reaches the training, and changes there what it says."""

import math

import numpy as np
import pytest
from cli_runner import done, refused
from training_runs import (
    SPEC,
    bytes_of,
    metrics,
    report,
    saved,
    train,
    weights,
    without_matplotlib,
    write_folders,
    write_npz,
    write_uneven,
)

from cnntool.nn.modelfile import load_model
from cnntool.train import checkpoint

BASE = ("--epochs", 2, "--batch-size", 20, "--lr", 0.01, "--optimizer", "adam",
        "--schedule", "constant", "--weight-decay", 0.01)  # fmt: skip


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    without_matplotlib(monkeypatch)


@pytest.fixture
def here(folder):
    write_npz()
    return folder


def run(name, *options, base=BASE, spec=SPEC):
    """The options of a run with those of ``base`` and some others."""
    pairs = dict(zip(base[::2], base[1::2], strict=True))
    pairs |= dict(zip(options[::2], options[1::2], strict=True))
    train("bars.npz", name, *(part for pair in pairs.items() for part in pair), spec=spec)
    return report(name)["options"]


def rates(name):
    return [float(row["lr"]) for row in metrics(name)]


@pytest.mark.parametrize(
    ("option", "value", "key", "expected"),
    [
        ("--epochs", 3, "epochs", 3),
        ("--batch-size", 7, "batch_size", 7),
        ("--optimizer", "adamw", "optimizer", "adamw"),
        ("--optimizer", "sgd", "optimizer", "sgd"),
        ("--lr", 0.003, "lr", 0.003),
        ("--schedule", "cosine", "schedule", "cosine"),
        ("--schedule", "step", "schedule", "step"),
        ("--schedule", "onecycle", "schedule", "onecycle"),
        ("--warmup", 1.5, "warmup", 1.5),
        ("--weight-decay", 0.3, "weight_decay", 0.3),
        ("--label-smoothing", 0.2, "label_smoothing", 0.2),
        ("--augment", "hflip p=0.5 | shift 1", "augment", "hflip p=0.5 | shift 1"),
        ("--val-split", 0.25, "val_split", 0.25),
        ("--limit", 50, "limit", 50),
        ("--seed", 3, "seed", 3),
        ("--size", "12x12", "size", [12, 12]),
        ("--color", "rgb", "color", "rgb"),
        ("--init", "glorot", "init", "glorot"),
        ("--init", "lenet", "init", "lenet"),
    ],
)
def test_it_is_written_down_and_changes_the_weights(here, option, value, key, expected):
    plain = run("a")
    found = run("b", option, value)
    assert found[key] == expected
    assert {name for name in found if found[name] != plain[name]} <= {key, "input"}
    one, other = weights("a"), weights("b")
    assert one.shape != other.shape or np.abs(one - other).max() > 1e-5


def test_epochs_and_batches_make_steps(here):
    run("a", "--epochs", 3, "--batch-size", 40)
    assert saved("a").progress.step == 3 * 3  # 90 pictures
    assert len(metrics("a")) == 3


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("sgd", {"momentum_buffer"}),
        ("adam", {"exp_avg", "exp_avg_sq"}),
        ("adamw", {"exp_avg", "exp_avg_sq"}),
    ],
)
def test_optimisers(here, name, state):
    run("a", "--optimizer", name)
    assert {key for key in saved("a").optimiser if key != "step"} == state


def test_momentum(here):
    options = ("--optimizer", "sgd", "--epochs", 1)
    run("a", *options, "--momentum", 0)
    run("b", *options, "--momentum", 0.5)
    assert report("b")["options"]["momentum"] == 0.5
    assert np.abs(weights("a") - weights("b")).max() > 1e-4


def test_schedules(here):
    """The rate of each epoch's last step: 5 steps an epoch."""
    run("a", "--epochs", 4)
    assert rates("a") == [0.01] * 4
    run("b", "--epochs", 4, "--schedule", "cosine")
    expected = [0.01 * (1 + math.cos(math.pi * step / 20)) / 2 for step in (4, 9, 14, 19)]
    assert rates("b") == pytest.approx(expected, rel=1e-5)
    run("c", "--epochs", 6, "--schedule", "step")
    expected = [0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001]
    assert rates("c") == pytest.approx(expected)
    run("d", "--epochs", 10, "--schedule", "onecycle")
    assert max(rates("d")) == pytest.approx(0.01, rel=0.01) == rates("d")[2]
    assert rates("d")[-1] < 1e-6
    run("e", "--epochs", 2, "--warmup", 2)
    assert rates("e") == pytest.approx([0.01 * 5 / 11, 0.01 * 10 / 11], rel=1e-5)


def test_weight_decay_draws_weights_to_0(here):
    for name, decay in (("a", 0), ("b", 5)):
        run(name, "--optimizer", "adamw", "--weight-decay", decay, "--epochs", 5)
    assert np.abs(weights("b")).mean() < 0.9 * np.abs(weights("a")).mean()


def test_dropout_changes_the_layers_that_there_are(here):
    spec = "conv 4 3 | dropout 0.1 | relu | residual(dropout | relu) | flatten | dense 3"
    run("a", spec=spec)
    run("b", "--dropout", 0.75, spec=spec)
    run("c", "--dropout", 0, spec=spec)
    texts = {name: load_model(f"{name}/model.safetensors").spec for name in "abc"}
    assert texts["a"] == spec
    assert texts["b"].count("dropout 0.75") == 2
    assert texts["c"].count("dropout 0") == 2
    assert len({weights(name).tobytes() for name in "abc"}) == 3
    run("d", spec="conv 4 3 | dropout 0 | relu | residual(dropout 0 | relu) | flatten | dense 3")
    np.testing.assert_array_equal(weights("c"), weights("d"))


def test_label_smoothing_raises_the_loss_of_one_who_is_sure(here):
    for name, share in (("a", 0), ("b", 0.5)):
        run(name, "--label-smoothing", share, "--epochs", 12)
    losses = [float(metrics(name)[-1]["train_loss"]) for name in "ab"]
    assert losses[1] > losses[0] + 0.3


def test_class_weights(folder):
    write_uneven("bars.npz")
    run("a")
    run("b", "--class-weight", "balanced")
    assert report("b")["options"]["class_weight"] == "balanced"
    assert np.abs(weights("a") - weights("b")).max() > 1e-3
    write_npz("bars.npz", train=0, **even())
    run("c")
    run("d", "--class-weight", "balanced")
    np.testing.assert_allclose(weights("c"), weights("d"), rtol=1e-4, atol=1e-6)


def even():
    """As many bars of each kind."""
    from trained_models import bars

    x, y = bars(200, seed=1)
    chosen = np.concatenate([np.flatnonzero(y == n)[:20] for n in range(3)])
    return {"x_train": x[chosen, 0], "y_train": y[chosen]}


def test_augmentation_that_changes_nothing(here):
    run("a")
    run("b", "--augment", "hflip p=0")
    np.testing.assert_array_equal(weights("a"), weights("b"))


def test_part_for_validation(here):
    run("a", "--val-split", 0.5)
    data = report("a")["data"]
    assert (data["train"], data["validation"], data["test"]) == (45, 45, 30)
    assert report("a")["best_epoch"] in (1, 2)
    rows = metrics("a")
    best = max(rows, key=lambda row: (float(row["val_accuracy"]), -int(row["epoch"])))
    assert report("a")["best_epoch"] == int(best["epoch"])


def test_limit_takes_a_part_and_the_test_pictures_stay(here):
    run("a", "--limit", 33)
    data = report("a")["data"]
    assert (data["train"], data["test"]) == (33, 30)
    run("b", "--limit", 5000)
    assert report("b")["data"]["train"] == 90


def test_size_and_fit(folder):
    write_folders(folder / "data", 30, size=(12, 20))
    weights_of = {}
    for fit in ("stretch", "crop", "pad"):
        train("data", fit, "--size", "9x11", "--fit", fit)
        assert report(fit)["options"]["input"] == [1, 9, 11]
        assert load_model(f"{fit}/model.safetensors").preprocessing.fit == fit
        weights_of[fit] = weights(fit).tobytes()
    assert len(set(weights_of.values())) == 3


def test_first_weights(here):
    """Of the checkpoint before the first step."""
    spread = {}
    for init in ("he", "glorot", "sigmoid", "lenet", "torch"):
        args = ("--init", init, "--epochs", 1, "--batch-size", 90)
        train("bars.npz", init, *args)
        first = saved(init, checkpoint.NAMES[2])
        assert first.progress.step == 0
        spread[init] = float(np.std(first.weights["0.conv.weight"]))
    assert spread["he"] == pytest.approx(math.sqrt(2 / 9), rel=0.4)
    assert len({round(value, 6) for value in spread.values()}) == 5


def test_a_batch_larger_than_the_data(here):
    result = train("bars.npz", "r", "--batch-size", 4000, "--epochs", 1)
    assert "cnntool: there are 90 training pictures: that is the batch size" in result.errors
    assert report("r")["options"]["batch_size"] == 90
    assert saved("r").progress.step == 1


def test_options_of_variables_and_files(here):
    (here / "c.toml").write_text('[train]\nepochs = 3\nlr = 0.5\nmodel = "flatten | dense 3"\n')
    done("train", "bars.npz", "-o", "r", "--config", "c.toml", "--epochs", 1,
         env={"CNNTOOL_TRAIN_LR": "0.25"})  # fmt: skip
    found = report("r")["options"]
    assert (found["epochs"], found["lr"], found["spec"]) == (1, 0.25, "flatten | dense 3")


def test_the_history_in_the_model(here):
    train("bars.npz", "r", "--seed", 4)
    history = dict(load_model("r/model.safetensors").history)
    assert history.pop("test accuracy") == f"{report('r')['test']['accuracy']:.4f}"
    assert history.pop("cnntool")
    assert history == {"dataset": "bars.npz", "epochs": "2", "seed": "4"}
    assert b"seconds" not in bytes_of("r")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", 0], "'--epochs': 0 is not in the range 1<=x<=1000000"),
        (["--batch-size", 0], "'--batch-size': 0 is not in the range"),
        (["--lr", 0], "'--lr': 0.0 is not in the range x>0"),
        (["--lr", "nan"], "'--lr': 'nan' is not a finite number"),
        (["--momentum", 1], "'--momentum': 1.0 is not in the range"),
        (["--weight-decay", -1], "'--weight-decay': -1.0 is not in the range"),
        (["--dropout", 1], "'--dropout': 1.0 is not in the range"),
        (["--label-smoothing", 1], "'--label-smoothing': 1.0 is not in the range"),
        (["--class-weight", "some"], "'some' is not one of 'none', 'balanced'"),
        (["--val-split", 0.95], "'--val-split': 0.95 is not in the range"),
        (["--val-split", 0.001], "a share of 0.001 of 90 pictures is none; choose a larger"),
        (["--patience", -1], "'--patience': -1 is not in the range"),
        (["--limit", 0], "'--limit': 0 is not in the range x>=1"),
        (["--seed", -1], "'--seed': -1 is not in the range"),
        (["--size", "9y9"], "'9y9' is not a size; write HxW"),
        (["--fit", "squeeze"], "'squeeze' is not one of 'stretch', 'crop', 'pad'"),
        (["--color", "blue"], "'blue' is not one of 'gray', 'rgb'"),
        (["--init", "zero"], "'zero' is not one of 'he', 'glorot'"),
        (["--warmup", -1], "'--warmup': -1.0 is not in the range"),
        (["--threads", -1], "'--threads': -1 is not in the range"),
        (["--max-time", 0], "'--max-time': 0.0 is not in the range"),
        (["--stop-after", 0], "'--stop-after': 0 is not in the range"),
        (["--checkpoint-every", 0], "'--checkpoint-every': 0.0 is not in the range"),
        (["--augment", "rotate much"], "rotate"),
    ],
)  # fmt: skip
def test_out_of_range(here, options, message):
    assert message in refused(2, "train", "bars.npz", "--model", SPEC, *options)
