"""Pipes, closed descriptors and full devices: what only real processes show."""

import errno
import io
import os
import pty
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest
from cli_runner import invoke
from PIL import Image

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes and signals as POSIX has them")

CNNTOOL = f"{shlex.quote(sys.executable)} -m cnntool"
FULL = os.path.exists("/dev/full")
NO_SPACE = os.strerror(errno.ENOSPC)
CLOSED = os.strerror(errno.EBADF)


@pytest.fixture
def here(tmp_path, monkeypatch, rng):
    """A folder with a few pictures."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)).save("a.png")
    for index in range(8):
        Image.fromarray(rng.integers(0, 256, (90, 80), dtype=np.uint8)).save(f"n{index}.png")
    return tmp_path


def shell(command, stdin=b""):
    """(status of each command of the pipe, stdout, stderr) of a line for bash."""
    script = f'cnntool() {{ {CNNTOOL} "$@"; }}; {command}; echo "${{PIPESTATUS[*]}}" >&2'
    found = subprocess.run(["bash", "-c", script], input=stdin, capture_output=True, timeout=60)
    *errors, statuses = found.stderr.decode().splitlines()
    return [int(status) for status in statuses.split()], found.stdout, errors


# --- our own commands in a pipe


def test_two_commands_in_a_pipe(here):
    statuses, _, errors = shell(
        "cnntool convolve - -k gaussian-5 -o - < a.png | cnntool edges - -o b.png -q"
    )
    assert (statuses, errors) == ([0, 0], [])
    assert invoke("convolve", "a.png", "-k", "gaussian-5", "-o", "c.png").status == 0
    assert invoke("edges", "c.png", "-o", "d.png").status == 0
    assert (here / "b.png").read_bytes() == (here / "d.png").read_bytes()


def test_floats_pass_unclipped(here):
    statuses, _, errors = shell(
        "cnntool convolve a.png -k sobel-x -o - --format npy | cnntool pool - --size 2 -o b.npy"
    )
    assert (statuses, errors) == ([0, 0], [])
    assert invoke("convolve", "a.png", "-k", "sobel-x", "-o", "c.npy").status == 0
    assert invoke("pool", "c.npy", "--size", 2, "-o", "d.npy").status == 0
    found = np.load("b.npy")
    assert found.dtype == np.float32
    assert found.shape == (20, 15, 3)
    assert np.array_equal(found, np.load("d.npy"))
    # and the maxima themselves, from a plain loop over the correlation
    a = np.pad(np.asarray(Image.open("a.png"), float), ((1, 1), (1, 1), (0, 0)), "reflect")
    k = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    y = sum(k[i, j] * a[i : i + 40, j : j + 30] for i in range(3) for j in range(3))
    assert y.min() < 0
    assert y.max() > 255
    assert np.array_equal(found, y.reshape(20, 2, 15, 2, 3).max(axis=(1, 3)))


def test_npy_in_gives_npy_out(here):
    np.save("x.npy", np.linspace(-5, 5, 12, dtype=np.float32).reshape(3, 4))
    statuses, out, _ = shell("cnntool convolve - -k identity < x.npy | cat")
    assert statuses == [0, 0]
    assert np.array_equal(np.load(io.BytesIO(out)), np.load("x.npy"))


def test_dev_stdout_and_redirection(here):
    for command in ("-o /dev/stdout --format png", "-o - > out.png; cat out.png", "-o - | cat"):
        statuses, out, errors = shell(f"cnntool convolve a.png -k gaussian-5 {command}")
        assert set(statuses) == {0}
        assert Image.open(io.BytesIO(out.removesuffix(b"/dev/stdout\n"))).size == (30, 40)
        assert errors == []
    # what a shell appends to is appended to
    (here / "log").write_text("before\n")
    statuses, _, _ = shell("cnntool flatten a.png --size 1x1 --gray -o /dev/stdout -f >> log")
    assert statuses == [0]
    assert (here / "log").read_text().startswith("before\npath\tf0\na.png\t")


def test_a_slow_pipe(here):
    """Input that comes in drops is waited for; one that ends early is damaged."""
    data = (here / "a.png").read_bytes()
    child = subprocess.Popen(
        [sys.executable, "-m", "cnntool", "convolve", "-", "-k", "box"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
    )  # fmt: skip
    for start in range(0, len(data), len(data) // 20):
        child.stdin.write(data[start : start + len(data) // 20])
    out, errors = child.communicate(timeout=30)
    assert (child.returncode, errors) == (0, b"")
    assert Image.open(io.BytesIO(out)).size == (30, 40)
    statuses, out, errors = shell("head -c 900 a.png | cnntool convolve - -k box | cat")
    assert statuses == [0, 1, 0]
    assert out == b""
    assert errors == [
        "cnntool: standard input: truncated PNG (the file ends inside a chunk 'IDAT')"
    ] or errors[0].startswith("cnntool: standard input: truncated PNG")


# --- a reader that goes away


@pytest.mark.parametrize("command", [
    "convolve a.png -k sobel-x -o -",
    "convolve n?.png -k gaussian-5 -o out/",
    "hog n?.png --json",
    "hog n?.png",
    "flatten n?.png --csv",
    "check n?.png",
    "check n?.png --as jsonl",
    "kernels",
    "info",
    "--help",
])  # fmt: skip
def test_a_closed_pipe_is_silent(here, command):
    """'| :' reads nothing: the command dies by SIGPIPE, which a shell calls 141."""
    statuses, _, errors = shell(f"cnntool {command} | :")
    assert errors == []
    assert statuses == [128 + signal.SIGPIPE, 0]


@pytest.mark.parametrize("command, reader", [
    ("convolve a.png -k sobel-x -o - --format npy", "head -c 10"),
    ("hog n?.png", "head -n 1"),
    ("hog n?.png --json", "head -c 100"),
    ("flatten n?.png", "head -n 2"),
])  # fmt: skip
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_enough(here, monkeypatch, command, reader, unbuffered):
    """More than a pipe holds: 64 KiB."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    Image.new("RGB", (400, 300)).save("a.png")
    for index in range(8):
        Image.new("L", (400, 300), index).save(f"n{index}.png")
    statuses, out, errors = shell(f"cnntool {command} | {reader}")
    assert errors == []
    assert statuses == [141, 0]
    assert out


