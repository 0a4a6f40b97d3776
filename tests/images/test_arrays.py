import io
import struct
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import InputError
from cnntool.images import arrays, decode

RNG = np.random.default_rng(2)


def saved(array, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npy(text: str, body: bytes = b"", version=(1, 0)) -> bytes:
    """A file with any header."""
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin-1") + body


def header(descr="'|u1'", fortran="False", shape="(2, 3)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("code", ["u1", "u2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 2), (4, 5, 3), (4, 5, 4)])
@pytest.mark.parametrize("layout", "CF")
def test_numpy_s_files(order, code, shape, layout):
    array = np.asarray(RNG.integers(0, 200, shape), order + code, order=layout)
    picture = decode(saved(array))
    assert picture.pixels.dtype == np.dtype(code)
    assert picture.pixels.dtype.isnative
    assert picture.pixels.flags.c_contiguous
    np.testing.assert_array_equal(picture.pixels, array[:, :, 0] if shape[2:] == (1,) else array)
    assert (picture.format, picture.alpha, picture.notes) == ("npy", False, ())


def test_infinite_and_nan_are_allowed():
    array = np.array([[np.nan, np.inf], [-np.inf, -0.0]], np.float32)
    np.testing.assert_array_equal(decode(saved(array)).pixels, array)


@pytest.mark.parametrize(
    ("dtype", "becomes", "note"),
    [
        (np.float16, np.float32, None),
        (np.int8, np.float32, "int8 samples read as float32"),
        (np.int16, np.float32, "int16 samples read as float32"),
        (np.int32, np.float64, "int32 samples read as float64"),
        (np.uint32, np.float64, "uint32 samples read as float64"),
        (np.int64, np.float64, "int64 samples read as float64"),
        (np.uint64, np.float64, "uint64 samples read as float64"),
    ],
)
def test_other_numbers_become_floats(dtype, becomes, note):
    array = np.arange(6).reshape(2, 3).astype(dtype) - np.array(2).astype(dtype)
    picture = decode(saved(array))
    assert picture.pixels.dtype == becomes
    np.testing.assert_array_equal(picture.pixels, array.astype(becomes))
    assert picture.notes == ((note,) if note else ())


