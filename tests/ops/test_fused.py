"""Convolution, ReLU and max pooling as one: against the three in turn, and against loops."""

import numpy as np
import pytest
import reference
import reference_nn as loops
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cnntool import ops
from cnntool.errors import OptionError, ShapeError
from cnntool.nn.gradcheck import check_gradient, spaced
from cnntool.ops import convolution, im2col, winograd, winograd_columns
from cnntool.ops.fused import conv2d_relu_pool, conv2d_relu_pool_vjp

ALGORITHMS = ("im2col", "winograd-rows", "winograd", "tiles")


def composed(x, weight, bias=None, *, relu=True, pool=(1, 1), scale=None, **options):
    """The three operations one after another: value, and gradients from that of the value."""
    y, conv_back = ops.conv2d_vjp(x, weight, bias, **options)
    if scale is not None:
        assert bias is None
        y = y * scale.reshape(-1, 1, 1, 1)
    relu_back = pool_back = None
    if relu:
        y, relu_back = ops.relu_vjp(y)
    if pool != (1, 1):
        y, pool_back = ops.max_pool2d_vjp(y, pool)

    def backward(grad):
        grad = grad if pool_back is None else pool_back(grad)
        return conv_back(grad if relu_back is None else relu_back(grad))

    return y, backward


def assert_near(found, wanted, tolerance):
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    assert np.abs(found - wanted).max(initial=0) <= tolerance * max(
        1, np.abs(wanted).max(initial=0)
    )


# --- against the three operations ---


@st.composite
def cases(draw):
    """Arrays of whole numbers, so that many are equal, and options that fit them."""
    groups, share, each = draw(
        st.sampled_from([(1, 1, 3), (1, 2, 3), (1, 3, 1), (2, 1, 2), (2, 2, 1)])
    )
    kernel = draw(st.tuples(st.sampled_from([1, 2, 3]), st.integers(1, 4)))
    size = draw(st.tuples(st.integers(1, 11), st.integers(1, 12)))
    stride, dilation = ((1, 1), (1, 1)) if draw(st.booleans()) else (
        draw(st.tuples(st.integers(1, 2), st.integers(1, 3))),
        draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
    )  # fmt: skip
    sides = draw(st.tuples(*[st.integers(0, 2)] * 4))
    pool = draw(st.sampled_from([(1, 1), (2, 2), (2, 2), (2, 3), (3, 1)]))
    images = draw(st.sampled_from([1, 3, 9]))
    options = {"stride": stride, "padding": sides, "dilation": dilation, "groups": groups}
    options["padding_mode"] = draw(st.sampled_from(["zeros", "replicate", "circular"]))
    plain = stride == dilation == (1, 1) and groups == 1
    able = ["auto", "im2col"] + ["tiles"] * plain
    able += ["winograd-rows"] * (plain and kernel[0] == 3) + ["winograd"] * (
        plain and kernel == (3, 3)
    )
    options["algorithm"] = draw(st.sampled_from(able))
    out = loops.conv_sizes(np.empty((1, *size, 1)), kernel, stride, sides, dilation)
    assume(out[0] >= pool[0] and out[1] >= pool[1])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    shapes = (groups * share, *size, images), (groups * each, share, *kernel), (groups * each,)
    arrays = [rng.integers(-3, 4, shape).astype(dtype) for shape in shapes]
    if draw(st.booleans()):
        arrays[2] = None
    return arrays, {**options, "pool": pool, "relu": draw(st.sampled_from([True, True, False]))}


