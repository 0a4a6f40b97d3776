"""``train --resume``: as if the training had never been stopped, or not at all."""

import json
import os
import shutil

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from training_runs import (
    SPEC,
    assert_same_runs,
    bytes_of,
    metrics,
    report,
    saved,
    train,
    weights,
    without_matplotlib,
    write_folders,
    write_npz,
)

from cnntool.errors import ModelFileError
from cnntool.files.temporaries import create
from cnntool.nn import tensor_file
from cnntool.train import checkpoint, run_folder

NEXT, NEWEST, PREVIOUS = checkpoint.NAMES
RICH = "conv 4 3 | batchnorm | relu | maxpool 2 | flatten | dropout 0.3 | dense 3"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    without_matplotlib(monkeypatch)


@pytest.fixture
def here(folder):
    write_npz()
    return folder


def resume(folder="r", *options, threads=1):
    return done("train", "--resume", folder, "--threads", threads, *options)


# --- bit by bit


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--optimizer", "sgd", "--schedule", "step", "--warmup", 1, "--init", "glorot"),
        ("--val-split", 0.2, "--patience", 3, "--augment", "hflip | shift 1", "--batch-size", 17),
    ],
)
def test_stopped_after_2_of_4_epochs(here, threads, options):
    args = ("--epochs", 4, "--threads", threads, "--seed", 3, *options)
    train("bars.npz", "whole", *args, spec=RICH)
    train("bars.npz", "r", *args, "--stop-after", 2, spec=RICH)
    assert len(metrics("r")) == 2
    result = resume(threads=threads)
    assert_same_runs("r", "whole")
    epochs = [line[:9] for line in result.errors if line.startswith("epoch")]
    assert epochs == ["epoch 3/4", "epoch 4/4"]
    assert not [line for line in result.errors if "--threads" in line]


@pytest.mark.parametrize("validated", [(), ("--val-split", 0.3)])
def test_stopped_after_every_step(here, validated):
    """So much time that a single step can be made each time, or a validation."""
    args = ("--epochs", 2, "--batch-size", 30, *validated)
    train("bars.npz", "whole", *args, spec=RICH)
    train("bars.npz", "r", *args, "--max-time", 1e-9, spec=RICH)
    count = 1
    while not report("r")["complete"]:
        resume("r", "--max-time", 1e-9)
        count += 1
        assert count < 20
    assert count >= 2 * len(range(0, report("r")["data"]["train"], 30))
    assert_same_runs("r", "whole")


def test_a_run_that_is_done_stays_as_it_is(here):
    train("bars.npz", "r")
    shutil.copytree("r", "copy")
    result = resume()
    assert_same_runs("r", "copy")
    assert bytes_of("r", NEWEST) == bytes_of("copy", NEWEST)
    assert not [line for line in result.errors if line.startswith("epoch")]
    assert result.lines[0] == "r/model.safetensors"


def test_what_was_not_written_at_the_end_is_written(here):
    train("bars.npz", "r")
    shutil.copytree("r", "copy")
    for name in ("model.safetensors", "metrics.csv", "run.json", "confusion.png"):
        os.unlink(f"r/{name}")
    resume()
    assert_same_runs("r", "copy")


def test_from_another_folder(here):
    """What was named relative to where it began is looked for where it goes on."""
    train("bars.npz", "r", "--stop-after", 1)
    os.mkdir("elsewhere")
    os.chdir("elsewhere")
    line = refused(4, "train", "--resume", "../r")
    assert "the data that the training began with cannot be had: 'bars.npz': no such file" in line
    os.chdir("..")
    resume()


def test_other_threads_are_told(here):
    train("bars.npz", "whole")
    train("bars.npz", "r", "--stop-after", 1)
    result = resume(threads=2)
    assert (
        "cnntool: this run began with --threads 1; with 2 it goes on, but not to the same last bits"
    ) in result.errors
    np.testing.assert_allclose(weights("r"), weights("whole"), rtol=1e-3, atol=1e-5)
    train("bars.npz", "q", "--stop-after", 1)
    assert resume("q", "-q", threads=2).stderr == ""


def test_time_is_added_up(here):
    train("bars.npz", "r", "--stop-after", 1)
    first = report("r")["seconds"]
    resume()
    assert report("r")["seconds"] > first
    assert float(metrics("r")[1]["seconds"]) == pytest.approx(report("r")["seconds"], rel=1e-4)


# --- options beside it


