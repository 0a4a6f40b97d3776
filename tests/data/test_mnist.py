"""The embedded MNIST: complete, checked at every load, fast from the cache."""

import hashlib
import lzma
import pathlib
import shutil
import struct

import numpy as np
import pytest

from cnntool.data import mnist
from cnntool.data.fingerprint import fingerprint
from cnntool.data.loading import load
from cnntool.errors import ModelFileError

SIZE = 70_000 * 784


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return mnist.load()


def original(part, kind):
    """An original file, header and all, from the arrays."""
    if kind == "images":
        count, channels, rows, columns = part.images.shape
        assert channels == 1
        return struct.pack(">4I", 2051, count, rows, columns) + part.images.tobytes()
    return struct.pack(">2I", 2049, len(part.labels)) + part.labels.astype(np.uint8).tobytes()


def test_it_is_the_whole_mnist(data):
    assert data.name == "mnist" and data.classes == tuple("0123456789") and data.color == "gray"
    assert data.train.images.shape == (60_000, 1, 28, 28) and data.shape == (1, 28, 28)
    assert data.test.images.shape == (10_000, 1, 28, 28) and data.validation is None
    assert data.train.images.dtype == np.uint8 and data.train.labels.dtype == np.int64
    # counts per class as published
    assert np.bincount(data.train.labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949
    ]  # fmt: skip
    assert data.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.train.images.mean() == pytest.approx(33.3184, abs=1e-3)  # 0.1307 · 255


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        ("train images", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        ("train labels", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        ("test images", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        ("test labels", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ],
)
def test_bytes_are_those_of_the_four_files(data, name, sha256):
    part, kind = name.split()
    assert hashlib.sha256(original(data.part(part), kind)).hexdigest() == sha256
    assert sha256 in mnist.SHA256.values()


@pytest.mark.shared
def test_it_is_what_the_authors_published(data, shared_data):
    import gzip

    for part, name in (("train", "train"), ("test", "t10k")):
        for kind, dims in (("images", 3), ("labels", 1)):
            file = shared_data / "mnist" / f"{name}-{kind}-idx{dims}-ubyte.gz"
            assert gzip.decompress(file.read_bytes()) == original(data.part(part), kind)


def test_the_fingerprint_is_that_of_the_data(data):
    assert data.fingerprint == mnist.FINGERPRINT
    assert data.fingerprint == fingerprint(data.classes, {"train": data.train, "test": data.test})


def test_the_streams_make_one_plain_xz_file(data):
    with lzma.open(f"{mnist._FOLDER}/images.xz") as file:
        whole = file.read(SIZE + 1)
    assert whole == data.train.images.tobytes() + data.test.images.tobytes()


def test_the_second_load_comes_from_the_cache(cache, monkeypatch):
    mnist.load()
    assert (cache / mnist.CACHE_NAME).stat().st_size == SIZE
    assert [path.name for path in cache.iterdir()] == [mnist.CACHE_NAME]
    monkeypatch.setattr(mnist, "_from_package", lambda: pytest.fail("it was unpacked again"))
    assert load("mnist").train.images[0].sum() == mnist.load().train.images[0].sum() > 0


def spoiled(path, kind):
    data = bytearray(path.read_bytes())
    if kind == "flipped":
        data[33_333_333] ^= 1
    elif kind == "short":
        del data[-1]
    elif kind == "long":
        data.append(0)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("kind", ["flipped", "short", "long"])
def test_a_damaged_cache_is_made_anew_without_a_word(cache, monkeypatch, kind, recwarn):
    pictures = mnist._from_package()
    mnist._into_cache(pictures)
    spoiled(cache / mnist.CACHE_NAME, kind)
    monkeypatch.setattr(mnist, "_from_package", lambda: pictures.copy())
    assert mnist.load().notes == ()
    assert (cache / mnist.CACHE_NAME).read_bytes() == pictures.tobytes()
    assert not recwarn


@pytest.mark.parametrize("home", ["/dev/null", "/proc/1/nowhere", "relative"])
def test_no_cache_is_no_trouble(monkeypatch, home, folder):
    pictures = np.zeros(SIZE, np.uint8)
    monkeypatch.setattr(mnist, "_from_package", lambda: pictures)
    monkeypatch.setenv("XDG_CACHE_HOME", home)
    monkeypatch.setenv("HOME", "/dev/null")
    assert len(mnist.load().train) == 60_000
    assert list(folder.iterdir()) == []


def test_a_folder_in_place_of_the_cache(cache, monkeypatch):
    (cache / mnist.CACHE_NAME).mkdir(parents=True)
    monkeypatch.setattr(mnist, "_from_package", lambda: np.zeros(SIZE, np.uint8))
    assert len(mnist.load().test) == 10_000


# --- damage in the package ---


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The files of the package, to be spoiled."""
    for name in ("images.xz", "labels.xz"):
        shutil.copy(f"{mnist._FOLDER}/{name}", tmp_path)
    monkeypatch.setattr(mnist, "_FOLDER", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("images.xz", 3_000_000),  # in the first stream
        ("images.xz", 8_000_000),  # in the second
        ("images.xz", 2),  # the magic number
        ("images.xz", -1),
        ("labels.xz", 20_000),
    ],
)
def test_one_flipped_bit_is_noticed(package, cache, name, place):
    data = bytearray((package / name).read_bytes())
    data[place] ^= 0x10
    (package / name).write_bytes(bytes(data))
    with pytest.raises(ModelFileError, match=rf"{name}.*is damaged \(.+\); install cnntool again"):
        mnist.load()
    assert not cache.exists()


@pytest.mark.parametrize("change", ["cut", "more", "empty"])
def test_other_lengths_are_noticed(package, change):
    path = package / "images.xz"
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-1000], "more": data + b"\0\0\0\0", "empty": b""}[change])
    with pytest.raises(ModelFileError, match="MNIST that ships with cnntool is damaged"):
        mnist.load()


def test_whole_files_with_other_content(package):
    """Valid to the last CRC, but not MNIST: only the SHA-256 can tell."""
    labels = bytearray(lzma.decompress((package / "labels.xz").read_bytes()))
    labels[0], labels[1] = labels[1], labels[0]
    (package / "labels.xz").write_bytes(lzma.compress(bytes(labels)))
    with pytest.raises(ModelFileError, match="its SHA-256 is not that of train-labels-idx1-ubyte"):
        mnist.load()
    (package / "labels.xz").write_bytes(lzma.compress(bytes(labels[:-1])))
    with pytest.raises(ModelFileError, match="unpacks to 69999 bytes instead of 70000"):
        mnist.load()


def test_pictures_that_are_not_mnist(package):
    streams = [lzma.compress(bytes(SIZE // 2), preset=0)] * 2
    data = b"".join(streams)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mnist, "_STREAMS", (0, len(streams[0])))
        (package / "images.xz").write_bytes(data)
        with pytest.raises(ModelFileError, match="its SHA-256 is not that of"):
            mnist.load()
        (package / "images.xz").write_bytes(streams[0] + lzma.compress(bytes(SIZE), preset=0))
        with pytest.raises(ModelFileError, match="it holds too much"):
            mnist.load()
        (package / "images.xz").write_bytes(streams[0] + lzma.compress(bytes(100), preset=0))
        with pytest.raises(ModelFileError, match="it has another length"):
            mnist.load()


def test_missing_files(package):
    (package / "images.xz").unlink()
    with pytest.raises(ModelFileError, match=r"is damaged \(it is missing\)"):
        mnist.load()


def test_the_licence_lies_beside_the_data():
    text = (pathlib.Path(mnist._FOLDER) / "LICENCE-MNIST.md").read_text("utf-8")
    words = "LeCun", "Cortes", "CC BY-SA 3.0", "yann.lecun.com", *mnist.SHA256.values()
    assert all(word in text for word in words)
