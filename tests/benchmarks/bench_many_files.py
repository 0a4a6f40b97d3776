"""Folder runs over very many small files: rate, memory, and what the memory grows by.

    python tests/benchmarks/bench_many_files.py [COUNT]

20 000 files if COUNT is left out: hard links of one 8 x 8 PNG, so that the tool's own cost a file
shows. Peaks are read while the process runs; growth is from the first thousand results to the last.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

COMMANDS = {
    "convolve": ["-k", "sobel-x", "-o", "out/", "-q"],
    "convolve --skip-existing": ["-k", "sobel-x", "-o", "out/", "-q", "--skip-existing"],
    "convolve --report": ["-k", "sobel-x", "-o", "out2/", "-q", "--report", "r.jsonl"],
    "hog to .npz": ["--cell", "4", "--block", "1", "-o", "x.npz", "-q"],
    "flatten to stdout": ["-q"],
    "check": ["-q"],
}


def memory(pid: int, word: str) -> int:
    """VmRSS or VmHWM of a process in bytes."""
    found = re.search(rf"{word}:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def run(command: list[str], lines: int) -> tuple[float, int, int]:
    """Seconds, peak, and growth after the first thousand lines of output (0 if there are none)."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    first = last = peak = count = 0
    for _ in process.stdout:
        count += 1
        if count == 1000:
            first = memory(process.pid, "VmRSS")
        if count % 1000 == 0 and process.poll() is None:
            last, peak = memory(process.pid, "VmRSS"), memory(process.pid, "VmHWM")
    process.wait()
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return time.perf_counter() - start, peak, last - first if count > lines / 2 else 0


def main() -> None:
    """Print the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    program = str(Path(sys.executable).with_name("cnntool"))
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        Path("in").mkdir()
        Image.new("L", (8, 8), 77).save("in/0.png")
        for index in range(1, count):
            os.link("in/0.png", f"in/{index}.png")
        print(f"{count} files, {os.cpu_count()} cores")
        for name, options in COMMANDS.items():
            for jobs in (1, 0):
                if jobs == 0 and name not in ("convolve", "check"):
                    continue
                again = ["-f"] if name == "convolve" or name.startswith("hog") else []
                command = [program, name.split()[0], "in", *options, *again, "-j", str(jobs)]
                seconds, peak, growth = run(command, count)
                print(
                    f"{name:25} -j {jobs or 'all':3}  {count / seconds:6.0f} files/s  "
                    f"{seconds / count * 1e3:5.2f} ms a file  "
                    + (f"peak {peak / 1e6:4.0f} MB  growth {growth / 1e6:5.1f} MB" if peak else "")
                )
        os.chdir("/")


if __name__ == "__main__":
    main()