def test_a_report_is_written_though_the_reader_left(here):
    statuses, _, errors = shell("cnntool convolve n?.png -k box -o out/ --report r.jsonl | :")
    assert (statuses, errors) == ([141, 0], [])
    assert (here / "r.jsonl").read_text().count('"done"') >= 1
    assert not [name for name in os.listdir("out") if name.endswith("tmp")]


# --- a writer that cannot


@pytest.mark.skipif(not FULL, reason="needs /dev/full")
@pytest.mark.parametrize("command", [
    "convolve a.png -k sobel-x -o -", "convolve a.png -k gaussian-5 -o b.png", "hog n?.png --json",
    "flatten a.png", "check .", "kernels", "kernels sobel-x", "info --json", "--help", "--version",
    "hog --dry-run --size 64x64", "convolve a.png -k box -o /dev/full --format png",
])  # fmt: skip
def test_a_full_device(here, command):
    statuses, _, errors = shell(f"cnntool {command} > /dev/full")
    assert statuses == [3], errors
    assert len([line for line in errors if NO_SPACE in line]) == 1, errors
    assert all(line.startswith("cnntool: ") for line in errors)


@pytest.mark.parametrize("command", [
    "convolve a.png -k sobel-x -o -", "convolve a.png -k gaussian-5 -o b.png", "hog n0.png",
    "check .", "kernels", "info", "--help", "hog --help", "--version",
])  # fmt: skip
def test_closed_standard_output(here, command):
    statuses, _, errors = shell(f"cnntool {command} >&-")
    assert statuses == [3]
    assert errors[-1] == f"cnntool: standard output: cannot be written: {CLOSED}"


