"""The walk through a network: names, rows, sums, JSON, and impossible shapes."""

import json
import re
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, SpecError
from cnntool.nn import parse, trace
from cnntool.nn.layer_rows import plain
from cnntool.nn.nodes import Chain, Layer, Residual

LENET5 = (
    "conv 6 5 pad=2 | relu | maxpool 2 | conv 16 5 | relu | maxpool 2 | flatten | dense 120 | "
    "relu | dense 84 | relu | dense 10"
)


def names(text, shape=(4, 12, 12)):
    return [row.name for row in trace(parse(text), shape).rows]


# -------------------------------------------------------------------------------------- names
def test_names_are_paths():
    assert names("conv 8 3 | relu") == ["0.conv", "1.relu"]
    assert names("(conv 8 3 | relu)*2 | tanh") == ["0.conv", "1.relu", "2.conv", "3.relu", "4.tanh"]


def test_a_branch_of_different_words_needs_no_numbers():
    text = "relu | residual(conv 8 3 pad=1 | relu | conv 8 3 pad=1, conv 8 1 | batchnorm)"
    assert names(text) == [
        "0.relu",
        "1.main.0.conv",
        "1.main.1.relu",
        "1.main.2.conv",
        "1.shortcut.conv",
        "1.shortcut.batchnorm",
        "1.add",
    ]


def test_every_combination_names_its_parts():
    text = "concat(conv 8 1, relu | relu, skip(relu)) | pooled 2 (conv 20 3 pad=1 | relu)"
    assert names(text) == [
        "0.branch0.conv",
        "0.branch1.0.relu",
        "0.branch1.1.relu",
        "0.branch2.0.skip.relu",
        "0.branch2.0.concat",
        "0.concat",
        "1.maxpool",
        "1.pooled.conv",
        "1.pooled.relu",
        "1.unpool",
    ]


def test_names_are_distinct():
    text = (
        "(residual(conv 4 1 | (relu | concat(conv 2 1, skip(conv 1 1) | conv 2 1))*2, "
        "conv 4 1 | relu) | pooled 2 (skip(relu | conv 4 1) | conv 4 1 | conv 4 1))*3"
    )
    found = names(text)
    assert len(set(found)) == len(found) > 50


# --------------------------------------------------------------------------------------- rows
def test_rows_of_a_residual_block():
    found = trace(parse("residual(conv 8 3 2 pad=1, conv 8 1 2)"), (4, 9, 11))
    main, shortcut, added = found.rows
    assert (main.input, main.output) == ((4, 9, 11), (8, 5, 6))
    assert (shortcut.input, shortcut.output) == ((4, 9, 11), (8, 5, 6))
    assert (added.name, added.spec, added.output) == ("0.add", "residual(…)", (8, 5, 6))
    assert (added.params, added.macs, added.parameters, added.buffers) == (0, 0, (), ())
    assert isinstance(added.node, Residual) and isinstance(main.node, Layer)


def test_branches_are_joined_in_order():
    found = trace(parse("concat(conv 3 1, conv 5 1 | relu, maxpool 3 1 pad=1)"), (4, 9, 11))
    assert found.output == (3 + 5 + 4, 9, 11)
    assert trace(parse("skip(maxpool 3 | conv 2 1 | upsample 3)"), (4, 9, 12)).output == (6, 9, 12)
    assert trace(parse("concat(dense 3, dense 4)"), (7,)).output == (7,)
    assert trace(parse("skip(dense 3)"), (7,)).output == (10,)
    assert trace(parse("residual(dense 7 | relu)"), (7,)).output == (7,)


def test_unpooling_gives_the_size_back():
    found = trace(parse("pooled 2x3 (conv 4 3 pad=1 | relu)"), (4, 9, 11))
    assert [row.output for row in found.rows] == [(4, 4, 3)] * 3 + [(4, 9, 11)]
    assert [row.spec for row in found.rows][::3] == ["maxpool 2x3", "pooled 2x3 (…)"]


def test_filter_over_depth_feeds_the_next_layer():
    found = trace(parse("conv 5 3 depth=3 dstride=2 | conv 2 1"), (9, 8, 8))
    assert found.rows[0].output == (5 * 4, 6, 6)
    assert found.rows[1].parameters[0].shape == (2, 20, 1, 1)


