"""A tree of pictures for folder runs, and what became of it."""

import json
import os
import pathlib
import re

import numpy as np
from PIL import Image

KERNEL = ("-k", "gaussian-5")  # never clips, so nothing is noted
TOP = ["out/img1.gaussian-5.png", "out/img2.gaussian-5.png", "out/img10.gaussian-5.png"]
BELOW = ["out/a/x.gaussian-5.jpg", "out/a/deep/er.gaussian-5.png", "out/B/y.gaussian-5.png"]


def make_tree(path, rng):
    """The folder ``in`` below ``path``."""
    for name in ("img1.png", "img2.png", "img10.png", "a/x.jpg", "a/deep/er.png", "B/y.png"):
        save(path / "in" / name, rng)
    for name in (".hidden.png", "Thumbs.db", ".ipynb_checkpoints/z.png", "notes.txt", "a/raw.CR2"):
        (path / "in" / name).parent.mkdir(exist_ok=True)
        (path / "in" / name).write_bytes(b"nothing")


def save(path, rng, shape=(7, 5, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)


def tree(path):
    """Names and bytes of all files below."""
    files = (pathlib.Path(above, name) for above, _, names in os.walk(path) for name in names)
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def report(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def files(folder):
    """Names and bytes below, without temporaries; the seconds in a report are no matter."""
    found = {}
    for above, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(above, name)
            with open(path, "rb") as file:
                data = file.read()
            data = re.sub(rb'"seconds": [0-9.e-]+', b"", data) if name == "r.jsonl" else data
            found[os.path.relpath(path, folder)] = data
    return {name: data for name, data in found.items() if not name.endswith(".cnntool-tmp")}


def litter(folder):
    return [
        os.path.join(above, name)
        for above, _, names in os.walk(folder)
        for name in names
        if name.endswith(".cnntool-tmp") or name.startswith("tmp")
    ]


def photos(folder, count, rng, shape=(60, 50)):
    os.makedirs(folder)
    for index in range(count):
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(os.path.join(folder, f"{index}.png"))
