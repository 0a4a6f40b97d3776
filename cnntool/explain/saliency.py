"""Which pixels a class's score depends on, by gradients."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import NameNotFound
from cnntool.explain.subject import Samples, Subject, check_change
from cnntool.explain.words import COPIES, METHODS, NOISE
from cnntool.nn.observer import Guide
from cnntool.predict.classifier import group_size

Map = NDArray[np.float32]

MOST_STEPS = 2048
"""Steps at most of integrated gradients that choose their number by themselves."""

_FIRST_STEPS = 64
CLOSE = 0.01
"""How far the sum of integrated gradients may be from the score's difference, as a share of it."""


def saliency(
    subject: Subject,
    image: Samples,
    number: int,
    method: str = "gradient",
    *,
    baseline: str = "black",
    steps: int | None = None,
    copies: int = COPIES,
    noise: float = NOISE,
    seed: int = 0,
) -> Map:
    """How much each sample of a picture matters for the score of a class.

    ``gradient`` and ``smoothgrad`` are the change of the score per grey level, ``guided`` too, as
    far as it is let through; ``input-gradient`` and ``integrated`` are parts of the score itself.

    Args:
        subject: The network.
        image: Samples 0..255.
        number: Of the class.
        method: A key of :data:`cnntool.explain.words.METHODS`.
        baseline: Where ``integrated`` starts: a word of :data:`cnntool.explain.words.FILLS`.
        steps: Gradients that ``integrated`` takes on its way; None: 64, doubled until the sum is
            right to a hundredth.
        copies: Noisy copies of ``smoothgrad``.
        noise: Their standard deviation, as a share of the picture's range.
        seed: Of the noise.

    Shape:
        (C, H, W) -> the same, float32.

    Raises:
        NameNotFound: There is no such method.
        InputError: The gradient is zero everywhere.
        ModelFileError: The network gives numbers that are not finite.

    References:
        Simonyan, Vedaldi, Zisserman 2014, Deep inside convolutional networks, section 3.
        Springenberg et al. 2015, Striving for simplicity: the all convolutional net.
        Sundararajan, Taly, Yan 2017, Axiomatic attribution for deep networks.
        Smilkov et al. 2017, SmoothGrad: removing noise by adding noise.

    Example:
        The gradient of a network that only adds is its weights:

        >>> from cnntool.nn import parse
        >>> from cnntool.nn.network import Network
        >>> from cnntool.nn.observed import ObservedNetwork
        >>> from cnntool.nn.saved_model import Preprocessing
        >>> from cnntool.predict.preprocess import Preprocessor
        >>> net = Network(parse("flatten | dense 2"), (1, 1, 2))
        >>> weights = {"1.dense.weight": np.array([[1.0, 2], [3, 4]]), "1.dense.bias": np.zeros(2)}
        >>> net.load(weights)
        >>> how = Preprocessor(Preprocessing(color="gray", scale=1, mean=(0,), std=(2,)), (1, 2))
        >>> subject = Subject(ObservedNetwork(net), how, ("cat", "dog"))
        >>> image = np.array([[[10, 20]]], np.uint8)
        >>> saliency(subject, image, 1).tolist()
        [[[1.5, 2.0]]]
        >>> saliency(subject, image, 1, "integrated").tolist()
        [[[15.0, 40.0]]]
    """
    if method not in METHODS:
        raise NameNotFound.among("method", method, METHODS, listed=True)
    if method == "integrated":
        start = np.broadcast_to(subject.plain_samples(baseline), image.shape)
        found = _integrated(subject, start, image, number, steps)
        if (image == start).all():
            return found  # all zeros: there is no way to go
    elif method == "smoothgrad":
        found = _smooth(subject, image, number, copies, noise, seed)
    else:
        guide = Guide() if method == "guided" else None
        found = subject.gradient(image[..., None], [number], guide)[..., 0]
    check_change(found, subject.classes[number], "the picture")
    return found * image.astype(np.float32) if method == "input-gradient" else found


def _integrated(
    subject: Subject, start: Map, image: Samples, number: int, steps: int | None
) -> Map:
    """(image - start) · mean gradient between the two, by the rule of the middle."""
    goal = image.astype(np.float32)
    if steps is not None:
        return _along(subject, start, goal, number, steps)
    ends = subject.chosen(subject.scores(np.stack([start, goal], -1)), [number, number])
    difference, count = float(ends[1]) - float(ends[0]), _FIRST_STEPS
    while True:
        found = _along(subject, start, goal, number, count)
        missing = abs(float(found.sum(dtype=np.float64)) - difference)
        if missing <= CLOSE * abs(difference) or 2 * count > MOST_STEPS:
            return found
        count *= 2


def _along(subject: Subject, start: Map, goal: Map, number: int, steps: int) -> Map:
    total = np.zeros(goal.shape, np.float64)
    group = group_size(subject.plain)
    for first in range(0, steps, group):
        places = (np.arange(first, min(first + group, steps)) + 0.5) / steps
        between: Map = start[..., None] + (goal - start)[..., None] * places.astype(np.float32)
        total += subject.gradient(between, [number] * len(places)).sum(axis=-1, dtype=np.float64)
    return ((goal - start) * (total / steps)).astype(np.float32)


def _smooth(
    subject: Subject, image: Samples, number: int, copies: int, noise: float, seed: int
) -> Map:
    """The mean gradient of copies with noise of their own."""
    samples = image.astype(np.float32)
    sigma = np.float32(noise * (float(samples.max()) - float(samples.min())))
    # other noise for other pictures, the same in any order of a folder
    rng = np.random.default_rng([seed, zlib.crc32(image.tobytes())])
    total, group = np.zeros(samples.shape, np.float64), group_size(subject.plain)
    for first in range(0, copies, group):
        count = min(group, copies - first)
        spoilt = rng.standard_normal((*samples.shape, count), dtype=np.float32) * sigma
        spoilt += samples[..., None]
        total += subject.gradient(spoilt, [number] * count).sum(axis=-1, dtype=np.float64)
    return (total / copies).astype(np.float32)
