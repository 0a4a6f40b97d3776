"""Teams of processes: what they leave behind, and what becomes of them when somebody is killed."""

import errno
import gc
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from watchdog import alive, children, gone, nothing_left, script, watchdog

from cnntool.errors import SystemFailure
from cnntool.nn import processes
from cnntool.nn.processes import ProcessTeam, forks, shared, team
from cnntool.nn.teams import ThreadTeam

pytestmark = pytest.mark.skipif(not forks(), reason="processes are forked on Linux only")

KILLED = (
    r"^worker process \d+ ended unexpectedly, perhaps for want of memory; try --threads 1 or a "
    "smaller batch$"
)


@pytest.fixture(autouse=True)
def _nothing_is_left():
    with watchdog(), nothing_left():
        yield


def pid_of(shard, numbers):
    return float(os.getpid())


def test_the_caller_is_one_of_the_workers():
    with ProcessTeam(3, pid_of) as crew:
        found = crew.run(3)
        assert found[0] == os.getpid() and len(set(found)) == 3
        assert {int(pid) for pid in found[1:]} <= children()
        assert crew.run(5) == found  # they stay


def test_the_fastest_kind_of_team(monkeypatch):
    assert isinstance(team(2, pid_of), ProcessTeam)
    assert isinstance(team(1, pid_of), ThreadTeam)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isinstance(team(2, pid_of), ThreadTeam) and not forks()


def test_many_teams_leave_nothing():
    for number in range(50):
        crew = ProcessTeam(2 + number % 2, pid_of)
        crew.run(3)
        if number % 3:
            crew.close()  # the others are closed when nobody knows them any more


def test_forgotten_teams_in_a_cycle():
    class Holder:
        def __init__(self):
            self.crew = ProcessTeam(2, self.work)

        def work(self, shard, numbers):
            return 0.0

    pids = set()
    for _ in range(3):
        Holder().crew.run(2)
        pids |= children()
    gc.collect()
    assert pids and not alive(pids)


def test_teams_of_other_threads():
    """Who calls need not be the main thread."""
    found = []
    with ProcessTeam(2, pid_of) as crew:
        thread = threading.Thread(target=lambda: found.append(crew.run(2)))
        thread.start()
        thread.join(10)
        assert found == [crew.run(2)] and found[0][0] == os.getpid()


# --- workers that are killed ---


@pytest.mark.parametrize("when", ["before the sum", "after the sum", "at the end"])
def test_a_worker_that_is_killed_while_it_works(when):
    def work(shard, numbers):
        steps = ["before the sum", "after the sum", "at the end"]
        for step in steps:
            if shard.number == 2 and numbers and step == when:
                os.kill(os.getpid(), signal.SIGKILL)
            if step == "before the sum":
                shard.all_reduce(np.ones(2))
        return 1.0

    with ProcessTeam(3, work, reduced=2) as crew:
        with pytest.raises(SystemFailure, match=KILLED):
            crew.run(6, 1)
        assert crew.run(6) == [1, 1, 1]


def test_a_worker_that_is_killed_while_it_waits():
    with ProcessTeam(3, pid_of) as crew:
        first = crew.run(3)
        os.kill(int(first[1]), signal.SIGKILL)
        with pytest.raises(SystemFailure, match=KILLED):
            crew.run(3)
        again = crew.run(3)
        assert not set(first[1:]) & set(again)


def test_a_worker_that_hangs_is_broken_off_with_the_others():
    """The caller's own part fails: nobody waits for those that would never end."""

    def work(shard, numbers):
        if numbers and shard.number:
            time.sleep(1000)
        return 1 / (0 if numbers else 1)

    with ProcessTeam(3, work) as crew:
        with pytest.raises(ZeroDivisionError):
            crew.run(3, 1)
        assert crew.run(3) == [1, 1, 1]


# --- what they tell ---


