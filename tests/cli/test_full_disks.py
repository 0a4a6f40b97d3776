"""Disks that are full, folders that take no files, few descriptors: exit 3, soon, no litter."""

import os
import shlex
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from folder_trees import files, litter, photos
from PIL import Image

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="limits as POSIX has them"),
    pytest.mark.faults,
]


@pytest.fixture
def place(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    photos("start/in", 2, rng, (30, 26))
    return tmp_path


def limited(arguments, **limits):
    """Run with ``RLIMIT_…`` set."""
    program = (
        "import resource, sys\n"
        f"for name, value in {limits!r}.items():\n"
        "    number = getattr(resource, 'RLIMIT_' + name)\n"
        "    resource.setrlimit(number, (value, value))\n"
        "import runpy\n"
        f"sys.argv = ['cnntool', *{[str(a) for a in arguments]!r}]\n"
        "runpy.run_module('cnntool', run_name='__main__')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )


def test_files_may_grow_no_further(place, rng):
    """The third result is too large: it is old or absent, the first two stay, the rest waits."""
    photos("many", 2, rng)
    Image.fromarray(rng.integers(0, 256, (300, 300), dtype=np.uint8)).save("many/2.png")
    for index in range(3, 30):
        shutil.copy("many/0.png", f"many/{index}.png")
    os.mkdir("out")
    for name in ("2", "29"):
        with open(f"out/{name}.gaussian-5.png", "wb") as file:
            file.write(b"old")
    result = limited(
        ["convolve", "many", "-k", "gaussian-5", "-o", "out/", "-f", "-j", 1], FSIZE=20_000
    )
    assert result.returncode == 3
    assert result.stderr.splitlines()[-1] == (
        "cnntool: 'out/2.gaussian-5.png': cannot be written: File too large; "
        "raise 'ulimit -f' or write elsewhere"
    )
    assert result.stdout.splitlines()[:2] == ["out/0.gaussian-5.png", "out/1.gaussian-5.png"]
    found = files("out")
    assert found["2.gaussian-5.png"] == found["29.gaussian-5.png"] == b"old"
    for index in (0, 1):
        with Image.open(f"out/{index}.gaussian-5.png") as picture:
            assert picture.size == (50, 60)
            picture.load()
    assert len(found) < 10
    assert litter("out") == []


@pytest.mark.parametrize("options, count", [("size=24k", 20), ("size=1m,nr_inodes=7", 20)])
def test_full_disk(place, rng, options, count):
    """A real one: earlier results stay, the run ends at once, and says why."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    photos("many", count, rng)
    os.mkdir("mnt")
    script = (
        f"mount -t tmpfs -o {options} cnntool-test mnt || exit 77\n"
        f"{shlex.quote(sys.executable)} -m cnntool convolve many -k gaussian-5 -o mnt/ -j 1\n"
        "status=$?; ls -A mnt >&2; cat mnt/0.gaussian-5.png | wc -c >&2; exit $status"
    )
    result = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True, timeout=60
    )
    if result.returncode not in (0, 3):
        pytest.skip(f"no file system can be mounted here: {result.stderr[-80:]}")
    assert result.returncode == 3
    lines = result.stderr.splitlines()
    words = [line for line in lines if line.startswith("cnntool")]
    assert len([line for line in words if "No space left on device; free some space" in line]) == 1
    written = [line for line in lines if line.endswith(".png")]
    assert 1 <= len(written) < 10
    assert [f"mnt/{name}" for name in written] == result.stdout.splitlines()
    assert not [line for line in lines if line.endswith("-tmp")]
    assert int(lines[-1]) > 1000


# --- folders that take no files


def test_a_folder_that_is_not_ours(place):
    """Found out before anything is decoded: the damaged input is not even looked at."""
    os.mkdir("closed")
    os.chmod("closed", 0o555)
    os.chmod(".", 0o755)
    with open("start/in/bad.png", "wb") as file:
        file.write(b"bad")
    command = [sys.executable, "-m", "cnntool", "convolve", "start/in", "-k", "box", "-o", "closed"]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write everywhere, and there is no setpriv")
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        probe = subprocess.run([*command[:5], "-c", "import cnntool"], capture_output=True)
        if probe.returncode:
            pytest.skip("another user cannot run this Python")
    begun = time.monotonic()
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert result.returncode == 3
    assert result.stderr == (
        "cnntool: 'closed': the output folder cannot be used: Permission denied; "
        "write to a folder that is yours\n"
    )
    assert time.monotonic() - begun < 5
    assert os.listdir("closed") == []


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_read_only_file_system(place):
    os.mkdir("d")
    with open("start/in/bad.png", "wb") as file:
        file.write(b"bad")
    cnntool = f"{shlex.quote(sys.executable)} -m cnntool"
    for command in (
        "convolve start/in -k box -o d",
        "convolve start/in/0.png -k box -o d/a.png",
        "hog start/in --size 24x24 -o d/x.npz",
        "convolve start/in -k box -o out/ --report d/r.jsonl",
    ):
        script = f"mount --bind d d && mount -o remount,ro,bind d || exit 77; {cnntool} {command}"
        result = subprocess.run(
            ["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True, timeout=30
        )
        if result.returncode not in (0, 3):
            pytest.skip(f"nothing can be mounted here: {result.stderr[-80:]}")
        assert result.returncode == 3
        assert result.stderr == (
            "cnntool: 'd': the output folder cannot be used: Read-only file system; "
            "write to another folder\n"
        )
        assert os.listdir("d") == []


def test_few_open_files(place, rng):
    """Each input is open for a moment only: 60 pass through a limit of 8."""
    photos("many", 60, rng, (8, 8))
    result = limited(["convolve", "many", "-k", "box", "-o", "out/", "-j", 4], NOFILE=8)
    assert (result.returncode, len(os.listdir("out"))) == (0, 60), result.stderr
