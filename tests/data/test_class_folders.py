"""Folders of class folders, with real files: order, parts, sizes, colours, bad files."""

import numpy as np
import pytest
from data_files import class_folder, picture
from PIL import Image

from cnntool.data import memory, pictures
from cnntool.data.class_folders import list_classes
from cnntool.data.loading import load
from cnntool.errors import LimitError, ModelFileError, NameNotFound


def refused(words, **options):
    with pytest.raises(ModelFileError, match=words) as caught:
        load("d", **options)
    assert caught.value.exit_code == 4
    assert len(caught.value.message) <= 290


def test_classes_and_files_in_natural_order(folder, rng):
    made = class_folder(folder / "d", {"c10": 2, "c2": 11, "C1": 1}, rng)
    data = load("d")
    assert data.classes == ("C1", "c2", "c10") and data.name == "d"
    assert data.train.labels.tolist() == [0] + [1] * 11 + [2] * 2
    expected = ["d/C1/1.png"] + [f"d/c2/{n}.png" for n in range(1, 12)]
    assert data.train.paths == (*expected, "d/c10/1.png", "d/c10/2.png")
    np.testing.assert_array_equal(data.train.images[3, 0], made["c2", 3])
    assert data.train.images.shape == (14, 1, 5, 7) and data.color == "gray" and data.fit == ""
    assert data.test is None and data.validation is None
    assert data.notes == ("sizes found: 5x7 (14); modes: L (14)",)


def test_parts(folder, rng):
    for part, counts in (
        ("Train", {"cat": 3, "dog": 4}), ("valid", {"dog": 2}), ("testing", {"cat": 1, "dog": 1})
    ):  # fmt: skip
        class_folder(folder / "d" / part, counts, rng)
    class_folder(folder / "d", {"extra": 2}, rng)
    data = load("d")
    assert [len(data.part(p)) for p in ("train", "validation", "test")] == [7, 2, 2]
    assert data.classes == ("cat", "dog") and data.validation.labels.tolist() == [1, 1]
    assert "folders beside train are left out: 'extra'" in data.notes


def test_classes_may_be_called_like_parts(folder, rng):
    class_folder(folder / "d", {"test": 2, "val": 2}, rng)
    assert load("d").classes == ("test", "val")


def test_pictures_further_down_and_junk(folder, rng):
    class_folder(folder / "d", {"a": 1, "b": 1}, rng)
    picture(folder / "d" / "a" / "deep" / "er" / "x.PNG", np.zeros((5, 7)))
    for name in (".DS_Store", "Thumbs.db", "notes.txt", ".hidden.png"):
        (folder / "d" / "a" / name).write_bytes(b"junk")
        (folder / "d" / name).write_bytes(b"junk")
    (folder / "d" / ".git").mkdir()
    (folder / "d" / "__MACOSX").mkdir()
    data = load("d")
    assert data.classes == ("a", "b")
    assert [p.rpartition("/")[2] for p in data.train.paths] == ["1.png", "x.PNG", "1.png"]
    assert len(data.notes) == 1  # sizes and modes, nothing about junk
    assert list_classes("d").other == 1  # notes.txt


def test_links_to_classes(folder, rng):
    class_folder(folder / "elsewhere", {"a": 2, "b": 1}, rng)
    (folder / "d").mkdir()
    for name in "ab":
        (folder / "d" / name).symlink_to(folder / "elsewhere" / name)
    assert len(load("d").train) == 3


def test_names_that_are_no_text(folder, rng):
    class_folder(folder / "d", {"caf\udce9": 1, "b": 1}, rng)
    data = load("d")
    assert data.classes == ("b", "caf\udce9") and len(data.fingerprint) == 64


# --- sizes ---


