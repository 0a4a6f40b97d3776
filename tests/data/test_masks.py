"""Pictures with masks: pairing, class numbers, sizes, palettes."""

import numpy as np
import pytest
from data_files import picture
from PIL import Image

from cnntool.data.loading import load
from cnntool.data.masks import IGNORED, has_masks, read_mask
from cnntool.errors import InputError, ModelFileError


def refused(words, **options):
    with pytest.raises(ModelFileError, match=words) as caught:
        load("d", **options)
    assert caught.value.exit_code == 4


@pytest.fixture
def pair(folder, rng):
    """Writes a picture and its mask."""

    def function(name, mask, part="", size=None, suffix=".jpg"):
        mask = np.asarray(mask, np.uint8)
        pixels = rng.integers(0, 256, (*(size or mask.shape), 3), dtype=np.uint8)
        picture(folder / "d" / part / "images" / f"{name}{suffix}", pixels)
        picture(folder / "d" / part / "masks" / f"{name}.png", mask)
        return pixels

    return function


MASK = np.array([[0, 1, 2, 1], [255, 1, 0, 0], [2, 2, 2, 2]], np.uint8)


def test_pictures_and_masks(pair):
    pixels = pair("b10", MASK, suffix=".png")
    pair("b2", MASK[::-1], suffix=".png")
    data = load("d")
    assert data.segments and data.classes == ("0", "1", "2") and data.name == "d"
    assert data.train.paths == ("d/images/b2.png", "d/images/b10.png")
    assert data.train.labels.shape == (2, 3, 4) and data.train.labels.dtype == np.uint8
    np.testing.assert_array_equal(data.train.labels[1], MASK)
    np.testing.assert_array_equal(data.train.images[1], pixels.transpose(2, 0, 1))
    assert len(data.fingerprint) == 64


def test_parts_and_names(pair, folder):
    pair("1", MASK, "train")
    pair("deep/2", MASK, "train")
    pair("1", MASK, "test")
    (folder / "d" / "classes.txt").write_text("road\nhouse\ntree\nsky\n")
    data = load("d")
    assert len(data.train) == 2 and len(data.test) == 1
    assert data.classes == ("road", "house", "tree", "sky")
    assert load("d", classes=("a", "b", "c")).classes == ("a", "b", "c")


def test_a_split_keeps_masks_with_their_pictures(pair):
    pixels = [pair(str(n), np.full((3, 4), n % 2), suffix=".png") for n in range(10)]
    data = load("d", val_split=0.3, seed=1)
    assert len(data.train) == 7 and len(data.validation) == 3
    for part in (data.train, data.validation):
        for path, image, mask in zip(part.paths, part.images, part.labels, strict=True):
            n = int(path.rpartition("/")[2][:-4])
            np.testing.assert_array_equal(image, pixels[n].transpose(2, 0, 1))
            assert (mask == n % 2).all()
    assert len(load("d", limit=4).train) == 4


def test_fits_move_masks_with_pictures(pair):
    pair("1", MASK.repeat(4, 0).repeat(4, 1))
    pair("2", MASK.repeat(4, 1))
    refused(r"2 sizes: 12x16 \(1\), 3x16 \(1\)")
    data = load("d", size=(6, 8), fit="pad")
    np.testing.assert_array_equal(data.train.labels[0], MASK.repeat(2, 0).repeat(2, 1))
    inner = data.train.labels[1][2:4]
    assert (data.train.labels[1][:2] == IGNORED).all() and inner.max() <= IGNORED
    assert load("d", size=(2, 2), fit="crop").train.labels.shape == (2, 2, 2)


def test_black_and_white(pair):
    pair("1", [[0, 255], [255, 0]])
    data = load("d", size=(2, 4), fit="pad")
    assert data.classes == ("0", "1")
    assert data.train.labels[0].tolist() == [[IGNORED, 0, 1, IGNORED], [IGNORED, 1, 0, IGNORED]]


# --- kinds of masks ---


def saved(path, array, mode=None, **options):
    image = Image.fromarray(np.asarray(array)) if mode is None else Image.fromarray(array, mode)
    image.save(path, **options)
    return str(path)


def test_a_palette_holds_places(tmp_path):
    image = Image.fromarray(MASK).convert("P")
    image.putdata(MASK.ravel().tolist())
    image.putpalette([200, 30, 10] * 256)  # all of one colour: only places can differ
    image.save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(str(tmp_path / "m.png")), MASK)


def test_one_bit(tmp_path):
    Image.fromarray(MASK == 1).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(str(tmp_path / "m.png")), MASK == 1)


@pytest.mark.parametrize("name", ["m.png", "m.tif", "m.bmp", "m.pgm", "m.gif"])
def test_formats(tmp_path, name):
    found = read_mask(saved(tmp_path / name, MASK))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, MASK)


