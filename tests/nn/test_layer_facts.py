"""Output sizes, parameters and arithmetic of every layer against windows that are counted."""

from itertools import product
from math import prod

import pytest
import reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cnntool.errors import SpecError
from cnntool.nn import parse, trace
from cnntool.nn.layer_words import LAYERS

sizes = st.tuples(st.integers(1, 12), st.integers(1, 13))
kernels = st.tuples(st.integers(1, 4), st.integers(1, 5))
strides = st.tuples(st.integers(1, 3), st.integers(1, 4))
sides = st.tuples(*[st.integers(0, 3)] * 4)


def facts(text, shape):
    """The one row of a text with one layer."""
    rows = trace(parse(text), shape).rows
    assert len(rows) == 1
    return rows[0]


def starts(size, kernel, stride, before, after, dilation):
    reach = dilation * (kernel - 1) + 1
    return range(-before, size + after - reach + 1, stride)


# ------------------------------------------------------------------------------- output sizes
@settings(max_examples=200)
@given(
    st.sampled_from(["conv 3", "local 3", "deform 3", "separable 3", "depthwise"]),
    sizes,
    kernels,
    strides,
    sides,
    kernels,
)
def test_convolutions_have_an_output_where_their_window_fits(
    word, size, kernel, stride, pad, dilation
):
    (kh, kw), (sy, sx), (dy, dx), (top, right, bottom, left) = kernel, stride, dilation, pad
    text = f"{word} {kh}x{kw} {sy}x{sx} pad={top}:{right}:{bottom}:{left} dilation={dy}x{dx}"
    rows = starts(size[0], kh, sy, top, bottom, dy)
    columns = starts(size[1], kw, sx, left, right, dx)
    if not rows or not columns:
        with pytest.raises(SpecError, match=r"(rows|columns) \(.*\)/\d \+ 1 = -?\d+ are less"):
            facts(text, (2, *size))
        return
    row = facts(text, (2, *size))
    channels = 2 if word == "depthwise" else 3
    assert row.output == (channels, len(rows), len(columns))
    assert (row.facts.kernel, row.facts.stride, row.facts.padding) == (kernel, stride, pad)


