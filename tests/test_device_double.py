"""The stand-in for CuPy: does it refuse and count what CuPy refuses and pays for?"""

import copy
import gc
import pickle

import numpy as np
import pytest
from device_double import DeviceArray, OutOfMemoryError, fake, no_transfers, traffic
from device_double.surface import Signature

xp = fake


def host():
    return np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def a():
    array = xp.asarray(host())
    traffic.reset()
    return array


# --- signatures ---


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", Signature((), (), False, False)),
        ("a, axis", Signature(("a", "axis"), (), False, False)),
        ("a, *, order", Signature(("a",), ("order",), False, False)),
        ("*args, order, copy", Signature((), ("order", "copy"), True, False)),
        ("A, B, **", Signature(("A", "B"), (), False, True)),
    ],
)
def test_signature_text(text, expected):
    assert Signature.parse(text) == expected


def test_wrong_calls_are_refused(a):
    with pytest.raises(TypeError, match="unexpected keyword argument 'where'"):
        xp.sum(a, where=a > 1)
    with pytest.raises(TypeError, match="takes 3 positional arguments but 4"):
        xp.moveaxis(a, 0, 1, 2)
    with pytest.raises(TypeError, match=r"Wrong arguments \{'where': True\}"):
        xp.add(a, a, where=True)


# --- dispatch, conversion, mixing ---


@pytest.mark.parametrize(
    "function",
    [
        np.sum,
        np.exp,
        np.transpose,
        np.linalg.norm,
        np.squeeze,
        np.zeros_like,
        np.add.reduce,
        np.abs,
        lambda a: np.reshape(a, (4, 3)),
        lambda a: np.concatenate([a, a]),
        lambda a: np.maximum(a, 0),
        lambda a: a.sum(),
        lambda a: xp.allclose(a, a),
        lambda a: xp.count_nonzero(a),
    ],
)
def test_functions_stay_on_the_device(a, function):
    assert isinstance(function(a), DeviceArray)
    assert traffic.downloads == traffic.uploads == traffic.syncs == 0


@pytest.mark.parametrize(
    "function",
    [
        np.asarray,
        lambda a: np.array([a.sum(), a.sum()]),
        lambda a: np.float32(a.sum()),
        lambda a: host().__setitem__(0, a[0]),
        lambda a: np.testing.assert_allclose(a, host()),
    ],
)
def test_implicit_conversion_is_refused(a, function):
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        function(a)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, h: np.add(a, h),
        lambda a, h: np.multiply(h, a, out=h),
        lambda a, h: xp.where(a > 1, h, 0),
        lambda a, h: xp.stack([h, h]),
        lambda a, h: xp.tensordot(a, h),
        lambda a, h: a.__iadd__(h),
    ],
)
def test_mixing_with_the_host_is_refused(a, function):
    with pytest.raises(TypeError, match="Unsupported type"):
        function(a, host())


def test_in_place_operations(a):
    h = host()
    with pytest.raises(TypeError):
        h += a
    with pytest.raises(ValueError, match=r"non-scalar numpy.ndarray cannot be used for fill"):
        a[:] = h
    same = a
    a += 1
    a *= a
    a[0] = 3
    a[1:] = a[:2]
    assert same is a and traffic.downloads == 0
    expected = (host() + 1) ** 2
    expected[0] = 3
    expected[1:] = expected[:2].copy()
    np.testing.assert_array_equal(a.get(), expected)


@pytest.mark.parametrize(
    "name", ["block", "insert", "unstack", "vecdot", "errstate", "nditer", "no_such_name"]
)
def test_names_that_cupy_lacks(name):
    with pytest.raises(AttributeError, match="has no attribute"):
        getattr(xp, name)


@pytest.mark.parametrize("name", ["permutation", "shuffle", "choice", "normal", "spawn"])
def test_generator_methods_that_cupy_lacks(name):
    with pytest.raises(AttributeError, match="generator has no method"):
        getattr(xp.random.default_rng(0), name)


