"""Pieces of texts and their places, whatever the language."""

import re

import pytest

from cnntool.grammar import NOWHERE, Cursor, Place, pieces, shown

PATTERN = re.compile(
    r"(?P<newline>\r\n|[\r\n])|(?P<space>[ \t]+)|(?P<word>[a-z]+)|(?P<value>\d+)|(?P<mark>[|=])"
)


def stray(character, place):
    return ValueError(f"{character} at {place}")


def test_pieces_know_where_they_stand():
    found = pieces("ab 1\r\n  cd=2", PATTERN, stray)
    assert [(t.kind, t.text, str(t.place), t.fresh) for t in found] == [
        ("word", "ab", "line 1, column 1", True),
        ("value", "1", "line 1, column 4", False),
        ("word", "cd", "line 2, column 3", True),
        ("mark", "=", "line 2, column 5", False),
        ("value", "2", "line 2, column 6", False),
        ("end", "", "line 2, column 7", True),
    ]
    assert str(found[0]) == "'ab'"
    assert str(found[-1]) == "the end"


def test_what_is_no_piece_is_told_by_the_language():
    with pytest.raises(ValueError, match="; at column 4"):
        pieces("ab ;", PATTERN, stray)


def test_a_cursor_goes_over_them():
    cursor = Cursor(pieces("ab=1 | cd", PATTERN, stray))
    assert cursor._follows_key()
    assert [cursor._take().text for _ in range(3)] == ["ab", "=", "1"]
    assert cursor._at("|")
    assert not cursor._at("=")
    cursor._take()
    assert not cursor._follows_key()


def test_places_without_a_text():
    assert str(NOWHERE) == "column 1"
    assert Place(3, 4, 5) != Place(3, 4, 6)


def test_shown_is_short_and_harmless():
    assert shown("a\x1b[31m") == r"a\x1b[31m"
    assert shown("x" * 50) == "x" * 39 + "…"
