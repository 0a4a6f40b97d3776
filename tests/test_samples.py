"""The sample pictures hold what their README says, to the number."""

import importlib.util
import re

import numpy as np
import pytest
from PIL import Image

MATRICES = {
    "lecture-a.png": [
        [3, 3, 5, 1, 2, 3],
        [3, 4, 0, 1, 4, 5],
        [5, 1, 2, 3, 2, 0],
        [5, 0, 4, 5, 2, 1],
        [3, 4, 3, 1, 0, 2],
        [2, 0, 4, 3, 5, 1],
    ],
    "lecture-b.png": [[4, 4, 3, 2], [2, 3, 4, 4], [1, 1, 3, 2], [1, 2, 2, 2]],
    "lecture-pool.png": [[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]],
    "lecture-map.png": [
        [1, 1, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 1, 1],
        [0, 0, 1, 1, 0],
        [0, 1, 1, 0, 0],
    ],
    "lecture-hog.png": [
        [121, 10, 78, 96, 125],
        [48, 152, 68, 125, 111],
        [145, 78, 85, 89, 65],
        [154, 214, 56, 200, 66],
        [214, 87, 45, 102, 45],
    ],
    "lecture-digit-1.png": [[0, 0, 0], [0, 0, 0], [0, 0, 1]],
    "lecture-digit-2.png": [[0, 0, 0], [0, 0, 0], [0, 1, 0]],
    "lecture-digit-3.png": [[0, 0, 0], [0, 0, 1], [1, 0, 0]],
}
PHOTOS = {
    "astronaut.jpg": ("RGB", (512, 512)),
    "camera.png": ("L", (512, 512)),
    "chelsea.jpg": ("RGB", (451, 300)),
    "coffee.jpg": ("RGB", (600, 400)),
}


def pixels(path):
    with Image.open(path) as image:
        return image.mode, np.array(image)


@pytest.mark.parametrize("name", MATRICES)
def test_matrix(samples, name):
    mode, values = pixels(samples / name)
    assert mode == "L"
    assert values.tolist() == MATRICES[name]


@pytest.mark.parametrize("name", PHOTOS)
def test_photo(samples, name):
    with Image.open(samples / name) as image:
        image.load()
        assert (image.mode, image.size) == PHOTOS[name]


@pytest.mark.parametrize("name", PHOTOS)
def test_photo_is_that_of_scikit_image(samples, name):
    data = pytest.importorskip("skimage.data")
    stem = name.partition(".")[0]
    original = getattr(data, stem)()
    difference = np.abs(pixels(samples / name)[1].astype(int) - original)
    assert difference.mean() < (0.001 if name.endswith(".png") else 4)


def test_square(samples):
    mode, values = pixels(samples / "square.png")
    assert mode == "RGBA" and values.shape == (48, 64, 4)
    opaque = values[..., 3] == 255
    assert opaque.sum() == 24 * 24 and opaque[12:36, 20:44].all()
    assert not values[~opaque].any()
    assert (values[opaque] == (230, 120, 20, 255)).all()


def test_gradient(samples):
    mode, values = pixels(samples / "gradient-16bit.png")
    assert mode == "I;16" and values.shape == (40, 320)
    assert values.min() == 0 and values.max() == 65535
    assert (np.diff(values[0].astype(int)) > 0).all() and (values == values[0]).all()
    assert (values[0] % 257 != 0).sum() > 300


def test_script_writes_the_same_pictures(samples, tmp_path):
    spec = importlib.util.spec_from_file_location("maker", samples / "make_lecture_matrices.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    maker.write(tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted([*MATRICES, "square.png", "gradient-16bit.png"])
    for name in written:
        np.testing.assert_array_equal(pixels(tmp_path / name)[1], pixels(samples / name)[1])


def test_readme_names_every_picture(samples):
    text = (samples / "README.md").read_text(encoding="utf-8")
    for path in samples.glob("*.[pj][np]g"):
        short = re.sub(r"lecture-digit-[23]\.png", "`-2`, `-3`", path.name)
        assert short in text, path.name


def test_folder_is_small(samples):
    assert sum(path.stat().st_size for path in samples.iterdir() if path.is_file()) < 2**20
