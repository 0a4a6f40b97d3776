"""Files of named arrays: they come back, other programs agree, and no damage goes unseen."""

import contextlib
import errno
import json
import os
import struct
import threading
import tracemalloc

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed_files import FIRST, LAST, digest, flipped, raw, sealed

from cnntool.errors import InputError, ModelFileError, SystemFailure
from cnntool.nn.tensor_file import decode, encode, read_bytes
from cnntool.nn.tensor_header import MAX_HEADER

TYPES = ("float32", "float64", "uint8", "int32", "int64", "uint64", "bool")
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="/\\"),
    min_size=1,
    max_size=12,
).filter(lambda name: name.isprintable() and name not in (".", "..", "__metadata__"))
ARRAYS = st.sampled_from(TYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    )
)
TENSORS = st.dictionaries(NAMES, ARRAYS, max_size=5)
TEXTS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda name: name != "sha256"),
    st.text(st.characters(codec="utf-8"), max_size=20),
    max_size=4,
)


def small():
    """A file of arrays of several types, 400 bytes long or so."""
    return encode(
        {
            "w": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
            "steps": np.array(7, np.int64),
            "mask": np.array([True, False, True]),
        },
        {"task": "test", "words": 'a "b" ü'},
    )


def same(found, expected):
    """Equal to the last bit, type and shape; NaN is itself."""
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


@settings(max_examples=60)
@given(TENSORS, TEXTS)
def test_round_trip(tensors, metadata):
    data = encode(tensors, metadata)
    found = decode(data, where="x")
    assert found.metadata == metadata
    assert found.digest.encode() == digest(data)
    assert found.tensors.keys() == tensors.keys()
    for name, expected in tensors.items():
        same(found.tensors[name], expected)
    assert encode(found.tensors, found.metadata) == data


@settings(max_examples=60)
@given(TENSORS, TEXTS)
def test_the_reference_reader_agrees(tensors, metadata):
    found = safetensors.numpy.load(encode(tensors, metadata))
    assert found.keys() == tensors.keys()
    for name, expected in tensors.items():
        same(found[name], expected)


@settings(max_examples=60)
@given(TENSORS, TEXTS)
def test_files_of_the_reference_writer(tensors, metadata):
    data = safetensors.numpy.save(tensors, metadata or None)
    found = decode(data, where="x", require_digest=False)
    assert found.metadata == metadata
    assert found.digest == ""
    for name, expected in tensors.items():
        same(found.tensors[name], expected)
    with pytest.raises(ModelFileError, match=r"^x: not written by cnntool: its header does not"):
        decode(data, where="x")


