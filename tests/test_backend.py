"""Devices: each part that can be missing has its message, and the CPU needs none of them."""

import subprocess
import sys
import textwrap
import types

import device_double
import numpy as np
import pytest

from cnntool import backend
from cnntool.errors import DeviceError, OptionError

LONGEST = 280  # characters, so that the whole line of the command stays under 300

# The text of CuPy around the cause of a failed import.
IMPORT_BOX = """
================================================================
Failed to import CuPy.

If you installed CuPy via wheels, make sure that the package matches your CUDA.

Original error:
  ImportError: libcudart.so.12: cannot open shared object file
================================================================
"""


class CudaError(RuntimeError):
    def __init__(self, status, text="cudaErrorUnknown: unknown error"):
        super().__init__(text)
        self.status = status


class DynamicLibNotFoundError(RuntimeError):
    """As the class of cuda-pathfinder."""


class CompileException(Exception):
    """As the class of CuPy: no RuntimeError."""


class CudaArray(np.ndarray):
    pass


class CudaDevice:
    used: list = []  # noqa: RUF012 -- one list for all, as each thread has one current device

    def __init__(self, index):
        self.index = index

    def use(self):
        self.used.append(self.index)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


def make_cupy(*, count=1, served=13000, needed=12090, compute=None):
    """A module with what the backend needs of cupy.

    ``count`` and ``compute`` may be exceptions, which are raised when CUDA is asked to count its
    devices or to compute.
    """

    def answer(value):
        if isinstance(value, Exception):
            raise value
        return value

    def arange(*args, **kwargs):
        answer(compute)
        return np.arange(*args, **kwargs)

    runtime = types.SimpleNamespace(
        CUDARuntimeError=CudaError,
        getDeviceCount=lambda: answer(count),
        driverGetVersion=lambda: served,
        runtimeGetVersion=lambda: needed,
        getDeviceProperties=lambda index: {
            "name": f"Card {index}".encode(),
            "totalGlobalMem": 2**33,
            "major": 8,
            "minor": 6,
        },
    )
    waits = []
    stream = types.SimpleNamespace(synchronize=lambda: waits.append("waited"))
    return types.SimpleNamespace(
        __name__="cupy",
        ndarray=CudaArray,
        float32=np.float32,
        arange=arange,
        asarray=np.asarray,
        asnumpy=lambda x: np.asarray(x),
        waits=waits,
        cuda=types.SimpleNamespace(
            Device=CudaDevice, runtime=runtime, get_current_stream=lambda: stream
        ),
    )


@pytest.fixture
def install(monkeypatch):
    """A function that makes ``import cupy`` give the module asked for; None for no module."""
    monkeypatch.setattr(backend, "_probed", {})
    monkeypatch.setattr(backend, "_MODULES", dict(backend._MODULES))
    monkeypatch.setattr(CudaDevice, "used", [])

    def install_module(module=None, **kwargs):
        module = make_cupy(**kwargs) if kwargs else module
        monkeypatch.setitem(sys.modules, "cupy", module)
        return module

    return install_module


