"""IDX files: what is read, and what is refused before anything is allocated."""

import gzip
import json
import struct
import zlib

import numpy as np
import pytest
from data_files import idx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cnntool.data import memory
from cnntool.data.idx import read_idx
from cnntool.errors import LimitError, ModelFileError

IMAGES = np.arange(36, dtype=np.uint8).reshape(4, 3, 3)


@pytest.fixture
def read(tmp_path):
    """Reads a file of these bytes."""

    def function(data, name="a-idx"):
        path = tmp_path / name
        path.write_bytes(data)
        return read_idx(str(path))

    return function


def refused(read, data, words, name="a-idx"):
    with pytest.raises(ModelFileError, match=words) as caught:
        read(data, name)
    assert name in str(caught.value) and caught.value.exit_code == 4


# --- what is read ---


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_type_comes_back(read, kind, packed, rng):
    values = rng.uniform(-100, 100, (3, 2, 5)) if kind[0] == "f" else rng.integers(0, 99, (3, 2, 5))
    array = values.astype(kind)
    data = gzip.compress(idx(array)) if packed else idx(array)
    found = read(data)
    assert found.dtype == np.dtype(kind) and found.dtype.isnative
    np.testing.assert_array_equal(found, array)
    found[0] = 0  # may be written to


def test_order_of_bytes_is_big_endian(read):
    assert read(b"\0\0\x0b\x01\0\0\0\x02\x01\x02\xff\xfe").tolist() == [258, -2]


@settings(max_examples=40)
@given(
    array=arrays.arrays(
        st.sampled_from([np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64]),
        arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
    ),
    packed=st.booleans(),
)
def test_any_array_comes_back(tmp_path_factory, array, packed):
    data = idx(array)
    path = tmp_path_factory.mktemp("idx") / "a"
    path.write_bytes(gzip.compress(data) if packed else data)
    np.testing.assert_array_equal(read_idx(str(path)), array)


def test_an_empty_set(read):
    assert read(idx(np.zeros((0, 3, 3), np.uint8))).shape == (0, 3, 3)


def test_content_tells_whether_it_is_packed(read):
    assert read(gzip.compress(idx(IMAGES)), "a.idx").shape == (4, 3, 3)
    assert read(idx(IMAGES), "a.gz").shape == (4, 3, 3)


def test_gzip_members_in_a_row(read):
    data = idx(IMAGES)
    packed = gzip.compress(data[:20]) + gzip.compress(b"") + gzip.compress(data[20:])
    np.testing.assert_array_equal(read(packed), IMAGES)


def test_large_packed_files(read, rng):
    array = rng.integers(0, 4, (700, 60, 70), dtype=np.uint8)  # over two blocks, packed and not
    np.testing.assert_array_equal(read(gzip.compress(idx(array), 1)), array)


# --- headers ---


HEADERS = [
    (b"", "the file is empty"),
    (b"\0\0\x08", "no IDX file: 3 bytes"),
    (b"\0\x01\x08\x01\0\0\0\0\0\0\0\0", "begins with two zero bytes: of unknown content"),
    (struct.pack("<4I", 2051, 4, 3, 3) + bytes(36), "its header is little-endian"),
    (b"\0\0\x0a\x01\0\0\0\x00", "unknown type of samples 0x0A; IDX has 0x08, 0x09, 0x0B"),
    (b"\0\0\x08\0", "0 dimensions; 1 to 8 make sense"),
    (b"\0\0\x08\xff" + bytes(40), "255 dimensions; 1 to 8 make sense"),
    (b"\0\0\x08\x03\0\0\0\x04\0\0\0\x03\0\0", "it ends inside its header"),
    (b"\x89PNG\r\n\x1a\n" + bytes(40), "this is a PNG picture"),
    (b"%PDF-1.4" + bytes(40), "a PDF file"),
    (b"\x93NUMPY\x01\0" + bytes(40), "this is a .npy picture"),
]


@pytest.mark.parametrize(("data", "words"), HEADERS)
@pytest.mark.parametrize("packed", [False, True])
def test_headers_that_are_none(read, data, words, packed):
    refused(read, gzip.compress(data) if packed else data, words)


# --- lengths ---


def test_every_cut_is_noticed(read):
    data = idx(IMAGES)
    for end in range(len(data)):
        with pytest.raises(ModelFileError):
            read(data[:end])
    refused(read, data[:-1], "36 bytes of samples expected, 35 found: 1 are missing")


def test_every_cut_of_a_packed_file_is_noticed(read):
    data = gzip.compress(idx(IMAGES))
    for end in range(len(data)):
        with pytest.raises(ModelFileError):
            read(data[:end])
    refused(read, data[:-4], "the gzip data end too early")


