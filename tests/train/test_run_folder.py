"""The folder of a run: what may become one, and what lies in it."""

import json
import os
import subprocess
import sys

import pytest

from cnntool.errors import ModelFileError, OptionError, SystemFailure
from cnntool.files import temporaries
from cnntool.train import run_folder
from cnntool.train.progress import ROW_NAMES

ROW = {
    "epoch": 1, "train_loss": 1 / 3, "train_accuracy": 0.5, "val_loss": None,
    "val_accuracy": None, "lr": 4e-07, "images_per_second": 12345.678, "seconds": 2.5,
}  # fmt: skip


def stale(folder, name="checkpoint.safetensors"):
    """A temporary of a process that is no more."""
    descriptor, path = temporaries.create(str(folder), name)
    os.close(descriptor)
    temporaries.forget(path)
    os.rename(path, path.replace(f"-{os.getpid()}-", "-4194305-"))


# --- what may become one


def test_nothing_is_changed_by_looking(tmp_path):
    run_folder.check(str(tmp_path / "new/er/r"), force=False)
    run_folder.check(str(tmp_path), force=False)
    assert os.listdir(tmp_path) == []


def test_names_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_folder.check("r", force=False)
    run_folder.check("r/", force=False)
    run_folder.check("./a/../r", force=False)
    assert os.listdir(tmp_path) == []


def test_one_that_holds_something(tmp_path):
    (tmp_path / "a").write_text("a")
    with pytest.raises(
        OptionError, match="exists; use -f, -o or --resume: begin anew, take another folder, or go"
    ):
        run_folder.check(str(tmp_path), force=False)
    run_folder.check(str(tmp_path), force=True)


def test_litter_of_a_killed_run_is_nothing(tmp_path):
    stale(tmp_path)
    run_folder.check(str(tmp_path), force=False)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("force", [False, True])
def test_a_file(tmp_path, force):
    path = tmp_path / "a"
    path.write_text("a")
    with pytest.raises(OptionError, match="exists and is no folder; choose another -o"):
        run_folder.check(str(path), force=force)
    os.symlink("nowhere", tmp_path / "link")
    with pytest.raises(OptionError, match="exists and is no folder"):
        run_folder.check(str(tmp_path / "link"), force=force)
    with pytest.raises(SystemFailure, match="takes no files: Not a directory"):
        run_folder.check(str(path / "r"), force=force)


@pytest.mark.parametrize("name", ["", "-"])
def test_no_folder(name):
    with pytest.raises(OptionError, match="-o names the folder of a run, such as runs/first"):
        run_folder.check(name, force=False)


def test_not_among_the_data(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "way").symlink_to(data)
    for place in (data / "r", data, tmp_path / "way/r", data / "../data/a/r"):
        with pytest.raises(OptionError, match=r"lies in the data set .* choose another -o"):
            run_folder.check(str(place), force=True, data=str(data))
    for place in (tmp_path / "r", tmp_path / "data2/r", tmp_path):
        run_folder.check(str(place), force=True, data=str(data))
    run_folder.check(str(data / "r"), force=True, data="mnist")


def test_prepare_makes_it(tmp_path):
    folder = tmp_path / "a/b"
    with run_folder.held(str(folder), new=True):
        pass
    assert os.listdir(folder) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(SystemFailure, match="cannot be made: Not a directory"):
        run_folder.held(str(tmp_path / "file/r"), new=True).__enter__()


def test_prepare_removes_what_a_run_left(tmp_path):
    kept = ["notes.txt", "model.onnx", "checkpoint.safetensors.bak"]
    for name in (*run_folder._OWN, *kept):
        (tmp_path / name).write_text("x")
    with run_folder.held(str(tmp_path), new=True):
        pass
    assert sorted(os.listdir(tmp_path)) == sorted(kept)


def test_what_cannot_be_removed(tmp_path):
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(SystemFailure, match=r"model.safetensors': cannot be removed: "):
        run_folder.clear(str(tmp_path))


