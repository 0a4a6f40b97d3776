"""Parts of an operation shared out to threads."""

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watchdog import watchdog

from cnntool.nn.processes import ProcessTeam, forks
from cnntool.ops.sharing import share, strip_threads


@given(st.lists(st.integers(), max_size=9, unique=True), st.integers(-1, 6))
@settings(max_examples=60, database=None)
def test_every_part_is_done_once_in_runs_of_neighbours(parts, threads):
    runs = []
    share(parts, lambda run: runs.append(list(run)), threads=threads)
    assert sorted(part for run in runs for part in run) == sorted(parts)
    for run in runs:
        first = parts.index(run[0]) if run else 0
        assert run == parts[first : first + len(run)]
    assert len(runs) == max(1, min(threads, len(parts)))
    lengths = [len(run) for run in runs]
    assert max(lengths) - min(lengths) <= 1


def test_one_thread_is_the_caller():
    names = []
    share("ab", lambda run: names.append(threading.current_thread()), threads=1)
    share("a", lambda run: names.append(threading.current_thread()), threads=5)
    assert names == [threading.current_thread()] * 2


def test_the_caller_works_too():
    """The others are kept: their memory needs no faulting in again."""
    meeting, names = threading.Barrier(2), set()

    def work(run):
        meeting.wait(10)  # both at once
        names.add(threading.current_thread())

    for _ in range(3):
        share("ab", work, threads=2)
    assert threading.current_thread() in names and len(names) <= 1 + (os.cpu_count() or 1)
    assert all(
        name is threading.current_thread() or name.name.startswith("cnntool-strips")
        for name in names
    )
    assert strip_threads() is strip_threads()


@pytest.mark.parametrize("guilty", [0, 1, 2])
def test_errors_are_raised_when_all_have_ended(guilty):
    ended, late = [], threading.Event()

    def work(run):
        if run[0] == guilty:
            late.set()
            raise KeyError(f"part {guilty}")
        late.wait(1)
        ended.append(run[0])

    with watchdog(), pytest.raises(KeyError, match=f"part {guilty}"):
        share(range(3), work, threads=3)
    # with fewer threads than runs some of them wait for others
    assert sorted(ended) == [part for part in range(3) if part != guilty]
    share(range(3), ended.append, threads=2)


@pytest.mark.skipif(not forks(), reason="processes are forked on Linux only")
def test_a_forked_process_has_threads_of_its_own():
    """Those of its parent do not live in it."""
    share(range(4), lambda run: None, threads=2)

    def work(shard, numbers):
        done = []
        share(range(4), done.extend, threads=2)
        return float(sum(done))

    with watchdog(), ProcessTeam(2, work) as team:
        assert team.run(2) == [6, 6]
