"""Write cupy_surface.json: run once where the real CuPy is installed, no GPU needed.

python tests/golden/capture_cupy_surface.py
"""

import inspect
import json
import pathlib
import re
import sys
import warnings

import cupy
import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from device_double import expressions  # noqa: E402 -- found through the line above

UNKNOWN = "*args, **"


def signature(function) -> str:
    """Names of the arguments, such as ``a, axis, *, order, **``, without ``self``."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return signature_from_docstring(function)
    kinds = inspect.Parameter
    names, starred = [], False
    for parameter in parameters:
        if parameter.kind is kinds.VAR_KEYWORD:
            names.append("**")
        elif parameter.kind is kinds.VAR_POSITIONAL:
            names.append("*args")
            starred = True
        else:
            if parameter.kind is kinds.KEYWORD_ONLY and not starred:
                names.append("*")
                starred = True
            names.append(parameter.name)
    return ", ".join(name for name in names if name != "self")


def signature_from_docstring(function) -> str:
    """Compiled functions keep their signature in the first line of the docstring."""
    first = (getattr(function, "__doc__", None) or "").strip().split("\n")[0]
    match = re.match(r"(?:[\w.]+\.)?\w+\((.*)\)(?:\s*->.*)?$", first)
    if not match:
        return UNKNOWN
    names = []
    for text in split_arguments(match[1].replace("\\", "")):
        name = text.split("=")[0].strip().split(" ")[-1]
        if name.startswith("**"):
            names.append("**")
        elif name == "*" or not name.startswith("*"):
            names.append(name)
        else:
            names.append("*args")
    return ", ".join(name for name in names if name not in ("", "/", "self"))


def split_arguments(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def names_of(module) -> dict[str, str]:
    found = {}
    for name in sorted(n for n in dir(module) if not n.startswith("_")):
        try:
            value = getattr(module, name)
        except AttributeError:
            continue
        if inspect.ismodule(value):
            continue
        if isinstance(value, cupy.ufunc):
            found[name] = "ufunc"
        elif inspect.isclass(value) or not callable(value):
            found[name] = "object"
        else:
            found[name] = signature(value)
    return found


def methods_of(cls) -> dict[str, str | None]:
    values = {name: getattr(cls, name) for name in sorted(dir(cls)) if not name.startswith("_")}
    return {name: signature(v) if callable(v) else None for name, v in values.items()}


def without_gpu(host):
    """A real cupy.ndarray over memory of the host: all that asks no device works on it."""
    memory = cupy.cuda.memory
    borrowed = memory.UnownedMemory(host.ctypes.data, max(host.nbytes, 1), host, 0)
    return cupy.ndarray(host.shape, host.dtype, memory.MemoryPointer(borrowed, 0))


def outcomes() -> dict[str, str] | None:
    if cupy.is_available():  # a kernel would read the host's memory
        return None
    needs_device = (cupy.cuda.runtime.CUDARuntimeError, ImportError)  # the driver, its libraries
    found = {}
    for expression in expressions.EXPRESSIONS:
        a = without_gpu(expressions.HOST.copy())
        s = without_gpu(expressions.SCALAR.copy())
        found[expression] = expressions.outcome(expression, cupy, a, s, needs_device)
    return found


def capture() -> dict:
    return {
        "cupy": cupy.__version__,
        "numpy": np.__version__,
        "functions": names_of(cupy),
        "linalg": names_of(cupy.linalg),
        "fft": names_of(cupy.fft),
        "ndarray": methods_of(cupy.ndarray),
        "ndarray_dunders": [name for name in dir(cupy.ndarray) if name.startswith("__")],
        "ufunc_methods": {
            name: signature(getattr(cupy.add, name))
            for name in ("at", "reduce", "reduceat", "accumulate", "outer")
        },
        "Generator": methods_of(cupy.random.Generator),
        "RandomState": methods_of(cupy.random.RandomState),
        "outcomes": outcomes(),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    captured = capture()
    if captured["outcomes"] is None:
        raise SystemExit("hide the GPUs: CUDA_VISIBLE_DEVICES=")
    text = json.dumps(captured, indent=0, sort_keys=True)
    (HERE / "cupy_surface.json").write_text(text + "\n", encoding="utf-8")