# --------------------------------------------------------------------------------------- sums
def test_lenet5():
    found = trace(parse(LENET5), (1, 28, 28))
    assert found.total() == {
        "params": 61706,
        "macs": 416520,
        "flops": 833040,
        "activation_bytes": 4 * (2 * 4704 + 1176 + 2 * 1600 + 2 * 400 + 2 * 120 + 2 * 84 + 10),
        "parameter_bytes": 246824,
    }
    fields = [row.receptive_field for row in found.rows]
    assert fields[:7] == [(5, 5), (5, 5), (6, 6), (14, 14), (14, 14), (16, 16), (16, 16)]
    assert fields[7:] == [(28, 28)] * 5


def test_memory_alone_grows_with_the_batch():
    one, many = (trace(parse(LENET5), (1, 28, 28), batch).total() for batch in (1, 128))
    assert many.pop("activation_bytes") == 128 * one.pop("activation_bytes")
    assert many == one


def test_json_is_plain():
    found = trace(parse("conv 8 3 | maxpool 2 | upsample 3 | flatten"), (1, 12, 12)).as_json()
    assert json.loads(json.dumps(found)) == found
    assert list(found) == ["input", "layers", "total"]
    assert found["input"] == [1, 12, 12]
    assert found["layers"][1] == {
        "name": "1.maxpool",
        "spec": "maxpool 2",
        "input": [8, 10, 10],
        "output": [8, 5, 5],
        "kernel": [2, 2],
        "stride": [2, 2],
        "padding": [0, 0, 0, 0],
        "params": 0,
        "macs": 0,
        "flops": 0,
        "receptive_field": [4, 4],
        "jump": [2, 2],
        "activation_bytes": 800,
    }
    assert found["layers"][2]["jump"] == [2 / 3, 2 / 3]
    assert found["layers"][3]["jump"] is None
    assert found["layers"][3]["output"] == [1800]
    assert set(found["total"]) == {
        "params", "macs", "flops", "activation_bytes", "parameter_bytes",
    }  # fmt: skip


def test_steps_are_whole_where_they_can_be():
    assert [plain(Fraction(4, 2)), plain(Fraction(1, 4))] == [2, 0.25]
    assert isinstance(plain(Fraction(2)), int)


def test_a_network_of_ten_thousand_layers():
    found = trace(parse("(conv 3 3 pad=1 | relu)*5000"), (3, 5, 6))
    assert len(found.rows) == 10_000
    assert found.rows[-1].receptive_field == (10_001, 10_001)
    assert found.params == 5000 * 84


