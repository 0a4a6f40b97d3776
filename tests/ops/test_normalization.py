"""Batch normalisation against loops, whole and in shards."""

import threading

import numpy as np
import pytest
import reference_nn
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import OptionError, ShapeError
from cnntool.nn.gradcheck import check_gradient
from cnntool.ops import normalization
from cnntool.ops.normalization import batch_norm, batch_norm_vjp

sizes = st.integers(1, 5)
shapes = st.one_of(
    st.tuples(sizes, st.integers(2, 6)), st.tuples(sizes, sizes, sizes, st.integers(2, 4))
)


def in_shards(count, work):
    """``work(number, all_reduce)`` in one thread a shard; sums in the order of the shards."""
    slots, results = [None] * count, [None] * count
    barrier = threading.Barrier(count, timeout=20)

    def run(number):
        def all_reduce(array):
            slots[number] = array
            barrier.wait()
            total = sum(slots[1:], start=slots[0])
            barrier.wait()
            return total

        results[number] = work(number, all_reduce)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def some(rng, shape, offset=0.0):
    """x, weight, bias, running mean and variance."""
    c = shape[0]
    return (
        rng.standard_normal(shape) * 3 + offset,
        rng.standard_normal(c),
        rng.standard_normal(c),
        rng.standard_normal(c),
        rng.random(c) + 0.5,
    )


# --- against loops ---


@settings(deadline=None, max_examples=40)
@given(shapes, st.sampled_from([1e-5, 0.1]), st.sampled_from([0, 0.1, 1]), st.booleans())
def test_training(shape, eps, momentum, affine):
    x, weight, bias, mean, var = some(np.random.default_rng(1), shape)
    weight, bias = (weight, bias) if affine else (None, None)
    wanted, batch_mean, batch_var = reference_nn.batch_norm(x, weight, bias, eps)
    kept = (
        (1 - momentum) * mean + momentum * batch_mean,
        (1 - momentum) * var + momentum * (batch_var),
    )
    y = batch_norm(x, mean, var, weight, bias, True, momentum, eps)
    np.testing.assert_allclose(y, wanted, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(mean, kept[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(var, kept[1], rtol=1e-12, atol=1e-14)


@settings(deadline=None, max_examples=20)
@given(shapes, st.booleans())
def test_prediction(shape, affine):
    x, weight, bias, mean, var = some(np.random.default_rng(2), shape)
    weight, bias = (weight, bias) if affine else (None, None)
    before = mean.copy(), var.copy()
    wanted, _, _ = reference_nn.batch_norm(x, weight, bias, 1e-3, mean, var)
    y = batch_norm(x, mean, var, weight, bias, eps=1e-3)
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(mean, before[0])
    np.testing.assert_array_equal(var, before[1])


def test_one_by_one_equals_the_batch_in_prediction(rng):
    x, weight, bias, mean, var = some(rng, (3, 4, 5, 6))
    whole = batch_norm(x, mean, var, weight, bias)
    for n in range(6):
        part = batch_norm(x[..., n : n + 1], mean, var, weight, bias)
        np.testing.assert_array_equal(part, whole[..., n : n + 1])


@pytest.mark.parametrize("offset", [0, 100, -1000])
def test_variance_survives_a_large_mean(offset, rng):
    x = (rng.standard_normal((2, 40, 50, 3)) + offset).astype(np.float32)
    y = batch_norm(x, None, None, training=True)
    # x itself is rounded to 6e-8 of the offset; the result may be off by no more than that
    wanted, _, _ = reference_nn.batch_norm(x, None, None, 1e-5)
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-6 + 2e-7 * abs(offset))
    assert y.dtype == np.float32


def test_constant_channels_become_the_bias():
    x = np.full((2, 3, 4, 2), 0.1, np.float32)
    y = batch_norm(x, None, None, np.ones(2, "f4"), np.array([0, 7], "f4"), True)
    np.testing.assert_allclose(y[0], 0, atol=1e-5)
    np.testing.assert_allclose(y[1], 7, atol=1e-5)


def test_blocks_change_nothing(monkeypatch, rng):
    x, weight, bias, mean, var = some(rng, (7, 6, 5, 4))
    grad_y = rng.standard_normal(x.shape)

    def results():
        state = mean.copy(), var.copy()
        y, backward = batch_norm_vjp(x, *state, weight, bias, True)
        return y, *state, *backward(grad_y)

    whole = results()
    for size in (1, 2000, 1 << 30):
        monkeypatch.setattr(normalization, "BLOCK_BYTES", size)
        for found, wanted in zip(results(), whole, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13)


# --- gradients ---


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (4, 6)])
def test_gradient(training, shape, rng):
    x, weight, bias, mean, var = some(rng, shape)

    def vjp(*arrays):
        arrays += (None,) * (3 - len(arrays))
        return batch_norm_vjp(arrays[0], mean.copy(), var.copy(), *arrays[1:], training)

    for arrays in ((x, weight, bias), (x, weight), (x,)):
        check_gradient(vjp, *arrays, rng=rng)
    y, backward = batch_norm_vjp(x, mean, var, None, bias, training)
    grad_x, grad_bias = backward(y)
    assert grad_x.shape == x.shape
    np.testing.assert_allclose(grad_bias, y.reshape(shape[0], -1).sum(axis=1))


