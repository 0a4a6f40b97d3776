"""Small data sets and runs for tests of training, and what two runs must have in common."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
from cli_runner import done
from data_files import npz
from PIL import Image
from trained_models import SIZE, bars

from cnntool.train import checkpoint

SPEC = "conv 4 3 | relu | maxpool 2 | flatten | dense 3"
FILES = ["model.safetensors", "metrics.csv", "run.json", "confusion.png"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
TIMES = ("seconds", "images_per_second")


def write_npz(path="bars.npz", train=90, test=30, val=0, seed=1, **arrays):
    """A data set of standing, lying and slanting bars, called 0, 1 and 2; its path."""
    for number, (part, count) in enumerate((("train", train), ("test", test), ("val", val))):
        if count:
            x, y = bars(count, seed=seed + number)
            arrays = {f"x_{part}": x[:, 0], f"y_{part}": y, **arrays}
    with open(path, "wb") as file:
        file.write(npz(arrays))
    return str(path)


def write_uneven(path="uneven.npz"):
    """40 standing bars, 15 lying, 5 slanting."""
    x, y = bars(200, seed=1)
    chosen = np.concatenate([np.flatnonzero(y == n)[:k] for n, k in enumerate((40, 15, 5))])
    return write_npz(path, train=0, x_train=x[chosen, 0], y_train=y[chosen])


def write_folders(folder, count, seed=1, names=("standing", "lying", "slanting"), size=SIZE):
    """The same as pictures in folders of classes; paths."""
    images, labels = bars(count, seed, size)
    paths = []
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / names[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(path)
        paths.append(path)
    return paths


def train(source, folder, *options, spec=SPEC):
    """A run that must succeed; two epochs on one thread unless told otherwise."""
    given = {"--epochs": 2, "--threads": 1, "--model": spec}
    for name in options:
        given.pop(str(name), None)
    defaults = [part for pair in given.items() for part in pair]
    return done("train", source, *defaults, "-o", folder, *options)


def report(folder):
    """``run.json``."""
    with open(os.path.join(folder, "run.json"), encoding="utf-8") as file:
        return json.load(file)


def metrics(folder):
    """Rows of ``metrics.csv``; texts."""
    with open(os.path.join(folder, "metrics.csv"), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def bytes_of(folder, name="model.safetensors"):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def saved(folder, name="checkpoint.safetensors"):
    """The checkpoint of a run."""
    return checkpoint.decode(bytes_of(folder, name), name)


def weights(folder):
    """All parameters of the newest checkpoint in one row."""
    return np.concatenate([array.ravel() for array in saved(folder).weights.values()])


def untimed(value):
    """Without times, which no two runs share."""
    if isinstance(value, dict):
        return {key: untimed(item) for key, item in value.items() if key not in TIMES}
    return [untimed(item) for item in value] if isinstance(value, list) else value


def assert_same_runs(one, other):
    """All but times is the same: model and pictures bit by bit, numbers, and where it stands."""
    assert bytes_of(one) == bytes_of(other)
    assert bytes_of(one, "confusion.png") == bytes_of(other, "confusion.png")
    assert untimed(metrics(one)) == untimed(metrics(other))
    assert untimed(report(one)) == untimed(report(other))
    first, second = saved(one), saved(other)
    assert first.options == second.options
    for part in ("weights", "optimiser", "best"):
        a, b = getattr(first, part), getattr(second, part)
        assert a.keys() == b.keys()
        assert all(a[name].tobytes() == b[name].tobytes() for name in a)
    a, b = untimed(first.progress.as_json()), untimed(second.progress.as_json())
    assert a.pop("epoch_seconds") >= 0 and b.pop("epoch_seconds") >= 0
    assert a == b


def without_matplotlib(monkeypatch):
    """Curves cannot be drawn: that takes longer than a small training."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)


def start(*args, code="from cnntool.cli import main; main()"):
    """A run in a session of its own, as a terminal starts it."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True,
        env=ENVIRONMENT,
    )  # fmt: skip


def signalling(monkeypatch, where, name, at, number):
    """Let a method send this process a signal when it is called for the ``at``-th time."""
    real, calls = getattr(where, name), []

    def method(self, *given, **options):
        calls.append(name)
        if len(calls) == at:
            os.kill(os.getpid(), number)
        return real(self, *given, **options)

    monkeypatch.setattr(where, name, method)
