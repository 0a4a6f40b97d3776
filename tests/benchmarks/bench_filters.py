"""Filters in memory on 3840x2160 RGB against OpenCV, in one process, at equal threads.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python tests/benchmarks/bench_filters.py

Needs opencv-python-headless. Rounds alternate between the two; the ratio is of the best times.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import cv2
import numpy as np
from PIL import Image

from cnntool.filters.convolve import convolve
from cnntool.filters.kernel_text import parse_kernel
from cnntool.filters.levels import Levels
from cnntool.ops.correlation import Correlation, Frame

SAMPLE = Path(__file__).parents[2] / "samples" / "astronaut.jpg"
SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)


def picture() -> np.ndarray:
    """A photo repeated to 3840x2160."""
    photo = np.asarray(Image.open(SAMPLE).convert("RGB"))
    return np.ascontiguousarray(np.tile(photo, (5, 8, 1))[:2160, :3840])


def sobel_int16(image: np.ndarray, threads: int) -> np.ndarray:
    """Signed 16-bit results, as OpenCV's CV_16S."""
    work = Correlation(SOBEL, image.shape, image.dtype, frame=Frame((1, 1, 1, 1), "reflect"))
    out = np.empty(work.shape_out, np.int16)

    def store(start: int, stop: int, values: np.ndarray) -> None:
        out[start:stop] = values

    work.run(image, store, threads=threads)
    return out


def cases(image: np.ndarray) -> dict[str, tuple[Callable[[int], object], Callable[[], object]]]:
    """Name -> (ours with a number of threads, OpenCV's)."""
    general = np.random.default_rng(0).standard_normal((7, 7)).astype(np.float32)
    bell = parse_kernel("gaussian:sigma=8")
    return {
        "sobel-x to |x| uint8": (
            lambda threads: convolve(
                image, "sobel-x", levels=Levels(np.uint8, "abs"), threads=threads
            ),
            lambda: cv2.convertScaleAbs(cv2.filter2D(image, cv2.CV_16S, SOBEL)),
        ),
        "sobel-x to int16": (
            lambda threads: sobel_int16(image, threads),
            lambda: cv2.filter2D(image, cv2.CV_16S, SOBEL),
        ),
        "sobel-x to float32": (
            lambda threads: convolve(image, "sobel-x", threads=threads),
            lambda: cv2.filter2D(image, cv2.CV_32F, SOBEL),
        ),
        "general 7x7 to float32": (
            lambda threads: convolve(image, general, threads=threads),
            lambda: cv2.filter2D(image, cv2.CV_32F, general),
        ),
        "gaussian sigma 8 to uint8": (
            lambda threads: convolve(image, bell, levels=Levels(np.uint8), threads=threads),
            lambda: cv2.GaussianBlur(image, (0, 0), 8),
        ),
    }


def seconds(function: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Print best times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    image = picture()
    print("case                       threads  cnntool ms  opencv ms  ratio")
    for name, (ours, theirs) in cases(image).items():
        for threads in (1, 2):
            cv2.setNumThreads(threads)
            best = [float("inf"), float("inf")]
            for _ in range(rounds):
                best[0] = min(best[0], seconds(partial(ours, threads)))
                best[1] = min(best[1], seconds(theirs))
            print(
                f"{name:26} {threads:7} {best[0] * 1e3:11.1f} {best[1] * 1e3:10.1f} "
                f"{best[0] / best[1]:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
