"""One layer: its arithmetic in words, and the settings that give a wanted size."""

import re
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import NameNotFound, OptionError, SpecError
from cnntool.nn import parse, trace
from cnntool.nn.calculator import KINDS, Question, calculate, explain
from cnntool.nn.facts import Misfit
from cnntool.nn.solver import MOST_ANSWERS, UNKNOWNS, solve


def asked(kind="conv", size=(28, 20), kernel=(5, 3), **more):
    return Question(kind=kind, input=(2, *size), kernel=kernel, **more)


# --------------------------------------------------------------------------------- forwards
@pytest.mark.parametrize(
    ("question", "text"),
    [
        (asked(filters=6), "conv 6 5x3"),
        (asked(stride=(2, 1), padding=(0, 1, 2, 3)), "conv 1 5x3 2x1 pad=0:1:2:3"),
        (asked(filters=4, groups=2, bias=False), "conv 4 5x3 groups=2 bias=no"),
        (asked("pool"), "maxpool 5x3"),
        (asked("pool", stride=(1, 2), ceil_mode=True), "maxpool 5x3 1x2 ceil=yes"),
        (asked("deconv", stride=(2, 3), output_padding=(1, 2)), "deconv 1 5x3 2x3 outpad=1x2"),
        (asked("local", filters=3, dilation=(2, 1)), "local 3 5x3 dilation=2x1"),
        (asked("conv", padding="same", stride=(2, 2)), "conv 1 5x3 2 pad=same"),
    ],
)
def test_a_question_is_a_specification(question, text):
    found, expected = calculate(question), trace(parse(text), (2, 28, 20))
    assert found == expected
    assert found.rows[0].spec == text


def test_a_dense_layer_reads_the_flattened_input():
    found = calculate(Question(kind="dense", input=(3, 5, 7), filters=10))
    (row,) = found.rows
    assert (row.name, row.input, row.output, row.params) == ("0.dense", (105,), (10,), 1060)
    assert row.receptive_field == (5, 7)
    assert found.input == (3, 5, 7)
    vector = calculate(Question(kind="dense", input=(105,), filters=10, bias=False), batch=3)
    assert (vector.params, vector.rows[0].activation_bytes) == (1050, 120)


@pytest.mark.parametrize(
    ("question", "rows", "columns"),
    [
        (asked(), "28 - 5)/1 + 1 = 24", "20 - 3)/1 + 1 = 18"),
        (
            asked(stride=(2, 3), padding=(1, 0, 2, 0)),
            "floor((28 + 1 + 2 - 5)/2 + 1) = 14",
            "floor((20 - 3)/3 + 1) = 6",
        ),
        (asked(dilation=(2, 4)), "(28 - 9)/1 + 1 = 20", "(20 - 9)/1 + 1 = 12"),
        (
            asked("pool", (6, 7), (2, 2), padding=(1, 1, 1, 1), ceil_mode=True),
            "ceil((6 + 1 + 1 - 2)/2 + 1) = 4",
            "ceil((7 + 1 + 1 - 2)/2 + 1) - 1 (a window in the padding) = 4",
        ),
        (asked("deconv", (7, 9), stride=(2, 3)), "(7 - 1)·2 + 5 = 17", "(9 - 1)·3 + 3 = 27"),
        (
            asked("deconv", (7, 9), stride=(2, 3), padding=(1, 2, 3, 0), output_padding=(1, 2)),
            "(7 - 1)·2 - 1 - 3 + 5 + 1 = 14",
            "(9 - 1)·3 - 0 - 2 + 3 + 2 = 27",
        ),
        (
            Question(kind="dense", input=(3, 5, 7), filters=10),
            "3·5·7 = 105",
            "105·10 + 10 = 1060",
        ),
        (Question(kind="dense", input=(9,), filters=4, bias=False), "9 = 9", "9·4 = 36"),
    ],
)
def test_arithmetic_in_words(question, rows, columns):
    first, second = explain(question)
    assert first.endswith(rows) and second.endswith(columns)


SUM = re.compile(
    r"(?P<round>floor|ceil)?\(?\((?P<size>\d+)(?: \+ (?P<before>\d+) \+ (?P<after>\d+))?"
    r" - (?P<reach>\d+)\)/(?P<stride>\d+) \+ 1\)?(?P<less> - 1.*)? = (?P<out>\d+)"
)


@settings(max_examples=150)
@given(
    st.sampled_from(["conv", "pool", "local"]),
    st.tuples(*[st.integers(1, 20)] * 2),
    st.tuples(*[st.integers(1, 5)] * 2),
    st.tuples(*[st.integers(1, 3)] * 2),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.booleans(),
)
def test_arithmetic_in_words_is_right(kind, size, kernel, stride, padding, ceil_mode):
    question = Question(
        kind=kind,
        input=(1, *size),
        kernel=kernel,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode and kind == "pool",
    )
    try:
        lines = explain(question)
    except Misfit:
        return
    for line, out in zip(lines, calculate(question).output[1:], strict=True):
        match = SUM.fullmatch(line.split(maxsplit=1)[1])
        numbers = {name: int(match[name] or 0) for name in ("size", "before", "after", "reach")}
        room = numbers["size"] + numbers["before"] + numbers["after"] - numbers["reach"]
        share = Fraction(room, int(match["stride"])) + 1
        share = {"floor": floor, "ceil": ceil, None: Fraction}[match["round"]](share)
        assert share - bool(match["less"]) == int(match["out"]) == out


