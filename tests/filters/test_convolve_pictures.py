"""convolve: against scipy.signal on pictures padded by numpy.pad, in all its options."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import NameNotFound, OptionError, ShapeError
from cnntool.filters.convolve import Convolution, as_kernel, convolve, method_used
from cnntool.filters.kernel import Kernel
from cnntool.filters.kernel_text import parse_kernel
from cnntool.filters.kernels import KERNELS
from cnntool.filters.levels import Levels

BORDERS = ("reflect", "symmetric", "edge", "wrap", "constant", "max")


# --- the oracle ---


def sides(padding, size, kernel, stride, dilation):
    """(before, after) along one axis; numbers are given as such a pair already."""
    reach = dilation * (kernel - 1)
    if padding == "valid":
        return 0, 0
    if padding == "full":
        return reach, reach
    if padding == "same":
        total = max(0, (-(-size // stride) - 1) * stride + reach + 1 - size)
        return total // 2, total - total // 2
    return padding


def padded(plane, rows, columns, border, value):
    amounts = (rows, columns)
    if border == "constant":
        return np.pad(plane, amounts, constant_values=value)
    if border == "max":
        return np.pad(plane, amounts, constant_values=plane.max())
    return np.pad(plane, amounts, mode=border)


def expected(image, kernel, *, padding="same", border="reflect", border_value=0.0, stride=(1, 1),
             dilation=(1, 1), flip=False):  # fmt: skip
    """Correlation of each channel in float64: zeros put into the kernel, then every sum."""
    from scipy.signal import correlate

    kernel = np.asarray(kernel, np.float64)
    if flip:
        kernel = kernel[::-1, ::-1]
    kh, kw = kernel.shape
    spread = np.zeros(((kh - 1) * dilation[0] + 1, (kw - 1) * dilation[1] + 1))
    spread[:: dilation[0], :: dilation[1]] = kernel
    planes = image[..., None] if image.ndim == 2 else image
    results = []
    for channel in range(planes.shape[2]):
        plane = planes[..., channel].astype(np.float64)
        if isinstance(padding, tuple):
            top, right, bottom, left = padding
            rows, columns = (top, bottom), (left, right)
        else:
            rows, columns = (
                sides(padding, n, k, s, d)
                for n, k, s, d in zip(plane.shape, kernel.shape, stride, dilation, strict=True)
            )
        wide = padded(plane, rows, columns, border, border_value)
        sums = correlate(wide, spread, "valid", "direct")
        results.append(sums[:: stride[0], :: stride[1]])
    stacked = np.stack(results, axis=2)
    return stacked[..., 0] if image.ndim == 2 else stacked


def bound(image, kernel, value=0.0):
    """Largest sum that the kernel could make: what errors are relative to."""
    return np.abs(kernel).sum() * max(float(np.abs(image).max()), abs(value), 1e-30)


def four(padding):
    """(T, R, B, L) of a number, a pair or four; words as they are."""
    if isinstance(padding, int):
        return (padding,) * 4
    if isinstance(padding, tuple):
        return padding * 2 if len(padding) == 2 else padding
    return padding


# --- random kernels of any size ---

paddings = st.one_of(
    st.sampled_from(["same", "valid", "full"]),
    st.integers(0, 5),
    st.tuples(st.integers(0, 4), st.integers(0, 6)),
    st.tuples(*[st.integers(0, 5)] * 4),
)


@st.composite
def cases(draw):
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 11))
    channels = draw(st.sampled_from([None, 1, 2, 3, 4]))
    kernel = (draw(st.integers(1, 12)), draw(st.integers(1, 8)))
    options = {
        "padding": draw(paddings),
        "border": draw(st.sampled_from(BORDERS)),
        "stride": (draw(st.integers(1, 3)), draw(st.integers(1, 4))),
        "dilation": (draw(st.integers(1, 3)), draw(st.integers(1, 2))),
        "flip": draw(st.booleans()),
    }
    if options["border"] == "constant":
        options["border_value"] = draw(st.sampled_from([0.0, 255.0, -3.5]))
    method = draw(st.sampled_from(["auto", "direct", "fft"]))
    shape = (height, width) if channels is None else (height, width, channels)
    return shape, kernel, options, method, draw(st.integers(0, 2**32 - 1))


def check(shape, size, options, method, image, kernel, tolerance):
    oracle = {**options, "padding": four(options["padding"])}
    try:
        wanted = expected(image, kernel, **oracle)
        fits = wanted.size > 0 and _fits(shape, size, oracle)
    except ValueError:
        fits = False
    if not fits:
        with pytest.raises(ShapeError, match="does not fit"):
            convolve(image, kernel, method=method, **options)
        return
    before = image.copy()
    found = convolve(image, kernel, method=method, **options)
    assert found.dtype == (np.float64 if image.dtype == np.float64 else np.float32)
    assert found.shape == wanted.shape
    limit = tolerance * bound(image, kernel, options.get("border_value", 0.0))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=limit)
    np.testing.assert_array_equal(image, before)


def _fits(shape, size, options):
    """Where the kernel is larger, scipy's 'valid' swaps it and the picture; here it is an error."""
    padding = options["padding"]
    for axis in (0, 1):
        if isinstance(padding, tuple):
            before, after = padding[0 if axis == 0 else 3], padding[2 if axis == 0 else 1]
        else:
            before, after = sides(
                padding, shape[axis], size[axis], options["stride"][axis], options["dilation"][axis]
            )
        if shape[axis] + before + after < options["dilation"][axis] * (size[axis] - 1) + 1:
            return False
    return True


