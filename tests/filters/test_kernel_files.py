"""Kernels from files: text, CSV, JSON, libvips, .npy, and files that hold none."""

import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import CnntoolError, OptionError
from cnntool.filters.kernel_files import MAX_BYTES
from cnntool.filters.kernel_text import (
    parse_kernel,
)

L = [[0, 1, 0], [-1, 2, -1], [0, 1, 0]]


def save(folder, name, content):
    path = folder / name
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8", newline="")
    else:
        path.write_bytes(content)
    return f"@{path}"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("k.txt", "0 1 0\n-1 2 -1\n0 1 0\n"),
        ("k.txt", "\ufeff# the kernel L\n0 1 0\r\n-1 2 -1  # middle\r\n\r\n0 1 0"),
        ("k.txt", "0 1 0; -1 2 -1; 0 1 0"),
        ("k.txt", "0/3, 3/3, 0\n-1 4/2 -1\n0 1 0"),
        ("k.csv", "0,1,0\n-1,2,-1\n0,1,0\n"),
        ("k.csv", "0;1;0\n-1;2;-1\n0;1;0\n"),
        ("k.csv", "0; 1; 0\n-1; 2; -1\n0; 1; 0\n"),
        ("k.tsv", "0\t1\t0\n-1\t2\t-1\n0\t1\t0\n"),
        ("k.json", "\n[[0, 1, 0], [-1, 2, -1], [0, 1, 0]]"),
        ("k.json", '{"name": "L", "weights": [[0, 1, 0], [-1, 2, -1], [0, 1, 0]]}'),
        ("k.mat", "3 3\n0 1 0\n-1 2 -1\n0 1 0\n"),
        ("k.txt", "3 3 1 0\n0 1 0\n-1 2 -1\n0 1 0\n"),
        ("noext", "3 3\n0 1 0\n-1 2 -1\n0 1 0\n"),
    ],
)
def test_text_files(tmp_path, name, content):
    kernel = parse_kernel(save(tmp_path, name, content))
    assert kernel.array().tolist() == L
    assert kernel.name == name.split(".")[0]


def test_libvips_scale_and_offset(tmp_path):
    kernel = parse_kernel(save(tmp_path, "blur.mat", "3 2 8 128\n1 2 1\n1 2 1\n"))
    assert kernel.size == (2, 3)
    assert (kernel.scale, kernel.offset) == (8, 128)
    assert kernel.array().tolist() == [[1 / 8, 2 / 8, 1 / 8]] * 2


def test_libvips_or_plain_numbers(tmp_path):
    content = "2 2\n1 0\n0 -1\n"
    assert parse_kernel(save(tmp_path, "k.mat", content)).size == (2, 2)
    assert parse_kernel(save(tmp_path, "k.csv", content)).size == (3, 2)
    with pytest.raises(
        OptionError,
        match=r"two ways, as 3×2 numbers or as a libvips matrix of 2×2; name it .mat",
    ):
        parse_kernel(save(tmp_path, "k.txt", content))
    assert parse_kernel(save(tmp_path, "plain.txt", "3 2\n1 0\n0 -1\n")).size == (3, 2)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f8", ">f4", "f2", "i1", "<i2", ">i8", "u1", "<u8"])
def test_npy(tmp_path, kind, order):
    array = np.array([[1, 2, 3], [4, 5, 100]], dtype=kind, order=order)
    np.save(tmp_path / "k.npy", array)
    kernel = parse_kernel(f"@{tmp_path / 'k.npy'}")
    assert kernel.array().tolist() == [[1, 2, 3], [4, 5, 100]]
    assert kernel.integers() is not None
    assert kernel.name == "k"


def test_npy_of_booleans_and_of_other_format_versions(tmp_path):
    np.save(tmp_path / "mask.npy", np.eye(2, dtype=bool))
    assert parse_kernel(f"@{tmp_path / 'mask.npy'}").weights == ((1, 0), (0, 1))
    for version in ((1, 0), (2, 0), (3, 0)):
        with open(tmp_path / "k.npy", "wb") as file:
            np.lib.format.write_array(file, np.array([[0.1, 0.2]]), version=version)
        assert parse_kernel(f"@{tmp_path / 'k.npy'}").array().tolist() == [[0.1, 0.2]]


