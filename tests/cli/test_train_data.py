"""Data sets that ``train`` must complain about, and those it must not."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from data_files import idx, npz, write_idx
from PIL import Image
from trained_models import CLASSES, bars
from training_runs import SPEC, report, train, without_matplotlib, write_folders, write_npz


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    without_matplotlib(monkeypatch)


def complaint(source, status=4, *options):
    """The one line about a data set; no folder was made."""
    line = refused(status, "train", source, "--model", SPEC, "-o", "r", *options)
    assert not os.path.exists("r")
    return line


# --- folders


def test_folders_of_classes_with_parts(folder):
    for part, count in (("train", 40), ("val", 20), ("test", 30)):
        write_folders(folder / "data" / part, count)
    for place in ("data", "data/train", "data/train/lying"):
        (folder / place / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
        (folder / place / "Thumbs.db").write_bytes(b"x")
    result = train("data", "r")
    assert report("r")["options"]["classes"] == sorted(CLASSES)
    data = report("r")["data"]
    assert (data["train"], data["validation"], data["test"]) == (40, 20, 30)
    assert "cnntool: sizes found: 12x10 (90); modes: L (90)" in result.errors


def test_one_class(folder):
    write_folders(folder / "data", 10, names=("only",) * 3)
    assert "data: all pictures are of one class, 'only'; two at least are needed" in complaint(
        "data"
    )


def test_an_empty_class(folder):
    write_folders(folder / "data", 60)
    (folder / "data/unseen").mkdir()
    spec = SPEC.replace("dense 3", "dense 4")
    result = train("data", "r", spec=spec)
    assert "cnntool: 1 class has no pictures: 'unseen'" in result.errors
    assert "unseen (0)" in result.stderr
    assert report("r")["options"]["classes"] == [*sorted(CLASSES), "unseen"]
    train("data", "s", "--class-weight", "balanced", spec=spec)


def test_a_corrupt_picture(folder):
    paths = write_folders(folder / "data", 40)
    paths[3].write_bytes(paths[3].read_bytes()[:50])
    result = train("data", "r")
    found = [line for line in result.errors if line.startswith("cnntool: ")]
    assert "cnntool: 1 file that is no readable picture is left out" in found
    assert any(paths[3].name in line and "truncated" in line for line in found)
    assert report("r")["data"]["train"] == 39


def test_mostly_corrupt_pictures(folder):
    for path in write_folders(folder / "data", 20)[:15]:
        path.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "'data': 15 of 20 pictures cannot be read; the first is 'data/" in complaint("data")


def test_mixed_sizes(folder):
    paths = write_folders(folder / "data", 30)
    for path in paths[:4]:
        Image.open(path).resize((20, 16)).save(path)
    line = complaint("data")
    assert "pictures of 2 sizes: 12x10 (26), 16x20 (4); choose one with --size HxW" in line
    train("data", "r", "--size", "12x10")
    assert report("r")["options"]["input"] == [1, 12, 10]


def test_mixed_colours(folder):
    paths = write_folders(folder / "data", 30)
    for path in paths[:4]:
        Image.open(path).convert("RGB").save(path)
    result = train("data", "r")
    assert "26 grey pictures among 4 in colour are read as rgb; --color gray" in result.stderr
    assert report("r")["options"]["input"] == [3, 12, 10]
    train("data", "s", "--color", "gray")
    assert report("s")["options"]["input"] == [1, 12, 10]


def test_folders_without_classes(folder):
    os.mkdir("empty")
    assert "'empty': no folders of classes" in complaint("empty")
    for path in write_folders(folder / "data", 3):
        path.rename(folder / "empty" / path.name)
    assert "3 pictures lie in it: put those of each class in a folder" in complaint("empty")


def test_a_class_of_the_test_that_is_not_trained(folder):
    write_folders(folder / "data/train", 30, names=("a", "b", "c"))
    write_folders(folder / "data/test", 30, names=("a", "b", "d"))
    assert "unknown class 'd'" in complaint("data")


def test_masks(folder):
    for number in range(4):
        for place in ("images", "masks"):
            (folder / "data" / place).mkdir(parents=True, exist_ok=True)
            pixels = np.full((8, 9), number % 2, np.uint8)
            Image.fromarray(pixels).save(folder / f"data/{place}/{number}.png")
    line = complaint("data", 2)
    assert "'data' has 2 classes for pixels of 8×9; let it end in 2×8×9, as unet and" in line


def test_names_that_are_no_text(folder):
    """Bytes in the names of folders come back in run.json, which stays text."""
    name = os.fsdecode(b"caf\xe9")
    try:
        write_folders(folder / name, 30, names=("a", name, "c"))
    except OSError:
        pytest.skip("this file system has text names only")
    train(name, "r")
    found = report("r")["options"]
    assert found["dataset"] == name and found["classes"] == ["a", "c", name]
    rows = done("predict", "r", f"{name}/a", "--json").stdout.decode()
    assert '"label"' in rows
    train(name, "s", "--stop-after", 1)
    done("train", "--resume", "s")
    assert report("s")["options"]["dataset"] == name


# --- arrays


def test_arrays_that_are_not_pictures(folder):
    x, y = bars(30, seed=1)
    x = x[:, 0] / 255
    x[3, 4, 5] = np.nan
    (folder / "nan.npz").write_bytes(npz({"x_train": x, "y_train": y}))
    assert "x_train: NaN or infinity among the samples" in complaint("nan.npz")


def test_labels_that_are_none(folder):
    x, y = bars(30, seed=1)
    (folder / "a.npz").write_bytes(npz({"x_train": x[:, 0], "y_train": y[:-1]}))
    assert "29 labels in y_train for 30 pictures in x_train" in complaint("a.npz")
    (folder / "b.npz").write_bytes(npz({"x_train": x[:, 0], "y_train": np.zeros(30, np.int64)}))
    assert "all pictures are of one class" in complaint("b.npz")
    (folder / "c.npz").write_bytes(npz({"x_train": x[:0, 0], "y_train": y[:0]}))
    assert "no pictures to learn from" in complaint("c.npz")
    y[2] = -1
    (folder / "d.npz").write_bytes(npz({"x_train": x[:, 0], "y_train": y}))
    assert "-1" in complaint("d.npz")


def test_damaged_and_foreign_files(folder):
    data = Path(write_npz()).read_bytes()
    (folder / "cut.npz").write_bytes(data[: len(data) // 2])
    assert "'cut.npz': damaged .npz" in complaint("cut.npz")
    (folder / "a.npy").write_bytes(b"\x93NUMPY\1\0")
    assert "'a.npy': one array; save pictures and labels with numpy.savez" in complaint("a.npy")
    (folder / "notes.txt").write_text("hello")
    assert "'notes.txt': no data set; a data set is a folder with" in complaint("notes.txt")
    write_folders(folder / "data", 1)
    (picture,) = (folder / "data").rglob("*.png")
    assert "one PNG picture; name the folder above its class" in complaint(picture)


@pytest.mark.parametrize("packed", [False, True])
def test_idx(folder, packed):
    for part, count in (("train", 40), ("t10k", 20)):
        x, y = bars(count, seed=count)
        write_idx(folder / "data", x[:, 0], y, part, packed=packed)
    train("data", "r")
    assert report("r")["data"]["test"] == 20
    suffix = ".gz" if packed else ""
    labels = idx(np.full(40, 200, np.uint8))[:-3]
    path = folder / f"data/train-labels-idx1-ubyte{suffix}"
    path.write_bytes(gzip.compress(labels) if packed else labels)
    line = refused(4, "train", "data", "--model", SPEC, "-o", "s")
    assert "train-labels-idx1-ubyte" in line


def test_a_data_set_that_is_not_here(folder):
    found = invoke("train", "kmnist", env={"XDG_CACHE_HOME": str(folder), "HOME": str(folder)})
    if found.status == 0:
        pytest.skip("it is here")
    assert found.status == 1
    assert "kmnist is not on this machine; 'cnntool datasets download kmnist' gets it" in (
        found.stderr
    )