@settings(max_examples=150)
@given(cases())
def test_equals_scipy_in_float64(case):
    shape, size, options, method, seed = case
    rng = np.random.default_rng(seed)
    image, kernel = rng.normal(0, 100, shape), rng.normal(0, 1, size)
    check(shape, size, options, method, image, kernel, 1e-10)


@settings(max_examples=150)
@given(cases(), st.sampled_from([np.float32, np.uint8, np.uint16]), st.booleans())
def test_equals_scipy_in_float32(case, dtype, whole):
    shape, size, options, method, seed = case
    rng = np.random.default_rng(seed)
    top = {np.uint8: 255, np.uint16: 65535}.get(dtype, 255)
    image = (rng.random(shape) * top).astype(dtype)
    kernel = rng.integers(-3, 4, size).astype(float) if whole else rng.normal(0, 1, size)
    if not kernel.any():
        kernel[0, 0] = 1
    check(shape, size, options, method, image, kernel, 1e-5)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("size", range(1, 8))
def test_borders_are_those_of_numpy(border, size):
    # a column of ones at the far left of a wide kernel copies the padding itself
    image = np.arange(10.0, 10 + size * (size + 1)).reshape(size, size + 1)
    reach = 9
    kernel = np.zeros((1, 2 * reach + 1))
    for offset in (-reach, reach):
        kernel[:] = 0
        kernel[0, reach + offset] = 1
        wide = padded(image, (0, 0), (reach, reach), border, 0.0)
        wanted = wide[:, reach + offset : reach + offset + size + 1]
        np.testing.assert_array_equal(convolve(image, kernel, border=border), wanted)
        tall = padded(image.T, (reach, reach), (0, 0), border, 0.0)
        wanted = tall[reach + offset : reach + offset + size + 1]
        np.testing.assert_array_equal(convolve(image.T, kernel.T, border=border), wanted)


@pytest.mark.parametrize(
    "alias, name",
    [
        ("mirror", "reflect"),
        ("reflect101", "reflect"),
        ("replicate", "edge"),
        ("nearest", "edge"),
        ("clamp", "edge"),
        ("circular", "wrap"),
        ("tile", "wrap"),
        ("periodic", "wrap"),
        ("zero", "constant"),
        ("black", "constant"),
    ],
)
def test_other_words_for_borders(rng, alias, name):
    image = rng.random((5, 6))
    np.testing.assert_array_equal(
        convolve(image, "box:5", border=alias), convolve(image, "box:5", border=name)
    )


def test_odd_pixel_of_same_goes_to_bottom_and_right():
    image = np.zeros((6, 7))
    image[2, 3] = 1
    found = convolve(image, np.ones((2, 4)), border="constant")
    # a window of 2×4 begins at its pixel and one to the left: the impulse reaches these
    assert [tuple(at) for at in np.argwhere(found)] == list(itertools.product((1, 2), (1, 2, 3, 4)))


