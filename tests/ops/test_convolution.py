"""conv2d against seven nested loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.ops.conv_plan import choose_algorithm, padding_sides
from cnntool.ops.convolution import conv2d, conv2d_vjp
from cnntool.ops.correlation import Steps

LECTURE_A = np.array(
    [[3, 3, 5, 1, 2, 3], [3, 4, 0, 1, 4, 5], [5, 1, 2, 3, 2, 0],
     [5, 0, 4, 5, 2, 1], [3, 4, 3, 1, 0, 2], [2, 0, 4, 3, 5, 1]], float)  # fmt: skip
LECTURE_KERNEL = np.array([[0, 1, 0], [-1, 2, -1], [0, 1, 0]], float)


def loops(x, weight, bias, stride, sides, dilation, groups, mode):
    top, right, bottom, left = sides
    p = np.pad(x.astype(np.float64), ((0, 0), (top, bottom), (left, right), (0, 0)), mode=mode)
    (sy, sx), (dy, dx) = stride, dilation
    o, share, kh, kw = weight.shape
    rows = (p.shape[1] - (kh - 1) * dy - 1) // sy + 1
    columns = (p.shape[2] - (kw - 1) * dx - 1) // sx + 1
    y = np.zeros((o, rows, columns, x.shape[3]))
    for k in range(o):
        group = k // (o // groups)
        for i in range(rows):
            for j in range(columns):
                for c in range(share):
                    for a in range(kh):
                        for b in range(kw):
                            y[k, i, j] += (
                                weight[k, c, a, b]
                                * p[group * share + c, i * sy + a * dy, j * sx + b * dx]
                            )
    return y if bias is None else y + bias.reshape(o, 1, 1, 1)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 1, 2), (2, 2, 1), (1, 3, 2), (2, 2, 3), (3, 1, 1)]),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 2)),
    st.tuples(*[st.integers(0, 3)] * 4),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from(["constant", "reflect", "edge", "wrap", "symmetric"]),
    st.sampled_from([np.float32, np.float64]),
)
@settings(deadline=None, max_examples=120)
def test_against_loops(seed, groups_share_out, kernel, stride, sides, dilation, mode, dtype):
    rng = np.random.default_rng(seed)
    groups, share, each = groups_share_out
    x = rng.standard_normal((groups * share, 7, 6, 2)).astype(dtype)
    weight = rng.standard_normal((groups * each, share, *kernel)).astype(dtype)
    bias = rng.standard_normal(groups * each).astype(dtype)
    y = conv2d(x, weight, bias, stride, sides, dilation, groups, mode)
    expected = loops(x, weight, bias, stride, sides, dilation, groups, mode)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-10 if dtype == np.float64 else 2e-5)


def test_the_lecture():
    x, k = LECTURE_A[None, :, :, None], LECTURE_KERNEL[None, None]
    once = conv2d(x, k)
    np.testing.assert_array_equal(
        once[0, :, :, 0], [[9, 2, 2, 6], [-1, 4, 8, 7], [-4, 8, 8, 0], [2, 9, 7, 4]]
    )
    np.testing.assert_array_equal(conv2d(x, k, stride=2)[0, :, :, 0], [[9, 2], [-4, 8]])
    np.testing.assert_array_equal(conv2d(once, k)[0, :, :, 0], [[11, 15], [25, 23]])
    np.testing.assert_array_equal(conv2d(x, k, dilation=2)[0, :, :, 0], [[5, 7], [5, 13]])


def test_channels_and_groups_must_fit():
    x = np.zeros((3, 5, 5, 1), np.float32)
    with pytest.raises(ShapeError, match="each group needs 3 input maps"):
        conv2d(x, np.zeros((2, 2, 3, 3), np.float32))
    with pytest.raises(ShapeError, match="3 input maps in 2 group"):
        conv2d(x, np.zeros((2, 1, 3, 3), np.float32), groups=2)


def test_unknown_padding_word():
    with pytest.raises(OptionError, match="unknown padding 'full'; use same, valid"):
        padding_sides("full", (5, 5), (3, 3), (1, 1), (1, 1))


def test_same_with_stride_puts_the_odd_pixel_last():
    assert padding_sides("same", (6, 7), (3, 4), (2, 2), (1, 1)) == (0, 2, 1, 1)


def test_runs_on_the_device(xp, rng):
    x = rng.standard_normal((4, 6, 7, 2)).astype(np.float32)
    weight = rng.standard_normal((6, 2, 3, 2)).astype(np.float32)
    bias = rng.standard_normal(6).astype(np.float32)
    y = conv2d(*(xp.to_device(a) for a in (x, weight, bias)), padding=(1, 0, 2, 1), groups=2)
    expected = loops(x, weight, bias, (1, 1), (1, 0, 2, 1), (1, 1), 2, "constant")
    np.testing.assert_allclose(xp.to_host(y), expected, atol=1e-5)


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(2, 5), st.integers(1, 4), st.integers(1, 3)),
    st.tuples(st.integers(1, 9), st.integers(1, 8)),
    st.tuples(*[st.integers(0, 3)] * 4),
    st.integers(1, 4),
    st.sampled_from(["constant", "edge", "reflect"]),
    st.sampled_from(["im2col", "winograd-rows", "winograd", "tiles"]),
)
@settings(deadline=None, max_examples=120)
def test_three_rows_by_every_algorithm(seed, maps, size, sides, columns, mode, algorithm):
    rng = np.random.default_rng(seed)
    c, o, n = maps
    if algorithm == "winograd":
        columns = 3
    if size[0] + sides[0] + sides[2] < 3 or size[1] + sides[1] + sides[3] < columns:
        return
    x, weight = rng.standard_normal((c, *size, n)), rng.standard_normal((o, c, 3, columns))
    y = conv2d(x, weight, padding=sides, padding_mode=mode, algorithm=algorithm)
    expected = loops(x, weight, None, (1, 1), sides, (1, 1), 1, mode)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12 * max(np.abs(expected).max(), 1))


@pytest.mark.parametrize("algorithm", ["im2col", "winograd-rows", "winograd", "tiles"])
@pytest.mark.parametrize(("channels", "filters"), [(32, 24), (128, 64)])
def test_every_algorithm_in_float32_stays_within_1e_5(algorithm, channels, filters, rng):
    x = rng.standard_normal((channels, 19, 18, 3)).astype(np.float32)
    weight = rng.standard_normal((filters, channels, 3, 3)).astype(np.float32)
    grad_y = rng.standard_normal((filters, 19, 18, 3)).astype(np.float32)
    exact = [a.astype(np.float64) for a in (x, weight, grad_y)]
    y, backward = conv2d_vjp(x, weight, padding=1, algorithm=algorithm)
    expected, expected_backward = conv2d_vjp(*exact[:2], padding=1, algorithm="im2col")
    found = [y, *backward(grad_y)]
    for one, other in zip(found, [expected, *expected_backward(exact[2])], strict=True):
        assert one.dtype == np.float32
        assert np.abs(one - other).max() <= 1e-5 * np.abs(other).max()


@pytest.mark.parametrize("size", [(9, 3), (5, 7), (40, 36)])
@pytest.mark.parametrize("columns", [2, 3])
def test_strips_cover_every_output(size, columns, rng, monkeypatch):
    monkeypatch.setattr("cnntool.ops.winograd.STRIP_NUMBERS", 64)
    monkeypatch.setattr("cnntool.ops.im2col.PATCH_BYTES", 2000)
    monkeypatch.setattr("cnntool.ops.convolution.SHARED", 0)
    x, weight = rng.standard_normal((4, *size, 2)), rng.standard_normal((5, 4, 3, columns))
    expected = loops(x, weight, None, (1, 1), (1, 2, 0, 1), (1, 1), 1, "constant")
    for algorithm in ("im2col", "winograd-rows", "tiles", *["winograd"] * (columns == 3)):
        for threads in (1, 3):
            y = conv2d(x, weight, padding=(1, 2, 0, 1), algorithm=algorithm, threads=threads)
            np.testing.assert_allclose(y, expected, atol=1e-11)


def test_filters_are_shared_where_windows_are_few(rng, monkeypatch):
    monkeypatch.setattr("cnntool.ops.convolution.SHARED", 0)
    x, weight = rng.standard_normal((6, 3, 4, 1)), rng.standard_normal((40, 6, 2, 3))
    bias = rng.standard_normal(40)
    expected = loops(x, weight, bias, (1, 1), (0, 0, 0, 0), (1, 1), 1, "constant")
    for threads in (2, 3, 7):
        np.testing.assert_allclose(conv2d(x, weight, bias, threads=threads), expected, atol=1e-12)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 2, 3), (2, 2, 1), (3, 1, 1), (1, 1, 2)]),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 3)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from(["constant", "reflect", "edge", "wrap", "max"]),
    st.booleans(),
)
@settings(deadline=None, max_examples=80)
def test_gradients_along_random_directions(
    seed, groups_share_out, kernel, stride, sides, dilation, mode, with_bias
):
    rng = np.random.default_rng(seed)
    groups, share, each = groups_share_out
    x = rng.permutation(groups * share * 7 * 6 * 2).reshape(groups * share, 7, 6, 2) / 50
    weight = rng.standard_normal((groups * each, share, *kernel))
    bias = rng.standard_normal(groups * each) if with_bias else None
    check_directions(rng, x, weight, bias, stride, sides, dilation, groups, mode)


@pytest.mark.parametrize("sides", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 2), (3, 0, 0, 1)])
@pytest.mark.parametrize("mode", ["constant", "reflect"])
@pytest.mark.parametrize(
    ("algorithm", "columns"),
    [("winograd", 3), ("winograd-rows", 2), ("winograd-rows", 3), ("tiles", 2), ("tiles", 3)],
)
def test_gradients_by_every_algorithm(sides, mode, algorithm, columns, rng):
    x, weight = rng.standard_normal((3, 7, 6, 2)), rng.standard_normal((4, 3, 3, columns))
    check_directions(
        rng, x, weight, rng.standard_normal(4), (1, 1), sides, (1, 1), 1, mode,
        algorithm=algorithm,
    )  # fmt: skip


def check_directions(rng, x, weight, bias, *options, algorithm="auto"):
    """The loss is a random weighting of the outputs; its slope against central differences."""
    arrays = [x, weight] if bias is None else [x, weight, bias]
    extra = [] if bias is not None else [None]
    y, backward = conv2d_vjp(*arrays, *extra, *options, algorithm=algorithm)
    grad_y = rng.standard_normal(y.shape)
    gradients = backward(grad_y)
    assert len(gradients) == len(arrays)
    for index, (array, gradient) in enumerate(zip(arrays, gradients, strict=True)):
        assert gradient.shape == array.shape
        direction = rng.standard_normal(array.shape)
        ends = []
        for sign in (1, -1):
            moved = [a + sign * 1e-6 * direction if i == index else a for i, a in enumerate(arrays)]
            ends.append(
                float((conv2d(*moved, *extra, *options, algorithm=algorithm) * grad_y).sum())
            )
        slope = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(float((gradient * direction).sum()), slope, rtol=1e-6, atol=1e-5)


def test_first_layers_need_no_gradient_of_the_input(rng):
    x, weight = rng.standard_normal((2, 4, 5, 3)), rng.standard_normal((3, 2, 2, 2))
    y, backward = conv2d_vjp(x, weight, need_input_grad=False)
    assert backward(np.ones_like(y))[0] is None


def test_the_choice_at_its_borders():
    plain = (64, 16, 16, 32)
    assert choose_algorithm((64, 32, 3, 3), plain, Steps(), 1) == "winograd"
    assert choose_algorithm((32, 64, 3, 3), plain, Steps(), 1) == "winograd"
    assert choose_algorithm((64, 31, 3, 3), plain, Steps(), 1) == "winograd-rows"
    assert choose_algorithm((64, 32, 3, 5), plain, Steps(), 1) == "winograd-rows"
    assert choose_algorithm((64, 32, 3, 3), (64, 16, 3, 32), Steps(), 1) == "winograd-rows"
    assert choose_algorithm((64, 32, 3, 3), (64, 3, 16, 32), Steps(), 1) == "im2col"
    assert choose_algorithm((64, 64, 3, 3), (64, 16, 16, 16), Steps(), 1) == "winograd"
    assert choose_algorithm((64, 128, 3, 3), (64, 16, 16, 15), Steps(), 1) == "winograd-rows"
    assert choose_algorithm((64, 16, 3, 3), (64, 16, 16, 64), Steps(), 1) == "winograd"
    assert choose_algorithm((64, 8, 3, 3), plain, Steps(), 1) == "winograd-rows"
    assert choose_algorithm((64, 7, 3, 3), plain, Steps(), 1) == "im2col"
    assert choose_algorithm((8, 64, 3, 3), plain, Steps(), 1) == "winograd-rows"
    assert choose_algorithm((7, 64, 3, 3), plain, Steps(), 1) == "tiles"
    # enough to multiply, and enough positions for the mixing of weights
    assert choose_algorithm((64, 8, 3, 3), (64, 25, 100, 1), Steps(), 1) == "winograd-rows"
    assert choose_algorithm((64, 8, 3, 3), (64, 25, 99, 1), Steps(), 1) == "im2col"
    assert choose_algorithm((256, 256, 3, 3), (256, 10, 20, 1), Steps(), 1) == "winograd-rows"
    assert choose_algorithm((256, 256, 3, 3), (256, 14, 14, 1), Steps(), 1) == "im2col"
    assert choose_algorithm((64, 32, 4, 3), plain, Steps(), 1) == "im2col"
    assert choose_algorithm((16, 9, 5, 4), plain, Steps(), 1) == "tiles"
    assert choose_algorithm((16, 9, 5, 2), plain, Steps(), 1) == "im2col"
    assert choose_algorithm((17, 9, 5, 5), plain, Steps(), 1) == "im2col"
    assert choose_algorithm((16, 9, 5, 5), (16, 16, 16, 7), Steps(), 1) == "im2col"
    assert choose_algorithm((16, 9, 5, 5), (16, 1, 16, 8), Steps(), 1) == "im2col"
    assert choose_algorithm((6, 1, 5, 5), (6, 28, 28, 8), Steps(), 1) == "tiles"
    assert choose_algorithm((6, 1, 5, 5), (6, 28, 28, 4), Steps(), 1) == "maps"
    assert choose_algorithm((6, 1, 5, 5), (6, 28, 28, 5), Steps(), 1) == "im2col"
    assert choose_algorithm((64, 32, 3, 3), plain, Steps((1, 2)), 1) == "im2col"
    assert choose_algorithm((64, 32, 3, 3), plain, Steps((1, 1), (2, 1)), 1) == "im2col"
    assert choose_algorithm((64, 32, 3, 3), plain, Steps(), 2) == "im2col"
    assert choose_algorithm((64, 1, 3, 3), plain, Steps(), 64) == "maps"


def test_algorithms_that_cannot():
    x = np.zeros((2, 5, 6, 1))
    with pytest.raises(OptionError, match=r"winograd needs kernels of 3x3, stride 1.*; got 3x2"):
        conv2d(x, np.zeros((1, 2, 3, 2)), algorithm="winograd")
    with pytest.raises(OptionError, match=r"winograd-rows needs kernels of 3 rows.*; got 2x3"):
        conv2d(x, np.zeros((1, 2, 2, 3)), algorithm="winograd-rows")
    for algorithm in ("winograd", "winograd-rows"):
        with pytest.raises(OptionError, match=rf"{algorithm} needs .*stride \(2, 1\)"):
            conv2d(x, np.zeros((1, 2, 3, 3)), stride=(2, 1), algorithm=algorithm)
    with pytest.raises(OptionError, match="tiles need stride 1 and dilation 1"):
        conv2d(x, np.zeros((1, 2, 3, 3)), stride=2, algorithm="tiles")
    with pytest.raises(OptionError, match="'maps' filters one input map at a time, got 2"):
        conv2d(x, np.zeros((1, 2, 3, 3)), algorithm="maps")


def test_gradients_on_the_device(xp, rng):
    x = rng.standard_normal((4, 7, 6, 2)).astype(np.float32)
    weight = rng.standard_normal((3, 4, 3, 3)).astype(np.float32)
    on_host = conv2d_vjp(x, weight, padding=1, algorithm="winograd")
    grad_y = rng.standard_normal(on_host[0].shape).astype(np.float32)
    arrays = [xp.to_device(a) for a in (x, weight, grad_y)]
    for algorithm in ("im2col", "winograd-rows", "winograd", "tiles"):
        _, backward = conv2d_vjp(*arrays[:2], padding=1, algorithm=algorithm)
        for found, expected in zip(backward(arrays[2]), on_host[1](grad_y), strict=True):
            np.testing.assert_allclose(xp.to_host(found), expected, atol=1e-4)


def test_an_empty_batch_gives_empty_maps():
    x, weight = np.zeros((3, 6, 5, 0), np.float32), np.zeros((4, 3, 2, 3), np.float32)
    y, backward = conv2d_vjp(x, weight)
    assert y.shape == (4, 5, 3, 0)
    grad_x, grad_weight = backward(y)
    assert grad_x.shape == x.shape
    np.testing.assert_array_equal(grad_weight, np.zeros_like(weight))
