"""What happens to a training when the system, the user or the numbers turn against it."""

import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import watchdog
from cli_runner import done, invoke, refused
from training_runs import (
    SPEC,
    assert_same_runs,
    bytes_of,
    report,
    saved,
    train,
    without_matplotlib,
    write_npz,
)

from cnntool.nn.step import TrainingStep
from cnntool.train import checkpoint
from cnntool.train.session import Session

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="signals and limits as POSIX has them"),
    pytest.mark.faults,
]

NEXT, NEWEST, PREVIOUS = checkpoint.NAMES
ARGUMENTS = ("bars.npz", "--model", SPEC, "--threads", 1)
# two seconds, unless the machine has more to do than cores to do it
SOON = 2.0 if os.getloadavg()[0] < 2 * os.cpu_count() else 6.0
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    without_matplotlib(monkeypatch)


@pytest.fixture(autouse=True)
def _signals_are_heard():
    """Children inherit that a signal is ignored, as for tests that a shell runs with '&'."""
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) == signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def here(folder):
    write_npz()
    return folder


def litter(folder="r"):
    return [name for name in os.listdir(folder) if name.endswith("-tmp")]


# --- signals


def start(*args, code="from cnntool.cli import main; main()"):
    """A run in a session of its own, as a terminal starts it."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True,
        env=ENVIRONMENT,
    )  # fmt: skip


def wait_for(child, words):
    """Read lines of stderr up to one that holds these words."""
    for line in child.stderr:
        if words in line:
            return
    raise AssertionError(f"no '{words}': {child.wait()}")


@pytest.mark.parametrize(
    ("number", "threads"),
    [(signal.SIGINT, 2), (signal.SIGTERM, 2), (signal.SIGHUP, 1)],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_a_signal_saves_and_ends_it(here, number, threads):
    arguments = ("--epochs", 100_000, "--val-split", 0.2, "--schedule", "constant")
    child = start("train", *ARGUMENTS[:3], "--threads", threads, *arguments, "-o", "r")
    with child, watchdog.watchdog(40):
        wait_for(child, "epoch      2/100000")
        workers = watchdog.children(child.pid)
        assert len(workers) >= threads - 1
        begun = time.monotonic()
        os.killpg(child.pid, number)  # as a terminal does: to all of them
        words = child.stderr.read()
        assert child.wait() == -number
        assert time.monotonic() - begun < SOON
        assert child.stdout.read() == ""
    assert words.splitlines()[-1] == "cnntool: saved; go on with: cnntool train --resume 'r'"
    assert "Traceback" not in words
    assert watchdog.gone(workers, 2)
    assert litter() == []
    found = saved("r")
    assert found.progress.epoch >= 2
    assert found.progress.step >= 2 * 2
    assert not os.path.exists("r/model.safetensors")
    line = refused(4, "predict", "r", "bars.npz")
    assert "its training has not made a model yet; go on with it: cnntool train --resume 'r'" in (
        line
    )
    done("train", "--resume", "r", "--threads", threads, "--epochs", found.progress.epoch + 1)
    assert report("r")["complete"] is True


def test_a_second_signal_ends_it_at_once(here):
    """The first one waits for a checkpoint that takes for ever."""
    code = (
        "import sys, time\n"
        "from cnntool.cli import main\n"
        "from cnntool.files import WholeFile\n"
        "write = WholeFile.write\n"
        "def slow(file, data):\n"
        "    write(file, data)\n"
        "    if 'next' in file.path and (count := next(calls)) > 2:\n"
        "        print('saving', file=sys.stderr, flush=True)\n"
        "        end = time.monotonic() + 60\n"
        "        while time.monotonic() < end: time.sleep(1)\n"
        "calls = iter(range(100))\n"
        "WholeFile.write = slow\n"
        "main()\n"
    )
    child = start("train", *ARGUMENTS, "--epochs", 100, "-o", "r", code=code)
    with child, watchdog.watchdog(40):
        wait_for(child, "saving")
        child.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert child.poll() is None
        begun = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.wait() == -signal.SIGINT
        assert time.monotonic() - begun < SOON
        assert "Traceback" not in child.stderr.read()
    assert litter() == []
    assert saved("r").progress.epoch == 2
    done("train", "--resume", "r", "--stop-after", 3, "--threads", 1)


def test_a_shell_sees_the_signal(here):
    command = (
        f"{shlex.quote(sys.executable)} -m cnntool train bars.npz --model {shlex.quote(SPEC)} "
        "--epochs 100000 -o r 2>words & pid=$!; until grep -q 'epoch  ' words; do sleep 0.05; "
        "done; kill -TERM $pid; wait $pid; echo $?"
    )
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=40,
                           env=ENVIRONMENT, check=False)  # fmt: skip
    assert found.stdout == "143\n"


def signalling(monkeypatch, where, name, at, number):
    """Let a method send this process a signal when it is called for the ``at``-th time."""
    real, calls = getattr(where, name), []

    def method(self, *given, **options):
        calls.append(name)
        if len(calls) == at:
            os.kill(os.getpid(), number)
        return real(self, *given, **options)

    monkeypatch.setattr(where, name, method)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("where", "name", "at", "stands"),
    [
        (TrainingStep, "__call__", 1, (0, 1)),
        (TrainingStep, "__call__", 3, (0, 3)),
        (TrainingStep, "__call__", 4, (1, 0)),
        (TrainingStep, "__call__", 5, (1, 1)),
        (TrainingStep, "__call__", 8, (2, 0)),
    ],
)
def test_at_a_step(here, monkeypatch, number, where, name, at, stands):
    """The step is finished and saved; nothing more is done."""
    args = (*ARGUMENTS, "--batch-size", 23, "--epochs", 2)
    done("train", *args, "-o", "whole")
    with monkeypatch.context() as patch:
        signalling(patch, where, name, at, number)
        result = invoke("train", *args, "-o", "r")
    assert result.status == -number
    assert result.errors[-1] == "cnntool: saved; go on with: cnntool train --resume 'r'"
    found = saved("r").progress
    assert (found.epoch, found.batch) == stands
    done("train", "--resume", "r", "--threads", 1)
    assert_same_runs("r", "whole")


@pytest.mark.parametrize("at", [1, 2, 3])
def test_in_a_validation(here, monkeypatch, at):
    """It is broken off, not waited for; later it is done anew."""
    write_npz(train=60, val=300)
    args = (*ARGUMENTS, "--batch-size", 20, "--epochs", 2)
    done("train", *args, "-o", "whole")
    with monkeypatch.context() as patch:
        real, calls = Session.outputs, []

        def outputs(self, split, stop=None):
            calls.append(split)
            if len(calls) == at:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(self, split, stop)

        patch.setattr(Session, "outputs", outputs)
        result = invoke("train", *args, "-o", "r")
    if at == 3:
        assert result.status == 0
        return
    assert result.status == -signal.SIGTERM
    found = saved("r").progress
    assert (found.epoch, found.batch) == (at - 1, 3)
    done("train", "--resume", "r", "--threads", 1)
    assert_same_runs("r", "whole")


def test_at_the_very_end(here, monkeypatch):
    """While results are written: the training is done, and its results can be had."""
    done("train", *ARGUMENTS, "--epochs", 1, "-o", "whole")
    from cnntool.jobs import training_results

    for name in ("tested", "facts", "write"):
        real = getattr(training_results, name)

        def stopped(*given, real=real, **options):
            os.kill(os.getpid(), signal.SIGINT)
            return real(*given, **options)

        with monkeypatch.context() as patch:
            patch.setattr(training_results, name, stopped)
            result = invoke("train", *ARGUMENTS, "--epochs", 1, "-o", name)
        assert result.status == -signal.SIGINT
        done("train", "--resume", name, "--threads", 1)
        assert_same_runs(name, "whole")


# --- disks


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


# --- numbers


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (SPEC, ()),
        (SPEC, ("--optimizer", "sgd")),
        (SPEC.replace("relu", "sigmoid"), ("--schedule", "constant")),
        (SPEC.replace("relu", "batchnorm | relu"), ("--optimizer", "adam", "--threads", 2)),
        ("flatten | dense 3", ("--optimizer", "sgd", "--momentum", 0)),
    ],
)
def test_a_rate_far_too_high(here, spec, options):
    result = invoke("train", "bars.npz", "--model", spec, "--threads", 1, "--lr", 1e9,
                    "--epochs", 50, "-o", "r", *options)  # fmt: skip
    assert result.status == 5
    assert result.stdout == b""
    last = result.errors[-1]
    assert "cnntool: training diverged in epoch 1, step " in last
    assert "; take a smaller --lr; 'r/checkpoint.safetensors' holds the state after step " in last
    found = saved("r")
    assert all(np.isfinite(array).all() for array in found.weights.values())
    assert f"step {found.progress.step}" in last
    assert not [line for line in result.errors if line.startswith("epoch")]
    assert sorted(os.listdir("r")) == [NEWEST]
    assert "Warning" not in result.stderr
    assert invoke("train", "--resume", "r", "--threads", 1).status == 5


def test_weights_that_are_not_finite_are_not_saved(here, monkeypatch):
    """They come after a loss that was finite; checkpoints of before stay."""
    real, calls = TrainingStep.__call__, []

    def step(self, *given):
        loss = real(self, *given)
        calls.append(loss)
        if len(calls) == 5:
            self.network.parameters[3] = np.nan
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", step)
        result = invoke("train", *ARGUMENTS, "--batch-size", 18, "--epochs", 3, "-o", "r")
    assert result.status == 5
    assert "weights of 0.conv.weight are not finite; this state is not saved" in result.errors[-1]
    assert "'r/checkpoint.safetensors' holds the state after step 0" in result.errors[-1]
    done("train", "--resume", "r", "--threads", 1)
    done("train", *ARGUMENTS, "--batch-size", 18, "--epochs", 3, "-o", "whole")
    assert_same_runs("r", "whole")


def test_outputs_that_are_not_finite(here):
    """A last step so long that nothing can be computed any more."""
    args = (*ARGUMENTS, "--batch-size", 90, "--epochs", 1, "--optimizer", "sgd", "-o")
    for name, options in (("r", ()), ("s", ("--val-split", 0.3))):
        result = invoke("train", *args, name, "--lr", 1e36, "--schedule", "constant", *options)
        assert result.status == 5
        assert "the network gives numbers that are not finite" in result.errors[-1]
        assert f"'{name}/checkpoint.safetensors' holds the state after step" in result.errors[-1]
        assert not os.path.exists(f"{name}/model.safetensors")
        assert "Warning" not in result.stderr


# --- workers


def test_a_worker_that_is_killed(here, monkeypatch):
    args = ("bars.npz", "--model", SPEC, "--threads", 2, "--batch-size", 18, "--epochs", 2)
    done("train", *args, "-o", "whole")
    real, calls = TrainingStep.__call__, []

    def step(self, *given):
        calls.append(1)
        if len(calls) == 7:
            os.kill(self._team._crew[0].pid, signal.SIGKILL)
        return real(self, *given)

    with watchdog.watchdog(), watchdog.nothing_left(), monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", step)
        result = invoke("train", *args, "-o", "r")
    assert result.status == 3
    assert "ended unexpectedly, perhaps for want of memory; try --threads 1" in result.errors[-1]
    assert saved("r").progress.epoch == 1
    done("train", "--resume", "r", "--threads", 2)
    assert_same_runs("r", "whole")


def test_nothing_is_left_running(here):
    with watchdog.nothing_left():
        train("bars.npz", "r", "--threads", 2, "--val-split", 0.2)
        assert invoke("train", "bars.npz", "--model", SPEC, "--threads", 2, "--lr", 1e9,
                      "-o", "s").status == 5  # fmt: skip
    assert len(bytes_of("r")) > 1000
    assert PREVIOUS in os.listdir("r")
