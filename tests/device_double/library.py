"""The namespace of the stand-in: what ``import cupy`` gives."""

import types

import numpy as np
from device_double import cuda
from device_double.array import DeviceArray, unwrap, wrap
from device_double.surface import OBJECT, SURFACE, UFUNC, check_call
from device_double.traffic import traffic

UPLOADING = {"array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray"}
DOWNLOADING = {"array2string", "array_repr", "array_str", "save", "savez", "savetxt"}
WAITING = {
    "nonzero",
    "flatnonzero",
    "argwhere",
    "unique",
    "compress",
    "extract",
    "bincount",
    "histogram",
    "choose",
}
HOST_RESULT = {  # these answer without the device
    "ndim",
    "shape",
    "size",
    "result_type",
    "can_cast",
    "promote_types",
    "issubdtype",
    "isscalar",
    "broadcast_shapes",
    "may_share_memory",
    "shares_memory",
    "isrealobj",
    "iscomplexobj",
    "isfortran",
    "min_scalar_type",
    "common_type",
}
PAD_MODES = (
    "constant edge empty linear_ramp maximum mean minimum reflect symmetric wrap"  # no median
).split()
RENAMED = {("reshape", "newshape"): "shape"}
AT_TYPES = {  # type characters for which ufunc.at exists
    "add": "ilqILQefd",
    "subtract": "iI",
    "maximum": "ilqILQfd",
    "minimum": "ilqILQfd",
    "bitwise_and": "ilqILQ",
    "bitwise_or": "ilqILQ",
    "bitwise_xor": "ilqILQ",
}
METHODS = {  # ufuncs that have the method
    "at": tuple(AT_TYPES),
    "reduce": ("add", "multiply"),
    "accumulate": ("add", "multiply"),
    "reduceat": ("add",),
}


class Ufunc:
    """An elementwise function that takes out=, dtype= and casting= only."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self._numpy = getattr(np, name)
        self.nin, self.nout = self._numpy.nin, self._numpy.nout

    def __call__(self, *args, **kwargs):
        foreign = {key: kwargs[key] for key in kwargs if key not in ("out", "dtype", "casting")}
        if foreign:
            raise TypeError(f"Wrong arguments {foreign}")
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        out = kwargs.get("out")
        if out is not None and not isinstance(out, (DeviceArray, tuple)):
            raise TypeError(f"Unsupported type {type(out)}")
        result = self._numpy(*unwrap(args), **unwrap(kwargs))
        return wrap(result) if out is None else out

    def __getattr__(self, method):
        if method not in SURFACE["ufunc_methods"]:
            raise AttributeError(method)

        def call(*args, **kwargs):
            check_call(f"{self.__name__}.{method}", SURFACE["ufunc_methods"][method], args, kwargs)
            if self.__name__ not in METHODS.get(method, (self.__name__,)):
                raise NotImplementedError(f"`cupy_{self.__name__}.{method}` is not supported yet")
            if method == "at":
                traffic.atomic()
                if args[0].dtype.char not in AT_TYPES[self.__name__]:
                    raise TypeError(f"cupy.{self.__name__}.at does not support {args[0].dtype}")
            return wrap(getattr(self._numpy, method)(*unwrap(args), **unwrap(kwargs)))

        return call


class Namespace:
    """A module with the captured names; each is made when it is first asked for."""

    def __init__(self, name: str, table: dict, numpy_module: object) -> None:
        self.__name__ = name
        self._table = table
        self._numpy = numpy_module

    def __getattr__(self, name):
        signature = self._table.get(name)
        if signature is None:
            raise AttributeError(
                f"module '{self.__name__}' has no attribute {name!r} (CuPy {SURFACE['cupy']})"
            )
        if not hasattr(self._numpy, name):
            raise AttributeError(f"{self.__name__}.{name}: not emulated by the stand-in")
        if signature == UFUNC:
            value = Ufunc(name)
        elif signature == OBJECT:
            value = getattr(self._numpy, name)
        else:
            value = self._function(name, signature)
        setattr(self, name, value)
        return value

    def _function(self, name, signature):
        numpy_function = getattr(self._numpy, name)

        def function(*args, **kwargs):
            check_call(f"{self.__name__}.{name}", signature, args, kwargs)
            kwargs = {RENAMED.get((name, key), key): value for key, value in kwargs.items()}
            kwargs.pop("blocking", None)
            if name in UPLOADING and not holds_device_arrays(args[0]):
                return upload(numpy_function(*args, **kwargs))
            check_arguments(name, args, kwargs)
            count_traffic(name, args)
            # matmul of NumPy takes no None where CuPy passes its defaults on
            kwargs = {k: v for k, v in kwargs.items() if v is not None or name != "matmul"}
            result = numpy_function(*unwrap(args), **unwrap(kwargs))
            return device_result(name, result, args, kwargs)

        function.__name__ = name
        return function


def holds_device_arrays(x) -> bool:
    if isinstance(x, (list, tuple)):
        return any(holds_device_arrays(part) for part in x)
    return isinstance(x, DeviceArray)


def upload(host) -> DeviceArray:
    if host.ndim:  # a scalar travels with the launch of a kernel
        traffic.upload(host.nbytes)
    return DeviceArray(np.array(host))  # own memory: the device never shares the host's


def check_arguments(name, args, kwargs) -> None:
    if name == "pad":
        mode = kwargs.get("mode", args[2] if len(args) > 2 else "constant")
        if not callable(mode) and mode not in PAD_MODES:
            raise ValueError(f"mode '{mode}' is not supported")


def count_traffic(name, args) -> None:
    counts = name == "repeat" and len(args) > 1 and isinstance(args[1], (DeviceArray, list))
    if name in WAITING or counts or (name == "where" and len(args) == 1):
        traffic.sync()
    if name in DOWNLOADING:
        traffic.download(0)


def device_result(name, result, args, kwargs):
    if name in HOST_RESULT:
        return result
    if isinstance(kwargs.get("out"), DeviceArray):
        return kwargs["out"]
    for x in args:
        if isinstance(x, DeviceArray) and unwrap(x) is result:
            return x
    if isinstance(result, (bool, int, float, complex)):
        result = np.asarray(result)  # allclose, count_nonzero: 0-d arrays in CuPy
    return wrap(result)


class Random:
    """A generator whose numbers differ from CuPy's: compare statistics only."""

    def __init__(self, source, table: dict) -> None:
        self._source = source
        self._table = table

    def __getattr__(self, name):
        if name not in self._table:
            raise AttributeError(f"CuPy {SURFACE['cupy']}'s generator has no method {name!r}")

        def draw(*args, **kwargs):
            check_call(name, self._table[name], args, kwargs)
            dtype, out = kwargs.pop("dtype", None), kwargs.pop("out", None)
            drawn = np.asarray(getattr(self._source, name)(*unwrap(args), **unwrap(kwargs)))
            if out is not None:
                unwrap(out)[...] = drawn
                return out
            return DeviceArray(drawn.astype(dtype or drawn.dtype, copy=False))

        return draw


