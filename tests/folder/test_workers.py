"""Threads that do items: every kind of failure becomes a value, cancelling ends at once."""

import errno
import os
import threading
import time
from dataclasses import dataclass

import pytest

from cnntool.errors import InputError, LimitError, OptionError, SystemFailure
from cnntool.folder.job import Done, Item
from cnntool.folder.workers import Ticket, Workers, attempt
from cnntool.machine import cores


@dataclass(frozen=True)
class Raises:
    error: BaseException

    def outputs(self, item):
        return ()

    def __call__(self, item):
        raise self.error


@dataclass(frozen=True)
class Writes:
    names: tuple

    def outputs(self, item):
        return self.names

    def __call__(self, item):
        return Done(paths=self.names)


def test_success():
    outcome = attempt(Writes(("x",)), Item("a"))
    assert outcome.done == Done(paths=("x",))
    assert outcome.reason == ""
    assert outcome.stop is None
    assert outcome.seconds >= 0


def test_input_errors_fail_the_item():
    for error in (InputError("truncated"), LimitError("too large")):
        outcome = attempt(Raises(error), Item("a"))
        assert outcome.reason == error.message
        assert outcome.stop is None
        assert outcome.trace == ""


def test_other_errors_of_ours_stop():
    for error in (OptionError("no"), SystemFailure("full")):
        assert attempt(Raises(error), Item("a")).stop is error


def test_memory():
    outcome = attempt(Raises(MemoryError()), Item("a"))
    assert outcome.reason == "too big for the memory at hand; try fewer --jobs or a smaller result"
    assert outcome.short_of_memory
    assert outcome.stop is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE])
def test_conditions_of_the_machine_stop(number):
    outcome = attempt(Raises(OSError(number, os.strerror(number))), Item("a.png"))
    assert isinstance(outcome.stop, SystemFailure)
    assert outcome.stop.errno == number
    assert str(outcome.stop) == f"'a.png': {os.strerror(number)}"


def test_other_system_errors_fail_the_item():
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory")
    outcome = attempt(Raises(gone), Item("a"))
    assert outcome.reason == "No such file or directory"
    assert outcome.stop is None
    assert attempt(Raises(OSError("encoder error -2")), Item("a")).reason == "encoder error -2"


def test_anything_else_is_an_internal_error_of_one_item():
    outcome = attempt(Raises(TypeError("bad operand")), Item("a"))
    assert outcome.reason == "internal error (TypeError: bad operand); --debug shows more"
    assert "bad operand" in outcome.trace
    assert "Traceback" in outcome.trace
    assert outcome.stop is None
    assert isinstance(attempt(Raises(SystemExit(5)), Item("a")).stop, SystemExit)


def test_skip_existing(tmp_path):
    here, none = str(tmp_path), str(tmp_path / "none")
    assert attempt(Writes((here,)), Item("a"), skip_existing=True).kept == (here,)
    assert attempt(Writes((here, none)), Item("a"), skip_existing=True).kept is None
    assert attempt(Writes((here,)), Item("a")).kept is None
    # without outputs there is nothing that could exist
    assert attempt(Writes(()), Item("a"), skip_existing=True).done is not None


class Blocks:
    def __init__(self):
        self.go = threading.Event()
        self.started = []

    def outputs(self, item):
        return ()

    def __call__(self, item):
        self.started.append(item.path)
        self.go.wait(10)
        return Done()


def test_no_more_threads_than_asked_for():
    job = Blocks()
    workers = Workers(job, 3)
    before = threading.active_count()
    tickets = [workers.submit(Item(str(index))) for index in range(10)]
    while len(job.started) < 3:
        time.sleep(0.001)
    assert threading.active_count() == before + 3
    job.go.set()
    assert all(ticket.wait().done == Done() for ticket in tickets)
    assert len(job.started) == 10
    workers.cancel()
    ended = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < ended:
        time.sleep(0.001)
    assert threading.active_count() == before


def test_cancelling():
    job = Blocks()
    workers = Workers(job, 1)
    tickets = [workers.submit(Item(str(index))) for index in range(5)]
    while not job.started:
        time.sleep(0.001)
    workers.cancel()
    assert [ticket.wait() for ticket in tickets[1:]] == [None] * 4
    assert tickets[0].wait(0.01) is None  # not yet
    job.go.set()
    assert tickets[0].wait().done == Done()
    assert job.started == ["0"]


def test_at_least_one_thread():
    assert Workers(Blocks(), 0).count == 1


def test_tickets_can_be_waited_for_twice():
    ticket = Ticket(Item("a"))
    outcome = attempt(Writes(()), ticket.item)
    ticket.finish(outcome)
    assert ticket.wait() is outcome
    assert ticket.wait(0) is outcome
    assert ticket.wait(-1) is outcome


def test_cores():
    assert 1 <= cores() <= (os.cpu_count() or 1)
