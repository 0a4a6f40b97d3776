"""Tables of every kind, read back by other readers."""

import csv
import io
import json
import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import NameNotFound, SystemFailure
from cnntool.report.tables import TableWriter, cell_text, json_text

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=15) | st.binary(max_size=9).map(
    os.fsdecode
)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
rows = st.lists(
    st.fixed_dictionaries({"path": names, "label": names, "score": numbers}), max_size=6
)


def written(kind, table, columns=None):
    stream = io.BytesIO()
    with TableWriter(kind, stream, columns) as writer:
        for row in table:
            writer.row(row)
    return stream.getvalue()


def text(kind, table, columns=None):
    return written(kind, table, columns).decode("utf-8", "surrogateescape")


@given(rows)
@settings(deadline=None, max_examples=150)
def test_csv_is_read_back(table):
    columns = ["path", "label", "score"]
    data = text("csv", table, columns)
    back = list(csv.reader(io.StringIO(data, newline=""), strict=True))
    assert back[0] == columns
    assert back[1:] == [[row["path"], row["label"], repr(row["score"])] for row in table]


@given(rows)
@settings(deadline=None, max_examples=150)
def test_tsv_is_read_back(table):
    columns = ["path", "label", "score"]
    lines = text("tsv", table, columns).split("\n")
    assert lines[-1] == ""
    assert lines[0] == "path\tlabel\tscore"
    back = [[_unescaped(cell) for cell in line.split("\t")] for line in lines[1:-1]]
    assert back == [[row["path"], row["label"], repr(row["score"])] for row in table]


