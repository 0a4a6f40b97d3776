"""Checkpoints: whole or not there, the newest found, damage refused."""

import dataclasses
import os

import numpy as np
import pytest

from cnntool.errors import Diverged, ModelFileError, OptionError, SystemFailure
from cnntool.train import checkpoint
from cnntool.train.checkpoint import NAMES, Checkpoint
from cnntool.train.options import Options
from cnntool.train.progress import Progress

OPTIONS = Options(
    dataset="made", model="custom", spec="flatten | dense 3", input=(1, 2, 3),
    classes=("a", "b", "c"), epochs=4, lr=0.1 / 3,
)  # fmt: skip


def made(step=7, **changes):
    progress = Progress(
        epoch=1, batch=2, step=step, loss=1 / 3, seen=5,
        history=[{"epoch": 1, "train_loss": 0.1 + 0.2, "val_loss": None}],
    )  # fmt: skip
    rng = np.random.default_rng(step)
    weights = {"1.dense.weight": rng.random((3, 6), np.float32)}
    state = {"momentum": rng.random(18, np.float32), "step": np.array([step])}
    found = Checkpoint(OPTIONS, progress, weights, state, {}, {"fingerprint": "ab", "threads": "2"})
    return dataclasses.replace(found, **changes)


def same(one, other):
    assert one.options == other.options
    assert one.progress == other.progress
    assert one.facts == other.facts
    for group in ("weights", "optimiser", "best"):
        a, b = getattr(one, group), getattr(other, group)
        assert set(a) == set(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
            assert a[name].dtype == b[name].dtype


def test_comes_back_bit_by_bit(tmp_path):
    first = made(best={"1.dense.weight": np.ones((3, 6), np.float32)})
    checkpoint.save(str(tmp_path), first)
    found, complaints = checkpoint.newest(str(tmp_path))
    same(found, first)
    assert complaints == []


def test_two_are_kept(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(str(tmp_path), made(step))
    assert sorted(os.listdir(tmp_path)) == sorted(NAMES[1:])
    steps = [
        checkpoint.decode((tmp_path / name).read_bytes(), name).progress.step for name in NAMES[1:]
    ]
    assert steps == [3, 2]


def test_a_damaged_one_is_told_and_the_one_before_it_taken(tmp_path):
    checkpoint.save(str(tmp_path), made(1))
    checkpoint.save(str(tmp_path), made(2))
    path = tmp_path / NAMES[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found, complaints = checkpoint.newest(str(tmp_path))
    assert found.progress.step == 1
    assert len(complaints) == 1
    assert NAMES[1] in complaints[0]
    (tmp_path / NAMES[2]).write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"cannot be resumed: .*start the training anew"):
        checkpoint.newest(str(tmp_path))


def test_no_checkpoint_at_all(tmp_path):
    with pytest.raises(ModelFileError, match="there is no checkpoint in it"):
        checkpoint.newest(str(tmp_path))


@pytest.mark.parametrize("moment", range(1, 9))
def test_whatever_call_of_a_save_fails_a_whole_one_is_found(tmp_path, monkeypatch, moment):
    """The process dies before one of the calls that change the disk."""
    checkpoint.save(str(tmp_path), made(1))
    checkpoint.save(str(tmp_path), made(2))
    calls = []

    class Killed(BaseException):
        pass

    def dying(real):
        def call(*args, **options):
            calls.append(real)
            if len(calls) == moment:
                raise Killed
            return real(*args, **options)

        return call

    for name in ("replace", "rename", "write", "fsync", "unlink", "link", "open"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))
    try:
        checkpoint.save(str(tmp_path), made(3))
    except Killed:
        pass
    monkeypatch.undo()
    found, _ = checkpoint.newest(str(tmp_path))
    assert found.progress.step in (2, 3)
    same(found, made(found.progress.step))


def test_what_is_not_finite_is_not_saved(tmp_path):
    checkpoint.save(str(tmp_path), made(1))
    bad = made(2, weights={"1.dense.weight": np.full((3, 6), np.nan, np.float32)})
    with pytest.raises(Diverged, match=r"weights of 1.dense.weight are not finite"):
        checkpoint.save(str(tmp_path), bad)
    assert checkpoint.newest(str(tmp_path))[0].progress.step == 1


def test_a_disk_that_loses_bytes_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("cnntool.nn.tensor_file.read_bytes", lambda path, limit: b"other")
    with pytest.raises(SystemFailure, match="reads back other than it was written"):
        checkpoint.save(str(tmp_path), made(1))
    assert NAMES[1] not in os.listdir(tmp_path)


def test_files_that_are_no_checkpoints():
    from cnntool.nn import tensor_file

    plain = tensor_file.encode({}, {"format": "cnntool model", "version": "1"})
    with pytest.raises(ModelFileError, match="is no checkpoint of a training but 'cnntool model'"):
        checkpoint.decode(plain, "'x'")
    newer = tensor_file.encode({}, {"format": checkpoint.FORMAT, "version": "2"})
    with pytest.raises(ModelFileError, match="checkpoint of version 2, this program reads 1"):
        checkpoint.decode(newer, "'x'")
    poor = tensor_file.encode({}, {"format": checkpoint.FORMAT, "version": "1"})
    with pytest.raises(ModelFileError, match="does not say what a checkpoint says"):
        checkpoint.decode(poor, "'x'")
    extra = np.zeros(1, np.float32)
    other = tensor_file.encode({"z/a": extra}, {"format": checkpoint.FORMAT, "version": "1"})
    with pytest.raises(ModelFileError, match="'z/a', which belongs to no checkpoint"):
        checkpoint.decode(other, "'x'")


def test_remove_leaves_other_files(tmp_path):
    checkpoint.save(str(tmp_path), made(1))
    (tmp_path / "notes.txt").write_text("mine")
    checkpoint.remove(str(tmp_path))
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_options_come_back_from_json():
    import json

    assert Options.from_json(json.loads(json.dumps(OPTIONS.as_json()))) == OPTIONS
    values = OPTIONS.as_json()
    del values["seed"]
    with pytest.raises(ModelFileError, match="'seed' is not in both"):
        Options.from_json(values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "--epochs must be from 1 to"),
        ({"batch_size": 0}, "--batch-size must be from 1"),
        ({"lr": 0.0}, "--lr must be a number above 0"),
        ({"lr": float("nan")}, "--lr must be a number above 0"),
        ({"dropout": 1.0}, "--dropout must be from 0 to below 1"),
        ({"class_weight": "some"}, "--class-weight must be none or balanced, got 'some'"),
        ({"seed": -1}, "--seed must be from 0"),
    ],
)
def test_options_out_of_range(changes, message):
    with pytest.raises(OptionError, match=message):
        dataclasses.replace(OPTIONS, **changes)