class Harmful:
    def __reduce__(self):
        return print, ("unpickled",)


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros(3), "has 1 dimensions; a kernel has two"),
        (np.zeros((2, 3, 4)), "has 3 dimensions"),
        (np.float64(3), "has 0 dimensions"),
        (np.array([[1, math.nan]]), "holds NaN or infinity"),
        (np.array([[1, math.inf]]), "holds NaN or infinity"),
        (np.zeros((2, 2), complex), "no plain real numbers; save it as float64"),
        (np.array([["a"]]), "no plain real numbers"),
        (np.zeros((1, 1), "i4,f4"), "no plain real numbers"),
        (np.zeros((1, 1), np.longdouble), "no plain real numbers"),
        (np.zeros((0, 3)), "holds no numbers"),
        (np.zeros((1, 1002)), "larger than 1001×1001"),
        (np.array([[Harmful()]], dtype=object), "no plain real numbers"),
    ],
)
def test_npy_that_is_no_kernel(tmp_path, capsys, array, match):
    if array.dtype == np.longdouble and array.itemsize == 8:
        pytest.skip("long double is double here")
    np.save(tmp_path / "k.npy", array, allow_pickle=True)
    with pytest.raises(OptionError, match=match):
        parse_kernel(f"@{tmp_path / 'k.npy'}")
    assert capsys.readouterr().out == ""


def test_npy_cut_at_every_byte(tmp_path):
    np.save(tmp_path / "k.npy", np.array([[0.5, 1.5, 2.5]]))
    whole = (tmp_path / "k.npy").read_bytes()
    for length in range(len(whole)):
        with pytest.raises(OptionError, match=r"damaged|neither text nor|holds no|cannot|not a"):
            parse_kernel(save(tmp_path, "cut.npy", whole[:length]))
    with pytest.raises(OptionError, match=r"damaged .npy file: 25 bytes of data, 24 expected"):
        parse_kernel(save(tmp_path, "long.npy", whole + b"\0"))


def test_npy_that_promises_terabytes(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with pytest.raises(OptionError, match="larger than 1001×1001"):
        parse_kernel(save(tmp_path, "k.npy", data))


@given(position=st.integers(0, 151), value=st.integers(0, 255))
@settings(deadline=None, max_examples=200)
def test_npy_with_a_changed_byte_gives_only_our_errors(tmp_path_factory, position, value):
    folder = tmp_path_factory.getbasetemp()
    np.save(folder / "whole.npy", np.array([[0.5, 1.5, 2.5]]))
    data = bytearray((folder / "whole.npy").read_bytes())
    data[position] = value
    try:
        parse_kernel(save(folder, "changed.npy", bytes(data)))
    except CnntoolError as error:
        assert str(error).isprintable()


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("k.txt", "", "holds no numbers"),
        ("k.txt", "# nothing\n\n", "holds no numbers"),
        ("k.txt", "1 2 3\n4 5\n", "k.txt': row 2 has 2 values, row 1 has 3"),
        ("k.txt", "1 2\n3 four\n", "row 2, value 2: 'four' is not a number"),
        ("k.csv", "0,5;1\n", "row 1, value 1: '0,5' is not a number"),
        ("k.csv", "1,,2\n", "empty place beside a ','"),
        ("k.csv", "1;;2\n", "empty place beside a ';'"),
        ("k.json", "[[1, 2", "is not JSON"),
        ("k.mat", "3 3 0 0\n1 1 1\n1 1 1\n1 1 1\n", "divides by 0: the scale in its first row"),
        ("k.mat", "3 3\n1 2 3\n", "promises 3 rows of 3 values; 1 rows of 3 follow"),
        ("k.png", b"\x89PNG\r\n\x1a\n\0\0", "is neither text nor .npy"),
        ("k.bin", b"\xff\xfe\xfd", "is neither text nor .npy"),
    ],
)
def test_files_that_hold_no_kernel(tmp_path, name, content, match):
    with pytest.raises(OptionError, match=match):
        parse_kernel(save(tmp_path, name, content))


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # long paths are cut in messages
    with pytest.raises(OptionError, match=r"'@nothere.txt' cannot be read: No such file"):
        parse_kernel("@nothere.txt")
    with pytest.raises(OptionError, match=r"cannot be read: Is a directory"):
        parse_kernel(f"@{tmp_path}")
    with pytest.raises(OptionError, match=r"cannot be read"):
        parse_kernel("@a\0b")


def test_files_too_large_are_not_read_to_the_end(tmp_path):
    with open(tmp_path / "k.txt", "wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(OptionError, match=r"is larger than 16 MiB; is it a kernel\?"):
        parse_kernel(f"@{tmp_path / 'k.txt'}")


@pytest.mark.skipif(not hasattr(__import__("os"), "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_read_as_a_file(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("1 2 1",))
    writer.start()
    assert parse_kernel(f"@{tmp_path / 'pipe'}").weights == ((1, 2, 1),)
    writer.join()