@settings(max_examples=200)
@given(
    st.sampled_from(["maxpool", "avgpool", "sumpool"]),
    sizes,
    kernels,
    strides,
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(1, 2), st.integers(1, 3)),
    st.booleans(),
)
def test_pools_count_the_windows_of_torch(word, size, kernel, stride, pad, dilation, ceil_mode):
    reaches = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    pad = [min(p, reach // 2) for p, reach in zip(pad, reaches, strict=True)]
    text = (
        f"{word} {kernel[0]}x{kernel[1]} {stride[0]}x{stride[1]} pad={pad[0]}x{pad[1]} "
        f"dilation={dilation[0]}x{dilation[1]} ceil={'yes' if ceil_mode else 'no'}"
    )
    counted = [
        len(reference.window_starts(*numbers, ceil_mode))
        for numbers in zip(size, kernel, stride, pad, dilation, strict=True)
    ]
    if 0 in counted:
        with pytest.raises(SpecError, match="are less than 1"):
            facts(text, (2, *size))
    else:
        assert facts(text, (2, *size)).output == (2, *counted)


@settings(max_examples=200)
@given(sizes, kernels, strides, sides, kernels, st.tuples(st.integers(0, 2), st.integers(0, 3)))
def test_deconvolutions_write_from_the_first_to_the_last_tap(
    size, kernel, stride, pad, dilation, more
):
    more = [min(m, max(s, d) - 1) for m, s, d in zip(more, stride, dilation, strict=True)]
    (kh, kw), (sy, sx), (dy, dx), (top, right, bottom, left) = kernel, stride, dilation, pad
    text = (
        f"deconv 5 {kh}x{kw} {sy}x{sx} pad={top}:{right}:{bottom}:{left} dilation={dy}x{dx} "
        f"outpad={more[0]}x{more[1]}"
    )
    written = [
        max(i * s + a * d for i in range(n) for a in range(k)) + 1
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
    ]
    rows = written[0] - top - bottom + more[0]
    columns = written[1] - left - right + more[1]
    if rows < 1 or columns < 1:
        with pytest.raises(SpecError, match=r"(rows|columns) \(\d+ - 1\)·\d.* are less than 1"):
            facts(text, (2, *size))
    else:
        assert facts(text, (2, *size)).output == (5, rows, columns)


@settings(max_examples=120)
@given(st.sampled_from(["conv 1", "maxpool", "deform 1"]), sizes, kernels, strides)
def test_same_rounds_up_and_puts_the_odd_pixel_bottom_right(word, size, kernel, stride):
    row = facts(f"{word} {kernel[0]}x{kernel[1]} {stride[0]}x{stride[1]} pad=same", (1, *size))
    assert row.output == (1, *(-(-n // s) for n, s in zip(size, stride, strict=True)))
    top, right, bottom, left = row.facts.padding
    assert bottom - top in (0, 1) and right - left in (0, 1)


@settings(max_examples=80)
@given(sizes, kernels, strides)
def test_same_of_a_deconvolution_multiplies_by_the_stride(size, kernel, stride):
    text = f"deconv 1 {kernel[0]}x{kernel[1]} {stride[0]}x{stride[1]} pad=same"
    row = facts(text, (1, *size))
    assert row.output == (1, *(n * s for n, s in zip(size, stride, strict=True)))
    top, right, bottom, left = row.facts.padding
    assert bottom - top in (0, 1) and right - left in (0, 1)


@pytest.mark.parametrize(
    ("text", "shape", "output"),
    [
        ("conv 1 3", (1, 28, 28), (1, 26, 26)),
        ("conv 1 3 2", (1, 6, 6), (1, 2, 2)),
        ("conv 1 3 dilation=2", (1, 6, 6), (1, 2, 2)),
        ("adaptiveavgpool 3x4", (5, 7, 9), (5, 3, 4)),
        ("adaptiveavgpool 9", (5, 7, 4), (5, 9, 9)),
        ("globalavgpool", (5, 7, 9), (5, 1, 1)),
        ("globalmaxpool", (5, 7, 9), (5, 1, 1)),
        ("upsample 3x2", (5, 7, 9), (5, 21, 18)),
        ("pad 1:2:3:4", (5, 7, 9), (5, 11, 15)),
        ("flatten", (5, 7, 9), (315,)),
        ("flatten", (9,), (9,)),
        ("reshape 15x3x7", (5, 7, 9), (15, 3, 7)),
        ("reshape 15x3x7", (315,), (15, 3, 7)),
        ("maxpool 2 depth=3", (7, 4, 6), (2, 2, 3)),
        ("maxpool 2 depth=3 ceil=yes", (7, 4, 6), (3, 2, 3)),
        ("avgpool 1 depth=3 dstride=2", (7, 4, 6), (3, 4, 6)),
        ("dense 4", (9,), (4,)),
    ],
)
def test_outputs_by_hand(text, shape, output):
    assert facts(text, shape).output == output


@pytest.mark.parametrize(
    "word",
    ["batchnorm", "relu", "relu6", "leakyrelu", "sigmoid", "tanh", "softmax", "dropout", "lrn 5"],
)
def test_what_works_number_by_number_keeps_the_shape(word):
    row = facts(word, (3, 4, 5))
    assert row.output == (3, 4, 5)
    assert (row.macs, row.facts.kernel, row.facts.stride, row.facts.padding) == (
        0,
        None,
        None,
        None,
    )
    if not word.startswith("lrn"):
        assert facts(word, (6,)).output == (6,)


def test_windows_of_global_pooling_are_the_map():
    row = facts("globalavgpool", (5, 7, 9))
    assert (row.facts.kernel, row.facts.stride, row.facts.padding) == ((7, 9), (7, 9), (0, 0, 0, 0))
    row = facts("adaptiveavgpool 2x3", (5, 8, 9))
    assert (row.facts.kernel, row.facts.stride) == ((4, 3), (4, 3))
    row = facts("adaptiveavgpool 2x4", (5, 8, 9))
    assert (row.facts.kernel, row.facts.stride, row.facts.padding) == (None, None, None)


# ---------------------------------------------------------------------------------- arithmetic
small = st.tuples(st.integers(1, 5), st.integers(1, 6))


def looped_macs(shape, out, groups, kernel, stride, depth=0, step=1):
    """Multiplications of a convolution, one at a time."""
    c, h, w = shape
    filters = range(out)
    count = 0
    rows = starts(h, kernel[0], stride[0], 0, 0, 1)
    columns = starts(w, kernel[1], stride[1], 0, 0, 1)
    for number, _, _ in product(filters, rows, columns):
        if depth:
            for first in range(0, c - depth + 1, step):
                count += len(list(product(range(first, first + depth), *map(range, kernel))))
        else:
            group = number // (out // groups)
            seen = range(group * c // groups, (group + 1) * c // groups)
            count += len(list(product(seen, *map(range, kernel))))
    return count


@settings(max_examples=60)
@given(
    small, st.integers(1, 2), st.integers(1, 2), st.integers(1, 3), small, strides, st.booleans()
)
def test_convolution_multiplies_every_weight_at_every_place(
    size, inputs, outputs, groups, kernel, stride, bias
):
    shape = (inputs * groups, *size)
    out = outputs * groups
    assume(all(k <= n for k, n in zip(kernel, size, strict=True)))
    (kh, kw), (sy, sx) = kernel, stride
    flag = "" if bias else " bias=no"
    row = facts(f"conv {out} {kh}x{kw} {sy}x{sx} groups={groups}{flag}", shape)
    assert row.macs == looped_macs(shape, out, groups, kernel, stride)
    assert row.flops == 2 * row.macs
    assert row.params == (inputs * kh * kw + bias) * out
    # k-local: weights and biases of its own at every place
    assert row.facts.local == row.macs + bias * prod(row.output)
    assert row.facts.dense == (prod(shape) + bias) * prod(row.output)


@settings(max_examples=60)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3), small, st.integers(1, 3))
def test_filters_shallower_than_the_input_slide_along_its_maps(c, depth, step, kernel, out):
    assume(depth <= c)
    shape = (c, 6, 7)
    slices = len(range(0, c - depth + 1, step))
    text = f"conv {out} {kernel[0]}x{kernel[1]} depth={depth} dstride={step}"
    row = facts(text, shape)
    assert row.output[0] == out * slices
    assert row.macs == looped_macs(shape, out, 1, kernel, (1, 1), depth, step)
    assert row.parameters[0].shape == (out, depth, *kernel)
    assert row.params == (depth * prod(kernel) + 1) * out


@settings(max_examples=40)
@given(small, st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), small)
def test_deconvolution_multiplies_every_input_by_every_tap(size, inputs, outputs, groups, kernel):
    shape = (inputs * groups, *size)
    row = facts(f"deconv {outputs * groups} {kernel[0]}x{kernel[1]} 2x3 groups={groups}", shape)
    count = sum(
        1
        for channel, _, _, out, _, _ in product(
            range(shape[0]), *map(range, size), range(outputs * groups), *map(range, kernel)
        )
        if channel // inputs == out // outputs
    )
    assert row.macs == count
    assert row.parameters[0].shape == (shape[0], outputs, *kernel)
    assert row.params == shape[0] * outputs * prod(kernel) + outputs * groups


# ---------------------------------------------------------------------------------- parameters
M, K = 8, 16
P, Q = 3, 5
SHAPE = (M, 9, 11)
OUT = (7, 7)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (f"conv {K} {P}x{Q}", (M * P * Q + 1) * K),
        (f"conv {K} {P}x{Q} bias=no", M * P * Q * K),
        (f"conv {K} {P}x{Q} groups=4", (M // 4 * P * Q + 1) * K),
        (f"conv {K} {P}x{Q} pad=same dilation=2", (M * P * Q + 1) * K),
        (f"deconv {K} {P}x{Q} 2", (M * P * Q + 1) * K),
        (f"depthwise {P}x{Q}", (P * Q + 1) * M),
        (f"depthwise {P}x{Q} bias=no", P * Q * M),
        (f"separable {K} {P}x{Q}", (P * Q + 1) * M + (M + 1) * K),
        (f"separable {K} {P}x{Q} bias=no", P * Q * M + M * K),
        (f"local {K} {P}x{Q}", (M * P * Q + 1) * K * prod(OUT)),
        (f"local {K} {P}x{Q} bias=no", M * P * Q * K * prod(OUT)),
        (f"deform {K} {P}x{Q} offsets=learned", (M * P * Q + 1) * K + 2 * P * Q),
        (f"deform {K} {P}x{Q}", (M * P * Q + 1) * (K + 2 * P * Q)),
        ("batchnorm", 2 * M),
        ("relu", 0),
        (f"maxpool {P}x{Q}", 0),
    ],
)
def test_parameters_follow_the_lecture(text, formula):
    assert facts(text, SHAPE).params == formula


def test_deformable_worked_example():
    assert facts("deform 16 3 offsets=learned", (8, 7, 9)).params == 1186
    assert facts("deform 16 3 offsets=predicted", (8, 7, 9)).params == 2482


def test_hidden_neurons_behind_pixels_or_behind_a_convolution():
    """On 3×3 pixels, N hidden neurons, one output, no biases: 10·N weights, or 5·N + 4."""
    n = 17
    dense = f"flatten | dense {n} bias=no | dense 1 bias=no"
    assert trace(parse(dense), (1, 3, 3)).params == 10 * n
    convolution = f"conv 1 2 bias=no | {dense}"
    assert trace(parse(convolution), (1, 3, 3)).params == 5 * n + 4


def test_dense_between_images():
    """n×n to m×m: (n² + 1)·m² fully connected, (k² + 1)·m² k-local."""
    n, k = 9, 4
    m = n - k + 1
    row = facts(f"conv 1 {k}", (1, n, n))
    assert row.facts.dense == (n * n + 1) * m * m
    assert row.facts.local == (k * k + 1) * m * m
    assert facts(f"local 1 {k}", (1, n, n)).params == row.facts.local
    several = facts(f"conv 3 {k}", (2, n, n))
    assert several.facts.local == (2 * k * k + 1) * 3 * m * m


def names(text, shape=SHAPE):
    return [(tensor.name, tensor.shape) for tensor in facts(text, shape).parameters]


def test_arrays_are_named_and_ordered_as_in_torch():
    assert names("conv 16 3x5 groups=2") == [("weight", (16, 4, 3, 5)), ("bias", (16,))]
    assert names("conv 16 3x5 bias=no") == [("weight", (16, 8, 3, 5))]
    assert names("deconv 6 3x5 groups=2") == [("weight", (8, 3, 3, 5)), ("bias", (6,))]
    assert names("depthwise 3x5") == [("weight", (8, 1, 3, 5)), ("bias", (8,))]
    assert names("separable 6 3x5") == [
        ("depthwise.weight", (8, 1, 3, 5)),
        ("depthwise.bias", (8,)),
        ("pointwise.weight", (6, 8, 1, 1)),
        ("pointwise.bias", (6,)),
    ]
    assert names("local 6 3x5") == [("weight", (6, 8, 3, 5, 7, 7)), ("bias", (6, 7, 7))]
    assert names("deform 6 3x5 groups=2") == [
        ("weight", (6, 4, 3, 5)),
        ("bias", (6,)),
        ("offset.weight", (30, 8, 3, 5)),
        ("offset.bias", (30,)),
    ]
    assert names("deform 6 3x5 bias=no offsets=learned") == [
        ("weight", (6, 8, 3, 5)),
        ("offset", (30,)),
    ]
    assert names("dense 6", (20,)) == [("weight", (6, 20)), ("bias", (6,))]
    assert names("batchnorm") == [("weight", (8,)), ("bias", (8,))]
    found = [(tensor.name, tensor.shape) for tensor in facts("batchnorm", SHAPE).buffers]
    assert found == [("running_mean", (8,)), ("running_var", (8,))]


def test_arithmetic_of_the_other_layers():
    pixels = prod(OUT)
    assert facts("depthwise 3x5", SHAPE).macs == pixels * 15 * 8
    assert facts("separable 6 3x5", SHAPE).macs == pixels * (15 * 8 + 8 * 6)
    assert facts("local 6 3x5", SHAPE).macs == pixels * 15 * 8 * 6
    assert facts("deform 6 3x5 offsets=learned", SHAPE).macs == pixels * 15 * 8 * 6
    assert facts("deform 6 3x5", SHAPE).macs == pixels * 15 * 8 * (6 + 30)
    assert facts("dense 6", (20,)).macs == 120
    assert facts("separable 6 3x5", SHAPE).facts.local == pixels * (15 * 8 + 8 + 8 * 6 + 6)


@pytest.mark.parametrize("entry", LAYERS.values(), ids=lambda entry: entry.word)
def test_every_layer_has_an_example_that_works(entry):
    text = entry.example or entry.word
    shape = (784,) if entry.word in ("dense", "reshape") else (16, 12, 13)
    assert facts(text, shape).name == f"0.{entry.word}"
    assert entry.summary and all(setting.summary for setting in entry.settings)
