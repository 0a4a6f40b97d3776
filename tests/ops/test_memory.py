"""Memory that is used again is never handed out while anybody can see it."""

import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cnntool.ops import memory

LARGE = memory.SMALL_BYTES // 4  # float32 numbers from which on a pool is asked


def address(x):
    return x.__array_interface__["data"][0]


def overlap(x, y):
    return np.shares_memory(x, y)


# --- what is in use ---

VIEWS = {
    "itself": lambda x: x,
    "slice": lambda x: x[x.shape[0] // 2 :],
    "strided": lambda x: x[::-2],
    "one number": lambda x: x[-1:],
    "reshaped": lambda x: x.reshape(-1),
    "transposed": lambda x: x.T,
    "other type": lambda x: x.view(np.uint8)[..., -4:].view(np.float32),
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x.reshape(-1), 5)[::7],
    "strides": lambda x: np.lib.stride_tricks.as_strided(x.reshape(-1)[3:], (4,), (8,)),
    "from a buffer": lambda x: np.frombuffer(memoryview(x.reshape(-1)), np.float32),
    "field of a list": lambda x: [x[:1]],
}
"""Ways to keep a part of an array, with and without the array itself."""


class Users(RuleBasedStateMachine):
    """Somebody takes arrays and keeps views; each is filled with a number of its own."""

    def __init__(self):
        super().__init__()
        self.pool, self.held, self.number = memory.Pool(), [], 0

    def fill(self, x):
        self.number += 1
        x[...] = self.number
        return self.number

    @rule(
        rows=st.integers(1, 9),
        columns=st.sampled_from((500, 1000, 1024)),
        view=st.sampled_from(sorted(VIEWS)),
        dtype=st.sampled_from((np.float32, np.float64)),
    )
    def take(self, rows, columns, view, dtype):
        width = columns * np.dtype(np.float32).itemsize // np.dtype(dtype).itemsize
        x = self.pool.empty((rows, width), dtype).view(np.float32)
        number = self.fill(x)
        self.held.append((number, VIEWS[view](x)))

    @rule(place=st.integers(0, 1000))
    def let_go(self, place):
        if self.held:
            del self.held[place % len(self.held)]

    @rule(place=st.integers(0, 1000))
    def keep_a_part_only(self, place):
        if self.held:
            number, x = self.held.pop(place % len(self.held))
            x = x[0] if isinstance(x, list) else x
            self.held.append((number, x[:1]))

    @rule()
    def trim(self):
        self.pool.trim()

    @invariant()
    def everything_is_as_it_was_filled(self):
        for number, x in self.held:
            assert (np.asarray(x) == number).all()

    @invariant()
    def nothing_overlaps(self):
        arrays = [np.asarray(x[0] if isinstance(x, list) else x) for _, x in self.held]
        for place, x in enumerate(arrays):
            assert not any(np.may_share_memory(x, other) for other in arrays[:place])

    def teardown(self):
        self.held.clear()
        self.pool.trim()
        assert self.pool.bytes == 0


TestUsers = Users.TestCase
TestUsers.settings = settings(max_examples=60, stateful_step_count=30, database=None, deadline=None)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_alone_keeps_its_memory(view):
    pool = memory.Pool()
    x = pool.empty((4, LARGE), np.float32)
    x[...] = 1
    kept = VIEWS[view](x)
    del x
    for _ in range(3):
        pool.empty((4, LARGE), np.float32)[...] = 2
    assert (np.asarray(kept) == 1).all()
    held = pool.bytes
    del kept
    both = [pool.empty((4, LARGE), np.float32) for _ in range(2)]
    assert pool.bytes == held and not overlap(*both)


def test_memory_goes_with_the_last_view():
    pool = memory.Pool()
    x = pool.empty((LARGE,), np.float32)
    where, part = address(x), x[5:]
    del x
    assert address(pool.empty((LARGE,), np.float32)) != where
    del part
    assert address(pool.empty((LARGE,), np.float32)) == where


# --- sizes ---


@given(st.integers(1, 1 << 40))
def test_blocks_are_an_eighth_larger_at_most(size):
    found = memory._rounded(size)
    assert size <= found <= size * 1.125 + 1
    assert memory._rounded(found) == found  # so blocks fit again


def test_arrays_are_aligned_and_of_their_shape():
    pool = memory.Pool()
    for shape, dtype in (((3, LARGE), "f4"), ((7, 5, LARGE), "f8"), ((LARGE * 4 + 3,), "?")):
        x = pool.empty(shape, dtype)
        assert x.shape == shape and x.dtype == dtype and x.flags.c_contiguous
        assert x.flags.writeable and address(x) % 64 == 0


def test_small_arrays_are_the_systems():
    pool = memory.Pool()
    x = pool.empty((LARGE - 1,), np.float32)
    assert pool.bytes == 0 and x.base is None
    assert pool.empty((0, 5), np.float32).shape == (0, 5)
    assert pool.empty((), np.float64).shape == ()
    pool.empty((LARGE,), np.float32)
    assert pool.bytes > 0


