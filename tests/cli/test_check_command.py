"""``cnntool check``: one row a file, damaged ones included."""

import csv
import io
import json

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from picture_files import webp_bomb
from PIL import Image

COLUMNS = ["path", "status", "format", "width", "height", "mode", "channels", "bits", "class",
           "error"]  # fmt: skip


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two classes with different sizes; two files are bad."""
    monkeypatch.chdir(tmp_path)
    for name, size, mode in (
        ("cat/1.png", (12, 10), "RGB"),
        ("cat/2.jpg", (12, 10), "RGB"),
        ("cat/10.png", (9, 8), "L"),
        ("dog/1.png", (12, 10), "P"),
        ("dog/2.png", (12, 10), "LA"),
        ("dog/3.png", (7, 6), "I;16"),
    ):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size).save(path)
    whole = (tmp_path / "photos/cat/1.png").read_bytes()
    (tmp_path / "photos/cat/3.png").write_bytes(whole[:-20])
    (tmp_path / "photos/dog/4.png").write_bytes(b"")
    return tmp_path


def test_rows_of_a_folder(photos):
    result = invoke("check", "photos", "-r")
    assert result.status == 1
    header, *lines = [line.split("\t") for line in result.lines]
    assert header == COLUMNS
    assert [line[:9] for line in lines if line[1] == "ok"] == [
        ["photos/cat/1.png", "ok", "png", "12", "10", "RGB", "3", "8", "cat"],
        ["photos/cat/2.jpg", "ok", "jpeg", "12", "10", "RGB", "3", "8", "cat"],
        ["photos/cat/10.png", "ok", "png", "9", "8", "L", "1", "8", "cat"],
        ["photos/dog/1.png", "ok", "png", "12", "10", "P", "3", "8", "dog"],
        ["photos/dog/2.png", "ok", "png", "12", "10", "LA", "2", "8", "dog"],
        ["photos/dog/3.png", "ok", "png", "7", "6", "I;16", "1", "16", "dog"],
    ]
    cat, dog = (line for line in lines if line[1] == "bad")
    assert cat[0] == "photos/cat/3.png"
    assert cat[2:8] == [""] * 6
    assert cat[8] == "cat"
    assert "truncated PNG" in cat[9]
    assert dog == ["photos/dog/4.png", "bad", *[""] * 6, "dog", "the file is empty"]


def test_words_of_a_folder(photos):
    result = invoke("check", "photos", "-r")
    bad, empty, classes, sizes, count = result.errors
    assert bad.startswith("cnntool: 'photos/cat/3.png': truncated PNG")
    assert empty == "cnntool: 'photos/dog/4.png': the file is empty"
    assert classes == "cnntool: files by class: cat: 3, dog: 3"
    assert sizes == (
        "cnntool: files by size (rows x columns x channels): "
        "10x12x3: 3, 8x9x1: 1, 10x12x2: 1, 6x7x1: 1"
    )
    assert count == "cnntool: 6 done, 2 failed, 0 skipped"
    assert invoke("check", "photos", "-r", "-q").errors == [bad, empty]


@pytest.mark.parametrize("jobs", [1, 2])
def test_json_is_closed_and_in_order(photos, jobs):
    result = invoke("check", "photos", "-r", "--json", "-j", jobs)
    assert result.status == 1
    entries = json.loads(result.stdout)
    assert [list(entry) for entry in entries] == [COLUMNS] * 8
    assert [entry["path"].removeprefix("photos/") for entry in entries] == [
        "cat/1.png", "cat/2.jpg", "cat/3.png", "cat/10.png",
        "dog/1.png", "dog/2.png", "dog/3.png", "dog/4.png",
    ]  # fmt: skip
    assert entries[0]["width"] == 12
    assert entries[0]["error"] is None
    assert entries[2]["width"] is None


def test_other_forms(photos):
    found = list(csv.DictReader(io.StringIO(invoke("check", "photos", "-r", "--csv").text)))
    assert [row["status"] for row in found].count("bad") == 2
    assert len(invoke("check", "photos", "-r", "--as", "jsonl").lines) == 8
    table = invoke("check", "photos", "-r", "--as", "table").lines
    assert table[0].split() == COLUMNS
    assert len(table) == 9
    # a file is written although inputs failed, and its suffix is heard
    result = invoke("check", "photos", "-r", "-o", "found.json")
    assert result.status == 1
    assert result.lines == ["found.json"]
    assert len(json.loads((photos / "found.json").read_text())) == 8
    assert "no table has this suffix; use .csv, .tsv" in refused(2, "check", "photos", "-o", "a.b")


def test_all_good(photos):
    result = done("check", "photos/dog/1.png")
    assert result.lines[1].split("\t")[8:] == ["", ""]
    assert result.errors == []
    assert done("check", "photos/cat/1.png", "photos/dog/3.png").errors == [
        "cnntool: files by size (rows x columns x channels): 10x12x3: 1, 6x7x1: 1",
        "cnntool: 2 done, 0 failed, 0 skipped",
    ]


def test_missing_named_and_foreign_files(photos):
    (photos / "photos/notes.txt").write_text("no picture")
    result = invoke("check", "photos/notes.txt", "photos/none.png", "photos/cat/1.png", "--json")
    assert result.status == 1
    notes, none, good = json.loads(result.stdout)
    assert "not a picture" in notes["error"]
    assert none["error"] == "no such file"
    assert good["status"] == "ok"
    # in a folder only known suffixes are inputs, and the others are counted
    assert invoke("check", "photos", "-r").errors[-1] == "cnntool: 6 done, 2 failed, 1 skipped"


def test_limits(photos):
    (photos / "bomb.webp").write_bytes(webp_bomb())
    message = invoke("check", "bomb.webp", "--limits", "strict")
    assert message.status == 1
    assert "16383 x 5000 pixels need 1.3 GiB of memory, the budget is 1.0 GiB" in message.stderr
    assert message.lines[1].startswith("bomb.webp\tbad\t")


def test_float_arrays_and_standard_input(photos):
    np.save(photos / "a.npy", np.zeros((3, 5, 2), np.float32))
    ok = json.loads(done("check", "a.npy", "--json").stdout)[0]
    assert (ok["format"], ok["mode"], ok["channels"], ok["bits"]) == ("npy", "float32", 2, 32)
    picture = (photos / "photos/cat/1.png").read_bytes()
    assert json.loads(done("check", "-", "--json", stdin=picture).stdout)[0]["path"] == "-"


def test_more_kinds_than_fit(photos):
    for side in range(1, 20):
        Image.new("L", (side, 1)).save(photos / f"{side}.png")
    line = invoke("check", ".").errors[-2]
    assert line.endswith(" and 7 more")


def test_needs_something():
    assert "no input" in refused(2, "check")
