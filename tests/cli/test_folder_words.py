"""What a run over many files says: notes, errors, progress, and nothing unsafe."""

import shutil

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from folder_trees import KERNEL, TOP, make_tree, save
from PIL import Image


@pytest.fixture
def folder(tmp_path, monkeypatch, rng):
    """A tree of pictures, with things in it that are no inputs."""
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path, rng)
    return tmp_path


def test_a_note_about_many_files_is_printed_once(folder, rng):
    for index in range(5):
        array = rng.integers(0, 65536, (4, 3), dtype=np.uint16)
        Image.fromarray(array).save(folder / f"in/deep{index}.png")
    args = ("convolve", *(f"in/deep{i}.png" for i in range(5)), "-k", "box", "--format", "jpeg",
            "--range", "clip")  # fmt: skip
    result = done(*args, "-o", "a/")
    assert result.errors == [
        "cnntool: 'in/deep0.png': JPEG holds 8 bits; 16-bit samples were scaled down",
        "cnntool: 4 more notes of the same kind; -v shows all",
        "cnntool: 5 done, 0 failed, 0 skipped",
    ]
    assert sum("scaled down" in line for line in done(*args, "-o", "b/", "-v").errors) == 5
    assert done(*args, "-o", "c/", "-q").errors == []


def test_quiet_still_tells_errors(folder):
    (folder / "in/img2.png").write_bytes(b"")
    result = invoke("convolve", "in", *KERNEL, "-o", "out", "-q")
    assert result.status == 1
    assert result.errors == ["cnntool: 'in/img2.png': the file is empty"]
    assert result.lines == [TOP[0], TOP[2]]  # data


def test_no_bars_in_a_pipe(folder):
    plain = done("convolve", "in", *KERNEL, "-o", "out")
    assert "\x1b" not in plain.stderr
    assert len(plain.errors) <= 3


def test_progress_of_long_runs(folder, rng, monkeypatch):
    """One line at every tenth, once a run takes its time."""
    for index in range(20):
        save(folder / f"many/{index}.png", rng)
    monkeypatch.setattr("cnntool.cli.progress.QUIET_SECONDS", 0)
    result = done("flatten", "many", "-o", "x.npy", "--size", "2x2")
    assert result.errors == [
        *(f"cnntool: {10 * tenth} % ({2 * tenth} of 20)" for tenth in range(1, 10)),
        "cnntool: 20 done, 0 failed, 0 skipped",
    ]
    for option in ("-q", "--no-progress"):
        result = done("flatten", "many", "-o", "x.npy", "--size", "2x2", "-f", option)
        assert not [line for line in result.errors if "%" in line]


def test_a_bar_on_a_terminal(folder, rng):
    """On a terminal that shows nothing else; paths and rows are progress enough."""
    save(folder / "in/n.png", rng)
    env = {"TERM": "xterm", "COLUMNS": "80"}
    table = ("flatten", "in", "--size", "2x2", "--gray", "-f")
    for terminal, args in (
        ("stderr", table),
        ("stderr", (*table, "-o", "x.npy")),
        ("stdout stderr", (*table, "-o", "x.npy")),
        ("stdout stderr", (*table, "-o", "x.csv")),
        ("stdout stderr", ("check", "in", "-f", "-o", "c.json")),
    ):
        assert "━" in done(*args, terminal=terminal, env=env).stderr
    for args in (table, ("convolve", "in", *KERNEL, "-o", "out"), (*table, "--no-progress")):
        assert "━" not in done(*args, terminal="stdout stderr", env=env).stderr


def test_names_are_safe_on_a_terminal(folder):
    nasty = "in/\x1b]0;owned\x07\u202egnp.png"
    shutil.copy("in/img1.png", nasty)
    result = done("convolve", nasty, *KERNEL, "-o", "out/", terminal="stdout")
    assert b"\x1b" not in result.stdout
    assert "\u202e" not in result.text
    assert done("convolve", nasty, *KERNEL, "-o", "p/").text == nasty.replace("in/", "p/").replace(
        ".png", ".gaussian-5.png\n"
    )
    (folder / "in/x\x1b[31m.png").write_bytes(b"")
    message = refused(1, "convolve", "in/x\x1b[31m.png", *KERNEL)
    assert message == r"cnntool: 'in/x'$'\033''[31m.png': the file is empty"


def test_messages_are_short(folder):
    name = "in/" + "long" * 50 + ".png"
    (folder / name).write_bytes(b"bad")
    assert len(refused(1, "convolve", name, *KERNEL)) <= 300
    assert refused(1, "convolve", name, *KERNEL).count("\n") == 0


def test_debug_shows_a_traceback(folder, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("cnntool.jobs.convolve.convolve", broken)
    line = refused(1, "convolve", "in/img1.png", *KERNEL, "-o", "a.png")
    assert line.endswith("internal error (ZeroDivisionError: a bug); --debug shows more")
    told = invoke("convolve", "in/img1.png", *KERNEL, "-o", "a.png", "--debug").stderr
    assert "Traceback" in told
    assert "ZeroDivisionError" in told