@given(cases())
@settings(max_examples=200, database=None)
def test_it_is_the_three_operations_one_after_another(case):
    """Gradients of equal values too: they go to the first of a window, row by row."""
    (x, weight, bias), options = case
    exact = "winograd" not in options["algorithm"]  # its thirds make whole numbers rough
    wanted, wanted_back = composed(x, weight, bias, **(options | {"algorithm": "im2col"}))
    grad = np.random.default_rng(0).integers(-3, 4, wanted.shape).astype(x.dtype)
    y = conv2d_relu_pool(x, weight, bias, **options)
    again, backward = conv2d_relu_pool_vjp(x, weight, bias, **options)
    if exact:
        np.testing.assert_array_equal(y, wanted)
        np.testing.assert_array_equal(again, wanted)
        found, expected = backward(grad.copy()), wanted_back(grad)
        assert len(found) == (2 if bias is None else 3)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == x.dtype
            np.testing.assert_array_equal(one, other)
    else:
        assert_near(y, wanted, 1e-5)
        assert_near(again, wanted, 1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("pool", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("size", [(6, 8), (7, 9), (4, 5)])
def test_gradients_by_every_algorithm(algorithm, pool, size, rng):
    """No two values of a window are near, so all agree about the largest."""
    x, weight = rng.standard_normal((3, *size, 2)), rng.standard_normal((4, 3, 3, 3))
    bias, options = rng.standard_normal(4), {"padding": 1, "pool": pool}
    wanted, wanted_back = composed(x, weight, bias, algorithm="im2col", **options)
    y, backward = conv2d_relu_pool_vjp(x, weight, bias, algorithm=algorithm, **options)
    assert_near(y, wanted, 1e-12)
    grad = rng.standard_normal(y.shape)
    for one, other in zip(backward(grad.copy()), wanted_back(grad), strict=True):
        assert_near(one, other, 1e-11)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("pool", [1, 2, (2, 3)])
def test_gradients_along_random_directions(algorithm, pool, rng):
    arrays = (
        spaced(rng, (2, 7, 8, 2), 0.05),
        rng.standard_normal((3, 2, 3, 3)),
        rng.standard_normal(3),
    )

    def vjp(x, weight, bias):
        y, backward = conv2d_relu_pool_vjp(
            x, weight, bias, padding=(1, 0, 2, 1), pool=pool, algorithm=algorithm
        )
        return y, lambda grad: backward(grad.copy())

    check_gradient(vjp, *arrays, rng=rng)


# --- against loops ---


@pytest.mark.parametrize("algorithm", ["im2col", "tiles"])
@pytest.mark.parametrize("size", [(6, 8), (5, 7), (4, 9)])
@pytest.mark.parametrize("whole", [True, False], ids=["many are equal", "none are"])
def test_the_largest_of_a_window_gets_the_gradient(algorithm, size, whole, rng):
    """The first of equal ones, row by row; what no window covers gets none."""
    if whole:
        x, weight = (
            rng.integers(-1, 2, (2, *size, 9)) * 1.0,
            rng.integers(-1, 2, (3, 2, 3, 2)) * 1.0,
        )
    else:
        x, weight = rng.standard_normal((2, *size, 9)), rng.standard_normal((3, 2, 3, 2))
    bias = np.array([0.5, -1, 2])
    sides = (1, 0, 1, 1)
    product = loops.conv2d(x, weight, bias, (1, 1), sides)
    wanted, places = reference.pool2d(np.maximum(product, 0), "max", (2, 2))
    y, backward = conv2d_relu_pool_vjp(x, weight, bias, padding=sides, pool=2, algorithm=algorithm)
    np.testing.assert_allclose(y, wanted, atol=1e-12)
    grad = rng.standard_normal(y.shape)
    spread = np.zeros(product.shape)
    for (k, _, _, n), place in np.ndenumerate(places):
        spread[k, place // product.shape[2], place % product.shape[2], n] += grad[
            _at(places, k, n, place)
        ]
    spread *= product > 0
    grad_x, grad_weight, grad_bias = backward(grad.copy())
    np.testing.assert_allclose(grad_bias, spread.sum(axis=(1, 2, 3)), atol=1e-12)
    framed, wanted_x = loops.framed(x, sides), np.zeros(loops.framed(x, sides).shape)
    wanted_weight = np.zeros(weight.shape)
    for k, c, a, b in loops.places(weight.shape):
        rows, columns = slice(a, a + product.shape[1]), slice(b, b + product.shape[2])
        wanted_weight[k, c, a, b] = (framed[c, rows, columns] * spread[k]).sum()
        wanted_x[c, rows, columns] += weight[k, c, a, b] * spread[k]
    np.testing.assert_allclose(grad_weight, wanted_weight, atol=1e-11)
    np.testing.assert_allclose(grad_x, wanted_x[:, 1:-1, 1:], atol=1e-11)


def _at(places, k, n, place):
    """Which pooled output a place belongs to."""
    (row,), (column,) = (
        np.nonzero((places[k, :, :, n] == place).any(axis=1)),
        np.nonzero((places[k, :, :, n] == place).any(axis=0)),
    )
    return k, row[0], column[0], n


# --- special numbers ---


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("place", [(0, 0), (0, 1), (3, 2), (4, 4)])
@pytest.mark.parametrize("pool", [(1, 1), (2, 2), (2, 1)])
def test_nan_is_not_lost(algorithm, place, pool, rng):
    x = rng.standard_normal((2, 6, 8, 2))
    x[1, place[0], place[1], 0] = np.nan
    weight = rng.standard_normal((3, 2, 3, 3))
    y = conv2d_relu_pool(x, weight, padding=1, pool=pool, algorithm=algorithm)
    wanted = composed(x, weight, padding=1, pool=pool, algorithm="im2col")[0]
    assert np.isnan(wanted).any() and not np.isnan(y[..., 1]).any()
    assert np.isnan(y[np.isnan(wanted)]).all()
    if algorithm == "im2col":  # the others multiply what neighbours see with zeros: NaN spreads
        np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))


