"""Charts in text: where lines run, what stands beside them, what a terminal can show."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.report.terminal_chart import NARROWEST, ROWS, Chart, drawn, encodable, side_by_side


def area(rows):
    """The rows of lines, behind the axis."""
    signs = "┤│+|"
    return [
        row[min(row.index(sign) for sign in signs if sign in row) + 1 :]
        for row in rows[1 : 1 + ROWS]
    ]


def test_a_falling_line():
    rows = drawn(Chart("loss", {"train": [(1, 8.0), (2, 1.0)]}), 24 + 3, unicode=False)
    assert [len(row) for row in rows[-2:]] == [27, 27]
    assert rows[0] == "loss"
    assert rows[1].startswith("8 +*")
    assert rows[4].startswith("5 +")
    assert rows[8].startswith("1 +")
    assert rows[8].endswith("*")
    assert rows[9] == "  +" + "-" * 24
    assert rows[10] == "   1" + " " * 22 + "2"
    steps = [[place for place, sign in enumerate(row) if sign == "*"] for row in area(rows)]
    assert all(steps)
    flat = [place for row in steps for place in row]
    assert flat == sorted(flat) == list(range(24))


def test_braille_has_eight_dots_a_cell():
    rows = drawn(Chart("", {"line": [(0, 0.0), (1, 1.0)]}), 40)
    signs = "".join(area(rows)).replace(" ", "")
    assert set(signs) <= {chr(0x2800 + bits) for bits in range(1, 256)}
    first, last = area(rows)[-1][0], area(rows)[0][-1]
    assert ord(first) - 0x2800 & 0x40  # the lowest dot on the left
    assert ord(last) - 0x2800 & 0x08  # the highest on the right


def test_two_lines_have_names_at_their_ends():
    lines = {"train": [(1, 1.0), (9, 0.0)], "validation": [(1, 1.0), (9, 0.5)]}
    rows = drawn(Chart("loss", lines, "epoch"), 50, unicode=False)
    assert rows[8].endswith("* train")
    assert rows[4].endswith("o validation") or rows[5].endswith("o validation")
    assert "#" in rows[1]  # where both begin
    assert rows[-1].split() == ["1", "epoch", "9"]
    dotted = drawn(Chart("loss", lines), 50)
    alone = drawn(Chart("loss", {"train": lines["validation"]}), 50)
    assert "".join(dotted) != "".join(alone)


def test_names_of_ends_in_one_row_stand_below_each_other():
    lines = {"a": [(1, 1.0), (2, 0.0)], "b": [(1, 0.5), (2, 0.0)]}
    rows = drawn(Chart("", lines), 40)
    assert rows[8].endswith(" a")
    assert rows[7].endswith(" b")


def test_logarithmic_heights():
    points = [(1, 1.0), (2, 0.1), (3, 0.01)]
    rows = drawn(Chart("", {"line": points}, logarithmic=True), 30, unicode=False)
    linear = drawn(Chart("", {"line": points}), 30, unicode=False)
    middle = len(area(rows)[0]) // 2
    assert [row.split()[0] for row in (rows[1], rows[4], rows[8])] == ["1", "0.14", "0.01"]
    assert max(len(row) for row in area(rows)[4:]) > middle
    assert area(linear)[4].count("*") < area(rows)[4].count("*") + 2
    # numbers that have no logarithm
    zero = Chart("", {"line": [(1, 1.0), (2, 0.0)]}, logarithmic=True)
    assert drawn(zero, 30) == drawn(Chart("", {"line": [(1, 1.0), (2, 0.0)]}), 30)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.5, 1.0, ["100.0 %", "78.6 %", "50.0 %"]),
        (0.99, 0.995, ["99.50 %", "99.29 %", "99.00 %"]),
    ],
)
def test_percent(low, high, labels):
    rows = drawn(Chart("", {"line": [(1, low), (2, high)]}, percent=True), 40)
    assert [row.split(" ┤")[0].strip() for row in rows if "┤" in row] == labels


def test_a_level_line():
    rows = drawn(Chart("", {"line": [(1, 3.0), (2, 3.0)]}), 40, unicode=False)
    assert sum("**" in row for row in rows) == 1
    zero = drawn(Chart("", {"line": [(1, 0.0), (2, 0.0)]}), 40, unicode=False)
    assert sum("**" in row for row in zero) == 1


@settings(max_examples=60)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=300),
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30),
    st.integers(NARROWEST, 120),
    st.booleans(),
    st.booleans(),
)
def test_rows_fit(first, second, width, unicode, logarithmic):
    lines = {"train": list(enumerate(first)), "validation": list(enumerate(second))}
    rows = drawn(Chart("title", lines, "epoch", logarithmic=logarithmic), width, unicode=unicode)
    assert len(rows) == ROWS + 3
    assert all(len(row) <= width for row in rows)
    assert unicode or all(row.isascii() for row in rows)


def test_side_by_side():
    assert side_by_side(["ab", "c"], ["d", "e", "f"], 4) == ["ab  d", "c   e", "    f"]


@pytest.mark.parametrize(
    ("encoding", "possible"),
    [
        ("utf-8", True), ("UTF-8", True), ("utf-16", True), ("gb18030", True), ("ascii", False),
        ("latin-1", False), ("cp437", False), ("cp1252", False), ("no such", False), (None, False),
        ("", False),
    ],
)  # fmt: skip
def test_encodings(encoding, possible):
    assert encodable(encoding) is possible
