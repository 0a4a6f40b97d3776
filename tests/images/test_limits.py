import io
import threading
import time

import pytest

from cnntool.errors import LimitError, NameNotFound
from cnntool.images import limits as module
from cnntool.images.limits import LIMITS, Limits, in_words, limits, memory_needed, reserve

SMALL = Limits("small", memory_budget=1000, side=100, file_size=5000, frames=7)


def test_profiles():
    assert list(LIMITS) == ["normal", "strict", "off"]
    assert limits("strict").memory_budget == 1 << 30
    assert limits("normal").memory_budget == module.physical_memory() // 4
    assert limits("normal").side == 65_500
    assert limits("normal").file_size == 512 << 20
    assert limits("off") == Limits("off")
    assert limits(SMALL) is SMALL


def test_unknown_profile():
    with pytest.raises(
        NameNotFound, match="unknown limits profile 'strickt'; did you mean 'strict'"
    ):
        limits("strickt")


def test_rule_for_memory():
    assert memory_needed(10) == 170
    assert memory_needed(10, kernels=3) == 10 * (17 + 36)


def test_bounds_are_inclusive():
    SMALL.check_file_size(5000)
    SMALL.check_picture(100, 100, 7)


def test_file_too_large():
    with pytest.raises(LimitError, match=r"file is larger than 4\.9 KiB; --limits off lifts"):
        SMALL.check_file_size(5001)


def test_side_too_long():
    with pytest.raises(LimitError, match="3 x 101 pixels: a side is longer than 100; --limits off"):
        SMALL.check_picture(3, 101)


def test_too_many_frames():
    with pytest.raises(LimitError, match="8 frames are more than 7; --limits off"):
        SMALL.check_picture(1, 1, 8)


def test_off_lifts_everything():
    off = limits("off")
    off.check_file_size(1 << 60)
    off.check_picture(1 << 40, 1 << 40, 1 << 40)
    with reserve(1 << 60, off):
        pass


def test_memory_that_never_fits():
    message = r"20 x 3 pixels need 1001 bytes of memory, the budget is 1000 bytes; --limits off"
    with pytest.raises(LimitError, match=message), reserve(1001, SMALL, "20 x 3 pixels"):
        pass


def test_memory_that_does_not_fit_beside_what_one_thread_already_holds():
    with (
        reserve(600, SMALL),
        pytest.raises(LimitError, match="500 bytes of memory besides 600 bytes already in use"),
        reserve(500, SMALL),
    ):
        pass
    with reserve(1000, SMALL):  # and everything was given back
        pass


def test_an_error_in_the_block_gives_back():
    with pytest.raises(RuntimeError), reserve(1000, SMALL):
        raise RuntimeError
    with reserve(1000, SMALL):
        pass


def wait_until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.001)


def test_waits_while_others_hold_too_much():
    events = []

    def other():
        with reserve(500, SMALL):
            events.append("other runs")

    with reserve(600, SMALL):
        thread = threading.Thread(target=other)
        thread.start()
        wait_until(lambda: module._LEDGER._queue)
        events.append("first ends")
    thread.join(5)
    assert events == ["first ends", "other runs"]


def test_two_threads_never_hold_more_than_the_budget():
    lock = threading.Lock()
    held = peak = 0

    def work(sizes):
        nonlocal held, peak
        for size in sizes:
            with reserve(size, SMALL):
                with lock:
                    held += size
                    peak = max(peak, held)
                time.sleep(0.0005)
                with lock:
                    held -= size

    threads = [
        threading.Thread(target=work, args=(sizes,))
        for sizes in ([700, 100, 900] * 8, [400, 1000, 50] * 8, [300] * 24)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert 700 <= peak <= 1000
    assert not module._LEDGER._held
    assert not module._LEDGER._queue


def test_large_request_is_not_overtaken_for_ever():
    order = []

    def large():
        with reserve(1000, SMALL):
            order.append("large")

    def small():
        with reserve(300, SMALL):
            order.append("small")

    with reserve(500, SMALL):
        first = threading.Thread(target=large)
        first.start()
        wait_until(lambda: len(module._LEDGER._queue) == 1)
        second = threading.Thread(target=small)
        second.start()
        wait_until(lambda: len(module._LEDGER._queue) == 2)
    first.join(5)
    second.join(5)
    assert order == ["large", "small"]


def test_threads_that_hold_and_want_more_do_not_block_each_other():
    both_hold = threading.Barrier(2, timeout=5)
    done = []

    def work(name):
        with reserve(500, SMALL):
            both_hold.wait()
            with reserve(300, SMALL):
                done.append(name)

    threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sorted(done) == ["a", "b"]


def test_container_and_ulimit_count_as_memory(monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (123_456, -1))
    assert module.physical_memory() == 123_456


def test_share_of_a_container(monkeypatch):
    opened = []

    def fake(name, **options):
        opened.append(name)
        return io.StringIO("max\n" if name.endswith("memory.max") else "1048576\n")

    monkeypatch.setattr(module, "open", fake, raising=False)
    assert module.physical_memory() == 1 << 20
    assert len(opened) == 2


def test_system_that_does_not_tell_its_memory(monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (-1, -1))
    monkeypatch.setattr(module, "_machine_memory", lambda: 0)

    def missing(*args, **options):
        raise FileNotFoundError

    monkeypatch.setattr(module, "open", missing, raising=False)
    assert module.physical_memory() == 4 << 30


@pytest.mark.parametrize(
    ("nbytes", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (3 << 29, "1.5 GiB"),
        (1 << 52, "4096.0 TiB"),
    ],
)
def test_sizes_in_words(nbytes, words):
    assert in_words(nbytes) == words