@pytest.mark.parametrize("pool", [(1, 1), (2, 2)])
def test_infinite_numbers(pool, rng):
    """Minus infinity is cut off by ReLU, plus infinity stays."""
    x = rng.standard_normal((1, 5, 6, 2))
    x[0, 2, 3] = np.inf, -np.inf
    weight = np.ones((2, 1, 1, 1))
    y = conv2d_relu_pool(x, weight, pool=pool, algorithm="im2col")
    np.testing.assert_array_equal(y, composed(x, weight, pool=pool, algorithm="im2col")[0])
    assert np.isinf(y[..., 0]).any() and np.isfinite(y[..., 1]).all()


# --- strips, threads, scale ---


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("pool", [1, 2, (3, 2)])
@pytest.mark.parametrize("most", [64, 3000, 20_000])
def test_strips_of_any_size(algorithm, pool, most, rng, monkeypatch):
    columns = 3 if algorithm == "winograd" else 2
    x, weight = rng.standard_normal((4, 13, 11, 3)), rng.standard_normal((5, 4, 3, columns))
    bias, options = rng.standard_normal(5), {"padding": (1, 2, 0, 1), "pool": pool}
    wanted, wanted_back = composed(x, weight, bias, algorithm="im2col", **(
        options | {"pool": pool if isinstance(pool, tuple) else (pool, pool)}
    ))  # fmt: skip
    grad = rng.standard_normal(wanted.shape)
    monkeypatch.setattr(im2col, "PATCH_BYTES", most)
    monkeypatch.setattr(winograd, "STRIP_NUMBERS", most // 8)
    monkeypatch.setattr(winograd_columns, "CACHED_BYTES", most)
    monkeypatch.setattr(convolution, "SHARED", 0)
    y, backward = conv2d_relu_pool_vjp(x, weight, bias, algorithm=algorithm, **options)
    assert_near(y, wanted, 1e-12)
    for one, other in zip(backward(grad.copy()), wanted_back(grad), strict=True):
        assert_near(one, other, 1e-11)
    for threads in (1, 2, 5):
        shared = conv2d_relu_pool(x, weight, bias, algorithm=algorithm, threads=threads, **options)
        assert_near(shared, wanted, 1e-12)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("pool, relu", [((1, 1), True), ((1, 1), False), ((2, 2), True)])
def test_a_factor_for_each_map(algorithm, pool, relu, rng):
    x, weight = rng.standard_normal((3, 6, 7, 9)), rng.standard_normal((4, 3, 3, 3))
    scale, bias = rng.standard_normal(4), rng.standard_normal(4)
    options = {"padding": 1, "pool": pool, "relu": relu}
    y = conv2d_relu_pool(x, weight, None, scale=scale, algorithm=algorithm, **options)
    assert_near(y, composed(x, weight, scale=scale, algorithm="im2col", **options)[0], 1e-12)
    y = conv2d_relu_pool(x, weight, bias, scale=scale, algorithm=algorithm, **options)
    wanted, _ = composed(
        x, weight * scale.reshape(-1, 1, 1, 1), bias, algorithm="im2col", **options
    )
    assert_near(y, wanted, 1e-12)


# --- contract ---


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("pool", [1, 2])
def test_arguments_stay_as_they_are(algorithm, pool, rng):
    arrays = [rng.standard_normal(shape) for shape in ((3, 6, 7, 2), (4, 3, 3, 3), (4,))]
    kept = [array.copy() for array in arrays]
    conv2d_relu_pool(*arrays, pool=pool, algorithm=algorithm)
    y, backward = conv2d_relu_pool_vjp(*arrays, pool=pool, algorithm=algorithm)
    value = y.copy()
    backward(np.ones_like(y))
    np.testing.assert_array_equal(y, value)
    for array, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("pool", [1, 2])
def test_the_gradient_of_the_input_is_left_out_where_nobody_wants_it(algorithm, pool, rng):
    arrays = [rng.standard_normal(shape) for shape in ((3, 6, 7, 2), (4, 3, 3, 3), (4,))]
    options = {"pool": pool, "algorithm": algorithm}
    y, backward = conv2d_relu_pool_vjp(*arrays, need_input_grad=False, **options)
    grad = rng.standard_normal(y.shape)
    nothing, *found = backward(grad.copy())
    _, *wanted = conv2d_relu_pool_vjp(*arrays, **options)[1](grad.copy())
    assert nothing is None
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("pool", [1, 2, (1, 3)])
@pytest.mark.parametrize("images", [2, 9])
def test_on_both_libraries(algorithm, pool, images, xp, rng):
    arrays = [
        rng.standard_normal(shape).astype(np.float32)
        for shape in ((3, 6, 8, images), (4, 3, 3, 3), (4,))
    ]
    size = pool if isinstance(pool, tuple) else (pool, pool)
    wanted, wanted_back = composed(*arrays, padding=1, pool=size, algorithm="im2col")
    grad = rng.standard_normal(wanted.shape).astype(np.float32)
    there, grad_there = [xp.to_device(array) for array in arrays], xp.to_device(grad)
    with xp.no_transfers():
        options = {"padding": 1, "pool": pool, "algorithm": algorithm}
        alone = conv2d_relu_pool(*there, **options)
        y, backward = conv2d_relu_pool_vjp(*there, **options)
        found = backward(grad_there)
    for value in (alone, y):
        assert_near(xp.to_host(value), wanted, 1e-5)
    for one, other in zip(found, wanted_back(grad), strict=True):
        assert_near(xp.to_host(one), other, 2e-5)


def test_small_types_become_float32(rng):
    x = rng.integers(0, 255, (2, 5, 6, 9), np.uint8)
    weight = rng.standard_normal((3, 2, 3, 3)).astype(np.float32)
    for pool in (1, 2):
        y = conv2d_relu_pool(x, weight, pool=pool)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, conv2d_relu_pool(x.astype(np.float32), weight, pool=pool))


def test_what_is_refused():
    x, weight = np.zeros((2, 4, 5, 9)), np.zeros((3, 2, 3, 3))
    for function in (conv2d_relu_pool, conv2d_relu_pool_vjp):
        with pytest.raises(ShapeError, match="each group needs 2 input maps"):
            function(x, weight[:, :1])
        with pytest.raises(OptionError, match="unknown padding 'full'; use same, valid"):
            function(x, weight, padding="full")
        with pytest.raises(OptionError, match="tiles need stride 1 and dilation 1"):
            function(x, weight, stride=2, algorithm="tiles")
        with pytest.raises(OptionError, match="winograd needs kernels of 3x3"):
            function(x, weight[:, :, :2], algorithm="winograd")
        with pytest.raises(ShapeError):
            function(x, weight, pool=4)