def test_reopen(tmp_path):
    stale(tmp_path)
    (tmp_path / "run.json").write_text("x")
    run_folder.reopen(str(tmp_path))
    assert os.listdir(tmp_path) == ["run.json"]
    with pytest.raises(ModelFileError, match="is no folder of a run; name what -o was"):
        run_folder.reopen(str(tmp_path / "none"))


def test_reopen_where_nothing_can_be_written(tmp_path, monkeypatch):
    def probe(folder):
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(run_folder, "probe", probe)
    message = "takes no files: Read-only file system; write to another folder"
    with pytest.raises(SystemFailure, match=message):
        run_folder.reopen(str(tmp_path))
    with pytest.raises(SystemFailure, match=message):
        run_folder.check(str(tmp_path / "a"), force=False)


# --- what lies in it


def test_metrics(tmp_path):
    plain = [name for name in ROW_NAMES if name != "val_mean_iou"]
    rows = [ROW, {**ROW, "epoch": 2, "val_accuracy": 1.0}]
    run_folder.write_metrics(str(tmp_path), rows, plain)
    assert (tmp_path / "metrics.csv").read_bytes() == (
        b"epoch,train_loss,train_accuracy,val_loss,val_accuracy,lr,images_per_second,seconds\n"
        b"1,0.333333,0.5,,,4e-07,12345.7,2.5\n"
        b"2,0.333333,0.5,,1,4e-07,12345.7,2.5\n"
    )
    run_folder.write_metrics(str(tmp_path), [], plain)
    assert (tmp_path / "metrics.csv").read_text() == ",".join(plain) + "\n"
    run_folder.write_metrics(str(tmp_path), [{**ROW, "val_mean_iou": 0.25}], ROW_NAMES)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0] == ",".join(ROW_NAMES) and lines[1] == "1,0.333333,0.5,,,0.25,4e-07,12345.7,2.5"


def test_run_json(tmp_path):
    facts = {"a": "Köln", "b": "caf\udce9", "c": [1.5, None, True], "d": 0.1 + 0.2}
    run_folder.write_run(str(tmp_path), facts)
    data = (tmp_path / "run.json").read_bytes()
    assert json.loads(data) == facts
    text = data.decode()  # whatever names are like
    assert "Köln" in text and r"caf\udce9" in text
    assert text.endswith("}\n")
    with pytest.raises(ValueError, match="not JSON compliant"):
        run_folder.write_run(str(tmp_path), {"a": float("nan")})
    assert (tmp_path / "run.json").read_bytes() == data


def test_pictures(tmp_path):
    for data in (b"one", b"another"):
        run_folder.write_picture(str(tmp_path), run_folder.CURVES, data)
        assert (tmp_path / "curves.png").read_bytes() == data
    with pytest.raises(SystemFailure, match="cannot be written: No such file or directory"):
        run_folder.write_picture(str(tmp_path / "none"), "a.png", b"")


# --- one training at a time


HOLDS = """
import sys, time
from cnntool.train.run_folder import held
with held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_training_is_kept_out(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "PATIENCE", 0.1)
    (tmp_path / "model.safetensors").write_text("the other one's")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, tmp_path], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout.readline() == "held\n"
            for new in (False, True):
                with pytest.raises(OptionError, match="is being trained by another process; wait"):
                    run_folder.held(str(tmp_path), new=new).__enter__()
            assert (tmp_path / "model.safetensors").exists()
        finally:
            other.kill()
    with run_folder.held(str(tmp_path)):
        pass


def test_it_is_let_go(tmp_path):
    for _ in range(3):
        with run_folder.held(str(tmp_path)):
            pass
    with pytest.raises(RuntimeError), run_folder.held(str(tmp_path)):
        raise RuntimeError
    with run_folder.held(str(tmp_path)):
        pass


def test_nothing_to_hold(tmp_path):
    with run_folder.held(str(tmp_path / "none")):
        assert not (tmp_path / "none").exists()