def test_generator_draws_on_the_device():
    generator = xp.random.default_rng(1)
    drawn = generator.standard_normal((3, 4), dtype=np.float32)
    assert isinstance(drawn, DeviceArray) and drawn.dtype == np.float32
    out = xp.empty(5, np.float64)
    assert generator.random(out=out) is out
    assert (xp.random.RandomState(0).permutation(4).get().sum(), traffic.uploads) == (6, 0)


@pytest.mark.parametrize(
    "function",
    [
        lambda a: np.maximum.reduce(a),
        lambda a: xp.maximum.accumulate(a),
        lambda a: xp.maximum.reduceat(a, [0]),
        lambda a: xp.multiply.at(a, 0, 2.0),
    ],
)
def test_ufunc_methods_that_cupy_lacks(a, function):
    with pytest.raises(NotImplementedError, match="is not supported yet"):
        function(a)


def test_types_that_atomic_additions_lack():
    with pytest.raises(TypeError, match=r"cupy.add.at does not support uint8"):
        xp.add.at(xp.zeros(3, np.uint8), xp.asarray([0]), 1)


def test_cuda_code_is_not_run():
    with pytest.raises(NotImplementedError, match="RawModule: the stand-in runs no CUDA code"):
        xp.RawModule(code="")


def test_names_that_the_double_lacks(a):
    with pytest.raises(AttributeError, match="not emulated by the stand-in"):
        _ = a.flat


# --- counting ---


def test_every_way_to_the_host_is_counted(a):
    total = a.sum()
    for read in (float, int, bool, complex, str, repr, "{:.2f}".format):
        before = traffic.downloads
        read(total)
        assert traffic.downloads == before + 1, read
    a.get()
    a.tolist()
    xp.asnumpy(a)
    assert traffic.downloads == 10
    assert traffic.downloaded_bytes == 7 * 4 + 3 * 48


def test_uploads_are_counted(a):
    xp.asarray(host())
    a[[0, 1]]
    a[xp.asarray([0, 2])] = np.ones((2, 4), np.float32)
    a.set(host())
    assert traffic.uploads == 5
    assert traffic.uploaded_bytes == 48 + 16 + 16 + 32 + 48
    xp.asarray(2.5)  # a scalar travels with a kernel
    assert traffic.uploads == 5


def test_hidden_waits_are_counted(a):
    for wait in (
        lambda: a[a > 3],
        lambda: xp.nonzero(a),
        lambda: a.nonzero(),
        lambda: xp.where(a > 3),
        lambda: xp.repeat(a, xp.asarray([1, 2, 3]), axis=0),
        lambda: xp.unique(a),
    ):
        before = traffic.syncs
        wait()
        assert traffic.syncs == before + 1
    a[a > 3] = 0  # a masked write needs no size
    xp.repeat(a, 2)
    assert traffic.syncs == 6


def test_sliding_window_view_is_not_free(a):
    xp.lib.stride_tricks.sliding_window_view(a, (2, 2))
    assert (traffic.uploads, traffic.downloads, traffic.syncs) == (1, 2, 2)


def test_atomics_and_duplicates(a):
    xp.add.at(a, (xp.asarray([0, 0]), xp.asarray([1, 1])), 1.0)
    assert traffic.atomics == 1 and a.get()[0, 1] == 3
    with pytest.raises(AssertionError, match=r"duplicates .* use xp.add.at"):
        a[xp.asarray([0, 0])] = 1


def test_float64_is_counted_once_per_array(a):
    wide = xp.ones(3)
    wide[1:], wide.reshape(3, 1)  # views of it
    assert traffic.float64 == 1
    a * np.float64(2)
    assert traffic.float64 == 2
    a * 2.0
    assert traffic.float64 == 2


def test_no_transfers(a):
    with no_transfers():
        xp.exp(a) @ a.T
    for hidden, name in (
        (lambda: float(a.sum()), "downloads"),
        (lambda: xp.asarray(host()), "uploads"),
        (lambda: a[a > 1], "syncs"),
        (lambda: xp.ones(3), "float64"),
    ):
        with pytest.raises(AssertionError, match=f"hidden traffic .*{name}"), no_transfers():
            hidden()
    with no_transfers(allow_sync=True, allow_float64=True):
        a[a > 1], xp.ones(3)


