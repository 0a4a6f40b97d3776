# ruff: noqa: E501 - tables of headers, each beside what is said of it
"""Headers that lie, in files of other programs and in sealed ones."""

import json
import struct
import time
import tracemalloc

import numpy as np
import pytest
import sealed_files
from sealed_files import raw, raw_sealed

from cnntool.errors import ModelFileError
from cnntool.nn.tensor_file import decode
from cnntool.nn.tensor_header import MAX_HEADER


def entry(dtype="F32", shape="[1]", offsets="[0,4]", name="a", extra=""):
    return f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}{extra}}}'


FOUR = bytes(4)

ENTRIES = [
    ("no object", '"a":[]', FOUR, "array 'a' is not described by dtype, shape and data_offsets alone"),
    ("null", '"a":null', FOUR, "array 'a' is not described by"),
    ("a field more", entry(extra=',"stride":1'), FOUR, "array 'a' is not described by"),
    ("a field less", '"a":{"dtype":"F32","shape":[1]}', FOUR, "array 'a' is not described by"),
    ("unknown dtype", entry("F13"), FOUR, "array 'a' has a dtype 'F13'; possible are F64, I64, U64, F32"),
    ("complex", entry("C64", "[0]", "[0,0]"), b"", "array 'a' has a dtype 'C64'"),
    ("dtype in small letters", entry("f32"), FOUR, "array 'a' has a dtype 'f32'"),
    ("dtype of NumPy", entry("<f4"), FOUR, "array 'a' has a dtype '<f4'"),
    ("dtype a number", entry().replace('"F32"', "32"), FOUR, "array 'a' has a dtype that is no text"),
    ("dtype a list", entry().replace('"F32"', '["F32"]'), FOUR, "array 'a' has a dtype that is no text"),
    ("negative size", entry(shape="[-1]"), FOUR, "array 'a' has an impossible shape; it must be at most 8 sizes"),
    ("two negative sizes", entry(shape="[-1,-1]"), FOUR, "array 'a' has an impossible shape"),
    ("size with a fraction", entry(shape="[1.0]"), FOUR, "array 'a' has an impossible shape"),
    ("size true", entry(shape="[true]"), FOUR, "array 'a' has an impossible shape"),
    ("size a text", entry(shape='["1"]'), FOUR, "array 'a' has an impossible shape"),
    ("shape a number", entry(shape="1"), FOUR, "array 'a' has an impossible shape"),
    ("shape an object", entry(shape="{}"), FOUR, "array 'a' has an impossible shape"),
    ("nine axes", entry(shape="[1,1,1,1,1,1,1,1,1]"), FOUR, "array 'a' has an impossible shape"),
    ("product past 64 bits", entry(shape="[4294967296,4294967296,4294967296]"), FOUR, "array 'a' has an impossible shape"),
    ("product 2^64 + 1 numbers", entry(shape="[274177,67280421310721]"), FOUR, "array 'a' has an impossible shape"),
    ("none of very many", entry(shape="[0,4611686018427387904]", offsets="[0,0]"), b"", "array 'a' has an impossible shape"),
    ("begin behind end", entry(offsets="[4,0]"), FOUR, "array 'a' has impossible data_offsets; they must be its begin and end"),
    ("one offset", entry(offsets="[4]"), FOUR, "array 'a' has impossible data_offsets"),
    ("three offsets", entry(offsets="[0,4,4]"), FOUR, "array 'a' has impossible data_offsets"),
    ("negative offset", entry(offsets="[-4,0]"), FOUR, "array 'a' has impossible data_offsets"),
    ("offset with a fraction", entry(offsets="[0,4.0]"), FOUR, "array 'a' has impossible data_offsets"),
    ("offset false", entry(offsets="[false,4]"), FOUR, "array 'a' has impossible data_offsets"),
    ("too few bytes", entry(shape="[2]"), FOUR, "array 'a' needs 8 bytes, its data_offsets leave it 4"),
    ("too many bytes", entry(shape="[]", offsets="[0,8]"), bytes(8), "array 'a' needs 4 bytes, its data_offsets leave it 8"),
    ("data missing", entry(shape="[2]", offsets="[0,8]"), FOUR, "truncated: 4 of 8 bytes of data are there; make or fetch it again"),
    ("a terabyte", entry(shape="[274877906944]", offsets="[0,1099511627776]"), FOUR, "truncated: 4 of 1099511627776 bytes"),
    ("data left over", entry(), bytes(9), "5 bytes behind the last array belong to nothing"),
    ("data of nothing", "", FOUR, "4 bytes behind the last array belong to nothing"),
    ("gap in front", entry(offsets="[4,8]"), bytes(8), "array 'a' leaves a gap in front: it begins at byte 4 of the data, not at 0"),
    ("gap between", entry() + "," + entry(name="b", offsets="[8,12]"), bytes(12), "array 'b' leaves a gap in front: it begins at byte 8 of the data, not at 4"),
    ("overlap", entry(shape="[2]", offsets="[0,8]") + "," + entry(name="b", offsets="[4,8]"), bytes(8), "array 'b' overlaps the one before: it begins at byte 4 of the data, not at 8"),
    ("the same bytes twice", entry() + "," + entry(name="b"), FOUR, "overlaps the one before"),
    ("a name twice", entry() + "," + entry(), FOUR, "its header is unusable: the key 'a' stands twice"),
    ("a field twice", entry(extra=',"dtype":"F32"'), FOUR, "its header is unusable: the key 'dtype' stands twice"),
    ("NaN", entry(shape="[NaN]"), FOUR, "its header is unusable: NaN is no JSON number"),
    ("Infinity", entry(offsets="[0,Infinity]"), FOUR, "its header is unusable: Infinity is no JSON number"),
    ("very many digits", entry(shape="[" + "1" * 5000 + "]"), FOUR, "a number of 5000 digits"),
    ("very deep", '"a":' + "[" * 100_000, FOUR, "its header is unusable: JSON that is nested too deep"),
    ("nameless", entry(name=""), FOUR, "an array is called ''; names are printable, at most 512 characters long, and no paths"),
    ("long name", entry(name="a" * 513), FOUR, "an array is called 'aaaaaaa"),
    ("a way out", entry(name="../../etc/passwd"), FOUR, "an array is called '../../etc/passwd'"),
    ("a way out on Windows", entry(name=r"a\\..\\b"), FOUR, r"an array is called 'a\..\b'"),
    ("from the root", entry(name="/etc/passwd"), FOUR, "an array is called '/etc/passwd'"),
    ("escape sequence", entry(name=r"a\u001b[31m"), FOUR, r"an array is called 'a\x1b[31m'"),
    ("right to left", entry(name=r"a\u202eb"), FOUR, r"an array is called 'a\u202eb'"),
    ("half a character", entry(name=r"a\ud800"), FOUR, r"an array is called 'a\ud800'"),
    ("neither yes nor no", entry("BOOL", "[2]", "[0,2]"), b"\1\2", "array 'a' holds a byte that is neither 0 nor 1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "data", "message"), [row[1:] for row in ENTRIES], ids=[row[0] for row in ENTRIES]
)
def test_entries_that_lie(entries, data, message):
    files = [(raw_sealed(entries, data), True), (raw("{" + entries + "}", data), False)]
    for file, require_digest in files:
        with pytest.raises(ModelFileError) as caught:
            decode(file, where="'x.safetensors'", require_digest=require_digest)
        assert str(caught.value).startswith("'x.safetensors': ")
        assert message in str(caught.value)
        assert len(str(caught.value)) <= 260


HEADERS = [
    ("empty file", b"", "no safetensors file, as models are: the file is empty"),
    ("7 bytes", bytes(7), "no safetensors file, as models are: 7 bytes are too few for one"),
    ("no header", bytes(8), "its header is no JSON object"),
    ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(40), "no safetensors file, as models are: it does not begin with a header"),
    ("an archive", b"PK\3\4" + bytes(40), "it does not begin with a header"),
    ("zeros", bytes(100), "it does not begin with a header"),
    ("longer than the file", struct.pack("<Q", 1000) + b"{}", "truncated: 2 of 1000 bytes of its header are there; make or fetch it again"),
    ("2^63", struct.pack("<Q", 1 << 63) + b"{}", "its header has 9223372036854775808 bytes; at most 4194304 are read"),
    ("just too long", struct.pack("<Q", MAX_HEADER + 1) + b"{}" + b" " * MAX_HEADER, "its header has 4194305 bytes; at most 4194304 are read"),
    ("no UTF-8", raw(b'{"\xff":{}}'), "its header is no UTF-8 text"),
    ("UTF-16", raw('{"a":1}'.encode("utf-16-le")), "its header is no JSON object"),
    ("no JSON", raw("{nope}"), "its header is unusable: no JSON: expecting property name"),
    ("a list", raw("[]"), "it does not begin with a header"),
    ("null", raw("null"), "it does not begin with a header"),
    ("a space in front", raw(" {}"), "it does not begin with a header"),
    ("a new line behind", raw("{}\n"), "its header is no JSON object"),
    ("a zero behind", raw("{}\0"), "its header is no JSON object"),
    ("two objects", raw("{}{}"), "its header is unusable: no JSON: extra data at character 3"),
    ("metadata twice", raw('{"__metadata__":{},"__metadata__":{}}'), "the key '__metadata__' stands twice"),
    ("a text twice", raw('{"__metadata__":{"a":"","a":""}}'), "the key 'a' stands twice"),
    ("metadata a list", raw('{"__metadata__":["a"]}'), "its __metadata__ is no object of texts"),
    ("metadata null", raw('{"__metadata__":null}'), "its __metadata__ is no object of texts"),
    ("metadata of numbers", raw('{"__metadata__":{"a":1}}'), "its metadata entry 'a' is no text"),
    ("metadata of objects", raw('{"__metadata__":{"a":{}}}'), "its metadata entry 'a' is no text"),
    ("too many arrays", raw("{" + ",".join(entry("U8", "[0]", "[0,0]", f"{n}") for n in range(10_001)) + "}"), "10001 arrays are too many; at most 10000 fit"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "message"), [row[1:] for row in HEADERS], ids=[row[0] for row in HEADERS]
)
def test_headers_that_lie(file, message):
    with pytest.raises(ModelFileError) as caught:
        decode(file, where="'x'", require_digest=False)
    assert message in str(caught.value)