def test_no_byte_too_many(read):
    refused(read, idx(IMAGES) + b"x", "36 bytes of samples expected, 37 found: 1 are too many")
    packed = gzip.compress(idx(IMAGES) + b"x")
    refused(read, packed, "more than the 36 bytes of samples that its header announces")


def test_fewer_packed_bytes_than_announced(read):
    refused(read, gzip.compress(idx(IMAGES)[:-3]), "36 bytes of samples expected, 33 found")


def claim(*sizes, kind=8):
    return bytes([0, 0, kind, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


@pytest.mark.parametrize(
    "sizes", [(2**32 - 1, 2**32 - 1, 2**32 - 1), (2**31, 2, 1), (60_000, 280, 280)]
)
def test_claims_are_compared_before_anything_is_allocated(read, sizes, monkeypatch):
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("allocated"))
    refused(read, claim(*sizes) + bytes(8), r"bytes of samples expected, 8 found: \d+ are missing")
    packed = gzip.compress(claim(*sizes) + bytes(8))
    refused(read, packed, r"more than \d+ bytes of gzip data can hold")


def test_more_than_the_memory(read, monkeypatch):
    monkeypatch.setattr(memory, "budget", lambda: 35)
    with pytest.raises(
        LimitError, match="its samples need 36 bytes of memory, a data set may take"
    ):
        read(idx(IMAGES))


def test_a_bomb_stays_packed(read, monkeypatch):
    """A file that unpacks to far more than it says is left after one byte too many."""
    taken = []
    real = zlib.decompressobj

    class Counting:
        def __init__(self, wbits):
            self.inner = real(wbits=wbits)

        def decompress(self, data, most):
            block = self.inner.decompress(data, most)
            taken.append(len(block))
            return block

        def __getattr__(self, name):
            return getattr(self.inner, name)

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    bomb = gzip.compress(idx(IMAGES) + bytes(30_000_000))
    refused(read, bomb, "more than the 36 bytes of samples that its header announces")
    assert sum(taken) == len(idx(IMAGES)) + 1


# --- damaged gzip ---


def test_every_flipped_bit_of_a_packed_file_is_noticed(read):
    data = gzip.compress(idx(IMAGES), mtime=0)
    unseen = []
    for place in range(8 * len(data)):
        spoiled = bytearray(data)
        spoiled[place // 8] ^= 1 << place % 8
        try:
            if not np.array_equal(read(bytes(spoiled)), IMAGES):
                unseen.append(place)
        except ModelFileError:
            pass
    assert not unseen  # time and system of the header may change; samples may not


def test_words_about_damaged_gzip(read):
    data = gzip.compress(idx(IMAGES))
    spoiled = data[:-8] + bytes([data[-8] ^ 1]) + data[-7:]
    refused(read, spoiled, r"damaged gzip data \(.*incorrect data check\)")
    refused(read, data + b"garbage", "bytes after the end of the gzip data")
    refused(read, data + b"\0", "bytes after the end of the gzip data")
    refused(read, data + data[:1], "bytes after the end of the gzip data")


# --- no file ---


def test_no_file(tmp_path):
    with pytest.raises(ModelFileError, match="cannot be read: no such file"):
        read_idx(str(tmp_path / "gone"))
    with pytest.raises(ModelFileError, match="Is a directory"):
        read_idx(str(tmp_path))
    with pytest.raises(ModelFileError, match="no regular file"):
        read_idx("/dev/null")
    with pytest.raises(ModelFileError, match="embedded null"):
        read_idx("a\0b")


# --- the collection ---

TRAIN_ONLY = {
    "labels-out-of-range.idx1", "labels-count-5.idx1", "labels-2d.idx", "f32-nan.idx",
}  # fmt: skip
HINTS = {
    "little-endian-magic": "little-endian",
    "dtype-0x0A": "unknown type of samples 0x0A",
    "short-1": "36 bytes of samples expected, 35 found",
    "long+1": "1 are too many",
    "png-named-idx.idx": "this is a PNG",
}


@pytest.mark.shared
def test_verdicts_on_the_collection(shared_data):
    folder = shared_data / "malformed"
    cases = json.loads((folder / "idx-malformed.manifest.json").read_text())
    assert len(cases) == 29
    for case in cases:
        name = case["file"].replace("^", "p")  # as the file is called
        path = str(folder / "idx-malformed" / name)
        if case["expect"].startswith("accept") or name in TRAIN_ONLY:
            array = read_idx(path)
            assert array.size or name == "ok-n0.idx", name
        else:
            assert case["expect"].startswith("reject"), case
            with pytest.raises(ModelFileError, match=HINTS.get(name)):
                read_idx(path)
    assert read_idx(f"{folder}/idx-malformed/ok-int16-BE.idx").dtype == np.int16