def test_questions_without_an_answer():
    with pytest.raises(OptionError, match="conv needs a kernel, such as 3 or 3x5"):
        calculate(Question(kind="conv", input=(1, 5, 5)))
    with pytest.raises(NameNotFound, match="unknown layer to calculate 'relu'"):
        calculate(Question(kind="relu", input=(1, 5, 5)))
    with pytest.raises(SpecError, match=r"layer 0\.conv 'conv 1 5x3' gets 2×4×20: rows"):
        calculate(asked(size=(4, 20)))
    with pytest.raises(SpecError, match="conv: out=0 does not fit"):
        calculate(asked(filters=0))


# -------------------------------------------------------------------------------- backwards
def answers(unknown, wanted, **more):
    found = solve(asked(**more), unknown, wanted)
    return [getattr(answer, unknown) for answer in found]


def test_padding_that_keeps_the_size():
    assert answers("padding", (28, 20)) == [(2, 1, 2, 1)]
    assert answers("padding", (28, 20), kernel=(4, 2)) == [(1, 1, 2, 0)]
    assert answers("padding", (26, 22), kernel=(3, 3)) == [(0, 2, 0, 2)]


def test_even_padding_comes_first():
    assert answers("padding", (14, 14), size=(28, 28), kernel=(5, 5), stride=(2, 2)) == [
        (2, 2, 2, 2),
        (1, 2, 2, 1),
    ]


def test_strides_and_kernels():
    assert answers("stride", (12, 9), kernel=(5, 4)) == [(2, 2)]
    assert answers("stride", (12, 18)) == [(2, 1)]
    assert answers("kernel", (14, 10), stride=(2, 2)) == [(1, 1), (2, 2)]
    assert answers("kernel", (24, 18)) == [(5, 3)]
    assert answers("kernel", (9, 6), kind="pool") == [(3, 3)]
    assert answers("stride", (56, 40), kind="deconv", kernel=(2, 2)) == [(2, 2)]
    assert answers("padding", (56, 40), kind="deconv", kernel=(4, 4), stride=(2, 2)) == [
        (1, 1, 1, 1)
    ]
    assert answers("stride", (14, 10), padding="same") == [(2, 2)]


def test_many_answers_are_cut_off():
    found = answers("kernel", (28, 28), size=(28, 28), padding="same")
    assert found == [(k, k) for k in range(1, 29)]
    assert len(answers("stride", (1, 1), size=(900, 700), kernel=(800, 650))) == MOST_ANSWERS


@settings(max_examples=200)
@given(
    st.sampled_from(["conv", "pool", "deconv", "local"]),
    st.sampled_from(UNKNOWNS),
    st.tuples(*[st.integers(3, 12)] * 2),  # longer strides than the input are not listed
    st.tuples(*[st.integers(1, 4)] * 2),
    st.tuples(*[st.integers(1, 3)] * 2),
    st.integers(0, 1),
    st.booleans(),
)
def test_answers_give_what_was_wanted_and_none_is_missed(
    kind, unknown, size, kernel, stride, pad, ceil_mode
):
    start = Question(
        kind=kind,
        input=(1, *size),
        kernel=kernel,
        stride=stride,
        padding=(pad,) * 4,
        ceil_mode=ceil_mode and kind == "pool",
    )
    try:
        wanted = calculate(start).output[1:]
    except SpecError:
        return
    found = solve(start, unknown, wanted)
    assert found
    for answer in found:
        assert calculate(answer).output[1:] == wanted
    given_value = getattr(start, unknown)
    values = [getattr(answer, unknown) for answer in found]
    square = any(value[0] == value[1] for value in values) and unknown != "padding"
    if unknown != "padding" and (given_value[0] == given_value[1] or not square):
        assert given_value in values or len(values) == MOST_ANSWERS


@pytest.mark.parametrize(
    ("unknown", "wanted", "more", "message"),
    [
        (
            "stride", (11, 11), {},
            r"no stride gives 11 rows from 28; stride 2 gives 12, stride 3 gives 8",
        ),
        (
            "kernel", (24, 30), {},
            r"no kernel gives 30 columns from 20; kernel 1 gives 20, kernel 2 gives 19",
        ),
        ("padding", (20, 20), {}, r"no padding gives 20 rows from 28; padding 0 gives 24"),
        (
            "padding", (60, 60), {"kind": "deconv", "stride": (2, 2)},
            r"no padding gives 60 rows from 28; padding 0 gives 59",
        ),
        (
            "padding", (20, 9), {"kind": "pool", "kernel": (30, 2)},
            r"no padding gives 20 rows from 28; padding 1 gives 1",
        ),
        ("stride", (2, 2), {"kernel": (40, 2)}, r"no stride gives 2 rows from 28; no window fits"),
    ],
)  # fmt: skip
def test_nothing_gives_this(unknown, wanted, more, message):
    with pytest.raises(OptionError, match=message):
        solve(asked(**more), unknown, wanted)


def test_what_cannot_be_solved():
    with pytest.raises(OptionError, match="a dense layer has no window; solve conv, pool, deconv"):
        solve(Question(kind="dense", input=(1, 5, 5)), "kernel", (5, 5))
    with pytest.raises(NameNotFound, match="unknown unknown 'dilation'"):
        solve(asked(), "dilation", (5, 5))
    assert set(UNKNOWNS) == {"padding", "kernel", "stride"}
    assert set(KINDS) == {"conv", "pool", "deconv", "dense", "local"}
