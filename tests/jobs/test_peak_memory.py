"""The most memory that was held, also by processes that were forked."""

import os
import subprocess
import sys

import numpy as np
import pytest

from cnntool import backend
from cnntool.jobs import peak_memory as module
from cnntool.jobs.peak_memory import peak_memory, workers

MIB = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def after(code: str) -> int:
    """The growth of the peak in MiB that code leads to, in a fresh interpreter."""
    program = (
        "import os, time, numpy as np\n"
        "from cnntool import backend\n"
        "from cnntool.jobs.peak_memory import peak_memory\n"
        "cpu = backend.get('cpu')\n"
        f"before = peak_memory(cpu)\n{code}\n"
        "print((peak_memory(cpu) - before) >> 20)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return int(done.stdout)


def test_what_was_given_back_counts():
    assert 90 <= after("x = np.ones(100 << 20, np.uint8); del x") <= 115


@linux
def test_what_a_worker_holds_counts():
    code = (
        "shared = np.ones(50 << 20, np.uint8)\n"
        "out, ready = os.pipe()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    x = np.ones(80 << 20, np.uint8); os.write(ready, b'.'); time.sleep(30)\n"
        "os.read(out, 1)\n"
        "import atexit, signal; atexit.register(os.kill, pid, signal.SIGKILL)"
    )
    assert 125 <= after(code) <= 150


@linux
def test_workers_of_a_process(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in workers(module._PROCESS)
    finally:
        child.communicate(b"\n")
    (tmp_path / "task" / "7" / "children").mkdir(parents=True)  # cannot be read
    assert workers(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_without_a_file_system_of_processes(monkeypatch, tmp_path):
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    monkeypatch.setattr(module, "_PROCESS", tmp_path)
    for platform, unit in (("linux", 1024), ("darwin", 1)):
        monkeypatch.setattr(sys, "platform", platform)
        assert usage * unit <= peak_memory(backend.get("cpu")) <= 2 * usage * unit
    monkeypatch.setattr(sys, "platform", "win32")
    assert peak_memory(backend.get("cpu")) is None


def test_of_a_gpu(double_as_gpu):
    kept = double_as_gpu.to_device(np.zeros(1000, np.float32))
    assert peak_memory(double_as_gpu) >= kept.nbytes == 4000