# ------------------------------------------------------------------------------------- errors
def impossible(text, shape):
    with pytest.raises(SpecError) as caught:
        trace(parse(text), shape)
    assert len(str(caught.value)) <= 290
    assert isinstance(caught.value, OptionError) and caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(
    ("text", "shape", "start", "reason", "fix"),
    [
        (
            "conv 8 3 | maxpool 2 | conv 8 9", (1, 12, 12),
            "layer 2.conv 'conv 8 9' (column 24) gets 8×5×5: ",
            "rows (5 - 9)/1 + 1 = -3 are less than 1", "take a kernel of at most 5, or pad=2",
        ),
        (
            "relu\nconv 4 2x9 pad=1:1:0:0", (3, 5, 6),
            "layer 1.conv 'conv 4 2x9 pad=1:1:0:0' (line 2, column 1) gets 3×5×6: ",
            "columns (6 + 0 + 1 - 9)/1 + 1 = -1 are less than 1",
            "take a kernel of at most 2x7, or pad=1x2",
        ),
        (
            "conv 8 5x3 2 dilation=3", (3, 9, 9), "layer 0.conv",
            "rows (9 - 13)/2 + 1 = -1 are less than 1 (a window of 13: kernel 5, dilation 3)",
            "take a kernel of at most 3x3, or pad=2x0",
        ),
        (
            "maxpool 12", (3, 9, 10), "layer 0.maxpool 'maxpool 12' (column 1) gets 3×9×10: ",
            "rows (9 - 12)/12 + 1 = 0 are less than 1", "take a kernel of at most 9, or pad=2",
        ),
        (
            "avgpool 3 pad=2", (3, 9, 9), "layer 0.avgpool",
            "a padding of 2 is more than half the window of 3, and some windows would hold "
            "nothing else", "take at most pad=1, or a pad layer before it",
        ),
        (
            "deconv 8 3 pad=20", (3, 9, 9), "layer 0.deconv",
            "rows (9 - 1)·1 - 20 - 20 + 3 = -29 are less than 1",
            "take less padding (pad=5 at most), or a larger stride",
        ),
        (
            "deconv 8 3 2 outpad=2", (3, 9, 9), "layer 0.deconv",
            "an output padding of 2 is not below the stride 2 or the dilation 1",
            "take outpad=1 at most, or a pad layer behind it",
        ),
        (
            "conv 8 3 groups=4", (6, 9, 9), "layer 0.conv 'conv 8 3 groups=4'",
            "groups=4 does not divide the 6 maps of its input: 6 = 1·4 + 2",
            "take groups=2, or a number of maps that 4 divides",
        ),
        (
            "conv 8 3 depth=5 dstride=2", (3, 9, 9), "layer 0.conv",
            "filters of depth=5 do not fit the 3 maps of its input: (3 - 5)/2 + 1 is less than 1",
            "take depth=3 at most, or leave depth out",
        ),
        (
            "maxpool 2 depth=5", (3, 9, 9), "layer 0.maxpool",
            "windows of depth=5 do not fit the 3 maps of its input: (3 - 5)/5 + 1 is less than 1",
            "take depth=3 at most, or leave depth out",
        ),
        (
            "conv 8 3", (10,), "layer 0.conv 'conv 8 3' (column 1) gets 10 numbers: ",
            "it slides over maps C×H×W, not over a vector",
            "put reshape CxHxW before it (C·H·W = 10), or use dense",
        ),
        (
            "relu | dense 10", (16, 5, 4), "layer 1.dense 'dense 10' (column 8) gets 16×5×4: ",
            "a dense layer reads one vector, not maps 16×5×4",
            "add flatten before it (16·5·4 = 320 numbers), or globalavgpool | flatten (16 numbers)",
        ),
        (
            "lrn 5", (9,), "layer 0.lrn", "it normalises across maps C×H×W, not in a vector",
            "put it before flatten, or use batchnorm",
        ),
        (
            "reshape 3x3x3", (3, 4, 5), "layer 0.reshape",
            "3·3·3 = 27 numbers are wanted, 60 come in",
            "take reshape 60x1x1 or sizes with the product 60, or put flatten | dense 27 before it",
        ),
        (
            "reshape 3x3x3", (10,), "layer 0.reshape",
            "3·3·3 = 27 numbers are wanted, 10 come in",
            "take reshape 10x1x1 or sizes with the product 10, or put dense 27 before it",
        ),
        (
            "residual(conv 8 3 2 pad=1)", (3, 9, 10),
            "layer 0.add 'residual(…)' (column 1) gets 3×9×10: ",
            "it adds 8×5×5 of main and 3×9×10 of its input",
            "give it a shortcut such as conv 8 1 2, or let main give 3×9×10",
        ),
        (
            "residual(conv 8 1)", (3, 9, 10), "layer 0.add", "it adds 8×9×10 of main and 3×9×10",
            "give it a shortcut such as conv 8 1, or let main give 3×9×10",
        ),
        (
            "residual(conv 8 3)", (3, 9, 10), "layer 0.add", "it adds 8×7×8 of main and 3×9×10",
            "take pad=same in main and a shortcut such as conv 8 1, or let main give 3×9×10",
        ),
        (
            "residual(conv 3 3)", (3, 9, 10), "layer 0.add", "it adds 3×7×8 of main and 3×9×10",
            "take pad=same in main, or let main give 3×9×10",
        ),
        (
            "residual(flatten)", (3, 9, 10), "layer 0.add", "it adds 270 numbers of main and",
            "give it a shortcut with the same output, or let main give 3×9×10",
        ),
        (
            "residual(conv 8 3, conv 8 1)", (3, 9, 10), "layer 0.add",
            "it adds 8×7×8 of main and 8×9×10 of shortcut",
            "give both the same strides and pads, or let main give 8×9×10",
        ),
        (
            "relu | concat(relu, maxpool 2)", (3, 8, 8),
            "layer 1.concat 'concat(…)' (column 8) gets 3×8×8: ",
            "it joins 3×8×8 of branch 0 and 3×4×4 of branch 1, whose rows and columns must agree",
            "take pad=same and equal strides, or upsample behind what shrinks",
        ),
        (
            "concat(relu, flatten)", (3, 8, 8), "layer 0.concat",
            "it joins 3×8×8 of branch 0 and 192 numbers of branch 1", "take pad=same",
        ),
        (
            "skip(maxpool 2)", (3, 8, 8), "layer 0.concat 'skip(…)' (column 1)",
            "it joins 3×8×8 of its input and 3×4×4 of what is inside", "upsample behind what",
        ),
        (
            "pooled 2 (conv 4 3 pad=1)", (3, 8, 8),
            "layer 0.unpool 'pooled 2 (…)' (column 1) gets 4×4×4: ",
            "it puts 3×4×4 values back to where the maxima were",
            "let the layers inside give 3×4×4, such as conv 3 3 pad=1 at their end, or use maxpool",
        ),
        (
            "pooled 9 (relu)", (3, 8, 8), "layer 0.maxpool 'maxpool 9' (column 1) gets 3×8×8: ",
            "rows (8 - 9)/9 + 1 = 0 are less than 1", "take a kernel of at most 8, or pad=1",
        ),
        (
            "(upsample 1000)*3", (3, 8, 8), "layer 1.upsample 'upsample 1000' (column 2) gets ",
            "its output would have more than 2^40 numbers",
            "take a smaller input or size, or a larger stride before it",
        ),
    ],
)  # fmt: skip
def test_impossible_shapes(text, shape, start, reason, fix):
    error = impossible(text, shape)
    found = str(error)
    assert found.startswith(start), found
    assert reason in found, found
    assert fix in found[found.index(reason) + len(reason) :], found