def test_steps_that_repeat_need_no_more_memory():
    """Sizes of a network's step, with a smaller batch now and then."""
    pool = memory.Pool()
    rng, held = np.random.default_rng(0), []
    shapes = [(channels, size, size) for channels, size in ((8, 32), (16, 16), (32, 8), (64, 8))]

    def step(images):
        kept = [memory.zeros(np, (*shape, images), np.float32) for shape in shapes]
        for x in reversed(kept):
            x += memory.full(np, x.shape, 1, np.float32)
            memory.empty(np, x.shape, np.float32).fill(np.nan)
        return sum(float(x.min()) for x in kept)

    with pool.used():
        for number in range(40):
            assert step(int(rng.choice((8, 8, 8, 3)))) == 4
            held.append(pool.bytes)
            if number == 10:
                most = pool.bytes
    assert max(held[10:]) == most


def test_trim_gives_back_what_nobody_uses():
    pool = memory.Pool()
    x = [pool.empty((LARGE * n,), np.float32) for n in (1, 2, 3)]
    full = pool.bytes
    del x[1]
    assert pool.bytes == full
    block = weakref.ref(x[1].base)
    pool.trim()
    assert sum(array.nbytes for array in x) <= pool.bytes < full
    x[0][...] = 5
    del x[1]
    assert block() is not None
    pool.trim()
    assert block() is None and (x[0] == 5).all()
    assert pool.bytes == memory._rounded(x[0].nbytes)
    x.clear()
    pool.trim()
    assert pool.bytes == 0
    pool.trim()


# --- whose pool ---


def test_without_a_pool_arrays_are_the_librarys(xp):
    for make, value in (
        (lambda: memory.zeros(xp.xp, (2, LARGE), np.float32), 0),
        (lambda: memory.full(xp.xp, (2, LARGE), 7, np.int32), 7),
    ):
        assert (xp.to_host(make()) == value).all()
    x = memory.empty(xp.xp, (2, LARGE), np.float64)
    assert x.shape == (2, LARGE) and x.dtype == np.float64
    if xp.xp is np:
        assert x.base is None


def test_device_arrays_never_come_from_a_pool(double):
    pool = memory.Pool()
    with pool.used():
        for x in (
            memory.empty(double.xp, (2, LARGE), np.float32),
            memory.zeros(double.xp, (2, LARGE), np.float32),
            memory.full(double.xp, (2, LARGE), 3, np.float32),
        ):
            double.to_host(x)
    assert pool.bytes == 0


def test_values_in_memory_that_was_used():
    with memory.Pool().used() as pool:
        for value in (5, 6):
            dirty = memory.empty(np, (2, LARGE), np.float32)
            dirty.fill(np.nan)
            del dirty
            assert (memory.zeros(np, (2, LARGE), np.float32) == 0).all()
            assert (memory.full(np, (2, LARGE), value, np.float32) == value).all()
    assert pool.bytes == memory._rounded(8 * LARGE)


def test_pools_are_put_back():
    """Inside one another, and after errors."""
    outer, inner = memory.Pool(), memory.Pool()

    with outer.used() as given:
        assert given is outer
        with pytest.raises(KeyError), inner.used():
            raise KeyError
        with inner.used():
            x = memory.empty(np, (LARGE,), np.float32)
            assert (outer.bytes, inner.bytes) == (0, memory._rounded(x.nbytes))
        y = memory.empty(np, (LARGE,), np.float32)
        assert outer.bytes == memory._rounded(y.nbytes) and not overlap(x, y)
    assert memory.empty(np, (LARGE,), np.float32).base is None


def test_threads_share_nothing():
    """Each takes from its own pool, or from none."""
    found, start = {}, threading.Barrier(3)

    def work(name, pool):
        start.wait()
        held = []
        for number in range(200):
            if pool is None:
                x = memory.empty(np, (2, LARGE), np.float32)
            else:
                with pool.used():
                    x = memory.empty(np, (2, LARGE), np.float32)
            x[...] = number
            held = [*held[-3:], (number, x)]
            assert all((kept == value).all() for value, kept in held)
        found[name] = [x for _, x in held]

    pools = {"one": memory.Pool(), "two": memory.Pool(), "none": None}
    threads = [threading.Thread(target=work, args=item) for item in pools.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == set(pools)
    every = [x for arrays in found.values() for x in arrays]
    assert not any(overlap(x, other) for place, x in enumerate(every) for other in every[:place])
    sizes = {name: pool.bytes for name, pool in pools.items() if pool}
    assert sizes["one"] == sizes["two"] <= 5 * memory._rounded(8 * LARGE)


def test_arrays_may_go_to_other_threads():
    pool = memory.Pool()
    with pool.used():
        x = memory.empty(np, (LARGE,), np.float32)
    seen, go = [], threading.Event()

    def keep(array):
        go.wait()
        seen.append(array[:10])

    thread = threading.Thread(target=keep, args=(x,))
    thread.start()
    x[...] = 1
    where = address(x)
    del x
    with pool.used():
        assert address(memory.empty(np, (LARGE,), np.float32)) != where
    go.set()
    thread.join()
    del thread
    with pool.used():
        assert address(memory.empty(np, (LARGE,), np.float32)) != where
    assert (seen[0] == 1).all()
