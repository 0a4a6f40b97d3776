"""CIFAR's binary files."""

import numpy as np
import pytest

from cnntool.data import cifar
from cnntool.data.loading import load
from cnntool.errors import ModelFileError


@pytest.fixture
def small(monkeypatch):
    """Files of 7 pictures each."""
    monkeypatch.setattr(cifar, "RECORDS", 7)


def write(folder, rng, count=7):
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5",
                 "test_batch"):  # fmt: skip
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        images = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        made[name] = labels, images
        (folder / f"{name}.bin").write_bytes(np.column_stack([labels, images]).tobytes())
    return made


def test_pictures_and_labels(folder, rng, small):
    made = write(folder / "d", rng)
    data = load("d")
    assert data.shape == (3, 32, 32) and data.color == "rgb"
    assert data.classes[0] == "airplane" and data.classes[9] == "truck"
    assert (len(data.train), len(data.test)) == (35, 7)
    labels, images = made["data_batch_3"]
    np.testing.assert_array_equal(data.train.labels[14:21], labels)
    # 1024 red samples row by row, then green, then blue
    assert data.train.images[14, 1, 2, 5] == images[0, 1024 + 2 * 32 + 5]
    np.testing.assert_array_equal(data.test.images.reshape(7, -1), made["test_batch"][1])
    assert data.train.labels.dtype == np.int64


def test_by_its_name(cache, rng, small):
    write(cache / "datasets" / "cifar10", rng)
    assert load("cifar10").name == "cifar10" == load("cifar-10").name


def test_damaged_files(folder, rng, small):
    write(folder / "d", rng)
    path = folder / "d" / "data_batch_2.bin"
    data = path.read_bytes()
    for spoiled, words in (
        (data[:-1], f"data_batch_2.bin': {7 * 3073} bytes expected, {7 * 3073 - 1} found"),
        (data + b"x", "bytes expected, more than that found"),
        (b"\x0a" + data[1:], "label 10 is out of range: 10 classes are 0 to 9"),
    ):
        path.write_bytes(spoiled)
        with pytest.raises(ModelFileError, match=words):
            load("d")
    path.unlink()
    with pytest.raises(ModelFileError, match=r"data_batch_2\.bin': cannot be read: No such file"):
        load("d")


def test_real_sizes():
    assert cifar.RECORDS * cifar.RECORD == 30_730_000
    assert len(cifar.TRAIN) * cifar.RECORDS == 50_000