def test_closed_standard_error(here):
    """Words that nobody can read are no reason to stop."""
    found = subprocess.run(
        ["bash", "-c", f"{CNNTOOL} convolve none.png a.png -k sobel-x -o out/ 2>&-"],
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert found.returncode == 1
    assert found.stdout == b"out/a.sobel-x.png\n"
    assert sorted(os.listdir("out")) == ["a.sobel-x.png"]


@pytest.mark.parametrize("stdin, reason", [
    ("<&-", "standard input is closed"), ("< /dev/null", "standard input is empty"),
])  # fmt: skip
def test_no_standard_input(here, stdin, reason):
    statuses, out, errors = shell(f"cnntool convolve - -k box -o - {stdin}")
    assert (statuses, out, errors) == ([1], b"", [f"cnntool: {reason}"])


def test_no_list_on_standard_input(here):
    statuses, _, errors = shell("cnntool convolve --files-from - -k box -o out/ <&-")
    assert statuses == [1]
    assert errors == ["cnntool: standard input: the list cannot be read: it is closed"]
    statuses, _, errors = shell("cnntool convolve --files-from - -k box -o out/ < /dev/null")
    assert statuses == [0]
    assert errors == ["cnntool: 0 done, 0 failed, 0 skipped"]


# --- surroundings


@pytest.mark.parametrize("locale", [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "C.UTF-8", "TZ": "Pacific/Apia", "PYTHONHASHSEED": "1"},
])  # fmt: skip
def test_names_in_any_locale(here, locale):
    """Bytes in, the same bytes out, also where Python takes them for ASCII."""
    name = "naïve 照片.png".encode()
    with open(name, "wb") as file:
        file.write((here / "a.png").read_bytes())
    env = {**os.environ, **locale}
    run = [sys.executable, "-m", "cnntool"]
    for command in (["convolve", name, "-k", "gaussian-5", "-o", "out/", "--report", "r.jsonl"],
                    ["hog", name, "--cell", "10", "--block", "1"],
                    ["check", name, "--csv"]):  # fmt: skip
        found = subprocess.run([*run, *command], capture_output=True, env=env, timeout=30)
        assert (found.returncode, found.stderr) == (0, b""), command[0]
        assert name.removesuffix(b".png") in found.stdout
    assert os.listdir(b"out") == ["naïve 照片.gaussian-5.png".encode()]
    missing = subprocess.run(
        [*run, "check", "là.png".encode()], capture_output=True, env=env, timeout=30
    )
    assert missing.returncode == 1
    assert b"no such file" in missing.stderr


# --- terminals


def test_no_picture_onto_a_terminal(here):
    for args in (("-o", "-"), ("-o", "-", "--format", "npy")):
        found = invoke("convolve", "a.png", "-k", "box", *args, terminal="stdout")
        assert (found.status, found.stdout) == (2, b"")
        assert "a picture is not written to a terminal; use -o FILE, or a pipe" in found.stderr
    found = invoke("convolve", "-", "-k", "box", terminal="stdin stdout")
    assert (found.status, found.stdout) == (2, b"")


def test_no_picture_from_a_terminal(here):
    found = invoke("convolve", "-", "-k", "box", "-o", "b.png", terminal="stdin")
    assert found.status == 1
    assert "standard input is a terminal; name a file or pipe a picture in" in found.stderr


def test_a_real_terminal(here):
    """A name that would move the cursor, on a terminal of the system."""
    name = "\x1b[2J\u202egnp.png"
    (here / name).write_bytes((here / "a.png").read_bytes())
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "cnntool", "edges", name, "n0.png", "-o", "out/"],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        shown += block
    os.close(ours)
    assert child.wait(20) == 0
    assert b"\x1b[2J" not in shown
    assert "\u202e".encode() not in shown
    assert b"out/n0.edges.png" in shown
    assert os.path.isfile(f"out/{name[:-4]}.edges.png")


def test_colour_is_asked_for(here):
    """NO_COLOR is kept by the bar, FORCE_COLOR by nothing that writes data."""
    plain = invoke("check", "n0.png", env={"FORCE_COLOR": "1"})
    assert b"\x1b" not in plain.stdout
    bar = invoke("flatten", "n0.png", "n1.png", "-o", "x.npy", terminal="stderr",
                 env={"NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"})  # fmt: skip
    assert "\x1b[3" not in bar.stderr
