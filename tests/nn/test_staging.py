"""Room for arrays in shared memory: any shape and type, seen by workers that are there already."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watchdog import watchdog

from cnntool.nn.processes import ProcessTeam, forks
from cnntool.nn.staging import Staging
from cnntool.nn.teams import ThreadTeam

KINDS = [ThreadTeam, ProcessTeam] if forks() else [ThreadTeam]
TYPES = ("?", "u1", "i2", "u4", "i8", "f2", "f4", "f8")


def room(kind=ThreadTeam):
    return Staging(kind(2, lambda shard, numbers: 0.0))


@given(st.lists(st.tuples(
    st.sampled_from(TYPES), st.lists(st.integers(0, 3), min_size=1, max_size=7)
), min_size=1, max_size=5))  # fmt: skip
@settings(max_examples=60, database=None)
def test_arrays_come_out_as_they_went_in(arrays):
    staging = room()
    for number, (dtype, shape) in enumerate(arrays):
        x = (np.arange(np.prod(shape)).reshape(shape) + number).astype(dtype)
        fits = staging.holds(x)
        memory = staging._room
        staging.put(x)
        assert fits == (staging._room is memory)  # what fits needs no new room
        found = staging.array
        assert found.dtype == x.dtype and found.shape == x.shape
        np.testing.assert_array_equal(found, x)
        assert found is not x and not np.shares_memory(found, x)
        assert staging.holds(x) and staging.has(x.nbytes)


def test_room_only_grows():
    staging = room()
    assert not staging.has(0) and not staging.holds(np.zeros(1))
    staging.put(np.zeros(4, np.float32))
    assert staging.has(16) and not staging.has(17)
    staging.put(np.zeros(1, np.float32))
    assert staging.has(16)
    staging.put(np.zeros(5, np.float32))
    assert staging.has(20)


def test_strides_and_byte_order_do_not_matter():
    x = np.arange(24.0).reshape(2, 3, 4)[:, ::-1, ::2].astype(">f8")
    staging = room()
    staging.put(x)
    np.testing.assert_array_equal(staging.array, x)
    assert staging.array.dtype == np.float64 and staging.array.flags.c_contiguous


def test_a_place_for_results():
    staging = room()
    place = staging.describe((2, 3), np.int16)
    place[...] = 7
    assert staging.array.tolist() == [[7] * 3] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_workers_see_what_is_put_in_later(kind):
    """Its shape and type too, as long as it fits; what is larger needs new workers."""

    def work(shard, numbers):
        x = staging.array
        return float(x[..., shard.images].sum() + 1000 * x.ndim + 100 * x.itemsize)

    with watchdog(), kind(2, work) as team:
        staging = Staging(team)
        for size, dtype in ((8, "f8"), (4, "u1"), (7, "f4"), (30, "i2")):
            for shape in ((size,), (2, size), (1, 2, size)):
                x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
                if not staging.holds(x):
                    team.close()
                staging.put(x)
                half, more = size // 2, 1000 * x.ndim + 100 * x.itemsize
                wanted = [x[..., :half].sum() + more, x[..., half:].sum() + more]
                assert team.run(size) == [float(value) for value in wanted]
