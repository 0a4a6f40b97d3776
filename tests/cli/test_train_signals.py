"""Ctrl-C, SIGTERM and SIGHUP: the training is saved, soon, and ends by that very signal."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest
import watchdog
from cli_runner import done, invoke, refused
from training_runs import (
    ENVIRONMENT,
    SPEC,
    assert_same_runs,
    report,
    saved,
    signalling,
    start,
    without_matplotlib,
    write_npz,
)

from cnntool.nn.step import TrainingStep
from cnntool.train.session import Session

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="signals and limits as POSIX has them"),
    pytest.mark.faults,
]

ARGUMENTS = ("bars.npz", "--model", SPEC, "--threads", 1)
# two seconds, unless the machine has more to do than cores to do it
SOON = 2.0 if os.getloadavg()[0] < 2 * os.cpu_count() else 6.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    without_matplotlib(monkeypatch)


@pytest.fixture(autouse=True)
def _signals_are_heard():
    """Children inherit that a signal is ignored, as for tests that a shell runs with '&'."""
    all_of_them = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    numbers = [number for number in all_of_them if signal.getsignal(number) == signal.SIG_IGN]
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
        real, calls = Session.scores, []

        def scores(self, split, stop=None):
            calls.append(split)
            if len(calls) == at:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(self, split, stop)

        patch.setattr(Session, "scores", scores)
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

    for name in ("put_to_test", "facts", "write"):
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
