"""600 JPEG photos, Sobel, JPEG of equal quality: whole processes, cnntool against its peers.

    python tests/benchmarks/bench_folder.py [--count 600] [--rounds 3]

Needs opencv-python-headless and ImageMagick's mogrify for the ratios; what is missing is left out.
Every process is timed from start to end, one after the other in alternating rounds; the ratio is of
the best times.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SAMPLES = Path(__file__).parents[2] / "samples"
OPENCV = """
import glob, os, sys
import cv2, numpy as np
source, target = sys.argv[1:]
kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
for path in sorted(glob.glob(source + "/*.jpg")):
    image = cv2.imread(path)
    edges = cv2.convertScaleAbs(cv2.filter2D(image, cv2.CV_16S, kernel))
    cv2.imwrite(os.path.join(target, os.path.basename(path)), edges, [cv2.IMWRITE_JPEG_QUALITY, 90])
"""


def make_photos(folder: Path, count: int) -> None:
    """Different crops of the sample photos, 1024x768, quality 90."""
    photos = [Image.open(SAMPLES / f"{name}.jpg") for name in ("astronaut", "chelsea", "coffee")]
    photos = [photo.resize((1280, 960), Image.Resampling.LANCZOS) for photo in photos]
    rng = np.random.default_rng(0)
    for index in range(count):
        left, top = int(rng.integers(0, 257)), int(rng.integers(0, 193))
        crop = photos[index % 3].crop((left, top, left + 1024, top + 768))
        crop.save(folder / f"photo{index:04}.jpg", quality=90)


def run(command: list[str], folder: Path) -> float:
    """Seconds of one process; its output folder is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS")}
    start = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)  # fmt: skip
    return time.perf_counter() - start


def main() -> None:
    """Time all and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        photos, out = Path(scratch, "in"), Path(scratch, "out")
        photos.mkdir()
        make_photos(photos, options.count)
        script = Path(scratch, "peer.py")
        script.write_text(OPENCV)
        peers = {
            "cnntool": [sys.executable, "-m", "cnntool", "convolve", str(photos), "-k", "sobel-x",
                        "-o", str(out)],
            "cnntool -j 1": [sys.executable, "-m", "cnntool", "convolve", str(photos), "-k",
                             "sobel-x", "-o", str(out), "-j", "1"],
            "opencv": [sys.executable, str(script), str(photos), str(out)],
        }  # fmt: skip
        if shutil.which("mogrify"):
            matrix = "3: -1,0,1 -2,0,2 -1,0,1"
            peers["mogrify"] = [
                "sh", "-c", f"exec mogrify -path '{out}' -quality 90 -morphology Correlate "
                f"'{matrix}' '{photos}'/*.jpg",
            ]  # fmt: skip
        best = dict.fromkeys(peers, float("inf"))
        for _ in range(options.rounds):
            for name, command in peers.items():
                best[name] = min(best[name], run(command, out))
        for name, seconds in best.items():
            ratio = best["cnntool"] / seconds
            print(f"{name:14} {seconds:7.2f} s   cnntool takes {ratio:5.2f} of it")


if __name__ == "__main__":
    main()