def _unescaped(cell):
    """A slow reader of the escapes: backslash, and then what it says."""
    out, index = [], 0
    while index < len(cell):
        if cell[index] != "\\":
            out.append(cell[index])
            index += 1
            continue
        letter = cell[index + 1]
        if letter in "\\tnr":
            out.append({"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}[letter])
            index += 2
        else:
            digits = {"x": 2, "u": 4, "U": 8}[letter]
            out.append(chr(int(cell[index + 2 : index + 2 + digits], 16)))
            index += 2 + digits
    return "".join(out)


@given(rows)
@settings(deadline=None, max_examples=150)
def test_json_is_read_back(table):
    assert json.loads(written("json", table)) == table
    lines = written("jsonl", table).split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == table
    assert lines[-1] == b""


@given(rows)
@settings(deadline=None, max_examples=100)
def test_nothing_unprintable_in_tables_and_json(table):
    for kind in ("table", "json", "jsonl"):
        shown = written(kind, table).decode("utf-8")  # strict: no lone bytes either
        controls = [c for c in shown if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0]
        assert not controls
        assert "\u202e" not in shown


@given(st.floats(width=64))
@settings(deadline=None, max_examples=200)
def test_numbers_keep_their_value(number):
    if number == number:
        assert float(cell_text(number)) == number
        assert float(cell_text(np.float64(number))) == number


def test_numbers_of_numpy():
    tenth = np.float32(0.1)
    row = {"a": tenth, "b": np.int64(3), "c": np.array([0.5, 2.0]), "d": np.float64(0.1)}
    assert json.loads(json_text(row)) == {"a": 0.1, "b": 3, "c": [0.5, 2.0], "d": 0.1}
    assert text("csv", [{key: row[key] for key in "abd"}]) == "a,b,d\n0.1,3,0.1\n"
    assert json_text({"a": np.float32("nan"), "b": np.array([np.inf, 1.0])}) == (
        '{"a": null, "b": [null, 1.0]}'
    )


def test_values():
    row = {"none": None, "yes": True, "no": False, "list": [1, "é"], "nan": float("nan")}
    assert text("csv", [row]).splitlines()[1] == ',true,false,"[1, ""é""]",nan'
    assert text("tsv", [row]).splitlines()[1] == '\ttrue\tfalse\t[1, "é"]\tnan'
    assert json.loads(text("jsonl", [row])) == {**row, "nan": None}
    with pytest.raises(TypeError, match="no value for a table: object"):
        text("json", [{"x": object()}])


def test_csv_corners():
    assert text("csv", [{"a": ""}, {"a": None}]) == 'a\n""\n""\n'
    assert text("csv", [{"a": " x", "b": 'say "hi"', "c": "a,b", "d": "two\nlines"}]) == (
        'a,b,c,d\n" x","say ""hi""","a,b","two\nlines"\n'
    )


def test_undecodable_names():
    row = {"path": "caf\udce9.png"}
    assert written("csv", [row]) == b"path\ncaf\xe9.png\n"
    assert written("tsv", [row]) == b"path\ncaf\xe9.png\n"
    assert written("json", [row]) == b'[\n{"path": "caf\\udce9.png"}\n]\n'
    assert written("table", [row]) == b"path\ncaf\\udce9.png\n"


def test_json_is_readable():
    assert (
        json_text({"class": "日本語", "x": "\u202e\x9b"})
        == '{"class": "日本語", "x": "\\u202e\\u009b"}'
    )


def test_aligned_table():
    table = [
        {"layer": "conv", "shape": "6x24x24", "params": 156, "note": None},
        {"layer": "日本", "shape": "e\u0301", "params": 12345, "note": "x"},
        {"layer": "total", "params": None},
    ]
    assert text("table", table) == (
        "layer  shape    params  note\n"
        "conv   6x24x24     156\n"
        "日本   e\u0301         12345  x\n"
        "total\n"
    )


def test_long_tables_are_streamed():
    stream = io.BytesIO()
    writer = TableWriter("table", stream)
    for index in range(199):
        writer.row({"n": index, "name": "x"})
    assert stream.getvalue() == b""
    writer.row({"n": 199, "name": "x"})
    assert stream.getvalue().count(b"\n") == 201
    writer.row({"n": 123456, "name": "wide"})
    writer.close()
    lines = stream.getvalue().decode().splitlines()
    assert lines[:2] == ["  n  name", "  0  x"]
    assert lines[-1] == "123456  wide"


def test_rows_come_at_once():
    for kind in ("csv", "tsv", "json", "jsonl"):
        stream = io.BytesIO()
        writer = TableWriter(kind, stream)
        writer.row({"path": "a.png"})
        assert b"a.png" in stream.getvalue()
        writer.close()
        writer.close()  # once is enough, twice is harmless


def test_empty_tables():
    assert text("json", []) == "[]\n"
    assert text("jsonl", []) == ""
    assert text("csv", []) == ""
    assert text("csv", [], ["a", "b"]) == "a,b\n"
    assert text("tsv", [], ["a", "b"]) == "a\tb\n"
    assert text("table", [], ["a", "b"]) == "a  b\n"
    assert text("table", []) == ""


def test_columns():
    assert text("csv", [{"b": 1}], ["a", "b"]) == "a,b\n,1\n"
    assert text("jsonl", [{"b": 1}], ["a", "b"]) == '{"a": null, "b": 1}\n'
    with pytest.raises(ValueError, match=r"columns \['c'\] that the header lacks; it has \['a'\]"):
        text("csv", [{"a": 1}, {"a": 1, "c": 2}])
    # objects carry their own names
    assert text("jsonl", [{"a": 1}, {"c": 2}]) == '{"a": 1}\n{"c": 2}\n'


def test_array_is_closed_after_an_error():
    for error in (RuntimeError, KeyboardInterrupt):
        stream = io.BytesIO()
        with pytest.raises(error), TableWriter("json", stream) as table:
            table.row({"a": 1})
            raise error
        assert json.loads(stream.getvalue()) == [{"a": 1}]


def test_unknown_kind():
    with pytest.raises(NameNotFound, match="unknown table format 'jsn'; did you mean 'json'"):
        TableWriter("jsn", io.BytesIO())


def test_text_streams(capsysbinary):
    stream = io.StringIO()
    with TableWriter("csv", stream) as table:
        table.row({"a": 1})
    assert stream.getvalue() == "a\n1\n"
    print("before")
    with TableWriter("tsv", sys.stdout) as table:
        table.row({"path": "caf\udce9"})
    assert capsysbinary.readouterr().out == b"before\npath\ncaf\xe9\n"


def test_csv_on_a_terminal():
    class Terminal(io.BytesIO):
        def isatty(self):
            return True

    stream = Terminal()
    with TableWriter("csv", stream) as table:
        table.row({"path": "a\x1b[2J"})
    assert stream.getvalue() == b"path\na\\x1b[2J\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk():
    with open("/dev/full", "wb") as stream:
        with pytest.raises(SystemFailure, match="the table: cannot be written: No space left"):
            with TableWriter("json", stream) as table:
                table.row({"a": 1})


def test_closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError), open(writing, "wb", buffering=0) as stream:
        with TableWriter("json", stream) as table:
            table.row({"a": 1})
