"""Two programs on the same inputs: how far their outputs are apart, and whether that is too far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cnntool.data import mnist
from cnntool.errors import ModelFileError
from cnntool.exchange.onnx_run import Runner
from cnntool.nn.network import Network
from cnntool.nn.saved_model import SavedModel
from cnntool.nn.spec import parse
from cnntool.predict.preprocess import Preprocessor

RELATIVE, ABSOLUTE = 1e-4, 1e-6
"""Tolerance: a share of the largest output, and what rounding may leave of outputs near zero.

Sums of float32 in another order differ by some 1e-7 of their largest terms a layer; a wrong sign,
a window that is off by one or a constant that is left out differs by tenths.
"""

HALF = 2e-2
"""The share for files that compute with 16 bits."""

RANDOM, REAL = 3, 16
"""Random inputs, and pictures of MNIST where a network takes such."""

MNIST_SHAPE = (1, 28, 28)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What both sides are asked about.

    Attributes:
        arrays: (C, H, W, N) or (n, N), samples of uint8 or float32 numbers.
        told: What they are, for notes.
    """

    arrays: NDArray[np.generic]
    told: str


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two programs are apart.

    Attributes:
        largest: The largest difference of an output.
        outputs: The largest output.
        told: What was compared, for notes.
    """

    largest: float
    outputs: float
    told: str

    def __str__(self) -> str:
        return (
            f"{self.told}: largest difference {self.largest:.1e} of outputs up to "
            f"{self.outputs:.3g}"
        )

    def check(self, where: str, relative: float = RELATIVE) -> None:
        """Refuse programs that do not agree.

        Raises:
            ModelFileError: They are too far apart.
        """
        if not self.largest <= relative * self.outputs + ABSOLUTE:  # NaN is too far
            raise ModelFileError(
                f"{where}: not written, because its outputs differ: with {self}; at most "
                f"{relative:g} of the outputs is rounding"
            )


def pictures(model: SavedModel, seed: int = 0) -> Inputs:
    """Samples 0..255 for a network that takes pictures: random, and real ones where it fits."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 256, (*model.input, RANDOM), dtype=np.uint8)
    if model.input != MNIST_SHAPE or model.task != "classify":
        return Inputs(found, f"{RANDOM} random inputs")
    data = mnist.load().test
    if data is None:
        raise TypeError("MNIST has test pictures")
    real = data.images[:REAL].transpose(1, 2, 3, 0)
    arrays = np.concatenate([found, real], axis=-1)
    return Inputs(arrays, f"{RANDOM} random inputs and {REAL} pictures of MNIST")


def numbers(model: SavedModel, seed: int = 0) -> Inputs:
    """What a network gets: normalised pictures, or normally distributed numbers."""
    if model.features is None and len(model.input) == 3:
        found = pictures(model, seed)
        return Inputs(Preprocessor.of(model).prepare(found.arrays), found.told)
    rng = np.random.default_rng(seed)
    arrays = rng.standard_normal((*model.input, RANDOM)).astype(np.float32)
    return Inputs(arrays, f"{RANDOM} random inputs")


def whole_numbers(model: SavedModel, seed: int = 0) -> Inputs:
    """Samples 0..255 as the network's own input, for files that take nothing else."""
    rng = np.random.default_rng(seed)
    arrays = rng.integers(0, 256, (*model.input, RANDOM)).astype(np.float32)
    return Inputs(arrays, f"{RANDOM} random inputs")


def compare(
    model: SavedModel,
    runner: Runner,
    inputs: Inputs,
    *,
    kind: DTypeLike | None = None,
    batch: int | None = None,
    last: bool = False,
) -> Difference:
    """How far another program's outputs are from ours.

    Args:
        model: With its weights.
        runner: The other program, with its model.
        inputs: Samples of uint8, or what the network gets.
        kind: Type of numbers that the other program takes; None: that of the inputs.
        batch: Inputs that the other program takes at a time; None: all.
        last: Whether it takes channels last.

    Raises:
        NotComputed: The other program gives no outputs.
        ModelFileError: It gives outputs of another shape.
    """
    network = Network(parse(model.spec), model.input)
    network.load(model.tensors)
    x = inputs.arrays
    with np.errstate(all="ignore"):  # what is not finite is found below
        ours = network.predict(Preprocessor.of(model).prepare(x) if x.dtype == np.uint8 else x)
    theirs = np.moveaxis(x, -1, 0).astype(kind or x.dtype)
    if last:
        theirs = np.moveaxis(theirs, 1, -1)
    step = batch or len(theirs)
    if step > len(theirs):  # a file with a fixed batch
        theirs = np.concatenate([theirs] * -(-step // len(theirs)))
    parts = [
        runner(theirs[first : first + step]) for first in range(0, len(theirs) - step + 1, step)
    ]
    found = np.moveaxis(np.concatenate(parts), 0, -1)[..., : ours.shape[-1]]
    ours = ours[..., : found.shape[-1]]
    if found.shape != ours.shape and found.size == ours.size:
        found = found.reshape(ours.shape)  # (C, 1, 1) for a vector of C
    if found.shape != ours.shape:
        raise ModelFileError(
            f"{runner.name} gives outputs of {found.shape[:-1]} where cnntool gives "
            f"{ours.shape[:-1]}"
        )
    largest = float(np.max(np.abs(found.astype(np.float64) - ours), initial=0.0))
    return Difference(
        largest, float(np.max(np.abs(ours), initial=0.0)), f"{runner.name} on {inputs.told}"
    )
