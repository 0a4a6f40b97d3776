"""The trained model of bars computed by itself, number by number in float64: an oracle.

Its network is ``conv 6 3 pad=1 | relu | maxpool 2 | flatten | dense 3`` on pictures of 12×10; see
:mod:`trained_models`. Nothing here uses the engine.
"""

import dataclasses

import numpy as np
from trained_models import trained

from cnntool.explain.subject import Subject
from cnntool.nn.network import Network
from cnntool.nn.observed import ObservedNetwork
from cnntool.nn.saved_model import Preprocessing
from cnntool.nn.spec import parse
from cnntool.predict.preprocess import Preprocessor


@dataclasses.dataclass
class Pass:
    """What every layer of the model gives for one picture."""

    conv: np.ndarray
    relu: np.ndarray
    pool: np.ndarray
    scores: np.ndarray
    winners: list  # of every pooled number: its map, row and column in relu


def weights():
    return {name: array.astype(np.float64) for name, array in trained().tensors.items()}


def scale():
    """What a sample counts at the input."""
    how = trained().preprocessing
    return how.scale / how.std[0]


def passed(samples):
    """The pass of a picture (1, H, W) of samples 0..255."""
    how, w = trained().preprocessing, weights()
    x = (np.asarray(samples, np.float64)[0] * how.scale - how.mean[0]) / how.std[0]
    height, width = x.shape
    framed = np.pad(x, 1)
    conv = np.zeros((6, height, width))
    for o in range(6):
        conv[o] = w["0.conv.bias"][o]
        for a in range(3):
            for b in range(3):
                part = framed[a : a + height, b : b + width]
                conv[o] += w["0.conv.weight"][o, 0, a, b] * part
    relu = np.maximum(conv, 0)
    pool, winners = np.zeros((6, height // 2, width // 2)), []
    for o, y, z in np.ndindex(*pool.shape):
        block = relu[o, 2 * y : 2 * y + 2, 2 * z : 2 * z + 2]
        pool[o, y, z] = block.max()
        place = divmod(int(block.argmax()), 2)
        winners.append((o, 2 * y + place[0], 2 * z + place[1]))
    scores = w["4.dense.weight"] @ pool.ravel() + w["4.dense.bias"]
    return Pass(conv, relu, pool, scores, winners)


def score(samples, number):
    return float(passed(samples).scores[number])


def gradient_at_relu(samples, number):
    """The gradient of a score at the maps behind the ReLU: a weight at every winner."""
    found = np.zeros((6, *samples.shape[1:]))
    for weight, place in zip(weights()["4.dense.weight"][number], passed(samples).winners,
                             strict=True):  # fmt: skip
        found[place] += weight
    return found


def gradient_at_samples(grad_conv):
    """From a gradient at the convolution's maps to that at the samples, by its definition."""
    _, height, width = grad_conv.shape
    kernel, found = weights()["0.conv.weight"], np.zeros((height, width))
    for o, y, x in np.argwhere(grad_conv):
        for a in range(3):
            for b in range(3):
                row, column = y + a - 1, x + b - 1
                if 0 <= row < height and 0 <= column < width:
                    found[row, column] += grad_conv[o, y, x] * kernel[o, 0, a, b]
    return found[None] * scale()


# --- models to look into


def bars_subject(saved=None):
    """The trained model, opened."""
    saved = saved or trained()
    network = Network(parse(saved.spec), saved.input)
    network.load(saved.tensors)
    return Subject(ObservedNetwork(network), Preprocessor.of(saved), saved.classes)


def subject(spec, input, classes=(), seed=1, device=None):
    """A network of random weights, opened; a tenth of a grey level counts little."""
    network = Network(parse(spec), input, device=device)
    network.initialise(seed=seed)
    how = Preprocessing(
        color="gray" if input[0] == 1 else "rgb",
        mean=(0.4, 0.5, 0.3)[: input[0]],
        std=(0.2, 0.25, 0.3)[: input[0]],
    )
    names = classes or tuple(map(str, range(max(2, network.output[0]))))
    return Subject(ObservedNetwork(network), Preprocessor(how, input[1:]), names)