def test_the_reference_reader_sees_the_texts(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(small())
    with safetensors.safe_open(path, framework="np") as file:
        metadata = file.metadata()
    sha256 = metadata.pop("sha256")
    assert sha256.encode() == digest(small())
    assert metadata == {"task": "test", "words": 'a "b" ü'}


def test_order_does_not_count(rng):
    tensors = {f"{n}.weight": rng.standard_normal((n, 2)) for n in range(12)}
    metadata = {"b": "1", "a": "2", "c": "3"}
    backwards = dict(reversed(tensors.items())), dict(reversed(metadata.items()))
    assert encode(tensors, metadata) == encode(*backwards)


def test_memory_layout_does_not_count(rng):
    plain = rng.standard_normal((4, 6)).astype(np.float32)
    data = encode({"x": plain}, {})
    for other in (
        np.asfortranarray(plain),
        np.repeat(plain, 2, axis=1)[:, ::2],
        plain[::-1][::-1],
        plain.astype(">f4"),
    ):
        assert encode({"x": other}, {}) == data
    single = encode({"x": np.float32(3).reshape(())}, {})
    assert decode(single, where="x").tensors["x"].shape == ()


def test_types_that_are_called_otherwise():
    both = {"a": np.zeros(2, np.longlong), "b": np.zeros(2, np.ulonglong), "c": np.zeros(2, "=i4")}
    found = decode(encode(both, {}), where="x").tensors
    assert [found[name].dtype for name in "abc"] == ["int64", "uint64", "int32"]


def test_arrays_belong_to_the_reader():
    data = bytearray(small())
    found = decode(memoryview(data), where="x").tensors
    before = {name: array.copy() for name, array in found.items()}
    data[:] = bytes(len(data))
    for name, array in found.items():
        assert array.flags.writeable
        assert array.flags.c_contiguous
        assert array.flags.aligned
        assert array.dtype.isnative
        same(array, before[name])
    assert not np.shares_memory(found["w"], found["mask"])


def test_everything_is_aligned():
    odd = {
        "a": np.zeros(3, np.uint8), "b": np.zeros(5), "c": np.zeros(7, np.float32),
        "d": np.zeros(1, bool), "e": np.zeros(3, np.int32), "f": np.zeros(1, np.uint64),
    }  # fmt: skip
    for length in range(9):
        data = encode(odd, {"": "x" * length})
        start = 8 + int.from_bytes(data[:8], "little")
        assert start % 8 == 0
        header = json.loads(data[8:start])
        for name, array in odd.items():
            assert header[name]["data_offsets"][0] % array.itemsize == 0


def test_half_precision_of_other_programs():
    halves = [0x3C00, 0xC000, 0x0001, 0x7BFF, 0x7C00, 0xFC00, 0x8000, 0x7E00]
    brains = [0x3F80, 0xC000, 0x0001, 0x7F7F, 0x7F80, 0xFF80, 0x8000, 0x7FC0]
    file = raw(
        '{"h":{"dtype":"F16","shape":[2,4],"data_offsets":[0,16]},'
        '"b":{"dtype":"BF16","shape":[2,4],"data_offsets":[16,32]},'
        '"one":{"dtype":"BF16","shape":[],"data_offsets":[32,34]},'
        '"none":{"dtype":"F16","shape":[0,3],"data_offsets":[34,34]}}',
        struct.pack("<17H", *halves, *brains, 0x4049),
    )
    found = decode(file, where="x", require_digest=False).tensors
    expected_halves = [struct.unpack("<e", struct.pack("<H", bits))[0] for bits in halves]
    expected_brains = [struct.unpack("<f", struct.pack("<HH", 0, bits))[0] for bits in brains]
    assert {str(array.dtype) for array in found.values()} == {"float32"}
    np.testing.assert_array_equal(found["h"].ravel(), np.float32(expected_halves))
    np.testing.assert_array_equal(found["b"].ravel(), np.float32(expected_brains))
    np.testing.assert_array_equal(np.signbit(found["b"].ravel()), np.signbit(expected_brains))
    assert found["one"].shape == ()
    assert found["one"] == 3.140625
    assert found["none"].shape == (0, 3)
    assert all(array.flags.writeable for array in found.values())


def test_half_precision_is_none_of_ours():
    entry = '"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}'
    head = '{"__metadata__":{"sha256":"' + "0" * 64 + '"},'
    file = sealed(raw(head + entry + "}", b"\0\0"))
    assert decode(file, where="x", require_digest=False).tensors["h"] == 0
    with pytest.raises(ModelFileError, match="array 'h' has a dtype 'F16'; possible are F64, I64"):
        decode(file, where="x")


def test_every_bit_counts():
    data = small()
    assert len(data) < 600
    for bit in range(8 * len(data)):
        with pytest.raises(ModelFileError):
            decode(flipped(data, bit), where="x")


def test_every_byte_counts():
    data = small()
    for length in range(len(data)):
        with pytest.raises(ModelFileError):
            decode(data[:length], where="x")
    for more in (b"\0", b" ", data):
        with pytest.raises(ModelFileError, match="bytes behind the last array belong to nothing"):
            decode(data + more, where="x")
        with pytest.raises(ModelFileError):
            decode(more + data, where="x")


def test_what_is_said_of_damage():
    data = small()
    with pytest.raises(ModelFileError, match="'a': damaged: its SHA-256 is not the one that it wa"):
        decode(flipped(data, 8 * len(data) - 3), where="'a'")
    with pytest.raises(ModelFileError, match="'a': truncated: 30 of 35 bytes of data are there; "):
        decode(data[:-5], where="'a'")
    with pytest.raises(ModelFileError, match="'a': truncated: 92 of 304 bytes of its header are"):
        decode(data[:100], where="'a'")


def test_digits_are_small_letters_and_the_right_ones():
    data = small()
    digits = data[FIRST:LAST]
    assert digits == digest(data)
    others = (
        digits.upper(), b"0" * 64, digits[::-1], b"f" * 64, digits[:-1] + b"g", b" " + digits[1:],
        digits[:-1] + b'"', b"\\u0030" + digits[6:], b"\xff" * 64,
    )  # fmt: skip
    for other in others:
        with pytest.raises(ModelFileError, match="damaged: its SHA-256 is not the one"):
            decode(data[:FIRST] + other + data[LAST:], where="x")
    for short in (digits[:63], digits + b"0", b""):
        with pytest.raises(ModelFileError):
            decode(data[:FIRST] + short + data[LAST:], where="x")


def test_a_seal_elsewhere_is_none():
    """The place of the digits is fixed: no two readers can disagree about them."""
    file = raw('{"__metadata__":{"a":"","sha256":"' + "0" * 64 + '"}}')
    with pytest.raises(ModelFileError, match="does not begin with a SHA-256"):
        decode(file, where="x")
    assert decode(file, where="x", require_digest=False).digest == ""
    twice = raw('{"__metadata__":{"sha256":"' + "0" * 64 + '","sha256":"' + "0" * 64 + '"}}')
    with pytest.raises(ModelFileError, match="the key 'sha256' stands twice"):
        decode(sealed(twice), where="x")


def test_a_seal_is_checked_where_there_is_one():
    data = small()
    assert decode(data, where="x", require_digest=False).digest.encode() == digest(data)
    with pytest.raises(ModelFileError, match="damaged: its SHA-256"):
        decode(flipped(data, 8 * len(data) - 3), where="x", require_digest=False)


@settings(max_examples=300)
@given(st.data())
def test_forged_files_are_read_or_refused(data):
    """Whatever stands in a file that is sealed anew: an answer or an error of ours, never more."""
    file = bytearray(small())
    start = 8 + int.from_bytes(file[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, start - 1))
        file[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    if len(file) > LAST:
        file = sealed(bytes(file))
    with contextlib.suppress(ModelFileError):
        found = decode(file, where="x", require_digest=data.draw(st.booleans()))
        assert sum(array.nbytes for array in found.tensors.values()) <= 2 * len(file)


def test_reading_takes_little_more_than_the_arrays():
    array = np.ones(1 << 20, np.float32)
    data = encode({"x": array}, {})
    tracemalloc.start()
    found = decode(data, where="x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < found.tensors["x"].nbytes + 100_000


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"x": np.zeros(2, np.float16)}, {}, "array 'x' is float16; possible are F64, I64, U64, F"),
        ({"x": np.zeros(2, complex)}, {}, "array 'x' is complex128; possible are"),
        ({"x": np.array(["a"])}, {}, "array 'x' is <U1; possible are"),
        ({"x": np.array([None])}, {}, "array 'x' is object; possible are"),
        ({"x": np.zeros(2, "i4,f4")}, {}, r"array 'x' is \[\('f0', '<i4'\), \('f1', '<f4'\)\]; po"),
        ({"x": np.zeros((1,) * 9)}, {}, "array 'x' has 9 axes; at most 8 fit"),
        ({"../x": np.zeros(1)}, {}, r"an array is called '\.\./x'; names are printable, at most 5"),
        ({"": np.zeros(1)}, {}, "an array is called ''; names are printable"),
        ({"a\nb": np.zeros(1)}, {}, r"an array is called 'a\\nb'"),
        ({"__metadata__": np.zeros(1)}, {}, "an array is called '__metadata__'"),
        ({}, {"sha256": ""}, "the metadata entry 'sha256' is the file's own; name it otherwise"),
        ({}, {"a": 1}, "the metadata entry 'a' is no text"),
        ({}, {"a": "\udce9"}, "a text in it holds bytes that are no characters"),
        ({}, {"\ud800": ""}, "a text in it holds bytes that are no characters"),
        ({}, {"a": "x" * MAX_HEADER}, "its names and texts need 4194408 bytes; at most 4194304"),
        (dict.fromkeys(map(str, range(10_001)), np.zeros(0)), {}, "10001 arrays are too many; at"),
    ],
)
def test_what_cannot_be_written(tensors, metadata, message):
    with pytest.raises(ModelFileError, match=f"^'x' cannot be written: {message}"):
        encode(tensors, metadata, where="'x'")


