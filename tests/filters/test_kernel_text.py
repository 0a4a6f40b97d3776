"""The language of --kernel: what it reads, what it refuses and in which words."""

import json
import math
import subprocess
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import CnntoolError, NameNotFound, OptionError
from cnntool.filters.kernel import Kernel
from cnntool.filters.kernel_families import FAMILIES
from cnntool.filters.kernel_files import MAX_BYTES
from cnntool.filters.kernel_matrix import format_kernel
from cnntool.filters.kernel_text import (
    EDGE_OPERATORS,
    complete,
    parse_kernel,
    what,
    what_names,
)
from cnntool.filters.kernels import ALIASES, GROUPS, KERNELS

L = [[0, 1, 0], [-1, 2, -1], [0, 1, 0]]


# ------------------------------------------------------------------------------ what can be written
@pytest.mark.parametrize(
    "text",
    [
        "0 1 0; -1 2 -1; 0 1 0",
        "0,1,0;-1,2,-1;0,1,0",
        " 0, 1, 0 ; -1, 2, -1 ; 0, 1, 0 ; ",
        "0 1 0\n-1 2 -1\n0 1 0",
        "0 1 0;\r\n-1 2 -1;\r\n\r\n0 1 0;\r\n",
        "0\t1 0;-1 +2.0 −1;0 1e0 .0",
        "[[0, 1, 0], [-1, 2, -1], [0, 1, 0]]",
        '{"weights": [[0, 1, 0], [-1, 2, -1], [0, 1, 0]]}',
        "lecture",
    ],
)
def test_one_matrix_in_many_ways(text):
    kernel = parse_kernel(text)
    assert kernel.array().tolist() == L
    assert kernel.integers()[0].tolist() == L


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("5", [[5]]),
        ("-1 0 1", [[-1, 0, 1]]),
        ("-1;0;1", [[-1], [0], [1]]),
        ("1 0; 0 -1", [[1, 0], [0, -1]]),
        ("1,2\n3,4\n5,6", [[1, 2], [3, 4], [5, 6]]),
        ("[1, 2.5]", [[1, 2.5]]),
        (".5 -.25e1 3.", [[0.5, -2.5, 3]]),
        ("1e-3", [[0.001]]),
    ],
)
def test_any_size(text, rows):
    assert parse_kernel(text).array().tolist() == rows


def test_fractions_share_one_divisor():
    ninth = parse_kernel("1/9 1/9 1/9; 1/9 1/9 1/9; 1/9 1/9 1/9")
    assert ninth.integers()[0].tolist() == [[1, 1, 1]] * 3
    assert ninth.scale == 9
    mixed = parse_kernel("1/2 -1/3 2")
    assert mixed.integers()[0].tolist() == [[3, -2, 12]]
    assert mixed.scale == 6
    assert mixed.array().tolist() == [[1 / 2, -1 / 3, 2]]
    assert parse_kernel("1/2 0.25").weights == ((0.5, 0.25),)
    assert parse_kernel("0.5/2 1").array().tolist() == [[0.25, 1]]


def test_fractions_without_a_common_divisor_become_floats():
    text = " ".join(f"1/{p}" for p in (9973, 9967, 9949, 9941, 9931, 9929))
    kernel = parse_kernel(text)
    assert kernel.scale == 1
    assert kernel.array()[0].tolist() == [float(Fraction(t)) for t in text.split()]


def test_a_divisor_at_the_end_divides_all():
    kernel = parse_kernel("1 2 1; 2 4 2; 1 2 1 /16")
    assert kernel.array().tolist() == KERNELS["gaussian-3"].array().tolist()
    assert kernel.scale == 16
    assert parse_kernel("1 2 / 0.5").array().tolist() == [[2, 4]]
    assert parse_kernel("1/2 1/3 /2").array().tolist() == [[1 / 4, 1 / 6]]


def test_json_with_scale_and_offset():
    kernel = parse_kernel('{"weights": [[1, 1]], "scale": 2, "offset": 128}')
    assert (kernel.array().tolist(), kernel.scale, kernel.offset) == ([[0.5, 0.5]], 2, 128)


@pytest.mark.parametrize("text", ["sobel-x", "Sobel-X", " SOBEL_X ", "sobel_x"])
def test_spelling_of_names(text):
    assert parse_kernel(text) is KERNELS["sobel-x"]
    assert what(text) == "sobel-x"


@pytest.mark.parametrize(
    "text", ["gaussian:sigma=1.4", "gaussian:1.4", "Gaussian : Sigma = 1.4", "gaussian:sigma=14/10"]
)
def test_parameters_by_key_or_by_place(text):
    assert parse_kernel(text).name == "gaussian:sigma=1.4"
    assert parse_kernel(text) == parse_kernel("gaussian:1.4")


