"""The file between pool and unpool: read with care, written the same each time."""

import io
import zipfile

import numpy as np
import pytest

from cnntool.errors import InputError
from cnntool.jobs import indices
from cnntool.jobs.indices import pack_indices, read_indices, unpack_indices


def archive(**members):
    """A .npz with these members: arrays, or bytes as they are."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, value in members.items():
            if not isinstance(value, bytes):
                buffer = io.BytesIO()
                np.save(buffer, value, allow_pickle=True)
                value = buffer.getvalue()
            file.writestr(f"{name}.npy", value)
    return data.getvalue()


POSITIONS = np.array([[5, 7, 1], [8, 15, 3]])
SIZE = np.array([4, 6])


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (2, 3, 4)])
def test_there_and_back(rng, tmp_path, shape):
    positions = rng.integers(0, 70, shape)
    data = pack_indices(positions, (7, 10))
    assert data == pack_indices(positions.copy(order="F"), (7, 10))
    (tmp_path / "i.npz").write_bytes(data)
    found, size = read_indices(str(tmp_path / "i.npz"))
    assert found.dtype == np.int64 and size == (7, 10)
    np.testing.assert_array_equal(found, positions)


def test_numpy_reads_it():
    with np.load(io.BytesIO(pack_indices(POSITIONS, (4, 6)))) as file:
        np.testing.assert_array_equal(file["indices"], POSITIONS)
        assert file["size"].tolist() == [4, 6]


def test_what_numpy_writes_is_read():
    data = io.BytesIO()
    np.savez_compressed(data, indices=POSITIONS, size=SIZE)
    found, size = unpack_indices(data.getvalue())
    np.testing.assert_array_equal(found, POSITIONS)
    assert size.tolist() == [4, 6]


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "damaged pooling indices"),
        (b"no archive", "damaged pooling indices"),
        (archive(indices=POSITIONS), "holds no pooling indices"),
        (archive(indices=POSITIONS, size=SIZE, more=SIZE), "holds no pooling indices"),
        (archive(x=POSITIONS, y=SIZE), "holds no pooling indices"),
        (archive(indices=POSITIONS.astype(np.int32), size=SIZE), "holds no pooling indices"),
        (archive(indices=POSITIONS * 1.0, size=SIZE), "holds no pooling indices"),
        (archive(indices=POSITIONS, size=np.array([4, 6, 3])), "holds no pooling indices"),
        (archive(indices=POSITIONS, size=np.array([0, 6])), "impossible size"),
        (archive(indices=POSITIONS, size=np.array([1 << 40, 1 << 40])), "impossible size"),
        (archive(indices=POSITIONS[0], size=SIZE), "impossible size"),
        (archive(indices=POSITIONS * 9, size=SIZE), "outside the picture of 4x6"),
        (archive(indices=-POSITIONS, size=SIZE), "outside the picture of 4x6"),
        (archive(indices=b"\x93NUMPY", size=SIZE), "damaged pooling indices"),
        (archive(indices=np.array([[{}]]), size=SIZE), "damaged pooling indices"),
    ],
)
def test_what_is_no_such_file(data, words):
    with pytest.raises(InputError, match=words):
        unpack_indices(data)


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(indices, "LARGEST", 1 << 20)
    data = pack_indices(np.zeros((400, 400), np.int64), (4, 6))
    assert len(data) < 1 << 14
    with pytest.raises(InputError, match="unpacks to more than 1 MiB"):
        unpack_indices(data)


def test_every_truncation_is_found():
    data = pack_indices(POSITIONS, (4, 6))
    for length in range(len(data)):
        with pytest.raises(InputError):
            unpack_indices(data[:length])


def test_no_flipped_bit_passes_unseen():
    data = pack_indices(POSITIONS, (4, 6))
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            found, size = unpack_indices(bytes(changed))
        except InputError:
            continue
        # dates, attributes and the like mean nothing
        np.testing.assert_array_equal(found, POSITIONS)
        assert size.tolist() == [4, 6]


def test_the_message_names_the_file(tmp_path):
    with pytest.raises(InputError, match=r"--indices '.*gone\.npz': no such file"):
        read_indices(str(tmp_path / "gone.npz"))