def test_bugs_are_told_with_their_place():
    def work(shard, numbers):
        if shard.number:
            raise KeyError("nothing")
        return 0.0

    with ProcessTeam(2, work) as crew, pytest.raises(RuntimeError) as raised:
        crew.run(2)
    assert str(raised.value) == "a worker process failed: KeyError: 'nothing'"
    (note,) = raised.value.__notes__
    assert (
        note.startswith("in a worker process:\nTraceback") and 'raise KeyError("nothing")' in note
    )


@pytest.mark.parametrize("text", ["", "ß\udce9\0×", "long " * 100_000])
def test_messages_of_any_kind_arrive(text):
    def work(shard, numbers):
        if shard.number:
            raise ValueError(text)
        return 0.0

    with ProcessTeam(2, work) as crew, pytest.raises(RuntimeError) as raised:
        crew.run(2)
    wanted = f"a worker process failed: ValueError: {text.replace(chr(0), ' ')}"[:1000]
    assert str(raised.value)[:1000] == wanted.encode("utf-8", "replace").decode()


def test_sums_that_are_larger_than_announced():
    def work(shard, numbers):
        return float(shard.all_reduce(np.ones(numbers[0], np.float32)).sum())

    with ProcessTeam(2, work, reduced=3) as crew:
        assert crew.run(2, 6) == [12, 12]  # room is counted in float64
        with pytest.raises(RuntimeError, match=r"a sum of 28 bytes over .* made for 24 at most"):
            crew.run(2, 7)


def test_too_many_numbers():
    with ProcessTeam(2, pid_of) as crew:
        with pytest.raises(ValueError, match="8 numbers, at most 7 can be passed on"):
            crew.run(2, *range(8))
        assert len(crew.run(2, *range(7))) == 2


# --- what the system refuses ---


def test_no_more_processes(monkeypatch):
    def refuse():
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with ProcessTeam(3, pid_of) as crew:
        monkeypatch.setattr(os, "fork", refuse)
        message = r"^no worker process can be made \(.*unavailable\); try --threads 1$"
        with pytest.raises(SystemFailure, match=message):
            crew.run(3)
        monkeypatch.undo()
        assert len(crew.run(3)) == 3


@pytest.mark.parametrize("which", [1, 2, 3, 4])
def test_no_more_open_files(monkeypatch, which):
    """Whichever pipe cannot be made, those before are closed again."""
    pipe, calls = os.pipe, []

    def refuse():
        calls.append(1)
        if len(calls) == which:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return pipe()

    with ProcessTeam(3, pid_of) as crew:
        monkeypatch.setattr(os, "pipe", refuse)
        with pytest.raises(SystemFailure, match=r"can be made \(Too many open files\); try --thr"):
            crew.run(3)


