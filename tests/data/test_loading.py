"""From a word to a data set: names, paths, limit, validation, sizes, fingerprints."""

import os

import numpy as np
import pytest
from data_files import class_folder, idx, npz, picture, write_idx

from cnntool.data import mnist
from cnntool.data.dataset import Dataset, Split
from cnntool.data.fingerprint import fingerprint
from cnntool.data.loading import load
from cnntool.errors import InputError, ModelFileError, NameNotFound, OptionError

LABELS = np.arange(60) % 3


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (60, 4, 6), dtype=np.uint8)


@pytest.fixture
def digits(images, monkeypatch):
    """A small set in place of the built-in one."""
    train = Split(images[:40, None], LABELS[:40])
    data = Dataset("mnist", ("0", "1", "2"), train, Split(images[40:, None], LABELS[40:]),
                   fingerprint="f" * 64)  # fmt: skip
    monkeypatch.setattr(mnist, "load", lambda: data)
    return data


# --- names ---


@pytest.mark.parametrize("name", ["mnist", "MNIST", "Mnist"])
def test_the_built_in_one(digits, name):
    assert load(name) is digits


def test_the_name_goes_before_a_folder(folder, digits, rng):
    class_folder(folder / "mnist", {"a": 2, "b": 2}, rng)
    data = load("mnist")
    assert data.train is digits.train
    assert data.notes == ("'mnist' here is another one; ./mnist names it",)
    assert load("./mnist").classes == ("a", "b")


def test_other_spellings_give_way_to_folders(folder, digits, rng):
    class_folder(folder / "MNIST", {"a": 2, "b": 2}, rng)
    assert load("MNIST").classes == ("a", "b")


@pytest.mark.parametrize("name", ["fashion-mnist", "Fashion_MNIST", "fashionmnist"])
def test_downloaded_ones_are_found(cache, rng, name):
    home = cache / "datasets" / "fashion-mnist"
    write_idx(home, rng.integers(0, 9, (20, 5, 5)), np.arange(20) % 10, packed=True)
    with pytest.raises(InputError, match="not on this machine"):
        load(name)  # the test files are missing
    write_idx(home, rng.integers(0, 9, (10, 5, 5)), np.arange(10), "t10k")
    data = load(name)
    assert data.name == "fashion-mnist" and data.classes[9] == "Ankle boot"
    assert len(data.test) == 10


def test_installed_ones_are_found(folder, rng, monkeypatch):
    monkeypatch.setattr("cnntool.data.places.INSTALLED", (str(folder / "share"),))
    home = folder / "share" / "kmnist"
    for part in ("train", "t10k"):
        write_idx(home, rng.integers(0, 9, (20, 5, 5)), np.arange(20) % 10, part)
    assert load("kmnist").classes[:3] == ("o", "ki", "su")


def test_known_but_not_here(folder):
    with pytest.raises(InputError) as caught:
        load("kmnist")
    assert caught.value.exit_code == 1
    assert str(caught.value) == (
        "kmnist is not on this machine; 'cnntool datasets download kmnist' gets it"
    )
    (folder / "kmnist").mkdir()
    with pytest.raises(InputError, match=r"gets it; ./kmnist names the folder here"):
        load("kmnist")


def test_unknown_names(folder):
    with pytest.raises(NameNotFound, match="unknown data set 'mnits'; did you mean 'mnist'"):
        load("mnits")
    with pytest.raises(InputError, match="'no/such': no such file or folder; a data set is a fold"):
        load("no/such")
    with pytest.raises(InputError, match=r"'gone.npz': no such file or folder"):
        load("gone.npz")


# --- files that are no data set ---


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(50), "one PNG picture; name the folder above its"),
        ("a.npy", b"\x93NUMPY\x01\0" + bytes(50), "one array; save pictures and labels with numpy"),
        (
            "train-images-idx3-ubyte",
            idx(np.zeros((1, 2, 2), np.uint8)),
            "one IDX file; name its fo",
        ),
        ("train-images-idx3-ubyte.gz", b"\x1f\x8b" + bytes(9), "one IDX file; name its folder"),
        ("a.txt", b"hello", "no data set; a data set is a folder"),
        ("empty", b"", "no data set"),
        ("a.zip", npz({"readme.txt": b"x"}), "'readme.txt' is no .npy file"),
    ],
)
def test_files(folder, name, data, words):
    (folder / name).write_bytes(data)
    with pytest.raises(ModelFileError, match=words):
        load(name)


def test_a_pipe(folder):
    os.mkfifo("p.npz")
    with pytest.raises(InputError, match=r"'p.npz': no such file or folder"):
        load("p.npz")


def test_cifar_as_pickles(folder):
    for n in range(1, 6):
        (folder / f"data_batch_{n}").write_bytes(b"\x80\x02")
    with pytest.raises(
        ModelFileError, match="pickles, which can run code and are never read; take"
    ):
        load(str(folder))


# --- limit and validation ---


