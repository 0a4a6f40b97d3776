"""The language of --kernel: names, parameters, messages, words for outputs, completion."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import NameNotFound, OptionError
from cnntool.filters.kernel_families import FAMILIES
from cnntool.filters.kernel_text import (
    EDGE_OPERATORS,
    complete,
    parse_kernel,
    what,
    what_names,
)
from cnntool.filters.kernels import ALIASES, GROUPS, KERNELS


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


# ----------------------------------------------------------------------------- words and completion
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
        "custom2_2",
        "sobel-x",
        "sobel-x_2",
        "SOBEL-x_3",
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
        "import sys;"
        "from cnntool.filters.kernel_text import complete, parse_kernel, what_names;"
        "assert complete('sob') and what_names(['sobel-x']);"
        "assert parse_kernel('gaussian:2').total;"
        "assert not {'numpy', 'scipy', 'PIL', 'cupy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
