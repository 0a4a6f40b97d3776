"""Expressions whose outcome on the real CuPy is recorded and must be the stand-in's too.

In them ``a`` is a (3, 4) float32 array on the device, ``s`` a 0-d one, ``h`` the same as ``a`` on
the host, ``xp`` the library.
"""

import warnings

import numpy as np

HOST = np.arange(12, dtype=np.float32).reshape(3, 4)
SCALAR = np.array(2.0, np.float32)

DISPATCH = """
np.sum(a)
np.exp(a)
np.reshape(a, (4, 3))
np.transpose(a)
np.broadcast_to(a, (2, 3, 4))
np.expand_dims(a, 0)
np.squeeze(a)
np.shape(a)
np.ndim(a)
np.size(a)
np.where(a > 0, a, 0)
np.zeros_like(a)
np.linalg.norm(a)
np.fft.rfft2(a)
np.lib.stride_tricks.as_strided(a, (2, 2), (16, 4))
np.block([a, a])
np.insert(a, 0, 1)
np.ones(3, like=a)
np.concatenate([a, h])
np.add.at(a, ([0], [0]), 1.0)
np.matmul(a, a.T, out=h)
np.sum(a, where=True)
"""

CONVERSION = """
np.asarray(a)
np.array(a)
np.array([s, s])
np.float32(s)
h.__setitem__(0, a[0])
h[a]
np.testing.assert_allclose(a, h)
"""

ARITHMETIC = """
a + 1
a - np.float32(1)
a.view('i4') << 1
divmod(a, 2)
a ** 2
-a
a + h
h + a
a - h
a * h
a / h
a @ h.T
h @ a.T
a < h
a == h
a + [1, 2, 3, 4]
a.dot(h.T)
xp.dot(a, h.T)
xp.matmul(a, h.T)
xp.tensordot(a, h.T, 1)
xp.einsum('ij,ij->i', a, h)
xp.add(a, h)
xp.add(a, a, where=True)
xp.add(a, a, order='K')
xp.maximum(a, 0, out=h)
a.__imatmul__
xp.matmul.at
xp.add.at
xp.add.reduceat
"""

FUNCTIONS = """
xp.sum(a, where=True)
xp.sum(a, initial=0.0)
a.max(initial=0)
a.sum(0, keepdims=True)
xp.count_nonzero(a, keepdims=True)
xp.clip(a, min=0)
xp.clip(a, 0, 1)
xp.reshape(a, shape=(4, 3))
xp.reshape(a, (4, 3))
xp.zeros(3, device='cpu')
xp.argmax(a, axis=1, keepdims=True)
xp.sort(a, kind='stable')
xp.sort(a, stable=True)
xp.stack([h, h])
xp.concatenate([a, h])
xp.concatenate([a, a])
xp.pad(a, 1)
xp.pad(a, 1, mode='bogus')
xp.pad(a, 1, mode='median')
xp.pad(a, ((1, 1), (0, 0)), mode='reflect')
xp.lib.stride_tricks.as_strided(a, (2, 2), (16, 4))
xp.lib.stride_tricks.as_strided(a, (1,), (4,), writeable=False)
xp.lib.stride_tricks.sliding_window_view(a, (2, 2))
xp.linalg.norm(a)
xp.result_type('f4', 'f8')
xp.broadcast_shapes((3, 1), (1, 4))
xp.get_array_module(a)
xp.get_array_module(h)
xp.asnumpy(h)
xp.sum(h)
xp.mean(h)
xp.any(h)
xp.split(h, 2)
xp.repeat(a, h.astype(int)[0])
"""

NAMES = """
xp.block
xp.insert
xp.unstack
xp.vecdot
xp.errstate
xp.bfloat16
xp.float16
xp.newaxis
xp.float32
xp.random.default_rng
xp.random.RandomState
"""

METHODS = """
range(s)
round(s, 2)
[1, 2, 3][s]
len(a)
len(s)
list(s)
hash(a)
bool(a)
float(s)
int(s)
a.item()
a.item(0)
a.tolist()
a.get()
a.set(h)
a.set([1])
a.set(h.astype('f8'))
a[5]
a[:, 1]
a[..., None]
a.T
a.mT
a.reshape(-1)
a.reshape(4, 3)
a.reshape((4, 3), order='F')
a.transpose(1, 0)
a.swapaxes(0, 1)
a.ravel()
a.squeeze()
a.view('i4')
a.astype('f4', copy=False)
a.flags.c_contiguous
a.flags.writeable
a.to_device('cpu')
a.__index__
a.__array_namespace__
a.ctypes
a.__setitem__(slice(None), h)
a.__setitem__(0, h[0])
a.fill(h)
"""

EXPRESSIONS = tuple(
    line
    for block in (DISPATCH, CONVERSION, ARITHMETIC, FUNCTIONS, NAMES, METHODS)
    for line in block.split("\n")
    if line
)


def outcome(expression: str, xp, a, s, needs_device: tuple = ()) -> str:
    """``ok``, ``device`` (it got as far as the GPU) or the class of the exception."""
    names = {"np": np, "xp": xp, "a": a, "s": s, "h": HOST.copy()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            eval(expression, names)
    except needs_device:
        return "device"
    except Exception as error:
        return type(error).__name__
    return "ok"