def sliding_window_view(x, window_shape, axis=None, *, subok=False, writeable=False):
    # CuPy 14 uploads window_shape and tests each of its numbers on the device.
    lengths = np.atleast_1d(window_shape)
    traffic.upload(lengths.nbytes)
    for _ in lengths:
        traffic.download(lengths.itemsize)
    traffic.sync(len(lengths))
    return wrap(np.lib.stride_tricks.sliding_window_view(unwrap(x), window_shape, axis))


def as_strided(x, shape=None, strides=None):
    return wrap(np.lib.stride_tricks.as_strided(unwrap(x), shape, strides))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get(order=order, out=out) if isinstance(a, DeviceArray) else np.asarray(a)


def get_array_module(*arrays):
    return fake if any(isinstance(x, DeviceArray) for x in arrays) else np


def fuse(*args, **kwargs):
    return args[0] if args and callable(args[0]) else lambda function: function


def not_emulated(name):
    def make(*args, **kwargs):
        raise NotImplementedError(f"{name}: the stand-in runs no CUDA code")

    return make


def default_rng(seed=None):
    return Random(np.random.default_rng(seed), SURFACE["Generator"])


def random_state(seed=None):
    return Random(np.random.RandomState(seed), SURFACE["RandomState"])


def make_library() -> Namespace:
    library = Namespace("cupy", SURFACE["functions"], np)
    tricks = types.SimpleNamespace(sliding_window_view=sliding_window_view, as_strided=as_strided)
    own = {
        "__version__": SURFACE["cupy"] + "+double",
        "ndarray": DeviceArray,
        "asnumpy": asnumpy,
        "get_array_module": get_array_module,
        "fuse": fuse,
        "linalg": Namespace("cupy.linalg", SURFACE["linalg"], np.linalg),
        "fft": Namespace("cupy.fft", SURFACE["fft"], np.fft),
        "lib": types.SimpleNamespace(stride_tricks=tricks),
        "random": types.SimpleNamespace(default_rng=default_rng, RandomState=random_state),
        "cuda": cuda,
        "get_default_memory_pool": cuda.MemoryPool,
        "is_available": cuda.is_available,
    }
    for name in ("ElementwiseKernel", "ReductionKernel", "RawKernel", "RawModule"):
        own[name] = not_emulated(name)
    for name, value in own.items():
        setattr(library, name, value)
    return library


fake = make_library()
DeviceArray.library = fake
