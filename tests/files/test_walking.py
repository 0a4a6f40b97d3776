"""Folders into names: order, what is left out and why, loops, closed folders, memory."""

import os
import shutil
import socket
import subprocess
import sys
import tracemalloc

import pytest

from cnntool.files import WalkLog, folder_id, walk


def wanted(name):
    return name.lower().endswith((".png", ".jpg"))


def listing(folder, log=None, recursive=True, **options):
    log = WalkLog() if log is None else log
    return [
        (os.path.relpath(path, folder), below)
        for path, below in walk(str(folder), recursive=recursive, wanted=wanted, log=log, **options)
    ]


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_order_and_folders(tmp_path):
    touch(tmp_path, "img10.png", "img2.png", "b/x.jpg", "b/a/deep.PNG", "a10/y.png", "a9/z.png")
    assert listing(tmp_path) == [
        ("img2.png", ""),
        ("img10.png", ""),
        ("a9/z.png", "a9"),
        ("a10/y.png", "a10"),
        ("b/x.jpg", "b"),
        ("b/a/deep.PNG", "b/a"),
    ]


def test_without_recursion(tmp_path):
    touch(tmp_path, "a.png", "sub/b.png", "more/c.png")
    log = WalkLog()
    assert listing(tmp_path, log, recursive=False) == [("a.png", "")]
    assert log.folders == 2


def test_what_is_passed_over(tmp_path):
    touch(
        tmp_path, "a.png", ".hidden.png", ".ipynb_checkpoints/a.png", "Thumbs.db", "notes.txt",
        "README", ".a.png.12345678-1-12345678.cnntool-tmp", "__MACOSX/b.png", "desktop.ini",
    )  # fmt: skip
    log = WalkLog()
    assert listing(tmp_path, log) == [("a.png", "")]
    assert log.other_suffix == 2
    assert not log.special
    assert not log.failures


def test_links(tmp_path):
    touch(tmp_path, "real/a.png", "outside.png")
    folder = tmp_path / "real"
    (folder / "linked.png").symlink_to(tmp_path / "outside.png")
    (folder / "loop").symlink_to(folder)
    (folder / "up").symlink_to(tmp_path)
    (folder / "gone.png").symlink_to("nowhere")
    (folder / "self.png").symlink_to("self.png")
    log = WalkLog()
    # links to nowhere are given: their reader says what is wrong
    assert [name for name, _ in listing(folder, log)] == [
        "a.png", "gone.png", "linked.png", "self.png",
    ]  # fmt: skip
    assert sorted(log.special) == [
        (str(folder / "loop"), "a link to a folder is not followed"),
        (str(folder / "up"), "a link to a folder is not followed"),
    ]
    # a link given as the folder itself is followed
    (tmp_path / "alias").symlink_to(folder)
    assert ("a.png", "") in listing(tmp_path / "alias")


def test_special_files(tmp_path):
    touch(tmp_path, "a.png")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(tmp_path)  # the path of a socket is short
        try:
            listener.bind("socket.png")
        finally:
            os.chdir(here)
        log = WalkLog()
        assert listing(tmp_path, log) == [("a.png", "")]
    reasons = {os.path.basename(path): reason for path, reason in log.special}
    assert reasons == {
        "pipe.png": "skipped: it is a pipe",
        "socket.png": "skipped: it is a socket",
        "zero.png": "skipped: it is a device",
    }


def test_odd_names(tmp_path):
    odd = [
        b"caf\xe9.png",
        b"new\nline.png",
        b"\x1b]0;x.png",
        b"-v.png",
        b" .png",
        b"a" * 251 + b".png",
    ]
    for name in odd:
        open(os.path.join(os.fsencode(tmp_path), name), "wb").close()
    found = [os.fsencode(name) for name, _ in listing(tmp_path)]
    assert sorted(found) == sorted(odd)


def test_excluded_folder(tmp_path):
    touch(tmp_path, "a.png", "out/a.png", "out/deep/b.png", "other/c.png")
    (tmp_path / "alias").symlink_to(tmp_path / "out")
    # under whatever name it was given
    excluded = folder_id(str(tmp_path / "alias"))
    assert listing(tmp_path, exclude={excluded}) == [("a.png", ""), ("other/c.png", "other")]


def test_folder_id(tmp_path):
    touch(tmp_path, "file")
    assert folder_id(str(tmp_path)) == folder_id(str(tmp_path / "."))
    assert folder_id(str(tmp_path / "file")) is None
    assert folder_id(str(tmp_path / "none")) is None
    assert folder_id("a\0b") is None


def test_missing_folder(tmp_path):
    log = WalkLog()
    assert listing(tmp_path / "none", log) == []
    assert log.failures == [
        (str(tmp_path / "none"), "the folder cannot be read: No such file or directory")
    ]


def test_closed_folder(tmp_path):
    """Another user's closed folder is one failure; the rest goes on."""
    touch(tmp_path, "a.png", "closed/b.png", "open/c.png")
    (tmp_path / "closed").chmod(0)
    program = (
        "import sys\n"
        "from cnntool.files import WalkLog, walk\n"
        "log = WalkLog()\n"
        "found = walk('.', recursive=True, wanted=lambda n: True, log=log)\n"
        "print([path for path, _ in found], log.failures)\n"
    )
    command = [sys.executable, "-B", "-c", program]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root reads everything, and there is no setpriv to be somebody else")
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        for folder in [tmp_path, *list(tmp_path.parents)[:-2]]:
            if folder.stat().st_uid == 0 and folder.name.startswith(("pytest", "test_")):
                folder.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20
    )
    (tmp_path / "closed").chmod(0o755)
    if run.returncode:
        pytest.skip(f"another user cannot start Python here: {run.stderr[-100:]}")
    assert run.stdout == (
        "['./a.png', './open/c.png'] "
        "[('./closed', 'the folder cannot be read: Permission denied')]\n"
    )


def test_deep_tree(tmp_path):
    folder = tmp_path
    here = os.getcwd()
    try:
        for _ in range(500):
            os.chdir(folder)
            os.mkdir("d")
            folder = "d"
        os.chdir(folder)
        open("end.png", "w").close()
    finally:
        os.chdir(here)
    found = listing(tmp_path)
    assert [os.path.basename(name) for name, _ in found] == ["end.png"]
    shutil.rmtree(tmp_path / "d")


def test_memory_of_a_large_folder(tmp_path):
    count = 20_000
    for index in range(count):
        os.close(os.open(tmp_path / f"photo-{index}.png", os.O_CREAT | os.O_WRONLY))
    log = WalkLog()
    tracemalloc.start()
    try:
        found = list(walk(str(tmp_path), recursive=True, wanted=wanted, log=log))
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == count
    assert os.path.basename(found[10][0]) == "photo-10.png"
    assert kept / count < 300  # bytes a file; what is kept of it is a path
    assert peak / count < 700  # with the keys of the sort
