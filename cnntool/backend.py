"""Devices: NumPy on a CPU, CuPy on a GPU. The only module that imports cupy.

``get(device)`` gives a :class:`Backend`; ``array_module(x)`` tells which library made an array, so
that one source serves both. A library that nobody asked for cannot have made the array, so the
test is a look-up of the array's type and imports nothing.

A GPU is used only after a proof that it works: one kernel compiled, one product computed. CuPy can
be imported, and can even report a device, on machines where the first real operation fails; each
way to fail has a message of its own that names the missing part and what brings it.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import DeviceError, OptionError

Array = Any
"""An array of NumPy or CuPy; operations document its shape."""

_MODULES: dict[type, Any] = {np.ndarray: np}

_DRIVER_TOO_OLD = 35  # cudaErrorInsufficientDriver; also what CUDA says where there is no driver
_NO_DEVICE = 100  # cudaErrorNoDevice

_INSTALL = (
    "pip install 'cnntool[cuda13]' (NVIDIA driver 580 or newer) "
    "or 'cnntool[cuda12]' (driver 525 or newer)"
)
_DETAIL_LENGTH = 100  # of a foreign message inside ours, so that the whole stays one short line


def register(array_type: type, module: Any) -> None:
    """Make ``array_module`` answer ``module`` for arrays of ``array_type``."""
    _MODULES[array_type] = module


def array_module(x: Array) -> Any:
    """The library that made ``x``: numpy, cupy, or what was registered.

    Args:
        x: An array. Numbers, lists and subclasses of ``numpy.ndarray`` count as NumPy's.

    Example:
        >>> array_module(np.zeros(3)).__name__
        'numpy'
    """
    module = _MODULES.get(type(x))
    if module is not None:
        return module
    # The caller may have imported cupy and made the array without asking get() for a device.
    if type(x).__module__.partition(".")[0] == "cupy" and "cupy" in sys.modules:
        return sys.modules["cupy"]
    return np


@dataclass(frozen=True)
class Backend:
    """A device and the array library that computes on it.

    Attributes:
        xp: numpy or cupy.
        name: ``cpu`` or ``gpu:N``.
        is_gpu: Whether arrays live outside the main memory.
        note: Why ``auto`` did not take a GPU; empty otherwise.
        device: CuPy's device object; None on a CPU.

    Example:
        >>> cpu = get("cpu")
        >>> cpu.name, cpu.xp.__name__, cpu.to_host(cpu.to_device([1.0, 2.0])).tolist()
        ('cpu', 'numpy', [1.0, 2.0])
    """

    xp: Any
    name: str
    is_gpu: bool
    note: str = ""
    device: Any = None

    def activate(self) -> None:
        """Make this the current device of the calling thread, as CuPy keeps one per thread.

        :func:`get` and :meth:`to_device` do it; a thread that gets its arrays from elsewhere
        calls it first.
        """
        if self.is_gpu:
            with self._failures_named():
                self.device.use()

    def to_device(self, x: Array) -> Array:
        """``x`` as an array on this device; not copied if it is there already.

        Raises:
            DeviceError: The GPU stopped working.
            MemoryError: The GPU's memory is full.
        """
        if not self.is_gpu:
            return self.to_host(x)
        self.activate()
        with self._failures_named():
            return self.xp.asarray(x)

    def to_host(self, x: Array) -> NDArray[Any]:
        """``x`` as a NumPy array; waits until the device has computed it.

        Raises:
            DeviceError: The GPU stopped working, now or in an earlier operation.
        """
        xp = array_module(x)
        if xp is np:
            return np.asarray(x)
        with self._failures_named():
            host: NDArray[Any] = xp.asnumpy(x)
            return host

    def synchronize(self) -> None:
        """Wait until all work given to the device by this thread is done.

        Raises:
            DeviceError: The GPU stopped working.
        """
        if self.is_gpu:
            self.activate()
            with self._failures_named():
                self.xp.cuda.get_current_stream().synchronize()

    @contextlib.contextmanager
    def _failures_named(self) -> Iterator[None]:
        if not self.is_gpu:
            yield
            return
        try:
            yield
        except self.xp.cuda.runtime.CUDARuntimeError as error:
            raise DeviceError(
                f"{self.name} stopped working: {_first_line(error)}; "
                "'nvidia-smi' shows its state, --device cpu works without it"
            ) from error


@dataclass(frozen=True)
class Gpu:
    """What CuPy tells about one GPU.

    Attributes:
        name: ``gpu:N``, as ``--device`` takes it.
        model: The maker's name for it.
        memory: Bytes.
        compute_capability: NVIDIA's number for its generation, such as ``8.6``.
    """

    name: str
    model: str
    memory: int
    compute_capability: str


_CPU = Backend(np, "cpu", is_gpu=False)
_probed: dict[int, Backend | DeviceError] = {}


def get(device: str = "cpu") -> Backend:
    """The backend of a device, proved to work; made the current device of the calling thread.

    Args:
        device: ``cpu``, ``gpu`` (the first), ``gpu:N`` (N from 0), or ``auto``: the first GPU
            if it works, else the CPU with the reason in ``note``. The proof of a GPU is kept
            for the life of the process, a failed one too.

    Raises:
        OptionError: The word is none of these.
        DeviceError: The GPU asked for does not work; the message says which part is missing.

    Example:
        >>> get("cpu").is_gpu
        False
    """
    if device == "cpu":
        return _CPU
    index = _gpu_index(device)
    if index not in _probed:
        try:
            _probed[index] = _probe(index)
        except DeviceError as error:
            _probed[index] = error
    found = _probed[index]
    if isinstance(found, Backend):
        found.activate()
        return found
    if device == "auto":
        return Backend(np, "cpu", is_gpu=False, note=found.message)
    raise DeviceError(found.message) from found.__cause__


def gpus() -> tuple[Gpu, ...]:
    """All GPUs that CuPy sees, also those that it cannot compute on.

    Raises:
        DeviceError: CuPy, the driver or a GPU is missing.
    """
    cupy = _import_cupy()
    return tuple(_describe(cupy, index) for index in range(_count_gpus(cupy)))


def _describe(cupy: Any, index: int) -> Gpu:
    facts = cupy.cuda.runtime.getDeviceProperties(index)
    return Gpu(
        name=f"gpu:{index}",
        model=facts["name"].decode(errors="replace"),
        memory=int(facts["totalGlobalMem"]),
        compute_capability=f"{facts['major']}.{facts['minor']}",
    )


def cupy_packages() -> tuple[str, ...]:
    """Installed distributions that provide cupy, as ``name version``; more than one is a fault."""
    from importlib import metadata  # 15 ms that only this needs

    found = set()
    for distribution in metadata.distributions():
        name = distribution.name or ""  # a damaged installation has none
        if re.fullmatch(r"cupy(-cuda\d+x?|-rocm[-\d]+)?", name.lower().replace("_", "-")):
            found.add(f"{name} {distribution.version}")
    return tuple(sorted(found))


def _gpu_index(device: str) -> int:
    kind, colon, number = device.partition(":")
    if device in ("gpu", "auto"):
        return 0
    if kind == "gpu" and colon and re.fullmatch(r"[0-9]{1,4}", number):
        return int(number)
    raise OptionError(
        f"unknown device '{device}'; use cpu, gpu, gpu:N (N from 0) or auto", device=device
    )


def _probe(index: int) -> Backend:
    """Prove that GPU ``index`` computes, or raise a DeviceError that names the missing part."""
    cupy = _import_cupy()
    count = _count_gpus(cupy)
    if index >= count:
        known = "gpu:0 only" if count == 1 else f"gpu:0 to gpu:{count - 1}"
        raise DeviceError(f"no gpu:{index} here: CUDA shows {known}", index=index, count=count)
    device = _self_test(cupy, index)
    register(cupy.ndarray, cupy)
    return Backend(cupy, f"gpu:{index}", is_gpu=True, device=device)


def _import_cupy() -> Any:
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            raise DeviceError(_not_installed()) from error
        raise DeviceError(_broken_import(error)) from error
    except Exception as error:  # any fault inside a foreign package
        raise DeviceError(_broken_import(error)) from error
    if not hasattr(cupy, "ndarray"):  # a folder of that name on the path
        place = next(iter(getattr(cupy, "__path__", ())), getattr(cupy, "__file__", "?"))
        raise DeviceError(f"{place} hides CuPy: it has its name; rename it or work elsewhere")
    return cupy


def _not_installed() -> str:
    if sys.platform == "darwin":
        return "GPUs need CuPy, which has no packages for macOS; use --device cpu"
    return f"GPUs need CuPy, which is not installed; {_INSTALL}"


def _broken_import(error: BaseException) -> str:
    packages = [package.split()[0] for package in cupy_packages()]
    if len(packages) > 1:
        return (
            f"{len(packages)} CuPy packages are installed and damage each other: "
            f"{', '.join(packages)}; pip uninstall {' '.join(packages)}, then {_INSTALL}"
        )
    package = packages[0] if packages else "cupy"
    return (
        f"CuPy is installed but cannot be imported: {_cause(error)}; "
        f"pip uninstall {package}, then {_INSTALL}"
    )


def _count_gpus(cupy: Any) -> int:
    runtime = cupy.cuda.runtime
    try:
        count = int(runtime.getDeviceCount())
    except runtime.CUDARuntimeError as error:
        status = getattr(error, "status", None)
        if status == _DRIVER_TOO_OLD:
            raise DeviceError(_driver_trouble(runtime)) from error
        if status == _NO_DEVICE:
            raise DeviceError(_no_device()) from error
        raise DeviceError(
            f"CUDA does not start: {_first_line(error)}; see whether 'nvidia-smi' works, after "
            "an update of the driver restart the machine"
        ) from error
    if count == 0:
        raise DeviceError(_no_device())
    return count


def _driver_trouble(runtime: Any) -> str:
    served, needed = int(runtime.driverGetVersion()), int(runtime.runtimeGetVersion())
    if served == 0:
        return (
            f"no NVIDIA driver was found, CuPy with CUDA {_cuda_version(needed)} is installed; "
            "install the driver (in a container: start it with access to the GPU) "
            "or use --device cpu"
        )
    message = (
        f"the NVIDIA driver is too old: it serves CUDA {_cuda_version(served)}, "
        f"CuPy is built for CUDA {_cuda_version(needed)}; update the driver"
    )
    if needed // 1000 >= 13 and served // 1000 == 12:
        message += ", or pip uninstall cupy-cuda13x and pip install 'cnntool[cuda12]'"
    return message


def _no_device() -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    message = "the NVIDIA driver works but shows no GPU"
    if visible is None:
        return message + "; see what 'nvidia-smi' lists"
    message += f", CUDA_VISIBLE_DEVICES is '{_shortened(visible)}'"
    return message + "; set it to the numbers of GPUs to be used or unset it"


def _self_test(cupy: Any, index: int) -> Any:
    """CuPy's object of GPU ``index``, on which it compiled a kernel and computed a product."""
    try:
        device = cupy.cuda.Device(index)
        with device:
            a = cupy.arange(4, dtype=cupy.float32).reshape(2, 2)
            expected = cupy.asarray(np.array([[3, 4], [7, 12]], np.float32))
            correct = bool((a @ a + 1 == expected).all())
    except MemoryError as error:
        raise DeviceError(
            f"gpu:{index} has no free memory: {_first_line(error)}; 'nvidia-smi' lists the "
            "programs that hold it, --device cpu works without it"
        ) from error
    except Exception as error:  # compiler, loader and driver raise unrelated classes
        raise DeviceError(_cannot_compute(cupy, index, error)) from error
    if not correct:
        raise DeviceError(
            f"gpu:{index} computed a wrong product in its self-test; update the driver, check the "
            "card, or use --device cpu"
        )
    return device


