"""Temporary names: where they are, and the ways in which they go away."""

import os
import re
import subprocess
import sys
import time

import pytest

from cnntool.errors import SystemFailure
from cnntool.files import WholeFile, probe, remove_temporaries, sweep_stale, temporaries


@pytest.fixture
def registry(monkeypatch):
    fresh = temporaries._Registry()
    monkeypatch.setattr(temporaries, "_registry", fresh)
    return fresh


def temporary_of(pid, home=None, name="a.png"):
    return f".{name}.{home or temporaries._home()}-{pid}-0123abcd.cnntool-tmp"


def dead_pid():
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    return child.pid


def test_name(tmp_path):
    file = WholeFile(str(tmp_path / "photo.png"))
    (name,) = os.listdir(tmp_path)
    pattern = rf"\.photo\.png\.[0-9a-f]{{8}}-{os.getpid()}-[0-9a-f]{{8}}\.cnntool-tmp"
    assert re.fullmatch(pattern, name)
    file.discard()
    assert os.listdir(tmp_path) == []


def test_names_are_not_reused(tmp_path, monkeypatch):
    numbers = iter([b"same", b"same", b"else"])
    monkeypatch.setattr(temporaries.os, "urandom", lambda count: next(numbers))
    first = WholeFile(str(tmp_path / "x"))
    second = WholeFile(str(tmp_path / "x"))
    assert len(os.listdir(tmp_path)) == 2
    first.discard()
    assert len(os.listdir(tmp_path)) == 1
    second.discard()


def test_removal_for_a_dying_process(tmp_path, registry):
    files = [WholeFile(str(tmp_path / f"{index}.png")) for index in range(3)]
    remove_temporaries()
    assert os.listdir(tmp_path) == []
    # a writer that was still at work fails, and its name stays free
    with pytest.raises(SystemFailure, match=r"0.png': cannot be written: No such file"):
        files[0].commit()
    assert os.listdir(tmp_path) == []
    WholeFile(str(tmp_path / "x")).commit()
    remove_temporaries(final=True)
    with pytest.raises(SystemFailure, match="the run is being ended; nothing more is written"):
        WholeFile(str(tmp_path / "y"))
    assert os.listdir(tmp_path) == ["x"]


def test_removal_while_the_lock_is_held(tmp_path, registry):
    """A second signal may come in the middle of making a file."""
    WholeFile(str(tmp_path / "x"))
    with registry.lock:
        started = time.monotonic()
        remove_temporaries(final=True)
        assert time.monotonic() - started < 2
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_leaves_its_parents_files(tmp_path):
    program = (
        "import os\n"
        "from cnntool.files import WholeFile, remove_temporaries, temporaries\n"
        "file = WholeFile('x')\n"
        "temporaries._registry.lock.acquire()\n"
        "if os.fork() == 0:\n"
        "    remove_temporaries(final=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "temporaries._registry.lock.release()\n"
        "file.commit()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    subprocess.run(
        [sys.executable, "-B", "-c", program], cwd=tmp_path, env=environment, check=True, timeout=20
    )
    assert os.listdir(tmp_path) == ["x"]


def test_sweeping(tmp_path):
    gone, here = dead_pid(), os.getpid()
    stale = [temporary_of(gone), temporary_of(gone, name="two\nlines")]
    kept = [
        temporary_of(here),  # lives
        temporary_of(1),  # another user's, lives
        temporary_of(gone, home="00000000"),  # of another machine: the number means nothing here
        "x.cnntool-tmp",  # not of our making
        f"a.png.{temporaries._home()}-{gone}-0123abcd.cnntool-tmp",
        "a.png",
    ]
    for name in stale + kept:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / temporary_of(gone, name="folder")).mkdir()
    (tmp_path / temporary_of(gone, name="link")).symlink_to("a.png")
    assert sweep_stale(str(tmp_path)) == len(stale)
    assert sorted(os.listdir(tmp_path)) == sorted(
        [*kept, temporary_of(gone, name="folder"), temporary_of(gone, name="link")]
    )


def test_sweeping_what_is_old(tmp_path):
    names = [temporary_of(os.getpid()), temporary_of(1, home="00000000")]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    day_ago = time.time() - temporaries.STALE_SECONDS - 60
    os.utime(tmp_path / names[0], (day_ago, day_ago))
    os.utime(tmp_path / names[1], (day_ago + 120, day_ago + 120))
    assert sweep_stale(str(tmp_path)) == 1
    assert os.listdir(tmp_path) == [names[1]]


def test_sweeping_spares_files_being_written(tmp_path):
    file = WholeFile(str(tmp_path / "x"))
    long_ago = time.time() - 10 * temporaries.STALE_SECONDS
    (name,) = os.listdir(tmp_path)
    os.utime(tmp_path / name, (long_ago, long_ago))
    assert sweep_stale(str(tmp_path)) == 0
    file.commit()
    assert os.listdir(tmp_path) == ["x"]


def test_sweeping_what_cannot_be_read(tmp_path):
    assert sweep_stale(str(tmp_path / "none")) == 0


def test_probe(tmp_path):
    probe(str(tmp_path))
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        probe(str(tmp_path / "none"))
