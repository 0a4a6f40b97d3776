"""Threads of matrix products: how many there are, and one for a while."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

from cnntool import blas
from cnntool.machine import cores
from cnntool.nn.teams import ThreadTeam
from cnntool.report import environment

on_openblas = pytest.mark.skipif(
    "openblas" not in environment.blas(), reason="NumPy is not built on OpenBLAS"
)


@on_openblas
@pytest.mark.parametrize("number", [1, 2])
def test_as_many_as_were_asked_for(number):
    if cores() < number:
        pytest.skip("fewer cores than threads")
    done = subprocess.run(
        [sys.executable, "-c", "from cnntool.blas import threads; print(threads())"],
        env={**os.environ, "OPENBLAS_NUM_THREADS": str(number)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == number


class Library:
    """What tells and changes the number."""

    def __init__(self, number):
        self.number, self.calls = number, []

    def get(self):
        return self.number

    def set(self, number):
        self.number = number
        self.calls.append(number)


@pytest.fixture
def four(monkeypatch):
    library = Library(4)
    monkeypatch.setattr(blas, "_found", lambda: library)
    return library


def test_one_for_a_while(four):
    with blas.one_thread():
        assert blas.threads() == 1
        with blas.one_thread():
            assert blas.threads() == 1
        assert blas.threads() == 1
    assert blas.threads() == 4 and four.calls == [1, 4]
    with pytest.raises(ValueError, match="wrong"), blas.one_thread():
        raise ValueError("wrong")
    assert blas.threads() == 4
    four.number = 1
    four.calls.clear()
    with blas.one_thread():
        pass
    assert four.calls == []  # it was one already


@contextmanager
def another_thread_inside():
    inside, leave = threading.Event(), threading.Event()

    def work():
        with blas.one_thread():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert inside.wait(10)
        yield
    finally:
        leave.set()
        thread.join()


def test_the_last_thread_to_leave_brings_it_back(four):
    with ExitStack() as other:
        with blas.one_thread():
            other.enter_context(another_thread_inside())
        assert blas.threads() == 1
    assert blas.threads() == 4


def test_work_on_a_batch(four):
    """Workers fill the cores: products must not start threads beside them."""
    seen = []
    with ThreadTeam(2, lambda shard, numbers: seen.append(blas.threads()) or 0.0) as team:
        team.run(5)
        team.run(1)
    assert seen == [1, 1, 1] and blas.threads() == 4


def test_a_library_that_does_not_tell(monkeypatch):
    monkeypatch.setattr(blas, "_paths", lambda: iter(["/no/such/library.so"]))
    blas._found.cache_clear()
    try:
        assert blas.threads() is None
        with blas.one_thread():
            np.testing.assert_array_equal(np.eye(2) @ np.eye(2), np.eye(2))
    finally:
        blas._found.cache_clear()


@on_openblas
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_worker_processes_too():
    from cnntool.nn.processes import ProcessTeam

    with ProcessTeam(2, lambda shard, numbers: float(blas.threads())) as team:
        assert team.run(6) == [1.0, 1.0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_a_fork_beside_a_thread_that_is_inside(four):
    """The new process has no such thread: the number is what it was, and nobody waits."""
    with another_thread_inside(), blas._lock:
        child = os.fork()
        if not child:
            signal.alarm(10)
            with blas.one_thread():
                alone = blas.threads() == 1
            os._exit(0 if alone and blas.threads() == 4 else 1)
    assert os.waitpid(child, 0)[1] == 0
    with blas.one_thread():
        child = os.fork()
        if not child:
            os._exit(blas.threads())  # inside of it, as workers are
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert blas.threads() == 4
