"""Long rows in pieces: the same text as if written at once."""

import io
import json

import numpy as np
import pytest

from cnntool.errors import NameNotFound
from cnntool.report import feature_tables
from cnntool.report.feature_tables import FeatureTable
from cnntool.report.tables import TableWriter


def written(kind, rows):
    stream = io.BytesIO()
    with FeatureTable(kind, stream) as table:
        for path, numbers in rows:
            table.features(path, numbers)
    return stream.getvalue().decode()


ROWS = [
    ("a.png", np.array([1, 2, 3, 4, 5], np.float64)),
    ('b,"\t.png', np.array([0.1, -2.5, 1e-7, 1e20, 0], np.float64)),
]


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "table"])
@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 100])
def test_pieces_make_the_whole(monkeypatch, kind, chunk):
    whole = written(kind, ROWS)
    monkeypatch.setattr(feature_tables, "_CHUNK", chunk)
    assert written(kind, ROWS) == whole


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_like_rows_of_cells(kind):
    """Columns and escapes are those of all tables."""
    stream = io.BytesIO()
    with TableWriter(kind, stream) as table:
        for path, numbers in ROWS:
            cells = {f"f{place}": value for place, value in enumerate(numbers.tolist())}
            table.row({"path": path, **cells})
    assert written(kind, ROWS) == stream.getvalue().decode()


@pytest.mark.parametrize("kind", ["u1", "u2", "f4", "f8"])
def test_numbers_read_back_the_same(kind, rng):
    numbers = (rng.random(1000) * 250).astype(kind)
    line = written("csv", [("a", numbers)]).splitlines()[1]
    assert np.array_equal(np.array(line.split(",")[1:]).astype(kind), numbers)
    found = json.loads(written("json", [("a", numbers)]))[0]["features"]
    assert np.array_equal(np.array(found, kind), numbers)


def test_no_rows():
    assert written("json", []) == "[]\n"
    assert written("csv", []) == written("jsonl", []) == ""


def test_unknown_form():
    with pytest.raises(NameNotFound, match="unknown table format 'xml'"):
        FeatureTable("xml", io.BytesIO())