@pytest.mark.parametrize(
    "option",
    [
        ["--model", SPEC], ["--batch-size", 5], ["--optimizer", "sgd"], ["--lr", 0.1],
        ["--momentum", 0.5], ["--schedule", "step"], ["--warmup", 1], ["--weight-decay", 0],
        ["--dropout", 0.5], ["--label-smoothing", 0.1], ["--class-weight", "none"],
        ["--augment", "hflip"], ["--val-split", 0.1], ["--patience", 1], ["--limit", 5],
        ["--seed", 1], ["--size", 9], ["--fit", "pad"], ["--color", "rgb"], ["--init", "he"],
        ["--checkpoint-every", 5], ["-o", "s"], ["-f"], ["--dry-run"],
    ],
)  # fmt: skip
def test_options_that_cannot_be_changed(here, option):
    train("bars.npz", "r", "--stop-after", 1)
    before = bytes_of("r", NEWEST)
    line = refused(2, "train", "--resume", "r", *option)
    word = {"-o": "--output", "-f": "--force"}.get(option[0], option[0])
    assert (
        f"cnntool: {word} cannot be changed by --resume; only --epochs, --threads, --device, "
        "--max-time, --stop-after can; see 'cnntool train --help'"
    ) == line
    assert bytes_of("r", NEWEST) == before


def test_the_data_set_is_known(here):
    line = refused(2, "train", "bars.npz", "--resume", "r")
    assert "--resume knows its data set; leave it out" in line


def test_options_that_may_stand_beside_it(here):
    train("bars.npz", "whole", "--epochs", 3)
    train("bars.npz", "r", "--epochs", 3, "--stop-after", 1)
    resume("r", "--epochs", 3, "--stop-after", 2, "--device", "cpu", "--max-time", 100, "-v")
    assert len(metrics("r")) == 2
    resume("r", "--no-progress", "--debug")
    assert_same_runs("r", "whole")


def test_variables_and_configuration_are_for_new_trainings(here):
    train("bars.npz", "whole")
    train("bars.npz", "r", "--stop-after", 1)
    (here / "c.toml").write_text("[train]\nepochs = 9\nlr = 0.5\n")
    resume("r", "--config", "c.toml", "--stop-after", 1)
    done("train", "--resume", "r", "--threads", 1, env={"CNNTOOL_SEED": "5", "CNNTOOL_EPOCHS": "7"})
    assert_same_runs("r", "whole")


def test_the_interval_of_checkpoints_goes_on(here):
    train("bars.npz", "r", "--batch-size", 30, "--checkpoint-every", 1e-9, "--stop-after", 1)
    resume()
    assert saved("r", PREVIOUS).progress.batch == 3


# --- more epochs


def test_more_epochs_at_a_constant_rate(here):
    args = ("--schedule", "constant", "--warmup", 1.5, "--lr", 0.01)
    train("bars.npz", "whole", "--epochs", 5, *args)
    train("bars.npz", "r", "--epochs", 2, *args)
    assert report("r")["complete"] is True
    resume("r", "--epochs", 5)
    assert bytes_of("r") == bytes_of("whole")
    np.testing.assert_array_equal(weights("r"), weights("whole"))
    resume("r", "--epochs", 6)
    assert len(metrics("r")) == 6


def test_more_epochs_of_steps_fall_on(here):
    """The rate falls after as many steps as it was to, before there were more."""
    args = ("--schedule", "step", "--lr", 1, "--batch-size", 30, "--optimizer", "sgd")
    train("bars.npz", "r", "--epochs", 3, *args)
    resume("r", "--epochs", 5, "--stop-after", 4)
    resume("r", "--epochs", 6)
    assert [float(row["lr"]) for row in metrics("r")] == pytest.approx(
        [1, 0.1, 0.01, 1e-3, 1e-4, 1e-5]
    )
    assert report("r")["options"]["schedule_epochs"] == 3


@pytest.mark.parametrize("schedule", ["cosine", "onecycle"])
def test_schedules_with_an_end(here, schedule):
    train("bars.npz", "r", "--epochs", 3, "--stop-after", 1, "--schedule", schedule)
    before = bytes_of("r", NEWEST)
    for epochs in (2, 4):
        line = refused(4, "train", "--resume", "r", "--epochs", epochs)
        assert (
            f"'r' cannot be extended to {epochs} epochs: the rates of the schedule '{schedule}' "
            "were chosen for 3; start anew with --epochs, or with --schedule constant or step, "
            "which can be extended"
        ) in line
    assert bytes_of("r", NEWEST) == before
    resume("r", "--epochs", 3)
    assert report("r")["complete"] is True