def test_no_more_memory_to_share(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(processes.mmap, "mmap", refuse)
    with pytest.raises(MemoryError, match="no 24 bytes to share with processes: Cannot allocate"):
        shared((2, 3), np.float32)


# --- workers of several teams ---


def test_a_copy_of_a_team_in_another_teams_worker_is_not_its_own():
    first = ProcessTeam(2, pid_of)
    pids = first.run(2)

    def work(shard, numbers):
        if shard.number:
            first.close()
        return 0.0

    with ProcessTeam(2, work) as second:
        second.run(2)
    assert first.run(2) == pids
    first.close()


def test_teams_take_turns():
    first, second = (ProcessTeam(2, pid_of) for _ in range(2))
    for _ in range(3):
        pids = {*first.run(2), *second.run(2)}
        assert len(pids) == 3
        assert {*second.run(2), *first.run(2)} == pids
        first.close()
        second.run(2)
    second.close()


# --- signals ---

TEAMS = """
import os, signal, sys, time
import numpy as np
from cnntool.nn.processes import ProcessTeam

def work(shard, numbers):
    if numbers:
        if shard.number == 0:
            say()
        for _ in range(numbers[0]):
            time.sleep(0.01)
            shard.all_reduce(np.ones(2))
    return float(os.getpid())

def say():
    print(*(int(pid) for pid in pids), flush=True)

def left():
    from pathlib import Path
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()

teams = [ProcessTeam(3, work, reduced=9), ProcessTeam(2, work, reduced=9)]
pids = [pid for team in teams for pid in team.run(3)[1:]]
"""


def started(program):
    """Worker processes that a script tells of when it has come to work."""
    pids = {int(word) for word in program.stdout.readline().split()}
    assert len(pids) == 3 and alive(pids) == pids, program.stderr.read()
    return pids


@pytest.mark.parametrize("group", [False, True], ids=["the parent", "all, as a terminal does"])
def test_ctrl_c_while_it_works(group):
    """The workers of the team that works are sent home at once; nobody prints a traceback."""
    code = TEAMS + (
        "try:\n    teams[0].run(3, 10_000)\n"
        "except KeyboardInterrupt:\n"
        "    print(sorted(left()) == [str(int(pids[2]))], flush=True)\n"
        "    teams[1].close()\n    print(left(), flush=True)\n    print(teams[0].run(3, 2) != [])\n"
    )
    with script(code) as program:
        pids = started(program)
        (os.killpg if group else os.kill)(program.pid, signal.SIGINT)
        said, errors = program.communicate(timeout=20)
        assert said.splitlines()[:2] == ["True", "[]"] and program.returncode == 0, errors
        assert errors == "" and gone(pids)


def test_ctrl_c_that_nobody_catches():
    with script(TEAMS + "teams[0].run(3, 10_000)") as program:
        pids = started(program)
        os.killpg(program.pid, signal.SIGINT)
        _, errors = program.communicate(timeout=20)
        assert program.returncode == -signal.SIGINT
        assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
        assert gone(pids)


@pytest.mark.parametrize("busy", [True, False], ids=["working", "waiting"])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_parent(signum, busy):
    code = TEAMS + ("teams[0].run(3, 10_000)" if busy else "say(); time.sleep(1000)")
    with script(code) as program:
        pids = started(program)
        os.kill(program.pid, signum)
        program.wait(timeout=20)
        assert gone(pids)


def test_the_parent_decides_what_a_signal_to_all_means():
    """A scheduler tells the whole group to end; the step that runs can still be saved."""
    code = TEAMS + (
        "told = []\nfor name in ('SIGTERM', 'SIGHUP', 'SIGINT'):\n"
        "    signal.signal(getattr(signal, name), lambda number, frame: told.append(number))\n"
        "print(teams[0].run(3, 50) == [os.getpid(), *pids[:2]], len(told))\n"
    )
    with script(code) as program:
        pids = started(program)
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            os.killpg(program.pid, signum)
        said, errors = program.communicate(timeout=20)
        assert said == "True 3\n" and errors == "" and gone(pids)


def test_signals_wait_while_workers_are_made_and_sent_home(monkeypatch):
    """Ctrl-C at the worst moment: the process is there, but its record is not yet written."""
    fork, caught = os.fork, []

    def fork_then_signal():
        pid = fork()
        if pid:
            os.kill(os.getpid(), signal.SIGUSR1)
            caught.append("too early" if caught else "")
        return pid

    def handle(signum, frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "_SIGNALS", (signal.SIGUSR1,))
    monkeypatch.setattr(os, "fork", fork_then_signal)
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        crew = ProcessTeam(2, pid_of)
        with pytest.raises(KeyboardInterrupt):
            crew.run(2)
        assert caught == [""] and children() == set()
        assert signal.getsignal(signal.SIGUSR1) is handle
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_results_do_not_come_twice_from_buffers():
    code = TEAMS + "print('once', end='')\nteams[1].close(); teams[1].run(2)\nteams[1].run(2)\n"
    with script(code) as program:
        said, errors = program.communicate(timeout=20)
        assert (said, errors, program.returncode) == ("once", "", 0)