def test_same_with_a_stride_keeps_every_nth_pixel():
    for size, stride in itertools.product(range(1, 9), range(1, 4)):
        found = convolve(np.ones((size, 9)), np.ones((3, 3)), stride=(stride, 1))
        assert found.shape == (-(-size // stride), 9)


# --- methods ---


@pytest.mark.parametrize("kernel", ["box:7", "gaussian:sigma=1.7", "sobel-y", "box:2,9", "diff-x"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_all_methods_agree(rng, kernel, dtype):
    image = (rng.random((37, 53, 3)) * 255).astype(dtype)
    options = {"stride": (2, 3), "border": "symmetric"}
    tolerance = 1e-10 if dtype == np.float64 else 1e-5
    wanted = expected(image, parse_kernel(kernel).array(), **options)
    limit = tolerance * 255 * np.abs(parse_kernel(kernel).array()).sum()
    for method in ("auto", "direct", "separable", "fft"):
        found = convolve(image, kernel, method=method, **options)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=limit, err_msg=method)


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_nothing(rng, threads):
    image = rng.integers(0, 256, (700, 90, 3), dtype=np.uint8)
    for kernel in ("sobel-x", "gaussian:sigma=3", "log-5"):
        alone = convolve(image, kernel)
        np.testing.assert_array_equal(convolve(image, kernel, threads=threads), alone)


def test_tall_pictures_have_no_seams_between_strips(rng):
    image = rng.integers(0, 256, (1500, 40), dtype=np.uint8)
    kernel = rng.normal(size=(9, 5))
    found = convolve(image, kernel, dilation=(3, 2))
    np.testing.assert_allclose(
        found, expected(image, kernel, dilation=(3, 2)), rtol=0, atol=1e-5 * bound(image, kernel)
    )


def test_method_used_tells_what_is_done():
    image = np.zeros((40, 50, 3), np.uint8)
    assert method_used(image, parse_kernel("sobel-x"), Convolution()).endswith("int16")
    for method in ("direct", "separable", "fft"):
        used = method_used(image, parse_kernel("sobel-x"), Convolution(method=method))
        assert used.startswith(f"{method} in ")
    weighted = method_used(
        np.zeros((4, 5, 4), np.uint8), parse_kernel("box"), Convolution(), alpha=True
    )
    assert weighted.endswith("float32")


# --- named kernels ---


@pytest.mark.parametrize("name", KERNELS)
def test_every_named_kernel_runs(rng, name):
    image = rng.integers(0, 256, (11, 13), dtype=np.uint8)
    kernel = KERNELS[name]
    wanted = expected(image, kernel.array()) + kernel.offset
    limit = 1e-5 * bound(image, kernel.array())
    np.testing.assert_allclose(convolve(image, name), wanted, rtol=0, atol=limit)
    wanted = expected(image, kernel.array(), flip=True) + kernel.offset
    np.testing.assert_allclose(convolve(image, name, flip=True), wanted, rtol=0, atol=limit)


# --- options of the result ---


def test_normalize_scale_and_offset(rng):
    image, kernel = rng.random((6, 7)), np.array([[1.0, -2.0, 4.0], [0.5, 3.0, 1.0]])
    sums = expected(image, kernel)
    found = convolve(image, kernel, normalize="sum", scale=3, offset=-2)
    np.testing.assert_allclose(found, sums / 7.5 * 3 - 2, atol=1e-12)
    found = convolve(image, kernel, normalize="l1")
    np.testing.assert_allclose(found, sums / 11.5, atol=1e-12)
    np.testing.assert_allclose(
        convolve(image, kernel, scale=-1, offset=255), 255 - sums, atol=1e-12
    )


def test_kernel_offset_adds_to_the_option(rng):
    image = rng.random((4, 5))
    kernel = Kernel("custom", ((1, 0), (0, -1)), scale=2, offset=100)
    np.testing.assert_allclose(
        convolve(image, kernel, offset=11),
        expected(image, [[0.5, 0], [0, -0.5]]) + 111,
        atol=1e-12,
    )


def test_halves_stay_halves():
    # a product with 1/6 would not give 0.5 exactly
    image = np.array([[1, 1, 1]], np.uint8)
    assert convolve(image, Kernel("sixth", ((3,),), scale=6)).tolist() == [[0.5, 0.5, 0.5]]


def test_linear_light(rng):
    image = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    share = image / 255.0
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    mixed = expected(light, np.full((3, 3), 1 / 9))
    back = np.where(mixed <= 0.0031308, mixed * 12.92, 1.055 * mixed ** (1 / 2.4) - 0.055)
    found = convolve(image, "box", linear=True)
    np.testing.assert_allclose(found, back * 255, atol=2e-3)
    assert (found.mean() > convolve(image, "box").mean()).all()


def test_levels_round_strip_by_strip_as_they_round_the_whole(rng):
    image = rng.integers(0, 256, (600, 31, 3), dtype=np.uint8)
    for kernel in ("sobel-x", "gaussian:sigma=2", "sharpen", "box:2"):
        for mode in ("auto", "clip", "abs", "offset", "rescale"):
            zero_sum = parse_kernel(kernel).zero_sum
            whole = Levels(np.uint8, mode, zero_sum).of(convolve(image, kernel))
            levels = Levels(np.uint8, mode, zero_sum)
            np.testing.assert_array_equal(convolve(image, kernel, levels=levels), whole)
            assert levels.report.total == image.size


def test_sixteen_bits(rng):
    image = rng.integers(0, 65536, (8, 9), dtype=np.uint16)
    found = convolve(image, "box", levels=Levels(np.uint16, full_range=65535))
    assert found.dtype == np.uint16
    wanted = np.rint(expected(image, np.full((3, 3), 1 / 9)))
    assert np.abs(found.astype(int) - wanted).max() <= 1


# --- arguments ---


def test_forms_of_a_kernel(rng):
    image = rng.random((5, 6))
    wanted = expected(image, [[1, 2], [3, 4]])
    for form in ("1 2; 3 4", "[[1, 2], [3, 4]]", [[1, 2], [3, 4]], np.array([[1, 2], [3, 4]])):
        np.testing.assert_allclose(convolve(image, form), wanted, atol=1e-12)
    assert as_kernel(KERNELS["sobel-x"]) is KERNELS["sobel-x"]


def test_views_and_other_orders_of_memory(rng):
    image = rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)
    view = image[::2, ::-1]
    np.testing.assert_array_equal(convolve(view, "sobel-x"), convolve(view.copy(), "sobel-x"))
    turned = image.transpose(1, 0, 2)
    np.testing.assert_array_equal(convolve(turned, "box"), convolve(turned.copy(), "box"))


@pytest.mark.parametrize(
    "options, kind, words",
    [
        ({"padding": "some"}, OptionError, "unknown padding 'some'; use same, valid, full"),
        ({"padding": (1, 2, 3)}, OptionError, "takes N, H,W or T,R,B,L"),
        ({"padding": -1}, OptionError, "must not be negative"),
        ({"stride": 0}, OptionError, "stride must be at least 1, got 0,0"),
        ({"dilation": (1, 0)}, OptionError, "dilation must be at least 1, got 1,0"),
        ({"border": "nowhere"}, NameNotFound, "nowhere"),
        ({"normalize": "max"}, OptionError, "unknown normalize 'max'; use none, sum or l1"),
    ],
)
def test_senseless_options(options, kind, words):
    with pytest.raises(kind, match=words):
        convolve(np.ones((5, 6)), "box", **options)


def test_zero_sums_cannot_be_divided_by():
    with pytest.raises(OptionError, match=r"'sobel-x' sums to 0 .* --normalize l1"):
        convolve(np.ones((5, 6)), "sobel-x", normalize="sum")
    with pytest.raises(OptionError, match="all zeros"):
        convolve(np.ones((5, 6)), "0 0", normalize="l1")


def test_separable_needs_rank_one():
    with pytest.raises(OptionError, match="rank 1"):
        convolve(np.ones((5, 6)), "laplacian-4", method="separable")


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4, 5), (0, 5), (5, 0, 3)])
def test_what_is_no_picture(shape):
    with pytest.raises(ShapeError, match="a picture is"):
        convolve(np.ones(shape), "box")


def test_what_is_no_kernel():
    with pytest.raises(OptionError, match="a kernel is a matrix"):
        convolve(np.ones((4, 4)), np.ones((2, 2, 2)))


# --- devices ---


@pytest.mark.parametrize("kernel", ["sobel-x", "gaussian:sigma=2", "log-5", "box:2"])
def test_same_on_every_library(xp, rng, kernel):
    image = rng.integers(0, 256, (21, 17, 4), dtype=np.uint8)
    for options in ({}, {"stride": (2, 3)}, {"linear": True}, {"border": "max"}):
        for alpha in (False, True):
            found = convolve(xp.to_device(image), kernel, alpha=alpha, **options)
            wanted = convolve(image, kernel, alpha=alpha, **options)
            np.testing.assert_allclose(xp.to_host(found), wanted, atol=2e-3)
    levels = Levels(np.uint8, "auto", parse_kernel(kernel).zero_sum)
    found = xp.to_host(convolve(xp.to_device(image), kernel, levels=levels))
    assert found.dtype == np.uint8