def test_grey_in_three_channels_and_opacity(tmp_path):
    three = np.dstack([MASK] * 3)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", three)), MASK)
    four = np.dstack([MASK, MASK, MASK, MASK * 0])
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", four)), MASK)


def test_npy(tmp_path):
    np.save(tmp_path / "m.npy", MASK.astype(np.int64))
    np.testing.assert_array_equal(read_mask(str(tmp_path / "m.npy")), MASK)


@pytest.mark.parametrize(
    ("array", "name", "words"),
    [
        (np.zeros((8, 8), np.uint8), "m.jpg", "a mask in JPEG lost its numbers; save masks as PNG"),
        (np.eye(3, dtype=np.uint8)[None] * 9, "m.png", "a mask in colours; use grey values"),
        (np.full((2, 2), 300, np.uint16), "m.png", "numbers that are not 0 to 255"),
        (np.full((2, 2), 0.5, np.float32), "m.tif", "numbers that are not 0 to 255"),
        (np.full((2, 2), np.nan, np.float32), "m.tif", "numbers that are not 0 to 255"),
    ],
)
def test_files_that_are_no_masks(tmp_path, array, name, words):
    with pytest.raises(InputError, match=words):
        read_mask(saved(tmp_path / name, array))


def test_damaged_palettes(tmp_path):
    path = tmp_path / "m.png"
    Image.fromarray(MASK).convert("P").save(path)
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    with pytest.raises(InputError, match=r"truncated PNG|damaged PNG"):
        read_mask(str(path))


# --- what does not fit ---


def test_sizes_that_differ(pair):
    pair("1", MASK, size=(4, 4))
    refused("'d/masks/1.png': the mask has 3x4 pixels, its picture 4x4")


def test_parts_of_different_sizes(pair):
    pair("1", MASK, "train")
    pair("1", MASK[:2], "test")
    refused("parts of different sizes: train 3x4, test 2x4")


def test_lonely_files(pair, folder):
    pair("1", MASK)
    pair("2", MASK)
    picture(folder / "d" / "masks" / "more.png", MASK)
    assert load("d").notes == ("'d': masks without a picture are left out (1)",)
    (folder / "d" / "masks" / "2.png").unlink()
    refused("1 of 2 pictures have no mask of their name; the first is 'd/images/2.jpg'")


def test_twins(pair, folder):
    pair("1", MASK)
    picture(folder / "d" / "masks" / "1.bmp", MASK)
    refused("'d/masks/1.bmp' and 'd/masks/1.png' differ in their suffix alone; keep one")


def test_no_files(folder):
    for name in ("images", "masks"):
        (folder / "d" / name).mkdir(parents=True)
    assert has_masks("d")
    refused("'d/images': no pictures")


def test_bad_masks_are_left_out(pair, folder):
    for n in range(4):
        pair(str(n), MASK)
    (folder / "d" / "masks" / "2.png").write_bytes(b"junk")
    data = load("d")
    assert len(data.train) == 3 and data.train.paths[-1] == "d/images/3.jpg"
    assert data.notes[1].startswith("'d/masks/2.png': not a picture")
    for n in (0, 1):
        (folder / "d" / "masks" / f"{n}.png").write_bytes(b"junk")
    refused("3 of 4 pictures or masks cannot be read; the first is 'd/masks/0.png'")


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ([[0, 85], [170, 254]], "masks with the values 0, 85, 170, 254; they are class numbers"),
        ([[255, 255]], "d: no pixel has a class; all are 255"),
        ([[1, 1], [0, 255]], None),
        ([[0, 0]], "d: all pixels are of one class, '0'; two at least are needed"),
    ],
)
def test_values(pair, mask, words):
    pair("1", mask)
    if words is None:
        assert load("d").classes == ("0", "1")
    else:
        refused(words)


def test_a_class_beyond_the_names(pair, folder):
    pair("1", MASK)
    (folder / "d" / "classes.txt").write_text("a\nb\n")
    refused("class 2 in a mask is out of range: 2 classes are 0 to 1")


def test_white_is_no_class_where_there_are_more_than_two(pair, folder):
    """As it is in a mask that shows the others."""
    pair("1", [[0, 255, 0]])
    assert load("d", one_class=True).classes == ("0", "1")
    (folder / "d" / "classes.txt").write_text("road\nhouse\ntree\n")
    data = load("d", one_class=True)
    assert data.classes == ("road", "house", "tree")
    assert data.train.labels.tolist() == [[[0, IGNORED, 0]]]
    (folder / "d" / "classes.txt").write_text("road\nhouse\n")
    assert load("d").train.labels.tolist() == [[[0, 1, 0]]]
