"""conv2d against seven nested loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.ops.convolution import conv2d, padding_sides

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
