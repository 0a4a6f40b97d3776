"""Every method against padded slices in float64; SciPy as a second oracle."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.ops.correlation import (
    METHODS,
    Correlation,
    Frame,
    Steps,
    correlate,
    run_bank,
)
from cnntool.ops.correlation_methods import band
from cnntool.ops.factors import rank_one_factors

NUMPY_BORDERS = ("constant", "reflect", "symmetric", "edge", "wrap")
CHOICES = ("taps", "banded", "separable", "separable+banded", "long", "fft")


def padded(x, frame):
    top, right, bottom, left = frame.sides
    extra = {"constant_values": frame.value} if frame.border == "constant" else {}
    widths = ((top, bottom), (left, right), (0, 0))
    return np.pad(x.astype(np.float64), widths, mode=frame.border, **extra)


def slow(x, kernel, frame, steps):
    """Sum of weighted shifted slices of the padded picture, float64."""
    p = padded(x, frame)
    (sy, sx), (dy, dx) = steps.stride, steps.dilation
    kh, kw = kernel.shape
    rows = (p.shape[0] - (kh - 1) * dy - 1) // sy + 1
    columns = (p.shape[1] - (kw - 1) * dx - 1) // sx + 1
    out = np.zeros((rows, columns, x.shape[2]))
    for i in range(rows):
        for j in range(columns):
            window = p[i * sy : i * sy + (kh - 1) * dy + 1 : dy,
                       j * sx : j * sx + (kw - 1) * dx + 1 : dx]  # fmt: skip
            out[i, j] = np.einsum("abn,ab->n", window, kernel)
    return out


@st.composite
def cases(draw):
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    kh, kw = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    shape = draw(st.tuples(st.integers(1, 14), st.integers(1, 14), st.integers(1, 3)))
    dtype = draw(st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]))
    whole, rank_one = draw(st.booleans()), draw(st.booleans())

    def weights(*size):
        return rng.integers(-3, 4, size).astype(float) if whole else rng.standard_normal(size)

    kernel = np.outer(weights(kh), weights(kw)) if rank_one else weights(kh, kw)
    x = (rng.random(shape) * 255).astype(dtype)
    border = draw(st.sampled_from(NUMPY_BORDERS))
    frame = Frame(draw(st.tuples(*[st.integers(0, 9)] * 4)), border, 7.0)
    steps = Steps(
        draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
    )
    return x, kernel, frame, steps


@given(cases(), st.sampled_from(METHODS), st.integers(1, 3))
@settings(deadline=None, max_examples=300)
def test_all_methods_against_slices(case, method, threads):
    x, kernel, frame, steps = case
    try:
        c = Correlation(kernel, x.shape, x.dtype, frame=frame, steps=steps, method=method)
    except ShapeError:
        p = padded(x, frame).shape
        assert any(p[a] < (kernel.shape[a] - 1) * steps.dilation[a] + 1 for a in (0, 1)), (
            "refused although the kernel fits"
        )
        return
    except OptionError:
        assert method == "separable"
        assert np.linalg.matrix_rank(kernel) != 1
        return
    c.__dict__["strip_rows"] = 3  # several strips although the pictures are small
    before = x.copy()
    result = c(x, threads=threads)
    expected = slow(x, kernel, frame, steps)
    assert result.dtype == (np.float64 if x.dtype == np.float64 else np.float32)
    assert result.shape == c.shape_out == expected.shape
    scale = np.abs(kernel).sum() * np.abs(padded(x, frame)).max()
    tolerance = 1e-10 if x.dtype == np.float64 else 1e-5
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance * max(scale, 1e-9))
    np.testing.assert_array_equal(x, before)


STEPS = (Steps(), Steps((2, 1), (2, 1)), Steps((3, 2), (1, 2)))
# products need stride 1 across: the choice never offers them otherwise
POSSIBLE = [
    (choice, steps)
    for choice in CHOICES
    for steps in STEPS
    if not (choice.endswith("banded") and steps.stride[1] > 1)
]


@pytest.mark.parametrize("choice, steps", POSSIBLE)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_every_choice_agrees(choice, steps, dtype, rng):
    """Each algorithm by name, on a picture of several strips, blocks and a remainder."""
    x = (rng.random((151, 83, 3)) * 255).astype(dtype)
    kernel = np.outer(rng.standard_normal(5), rng.standard_normal(9))
    frame = Frame((4, 8, 4, 8), "reflect")
    c = Correlation(kernel, x.shape, x.dtype, frame=frame, steps=steps)
    c.choice = choice
    c.__dict__["strip_rows"] = 30
    p = padded(x, frame)
    full = np.stack(
        [scipy.ndimage.correlate(p[..., n], dilated(kernel, steps), mode="constant", origin=0)
         for n in range(3)], axis=2
    )  # fmt: skip
    kh, kw = dilated(kernel, steps).shape
    valid = full[kh // 2 : p.shape[0] - (kh - 1) // 2, kw // 2 : p.shape[1] - (kw - 1) // 2]
    expected = valid[:: steps.stride[0], :: steps.stride[1]]
    atol = (1e-10 if dtype == np.float64 else 1e-5) * np.abs(kernel).sum() * 255
    np.testing.assert_allclose(c(x, threads=2), expected, rtol=0, atol=atol)


def dilated(kernel, steps):
    (dy, dx), (kh, kw) = steps.dilation, kernel.shape
    out = np.zeros(((kh - 1) * dy + 1, (kw - 1) * dx + 1))
    out[::dy, ::dx] = kernel
    return out


def test_max_border_is_the_largest_value_of_each_map():
    x = np.array([[[1, 40], [2, 30]], [[3, 20], [4, 10]]], np.uint8)
    ones = np.ones((3, 3))
    y = Correlation(ones, x.shape, x.dtype, frame=Frame((1, 1, 1, 1), "max"))(x)
    np.testing.assert_array_equal(y[0, 0], [10 + 5 * 4, 100 + 5 * 40])


def test_choice_at_its_borders():
    """The choice is by cost; these are the kernels that people use."""

    def choice(kernel, dtype=np.uint8, **options):
        return Correlation(kernel, (2160, 3840, 3), dtype, **options).choice

    sobel = np.outer([1, 2, 1], [-1, 0, 1]).astype(float)
    rng = np.random.default_rng(5)
    assert choice(sobel) == "separable"
    assert Correlation(sobel, (9, 9, 3), np.uint8).dtype == np.int16
    assert Correlation(sobel * 40, (9, 9, 3), np.uint8).dtype == np.float32  # beyond 16 bits
    assert Correlation(sobel, (9, 9, 3), np.uint16).dtype == np.float32
    assert Correlation(sobel, (9, 9, 3), np.float64).dtype == np.float64
    assert choice(rng.standard_normal((7, 7))) == "banded"
    assert choice(rng.standard_normal((7, 7)), steps=Steps((1, 2))) == "taps"
    assert choice(rng.standard_normal((25, 25))) == "fft"
    assert choice(np.outer(rng.random(9), rng.random(9))) == "separable+banded"
    assert choice(np.outer(rng.random(65), rng.random(65))) == "long"
    assert choice(rng.standard_normal((3, 3)), method="fft") == "fft"


def test_separable_method_needs_rank_one():
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0.0]])
    with pytest.raises(OptionError, match="rank 1, this one has rank 2; use --method direct"):
        Correlation(kernel, (5, 6, 1), np.uint8, method="separable")


def test_kernel_larger_than_the_padded_picture():
    with pytest.raises(ShapeError, match=r"a window of 5 does not fit an input of 3 \+ 1 \+ 0"):
        Correlation(np.ones((5, 2)), (3, 9, 1), np.uint8, frame=Frame((1, 0, 0, 0)))


def test_zero_kernel_gives_zeros():
    x = np.ones((4, 5, 1), np.uint8)
    for choice in ("taps", "banded", "fft"):
        c = Correlation(np.zeros((2, 3)), x.shape, x.dtype)
        c.choice, c.dtype = choice, np.dtype(np.float32)
        np.testing.assert_array_equal(c(x), np.zeros((3, 3, 1)))


def test_bank_shares_strips(rng):
    x = rng.integers(0, 256, (37, 23, 2), dtype=np.uint8)
    kernels = [rng.integers(-2, 3, (3, 3)).astype(float), rng.standard_normal((3, 3))]
    bank = [Correlation(k, x.shape, x.dtype) for k in kernels]
    for c in bank:
        c.__dict__["strip_rows"] = 8
    out = np.empty((2, *bank[0].shape_out))

    def sink(start, stop, maps):
        for index, values in enumerate(maps):
            out[index, start:stop] = values

    run_bank(bank, x, sink, threads=2)
    for index, kernel in enumerate(kernels):
        np.testing.assert_allclose(out[index], slow(x, kernel, Frame(), Steps()), atol=1e-2)


@given(
    st.lists(st.integers(-9, 9), min_size=1, max_size=5),
    st.lists(st.integers(-9, 9), min_size=1, max_size=5),
)
def test_whole_factors_of_whole_kernels(column, row):
    kernel = np.outer(column, row).astype(float)
    factors = rank_one_factors(kernel)
    if not kernel.any():
        assert factors is None
        return
    assert factors is not None
    np.testing.assert_array_equal(np.outer(*factors), kernel)
    for vector in factors:
        np.testing.assert_array_equal(vector, np.rint(vector))


def test_rank_two_has_no_factors():
    assert rank_one_factors(np.eye(3)) is None


def test_band_with_stride_and_dilation():
    np.testing.assert_array_equal(
        band(np.array([1.0, 2.0]), 2, stride=2, dilation=3),
        [[1, 0, 0, 2, 0, 0], [0, 0, 1, 0, 0, 2]],
    )


def test_correlate_runs_on_the_device(xp, rng):
    x = rng.random((9, 11, 2), dtype=np.float32)
    kernel = rng.standard_normal((3, 4))
    for method in ("direct", "fft"):
        y = xp.to_host(correlate(xp.to_device(x), kernel, method=method))
        np.testing.assert_allclose(y, slow(x, kernel, Frame(), Steps()), atol=1e-5)