def test_sizes_that_differ_are_counted(folder, rng):
    class_folder(folder / "d", {"a": 5, "b": 4}, rng)
    class_folder(folder / "d", {"c": 2}, rng, size=(6, 7))
    picture(folder / "d" / "c" / "9.png", np.zeros((1, 1)))
    refused(
        r"'d': pictures of 3 sizes: 5x7 \(9\), 6x7 \(2\), 1x1 \(1\); choose one with --size HxW"
    )
    data = load("d", size=(4, 3))
    assert data.train.images.shape == (12, 1, 4, 3) and data.fit == "stretch"
    assert data.notes[0] == "sizes found: 5x7 (9), 6x7 (2), 1x1 (1); modes: L (12)"


def test_many_sizes(folder, rng):
    for n in range(1, 10):
        picture(folder / "d" / "ab"[n % 2] / f"{n}.png", np.zeros((n, 2)))
    refused(r"9 sizes: 1x2 \(1\), .* and 3 more; choose")


def test_photos_that_are_turned(folder, rng):
    for n, turn in enumerate((1, 6, 1)):
        path = folder / "d" / "ab"[n % 2] / f"{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(rng.integers(0, 256, (16, 24), dtype=np.uint8)).save(path, exif=exif)
    refused(r"pictures of one size but turned by their EXIF tags: 16x24 \(3\)")
    assert load("d", size=(8, 8)).notes[0].startswith("sizes found: 16x24 (2), 24x16 (1)")


def test_parts_of_different_sizes(folder, rng):
    class_folder(folder / "d" / "train", {"a": 2, "b": 2}, rng)
    class_folder(folder / "d" / "test", {"a": 2, "b": 2}, rng, size=(6, 6))
    refused("parts of different sizes: train 5x7, test 6x6; choose one with --size HxW")
    assert load("d", size=(5, 5)).test.images.shape == (4, 1, 5, 5)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_fits(folder, rng, fit):
    from cnntool.data.fitting import prepared
    from cnntool.images.reading import read

    class_folder(folder / "d", {"a": 2}, rng, size=(5, 9), channels=3)
    class_folder(folder / "d", {"b": 2}, rng, size=(8, 4), channels=3)
    data = load("d", size=(6, 6), fit=fit)
    assert data.fit == fit and data.shape == (3, 6, 6)
    for path, image in zip(data.train.paths, data.train.images, strict=True):
        expected = prepared(read(path), "rgb", (6, 6), fit, data.background)
        np.testing.assert_array_equal(image, expected)


def test_pictures_on_paper_are_surrounded_by_paper(folder):
    for n in range(4):
        picture(folder / "d" / "ab"[n % 2] / f"{n}.png", np.full((3, 9), 250))
    data = load("d", size=(9, 9), fit="pad")
    assert data.background == 1.0 and (data.train.images[0, 0, 0] == 255).all()
    assert load("d", size=(9, 9), fit="pad", background=0.0).train.images[0, 0, 0].max() == 0


# --- colours ---


def test_colour_is_found(folder, rng):
    class_folder(folder / "d", {"a": 3}, rng)
    made = class_folder(folder / "d", {"b": 2}, rng, channels=3)
    data = load("d")
    assert data.color == "rgb" and data.shape == (3, 5, 7)
    np.testing.assert_array_equal(data.train.images[3], made["b", 1].transpose(2, 0, 1))
    assert (data.train.images[0, 0] == data.train.images[0, 2]).all()
    assert data.notes[0] == "sizes found: 5x7 (5); modes: L (3), RGB (2)"
    assert data.notes[1].startswith("3 grey pictures among 2 in colour are read as rgb; --color")


@pytest.mark.parametrize(("color", "channels"), [("gray", 1), ("rgb", 3)])
def test_colour_is_chosen(folder, rng, color, channels):
    class_folder(folder / "d", {"a": 3}, rng)
    class_folder(folder / "d", {"b": 2}, rng, channels=3)
    data = load("d", color=color)
    assert data.color == color and data.shape == (channels, 5, 7) and len(data.notes) == 1


def test_readers_remarks_are_counted(folder, rng):
    class_folder(folder / "d", {"a": 2, "b": 3}, rng, channels=4)
    assert load("d").notes[1] == "5 pictures: transparent parts are shown on white"


