"""Disks that are full, fail or lie, and folders that take no files, during a training."""

import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys

import pytest
from cli_runner import done, invoke
from training_runs import (
    ENVIRONMENT,
    SPEC,
    assert_same_runs,
    saved,
    signalling,
    start,
    train,
    without_matplotlib,
    write_npz,
)

from cnntool.nn.step import TrainingStep
from cnntool.train import checkpoint

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="signals and limits as POSIX has them"),
    pytest.mark.faults,
]

NEXT, NEWEST, _ = checkpoint.NAMES
ARGUMENTS = ("bars.npz", "--model", SPEC, "--threads", 1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    without_matplotlib(monkeypatch)


@pytest.fixture
def here(folder):
    write_npz()
    return folder


def litter(folder="r"):
    return [name for name in os.listdir(folder) if name.endswith("-tmp")]


class Disk:
    """Lets writes of whole files fail: from one on, for a while or for ever."""

    def __init__(self, monkeypatch, first, last=10**9, number=errno.ENOSPC):
        self.count, self.failed = 0, 0
        real = os.write

        def write(descriptor, data):
            self.count += 1
            if first <= self.count <= last:
                self.failed += 1
                raise OSError(number, os.strerror(number))
            return real(descriptor, data)

        monkeypatch.setattr(os, "write", write)


def test_a_disk_that_fills_up_at_any_moment(here, monkeypatch):
    """Training goes on to its end; what lies there stays whole; later it is completed."""
    args = (*ARGUMENTS, "--epochs", 3, "--batch-size", 45)
    done("train", *args, "-o", "whole")
    for first in range(1, 100):
        run = f"r{first}"
        with monkeypatch.context() as patch:
            disk = Disk(patch, first)
            result = invoke("train", *args, "-o", run)
        assert litter(run) == []
        if not disk.failed:
            assert result.status == 0
            break
        assert result.status == 3
        last = result.errors[-1]
        assert "cannot be written: No space left on device; free some space or write els" in last
        assert result.stdout == b""
        if first == 1:
            assert os.listdir(run) == []
            assert not [line for line in result.errors if line.startswith("epoch")]
            assert "tries again" not in result.stderr
            continue
        assert [line[:9] for line in result.errors if line.startswith("epoch")] == [
            "epoch 1/3", "epoch 2/3", "epoch 3/3"
        ]  # fmt: skip
        assert result.stderr.count("; training goes on and tries again") <= 1
        done("train", "--resume", run, "--threads", 1)
        assert_same_runs(run, "whole")
    assert first > 8


def test_a_disk_that_is_full_for_a_while(here, monkeypatch):
    args = (*ARGUMENTS, "--epochs", 4)
    done("train", *args, "-o", "whole")
    with monkeypatch.context() as patch:
        disk = Disk(patch, 2, 5)
        result = invoke("train", *args, "-o", "r")
    assert disk.failed == 4
    assert result.status == 0
    notes = [line for line in result.errors if line.startswith("cnntool: ")]
    assert "cannot be written: No space left on device" in notes[0]
    assert any(
        "'r/checkpoint.next.safetensors': cannot be written: No space left on device" in note
        and note.endswith("; training goes on and tries again")
        for note in notes
    )
    assert "cnntool: the checkpoint could be written now" in notes
    assert_same_runs("r", "whole")


def test_the_last_checkpoint_fails(here, monkeypatch):
    """The model is there, and is told; but the training could not be saved."""
    real, calls = checkpoint.save, []

    def save(folder, found):
        calls.append(found)
        if len(calls) > 2:
            from cnntool.files import system_failure

            raise system_failure(f"{folder}/{NEXT}", OSError(errno.EDQUOT, "Disk quota exceeded"))
        real(folder, found)

    monkeypatch.setattr(checkpoint, "save", save)
    result = invoke("train", *ARGUMENTS, "--epochs", 2, "-o", "r")
    assert result.status == 3
    assert len(calls) == 4  # tried once more at the end
    assert result.lines[0] == "r/model.safetensors"
    assert "Disk quota exceeded" in result.errors[-1]
    assert saved("r").progress.epoch == 1


def test_stopped_on_a_full_disk(here, monkeypatch):
    """It is not said that something was saved."""
    with monkeypatch.context() as patch:
        Disk(patch, 2)
        signalling(patch, TrainingStep, "__call__", 3, signal.SIGINT)
        result = invoke("train", *ARGUMENTS, "--batch-size", 20, "-o", "r")
    assert result.status == -signal.SIGINT
    assert result.errors[-1].endswith("; what was trained since is lost")
    assert "go on with" not in result.stderr
    assert saved("r").progress.step == 0


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open"])
def test_an_error_of_the_disk(here, monkeypatch, call):
    """A single call fails: it is tried again at the next moment, never the same call."""
    done("train", *ARGUMENTS, "-o", "whole")
    real, calls = getattr(os, call), []

    def failing(*given, **options):
        if "checkpoint" in str(given[0]) or call in ("write", "fsync"):
            calls.append(given)
            if len(calls) == 4:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        result = invoke("train", *ARGUMENTS, "-o", "r")
    assert len(calls) >= 4
    assert result.status == 0, result.stderr
    assert "Input/output error" in result.stderr
    assert litter() == []
    assert_same_runs("r", "whole")


def test_a_disk_that_lies(here, monkeypatch):
    """A checkpoint that reads back otherwise never takes the place of a good one."""
    real, calls = os.write, []

    def write(descriptor, data):
        calls.append(data)
        if len(calls) > 1 and b"cnntool checkpoint" in bytes(data[:600]):
            data = bytes(data[:-1]) + bytes([data[-1] ^ 1])
        return real(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        result = invoke("train", *ARGUMENTS, "-o", "r")
    assert result.status == 3
    assert "reads back other than it was written; the disk is failing" in result.errors[-1]
    assert saved("r").progress.step == 0


def shell(script):
    """Run a script that may mount, if that is possible here."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    found = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True, timeout=60,
        env=ENVIRONMENT, check=False,
    )  # fmt: skip
    if found.returncode == 77 or "unshare" in found.stderr:
        pytest.skip(f"no file system can be mounted here: {found.stderr[-80:]}")
    return found


def test_a_real_disk_that_is_full(here):
    """A few pages: the first checkpoint fits, no other does until something is removed."""
    os.mkdir("mnt")
    program = f"{shlex.quote(sys.executable)} -m cnntool train"
    found = shell(
        "mount -t tmpfs -o size=24k cnntool-test mnt || exit 77\n"
        "head -c 12288 /dev/zero > mnt/filler\n"
        f"{program} bars.npz --model {shlex.quote(SPEC)} --epochs 3 --threads 1 -o mnt/r\n"
        "echo $?; ls -A mnt/r; rm mnt/filler; mount -o remount,size=10m mnt\n"
        f"{program} --resume mnt/r --threads 1 -q > paths; echo $?; cp -r mnt/r r\n"
    )
    assert found.stdout.splitlines() == ["3", NEWEST, "metrics.csv", "0"], found.stderr
    words = found.stderr.splitlines()
    assert len([line for line in words if line.startswith("epoch")]) == 3
    assert "No space left on device; free some space or write elsewhere" in found.stderr
    assert litter() == []
    train("bars.npz", "whole", "--epochs", 3)
    assert_same_runs("r", "whole")


def test_a_disk_without_room_for_the_first_checkpoint(here):
    program = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
        "runpy.run_module('cnntool', run_name='__main__')\n"
    )
    child = start("train", *ARGUMENTS, "-o", "r", code=program)
    out, words = child.communicate(timeout=40)
    assert child.returncode == 3
    assert out == ""
    assert words.splitlines()[-1] == (
        "cnntool: 'r/checkpoint.next.safetensors': cannot be written: File too large; raise "
        "'ulimit -f' or write elsewhere"
    )
    assert "epoch" not in words.splitlines()[-2]
    assert os.listdir("r") == []


def test_a_folder_that_takes_no_files(here):
    """Found out before the data are read, and before a run is gone on with."""
    os.mkdir("mnt")
    train("bars.npz", "r", "--stop-after", 1)
    program = f"{shlex.quote(sys.executable)} -m cnntool train"
    found = shell(
        "mount -t tmpfs cnntool-test mnt || exit 77\n"
        "cp -r r mnt/r; mount -o remount,ro mnt || exit 77\n"
        f"{program} no-such-data -o mnt/new; echo $?\n"
        f"{program} no-such-data -f -o mnt/r; echo $?\n"
        f"{program} --resume mnt/r; echo $?\n"
    )
    assert found.stdout.split() == ["3", "3", "3"]
    remedy = "takes no files: Read-only file system; write to another folder"
    assert found.stderr.splitlines() == [
        f"cnntool: 'mnt/new': {remedy}",
        f"cnntool: 'mnt/r': {remedy}",
        f"cnntool: 'mnt/r': {remedy}",
    ]


def test_a_folder_that_vanishes(here, monkeypatch):
    """It is not made again behind somebody's back; what was trained is lost, and that is told."""
    real, calls = TrainingStep.__call__, []

    def step(self, *given):
        calls.append(1)
        if len(calls) == 2:
            shutil.rmtree("r")
        return real(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", step)
        result = invoke("train", *ARGUMENTS, "--batch-size", 30, "-o", "r")
    assert result.status == 3
    assert "No such file or directory; make its folder first" in result.errors[-1]
