"""Start-up time and peak memory of whole processes.

    python tests/benchmarks/bench_processes.py

Prints the time of ``cnntool --help`` against ``python -c "import click"``, and the peak memory of
``convolve --limits off`` on a 100-megapixel PNG, grey and RGB, in bytes per channel value.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image


def best(command: list[str], rounds: int = 15) -> float:
    """Shortest of several runs, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return min(times)


def peak(command: list[str]) -> int:
    """Peak resident memory of a process in bytes, read every few milliseconds while it runs.

    The peak that the system reports afterwards would begin with this process's own.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    highest = 0
    while process.poll() is None:
        found = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        highest = max(highest, int(found[1]) * 1024 if found else 0)
        time.sleep(0.002)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return highest


def main() -> None:
    """Print the figures."""
    ours = [str(Path(sys.executable).with_name("cnntool"))]
    start, click = best([*ours, "--help"]), best([sys.executable, "-c", "import click"])
    print(f"--help {start * 1e3:.0f} ms, import click {click * 1e3:.0f} ms: {start / click:.2f}")
    nothing = peak([*ours, "convolve", "--help"])
    print(f"convolve --help: {nothing / 1e6:.0f} MB")
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    for mode, channels in (("L", 1), ("RGB", 3)):
        with tempfile.TemporaryDirectory() as scratch:
            source, target = str(Path(scratch, "a.png")), str(Path(scratch, "b.png"))
            image = np.tile(
                noise if channels == 3 else noise[..., 0],
                (10, 10, 1) if channels == 3 else (10, 10),
            )
            Image.fromarray(image).save(source, compress_level=1)
            values = image.size
            del image
            command = [*ours, "convolve", source, "-k", "sobel-x", "-o", target, "--limits", "off"]
            used = peak(command)
            print(
                f"convolve {mode} {values / channels / 1e6:.0f} megapixels: {used / 1e6:.0f} MB, "
                f"{used / values:.2f} bytes per channel value"
            )


if __name__ == "__main__":
    main()