# --- bad files ---


def test_bad_pictures_are_left_out_and_named(folder, rng):
    made = class_folder(folder / "d", {"a": 4, "b": 4}, rng)
    (folder / "d" / "a" / "2.png").write_bytes(b"no picture")
    whole = (folder / "d" / "b" / "1.png").read_bytes()
    (folder / "d" / "b" / "1.png").write_bytes(whole[:-20])
    (folder / "d" / "b" / "5.png").symlink_to("nowhere")
    data = load("d")
    assert len(data.train) == 6 and data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(data.train.images[1, 0], made["a", 3])
    assert data.notes[1] == "3 files that are no readable pictures are left out"
    assert data.notes[2].startswith("'d/a/2.png': not a picture: of unknown content")
    assert data.notes[3].startswith("'d/b/1.png': truncated PNG")
    assert data.notes[4] == "'d/b/5.png': no such file"


def test_many_bad_pictures_are_not_all_named(folder, rng):
    class_folder(folder / "d", {"a": 20, "b": 4}, rng)
    for n in range(12):
        (folder / "d" / "b" / f"x{n}.png").write_bytes(b"")
    notes = load("d").notes
    assert len(notes) == 1 + 1 + pictures.MOST_NAMED + 1
    assert notes[-1] == "and 2 more; 'cnntool check -r' lists them all"


def test_mostly_bad_pictures_are_an_error(folder, rng):
    class_folder(folder / "d", {"a": 1, "b": 1}, rng)
    for n in range(3):
        (folder / "d" / "b" / f"x{n}.png").write_bytes(b"")
    refused("'d': 3 of 5 pictures cannot be read; the first is 'd/b/x0.png': the file is empty")


# --- folders that are no data set ---


def test_empty_classes_are_worth_a_word(folder, rng):
    class_folder(folder / "d", {"a": 2, "b": 0, "c": 2, "e": 0}, rng)
    data = load("d")
    assert data.classes == ("a", "b", "c", "e") and data.train.labels.tolist() == [0, 0, 2, 2]
    assert data.notes[0] == "2 classes have no pictures: 'b', 'e'"


def test_folders_without_anything(folder, rng):
    (folder / "d").mkdir()
    refused("'d': no folders of classes$")
    picture(folder / "d" / "1.png", np.zeros((2, 2)))
    refused("no folders of classes; 1 pictures lie in it: put those of each class in a folder")
    (folder / "d" / "a").mkdir()
    refused("no pictures in its folders of classes$")
    (folder / "d" / "a" / "x.txt").write_text("")
    refused("no pictures in its folders of classes; 1 files have other suffixes")


def test_one_class(folder, rng):
    class_folder(folder / "d", {"a": 3, "b": 0}, rng)
    refused("d: all pictures are of one class, 'a'; two at least are needed")
    assert load("d", classes=("b", "a")).train.labels.tolist() == [1, 1, 1]
    assert load("d", one_class=True).train.labels.tolist() == [0, 0, 0]


def test_pictures_without_classes(folder, rng):
    """Enough for whoever learns from pictures alone; with folders, those beside are left out."""
    for n in (10, 9, 1):
        picture(folder / "d" / f"{n}.png", np.full((5, 7), n))
    (folder / "d" / "x.txt").write_text("")
    data = load("d", unlabelled=True)
    assert data.classes == ("pictures",) and data.train.labels.tolist() == [0, 0, 0]
    assert data.train.paths == ("d/1.png", "d/9.png", "d/10.png")
    assert data.train.images[:, 0, 0, 0].tolist() == [1, 9, 10]
    assert len(load("d", unlabelled=True, limit=2).train) == 2
    for part in ("train", "test"):
        picture(folder / "e" / part / "1.png", np.zeros((5, 7)))
    divided = load("e", unlabelled=True)
    assert len(divided.train) == len(divided.test) == 1
    class_folder(folder / "d", {"a": 2}, rng)
    data = load("d", unlabelled=True)
    assert data.classes == ("a",) and len(data.train) == 2
    assert data.notes[0] == "'d': 3 pictures beside the folders of classes are left out"


