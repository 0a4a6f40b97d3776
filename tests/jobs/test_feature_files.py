"""Features as .npy and .npz: NumPy reads what was added, and nothing else appears."""

import errno
import os

import numpy as np
import pytest

from cnntool.errors import InputError, OptionError, SystemFailure
from cnntool.jobs import feature_files
from cnntool.jobs.feature_files import FeatureFile


def write(path, rows, **options):
    with FeatureFile(str(path), **options) as file:
        for index, row in enumerate(rows):
            file.add(f"{index}.png", row)
        return file.commit()


@pytest.mark.parametrize("kind", ["u1", "u2", "f4", "f8", ">u2", ">f4"])
@pytest.mark.parametrize("block", [7, 1 << 22])
def test_rows_come_back(tmp_path, rng, monkeypatch, kind, block):
    monkeypatch.setattr(feature_files, "_BLOCK", block)
    rows = (rng.random((5, 13)) * 200).astype(kind)
    assert write(tmp_path / "x.npy", rows)
    assert write(tmp_path / "x.npz", rows)
    found = np.load(tmp_path / "x.npy")
    assert np.array_equal(found, rows)
    assert found.dtype == rows.dtype.newbyteorder("=")
    with np.load(tmp_path / "x.npz") as archive:
        assert np.array_equal(archive["features"], rows)
        assert archive["paths"].tolist() == [f"{index}.png" for index in range(5)]
    assert sorted(os.listdir(tmp_path)) == ["x.npy", "x.npz"]


def test_types_that_differ_become_one_that_holds_all(tmp_path):
    write(tmp_path / "x.npy", [np.array([1, 255], np.uint8), np.array([1.5, 65535], np.float64)])
    found = np.load(tmp_path / "x.npy")
    assert found.dtype == np.float64
    assert found.tolist() == [[1, 255], [1.5, 65535]]


def test_no_rows_no_file(tmp_path):
    assert not write(tmp_path / "x.npy", [])
    assert os.listdir(tmp_path) == []


def test_rows_of_another_length(tmp_path):
    with pytest.raises(InputError, match="gives 3 numbers, the rows before have 2"):
        write(tmp_path / "x.npy", [np.zeros(2), np.zeros(3)])
    assert os.listdir(tmp_path) == []


def test_nothing_is_replaced_unasked(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"old")
    with pytest.raises(OptionError, match="exists; -f"):
        write(tmp_path / "x.npy", [np.zeros(2)])
    assert (tmp_path / "x.npy").read_bytes() == b"old"
    assert write(tmp_path / "x.npy", [np.zeros(2)], force=True)


def test_failures_of_the_system(tmp_path):
    with pytest.raises(SystemFailure, match="cannot be written: No such file or directory"):
        FeatureFile(str(tmp_path / "none" / "x.npy"))
    if os.path.exists("/dev/full"):
        with FeatureFile(str(tmp_path / "x.npy")) as file:
            # the rows wait on a disk that is full
            file._rows.close()
            file._rows = open("/dev/full", "w+b", buffering=0)
            with pytest.raises(SystemFailure, match="No space left on device") as caught:
                file.add("a", np.zeros(9))
        assert caught.value.errno == errno.ENOSPC