def test_limit(digits):
    data = load("mnist", limit=10, seed=4)
    assert len(data.train) == 10 and len(data.test) == 20
    assert sorted(np.bincount(data.train.labels).tolist()) == [3, 3, 4]
    assert data.fingerprint == load("mnist", limit=10, seed=4).fingerprint
    assert data.fingerprint != load("mnist", limit=10, seed=5).fingerprint != digits.fingerprint
    assert load("mnist", limit=40).fingerprint == digits.fingerprint
    for image, label in zip(data.train.images, data.train.labels, strict=True):
        places = [n for n, other in enumerate(digits.train.images) if (other == image).all()]
        assert len(places) == 1 and digits.train.labels[places[0]] == label


def test_validation(digits):
    data = load("mnist", val_split=0.25, seed=2)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 10, 20)
    assert sorted(np.bincount(data.validation.labels).tolist()) == [3, 3, 4]
    both = np.concatenate([data.train.images, data.validation.images])
    assert {x.tobytes() for x in both} == {x.tobytes() for x in digits.train.images}
    # the order stays
    place = {x.tobytes(): n for n, x in enumerate(digits.train.images)}
    for part in (data.train, data.validation):
        assert np.all(np.diff([place[x.tobytes()] for x in part.images]) > 0)
    assert data.fingerprint == digits.fingerprint  # the same data
    again = load("mnist", val_split=0.25, seed=2)
    np.testing.assert_array_equal(again.validation.images, data.validation.images)
    other = load("mnist", val_split=0.25, seed=3)
    assert not np.array_equal(other.validation.images, data.validation.images)


def test_limit_and_validation(digits):
    data = load("mnist", limit=20, val_split=0.5)
    assert len(data.train) == len(data.validation) == 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 0}, "a limit of 0 pictures; at least 1 is needed"),
        ({"val_split": 1.0}, "a share of 1 for validation; 0 to below 1 makes sense"),
        ({"val_split": -0.1}, "a share of -0.1 for validation"),
        ({"val_split": float("nan")}, "a share of nan for validation"),
        ({"val_split": 0.001}, "a share of 0.001 of 40 pictures is none; choose a larger"),
    ],
)
def test_senseless_options(digits, options, words):
    with pytest.raises(OptionError, match=words):
        load("mnist", **options)


def test_a_second_part_for_validation(folder, images):
    write_idx(folder / "d", images, LABELS)
    write_idx(folder / "d", images, LABELS, "val")
    with pytest.raises(OptionError, match="d has a part for validation already; leave --val-split"):
        load("d", val_split=0.2)


# --- size and colour of arrays ---


def test_size_and_colour_of_arrays(digits):
    from cnntool.data.fitting import prepared
    from cnntool.images.picture import Picture

    data = load("mnist", size=(5, 5), fit="pad", color="rgb")
    assert data.shape == (3, 5, 5) and data.test.images.shape == (20, 3, 5, 5)
    assert (data.color, data.fit) == ("rgb", "pad") and data.fingerprint != digits.fingerprint
    source = Picture(digits.train.images[7, 0])
    np.testing.assert_array_equal(
        data.train.images[7], prepared(source, "rgb", (5, 5), "pad", data.background)
    )
    assert load("mnist", size=(4, 6), color="gray") is digits


def test_colour_of_arrays_alone(digits):
    data = load("mnist", color="rgb")
    np.testing.assert_array_equal(data.train.images, digits.train.images.repeat(3, axis=1))
    assert data.fit == ""


# --- classes of a network ---


def test_classes_of_a_network(digits):
    data = load("mnist", classes=("2", "x", "0", "1"))
    assert data.classes == ("2", "x", "0", "1")
    np.testing.assert_array_equal(data.train.labels, np.array([2, 3, 0])[digits.train.labels])
    with pytest.raises(ModelFileError, match="class '2' is no class of the network; it has 0, 1"):
        load("mnist", classes=("0", "1"))


# --- parts and fingerprints ---


def test_parts_by_name(digits):
    assert digits.part("test") is digits.test
    with pytest.raises(InputError, match="'mnist' has no validation part; it has train, test"):
        digits.part("validation")


def test_fingerprints_tell_what_changed(images):
    def of(images=images, labels=LABELS, classes=("a", "b", "c"), part="train"):
        return fingerprint(classes, {part: Split(images[:, None], labels)})

    changed = images.copy()
    changed[59, 3, 5] ^= 1
    labels = LABELS.copy()
    labels[[0, 1]] = labels[[1, 0]]
    prints = {
        of(), of(changed), of(labels=labels), of(classes=("a", "b", "d")), of(part="test"),
        of(images[::-1]), of(images.transpose(0, 2, 1)), of(images[:59], LABELS[:59]),
        of(classes=("a", "b\", \"c")),
    }  # fmt: skip
    assert len(prints) == 9 and all(len(text) == 64 for text in prints)
    assert of() == of(images.copy(), LABELS.copy())


def test_the_fingerprint_of_a_folder_follows_its_pictures(folder, rng):
    class_folder(folder / "d", {"a": 3, "b": 3}, rng)
    before = load("d").fingerprint
    assert load("d", val_split=0.4, seed=1).fingerprint == before
    (folder / "d").rename("e")
    assert load("e").fingerprint == before
    picture(folder / "e" / "a" / "1.png", np.zeros((5, 7)))
    assert load("e").fingerprint != before
