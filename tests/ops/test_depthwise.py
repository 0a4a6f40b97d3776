"""Convolution of maps that never mix, against seven nested loops and finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import directional
from reference_nn import conv2d as loops

from cnntool.ops import depthwise
from cnntool.ops.convolution import conv2d, conv2d_vjp


@pytest.fixture(params=[1, 7, 40, 10_000])
def block(request, monkeypatch):
    """Blocks of one row, of some, of some maps, of all."""
    monkeypatch.setattr(depthwise, "BLOCK", request.param)


def task(rng, maps=5, each=1, n=3, kernel=(3, 2)):
    x = rng.standard_normal((maps, 8, 6, n))
    return x, rng.standard_normal((maps * each, 1, *kernel)), rng.standard_normal(maps * each)


@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("stride", "dilation"), [((1, 1), (1, 1)), ((2, 1), (1, 2))])
def test_blocks_of_every_size(block, rng, each, threads, stride, dilation):
    x, weight, bias = task(rng, each=each)
    sides = (1, 0, 2, 1)
    expected = loops(x, weight, bias, stride, sides, dilation, 5)
    y = conv2d(x, weight, bias, stride, sides, dilation, 5, threads=threads)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)


def test_threads_share_large_maps(rng):
    x = rng.standard_normal((40, 60, 50, 2)).astype(np.float32)
    weight = rng.standard_normal((40, 1, 9, 9)).astype(np.float32)
    y = conv2d(x, weight, padding=4, groups=40, threads=3)
    assert np.array_equal(y, conv2d(x, weight, padding=4, groups=40))


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 2), st.sampled_from([1, 30, 10_000]),
    st.tuples(st.integers(1, 2), st.integers(1, 3)), st.tuples(*[st.integers(0, 2)] * 4),
)  # fmt: skip
def test_gradients_along_a_direction(seed, each, block, stride, sides):
    rng = np.random.default_rng(seed)
    x, weight, _ = task(rng, maps=3, each=each, n=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depthwise, "BLOCK", block)
        y, backward = conv2d_vjp(x, weight, None, stride, sides, 1, 3)
        grad = rng.standard_normal(y.shape)
        for number, found in enumerate(backward(grad)):
            arguments = [x, weight]
            direction = rng.standard_normal(arguments[number].shape)

            def moved(value, number=number, arguments=arguments):
                given = [*arguments]
                given[number] = value
                return loops(*given, None, stride, sides, (1, 1), 3)

            slope = directional(moved, arguments[number], direction, grad)
            assert np.vdot(found, direction) == pytest.approx(slope, rel=1e-6, abs=1e-6)


def test_inputs_stay_and_types_too(rng):
    x, weight, bias = (array.astype(np.float32) for array in task(rng))
    before = x.copy(), weight.copy()
    y, backward = conv2d_vjp(x, weight, bias, groups=5)
    assert {y.dtype, *(g.dtype for g in backward(np.ones_like(y)))} == {np.dtype(np.float32)}
    assert np.array_equal(x, before[0]) and np.array_equal(weight, before[1])


def test_empty_batch(rng):
    x, weight, _ = task(rng, n=0)
    assert conv2d(x, weight, groups=5).shape == (5, 6, 5, 0)


def test_when_it_pays():
    assert depthwise.pays((64, 14, 14, 1), (64, 1, 5, 5), (64, 14, 14, 1), 64)
    assert not depthwise.pays((64, 112, 112, 8), (64, 1, 5, 5), (64, 112, 112, 8), 64)
    assert not depthwise.pays((64, 14, 14, 1), (64, 2, 5, 5), (64, 14, 14, 1), 32)
    assert not depthwise.pays((1, 14, 14, 1), (8, 1, 5, 5), (8, 14, 14, 1), 1)
