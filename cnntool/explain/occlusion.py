"""What a score loses where a part of the picture is covered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import OptionError
from cnntool.explain.subject import Samples, Subject
from cnntool.predict.classifier import group_size

Map = NDArray[np.float32]


def occlusion(
    subject: Subject,
    image: Samples,
    number: int,
    *,
    size: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    fill: str = "mean",
    progress: Callable[[int, int], None] | None = None,
) -> Map:
    """How much the score of a class falls where a patch covers the picture.

    The patch goes over the picture in steps; the last ones end at its edges. A pixel gets the mean
    over all patches that covered it: positive where the picture speaks for the class.

    Args:
        subject: The network.
        image: Samples 0..255, (C, H, W).
        number: Of the class.
        size: Rows and columns of the patch; None: a quarter of the picture's.
        stride: Its steps down and across; None: a quarter of the patch.
        fill: What it shows: a word of :data:`cnntool.explain.words.FILLS`.
        progress: Is told how many patches are done, and how many there are.

    Returns:
        (H, W), in units of the score.

    Raises:
        OptionError: The patch is larger than the picture, or covers all of it.
        ModelFileError: The network gives numbers that are not finite.

    References:
        Zeiler, Fergus 2014, Visualizing and understanding convolutional networks, section 4.2.

    Example:
        A network that adds up all pixels loses what is covered:

        >>> from cnntool.nn import parse
        >>> from cnntool.nn.network import Network
        >>> from cnntool.nn.observed import ObservedNetwork
        >>> from cnntool.nn.saved_model import Preprocessing
        >>> from cnntool.predict.preprocess import Preprocessor
        >>> net = Network(parse("flatten | dense 1"), (1, 1, 4))
        >>> net.load({"1.dense.weight": np.ones((1, 4)), "1.dense.bias": np.zeros(1)})
        >>> how = Preprocessor(Preprocessing(color="gray", scale=1, mean=(0,), std=(1,)), (1, 4))
        >>> subject = Subject(ObservedNetwork(net), how, ("dark", "bright"))
        >>> image = np.array([[[10, 20, 0, 40]]], np.uint8)
        >>> occlusion(subject, image, 1, size=(1, 2), stride=(1, 1)).tolist()
        [[30.0, 25.0, 30.0, 40.0]]
    """
    _, height, width = image.shape
    size = size or (max(1, height // 4), max(1, width // 4))
    stride = stride or (max(1, size[0] // 4), max(1, size[1] // 4))
    if size[0] > height or size[1] > width or size == (height, width):
        raise OptionError(
            f"a patch of {size[0]}×{size[1]} covers all of a picture of {height}×{width}; "
            "take a smaller --size"
        )
    places = [
        (top, left)
        for top in _starts(height, size[0], stride[0])
        for left in _starts(width, size[1], stride[1])
    ]
    plain = subject.plain_samples(fill)
    whole = image.astype(np.float32)
    before = float(subject.chosen(subject.scores(whole[..., None]), [number])[0])
    total, times = np.zeros((height, width)), np.zeros((height, width))
    group = group_size(subject.plain)
    for first in range(0, len(places), group):
        some = places[first : first + group]
        covered = np.repeat(whole[..., None], len(some), axis=-1)
        for n, (top, left) in enumerate(some):
            covered[:, top : top + size[0], left : left + size[1], n] = plain
        scores = subject.chosen(subject.scores(covered), [number] * len(some))
        for (top, left), after in zip(some, scores, strict=True):
            part = slice(top, top + size[0]), slice(left, left + size[1])
            total[part] += before - float(after)
            times[part] += 1
        if progress is not None:
            progress(first + len(some), len(places))
    found: Map = (total / np.maximum(times, 1)).astype(np.float32)
    return found


def _starts(length: int, size: int, stride: int) -> list[int]:
    """First pixels of the patch along an axis; the last one ends at the edge.

    Example:
        >>> _starts(10, 4, 4)
        [0, 4, 6]
    """
    starts = list(range(0, length - size + 1, stride))
    return starts if starts[-1] == length - size else [*starts, length - size]
