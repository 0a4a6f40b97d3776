"""The report: one line an input, whole at the end."""

import json
import os

import pytest

from cnntool.errors import OptionError, SystemFailure
from cnntool.folder.journal import Journal


def lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_lines(tmp_path):
    path = tmp_path / "r.jsonl"
    journal = Journal(str(path))
    journal.add("a.png", "done", outputs=("o/a.png",), seconds=0.12345678)
    journal.add("caf\udce9\n.png", "failed", error="truncated")
    journal.add("c.png", "skipped", outputs=["o/c.png"])
    assert not path.exists()
    journal.commit()
    assert lines(path) == [
        {"path": "a.png", "status": "done", "outputs": ["o/a.png"], "error": None,
         "seconds": 0.123457},
        {"path": "caf\udce9\n.png", "status": "failed", "outputs": [], "error": "truncated",
         "seconds": 0.0},
        {"path": "c.png", "status": "skipped", "outputs": ["o/c.png"], "error": None,
         "seconds": 0.0},
    ]  # fmt: skip
    assert path.read_bytes().isascii()
    assert b"\\udce9\\n" in path.read_bytes()
    assert os.listdir(tmp_path) == ["r.jsonl"]


def test_discard(tmp_path):
    journal = Journal(str(tmp_path / "r.jsonl"))
    journal.add("a.png", "done")
    journal.discard()
    assert os.listdir(tmp_path) == []


def test_existing_report(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text("old")
    with pytest.raises(OptionError, match=r"r.jsonl' exists; -f"):
        Journal(str(path))
    Journal(str(path), force=True).commit()
    assert path.read_text() == ""


def test_missing_folder(tmp_path):
    with pytest.raises(SystemFailure, match="cannot be written: No such file or directory"):
        Journal(str(tmp_path / "none" / "r.jsonl"))