def test_pictures_beside_the_classes(folder, rng):
    class_folder(folder / "d", {"a": 2, "b": 2}, rng)
    picture(folder / "d" / "x.png", np.zeros((9, 9)))
    assert load("d").notes[0] == "'d': 1 picture beside the folders of classes is left out"


def test_classes_of_the_test_that_were_never_trained(folder, rng):
    class_folder(folder / "d" / "train", {"cat": 2, "dog": 2}, rng)
    class_folder(folder / "d" / "test", {"cat": 2, "dogs": 1}, rng)
    refused("'d/test': unknown class 'dogs'; did you mean 'dog'; it is no class in train")


def test_classes_of_a_network(folder, rng):
    class_folder(folder / "d", {"dog": 2, "cat": 2}, rng)
    data = load("d", classes=("dog", "cow", "cat"))
    assert data.classes == ("dog", "cow", "cat") and data.train.labels.tolist() == [2, 2, 0, 0]
    refused("unknown class 'cat'; it is no class of the network", classes=("dog", "cow"))


def test_two_folders_for_one_part(folder, rng):
    for name in ("train", "val", "validation"):
        class_folder(folder / "d" / name, {"a": 1, "b": 1}, rng)
    refused("'val' and 'validation' are both folders for validation; keep one")


def test_unknown_words(folder, rng):
    class_folder(folder / "d", {"a": 1, "b": 1}, rng)
    with pytest.raises(NameNotFound, match="unknown fit 'padd'; did you mean 'pad'"):
        load("d", fit="padd")
    with pytest.raises(NameNotFound, match="unknown colour mode 'grey'"):
        load("d", color="grey")


# --- memory, threads, limit ---


def test_memory_is_judged_before_anything_is_read(folder, rng, monkeypatch):
    class_folder(folder / "d", {"a": 6, "b": 4}, rng)
    monkeypatch.setattr(memory, "budget", lambda: 10 * 35 - 1)
    with pytest.raises(LimitError, match=r"10 pictures of 1x5x7 need 350 bytes.*--size.*--limit"):
        load("d")
    monkeypatch.setattr(pictures, "opened", lambda *_, **__: pytest.fail("a file was opened"))
    with pytest.raises(LimitError, match="10 pictures of 1x6x6 need 360 bytes"):
        load("d", size=(6, 6))


def test_order_does_not_depend_on_threads(folder, rng, monkeypatch):
    class_folder(folder / "d", {"a": 70, "b": 50}, rng)
    found = []
    for cores, worth in ((1, 0.0), (2, 0.0), (5, 0.0), (5, 10.0)):
        monkeypatch.setattr(pictures, "_WORTH_THREADS", worth)
        monkeypatch.setattr(pictures, "cores", lambda cores=cores: cores)
        found.append(load("d"))
    assert len({data.fingerprint for data in found}) == 1
    assert len({data.train.paths for data in found}) == 1


def test_a_limit_opens_no_more_files(folder, rng, monkeypatch):
    class_folder(folder / "d", {"a": 30, "b": 10}, rng)
    opened = []
    real = pictures.opened
    monkeypatch.setattr(pictures, "opened", lambda p, **o: opened.append(p) or real(p, **o))
    data = load("d", limit=8, seed=3)
    assert len(opened) == len(data.train) == 8
    assert np.bincount(data.train.labels).tolist() == [6, 2]
    assert data.train.paths == load("d", limit=8, seed=3).train.paths
    assert data.train.paths != load("d", limit=8, seed=4).train.paths


def test_a_folder_that_cannot_be_read(folder, rng, monkeypatch):
    import os

    class_folder(folder / "d", {"a": 1, "b": 1}, rng)
    real = os.scandir

    def scandir(path="."):
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    refused("'d/b': the folder cannot be read: Permission denied")