def _cannot_compute(cupy: Any, index: int, error: Exception) -> str:
    message = f"gpu:{index} is there, but CuPy cannot compute on it: {_cause(error)}; "
    series = int(cupy.cuda.runtime.runtimeGetVersion()) // 1000
    if _is_missing_library(error):
        return message + f"CUDA's libraries are missing, pip install 'cnntool[cuda{series}]'"
    if series >= 13:
        message += "a card older than Turing needs 'cnntool[cuda12]' instead; "
    return message + "update the driver or use --device cpu"


def _is_missing_library(error: Exception) -> bool:
    # cuda-pathfinder's class derives from RuntimeError and has moved between its modules.
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"ImportError", "OSError", "DynamicLibNotFoundError"})


def _cause(error: BaseException) -> str:
    """The line of a foreign message that tells the cause, with the class before it.

    CuPy frames the cause of a failed import: rules, advice, ``Original error:``, the cause.
    """
    text = str(error)
    original = re.search(r"Original error:\s*(\S.*)", text)
    if original:
        return _shortened(original[1])
    return _shortened(f"{type(error).__name__}: {_first_line(error)}")


def _first_line(error: BaseException) -> str:
    telling = (line for line in str(error).splitlines() if line.strip(" =-"))
    return _shortened(next(telling, type(error).__name__))


def _shortened(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _DETAIL_LENGTH else text[: _DETAIL_LENGTH - 3].rstrip() + "..."


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
