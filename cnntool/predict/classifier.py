"""Scores of pictures, the same for a picture whatever its neighbours are.

How a matrix product is rounded depends on the shapes of its factors, so a picture alone and the
same in a batch would differ in the digits that are told. Here the network always sees groups of one
size, the last one filled up with black: within one size neighbours, workers and how many pictures
come at once change nothing, and the place in a group at most the last bits, where the library that
multiplies rounds some columns otherwise than others (OpenBLAS does with AVX2).
"""

from __future__ import annotations

from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from cnntool import ops
from cnntool.backend import Array
from cnntool.errors import ModelFileError
from cnntool.nn.network import Network
from cnntool.nn.nodes import Layer
from cnntool.nn.predictor import Predictor
from cnntool.predict.preprocess import Preprocessor

LARGEST_GROUP = 32
"""Pictures that go through a small network together."""

LARGEST_GPU_GROUP = 256
"""The same on a GPU, which has more to do at a time."""

GROUP_FLOPS = 2e9
"""What a group costs at most, unless a single picture costs more: filling up must stay cheap."""

Logits = NDArray[np.float32]


class Classifier:
    """A network that tells classes, of pictures or of their pixels, applied to pictures.

    Args:
        network: With its weights; later changes of them count.
        preprocess: From samples 0..255 to its input.
        threads: Workers at most; a GPU has one.
        group: Pictures that go through the network together; None chooses by its size.
        pictures: How many are to come, if that is known: no more workers than they need are made.

    Attributes:
        group: Pictures that go through the network together.
        workers: How many share the pictures.

    Example:
        >>> from cnntool.nn.spec import parse
        >>> from cnntool.nn.saved_model import Preprocessing
        >>> net = Network(parse("flatten | dense 3"), (1, 2, 2))
        >>> net.initialise(seed=1)
        >>> how = Preprocessor(Preprocessing(color="gray", mean=(0.5,), std=(0.5,)), (2, 2))
        >>> with Classifier(net, how) as classify:
        ...     shares = classify.scores(classify(np.zeros((1, 2, 2, 5), np.uint8)))
        >>> shares.shape, np.round(shares.sum(axis=0), 6).tolist()
        ((3, 5), [1.0, 1.0, 1.0, 1.0, 1.0])
    """

    def __init__(
        self,
        network: Network,
        preprocess: Preprocessor,
        *,
        threads: int = 1,
        group: int | None = None,
        pictures: int | None = None,
    ) -> None:
        self.network, self.preprocess = network, preprocess
        self.group = group or group_size(network)
        most = threads if pictures is None else min(threads, pictures // self.group)
        self.workers = 1 if network.device.is_gpu else max(1, most)
        self._alone = Predictor(network, batch=self.group, logits=True)
        self._together = self._alone
        if self.workers > 1:
            self._together = Predictor(network, threads=self.workers, batch=self.group, logits=True)

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Send the workers home."""
        self._together.close()

    @property
    def round(self) -> int:
        """Pictures that all workers take together: the best number to give at a time."""
        return self.group * self.workers

    @property
    def classes(self) -> int:
        """Classes that are told apart: two by a single output."""
        return max(2, self.network.output[0])

    def start(self) -> None:
        """Make the workers now, before this process has other threads."""
        if self.workers > 1:
            self(np.zeros((*self.preprocess.shape, self.round), np.uint8))

    def __call__(self, images: NDArray[np.uint8]) -> Logits:
        """What the network gives before its softmax or sigmoid.

        A single output tells two classes apart, and gives 0 for the first of them.

        Args:
            images: Samples 0..255, in main memory.

        Shape:
            (C, H, W, N) -> (K, N), or (K, H', W', N) for pixels, float32, in main memory.

        Raises:
            ModelFileError: The network gives numbers that are not finite.
        """
        count = images.shape[-1]
        out = np.zeros((self.classes, *self.network.output[1:], count), np.float32)
        rows = out[-self.network.output[0] :]
        # numbers that are too large are told once, below, not by every operation
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for first in range(0, count, self.round):
                part = images[..., first : first + self.round]
                rows[..., first : first + self.round] = self._outputs(part)
        check_finite(out)
        return out

    def scores(self, logits: Logits) -> NDArray[np.float64]:
        """Share of each class: the softmax, or the sigmoid of each output if the network has one.

        Shape:
            (K, …) -> the same, float64.
        """
        return shares(self.network, logits)

    def _outputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Outputs of at most one round."""
        count = images.shape[-1]
        alone = count <= self.group
        filled = self.group if alone else self.round
        if count < filled:
            whole = np.zeros((*images.shape[:-1], filled), np.uint8)
            whole[..., :count] = images
            images = whole
        device = self.network.device
        x: Array = self.preprocess.prepare(device.to_device(images))
        y = (self._alone if alone else self._together)(x)
        return device.to_host(y)[..., :count]


def shares(network: Network, logits: Logits) -> NDArray[np.float64]:
    """Share of each class: the softmax, or the sigmoid of each output if the network has one.

    Args:
        network: Whose classes they are.
        logits: What it gives before its softmax or sigmoid, for two classes at least.

    Shape:
        (K, N) -> (K, N), float64.
    """
    last = network.chain.items[-1]
    several = network.output[0] > 1
    if several and isinstance(last, Layer) and last.word == "sigmoid":
        found: NDArray[np.float64] = ops.sigmoid(logits.astype(np.float64))
    else:
        found = ops.softmax(logits.astype(np.float64))
    return found


def check_finite(numbers: NDArray[np.floating]) -> None:
    """Refuse what a network gives that has learned nothing.

    Raises:
        ModelFileError: Numbers that are not finite.
    """
    if not np.isfinite(numbers).all():
        raise ModelFileError(
            "the network gives numbers that are not finite, as after a training that "
            "diverged; train it again with a smaller learning rate"
        )


def group_size(network: Network) -> int:
    """How many pictures go well through a network together, by what one of them costs."""
    found = LARGEST_GPU_GROUP if network.device.is_gpu else LARGEST_GROUP
    flops = 2 * network.trace.macs
    while not network.device.is_gpu and found > 1 and found * flops > GROUP_FLOPS:
        found //= 2
    return found
