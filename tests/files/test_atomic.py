"""Whole files: contents, modes, links, devices, refusals, and who finds what while it happens."""

import errno
import os
import stat
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, SystemFailure
from cnntool.files import WholeFile, atomic, is_stream, system_failure, write_whole

needs_dev_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


def litter(folder):
    return [name for name in os.listdir(folder) if name.endswith(".cnntool-tmp")]


@given(st.binary(max_size=100), st.booleans(), st.booleans(), st.integers(1, 7))
@settings(deadline=None, max_examples=60)
def test_contents(tmp_path_factory, data, force, sync, chunk):
    folder = tmp_path_factory.mktemp("contents")
    path = folder / "x.bin"
    if force:
        path.write_bytes(b"old")
    whole = atomic._CHUNK
    atomic._CHUNK = chunk  # several writes, some of them short
    try:
        write_whole(str(path), data, force=force, sync=sync)
    finally:
        atomic._CHUNK = whole
    assert path.read_bytes() == data
    assert not litter(folder)


def test_any_buffer(tmp_path):
    path = tmp_path / "x"
    for data in (bytearray(b"abc"), memoryview(b"abc"), memoryview(b"abcd").cast("H"), b""):
        write_whole(str(path), data, force=True)
        assert path.read_bytes() == bytes(data)


def test_refuses_to_overwrite(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"old")
    with pytest.raises(OptionError, match=r"x.png' exists; -f \(--force\) overwrites it"):
        write_whole(str(path), b"new")
    assert path.read_bytes() == b"old"
    write_whole(str(path), b"new", force=True)
    assert path.read_bytes() == b"new"
    assert not litter(tmp_path)


@pytest.mark.parametrize("no_links", [None, errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP])
def test_refuses_what_appears_while_writing(tmp_path, monkeypatch, no_links):
    path = tmp_path / "x.png"
    if no_links is not None:
        monkeypatch.setattr(atomic.os, "link", failing(no_links))
    file = WholeFile(str(path))
    file.write(b"new")
    path.write_bytes(b"somebody else's")
    with pytest.raises(OptionError, match="exists; -f"):
        file.commit()
    assert path.read_bytes() == b"somebody else's"
    assert not litter(tmp_path)