def test_memory_is_counted_once_and_given_back():
    gc.collect()
    before = traffic.live_bytes
    array = xp.zeros((10, 10), np.float32)
    view = array[2:].T
    assert traffic.live_bytes == before + 400
    assert xp.asarray(array) is array
    del array
    assert traffic.live_bytes == before + 400, view.shape
    del view
    assert traffic.live_bytes == before


def test_memory_limit():
    traffic.limit = traffic.live_bytes + 1000
    with pytest.raises(OutOfMemoryError, match="Out of memory allocating 4,000 bytes"):
        xp.zeros(1000, np.float32)
    for _ in range(3):
        xp.zeros(200, np.float32)  # given back in between
    assert issubclass(OutOfMemoryError, MemoryError)


def test_device_memory_is_not_the_hosts():
    h = host()
    array = xp.asarray(h)
    h[:] = -1
    np.testing.assert_array_equal(array.get(), host())
    array.get()[:] = -1
    np.testing.assert_array_equal(array.get(), host())


def test_copies(a):
    for twin in (copy.copy(a), copy.deepcopy(a), a.copy(), pickle.loads(pickle.dumps(a))):
        twin += 1
        np.testing.assert_array_equal(twin.get() - 1, a.get())


# --- a training step of a small network, written once for any library ---


def step(xp, params, images, labels, fault=None):
    n = images.shape[0]
    rows, columns, size = 6, 6, 3
    s = images.strides
    windows = xp.lib.stride_tricks.as_strided(images, (n, 1, rows, columns, size, size), s + s[2:])
    patches = xp.ascontiguousarray(windows.transpose(0, 2, 3, 1, 4, 5)).reshape(n * 36, 9)
    maps = xp.maximum(patches @ params["filters"] + params["bias"], 0)
    features = maps.reshape(n, -1)
    logits = features @ params["dense"]
    shares = xp.exp(logits - logits.max(axis=1, keepdims=True))
    shares = shares / shares.sum(axis=1, keepdims=True)
    wanted = (labels[:, None] == xp.arange(3, dtype=labels.dtype)).astype(shares.dtype)
    loss = -(wanted * xp.log(shares)).sum() / n
    grad = (shares - wanted) / n
    grad = fault(xp, grad) if fault else grad
    grad_maps = (grad @ params["dense"].T).reshape(maps.shape) * (maps > 0)
    grads = {
        "filters": patches.T @ grad_maps,
        "bias": grad_maps.sum(0),
        "dense": features.T @ grad,
    }
    for name, value in grads.items():
        params[name] -= np.float32(0.1) * value
    return loss


def network(rng):
    params = {
        "filters": rng.standard_normal((9, 4)) * 0.3,
        "bias": np.zeros(4),
        "dense": rng.standard_normal((144, 3)) * 0.1,
    }
    images = rng.standard_normal((8, 1, 8, 8)).astype(np.float32)
    labels = rng.integers(0, 3, 8).astype(np.int32)
    return {name: value.astype(np.float32) for name, value in params.items()}, images, labels


def on_device(params, images, labels):
    return {k: xp.asarray(v) for k, v in params.items()}, xp.asarray(images), xp.asarray(labels)


def test_training_gives_the_same_numbers_without_traffic(rng):
    state = network(rng)
    device_state = on_device(*state)
    losses = [step(np, *state) for _ in range(5)]
    with no_transfers():
        device_losses = [step(xp, *device_state) for _ in range(5)]
    device_losses = [loss.item() for loss in device_losses]
    np.testing.assert_array_equal(np.float32(device_losses), np.float32(losses))
    assert device_losses[-1] < device_losses[0]


@pytest.mark.parametrize(
    "fault, error",
    [
        (lambda xp, g: g * float(g.sum()), AssertionError),
        (lambda xp, g: g * np.ones(g.shape, np.float32), TypeError),
        (lambda xp, g: g * xp.ones(g.shape), AssertionError),
        (lambda xp, g: g * g[g > 0].sum(), AssertionError),
    ],
    ids=["reads a number", "host array", "float64", "mask"],
)
def test_faults_in_training_are_caught(rng, fault, error):
    state = on_device(*network(rng))
    with pytest.raises(error), no_transfers():
        step(xp, *state, fault=fault)
