"""A file is old or new, never half, whatever fails or kills the command that writes it.

The pattern is SQLite's: the Nth call of the system fails, or the process dies before it, for N = 1,
2, 3 … until a run meets no fault.
"""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from folder_trees import files, litter, photos
from PIL import Image

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals"),
    pytest.mark.faults,
]

CALLS = ("open", "write", "close", "link", "rename", "replace", "unlink", "fchmod", "fsync",
         "mkdir", "makedirs")  # fmt: skip

# forks one child for each N: it runs the command line and meets the fault at its Nth call
DRIVER = """
import errno, json, os, shutil, signal, sys, threading
from cnntool.cli.main import _run
import cnntool.cli.features, cnntool.cli.running, cnntool.jobs.channels, cnntool.jobs.convolve
import cnntool.jobs.feature_files, cnntool.jobs.features

fault, arguments, calls = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3].split(",")

def faulty(at):
    lock, count = threading.Lock(), 0
    def wrapped(name, call):
        def counted(*args, **kwargs):
            nonlocal count
            with lock:
                count += 1
                now = count == at
            if now:
                os.write2(3, name.encode())
                if fault == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                if name == "close":
                    call(*args, **kwargs)
                number = getattr(errno, fault)
                raise OSError(number, os.strerror(number))
            return call(*args, **kwargs)
        return counted
    os.write2 = os.write
    for name in calls:
        setattr(os, name, wrapped(name, getattr(os, name)))

for at in range(1, 100):
    shutil.copytree("start", "run", symlinks=True)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.chdir("run")
        os.dup2(writing, 3)
        os.dup2(os.open("../stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        faulty(at)
        status = _run(arguments)
        os._exit(status)
    os.close(writing)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    name = os.read(reading, 100).decode()
    os.close(reading)
    os.rename("run", f"run{at}")
    print(json.dumps([at, name, status, open("stderr").read()]), flush=True)
    if not name:
        break
"""

COMMANDS = {
    "new": (["convolve", "in/a.png", "-k", "sobel-x", "-o", "out.png"], ["out.png"]),
    "force": (["convolve", "in/a.png", "-k", "sobel-x", "-o", "old.png", "-f"], ["old.png"]),
    "folder": (
        ["convolve", "in", "-k", "sobel-x", "-o", "out/", "-j", "1", "--report", "r.jsonl"],
        ["out/a.sobel-x.png", "out/b.sobel-x.png", "r.jsonl"],
    ),
    "channels": (
        ["split", "in/a.png", "-o", "out/"],
        ["out/a.R.png", "out/a.G.png", "out/a.B.png"],
    ),
    "features": (
        ["hog", "in", "--size", "24x24", "-o", "old.npz", "-f", "--visualize", "out/"],
        ["old.npz", "out/a.hog.png", "out/b.hog.png"],
    ),
    "table": (["flatten", "in/a.png", "--csv", "-o", "old.csv", "-f"], ["old.csv"]),
}