# --- shards ---


@pytest.mark.parametrize("cuts", [[0, 3, 7], [0, 1, 2, 7], [0, 7, 7], [0, 1, 6, 7]])
def test_shards_are_the_whole_batch(cuts, rng):
    x, weight, bias, mean, var = some(rng, (3, 4, 5, 7), offset=5)
    grad_y = rng.standard_normal(x.shape)
    state = mean.copy(), var.copy()
    y, backward = batch_norm_vjp(x, *state, weight, bias, True)
    grads = backward(grad_y)
    sharded = mean.copy(), var.copy()

    def work(number, all_reduce):
        part = slice(cuts[number], cuts[number + 1])
        running = sharded if number == 0 else (None, None)
        y, backward = batch_norm_vjp(
            x[..., part], *running, weight, bias, True, all_reduce=all_reduce
        )
        return y, *backward(grad_y[..., part])

    found = in_shards(len(cuts) - 1, work)
    np.testing.assert_allclose(np.concatenate([f[0] for f in found], axis=3), y, rtol=1e-10)
    together = np.concatenate([f[1] for f in found], axis=3)
    np.testing.assert_allclose(together, grads[0], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(sum(f[2] for f in found), grads[1], rtol=1e-10)
    np.testing.assert_allclose(sum(f[3] for f in found), grads[2], rtol=1e-10)
    for a, b in zip(sharded, state, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_shards_give_the_same_bits_each_time(rng):
    x = rng.standard_normal((4, 6, 7, 5), dtype=np.float32)

    def work(number, all_reduce):
        part = x[..., 3 * number : 3 * number + 3]
        return batch_norm(part, None, None, training=True, all_reduce=all_reduce)

    first = in_shards(2, work)
    for _ in range(3):
        for a, b in zip(in_shards(2, work), first, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("training", "forward", "back"), [(True, 2, 1), (False, 0, 0)])
def test_calls_of_all_reduce(training, forward, back, rng):
    calls = []

    def all_reduce(array):
        calls.append(array.shape)
        return array.copy()

    x, weight, bias, mean, var = some(rng, (3, 4, 5, 2))
    y, backward = batch_norm_vjp(x, mean, var, weight, bias, training, all_reduce=all_reduce)
    assert len(calls) == forward
    backward(y)
    assert len(calls) == forward + back
    assert all(len(shape) == 1 for shape in calls)


# --- buffers, types, libraries ---


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_modified_or_shared(training, rng):
    x, weight, bias, mean, var = some(rng, (3, 4, 5, 2))
    before = [a.copy() for a in (x, weight, bias)]
    y, backward = batch_norm_vjp(x, mean, var, weight, bias, training)
    grad_y = rng.standard_normal(y.shape)
    kept = grad_y.copy()
    grads = backward(grad_y)
    assert not np.shares_memory(y, x)
    assert not np.shares_memory(grads[0], grad_y)
    for a, b in zip((x, weight, bias, grad_y), (*before, kept), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(backward(grad_y), grads, strict=True):  # again
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("training", [True, False])
def test_buffers_are_reused(training, rng):
    x, weight, bias, mean, var = some(rng, (3, 4, 5, 2))
    wanted, wanted_backward = batch_norm_vjp(x, mean, var, weight, bias, training)
    out = np.empty_like(x)
    y, backward = batch_norm_vjp(x, mean, var, weight, bias, training, out=out)
    assert np.shares_memory(y, out)
    np.testing.assert_array_equal(out, wanted)
    grad_y = rng.standard_normal(x.shape)
    grads = wanted_backward(grad_y)
    gradient = np.empty_like(x)
    backward(grad_y, out=gradient)
    np.testing.assert_array_equal(gradient, grads[0])
    backward(grad_y, out=grad_y)
    np.testing.assert_array_equal(grad_y, grads[0])


def test_strange_layouts_and_small_types(rng):
    wide = rng.integers(0, 256, (2, 3, 8, 5)).astype(np.uint8)
    x = wide.transpose(1, 0, 3, 2)[:, :, ::2]
    y = batch_norm(x, None, None, training=True)
    assert y.dtype == np.float32
    wanted, _, _ = reference_nn.batch_norm(x, None, None, 1e-5)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("sharded", [True, False])
def test_every_library(training, sharded, xp, rng, monkeypatch):
    monkeypatch.setattr(normalization, "BLOCK_BYTES", 1 << 30)  # one block, as on a device
    host = [a.astype(np.float32) for a in some(rng, (3, 4, 5, 2))]
    device = [xp.to_device(a) for a in host]
    results = []
    for arrays, guard in ((host, None), (device, xp.no_transfers)):
        x, weight, bias, mean, var = arrays
        options = {"all_reduce": lambda array: array + array} if sharded else {}

        def run(x=x, weight=weight, bias=bias, mean=mean, var=var, options=options):
            y, backward = batch_norm_vjp(x, mean, var, weight, bias, training, **options)
            return [y, *backward(y), mean, var]

        if guard is None:
            results.append(run())
        else:
            with guard():
                results.append(run())
    for a, b in zip(*results, strict=True):
        assert b.dtype == np.float32
        np.testing.assert_array_equal(xp.to_host(b), a)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (4, 6)])
def test_torch_agrees(training, shape, rng):
    torch = pytest.importorskip("torch")
    x, weight, bias, mean, var = (a.astype(np.float32) for a in some(rng, shape))
    order = (len(shape) - 1, *range(len(shape) - 1))
    t = torch.from_numpy(x.transpose(order).copy()).requires_grad_()
    tw, tb = (torch.from_numpy(a.copy()).requires_grad_() for a in (weight, bias))
    tm, tv = (torch.from_numpy(a.copy()) for a in (mean, var))
    ty = torch.nn.functional.batch_norm(t, tm, tv, tw, tb, training, 0.3, 1e-4)
    y, backward = batch_norm_vjp(x, mean, var, weight, bias, training, 0.3, 1e-4)
    grad_y = rng.standard_normal(shape, dtype=np.float32)
    ty.backward(torch.from_numpy(grad_y.transpose(order).copy()))
    back = (*range(1, len(shape)), 0)
    np.testing.assert_allclose(y, ty.detach().numpy().transpose(back), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean, tm.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(var, tv.numpy(), rtol=1e-5)
    wanted = t.grad.numpy().transpose(back), tw.grad.numpy(), tb.grad.numpy()
    for a, b in zip(backward(grad_y), wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


# --- errors ---


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        ((5,), {}, ShapeError, r"takes \(C, H, W, N\) or \(features, N\), got \(5,\)"),
        ((0, 5), {}, ShapeError, r"takes \(C, H, W, N\) or \(features, N\), got \(0, 5\)"),
        ((3, 1), {"training": True}, ShapeError, "at least two values a channel, got 1; use a"),
        ((3, 2), {"weight": (2,)}, ShapeError, r"weight of shape \(2,\) does not fit 3 channels"),
        ((3, 2), {"bias": (3, 1)}, ShapeError, r"bias of shape \(3, 1\) does not fit 3 channels"),
        ((3, 2), {"running_var": (4,)}, ShapeError, r"running_var of shape \(4,\) does not fit 3"),
        ((3, 2), {"running_var": None}, OptionError, "running_mean and running_var come together"),
        (
            (3, 2),
            {"running_mean": None, "running_var": None},
            OptionError,
            "no running statistics to apply; give running_mean and running_var, or training=True",
        ),
        ((3, 2), {"momentum": 1.5}, OptionError, r"momentum between 0 and 1 .* got 1.5 and 1e-05"),
        ((3, 2), {"eps": 0}, OptionError, r"an eps above 0, got 0.1 and 0"),
    ],
)
def test_refusals(x, options, error, message):
    named = {"running_mean": (3,), "running_var": (3,), **options}
    arrays = ("running_mean", "running_var", "weight", "bias")
    named = {k: np.ones(v) if k in arrays and v else v for k, v in named.items()}
    for function in (batch_norm, batch_norm_vjp):
        with pytest.raises(error, match=message):
            function(np.ones(x), **named)


def test_buffers_that_do_not_fit():
    x = np.ones((3, 4), np.float32)
    with pytest.raises(ShapeError, match=r"out must have shape \(3, 4\) and type float32"):
        batch_norm(x, None, None, training=True, out=np.ones((4, 3), np.float32))
    with pytest.raises(ShapeError, match="out must be one contiguous block of memory"):
        batch_norm(x, None, None, training=True, out=np.ones((4, 3), np.float32).T)