def test_fewer_epochs_than_were_made(here):
    train("bars.npz", "r", "--epochs", 4, "--stop-after", 3, "--schedule", "constant")
    line = refused(2, "train", "--resume", "r", "--epochs", 2)
    assert "'r' has trained 3 epochs already; --epochs must be more" in line
    resume("r", "--epochs", 3)
    assert report("r")["complete"] is True and len(metrics("r")) == 3


def test_patience_has_ended_it(here):
    args = ("--val-split", 0.3, "--patience", 1, "--epochs", 9, "--lr", 1e-9)
    train("bars.npz", "r", *args, "--schedule", "constant")
    assert len(metrics("r")) == 2
    line = refused(4, "train", "--resume", "r", "--epochs", 20)
    assert "it has ended by --patience 1; start anew without it" in line


# --- other data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": 91}, "90 training, 30 test pictures became 91 training, 30 test"),
        ({"test": 0}, "90 training, 30 test pictures became 90 training; bring it back"),
        ({"seed": 9}, "as many pictures, but some of them, or their labels, have changed"),
    ],
)
def test_changed_arrays(here, change, message):
    train("bars.npz", "r", "--stop-after", 1)
    write_npz(**change)
    line = refused(4, "train", "--resume", "r")
    assert f"'bars.npz' is not what the training began with: {message}" in line
    write_npz()
    resume()


def test_changed_folders(folder):
    paths = write_folders(folder / "data", 40)
    train("data", "r", "--stop-after", 1)
    before = paths[5].read_bytes()
    paths[5].write_bytes(paths[6].read_bytes())
    assert "some of them, or their labels, have changed" in refused(4, "train", "--resume", "r")
    paths[5].write_bytes(before)
    (folder / "data/lying").rename(folder / "data/laid")
    line = refused(4, "train", "--resume", "r")
    assert (
        "classes 3 ('lying', 'slanting', 'standing') became 3 ('laid', 'slanting', 'standing')"
    ) in line
    (folder / "data/laid").rename(folder / "data/lying")
    write_folders(folder / "data", 40, size=(14, 10))
    assert "pictures of 1×12×10 became 1×14×10" in refused(4, "train", "--resume", "r")
    shutil.rmtree("data")
    line = refused(4, "train", "--resume", "r")
    assert "the data that the training began with cannot be had" in line


# --- damage


