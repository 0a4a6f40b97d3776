"""Ctrl-C and its relatives: within two seconds, by that signal, without litter."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cnntool.folder.signals import Stopped, handle_signals

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}

PROGRAM = """
import os, sys, time, threading
from cnntool.files import WholeFile, write_whole
from cnntool.folder.inputs import Inputs
from cnntool.folder.job import Done, Item
from cnntool.folder.run import run
from cnntool.folder.signals import Stopped, die_by, handle_signals

class Job:
    '''Quick at first; then each item hangs with a half-written file.'''
    def outputs(self, item): return ()
    def __call__(self, item):
        if int(item.path) < 3:
            write_whole(item.path, b"done")
            return Done((item.path,))
        file = WholeFile(item.path)
        file.write(b"half")
        os.write(1, b"ready\\n")  # in one piece, whoever else writes
        HANG
        file.commit()
        return Done()

try:
    with handle_signals():
        items = [Item(str(index)) for index in range(100)]
        run(Job(), Inputs(items=items), jobs=2, report="r.jsonl", emit_path=lambda p: None)
except Stopped as stop:
    die_by(stop.signum)
"""
SLEEP = "time.sleep(60)"
FINISHES = """
        while not os.path.exists("go"):
            time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def _signals_are_heard():
    """Children inherit that a signal is ignored, as for tests that a shell runs with '&'."""
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) == signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def start(tmp_path, hang=SLEEP, patient=False):
    program = PROGRAM.replace("HANG", hang)
    if patient:  # only a second signal can end it soon
        program = "import cnntool.folder.run as r\nr.GRACE_SECONDS = 60\n" + program
    child = subprocess.Popen(
        [sys.executable, "-B", "-c", program],
        cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    for _ in range(2):  # both workers hang
        assert child.stdout.readline() == b"ready\n"
    return child


def end(child, signals, pause=0.3):
    started = time.monotonic()
    for index, number in enumerate(signals):
        if index:
            time.sleep(pause)
        os.killpg(child.pid, number)
    _, errors = child.communicate(timeout=10)
    return time.monotonic() - started, errors.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_dies_by_the_signal(tmp_path, number):
    child = start(tmp_path)
    assert len([n for n in os.listdir(tmp_path) if n.endswith(".cnntool-tmp")]) == 3
    seconds, errors = end(child, [number])
    assert child.returncode == -number
    assert seconds < 2
    # whole results and the report of them; nothing half
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2", "r.jsonl"]
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [(line["path"], line["status"]) for line in lines] == [
        ("0", "done"), ("1", "done"), ("2", "done"),
    ]  # fmt: skip
    assert "Traceback" not in errors
    assert errors.splitlines() == ["cnntool: 3 done, 0 failed, 0 skipped"]


def test_what_is_nearly_done_is_finished(tmp_path):
    child = start(tmp_path, FINISHES)
    os.killpg(child.pid, signal.SIGINT)
    time.sleep(0.3)  # the signal is heard before the workers go on
    (tmp_path / "go").touch()
    child.communicate(timeout=10)
    assert child.returncode == -signal.SIGINT
    (tmp_path / "go").unlink()
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2", "3", "4", "r.jsonl"]
    assert (tmp_path / "4").read_bytes() == b"half"


def test_a_second_signal_ends_at_once(tmp_path):
    child = start(tmp_path, patient=True)
    seconds, errors = end(child, [signal.SIGINT, signal.SIGTERM])
    assert child.returncode == -signal.SIGTERM
    assert seconds < 10
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2"]
    assert "Traceback" not in errors


def test_an_ignored_signal_stays_ignored(tmp_path):
    """As under nohup."""
    program = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + PROGRAM
    child = subprocess.Popen(
        [sys.executable, "-B", "-c", program.replace("HANG", "time.sleep(0.5)")],
        cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    child.stdout.readline()
    child.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert child.poll() is None
    _, _ = end(child, [signal.SIGTERM])
    assert child.returncode == -signal.SIGTERM


def test_a_hanging_worker_does_not_hold_up_an_exit(tmp_path):
    program = PROGRAM.replace("HANG", SLEEP).replace("die_by(stop.signum)", "sys.exit(5)")
    child = subprocess.Popen(
        [sys.executable, "-B", "-c", program],
        cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    child.stdout.readline()
    seconds, _ = 0.0, None
    started = time.monotonic()
    child.send_signal(signal.SIGINT)
    child.stdout.close()
    assert child.wait(10) == 5
    seconds = time.monotonic() - started
    assert seconds < 3
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".cnntool-tmp")]


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped) as caught, handle_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert caught.value.signum == signal.SIGTERM
    assert str(caught.value) == "SIGTERM"
    assert isinstance(caught.value, KeyboardInterrupt)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_other_threads_leave_signals_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with handle_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_die_by_pipe():
    program = "import signal\nfrom cnntool.folder.signals import die_by\ndie_by(signal.SIGPIPE)"
    child = subprocess.run([sys.executable, "-B", "-c", program], env=ENVIRONMENT, timeout=20)
    assert child.returncode == -signal.SIGPIPE
