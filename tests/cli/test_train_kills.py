"""Trainings that are killed, at every call that changes the disk and at any moment in between.

Whatever the moment, what goes on from there ends with the same bytes as a run that nobody
disturbed, and leaves nothing else behind.
"""

import json
import os
import random
import shutil
import subprocess
import sys

import pytest
from training_runs import ENVIRONMENT, SPEC, assert_same_runs, train, without_matplotlib, write_npz

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.faults,
]

CALLS = "open write fsync replace rename link unlink mkdir"
ARGUMENTS = ["bars.npz", "--model", SPEC, "--epochs", "2", "--batch-size", "15", "--val-split",
             "0.25", "--seed", "4"]  # fmt: skip

# Every run is a copy of one process that has loaded everything. What is printed is told to us.
PROGRAM = """
import json, os, signal, sys, time
for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
    sys.modules[name] = None
from cli_runner import invoke
arguments, threads, cases, calls = json.loads(sys.argv[1])
for _ in range(2):
    begun = time.monotonic()
    warm = invoke("train", *arguments, "-o", "warm", "-f", "--threads", threads)
    assert warm.status == 0, warm.stderr
    took = time.monotonic() - begun

def child(work):
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        work()
    finally:
        os._exit(99)

def begin(at):
    count = 0
    def killing(call):
        def counted(*given, **options):
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*given, **options)
        return counted
    if at:
        for name in calls.split():
            setattr(os, name, killing(getattr(os, name)))
    result = invoke("train", *arguments, "-o", folder, "--threads", threads)
    sys.stderr.write(result.stderr if result.status else "")
    os._exit(result.status)

def go_on():
    result = invoke("train", "--resume", folder, "--threads", threads)
    nothing = "there is no checkpoint", "is no folder of a run"
    if result.status == 4 and any(words in result.stderr for words in nothing):
        result = invoke("train", *arguments, "-o", folder, "--threads", threads)
    sys.stderr.write(result.stderr if result.status else "")
    os._exit(result.status)

def running(group):
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                state, _, number = file.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(number) == group and state not in "ZX":  # a zombie waits to be fetched
            return True
    return False

def group_is_empty(pid):
    for _ in range(300):
        if not running(pid):
            return True
        time.sleep(0.01)
    return False

for number, (at, share) in enumerate(cases):
    folder = f"runs/{number}"
    first = child(lambda: begin(at))
    if share is not None:
        time.sleep(share * took)
        os.kill(first, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    alone = group_is_empty(first)
    if status == 0:
        print(json.dumps([number, status, 0, alone]), flush=True)
        if at:
            break
        continue
    second = os.waitstatus_to_exitcode(os.waitpid(child(go_on), 0)[1])
    print(json.dumps([number, status, second, alone]), flush=True)
"""


@pytest.fixture
def here(folder, monkeypatch):
    without_matplotlib(monkeypatch)
    write_npz(train=40, test=12)
    return folder


def killed(cases, threads=1, arguments=(), calls=CALLS):
    """Folders of runs that were killed and went on; [(number, status)]."""
    arguments = [*ARGUMENTS, *map(str, arguments)]
    train(*arguments[:1], "whole", *arguments[1:], "--threads", threads)
    found = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, json.dumps([arguments, threads, cases, calls])],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stderr == ""
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    for number, status, second, alone in rows:
        assert status in (-9, 0) and second == 0, (cases[number], status, second)
        assert alone, f"{cases[number]}: a worker lives"
        folder = f"runs/{number}"
        assert_same_runs(folder, "whole")
        kept = {"model.safetensors", "metrics.csv", "run.json", "confusion.png",
                "checkpoint.safetensors", "checkpoint.previous.safetensors"}  # fmt: skip
        assert set(os.listdir(folder)) - kept <= {"checkpoint.next.safetensors"}
        shutil.rmtree(folder)
    return rows


def test_before_every_call_that_changes_the_disk(here):
    rows = killed([(at, None) for at in range(1, 400)])
    assert [status for _, status, _, _ in rows[:-1]] == [-9] * (len(rows) - 1)
    assert rows[-1][1] == 0, "the last one was not killed"
    assert len(rows) > 50


@pytest.mark.parametrize("threads", [1, 2])
def test_at_random_moments(here, threads):
    rng = random.Random(threads)
    moments = [(0, rng.uniform(0.05, 1.0)) for _ in range(10)]
    arguments = ("--checkpoint-every", 1e-9, "--epochs", 5)
    rows = killed(moments, threads, arguments)
    assert [status for _, status, _, _ in rows].count(-9) >= 1


def test_by_the_system_itself(here):
    """A few moments with nothing wrapped: before a name is given, and before bytes are safe."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace")
    (here / "hidden").mkdir()
    for name in ("matplotlib.py", "sitecustomize.py"):
        (here / "hidden" / name).write_text("raise ImportError\n" if name[0] == "m" else "")
    environment = dict(ENVIRONMENT)
    environment["PYTHONPATH"] = os.pathsep.join(["hidden", environment["PYTHONPATH"]])
    command = [sys.executable, "-m", "cnntool", "train"]
    train(*ARGUMENTS[:1], "whole", *ARGUMENTS[1:])
    for call, number in (("rename", 2), ("rename", 4), ("fsync", 3)):
        run = f"{call}-{number}"
        strace = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}",
                  "-e", f"inject={call}:signal=SIGKILL:when={number}"]  # fmt: skip
        arguments = [*ARGUMENTS, "-o", run, "--threads", "1"]
        found = subprocess.run(
            [*strace, *command, *arguments], env=environment, capture_output=True, timeout=60,
            check=False,
        )  # fmt: skip
        if b"ptrace" in found.stderr:
            pytest.skip("strace does not work here")
        assert found.returncode in (-9, 137), found.stderr
        again = subprocess.run(
            [*command, "--resume", run, "--threads", "1"], env=environment, capture_output=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert again.returncode == 0, again.stderr
        assert_same_runs(run, "whole")