@pytest.fixture
def install_package(monkeypatch, tmp_path, install):
    """A function that makes a cupy package of the source text found by the import system."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)

    def install_source(source):
        (tmp_path / "cupy").mkdir()
        (tmp_path / "cupy" / "__init__.py").write_text(textwrap.dedent(source))

    return install_source


def failure(device="gpu"):
    with pytest.raises(DeviceError) as caught:
        backend.get(device)
    message = str(caught.value)
    assert len(message) <= LONGEST and "\n" not in message
    assert caught.value.exit_code == 3
    return message


# --- the CPU ---


def test_cpu():
    cpu = backend.get("cpu")
    assert (cpu.xp, cpu.name, cpu.is_gpu, cpu.note) == (np, "cpu", False, "")
    assert backend.get() is cpu
    x = np.ones((2, 3), np.float32)
    assert cpu.to_device(x) is x and cpu.to_host(x) is x
    assert cpu.to_device([1, 2]).tolist() == [1, 2]
    cpu.synchronize()
    cpu.activate()


def test_cpu_takes_an_array_from_the_device(double):
    on_device = double.to_device(np.ones(3, np.float32))
    on_host = backend.get("cpu").to_device(on_device)
    assert type(on_host) is np.ndarray and on_host.tolist() == [1, 1, 1]


def test_cpu_does_not_import_cupy(tmp_path):
    (tmp_path / "cupy.py").write_text("raise SystemExit('cupy was imported')")
    code = "from cnntool import backend; print(backend.get('cpu').name)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "cpu\n"


@pytest.mark.parametrize("word", ["", "GPU", "cuda", "gpu:", "gpu:-1", "gpu:x", "gpu:٣", "auto:1"])
def test_unknown_device(word):
    with pytest.raises(OptionError, match=rf"unknown device '{word}'; use cpu, gpu, gpu:N") as e:
        backend.get(word)
    assert e.value.device == word and e.value.exit_code == 2


# --- what may be missing ---


def test_cupy_is_not_installed(install, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    install(None)
    message = failure()
    assert message.startswith(
        "GPUs need CuPy, which is not installed; pip install 'cnntool[cuda13]'"
    )
    assert "'cnntool[cuda12]'" in message


def test_cupy_is_not_installed_on_a_mac(install, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    install(None)
    assert "no packages for macOS; use --device cpu" in failure()


def test_cupy_cannot_be_imported(install_package, monkeypatch):
    monkeypatch.setattr(backend, "cupy_packages", lambda: ("cupy-cuda12x 14.2.0",))
    install_package(f"raise ImportError({IMPORT_BOX!r})")
    assert failure().startswith(
        "CuPy is installed but cannot be imported: ImportError: libcudart.so.12: cannot open "
        "shared object file; pip uninstall cupy-cuda12x, then pip install"
    )


def test_cupy_lacks_a_package_of_its_own(install_package, monkeypatch):
    monkeypatch.setattr(backend, "cupy_packages", lambda: ())
    install_package("import cupy_backends_that_are_not_here")
    message = failure()
    assert message.startswith("CuPy is installed but cannot be imported: ModuleNotFoundError: No")
    assert "pip uninstall cupy, then" in message


def test_cupy_does_not_fit_numpy(install_package, monkeypatch):
    monkeypatch.setattr(backend, "cupy_packages", lambda: ("cupy-cuda12x 13.0.0",))
    install_package(f"raise AttributeError({'_ARRAY_API not found, ' * 40!r})")
    assert "AttributeError: _ARRAY_API not found" in failure()


def test_several_cupy_packages(install_package, tmp_path):
    for name in ("cupy_cuda12x", "cupy_cuda13x", "cupyish"):
        folder = tmp_path / f"{name}-14.2.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name.replace('_', '-')}\nVersion: 14.2.0\n")
    found = set(backend.cupy_packages())
    assert {"cupy-cuda12x 14.2.0", "cupy-cuda13x 14.2.0"} <= found
    assert "cupyish 14.2.0" not in found
    install_package("raise ImportError('undefined symbol')")
    assert failure().startswith(
        f"{len(found)} CuPy packages are installed and damage each other: cupy-cuda12x, "
        "cupy-cuda13x; pip uninstall cupy-cuda12x cupy-cuda13x, then pip install"
    )


def test_no_driver(install):
    install(count=CudaError(35), served=0)
    message = failure()
    assert message.startswith("no NVIDIA driver was found, CuPy with CUDA 12.9 is installed")
    assert "install the driver" in message


def test_driver_too_old(install):
    install(count=CudaError(35), served=11040, needed=12090)
    message = failure()
    assert message.startswith("the NVIDIA driver is too old: it serves CUDA 11.4, CuPy is built")
    assert message.endswith("for CUDA 12.9; update the driver")


def test_driver_too_old_for_cuda_13_only(install):
    install(count=CudaError(35), served=12040, needed=13000)
    assert failure().endswith(
        "it serves CUDA 12.4, CuPy is built for CUDA 13.0; update the driver, "
        "or pip uninstall cupy-cuda13x and pip install 'cnntool[cuda12]'"
    )


@pytest.mark.parametrize("count", [0, CudaError(100, "cudaErrorNoDevice: no CUDA-capable device")])
def test_driver_without_a_device(install, monkeypatch, count):
    install(count=count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert failure() == "the NVIDIA driver works but shows no GPU; see what 'nvidia-smi' lists"


def test_hidden_device(install, monkeypatch):
    install(count=0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert "shows no GPU, CUDA_VISIBLE_DEVICES is '-1'; set it to the numbers" in failure()


def test_cuda_does_not_start(install):
    install(count=CudaError(803, "cudaErrorSystemDriverMismatch: unsupported combination"))
    message = failure()
    assert message.startswith("CUDA does not start: cudaErrorSystemDriverMismatch: unsupported")
    assert "restart the machine" in message


@pytest.mark.parametrize("count, known", [(1, "gpu:0 only"), (3, "gpu:0 to gpu:2")])
def test_number_out_of_range(install, count, known):
    install(count=count)
    assert failure("gpu:3") == f"no gpu:3 here: CUDA shows {known}"
    assert backend.get("gpu").name == "gpu:0"


@pytest.mark.parametrize(
    "error",
    [
        DynamicLibNotFoundError('Failure finding "libnvrtc.so.13 or libnvrtc.so.12"\n'),
        ImportError('Failure finding "libcublasLt.so.13 or libcublasLt.so.12"'),
        OSError("libnvrtc.so.12: cannot open shared object file"),
    ],
)
@pytest.mark.parametrize("needed, extra", [(12090, "cuda12"), (13000, "cuda13")])
def test_cuda_libraries_are_missing(install, error, needed, extra):
    install(compute=error, needed=needed)
    message = failure()
    assert message.startswith("gpu:0 is there, but CuPy cannot compute on it: ")
    assert f"{type(error).__name__}: {str(error).strip()[:40]}" in message
    assert message.endswith(f"CUDA's libraries are missing, pip install 'cnntool[{extra}]'")


def test_card_that_the_compiler_refuses(install):
    error = CompileException("nvrtc: error: invalid value for --gpu-architecture (-arch)")
    install(compute=error, needed=13000)
    message = failure()
    assert "CompileException: nvrtc: error: invalid value" in message
    assert "a card older than Turing needs 'cnntool[cuda12]' instead" in message
    assert message.endswith("update the driver or use --device cpu")


def test_other_failure_of_the_self_test(install):
    install(compute=CudaError(46, "cudaErrorDevicesUnavailable: busy " + "x" * 300))
    message = failure()
    assert "CudaError: cudaErrorDevicesUnavailable: busy" in message and "Turing" not in message


def test_memory_of_the_card_is_full(install):
    install(compute=MemoryError("Out of memory allocating 512 bytes"))
    assert failure().startswith("gpu:0 has no free memory: Out of memory allocating 512 bytes")


def test_wrong_product(install):
    cupy = install(count=1)
    cupy.arange = lambda *args, **kwargs: np.zeros(4, np.float32)
    assert failure().startswith("gpu:0 computed a wrong product in its self-test; update")


# --- a GPU that works ---


def test_gpu_by_number(install):
    cupy = install(count=2)
    gpu = backend.get("gpu:1")
    assert (gpu.xp, gpu.name, gpu.is_gpu, gpu.note) == (cupy, "gpu:1", True, "")
    assert CudaDevice.used == [1]
    assert backend.get("gpu:1") is gpu
    assert CudaDevice.used == [1, 1], "each caller may be a thread of its own"
    assert backend.array_module(np.zeros(2).view(CudaArray)) is cupy
    gpu.to_device([1.0])
    gpu.synchronize()
    assert CudaDevice.used == [1, 1, 1, 1] and cupy.waits == ["waited"]


def test_probe_is_done_once(install):
    install(count=CudaError(100))
    failure()
    install(count=1)
    failure()


def test_auto_takes_the_gpu(install):
    install(count=1)
    assert backend.get("auto").name == "gpu:0"


def test_auto_falls_back_and_says_why(install):
    install(None)
    found = backend.get("auto")
    assert (found.xp, found.name, found.is_gpu) == (np, "cpu", False)
    assert "CuPy, which is not installed" in found.note
    assert backend.get("cpu").note == ""


@pytest.mark.parametrize("action", ["to_device", "to_host", "synchronize", "activate"])
def test_gpu_that_fails_later(install, monkeypatch, action):
    cupy = install(count=1)
    gpu = backend.get("gpu")
    x = np.zeros(2).view(CudaArray)

    def broken(*_):
        raise CudaError(700, "cudaErrorIllegalAddress: an illegal memory access was encountered")

    cupy.asarray = cupy.asnumpy = cupy.cuda.get_current_stream = broken
    if action == "activate":
        monkeypatch.setattr(CudaDevice, "use", broken)
    with pytest.raises(DeviceError, match=r"^gpu:0 stopped working: cudaErrorIllegalAddress.*cpu"):
        getattr(gpu, action)(*([x] if action.startswith("to_") else []))


def test_gpus(install):
    install(count=2)
    first, second = backend.gpus()
    assert first == backend.Gpu("gpu:0", "Card 0", 2**33, "8.6")
    assert second.name == "gpu:1"
    install(None)
    with pytest.raises(DeviceError, match="CuPy, which is not installed"):
        backend.gpus()


def test_double_serves_as_gpu(double_as_gpu):
    gpu = double_as_gpu
    assert (gpu.name, gpu.is_gpu, gpu.xp) == ("gpu:0", True, device_double.fake)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    device_double.traffic.reset()
    y = gpu.to_device(x)
    assert gpu.to_device(y) is y and device_double.traffic.uploads == 1
    np.testing.assert_array_equal(gpu.to_host(y * 2), x * 2)
    gpu.synchronize()
    assert backend.gpus()[0].model == "Stand-in"


# --- which library made an array ---


def test_array_module(xp):
    x = xp.to_device(np.zeros(3, np.float32))
    assert backend.array_module(x) is xp.xp


def test_array_module_of_other_things():
    for x in (1, 2.5, [1, 2], np.float32(3), np.zeros(2).view(np.recarray)):
        assert backend.array_module(x) is np


def test_array_module_of_an_array_that_the_caller_made(install):
    cupy = install(count=1)
    foreign = type("ndarray", (), {"__module__": "cupy"})
    assert backend.array_module(foreign()) is cupy


# --- the real package ---


def test_real_package():
    pytest.importorskip("cupy", reason="needs the CuPy package, not a GPU")
    found = backend.get("auto")
    if found.is_gpu:
        assert found.name == "gpu:0"
    else:
        known = "^(no NVIDIA driver|the NVIDIA driver|CUDA does not start|gpu:0 is there)"
        with pytest.raises(DeviceError, match=known):
            backend.get("gpu")
    assert any(name.startswith("cupy") for name in backend.cupy_packages())


@pytest.mark.gpu
def test_real_gpu(rng):
    gpu = backend.get("gpu")
    a, b = rng.standard_normal((2, 40, 40)).astype(np.float32)
    product = gpu.to_device(a) @ gpu.to_device(b)
    gpu.synchronize()
    assert backend.array_module(product) is gpu.xp
    np.testing.assert_allclose(gpu.to_host(product), a @ b, atol=1e-4)
    assert gpu.to_host(gpu.xp.asarray(a)).dtype == np.float32
    assert backend.gpus()[0].memory > 0


def test_a_folder_that_is_called_cupy(monkeypatch):
    stray = types.ModuleType("cupy")
    stray.__path__ = ["/home/me/cupy"]
    monkeypatch.setitem(sys.modules, "cupy", stray)
    with pytest.raises(DeviceError, match="/home/me/cupy hides CuPy: it has its name; rename it"):
        backend._import_cupy()