@pytest.mark.parametrize("no_links", [errno.EPERM, errno.EXDEV, errno.ENOSYS, errno.EMLINK])
def test_without_hard_links(tmp_path, monkeypatch, no_links):
    monkeypatch.setattr(atomic.os, "link", failing(no_links))
    write_whole(str(tmp_path / "x"), b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert not litter(tmp_path)


def failing(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


def test_mode_follows_the_umask(tmp_path):
    path = tmp_path / "x"
    for umask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        before = os.umask(umask)
        try:
            write_whole(str(path), b"x")
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        path.unlink()


def test_mode_of_a_replaced_file_stays(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    for mode in (0o640, 0o755, 0o444):
        path.chmod(mode)
        write_whole(str(path), b"new", force=True)
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_links_stay_and_their_target_is_written(tmp_path):
    target = tmp_path / "sub" / "real.png"
    target.parent.mkdir()
    link = tmp_path / "link.png"
    link.symlink_to("sub/real.png")
    write_whole(str(link), b"first")  # a link to nowhere yet
    assert target.read_bytes() == b"first"
    with pytest.raises(OptionError, match=r"link.png' exists"):
        write_whole(str(link), b"second")
    write_whole(str(link), b"second", force=True)
    assert link.is_symlink()
    assert target.read_bytes() == b"second"
    assert not litter(tmp_path)
    assert not litter(target.parent)


def test_hard_links_part(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    os.link(tmp_path / "a", tmp_path / "b")
    write_whole(str(tmp_path / "b"), b"new", force=True)
    assert (tmp_path / "a").read_bytes() == b"old"


def test_folders_are_refused(tmp_path):
    with pytest.raises(OptionError, match="is a folder; name a file to write, or add '/'"):
        write_whole(str(tmp_path), b"x", force=True)


def test_missing_folder(tmp_path):
    with pytest.raises(
        SystemFailure, match=r"cannot be written: No such file.*make its folder"
    ) as e:
        write_whole(str(tmp_path / "none" / "x.png"), b"x")
    assert e.value.errno == errno.ENOENT
    assert e.value.exit_code == 3
    assert not (tmp_path / "none").exists()


def test_looping_link(tmp_path):
    (tmp_path / "x").symlink_to("x")
    with pytest.raises(SystemFailure, match="Too many levels of symbolic links"):
        write_whole(str(tmp_path / "x"), b"x", force=True)


def test_longest_names(tmp_path):
    for name in ("n" * 255, "é" * 127, "\udcff" * 255, "漢" * 85):
        write_whole(str(tmp_path / name), b"x")
        assert (tmp_path / name).read_bytes() == b"x"
    with pytest.raises(SystemFailure, match="File name too long; choose a shorter name"):
        write_whole(str(tmp_path / ("n" * 256)), b"x")
    assert not litter(tmp_path)


@needs_dev_full
def test_devices_are_written_into(tmp_path):
    write_whole("/dev/null", b"x")
    with pytest.raises(SystemFailure, match="'/dev/full': cannot be written: No space left") as e:
        write_whole("/dev/full", b"x", force=True)
    assert e.value.errno == errno.ENOSPC
    # also through a link, which is not replaced
    (tmp_path / "x.png").symlink_to("/dev/full")
    with pytest.raises(SystemFailure, match=r"x.png': cannot be written: No space left on device"):
        write_whole(str(tmp_path / "x.png"), b"x")
    assert os.readlink(tmp_path / "x.png") == "/dev/full"
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_pipes_are_written_into(tmp_path):
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    assert is_stream(path)
    got = []

    def read():
        with open(path, "rb") as stream:
            got.append(stream.read())

    reader = threading.Thread(target=read)
    reader.start()
    write_whole(path, b"through the pipe" * 10_000)
    reader.join(10)
    assert got == [b"through the pipe" * 10_000]
    assert stat.S_ISFIFO(os.stat(path).st_mode)


def test_standard_output_by_its_path(tmp_path):
    """/dev/stdout of a shell's `>>` is a regular file, and neither replaced nor begun anew."""
    program = "from cnntool.files import write_whole; write_whole('/dev/stdout', b'new')"
    target = tmp_path / "log"
    target.write_bytes(b"old ")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with open(target, "ab") as stream:
        command = [sys.executable, "-B", "-c", program]
        subprocess.run(command, stdout=stream, env=environment, check=True, timeout=20)
    assert target.read_bytes() == b"old new"
    assert is_stream("/dev/stdout")
    assert is_stream("/proc/self/fd/1")
    assert is_stream("/dev/null")
    assert not is_stream(str(target))
    assert not is_stream(str(tmp_path))


def test_closed_pipe_stays_what_it_is():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with pytest.raises(BrokenPipeError):
            write_whole(f"/dev/fd/{writing}", b"x")
    finally:
        os.close(writing)


def test_nothing_is_seen_before_the_end(tmp_path):
    path = tmp_path / "report.jsonl"
    with WholeFile(str(path), sync=True) as file:
        file.write(b"one\n")
        file.write(b"two\n")
        assert not path.exists()
        assert len(litter(tmp_path)) == 1
    assert path.read_bytes() == b"one\ntwo\n"
    assert not litter(tmp_path)


def test_discarded_on_an_exception(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), WholeFile(str(path), force=True) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert not litter(tmp_path)


def test_readers_find_whole_files(tmp_path):
    """While one thread writes again and again, every reading is one of the contents."""
    path = tmp_path / "x"
    contents = [bytes([value]) * 30_000 for value in range(4)]
    path.write_bytes(contents[0])
    ended = threading.Event()

    def write():
        for turn in range(200):
            write_whole(str(path), contents[turn % 4], force=True)
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    readings = 0
    while not ended.is_set():
        assert path.read_bytes() in contents
        readings += 1
    writer.join()
    assert readings > 10


def test_two_writers_without_force(tmp_path):
    """Of many that want one new name exactly one gets it."""
    path = tmp_path / "x"
    results = []

    def write(value):
        try:
            write_whole(str(path), bytes([value]) * 1000)
            results.append(value)
        except OptionError:
            pass

    threads = [threading.Thread(target=write, args=(value,)) for value in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 1
    assert path.read_bytes() == bytes([results[0]]) * 1000
    assert not litter(tmp_path)


def test_failure_messages():
    unknown = OSError("something odd")
    assert str(system_failure("x", unknown)) == "'x': cannot be written: something odd"
    full = system_failure("x" * 500, OSError(errno.ENOSPC, "No space left on device"))
    assert len(str(full)) < 250
    assert full.errno == errno.ENOSPC
    assert isinstance(full, OSError)