def test_places_then_keys():
    assert parse_kernel("gaussian:1.4,7") == parse_kernel("gaussian:1.4,size=7")
    assert (
        parse_kernel("gaussian:1.4,7").weights == parse_kernel("gaussian:size=7,sigma=1.4").weights
    )
    assert parse_kernel("box:size=4").size == (4, 4)
    assert parse_kernel("box:height=1,width=4").size == (1, 4)
    assert parse_kernel("box:width=4").size == (3, 4)


# -------------------------------------------------------------------------------------- round trips
numbers = st.one_of(st.integers(-(2**53), 2**53), st.floats(-1e27, 1e27))
matrices = st.integers(1, 5).flatmap(
    lambda width: st.lists(
        st.lists(numbers, min_size=width, max_size=width).map(tuple), min_size=1, max_size=6
    ).map(tuple)
)


@given(matrices, st.one_of(st.integers(1, 1000), st.floats(0.01, 1e6)))
@settings(deadline=None, max_examples=150)
def test_printed_kernels_read_back(weights, scale):
    kernel = Kernel("made", weights, scale=scale)
    again = parse_kernel(format_kernel(kernel))
    np.testing.assert_array_equal(again.array(), kernel.array())
    assert again.scale == kernel.scale
    assert again.size == kernel.size
    assert (again.integers() is None) == (kernel.integers() is None)


@given(matrices)
@settings(deadline=None, max_examples=80)
def test_json_reads_back(weights):
    again = parse_kernel(json.dumps(weights))
    np.testing.assert_array_equal(again.array(), np.array(weights, dtype=np.float64))


@given(
    st.lists(
        st.lists(st.fractions(-(10**20), 10**20, max_denominator=60), min_size=3, max_size=3),
        min_size=1,
        max_size=3,
    )
)
@settings(deadline=None, max_examples=80)
def test_fractions_are_rounded_once(rows):
    text = ";".join(" ".join(str(value) for value in row) for row in rows)
    assert parse_kernel(text).array().tolist() == [[float(v) for v in row] for row in rows]


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_prints_and_reads_back(name):
    again = parse_kernel(format_kernel(KERNELS[name]))
    assert again.weights == KERNELS[name].weights
    assert again.scale == KERNELS[name].scale


@given(st.text(max_size=30) | st.text("0123456789 ,;/.-+e\n[]{}:@=abnx\"'", max_size=30))
@settings(deadline=None, max_examples=400)
def test_any_text_gives_a_kernel_or_a_short_message(text):
    word = what(text)
    assert word and "/" not in word and word.isprintable()
    if text.strip().startswith("@"):
        text = text.replace("/", "")
    try:
        parse_kernel(text)
    except OptionError as error:
        assert len(str(error)) <= 300
        assert str(error).isprintable()