@pytest.fixture
def place(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "start/in").mkdir(parents=True)
    for name in "ab":
        pixels = rng.integers(0, 256, (30, 26, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"start/in/{name}.png")
    for name in ("old.png", "old.npz", "old.csv"):
        (tmp_path / "start" / name).write_bytes(b"what was there before")
    return tmp_path


def faults(kind, arguments):
    """[(N, name of the call, status, stderr)] until a run met no fault; the last is that one."""
    found = subprocess.run(
        [sys.executable, "-c", DRIVER, kind, json.dumps(arguments), ",".join(CALLS)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return [json.loads(line) for line in found.stdout.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_kill_before_every_call(place, command):
    arguments, targets = COMMANDS[command]
    runs = faults("kill", arguments)
    assert len(runs) > 5
    assert [status for *_, status, _ in runs] == [-signal.SIGKILL] * (len(runs) - 1) + [0]
    old, new = files("start"), files(f"run{len(runs)}")
    assert set(new) >= set(targets)
    seen = set()
    for at, name, *_ in runs:
        found = files(f"run{at}")
        seen |= {found.get(target) == new[target] for target in targets}
        for path, data in found.items():
            if path == "r.jsonl":
                assert data == new[path]  # a report has its name when it is complete
            assert data in (old.get(path), new.get(path)), (at, name, path)
        assert len(litter(f"run{at}")) <= 2, (at, name)
    assert seen == {True, False}
    # the next run works, and removes what the killed one left
    for at, name, *_ in runs[:-1]:
        os.chdir(f"run{at}")
        again = arguments if "-f" in arguments else [*arguments, "-f"]
        assert invoke(*again).status == 0
        assert files(".") == new, (at, name)
        assert litter(".") == [], (at, name)
        os.chdir("..")


@pytest.mark.parametrize("fault, command", [
    ("ENOSPC", "folder"), ("ENOSPC", "features"), ("ENOSPC", "force"), ("ENOSPC", "table"),
    ("EIO", "new"), ("EACCES", "channels"),
])  # fmt: skip
def test_error_at_every_call(place, fault, command):
    arguments, _ = COMMANDS[command]
    runs = faults(fault, arguments)
    old, new = files("start"), files(f"run{len(runs)}")
    words = os.strerror(getattr(errno, fault))
    failed = 0
    for at, name, status, errors in runs:
        found = files(f"run{at}")
        for path, data in found.items():
            if path != "r.jsonl":
                assert data in (old.get(path), new.get(path)), (at, name, path)
        assert "Traceback" not in errors
        assert all(line.startswith("cnntool: ") for line in errors.splitlines()), errors
        if status == 0:
            assert found == new, (at, name)
        else:
            failed += 1
            assert status == 3, (at, name, errors)
            assert words in errors, (at, name, errors)
        # what could not be removed is swept by a later run
        assert len(litter(f"run{at}")) <= (name == "unlink"), (at, name)
    assert failed >= 4


# --- the system itself


@pytest.fixture(scope="module")
def strace():
    """A function: run ``cnntool ARGS…`` under strace with options."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace")
    probe = subprocess.run(["strace", "-f", "-qq", "-o", os.devnull, "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("strace may not trace here")

    def run(*options, arguments):
        return subprocess.run(
            ["strace", "-f", "-qq", "-o", "trace", *options, sys.executable, "-m", "cnntool",
             *arguments],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("command, traced", [
    ("new", ["write,pwrite64", "link,linkat", "unlink,unlinkat"]),
    ("force", ["write,pwrite64", "rename,renameat,renameat2"]),
])  # fmt: skip
def test_sigkill_at_system_calls(place, strace, command, traced):
    """Nothing of the program is changed: the kill comes from outside, before the call."""
    arguments, (target,) = COMMANDS[command]
    shutil.copytree("start", "whole")
    os.chdir("whole")
    done(*arguments)
    new, old = files(".")[target], files("../start").get(target)
    kills = 0
    for calls in traced:
        os.chdir(place)
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree("start", "run")
        os.chdir("run")
        result = strace(
            "-e", f"trace={calls}", "-e", f"inject={calls}:signal=SIGKILL:when=1",
            arguments=arguments,
        )  # fmt: skip
        kills += result.returncode in (-9, 137)
        assert files(".").get(target) in (old, new)
        assert len(litter(".")) <= 1
        done(*arguments, *([] if "-f" in arguments else ["-f"]))
        assert files(".")[target] == new
        assert litter(".") == []
    assert kills == len(traced)


@pytest.mark.parametrize("inject, words", [
    ("write:error=ENOSPC", "No space left on device; free some space or write elsewhere"),
    ("write:error=EIO", "Input/output error"),
    ("rename,renameat,renameat2:error=EXDEV", "Invalid cross-device link"),
])  # fmt: skip
def test_error_from_the_system(place, strace, inject, words):
    arguments, _ = COMMANDS["force"]
    os.chdir("start")
    before = files(".")
    calls = inject.split(":")[0]
    # each thread meets the fault once: of words, those of -v are lost
    result = strace(
        "-e", f"trace={calls}", "-e", f"inject={inject}:when=1", arguments=[*arguments, "-v"]
    )
    assert result.returncode == 3
    result.stderr = result.stderr.splitlines(keepends=True)[-1]
    assert result.stderr.startswith("cnntool: 'old.png': cannot be written: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    os.unlink("trace")
    assert files(".") == before
    assert litter(".") == []


def test_an_input_that_cannot_be_read(place):
    """Reading memory at address 0 is an error of the device; other inputs go on."""
    if not os.path.exists("/proc/self/mem"):
        pytest.skip("needs /proc")
    os.chdir("start")
    result = invoke("convolve", "/proc/self/mem", "in/a.png", "-k", "gaussian-5", "-o", "out/")
    assert result.status == 1
    assert result.lines == ["out/a.gaussian-5.png"]
    assert "'/proc/self/mem': cannot be read: Input/output error" in result.errors[0]


# --- several at once, and at any time


def test_two_runs_into_one_folder(place, rng):
    photos("many", 40, rng)
    done("convolve", "many", "-k", "gaussian-5", "-o", "whole/")
    command = [
        sys.executable,
        "-m",
        "cnntool",
        "convolve",
        "many",
        "-k",
        "gaussian-5",
        "-o",
        "out/",
    ]
    children = [subprocess.Popen([*command, "-f"], stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    assert files("out") == files("whole")
    assert litter("out") == []


def test_the_output_folder_vanishes(place, rng):
    photos("many", 200, rng, (8, 8))
    child = subprocess.Popen(
        [sys.executable, "-m", "cnntool", "convolve", "many", "-k", "box", "-o", "out/"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    child.stdout.readline()
    os.rename("out", "elsewhere")
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 3
    assert "cannot be written: No such file or directory; make its folder first" in errors
    assert "Traceback" not in errors


def test_killed_at_any_time(place, rng):
    """Every file with a final name is a whole one, and a second run completes the rest."""
    photos("many", 150, rng)
    done("convolve", "many", "-k", "gaussian-5", "-o", "whole/")
    whole = files("whole")
    chance = random.Random(7)
    interrupted = 0
    for _ in range(4):
        shutil.rmtree("out", ignore_errors=True)
        child = subprocess.Popen(
            [sys.executable, "-m", "cnntool", "convolve", "many", "-k", "gaussian-5", "-o", "out/"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        child.stdout.readline()
        time.sleep(chance.uniform(0, 0.1))
        child.kill()
        child.communicate()
        found = files("out")
        interrupted += len(found) < 150
        assert all(whole[name] == data for name, data in found.items())
        result = done("convolve", "many", "-k", "gaussian-5", "-o", "out/", "--skip-existing")
        assert len(result.lines) == 150 - len(found)
        assert files("out") == whole
        assert litter("out") == []
    assert interrupted >= 2


def test_a_report_that_cannot_be_written(place):
    os.chdir("start")
    args = ("convolve", "in", "-k", "box", "-o", "out/", "--report")
    assert refused(3, *args, "none/r.jsonl") == (
        "cnntool: 'none': the output folder cannot be used: No such file or directory; "
        "make its folder first"
    )
    assert "'in' is a folder" in refused(2, *args, "in", "-f")
    assert "is an input and is never overwritten" in refused(2, *args, "in/a.png", "-f")
    assert not os.path.exists("out/a.box.png")