def test_booleans_become_black_and_white():
    picture = decode(saved(np.array([[True, False, True]])))
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.tolist() == [[255, 0, 255]]
    assert picture.notes == ("true and false read as 255 and 0",)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions(version):
    assert decode(npy(header(), b"abcdef", version)).pixels.tolist() == [
        [97, 98, 99],
        [100, 101, 102],
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{'shape': (2, 3), 'descr': '|u1', 'fortran_order': False}",
        '{"descr":"|u1","fortran_order":False,"shape":(2,3,)}',
        "  {'descr': '|u1', 'fortran_order': False, 'shape': (2L, 3L), }   \n",
        "{'descr': 'u1', 'fortran_order': False, 'shape': (2, 3), }",
    ],
)
def test_other_spellings_of_a_header(text):
    assert decode(npy(text, b"abcdef")).pixels.shape == (2, 3)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"\x93NUMPY", "truncated .npy"),
        (b"\x93NUMPY\x01\x00\x76", "truncated .npy"),
        (npy(header(), b"abcdef", (4, 0)), r"damaged .npy \(unknown format version 4\.0\)"),
        (npy(header())[:-9], "truncated .npy"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{", "a header of 2147483647 bytes, more than 10000"),
        (npy(header(), b"abcde"), r"truncated .npy \(1 of 6 bytes of samples are missing\)"),
        (npy(header(), b"abcdefg"), r"damaged .npy \(1 bytes too many\)"),
        (npy("[1, 2]"), "damaged .npy .its header is no dictionary"),
        (npy("{}"), "does not hold descr, fortran_order and shape alone"),
        (npy("{'descr': '|u1', 'fortran_order': False, }"), "does not hold descr"),
        (npy(header()[:-3] + "'more': True}"), "does not hold descr, .* alone"),
        (npy(header()[:-3] + "'descr': '|u1'}"), "its header is not what NumPy writes"),
        (npy(header(shape="(2, 3) + (4,)")), "its header is not what NumPy writes"),
        (npy(header(shape="(2, -3)")), "its header is not what NumPy writes"),
        (npy(header(shape="(2, 3.0)")), "its header is not what NumPy writes"),
        (npy(header(shape="(2 3)")), "a size in its header that is no number"),
        (npy(header(shape="(2,, 3)")), "a size in its header that is no number"),
        (npy(header(shape="'(2, 3)'")), "a value of the wrong kind in its header"),
        (npy(header(fortran="0")), "its header is not what NumPy writes"),
        (npy(header(fortran="'no'")), "a value of the wrong kind in its header"),
        (npy(header(descr="__import__('os').system('id')")), "its header is not what NumPy writes"),
        (npy(header(descr="True")), "a value of the wrong kind in its header"),
        (npy(header(descr="[('a', '<f4'), ('b', '|O')]")), "a structured array; a picture"),
        (npy(header(descr="'|O'")), "Python objects; these are never loaded"),
        (npy(header(descr="'<c8'")), "complex numbers; a picture has uint8, uint16, float32"),
        (npy(header(descr="'|V2147483647'")), "dtype '.V2147483647'; a picture has uint8"),
        (npy(header(descr="'<U9'")), "dtype '<U9'; a picture has"),
        (npy(header(descr="'<f3'")), "dtype '<f3'; a picture has"),
        (npy(header(descr="'\x1b[31m'")), r"dtype '\\033\[31m'; a picture has"),
        (npy(header(shape="()")), r"array of \(\); .* is H x W or H x W x C with C up to 4$"),
        (npy(header(shape="(6,)")), "array of 6; a picture is H x W"),
        (npy(header(shape="(2, 0)")), r"an empty array \(2 x 0\)"),
        (npy(header(shape="(8, 30, 40)")), "8 x 30 x 40; .* a stack of several results, take one"),
        (npy(header(shape="(2, 3, 4, 3)")), "array of 2 x 3 x 4 x 3; .* if it is a stack"),
        (npy(header(shape="(1, 2, 3, 4, 5)")), "array of 1 x 2 x 3 x 4 x 5; a picture is"),
        (npy(header("'<f8'", shape="(65500, 65500)")), "need .* of memory"),
        (npy(header("'<f8'", shape="(99999999999, 99999999999)")), "a side is longer"),
    ],
)  # fmt: skip
def test_damage(data, match):
    with pytest.raises(InputError, match=match) as caught:
        decode(data)
    assert len(str(caught.value)) <= 200
    assert str(caught.value).isprintable()


def test_objects_are_never_loaded():
    seen = []

    class Trap:
        def __reduce__(self):
            return (seen.append, ("run",))

    data = saved(np.array([[Trap()]]), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects"):
        decode(data)
    assert seen == []


def test_nothing_is_imported_run_or_opened():
    decode(saved(np.zeros((2, 3))))
    events = []
    active = True
    watched = ("import", "exec", "compile", "open", "pickle.find_class", "subprocess.Popen")

    def hook(event, arguments):
        if active and event in watched:
            events.append((event, arguments))

    sys.addaudithook(hook)
    try:
        decode(saved(np.ones((2, 3))))
    finally:
        active = False
    assert events == []


def test_every_cut_is_an_error():
    data = saved(RNG.integers(0, 256, (5, 7, 3)).astype(np.uint8))
    for end in range(len(data)):
        with pytest.raises(InputError):
            decode(data[:end])


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "f4", ">f8", "i8", "?"])
@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 3, 4), (5, 2, 3, 4), (2, 0)])
def test_writing_is_what_numpy_reads(dtype, shape):
    array = RNG.integers(0, 2, shape).astype(dtype)
    data = arrays.write(array)
    back = np.load(io.BytesIO(data), allow_pickle=False)
    assert back.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(back, array)
    assert data.index(b"\n") % 64 == 63


def test_writing_is_what_numpy_writes():
    array = RNG.normal(size=(3, 4)).astype(np.float32)
    assert arrays.write(array) == saved(array)
    assert arrays.write(array.T) == saved(np.ascontiguousarray(array.T))


@settings(deadline=None, max_examples=100)
@given(st.text("{}()[]'\",:|<>=0123456789uifbcOTrueFalse desc_hapt\n", max_size=80))
def test_any_header_gives_a_picture_or_our_error(text):
    try:
        decode(npy(text, b"abcdef"))
    except InputError as error:
        assert ".npy" in str(error)