# ---------------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "the kernel is empty; write a name"),
        (" \n ", "the kernel is empty"),
        (";", "holds no numbers; write rows such as"),
        (",", "row 1 has an empty place beside a ','"),
        ("1 2; 3", "'1 2; 3': row 2 has 1 value, row 1 has 2; all rows need the same number"),
        ("1 2;; 3 4", "row 2 has 0 values, row 1 has 2"),
        ("1 2; 3 4 5", "row 2 has 3 values, row 1 has 2"),
        ("1 2; 3 x", "row 2, value 2: 'x' is not a number"),
        ("1 2 1_0", "row 1, value 3: '1_0' is not a number"),
        ("1 0x10", "'0x10' is not a number"),
        ("1 ٣", "'٣' is not a number"),
        ("3x3: 1 2 3", "row 1, value 1: '3x3:' is not a number"),
        ("1,,2", "row 1 has an empty place beside a ','"),
        ("1 2; ,3 4", "row 2 has an empty place beside a ','"),
        ("1,2,", "row 1 has an empty place"),
        ("1 nan", "row 1, value 2 is 'nan'; weights must be finite numbers"),
        ("nan", "is 'nan'; weights must be finite"),
        ("-inf 1", "is '-inf'; weights must be finite"),
        ("1e400", "'1e400' is too large"),
        ("1 1e31", r"row 1 holds 1e\+31; weights must be finite and at most 1e\+30"),
        ("1e20 /1e-20", "1e.20 divided by 1e-20 is too large"),
        ("1e300/1e-300", "'1e300/1e-300' is too large"),
        ("1/0", "'1/0' divides by 0"),
        ("1 2 /0", "divides by 0"),
        ("1 /2/3", "'/2/3' is not a number"),
        ("9" * 5000, "is too large"),
        ("1 " * 1002, "is larger than 1001×1001; take a smaller one"),
        ("1;" * 1002, "is larger than 1001×1001"),
        ("1 " * 5000, "is larger than 1001×1001"),
        ("[[1, 2], [3]]", "row 2 has 1 value, row 1 has 2"),
        ("[[1, 2], 3]", r"weights must be a list of rows, \[\[…\], …\]"),
        ("[]", "holds no numbers"),
        ("[[]]", "holds no numbers"),
        ("[[1, NaN]]", "row 1, value 2 is 'NaN'; weights must be finite"),
        ("[[1, -Infinity]]", "is '-Infinity'; weights must be finite"),
        ("[[1, true]]", "row 1, value 2 is true; a number is needed"),
        ('[[1, "2"]]', 'row 1, value 2 is "2"; a number is needed'),
        ("[[1, [2]]]", r"row 1, value 2 is \[\"2\"\]; a number is needed"),
        ("[[1, 2]", "is not JSON: .* at line 1, character"),
        ("[" * 100_000, "lists in lists in lists"),
        ('{"weight": [[1]]}', "unknown key 'weight'; a kernel in JSON has weights"),
        ('{"scale": 2}', "no key 'weights'"),
        ('{"weights": 3}', "weights must be a list of rows"),
        ('{"weights": [[1]], "scale": 0}', "divides by 0"),
        ('{"weights": [[1]], "scale": null}', "the scale is null; a number is needed"),
        ("@", "'@' needs the name of a kernel file: @kernel.txt"),
        ("@-", "cannot come from standard input, which is for pictures; name a file"),
        ("sobel-x:3", "kernel 'sobel-x' takes no parameters, got ':3'"),
        ("gaussian", "kernel 'gaussian' needs sigma; write gaussian:sigma=1.4"),
        ("gaussian:", "kernel 'gaussian': nothing follows the colon; write gaussian:sigma=1.4"),
        ("gaussian:size=3", "kernel 'gaussian' needs sigma"),
        ("gaussian:sgma=1", "kernel 'gaussian' has no parameter 'sgma'; it takes sigma, size"),
        ("gaussian:1,2,3", r"takes at most 2 values \(sigma, size\), got 3"),
        ("gaussian:sigma=1,7", "'7' follows a key=value and needs a key itself; it takes sigma"),
        ("gaussian:1,sigma=2", "kernel 'gaussian': sigma is given twice"),
        ("box:size=3,height=5", "kernel 'box': height is given twice"),
        ("gaussian:sigma=", "kernel 'gaussian': sigma has no value"),
        ("gaussian:,3", "kernel 'gaussian': sigma has no value"),
        ("gaussian:sigma=wide", "kernel 'gaussian': sigma: 'wide' is not a number"),
        ("gaussian:sigma=nan", "sigma is 'nan'; weights must be finite numbers"),
        ("gaussian:sigma=0", "sigma=0 is out of range; it must be from 0.01 to 1000"),
        ("gaussian:sigma=-1", "sigma=-1 is out of range"),
        ("gaussian:sigma=2000", "sigma=2000 is out of range"),
        (
            "gaussian:sigma=200",
            "sigma=200 needs 1601 pixels a side, more than 1001; take a smaller",
        ),
        ("gaussian:1,size=2.5", "size=2.5 must be a whole number"),
        ("gaussian:0.01,size=2", "sigma=0.01 is too small for a size of 2"),
        ("box:0", "height=0 is out of range; it must be a whole number from 1 to 1001"),
        ("box:1002", "height=1002 is out of range"),
        ("dog:2,2", "sigma1 and sigma2 are both 2, the difference is 0 everywhere"),
        ("dog:2", "kernel 'dog' needs sigma2; write dog:1,1.6"),
        ("unsharp:sigma=2,threshold=3", "a threshold makes it depend on the picture"),
        ("unsharp:2,size=4", "size=4 has no centre pixel; take 3 or 5"),
        ("gabor:wavelength=900", "needs more than 1001 pixels a side"),
        ("disk:-1", "radius=-1 is out of range; it must be from 0 to 500"),
    ],
)
def test_what_makes_no_sense_is_said(text, match):
    with pytest.raises(OptionError, match=match) as caught:
        parse_kernel(text)
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("name", ["sobel", "scharr", "prewitt", "freichen"])
def test_operators_of_two_kernels(name):
    with pytest.raises(NameNotFound) as caught:
        parse_kernel(name)
    assert str(caught.value) == (
        f"'{name}' is an operator of two kernels; did you mean {name}-x, {name}-y, or "
        f"'cnntool edges --operator {name}'?"
    )


