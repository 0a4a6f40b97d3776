"""A model that has learned an easy task, and pictures of it: bars that stand, lie or slant.

Light bars on a dark ground, as handwritten digits are in the well-known data sets. Training takes
half a second, so it is done once for all tests of a process.
"""

import dataclasses
import functools

import numpy as np
from PIL import Image

from cnntool.data.dataset import Dataset, Split
from cnntool.nn import optim, parse
from cnntool.nn.modelfile import Preprocessing, SavedModel
from cnntool.nn.network import Network
from cnntool.nn.step import TrainingStep
from cnntool.predict.preprocess import Preprocessor

CLASSES = ("standing", "lying", "slanting")
SIZE = (12, 10)
SPEC = "conv 6 3 pad=1 | relu | maxpool 2 | flatten | dense 3"


def bars(count, seed=0, size=SIZE, level=220):
    """(images (M, 1, H, W), labels): one bar each, somewhere, on a ground that is nearly black."""
    rng = np.random.default_rng(seed)
    height, width = size
    labels = rng.integers(0, 3, count)
    images = rng.integers(0, 30, (count, 1, height, width))
    y, x = np.mgrid[:height, :width]
    for image, label in zip(images, labels, strict=True):
        place = rng.integers(2, min(size) - 2)
        across = (x - place, y - place, x + y - place - min(size) // 2)[label]
        image[0][np.abs(across) < 1 + rng.integers(0, 2)] = level + rng.integers(-20, 20)
    return images.astype(np.uint8), labels


@functools.cache
def trained(spec=SPEC, outputs=3):
    """A :class:`SavedModel`, right about nearly all bars."""
    images, labels = bars(600, seed=1)
    how = Preprocessing(
        color="gray",
        mean=(round(images.mean() / 255, 4),),
        std=(round(images.std() / 255, 4),),
        brightness=round(images.mean() / 255, 4),
    )
    network = Network(parse(spec), (1, *SIZE))
    network.initialise(seed=1)
    prepare = Preprocessor(how, SIZE).prepare
    optimiser = optim.create("adam", network.parameters.size)
    with TrainingStep(network, optimiser) as step:
        for number in range(60):
            chosen = slice(number % 10 * 60, number % 10 * 60 + 60)
            x = np.ascontiguousarray(images[chosen].transpose(1, 2, 3, 0))
            step(prepare(x), labels[chosen], 0.01)
    return SavedModel(
        spec=spec,
        input=(1, *SIZE),
        tensors=network.state(),
        classes=CLASSES,
        preprocessing=how,
        name="bars",
        history={"accuracy": "0.99"},
    )


def changed(**fields):
    """The trained model with other fields."""
    return dataclasses.replace(trained(), **fields)


def dataset(train=30, test=200, classes=CLASSES):
    """Bars as data sets come."""
    images, labels = bars(test, seed=2)
    numbers = np.array([classes.index(CLASSES[label]) for label in labels])
    return Dataset("bars", tuple(classes), Split(*bars(train, seed=3)), test=Split(images, numbers))


def write_pictures(folder, count, seed=4, negative=False):
    """PNG files of bars; (paths, labels)."""
    images, labels = bars(count, seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(255 - image[0] if negative else image[0]).save(path)
    return paths, labels
