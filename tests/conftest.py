"""Fixtures for all tests: array libraries, random numbers, what a machine may lack."""

import contextlib
import dataclasses
import os
import pathlib
import sys
import zlib
from collections.abc import Callable
from typing import Any

import device_double
import hypothesis
import numpy as np
import pytest

from cnntool import backend

collect_ignore = ["device_double", "golden"]

# A loaded machine must not fail a test by its speed.
hypothesis.settings.register_profile("cnntool", deadline=None, print_blob=True)
hypothesis.settings.load_profile("cnntool")

REPOSITORY = pathlib.Path(__file__).parents[1]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        reason = backend.get("auto").note
        if reason:
            pytest.skip(f"needs a working GPU: {reason}")


@pytest.fixture(autouse=True)
def _fresh_double():
    """Arrays of the stand-in are known to the package; its counters start at zero."""
    backend.register(device_double.DeviceArray, device_double.fake)
    device_double.traffic.reset()


@dataclasses.dataclass(frozen=True)
class Library:
    """One array library, for tests that run on each.

    ``with library.no_transfers():`` fails where the block copies between host and device, waits
    for the device, or makes float64 by accident; on NumPy it checks nothing. Its arguments:
    ``allow_sync``, ``allow_float64``.
    """

    name: str
    xp: Any
    no_transfers: Callable[..., contextlib.AbstractContextManager]

    def to_device(self, a):
        """A copy of ``a`` that belongs to this library."""
        return self.xp.asarray(np.array(a, copy=True))

    def to_host(self, x) -> np.ndarray:
        """``x`` as a NumPy array; an array of another library is a failure of the test."""
        home = backend.array_module(x)
        assert home is self.xp, f"an array of {home.__name__} where {self.name} was expected"
        return x if self.xp is np else self.xp.asnumpy(x)


def no_check(**_: bool):
    return contextlib.nullcontext()


def library(name: str) -> Library:
    if name == "numpy":
        return Library(name, np, no_check)
    if name == "double":
        return Library(name, device_double.fake, device_double.no_transfers)
    return Library(name, backend.get("gpu").xp, no_check)


def library_names() -> list:
    names = ["numpy", "double"]
    if backend.get("auto").is_gpu:
        names.append(pytest.param("cupy", marks=pytest.mark.gpu))
    return names


@pytest.fixture(params=library_names())
def xp(request) -> Library:
    """Each array library in turn: NumPy, the strict stand-in for CuPy, CuPy where a GPU works."""
    return library(request.param)


@pytest.fixture
def double() -> Library:
    """The strict stand-in for CuPy alone."""
    return library("double")


@pytest.fixture
def double_as_gpu(monkeypatch):
    """``--device gpu`` reaches the stand-in, in this process."""
    monkeypatch.setitem(sys.modules, "cupy", device_double.fake)
    monkeypatch.setattr(backend, "_probed", {})
    return backend.get("gpu")


@pytest.fixture
def rng(request) -> np.random.Generator:
    """Random numbers, other ones for each test, the same in each run."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of malformed files and data sets that is kept beside the repository.

    ``CNNTOOL_SHARED_DATA`` names another place.
    """
    beside = REPOSITORY.parent / "shared" / "data"
    folder = pathlib.Path(os.environ.get("CNNTOOL_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def samples() -> pathlib.Path:
    """The folder of sample pictures."""
    return REPOSITORY / "samples"