def test_other_words_for_several_kernels():
    with pytest.raises(NameNotFound, match=r"two kernels; did you mean roberts-pos, roberts-neg, "):
        parse_kernel("roberts")
    with pytest.raises(NameNotFound) as caught:
        parse_kernel("Kirsch")
    assert str(caught.value) == (
        "'kirsch' is an operator of eight kernels; did you mean kirsch-e, kirsch-ne, kirsch-n, "
        "kirsch-nw, kirsch-w, kirsch-sw, kirsch-s, kirsch-se, or 'cnntool edges --operator kirsch'?"
    )
    with pytest.raises(
        NameNotFound, match=r"^'farid' is a set of two kernels; did you mean farid-x, or farid-y\?$"
    ):
        parse_kernel("farid")
    with pytest.raises(NameNotFound, match=r"'line' is a set of four kernels"):
        parse_kernel("line")
    with pytest.raises(
        NameNotFound,
        match=r"'canny' is an edge operator, not a kernel; did you mean "
        r"'cnntool edges --operator canny'\?",
    ):
        parse_kernel("canny")
    assert set(EDGE_OPERATORS) - {"canny"} <= set(GROUPS)


def test_unknown_names():
    with pytest.raises(NameNotFound, match=r"unknown kernel 'sobl-x'; did you mean 'sobel-x'"):
        parse_kernel("sobl-x")
    with pytest.raises(NameNotFound, match=r"unknown kernel 'qqqq'. See 'cnntool kernels'$"):
        parse_kernel("qqqq")
    with pytest.raises(NameNotFound, match=r"unknown kernel 'gausian'; did you mean .*'gaussian'"):
        parse_kernel("gausian:sigma=2")


# -------------------------------------------------------------------------------------------- files
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


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(OptionError, match=r"nothere.txt' cannot be read: No such file"):
        parse_kernel(f"@{tmp_path}/nothere.txt")
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


# -------------------------------------------------------------------------------------------- names
@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("sobel-x", "sobel-x"),
        ("laplacian", "laplacian"),
        ("gaussian:sigma=1.4", "gaussian-sigma-1.4"),
        ("gabor: wavelength=8, theta=45", "gabor-wavelength-8-theta-45"),
        ("box:5", "box-5"),
        ("motion:9,1/2", "motion-9-1-2"),
        ("0 1; 1 0", "custom"),
        ("[[1]]", "custom"),
        ("", "custom"),
        ("@kernels/blur.txt", "blur"),
        ("@/tmp/../etc/..", "custom"),
        ("@.hidden", "hidden"),
        ("@a:b\n.txt", "a-b-"),
        ("@my kernel.v2.csv", "my kernel.v2"),
        ("@漢.npy", "漢"),
    ],
)
def test_the_word_in_output_names(text, word):
    assert what(text) == word


def test_words_are_all_different():
    texts = ["1", "2 3", "@custom2.txt", "sobel-x", "Sobel-X", "@a/SOBEL-x.txt", "4"]
    names = what_names(texts)
    assert names == [
        "custom",
        "custom2",
        "custom22",
        "sobel-x",
        "sobel-x2",
        "SOBEL-x3",
        "custom3",
    ]
    assert what_names([]) == []


@given(st.lists(st.sampled_from(["1 2", "box:3", "@custom.txt", "@custom2.txt", "@box-3.x"])))
@settings(deadline=None, max_examples=50)
def test_words_stay_different_for_any_list(texts):
    names = what_names(texts)
    assert len({name.casefold() for name in names}) == len(texts)


def test_completion():
    words = [word for word, _ in complete("")]
    assert set(KERNELS) | set(ALIASES) <= set(words)
    assert {f"{family}:" for family in FAMILIES} <= set(words)
    assert words == sorted(words)
    assert [word for word, _ in complete("sobel_x")] == ["sobel-x", "sobel-x-5"]
    assert ("box", FAMILIES["box"].summary) in complete("bo")
    assert "gaussian" not in words
    assert dict(complete("lapl"))["laplacian"].endswith("(= laplacian-4)")
    assert all(summary and "\n" not in summary for _, summary in complete(""))


def test_completion_of_parameters():
    assert [word for word, _ in complete("gaussian:sigma=2,")] == ["gaussian:sigma=2,size="]
    assert [word for word, _ in complete("gabor:ps")] == ["gabor:psi="]
    assert [word for word, _ in complete("mean:")] == ["mean:height=", "mean:width="]
    assert complete("sobel-x:") == []
    assert complete("@ker") == []


def test_names_need_no_numpy():
    code = (
        "import sys, types;"
        "package = types.ModuleType('cnntool.filters');"
        "import cnntool;"
        "package.__path__ = [cnntool.__path__[0] + '/filters'];"
        "sys.modules['cnntool.filters'] = package;"
        "from cnntool.filters.kernel_text import complete, parse_kernel, what_names;"
        "assert complete('sob') and what_names(['sobel-x']);"
        "assert parse_kernel('gaussian:2').total;"
        "assert not {'numpy', 'scipy', 'PIL', 'cupy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
