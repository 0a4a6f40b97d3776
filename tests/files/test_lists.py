"""Lists of names: separators, odd bytes, streaming, and what is no list."""

import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import InputError, OptionError
from cnntool.files import read_names


def names_of(data, **options):
    return list(read_names("-", stdin=io.BytesIO(data), **options))


def test_lines():
    assert names_of(b"a.png\nb c.png\r\n\n\r\nlast") == ["a.png", "b c.png", "last"]
    assert names_of(b"") == []
    assert names_of("\ufeffa.png\nb.png\n".encode()) == ["a.png", "b.png"]
    assert names_of("\ufeffonly.png".encode()) == ["only.png"]
    assert names_of(b"caf\xe9.png\n") == ["caf\udce9.png"]


def test_null_separated():
    assert names_of(b"a\nb.png\0c\r\0\0d", null=True) == ["a\nb.png", "c\r", "d"]


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=30), st.booleans())
@settings(deadline=None, max_examples=100)
def test_all_bytes_survive(raw, null):
    unwanted = [b"\0"] if null else [b"\0", b"\n", b"\r"]
    for bad in unwanted:
        raw = [name.replace(bad, b"") for name in raw]
    raw = [name for name in raw if name and name[:3] != b"\xef\xbb\xbf"]
    separator = b"\0" if null else b"\n"
    data = b"".join(name + separator for name in raw)
    assert [os.fsencode(name) for name in names_of(data, null=null)] == raw


def test_names_across_blocks(tmp_path):
    many = [f"folder/{'n' * (i % 200)}-{i}.png" for i in range(5000)]
    path = tmp_path / "list.txt"
    path.write_text("\n".join(many))
    assert list(read_names(str(path))) == many


def test_names_come_before_the_list_ends():
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb", buffering=0) as pipe:
        names = read_names("-", stdin=stream)
        pipe.write(b"first.png\nsec")
        assert next(names) == "first.png"
        pipe.write(b"ond.png\n")
        assert next(names) == "second.png"


def test_what_is_no_list(tmp_path):
    with pytest.raises(OptionError, match="NUL characters between names; add -0"):
        names_of(b"a\0b\0")
    with pytest.raises(InputError, match=r"no list of file names.* without a line end"):
        names_of(b"x" * 200_000)
    with pytest.raises(InputError, match="without a NUL character; leave out -0"):
        names_of(b"a.png\n" * 20_000, null=True)
    with pytest.raises(InputError, match=r"no-list.txt': the list cannot be read: No such file"):
        list(read_names(str(tmp_path / "no-list.txt")))
    with pytest.raises(InputError, match="the list cannot be read: Is a directory"):
        list(read_names(str(tmp_path)))


def test_closed_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="standard input: the list cannot be read: it is closed"):
        list(read_names("-"))
