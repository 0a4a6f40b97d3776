"""The array of the stand-in: cupy.ndarray's rules over a NumPy buffer that nobody else sees."""

import functools

import numpy as np
from device_double.surface import SURFACE, check_call
from device_double.traffic import traffic

IMPLICIT = (
    "Implicit conversion to a NumPy array is not allowed. "
    "Please use `.get()` to construct a NumPy array explicitly."
)
WAITING = {"nonzero", "choose", "compress"}  # methods that read a size back from the device
SCALARS = (np.generic, bool, int, float, complex)


class Flags:
    """The few flags that CuPy keeps."""

    def __init__(self, flags: np._core.multiarray.flagsobj) -> None:
        self.c_contiguous = flags.c_contiguous
        self.f_contiguous = flags.f_contiguous
        self.owndata = flags.owndata
        self.fnc = flags.fnc
        self.forc = flags.forc

    def __getitem__(self, name: str) -> bool:
        return getattr(self, name.lower())


class DeviceArray:
    """As cupy.ndarray; ``library`` is the namespace that its operations come from."""

    __slots__ = ("__buffer", "__weakref__")
    __array_priority__ = 100
    __hash__ = None
    library = None

    def __init__(self, buffer: np.ndarray) -> None:
        if not isinstance(buffer, np.ndarray):
            raise TypeError("only the stand-in itself makes its arrays; use xp.asarray")
        traffic.result(buffer)
        self.__buffer = buffer

    # --- from the device to the host: every way is counted ---

    def get(self, stream=None, order="C", out=None, blocking=True):
        traffic.download(self.nbytes)
        if out is None:
            return np.array(self.__buffer, order=order)
        out[...] = self.__buffer
        return out

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        traffic.upload(arr.nbytes)
        self.__buffer[...] = arr

    def item(self):
        return self.get().item()

    def tolist(self):
        return self.get().tolist()

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    def __complex__(self):
        return complex(self.get())

    def __bool__(self):
        if self.size != 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous.")
        return bool(self.get())

    def __repr__(self):
        return repr(self.get())

    def __str__(self):
        return str(self.get())

    def __format__(self, spec):
        return format(self.get(), spec)

    def __reduce__(self):
        return restored, (self.get(),)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __array__(self, dtype=None, copy=None):
        raise TypeError(IMPLICIT)

    # --- what is known without asking the device ---

    shape = property(lambda self: self.__buffer.shape)
    dtype = property(lambda self: self.__buffer.dtype)
    ndim = property(lambda self: self.__buffer.ndim)
    size = property(lambda self: self.__buffer.size)
    nbytes = property(lambda self: self.__buffer.nbytes)
    itemsize = property(lambda self: self.__buffer.itemsize)
    strides = property(lambda self: self.__buffer.strides)
    flags = property(lambda self: Flags(self.__buffer.flags))
    device = property(lambda self: "<CUDA Device 0 (stand-in)>")
    T = property(lambda self: DeviceArray(self.__buffer.T))
    mT = property(lambda self: DeviceArray(self.__buffer.mT))
    real = property(lambda self: DeviceArray(self.__buffer.real))
    imag = property(lambda self: DeviceArray(self.__buffer.imag))

    def __len__(self):
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self):
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    # --- indexing ---

    def __getitem__(self, key):
        key = host_key(key)
        if any(is_mask(part) for part in parts_of(key)):
            traffic.sync()  # the size of the result is read back
        return wrap(self.__buffer[key])

    def __setitem__(self, key, value):
        key = host_key(key)
        arrays = [part for part in parts_of(key) if isinstance(part, np.ndarray)]
        refuse_duplicates([part for part in arrays if not is_mask(part)])
        if isinstance(value, DeviceArray):
            value = unwrap(value)
        elif isinstance(value, (np.ndarray, list)):
            value = np.asarray(value)
            if value.shape and not arrays:
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
            traffic.upload(value.nbytes)
        self.__buffer[key] = value

    # --- NumPy's functions reach CuPy's through these two ---

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        name = {"absolute": "abs"}.get(ufunc.__name__, ufunc.__name__)
        function = getattr(self.library, name, None)
        if function is not None and method != "__call__":
            function = getattr(function, method, None)
        if function is None:
            return NotImplemented
        if "out" in kwargs:
            if len(kwargs["out"]) != 1:
                raise ValueError("The 'out' parameter must have exactly one array value")
            kwargs["out"] = kwargs["out"][0]
        for x in (*inputs, kwargs.get("out")):
            if x is not None and not isinstance(x, (DeviceArray, np.ndarray, *SCALARS)):
                return NotImplemented
        return function(*inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        path = [*function.__module__.split(".")[1:], function.__name__]
        try:
            own = functools.reduce(getattr, path, self.library)
        except AttributeError:
            return NotImplemented
        if not all(issubclass(t, (DeviceArray, np.ndarray)) for t in types):
            return NotImplemented
        return own(*args, **kwargs)

    # --- every other method: only what cupy.ndarray has ---

    def __getattr__(self, name):
        if name not in SURFACE["ndarray"]:
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        signature = SURFACE["ndarray"][name]
        if signature is None:
            raise AttributeError(f"{name}: not emulated by the stand-in")

        def method(*args, **kwargs):
            check_call(f"cupy.ndarray.{name}", signature, args, kwargs)
            if name in WAITING:
                traffic.sync()
            kwargs = {key: value for key, value in kwargs.items() if value is not None}
            result = getattr(self.__buffer, name)(*unwrap(args), **unwrap(kwargs))
            return self if result is self.__buffer else wrap(result)

        return method


def restored(host: np.ndarray) -> DeviceArray:
    return DeviceArray.library.array(host)


def parts_of(key):
    return key if isinstance(key, tuple) else (key,)


def is_mask(part) -> bool:
    return isinstance(part, (np.ndarray, np.generic)) and part.dtype == bool


def host_key(key):
    """The index for the buffer; arrays and lists of the host are uploads in CuPy."""
    if isinstance(key, tuple):
        return tuple(host_key(part) for part in key)
    if isinstance(key, DeviceArray):
        key = unwrap(key)
    elif isinstance(key, (list, np.ndarray)):
        key = np.asarray(key)
        traffic.upload(key.nbytes)
    if isinstance(key, np.ndarray) and key.dtype.kind not in "biu":
        raise IndexError(
            f"arrays used as indices must be of integer or boolean type (actual: {key.dtype.type})"
        )
    return key


def refuse_duplicates(indices: list) -> None:
    if not indices:
        return
    places = np.stack([index.ravel() for index in np.broadcast_arrays(*indices)], axis=1)
    if len(np.unique(places, axis=0)) != len(places):
        raise AssertionError("a[i] = v with duplicates in i is undefined in CuPy; use xp.add.at")


def unwrap(x):
    """Device arrays to their buffers, inside containers too; a host array is refused."""
    if isinstance(x, DeviceArray):
        return x._DeviceArray__buffer
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    if isinstance(x, tuple):
        return tuple(unwrap(part) for part in x)
    if isinstance(x, list):
        return [unwrap(part) for part in x]
    if isinstance(x, dict):
        return {key: unwrap(part) for key, part in x.items()}
    return x


def wrap(x):
    """Results of NumPy to device arrays; CuPy never returns a scalar of NumPy."""
    if isinstance(x, (np.ndarray, np.generic)):
        return DeviceArray(np.asarray(x))
    if isinstance(x, tuple):
        return tuple(wrap(part) for part in x)
    if isinstance(x, list):
        return [wrap(part) for part in x]
    return x


def binary(ufunc, swapped: bool):
    def operator(self, other):
        if getattr(other, "__array_ufunc__", 0) is None:
            return NotImplemented
        return ufunc(other, self) if swapped else ufunc(self, other)

    return operator


def in_place(ufunc):
    return lambda self, other: ufunc(self, other, out=self)


def unary(ufunc):
    return lambda self: ufunc(self)


ARITHMETIC = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "divmod": np.divmod,
    "pow": np.power,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}
COMPARISONS = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
UNARY = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}


def add_operators() -> None:
    operators = {f"__{name}__": binary(ufunc, False) for name, ufunc in ARITHMETIC.items()}
    operators |= {f"__r{name}__": binary(ufunc, True) for name, ufunc in ARITHMETIC.items()}
    operators |= {f"__i{name}__": in_place(ufunc) for name, ufunc in ARITHMETIC.items()}
    operators |= {f"__{name}__": binary(ufunc, False) for name, ufunc in COMPARISONS.items()}
    operators |= {f"__{name}__": unary(ufunc) for name, ufunc in UNARY.items()}
    for name, operator in operators.items():
        if name in SURFACE["ndarray_dunders"]:  # there is no __imatmul__, for one
            setattr(DeviceArray, name, operator)


add_operators()
