"""``hog`` of 512x512 pictures against scikit-image, in one process on one thread.

    python tests/benchmarks/bench_hog.py [--rounds 20]

Rounds alternate between the two; the ratio is of the best times.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import skimage
from PIL import Image
from skimage.feature import hog as skimage_hog

from cnntool.filters.hog import hog

SAMPLE = Path(__file__).parents[2] / "samples" / "astronaut.jpg"


def photo() -> np.ndarray:
    """512x512 RGB: the sample, or smooth noise where there is none."""
    if SAMPLE.exists():
        return np.asarray(Image.open(SAMPLE).convert("RGB").resize((512, 512)))
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((512, 512)))


def seconds(function: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    colour = photo()
    grey = np.asarray(Image.fromarray(colour).convert("L"))
    cases = {
        "grey uint8": grey,
        "grey float32": (grey / 255).astype(np.float32),
        "grey float64": grey / 255,
        "RGB uint8": colour,
        "RGB float64": colour / 255,
    }
    print(
        f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"scikit-image {skimage.__version__}; best of {rounds}"
    )
    print(f"{'512x512, 9 bins, 8x8, 3x3 l2-hys':34} {'ours':>9} {'skimage':>9} {'ratio':>6} error")
    for name, image in cases.items():
        axis = -1 if image.ndim == 3 else None

        def ours(image: np.ndarray = image) -> np.ndarray:
            return hog(image)

        def theirs(image: np.ndarray = image, axis: int | None = axis) -> np.ndarray:
            return skimage_hog(image, channel_axis=axis)

        error = float(np.abs(ours() - theirs()).max())
        best = [float("inf"), float("inf")]
        for _ in range(rounds):
            for k, function in enumerate((ours, theirs)):
                best[k] = min(best[k], seconds(function))
        a, b = best
        print(f"{name:34} {a * 1e3:6.2f} ms {b * 1e3:6.2f} ms {b / a:5.1f}x {error:.0e}")


if __name__ == "__main__":
    main()
