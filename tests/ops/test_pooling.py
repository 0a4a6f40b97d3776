"""Windows of maximum, minimum, sum, average and p-norm against loops, and against torch."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.ops import pooling, windows
from cnntool.ops.pooling import (
    avg_pool2d,
    avg_pool2d_vjp,
    lp_pool2d,
    lp_pool2d_vjp,
    max_pool2d,
    max_pool2d_vjp,
    min_pool2d,
    min_pool2d_vjp,
    sum_pool2d,
    sum_pool2d_vjp,
)

A = np.array(
    [
        [3, 3, 5, 1, 2, 3],
        [3, 4, 0, 1, 4, 5],
        [5, 1, 2, 3, 2, 0],
        [5, 0, 4, 5, 2, 1],
        [3, 4, 3, 1, 0, 2],
        [2, 0, 4, 3, 5, 1],
    ]
)


def maps(matrix, dtype=np.float64):
    return np.asarray(matrix, dtype=dtype)[None, :, :, None]


@st.composite
def geometries(draw):
    """Arguments of windows that fit, with all sizes free."""
    small = st.integers(1, 4)
    kernel, stride = draw(st.tuples(small, small)), draw(st.tuples(small, small))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    padding = tuple(draw(st.integers(0, r // 2)) for r in reach)
    # at least a dilation in size, so that every window sees the input
    size = tuple(
        draw(st.integers(max(r - 2 * p, d, 1), r + 7))
        for r, p, d in zip(reach, padding, dilation, strict=True)
    )
    depth = draw(st.integers(1, 2))
    shape = (draw(st.integers(depth, 4)), *size, draw(st.integers(1, 3)))
    return shape, {
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": draw(st.booleans()),
        "depth": depth,
        "depth_stride": draw(st.integers(1, 3)),
    }


def expected(x, kind, options, **more):
    names = {"kernel_size": "kernel"}
    return reference.pool2d(
        x, kind, **{names.get(name, name): value for name, value in options.items()}, **more
    )


# --- worked examples ---


def test_lecture_matrix():
    assert max_pool2d(maps(A), 2)[0, :, :, 0].tolist() == [[4, 5, 5], [5, 5, 2], [4, 4, 5]]
    assert sum_pool2d(maps(A), 2)[0, :, :, 0].tolist() == [[13, 7, 14], [11, 14, 5], [9, 11, 8]]
    means = [[3.25, 1.75, 3.5], [2.75, 3.5, 1.25], [2.25, 2.75, 2]]
    assert avg_pool2d(maps(A), 2)[0, :, :, 0].tolist() == means


def test_gradient_of_the_lecture_goes_to_the_maxima():
    x = maps([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])
    y, backward = max_pool2d_vjp(x, 2)
    assert y[0, :, :, 0].tolist() == [[6, 8], [3, 4]]
    grad = backward(maps([[10, 20], [30, 40]]))[0, :, :, 0]
    assert grad.tolist() == [[0, 0, 0, 0], [0, 10, 0, 20], [30, 0, 0, 0], [0, 0, 0, 40]]


# --- against loops ---


@settings(deadline=None, max_examples=120)
@given(geometries(), st.sampled_from([np.uint8, np.uint16, np.float32, np.float64, np.int16]))
def test_maximum_and_minimum_keep_the_type(geometry, dtype):
    shape, options = geometry
    x = np.random.default_rng(1).integers(0, 9, shape).astype(dtype)  # many equal values
    for kind, function in (("max", max_pool2d), ("min", min_pool2d)):
        y = function(x, **options)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, expected(x, kind, options)[0])


@settings(deadline=None, max_examples=120)
@given(geometries(), st.sampled_from([np.uint8, np.float32, np.float64]))
def test_positions_are_the_first_in_row_major_order(geometry, dtype):
    shape, options = geometry
    options = {**options, "depth": 1, "depth_stride": 1}
    x = np.random.default_rng(2).integers(0, 5, shape).astype(dtype)
    y, indices = max_pool2d(x, **options, return_indices=True)
    values, positions = expected(x, "max", options)
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(y, values)
    np.testing.assert_array_equal(indices, positions)


@settings(deadline=None, max_examples=120)
@given(geometries(), st.booleans(), st.sampled_from([None, 3, -2.5]))
def test_sums_and_averages(geometry, include_pad, divisor):
    shape, options = geometry
    x = np.random.default_rng(3).standard_normal(shape)
    np.testing.assert_allclose(
        sum_pool2d(x, **options), expected(x, "sum", options)[0], rtol=1e-12, atol=1e-12
    )
    y = avg_pool2d(x, **options, count_include_pad=include_pad, divisor_override=divisor)
    loops = expected(x, "avg", options, include_pad=include_pad, divisor=divisor)[0]
    np.testing.assert_allclose(y, loops, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(geometries(), st.sampled_from([1, 2, 3, 2.5]))
def test_norms(geometry, p):
    shape, options = geometry
    x = np.random.default_rng(4).standard_normal(shape)
    loops = expected(x, "lp", options, p=p)[0]
    np.testing.assert_allclose(lp_pool2d(x, p, **options), loops, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_sums_of_whole_numbers_are_exact_float32(dtype, rng):
    x = rng.integers(0, 256, (2, 7, 9, 3)).astype(dtype)
    for found, kind in ((sum_pool2d(x, (3, 2)), "sum"), (avg_pool2d(x, (3, 2)), "avg")):
        assert found.dtype == np.float32
        loops = reference.pool2d(x, kind, (3, 2))[0]
        np.testing.assert_array_equal(found, loops.astype(np.float32))
    norm = lp_pool2d(x, 2, (3, 2))
    assert norm.dtype == np.float32
    loops = reference.pool2d(x, "lp", (3, 2))[0]
    np.testing.assert_allclose(norm, loops, rtol=3e-7)  # two roundings of float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_nothing_is_modified_or_shared(dtype, rng):
    x = rng.integers(1, 9, (1, 4, 5, 2)).astype(dtype)
    before = x.copy()
    results = [f(x, 1) for f in (max_pool2d, min_pool2d, sum_pool2d, avg_pool2d)]
    results.append(lp_pool2d(x, 2, 1))
    for y in results:
        np.testing.assert_allclose(y, before, rtol=1e-6)
        y += 1
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("channels", [1, 3, 9])
def test_strips_and_single_maps_change_nothing(channels, monkeypatch, rng):
    x = rng.integers(0, 50, (1, 23, 31, channels)).astype(np.float32)
    calls = [
        lambda: max_pool2d(x, (3, 2), (2, 3), (1, 1), ceil_mode=True, return_indices=True),
        lambda: avg_pool2d(x, (3, 4), (1, 2), (1, 2), count_include_pad=False),
        lambda: min_pool2d(x, 4, 1, 2, (2, 1)),
    ]
    whole = [call() for call in calls]
    monkeypatch.setattr(windows, "STRIP_BYTES", 1)
    for call, before in zip(calls, whole, strict=True):
        for found, wanted in zip(np.atleast_1d(call()), np.atleast_1d(before), strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_padding_never_wins(rng):
    x = np.zeros((1, 3, 3, 1), dtype=np.uint8)
    y, indices = max_pool2d(x, 3, 1, 1, return_indices=True)
    assert y.max() == 0
    assert indices[0, :, :, 0].tolist() == [[0, 0, 1], [0, 0, 1], [3, 3, 4]]
    assert min_pool2d(np.full((1, 3, 3, 1), 255, dtype=np.uint8), 3, 1, 1).min() == 255
    low = np.full((1, 3, 3, 1), -np.inf)
    y, indices = max_pool2d(low, 3, 1, 1, return_indices=True)
    assert np.isneginf(y).all()
    assert indices[0, :, :, 0].tolist() == [[0, 0, 1], [0, 0, 1], [3, 3, 4]]


@pytest.mark.parametrize("place", [0, 4, 8])
def test_nan_spreads_and_keeps_its_place(place):
    x = np.arange(9.0)
    x[place] = np.nan
    x = x.reshape(1, 3, 3, 1)
    y, indices = max_pool2d(x, 3, return_indices=True)
    assert np.isnan(y).all()
    assert indices.item() == place
    assert np.isnan(min_pool2d(x, 3)).all()
    y, backward = max_pool2d_vjp(x, 3)
    assert backward(np.ones_like(y)).ravel().tolist() == [float(i == place) for i in range(9)]


def test_window_of_padding_only():
    x = np.ones((1, 1, 3, 1))
    y = max_pool2d(x, (2, 1), 1, (1, 0), (2, 1))
    assert np.isneginf(y).all()
    with pytest.raises(ShapeError, match="nothing but padding, so no position holds their maximum"):
        max_pool2d(x, (2, 1), 1, (1, 0), (2, 1), return_indices=True)
    assert avg_pool2d(x, (2, 1), 1, (1, 0), dilation=(2, 1), count_include_pad=False).max() == 0


# --- gradients ---

GEOMETRIES = [
    {"kernel_size": 2},
    {"kernel_size": (2, 3), "stride": (3, 1), "padding": (1, 1), "ceil_mode": True},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0), "dilation": (1, 2)},
    {"kernel_size": (1, 2), "depth": 2, "depth_stride": 1},
]


@pytest.mark.parametrize("options", GEOMETRIES, ids=str)
@pytest.mark.parametrize(
    ("forward", "vjp", "more"),
    [
        (max_pool2d, max_pool2d_vjp, {}),
        (min_pool2d, min_pool2d_vjp, {}),
        (sum_pool2d, sum_pool2d_vjp, {}),
        (avg_pool2d, avg_pool2d_vjp, {}),
        (avg_pool2d, avg_pool2d_vjp, {"count_include_pad": False}),
        (avg_pool2d, avg_pool2d_vjp, {"divisor_override": 3.5}),
        (lp_pool2d, lp_pool2d_vjp, {"norm_type": 1}),
        (lp_pool2d, lp_pool2d_vjp, {"norm_type": 2}),
        (lp_pool2d, lp_pool2d_vjp, {"norm_type": 3}),
    ],
)
def test_gradient_along_a_direction(forward, vjp, more, options, rng):
    x = reference.spaced(rng, (3, 7, 6, 2))
    y, backward = vjp(x, **options, **more)
    np.testing.assert_array_equal(y, forward(x, **options, **more))
    direction, grad_y = rng.standard_normal(x.shape), rng.standard_normal(y.shape)
    wanted = reference.directional(lambda v: forward(v, **options, **more), x, direction, grad_y)
    assert (backward(grad_y) * direction).sum() == pytest.approx(wanted, rel=1e-6, abs=1e-7)


def test_gradient_of_a_norm_of_zeros_is_zero():
    for p in (1, 2, 3):
        y, backward = lp_pool2d_vjp(np.zeros((1, 4, 4, 1)), p, 2)
        assert not backward(np.ones_like(y)).any()


def test_gradient_with_positions(rng):
    x = rng.standard_normal((2, 5, 6, 3))
    (y, indices), backward = max_pool2d_vjp(x, (2, 3), return_indices=True)
    expected_y, expected_indices = max_pool2d(x, (2, 3), return_indices=True)
    np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_array_equal(indices, expected_indices)
    assert backward(y).sum() == pytest.approx(y.sum())


# --- other libraries ---


@pytest.mark.parametrize("options", GEOMETRIES, ids=str)
def test_every_library_gives_the_same_bits_without_traffic(options, xp, rng):
    x = rng.standard_normal((3, 7, 6, 2), dtype=np.float32)
    device = xp.to_device(x)
    calls = [
        (max_pool2d_vjp, {}),
        (min_pool2d_vjp, {}),
        (sum_pool2d_vjp, {}),
        (avg_pool2d_vjp, {"count_include_pad": False}),
        (lp_pool2d_vjp, {"norm_type": 2}),
        (lp_pool2d_vjp, {"norm_type": 3}),
    ]
    for vjp, more in calls:
        with xp.no_transfers():
            y, backward = vjp(device, **options, **more)
            grad_x = backward(y)
        host_y, host_backward = vjp(x, **options, **more)
        assert y.dtype == grad_x.dtype == np.float32
        np.testing.assert_array_equal(xp.to_host(y), host_y)
        np.testing.assert_array_equal(xp.to_host(grad_x), host_backward(host_y))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_positions_on_every_library(dtype, xp, rng):
    x = rng.integers(0, 9, (2, 7, 6, 3)).astype(dtype)
    device = xp.to_device(x)
    with xp.no_transfers():
        y, indices = max_pool2d(device, (3, 2), (2, 1), (1, 1), return_indices=True)
    host = max_pool2d(x, (3, 2), (2, 1), (1, 1), return_indices=True)
    np.testing.assert_array_equal(xp.to_host(y), host[0])
    np.testing.assert_array_equal(xp.to_host(indices), host[1])


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), ((3, 2), (2, 3), (1, 1))])
def test_torch_agrees(kernel, stride, padding, ceil_mode, rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((3, 9, 8, 2), dtype=np.float32)
    t = torch.from_numpy(x.transpose(3, 0, 1, 2).copy())

    def back(y):
        return y.numpy().transpose(1, 2, 3, 0)

    y, indices = max_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode, return_indices=True)
    f = torch.nn.functional
    ty, ti = f.max_pool2d(t, kernel, stride, padding, ceil_mode=ceil_mode, return_indices=True)
    np.testing.assert_array_equal(y, back(ty))
    np.testing.assert_array_equal(indices, back(ti))
    for include_pad in (False, True):
        y = avg_pool2d(x, kernel, stride, padding, ceil_mode, include_pad)
        ty = f.avg_pool2d(t, kernel, stride, padding, ceil_mode, include_pad)
        np.testing.assert_allclose(y, back(ty), rtol=1e-6, atol=1e-6)


# --- errors ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 0}, "the window must be at least 1, got 0,0"),
        ({"kernel_size": 2, "stride": (1, 0)}, "the stride must be at least 1, got 1,0"),
        ({"kernel_size": 2, "dilation": 0}, "the dilation must be at least 1, got 0,0"),
        ({"kernel_size": 2, "depth": 0}, "the depth must be at least 1, got 0"),
        ({"kernel_size": 2, "depth_stride": 0}, "the depth's stride must be at least 1, got 0"),
        ({"kernel_size": (1, 2, 3)}, r"kernel_size takes one number or two .* got 3"),
        (
            {"kernel_size": 3, "padding": 2},
            "padding must be between 0 and half the window; got 2 for a window of 3, use at most 1",
        ),
        ({"kernel_size": 3, "padding": -1}, "padding must be between 0 and half the window"),
    ],
)
def test_numbers_that_make_no_window(options, message):
    x = np.zeros((2, 5, 6, 1))
    for function in (max_pool2d, min_pool2d, sum_pool2d, avg_pool2d):
        with pytest.raises(OptionError, match=message):
            function(x, **options)


def test_other_refusals():
    x = np.zeros((2, 5, 6, 1))
    with pytest.raises(ShapeError, match="a window of 6 does not fit an input of 5"):
        max_pool2d(x, 6)
    with pytest.raises(ShapeError, match="a window of 3 does not fit an input of 2"):
        max_pool2d(x, 2, depth=3)
    with pytest.raises(OptionError, match="return_indices needs a depth of 1, got 2"):
        max_pool2d(x, 2, depth=2, return_indices=True)
    for divisor in (0, np.inf):
        with pytest.raises(OptionError, match="divisor_override must be a number other than 0"):
            avg_pool2d(x, 2, divisor_override=divisor)
    for norm in (0.5, np.inf, np.nan):
        with pytest.raises(OptionError, match="norm_type must be a number from 1 on, got"):
            lp_pool2d(x, norm, 2)
        with pytest.raises(OptionError, match="norm_type must be a number from 1 on, got"):
            lp_pool2d_vjp(x, norm, 2)


def test_types_of_results():
    assert pooling.float_type(np.zeros(1, np.uint16)) == np.float32
    assert pooling.float_type(np.zeros(1, np.int64)) == np.float64
    assert max_pool2d(np.array([[True, False]])[None, :, :, None], (1, 2)).item() is True
