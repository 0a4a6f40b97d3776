"""Ctrl-C, SIGTERM and SIGHUP in the middle of a run: soon, by that signal, without litter."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them"),
    pytest.mark.faults,
]

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
LARGE_KERNEL = "; ".join(["1 " * 99] * 99)
# two seconds, unless the machine has more to do than cores to do it
SOON = 2.0 if os.name == "nt" or os.getloadavg()[0] < 2 * os.cpu_count() else 5.0


@pytest.fixture(autouse=True)
def _signals_are_heard():
    """Children inherit that a signal is ignored, as for tests that a shell runs with '&'."""
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) == signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def start(*args, **options):
    """A run in a session of its own, as a terminal starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "cnntool", *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **options,
    )  # fmt: skip


def stop(child, number):
    """(seconds until the end, stdout, stderr)"""
    begun = time.monotonic()
    os.killpg(child.pid, number)
    out, errors = child.communicate(timeout=20)
    return time.monotonic() - begun, out.decode(), errors.decode()


def litter(folder):
    return [name for name in os.listdir(folder) if name.endswith("-tmp")]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Small pictures first, and then large ones that take a minute each with a large kernel."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for index in range(3):
        Image.new("L", (8, 8), index).save(f"in/{index}.png")
    # rows of black cost nothing to decode: what takes time is the filter
    Image.new("L", (4000, 4000), 7).save("in/3.png")
    os.link("in/3.png", "in/4.png")
    return tmp_path


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_in_a_long_computation(photos, number):
    child = start(
        "convolve", "in", "-k", LARGE_KERNEL, "--normalize", "sum", "--method", "direct",
        "-o", "out/", "-j", 2 if number == signal.SIGINT else 1, "--report", "r.jsonl",
    )  # fmt: skip
    printed = [child.stdout.readline() for _ in range(3)]
    assert printed == [f"out/{index}.custom.png\n".encode() for index in range(3)]
    time.sleep(0.5)  # the workers are inside the filter now
    assert child.poll() is None
    seconds, _, errors = stop(child, number)
    assert child.returncode == -number
    assert seconds < SOON
    assert sorted(os.listdir("out")) == [f"{index}.custom.png" for index in range(3)]
    for index in range(3):
        assert np.unique(np.asarray(Image.open(f"out/{index}.custom.png"))).tolist() == [index]
    lines = [json.loads(line) for line in (photos / "r.jsonl").read_text().splitlines()]
    assert [(line["path"], line["status"]) for line in lines] == [
        (f"in/{index}.png", "done") for index in range(3)
    ]
    assert errors == "cnntool: 3 done, 0 failed, 0 skipped\n"


def test_in_the_middle_of_many(photos):
    """What was finished is whole; the next run does the rest."""
    for index in range(5, 3000):
        os.link("in/0.png", f"in/{index}.png")
    os.unlink("in/3.png")
    os.unlink("in/4.png")
    args = ("convolve", "in", "-k", "gaussian-3", "-o", "out/", "--report", "r.jsonl", "-f")
    child = start(*args)
    for _ in range(100):
        child.stdout.readline()
    seconds, out, errors = stop(child, signal.SIGINT)
    assert child.returncode == -signal.SIGINT
    assert seconds < SOON
    written = os.listdir("out")
    assert not litter("out")
    assert not litter(".")
    assert len(written) < 2998
    assert {Image.open(photos / f"out/{name}").getextrema() for name in written} <= {
        (value, value) for value in range(3)
    }
    done = [
        json.loads(line)["outputs"][0] for line in (photos / "r.jsonl").read_text().splitlines()
    ]
    # all that was told is there; a file that was just being finished may be there untold
    assert {os.path.basename(name) for name in done} <= set(written)
    assert len(written) - len(done) <= 8
    assert len(out.splitlines()) + 100 <= len(done)
    assert f"cnntool: {len(done)} done, 0 failed, 0 skipped" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("args", [
    ("hog", "in", "--size", "1200x1200", "-o", "x.npz"),
    ("hog", "in", "--size", "1200x1200", "-o", "x.csv"),
], ids=["npz", "csv"])  # fmt: skip
def test_one_file_for_all_is_not_written_in_part(photos, args):
    for index in range(10, 60):
        os.link("in/0.png", f"in/{index}.png")
    child = start(*args, "--report", "r.jsonl", "-v", "--no-progress")
    time.sleep(1.2)
    assert child.poll() is None
    seconds, out, _ = stop(child, signal.SIGTERM)
    assert child.returncode == -signal.SIGTERM
    assert seconds < SOON
    assert out == ""
    assert sorted(os.listdir(".")) == ["in", "r.jsonl"]


def test_while_waiting_for_input(tmp_path, monkeypatch):
    """A pipe that nothing comes from does not hold up the end."""
    monkeypatch.chdir(tmp_path)
    for args in (("convolve", "-", "-k", "box", "-o", "a.png"),
                 ("convolve", "--files-from", "-", "-k", "box", "-o", "out/")):  # fmt: skip
        child = start(*args, stdin=subprocess.PIPE)
        time.sleep(0.7)
        assert child.poll() is None
        begun = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == -signal.SIGTERM
        assert time.monotonic() - begun < SOON
        child.communicate()
        assert os.listdir(tmp_path) == []


def test_nohup(photos):
    """A run that is told to ignore the closed terminal goes on."""
    child = subprocess.Popen(
        ["nohup", sys.executable, "-m", "cnntool", "convolve", "in/0.png", "in/3.png", "-k",
         "gaussian-5", "-o", "out/"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout.readline() == b"out/0.gaussian-5.png\n"
    child.send_signal(signal.SIGHUP)
    out, _ = child.communicate(timeout=30)
    assert child.returncode == 0
    assert out == b"out/3.gaussian-5.png\n"


def test_a_shell_sees_the_signal(photos):
    """'cmd || echo failed' in a loop ends on Ctrl-C only if the command dies by it."""
    command = (
        f"'{sys.executable}' -m cnntool convolve in/3.png -k '{LARGE_KERNEL}' --method direct "
        "-o big.png & pid=$!; sleep 1; kill -TERM $pid; wait $pid; echo $?"
    )
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert found.stdout == "143\n"
    assert not os.path.exists("big.png")
    assert not litter(".")