def test_what_is_unusual_but_right():
    file = raw(
        "{" + entry(name="late", offsets="[4,8]") + ","
        + entry("F64", "[0,5]", "[4,4]", "none") + ","
        + entry("I32", "[]", "[0,4]", "alone", extra="  ") + "}   ",
        struct.pack("<if", -7, 1.5),
    )  # fmt: skip
    found = decode(file, where="x", require_digest=False).tensors
    assert list(found) == ["alone", "none", "late"]
    assert found["alone"].shape == ()
    assert found["alone"] == -7
    assert found["none"].shape == (0, 5)
    assert found["late"].tolist() == [1.5]


@pytest.mark.parametrize(
    "header",
    [
        "[" * (MAX_HEADER - 200),
        "[" + "[]," * ((MAX_HEADER - 200) // 3) + "[]]",
        "{" + ",".join(f'"{n:06}":0' for n in range(300_000)) + "}",
        '"' + "\U0001f600" * ((MAX_HEADER - 200) // 4) + '"',
    ],
    ids=["deep", "wide", "keys", "text"],
)
def test_hostile_headers_cost_little(header):
    """Even with tracing, which makes it several times slower."""
    file = raw_sealed(f'"a":{header}')
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(ModelFileError):
        decode(file, where="x")
    seconds = time.process_time() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 << 20
    assert seconds < 15


def test_declared_sizes_allocate_nothing():
    file = raw_sealed(entry(shape="[268435456]", offsets="[0,1073741824]"), FOUR)
    tracemalloc.start()
    with pytest.raises(ModelFileError, match="truncated: 4 of 1073741824 bytes"):
        decode(file, where="x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


ACCEPTED = {
    "trailing_spaces_ok.safetensors",
    "zero_dim.safetensors",
    "scalar.safetensors",
    "nan_floats.safetensors",  # what an array holds is not for the container to judge
}


@pytest.mark.shared
def test_malformed_files(shared_data):
    """None passes but those that the reference reader takes, and of these not all."""
    folder = shared_data / "malformed" / "safetensors-malformed"
    manifest = folder.with_name("safetensors-malformed.manifest.json")
    rows = json.loads(manifest.read_text("utf-8"))
    assert len(rows) > 30
    passed = set()
    for row in rows:
        data = (folder / row["file"]).read_bytes()
        with pytest.raises(ModelFileError):
            decode(data, where=row["file"])
        try:
            decode(data, where=row["file"], require_digest=False)
        except ModelFileError:
            continue
        passed.add(row["file"])
    # that file is in order: the reader asked for the manifest has no such type
    assert passed == ACCEPTED | {"BF16.safetensors"}
    taken = {row["file"] for row in rows if row["result"].startswith("OK")}
    assert taken >= ACCEPTED


def test_helpers_seal_as_the_package_does():
    found = decode(raw_sealed(entry(), struct.pack("<f", 2.5), ',"k":"v"'), where="x")
    assert found.metadata == {"k": "v"}
    np.testing.assert_array_equal(found.tensors["a"], np.float32([2.5]))
    assert found.digest.encode() == sealed_files.digest(
        raw_sealed(entry(), struct.pack("<f", 2.5), ',"k":"v"')
    )
