"""Files as torch.save writes them, made by hand, and pickles that do what they must not."""

import io
import pickle
import pickletools
import struct
import zipfile

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True}


class _Storage:
    def __init__(self, key, kind, count):
        self.key, self.kind, self.count = key, kind, count


class _Named:
    """Pickled as a call of a global that this process does not have."""

    def __init__(self, module, name, *arguments):
        self.module, self.name, self.arguments = module, name, arguments


class _Global:
    def __init__(self, module, name):
        self.module, self.name = module, name


class _Writer(pickle._Pickler):
    """Writes globals by name, without looking them up, and storages as persistent ids."""

    dispatch = {**pickle._Pickler.dispatch}  # noqa: RUF012

    def persistent_id(self, value):
        if isinstance(value, _Storage):
            return ("storage", _Global("torch", value.kind), value.key, "cpu", value.count)
        return None

    def save_global_name(self, value):
        self.write(f"c{value.module}\n{value.name}\n".encode())

    def save_named(self, value):
        self.save_global_name(value)
        self.save(value.arguments)
        self.write(b"R")

    dispatch[_Global] = save_global_name
    dispatch[_Named] = save_named


def pickled(value, protocol=2):
    """The bytes of a pickle; tensors are made by :func:`tensor`."""
    file = io.BytesIO()
    _Writer(file, protocol).dump(value)
    return file.getvalue()


def tensor(key, shape, strides=None, offset=0, kind="FloatStorage", count=None):
    """A tensor of torch's, as it is pickled."""
    if strides is None:
        strides, step = [], 1
        for size in reversed(shape):
            strides.insert(0, step)
            step *= size
    need = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1
    storage = _Storage(key, kind, need if count is None else count)
    arguments = storage, offset, tuple(shape), tuple(strides), False, ordered()
    return _Named("torch._utils", "_rebuild_tensor_v2", *arguments)


def ordered(*pairs):
    """An OrderedDict, as torch pickles it."""
    return _Named("collections", "OrderedDict", *([list(map(list, pairs))] if pairs else []))


def called(module, name, *arguments):
    """A call of any global."""
    return _Named(module, name, *arguments)


def archive(value, storages=(), **extra):
    """A file in the ZIP form.

    Args:
        value: What the pickle holds, or its bytes.
        storages: Key -> bytes.
        extra: Other members.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        members.writestr("x/data.pkl", value if isinstance(value, bytes) else pickled(value))
        for name, data in {**extra}.items():
            members.writestr(f"x/{name}", data)
        for key, data in dict(storages).items():
            members.writestr(f"x/data/{key}", data)
    return file.getvalue()


def legacy(value, storages=(), keys=None, system=SYSTEM, protocol=1001):
    """A file in the older form.

    Args:
        value: What the pickle holds, or its bytes.
        storages: Key -> array.
        keys: The list of keys; None: those of ``storages``.
        system: Facts of the machine.
        protocol: The version.
    """
    storages = dict(storages)
    parts = [pickle.dumps(MAGIC, 2), pickle.dumps(protocol, 2), pickle.dumps(system, 2)]
    parts.append(value if isinstance(value, bytes) else pickled(value))
    parts.append(pickle.dumps(list(storages) if keys is None else keys, 2))
    for array in storages.values():
        parts += [struct.pack("<q", array.size), array.tobytes()]
    return b"".join(parts)


def weights(arrays, form=archive):
    """A file with a state dict of float32 arrays."""
    value = {name: tensor(str(k), array.shape) for k, (name, array) in enumerate(arrays.items())}
    data = [np.asarray(array, np.float32) for array in arrays.values()]
    if form is archive:
        return archive(value, {str(k): array.tobytes() for k, array in enumerate(data)})
    return legacy(value, {str(k): array for k, array in enumerate(data)})


def instructions(data):
    """Names of the instructions of a pickle."""
    return {code.name for code, _, _ in pickletools.genops(data)}