def damage(name):
    data = bytearray(bytes_of("r", name))
    data[len(data) // 2] ^= 4
    with open(f"r/{name}", "wb") as file:
        file.write(data)


def test_the_newest_is_damaged(here):
    train("bars.npz", "whole", "--epochs", 3)
    train("bars.npz", "r", "--epochs", 3, "--stop-after", 2)
    damage(NEWEST)
    result = resume()
    assert "'r/checkpoint.safetensors'" in result.errors[0]
    assert "damaged" in result.errors[0] or "checksum" in result.errors[0]
    assert result.errors[1] == "cnntool: going on from the checkpoint after 1 epoch"
    assert_same_runs("r", "whole")
    checkpoint.decode(bytes_of("r", PREVIOUS), "it")


def test_the_one_before_is_damaged(here):
    train("bars.npz", "whole", "--epochs", 3)
    train("bars.npz", "r", "--epochs", 3, "--stop-after", 2)
    damage(PREVIOUS)
    result = resume()
    assert result.errors[1] == "cnntool: going on from the checkpoint after 2 epochs"
    assert_same_runs("r", "whole")


def test_all_are_damaged(here):
    train("bars.npz", "r", "--stop-after", 1)
    damage(NEWEST)
    (here / "r" / PREVIOUS).write_bytes(b"")
    before = sorted(os.listdir("r"))
    line = refused(4, "train", "--resume", "r")
    assert "'r' cannot be resumed: 'r/checkpoint.safetensors'" in line
    assert "start the training anew with -f" in line
    assert sorted(os.listdir("r")) == before


def test_one_that_was_not_named_yet_counts(here):
    train("bars.npz", "whole", "--epochs", 3)
    train("bars.npz", "r", "--epochs", 3, "--stop-after", 2)
    os.rename(f"r/{NEWEST}", f"r/{NEXT}")
    result = resume()
    assert not [line for line in result.errors if "going on from" in line]
    assert [line[:9] for line in result.errors if line.startswith("epoch")] == ["epoch 3/3"]
    assert_same_runs("r", "whole")


def test_no_run(here):
    assert "'no' is no folder of a run; name what -o was" in refused(4, "train", "--resume", "no")
    os.mkdir("empty")
    line = refused(4, "train", "--resume", "empty")
    assert "'empty' cannot be resumed: there is no checkpoint in it" in line
    line = refused(4, "train", "--resume", "bars.npz")
    assert "'bars.npz' is no folder of a run" in line
    done("train", "bars.npz", "--model", "hog-logreg", "-o", "h")
    assert "there is no checkpoint in it" in refused(4, "train", "--resume", "h")


def test_a_model_in_its_place(here):
    train("bars.npz", "r")
    for name in (NEWEST, PREVIOUS):
        shutil.copy("r/model.safetensors", f"r/{name}")
    line = refused(4, "train", "--resume", "r")
    assert "is no checkpoint of a training but 'cnntool model'" in line


def rewritten(name, **changes):
    """Change what a checkpoint says, and seal it again."""
    file = tensor_file.decode(bytes_of("r", name), where="it")
    meta = dict(file.metadata)
    for key, values in changes.items():
        meta[key] = json.dumps({**json.loads(meta[key]), **values})
    with open(f"r/{name}", "wb") as out:
        out.write(tensor_file.encode(file.tensors, meta))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {"unknown": 1}}, "'unknown' is not in both; start the training anew with -f"),
        ({"options": {"epochs": "many"}}, "does not say what a checkpoint says"),
        ({"progress": {"epoch": "one"}}, "'epoch' is no int"),
        ({"progress": {"batch": -1}}, "a count is negative"),
        ({"progress": {"batch": 999}}, "the checkpoint has more batches in an epoch than the data"),
        ({"progress": {"history": [{"x": 1}]}}, "'history' has other columns"),
        ({"facts": {"threads": 2}}, "'facts' are no texts by name"),
    ],
)
def test_a_checkpoint_that_says_strange_things(here, changes, message):
    train("bars.npz", "r", "--stop-after", 1)
    os.unlink(f"r/{PREVIOUS}")
    rewritten(NEWEST, **changes)
    assert message in refused(4, "train", "--resume", "r")


def test_an_interval_that_is_no_number(here):
    train("bars.npz", "r", "--stop-after", 1)
    rewritten(NEWEST, facts={"every": "soon"})
    resume()


def test_weights_of_another_network(here):
    train("bars.npz", "r", "--stop-after", 1)
    os.unlink(f"r/{PREVIOUS}")
    rewritten(NEWEST, options={"spec": SPEC.replace("conv 4", "conv 5")})
    found = invoke("train", "--resume", "r")
    assert found.status == 4, found.stderr
    assert "the weights do not fit the network: 0.conv.bias has shape (4,)" in found.stderr


def test_no_damage_of_a_checkpoint_is_silent(here):
    """Cut at every byte, and one bit of every byte turned."""
    train("bars.npz", "r", "--model", "adaptiveavgpool 1x2 | flatten | dense 3", "--epochs", 1)
    data = bytes_of("r", NEWEST)
    expected = checkpoint.decode(data, "it")
    assert expected.progress.step
    for length in range(len(data)):
        with pytest.raises(ModelFileError):
            checkpoint.decode(data[:length], "it")
    with pytest.raises(ModelFileError):
        checkpoint.decode(data + b"\0", "it")
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        with pytest.raises(ModelFileError):
            checkpoint.decode(bytes(changed), "it")


def test_what_a_killed_run_left_is_swept(here):
    train("bars.npz", "r", "--stop-after", 1)
    descriptor, path = create("r", NEXT)
    os.close(descriptor)
    dead = path.replace(f"-{os.getpid()}-", "-4194305-")
    os.rename(path, dead)
    resume()
    assert not [name for name in os.listdir("r") if name.endswith("-tmp")]


def test_two_trainings_in_one_folder(here, monkeypatch):
    """The second one changes nothing."""
    train("bars.npz", "r", "--stop-after", 1)
    before = {name: bytes_of("r", name) for name in os.listdir("r")}
    monkeypatch.setattr(run_folder, "PATIENCE", 0.05)
    with run_folder.held("r"):
        message = "'r' is being trained by another process; wait for its end, or choose another -o"
        assert refused(2, "train", "--resume", "r").endswith(message)
        line = refused(2, "train", "bars.npz", "--model", SPEC, "-o", "r", "-f")
        assert line.endswith(message)
    assert before == {name: bytes_of("r", name) for name in os.listdir("r")}
