"""Hostile files and memory: one line each, the good ones done, and never more than was promised."""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from cli_runner import invoke, refused
from picture_files import IEND, SIGNATURE, chunk, ihdr, webp_bomb
from PIL import Image

GIB = 1 << 30

# reports the peak of the process that it runs, which a parent's own peak cannot hide
MEASURED = """
import resource, subprocess, sys
status = subprocess.call([sys.executable, "-m", "cnntool", *sys.argv[1:]])
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


def measured(*args):
    """(status, peak in bytes, lines of stdout, lines of stderr)"""
    found = subprocess.run(
        [sys.executable, "-S", "-c", MEASURED, *map(str, args)],
        capture_output=True, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )  # fmt: skip
    *errors, last = found.stderr.decode("utf-8", "surrogateescape").splitlines()
    status, peak = map(int, last.split())
    unit = 1 if sys.platform == "darwin" else 1024
    return status, peak * unit, found.stdout, errors


def black_png(side):
    """A picture of side x side black RGB pixels in a thousandth of their size."""
    count = side * (3 * side + 1)
    packer = zlib.compressobj(9)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    head, body = block[:2], block[2:]
    end = zlib.compressobj(9)
    rest = end.compress(bytes(count % (1 << 20))) + end.flush()
    # the checksum of n zeros is n modulo 65521 above, 1 below
    packed = head + body * (count >> 20) + rest[2:-4] + struct.pack(">HH", count % 65521, 1)
    return SIGNATURE + ihdr(side, side) + chunk(b"IDAT", packed) + IEND


def test_the_black_picture_is_one():
    """What is too large to look at must be right when small."""
    picture = Image.open(io.BytesIO(black_png(700)))
    assert picture.size == (700, 700)
    assert picture.getextrema() == ((0, 0),) * 3


BAD = {
    "0truncated.png": "truncated PNG",
    "bomb.png": "20000 x 20000 pixels need 6.3 GiB of memory, the budget is 1.0 GiB",
    "bomb.webp": "16383 x 5000 pixels need 1.3 GiB of memory, the budget is 1.0 GiB",
    "empty.jpg": "the file is empty",
    "eps.png": "not a picture",
    "header.gif": "GIF",
    "long.png": "a side is longer than 65500",
    "loop.png": "cannot be read: Too many levels of symbolic links",
    "nowhere.png": "no such file",
    "text.png": "not a picture",
}


@pytest.fixture
def hostile(tmp_path, monkeypatch, rng):
    """A folder with every kind of bad entry among good ones."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    good = Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8))
    names = ["good.png", "sub/good.jpg", "naïve ünïcode 照片.png", "two\nlines.png", "zz last.png"]
    for name in names:
        good.save(folder / name)
    undecodable = os.fsencode(folder) + b"/caf\xe9.png"
    try:
        with open(undecodable, "wb") as file:
            file.write((folder / "good.png").read_bytes())
        names.append(os.fsdecode(b"caf\xe9.png"))
    except OSError:  # a file system that takes Unicode only
        pass
    (folder / "0truncated.png").write_bytes((folder / "good.png").read_bytes()[:-300])
    (folder / "empty.jpg").touch()
    (folder / "bomb.webp").write_bytes(webp_bomb())
    (folder / "bomb.png").write_bytes(black_png(20_000))
    (folder / "long.png").write_bytes(
        SIGNATURE + ihdr(1, 80_000_000) + chunk(b"IDAT", zlib.compress(bytes(9))) + IEND
    )
    (folder / "eps.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    (folder / "header.gif").write_bytes(b"GIF89a")
    (folder / "text.png").write_text("no picture")
    (folder / ".hidden.png").write_text("never read")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "nowhere.png").symlink_to("nothing here")
    (folder / "sub/up").symlink_to("..")
    os.mkfifo(folder / "sub/pipe.png")
    return names


@pytest.mark.skipif(os.name == "nt", reason="names and links as POSIX has them")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_hostile_folder(hostile, jobs):
    status, peak, out, errors = measured(
        "convolve", "in", "-r", "-k", "gaussian-5", "-o", "out/", "-0", "--limits", "strict",
        "--report", "r.jsonl", "-j", jobs, "-v",
    )  # fmt: skip
    assert status == 1
    assert peak < GIB
    # good ones done, in order
    written = [os.fsdecode(name) for name in out.split(b"\0")[:-1]]
    assert sorted(written) == sorted(
        f"out/{os.path.splitext(name)[0]}.gaussian-5{os.path.splitext(name)[1]}" for name in hostile
    )
    for name in written:
        with Image.open(name) as picture:
            assert picture.size == (30, 40)
    # each bad one exactly one line
    for name, reason in BAD.items():
        (line,) = [line for line in errors if f"'in/{name}': " in line]
        assert reason in line
        assert line.startswith("cnntool: ")
        assert len(line) <= 300
    assert not [line for line in errors if "hidden" in line]
    assert [line for line in errors if "sub/pipe.png" in line] == [
        "cnntool: 'in/sub/pipe.png': skipped: it is a pipe"
    ]
    assert [line for line in errors if "sub/up" in line] == [
        "cnntool: 'in/sub/up': a link to a folder is not followed"
    ]
    assert errors[-1] == f"cnntool: {len(hostile)} done, {len(BAD)} failed, 2 skipped"
    assert not any("Traceback" in line for line in errors)
    # and one in the report
    with open("r.jsonl", encoding="utf-8") as file:
        report = [json.loads(line) for line in file]
    assert sorted(line["path"] for line in report if line["status"] == "failed") == sorted(
        f"in/{name}" for name in BAD
    )
    assert len(report) == len(hostile) + len(BAD)


