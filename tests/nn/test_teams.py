"""Teams of threads and of processes: shares of a batch, sums in order, errors, new beginnings."""

import re
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watchdog import watchdog

from cnntool.errors import InputError, NameNotFound, ShapeError
from cnntool.nn.processes import ProcessTeam, forks
from cnntool.nn.teams import ThreadTeam, ordered_sum
from cnntool.ops import memory

KINDS = [ThreadTeam]
if forks():
    KINDS.append(ProcessTeam)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def team_of(request):
    """Makes teams of each kind; they are closed in the end, and nobody waits for ever."""
    made = []

    def make(workers, work, **options):
        if request.param is ProcessTeam:
            options = {"reduced": 64, **options}
        made.append(request.param(workers, work, **options))
        return made[-1]

    with watchdog():
        yield make
        for team in made:
            team.close()


# --- shares ---


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_parts_are_neighbours_and_cover_the_batch(team_of, workers):
    seen = None

    def work(shard, numbers):
        seen[shard.images] += 10 * shard.number + 1
        seen[-1] = shard.threads
        return float(shard.images.stop)

    team = team_of(workers, work)
    seen = team.empty((41,), np.int64)
    for images in (workers, 2 * workers + 1, 40):
        seen[...] = 0
        ends = team.run(images)
        assert ends == [images * (number + 1) // workers for number in range(workers)]
        numbers = seen[:images] // 10
        assert (seen[:images] % 10 == 1).all() and not seen[images:-1].any()
        assert numbers.tolist() == sorted(numbers) and set(numbers) == set(range(workers))
        sizes = np.bincount(numbers)
        assert sizes.max() - sizes.min() <= 1
        assert seen[-1] == 1


def test_a_batch_smaller_than_the_team_stays_whole(team_of):
    def work(shard, numbers):
        assert shard.all_reduce is None and shard.number == 0
        return 100 * shard.threads + shard.images.stop

    team = team_of(4, work)
    assert [team.run(images) for images in (3, 1, 0)] == [[403], [401], [400]]
    assert team_of(1, work).run(9) == [109]
    assert team_of(0, work).run(9) == [109]  # somebody must do it


def test_numbers_are_passed_on(team_of):
    def work(shard, numbers):
        return float(numbers == (-1, 2**63 - 1, -(2**63), 0, 5, 6, 7)) + 2 * (numbers == ())

    team = team_of(3, work)
    assert team.run(7, -1, 2**63 - 1, -(2**63), 0, 5, 6, 7) == [1, 1, 1]
    assert team.run(7) == [2, 2, 2]


def test_arrays_of_the_team_are_seen_by_all(team_of):
    arrays = {}

    def work(shard, numbers):
        arrays["out"][shard.images] = arrays["in"][shard.images] * numbers[0]
        return 0.0

    team = team_of(3, work)
    for name, dtype in (("in", np.float32), ("out", np.float64)):
        arrays[name] = team.empty((7,), dtype)
        assert arrays[name].dtype == dtype and not arrays[name].any()
    for factor in (2, 3):
        arrays["in"][...] = np.arange(7) + factor
        team.run(7, factor)
        assert arrays["out"].tolist() == [(n + factor) * factor for n in range(7)]
    team.close()
    arrays["in"] = team.empty((9,), np.int8)  # new workers know of new arrays
    arrays["out"] = team.empty((9,), np.int16)
    arrays["in"][...] = 1
    team.run(9, 4)
    assert arrays["out"].tolist() == [4] * 9
    assert team.empty((0, 3), np.float32).shape == (0, 3)


# --- sums ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_are_in_the_order_of_the_parts(team_of, dtype):
    """(a + b) + c for all of them, where a + (b + c) is another number."""
    big = 2.0 ** (30 if dtype is np.float32 else 60)
    parts = np.array([[big, -big, 1], [1, big, 1], [-big, 1, 1]], dtype)
    wanted = (parts[0] + parts[1]) + parts[2]
    assert not np.array_equal(wanted, parts[0] + (parts[1] + parts[2]))

    def work(shard, numbers):
        mine = parts[shard.number].copy()
        total = shard.all_reduce(mine)
        mine[...] = np.nan  # nobody reads it any more
        again = shard.all_reduce(total)
        return float(np.array_equal(total, wanted) and np.array_equal(again, wanted * 3))

    assert team_of(3, work).run(3) == [1, 1, 1]


def test_many_sums_of_many_sizes(team_of):
    def work(shard, numbers):
        for length in range(1, 40):
            found = shard.all_reduce(np.full(length, shard.number + 1, np.float32))
            assert found.tolist() == [6.0] * length
        return 1.0

    team = team_of(3, work)
    assert [team.run(7) for _ in range(5)] == [[1, 1, 1]] * 5


@given(st.lists(st.integers(-5, 5), min_size=3, max_size=3), st.integers(1, 5))
@settings(max_examples=20, database=None)
def test_ordered_sum_changes_nothing(numbers, length):
    arrays = [np.full(length, number, np.float32) for number in numbers]
    assert ordered_sum(arrays).tolist() == [sum(numbers)] * length
    assert [array[0] for array in arrays] == numbers


@pytest.mark.parametrize("eager", [0, 1, 2])
def test_parts_that_sum_more_often_than_others(team_of, eager):
    """A fault of the program; it must not wait for ever."""

    def work(shard, numbers):
        for _ in range(3 if shard.number == eager and numbers else 2):
            shard.all_reduce(np.ones(2))
        return 1.0

    team = team_of(3, work)
    with pytest.raises(RuntimeError, match="the parts of a batch did not sum equally often"):
        team.run(3, 0)
    assert team.run(3) == [1, 1, 1]


# --- errors ---


@pytest.mark.parametrize("waiting", [False, True], ids=["alone", "others wait"])
@pytest.mark.parametrize("guilty", [0, 1, 2])
def test_errors_of_a_part_reach_the_caller(team_of, guilty, waiting):
    """Those for users as they are, and the team works on."""

    def work(shard, numbers):
        if shard.number == guilty and numbers[0]:
            raise ShapeError(f"part {guilty} is too small")
        if waiting:
            shard.all_reduce(np.ones(3))
        return 1.0

    team = team_of(3, work)
    for _ in range(2):
        with pytest.raises(ShapeError, match=f"part {guilty} is too small"):
            team.run(6, 1)
        assert team.run(6, 0) == [1, 1, 1]


def too_large():
    """NumPy has a class of its own for this."""
    np.empty(1 << 58, np.float32)


def raise_now(error):
    raise error


@pytest.mark.parametrize("fault, kind, message", [
    (lambda: raise_now(InputError("no picture")), InputError, "^no picture$"),
    (
        lambda: raise_now(NameNotFound.among("layer", "cov", ["conv"])),
        NameNotFound,
        "^unknown layer 'cov'; did you mean 'conv'",
    ),
    (lambda: raise_now(MemoryError("no 5 GB")), MemoryError, "^no 5 GB$"),
    (too_large, MemoryError, "^Unable to allocate"),
])  # fmt: skip
def test_errors_keep_their_class(team_of, fault, kind, message):
    def work(shard, numbers):
        if shard.number:
            fault()
        return 0.0

    with pytest.raises(kind) as raised:
        team_of(2, work).run(2)
    assert re.search(message, str(raised.value))


def test_errors_of_two_parts_are_told_of_the_first(team_of):
    def work(shard, numbers):
        raise ShapeError(f"part {shard.number}")

    with pytest.raises(ShapeError, match="part 0"):
        team_of(3, work).run(3)


def test_ends_of_the_program_inside_a_part(team_of):
    def work(shard, numbers):
        if shard.number:
            raise KeyboardInterrupt
        shard.all_reduce(np.ones(1))
        return 0.0

    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        team_of(2, work).run(2)


# --- beginnings and ends ---


def test_closing_twice_and_working_on(team_of):
    team = team_of(3, lambda shard, numbers: float(shard.number))
    team.close()
    for _ in range(3):
        assert team.run(3) == [0, 1, 2]
        team.close()
        team.close()
    with team as same:
        assert same is team and team.run(4) == [0, 1, 2]
    assert team.run(5) == [0, 1, 2]


def test_memory_is_used_again(team_of):
    """Each worker has memory of its own; the caller's serves its own prediction too."""

    def work(shard, numbers):
        room = memory.empty(np, (100, 100), np.float32)
        room[...] = shard.number
        return float(room.ctypes.data)

    team = team_of(2, work)
    first = team.run(2)
    assert team.run(2) == first
    with team.memory():
        room = memory.empty(np, (100, 100), np.float32)
        assert float(room.ctypes.data) == first[0]
        assert team.run(2)[0] != first[0]  # it is in use


def test_threads_are_kept_and_take_short_turns():
    intervals, names = [], set()

    def work(shard, numbers):
        intervals.append(sys.getswitchinterval())
        names.add(threading.current_thread().name)
        return 0.0

    before = sys.getswitchinterval()
    with watchdog(), ThreadTeam(3, work) as team:
        for _ in range(4):
            team.run(3)
        assert len(names) <= 3 and threading.current_thread().name in names
    assert max(intervals) <= 1e-3 and sys.getswitchinterval() == before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cnntool-w")]


def test_ctrl_c_before_the_first_part_leaves_no_thread_waiting(monkeypatch):
    def work(shard, numbers):
        shard.all_reduce(np.ones(1))
        return 1.0

    with watchdog(), ThreadTeam(3, work) as team:
        team.run(3)
        submit, calls = team._threads.submit, []

        def interrupted(*args):
            calls.append(args)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return submit(*args)

        monkeypatch.setattr(team._threads, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            team.run(3)
        monkeypatch.undo()
        assert team.run(3) == [1, 1, 1]