@settings(max_examples=150)
@given(
    st.sampled_from(["conv 2", "maxpool", "local 2"]),
    st.tuples(st.integers(1, 6), st.integers(1, 7)),
    st.tuples(st.integers(1, 12), st.integers(1, 13)),
    st.tuples(st.integers(1, 3), st.integers(1, 2)),
    st.integers(0, 1),
)
def test_advice_about_windows_helps(word, size, kernel, dilation, pad):
    rest = f"dilation={dilation[0]}x{dilation[1]}"
    pad = 0 if word == "maxpool" else pad  # half a window at most: another message
    try:
        trace(parse(f"{word} {kernel[0]}x{kernel[1]} pad={pad} {rest}"), (1, *size))
    except SpecError as error:
        match = re.search(r"take a kernel of at most (\S+), or pad=(\S+)$", str(error))
        smaller, more = match.groups()
        trace(parse(f"{word} {kernel[0]}x{kernel[1]} pad={more} {rest}"), (1, *size))
        trace(parse(f"{word} {smaller} pad={pad} {rest}"), (1, *size))


def test_errors_carry_their_facts():
    error = impossible("relu | residual(conv 4 1 | dense 3)", (3, 8, 9))
    assert (error.layer, error.input, error.line, error.column) == (
        "1.main.dense", (4, 8, 9), 1, 28,
    )  # fmt: skip


def test_long_paths_lose_their_middle():
    text = "skip(relu | relu | " * 20 + "dense 3" + ")" * 20
    assert re.match(
        r"layer 0\.skip\.2\.….*\.dense 'dense 3' \(column 381\) gets",
        str(impossible(text, (3, 8, 9))),
    )


@pytest.mark.parametrize("shape", [(), (3, 4), (0, 2, 3), (1, 2, 3, 4), (10**6,) * 3])
def test_inputs_that_are_none(shape):
    with pytest.raises(SpecError, match=r"an input of .* is none; write CxHxW such as 1x28x28"):
        trace(parse("relu"), shape)


def test_nodes_that_were_not_read_have_no_place():
    error = impossible_tree(Chain((Layer("dense", (("out", 3),)),)))
    assert str(error).startswith("layer 0.dense 'dense 3' gets 3×4×5: ")


def impossible_tree(tree):
    with pytest.raises(SpecError) as caught:
        trace(tree, (3, 4, 5))
    return caught.value


def test_nothing_heavy_is_loaded():
    code = (
        "import sys, cnntool.nn, cnntool.models, cnntool.nn.solver, cnntool.jobs.networks,"
        " cnntool.cli.commands.shape, cnntool.cli.commands.models\n"
        "heavy = {'numpy', 'scipy', 'PIL', 'cupy', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