def test_other_commands_on_hostile_files(hostile):
    for command in ("check in", "hog in --size 32x32", "edges in -o e/", "pool in -o p/",
                    "flatten in --size 2x2 --gray"):  # fmt: skip
        result = invoke(*command.split(), "--limits", "strict")
        assert result.status == 1
        bad = [line for line in result.errors if any(f"'in/{name}': " in line for name in BAD)]
        assert len(bad) == len(BAD)
        assert f" {len(BAD)} failed, " in result.errors[-1]
        assert "internal error" not in result.stderr


# --- as much memory as is promised


LARGE = {
    # about what strict lets pass; each decoder's most wasteful kind
    "rgba.png": lambda: Image.new("RGBA", (5000, 5000), (10, 200, 30, 128)),
    "rgb.jpg": lambda: Image.new("RGB", (7000, 7000), (10, 200, 30)),
}


@pytest.mark.parametrize("name, arguments", [
    ("rgba.png", ["convolve", "-k", "gaussian-5", "-o", "o.png"]),  # weighted by opacity
    ("rgb.jpg", ["convolve", "-k", "sobel-x", "-o", "o.jpg"]),
], ids=["opacity", "jpeg"])  # fmt: skip
def test_large_pictures_stay_within_strict_limits(tmp_path, monkeypatch, name, arguments):
    monkeypatch.chdir(tmp_path)
    options = {"progressive": True} if name.endswith("jpg") else {"compress_level": 1}
    LARGE[name]().save(name, **options)
    command, *rest = arguments
    status, peak, _, errors = measured(command, name, *rest, "--limits", "strict", "-q")
    assert (status, errors) == (0, [])
    assert peak < GIB


def test_floats_count(tmp_path, monkeypatch):
    """Results in floats need more than the picture, and are refused before they are made."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGBA", (6500, 6500)).save("a.png", compress_level=1)
    Image.new("RGB", (6500, 6500)).save("b.png", compress_level=1)
    kernel = ("-k", "gaussian-5", "--limits", "strict")
    for args in (("a.png", "-o", "o.png"), ("b.png", "-o", "o.npy"),
                 ("b.png", "-o", "o.png", "--linear")):  # fmt: skip
        message = refused(1, "convolve", *args, *kernel)
        assert "floats of 6500 x 6500 pixels need" in message
        assert "besides 685.0 MiB already in use, the budget is 1.0 GiB; --limits off" in message
    assert sorted(os.listdir(".")) == ["a.png", "b.png"]


def test_hog_counts_its_own_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (4000, 4000)).save("a.png", compress_level=1)
    message = refused(1, "hog", "a.png", "--cell", 2, "--limits", "strict")
    assert "4000 x 4000 pixels and 17 results need" in message
    status, peak, _, errors = measured("hog", "a.png", "-o", "x.npy", "--limits", "strict")
    assert (status, errors) == (0, [])
    assert peak < GIB
    assert np.load("x.npy").shape == (1, 498 * 498 * 81)


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
def test_little_address_space(tmp_path, monkeypatch, rng):
    """A large file is refused, small ones are done, and nothing ends by a signal."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("in")
    for index in range(6):
        Image.fromarray(rng.integers(0, 256, (40, 30), dtype=np.uint8)).save(f"in/{index}.png")
    Image.new("RGB", (6000, 6000)).save("in/2large.png", compress_level=1)
    for limits in ("normal", "off"):
        found = subprocess.run(
            ["prlimit", "--as=700000000", sys.executable, "-m", "cnntool", "convolve", "in", "-k",
             "box", "-o", f"{limits}/", "--limits", limits, "-j", "2"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert "6 done" in found.stderr or limits == "off"
        assert found.returncode in (0, 1)
        assert len(os.listdir(limits)) >= 6
        if found.returncode:
            (line,) = [line for line in found.stderr.splitlines() if "2large" in line]
            assert "memory" in line


# --- collections of damaged files


@pytest.mark.shared
def test_pngsuite(shared_data, tmp_path, monkeypatch):
    """Every file is done or told in one line; what is broken on purpose is never done."""
    monkeypatch.chdir(tmp_path)
    folder = shared_data / "malformed" / "pngsuite"
    names = sorted(path.name for path in folder.glob("*.png"))
    status, peak, out, errors = measured(
        "convolve", folder, "-k", "identity", "-o", "out/", "--report", "r.jsonl", "-v",
    )  # fmt: skip
    assert status == 1
    assert peak < GIB
    assert not any("Traceback" in line or "internal error" in line for line in errors)
    with open("r.jsonl", encoding="utf-8") as file:
        report = {os.path.basename(line["path"]): line for line in map(json.loads, file)}
    assert sorted(report) == names
    failed = {name for name, line in report.items() if line["status"] == "failed"}
    assert failed == {name for name in names if name.startswith("x")}
    for name in failed:
        (line,) = [line for line in errors if f"{name}': " in line]
        assert report[name]["error"] in line
    assert len(out.splitlines()) == len(names) - len(failed)