def test_as_many_arrays_as_fit():
    tensors = {f"{n}.main.0.conv.weight": np.zeros(1, np.float32) for n in range(10_000)}
    data = encode(tensors, {})
    assert int.from_bytes(data[:8], "little") < MAX_HEADER // 3
    assert len(decode(data, where="x").tensors) == 10_000


class TestReading:
    def test_whole(self, tmp_path):
        path = tmp_path / "a"
        path.write_bytes(b"12345")
        assert read_bytes(path, limit=5) == b"12345"
        assert read_bytes(str(path), limit=99) == b"12345"

    def test_larger_than_allowed(self, tmp_path):
        path = tmp_path / "big.bin"
        with path.open("wb") as file:
            file.truncate(1 << 40)  # a hole: takes no space
        with pytest.raises(ModelFileError, match=r"/big.bin': 1099511627776 bytes; at most 99 are"):
            read_bytes(path, limit=99)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("none", r"/none': no such file$"),
            ("", r"': a folder, not a file$"),
            ("a\0b", r"'\\000''b': no possible file name$"),
            ("x/none", r"/x/none': no such file$"),
            ("n" * 300, r"nnn': cannot be read: File name too long$"),
        ],
    )
    def test_nothing_to_read(self, tmp_path, name, message):
        with pytest.raises(InputError, match=message):
            read_bytes(os.path.join(tmp_path, name), limit=9)

    @pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
    def test_devices(self):
        with pytest.raises(InputError, match=r"'/dev/zero': a device, not a file$"):
            read_bytes("/dev/zero", limit=9)

    @pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
    def test_files_that_do_not_know_their_size(self):
        assert b"Name:" in read_bytes("/proc/self/status", limit=1 << 20)
        with pytest.raises(ModelFileError, match="'/proc/self/status': more than 99 bytes; at mo"):
            read_bytes("/proc/self/status", limit=99)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    @pytest.mark.parametrize(("length", "fits"), [(70_000, True), (70_001, False)])
    def test_pipes(self, tmp_path, length, fits):
        path = tmp_path / "pipe"
        os.mkfifo(path)

        def write():
            with contextlib.suppress(BrokenPipeError), path.open("wb") as pipe:
                pipe.write(b"x" * length)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            if fits:
                assert read_bytes(path, limit=70_000) == b"x" * length
            else:
                with pytest.raises(ModelFileError, match="more than 70000 bytes"):
                    read_bytes(path, limit=70_000)
        finally:
            writer.join()

    @pytest.mark.parametrize(
        ("number", "kind", "message"),
        [
            (errno.EACCES, InputError, "'a': no permission to read it"),
            (errno.EIO, InputError, "'a': cannot be read: Input/output error"),
            (errno.EMFILE, SystemFailure, "'a': cannot be read: Too many open files"),
        ],
    )
    def test_failures_of_the_system(self, monkeypatch, number, kind, message):
        def failing(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("builtins.open", failing)
        with pytest.raises(kind, match=message):
            read_bytes("a", limit=9)
