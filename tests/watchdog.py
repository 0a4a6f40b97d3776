"""What tests of threads and processes need: an end to waiting, and a look at what was left."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import time

SECONDS = 20


@contextlib.contextmanager
def watchdog(seconds=SECONDS):
    """Fail instead of waiting for ever."""

    def bark(signum, frame):
        raise AssertionError(f"still waiting after {seconds} s")

    before = signal.signal(signal.SIGALRM, bark)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _facts(pid):
    """State and parent of a process, or None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    state, parent = text.rpartition(")")[2].split()[:2]
    return state, int(parent)


def children(of=None):
    """Processes that a process has made and that are there, as zombies at least."""
    of = os.getpid() if of is None else of
    found = ((int(name), _facts(name)) for name in os.listdir("/proc") if name.isdigit())
    return {pid for pid, facts in found if facts is not None and facts[1] == of}


def alive(pids):
    """Those of some processes that run; zombies do not."""
    found = ((pid, _facts(pid)) for pid in pids)
    return {pid for pid, facts in found if facts is not None and facts[0] not in "ZX"}


def descriptors():
    """Numbers of this process's open files."""
    return set(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def nothing_left():
    """Fail if the block leaves a process, a zombie or an open file."""
    before = children(), descriptors()
    yield
    if (children() - before[0]) or (descriptors() - before[1]):
        gc.collect()  # what nobody knows any more may lie in a cycle
    assert children() - before[0] == set()
    assert descriptors() - before[1] == set()


def gone(pids, seconds=10):
    """Whether processes end by themselves within some seconds."""
    end = time.monotonic() + seconds
    while alive(pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@contextlib.contextmanager
def script(code):
    """A program in a session of its own; it and what it made are killed at the end."""
    program = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield program
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.communicate()
