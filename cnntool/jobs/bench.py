"""``bench``: how fast this machine trains, predicts and filters.

A part is timed by calling it again and again for some seconds. The best time counts, because other
programs only ever make a call slower; the median beside it tells how much they did. On a GPU calls
are only queued, so a burst of them is timed, and ends when the device has computed it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from cnntool import backend
from cnntool.backend import Array, Backend
from cnntool.errors import SystemFailure
from cnntool.filters.convolve import convolve
from cnntool.filters.levels import Levels
from cnntool.images.limits import in_words, physical_memory
from cnntool.jobs.peak_memory import peak_memory
from cnntool.nn import optim
from cnntool.nn.facts import Shape, times
from cnntool.nn.layer_rows import FLOAT_BYTES, Trace
from cnntool.nn.network import Network
from cnntool.nn.predictor import Predictor
from cnntool.nn.shapes import trace
from cnntool.nn.spec import Spec, format_spec
from cnntool.nn.step import TrainingStep

LARGEST_BATCH = 128
"""Images at a time of small networks, where the user gives no number."""

STEP_FLOPS = 20e9
"""What a training step shall cost at most: of larger networks fewer images are taken at a time."""

LEAST_CALLS = 3
"""Calls that are timed, however long they take."""

PICTURE = (2160, 3840, 3)
"""Rows, columns and channels of the picture that is filtered: a frame of UHD video."""

_CPU_BURST, _GPU_BURST = 1e-3, 2e-2  # seconds: shortest piece of work that is timed
_MOST_CALLS = 10_000  # in a burst
_LEARNING_RATE = 1e-6  # the weights stay what they are, whatever the network
_USABLE = 0.75  # share of the memory: the rest is the system's

Say = Callable[[str], None]
"""Is told what is measured next."""


@dataclass(frozen=True)
class Timing:
    """What a part took.

    Attributes:
        name: ``train``, ``predict``, or the filter's.
        seconds: Of each call, or the mean of each burst of calls.
        amount: Images or pixels of one call.
        flops: Arithmetic of one call; 0 if it is not counted.
        waiting: Share of the time in which this thread could have run, but had no core; 0 where the
            system does not tell.

    Example:
        >>> part = Timing("predict", (0.25, 0.5, 1.0), amount=8)
        >>> part.best, part.median, part.rate, part.noise
        (0.25, 0.5, 32.0, 2.0)
    """

    name: str
    seconds: tuple[float, ...]
    amount: int
    flops: int = 0
    waiting: float = 0.0

    @property
    def best(self) -> float:
        """Seconds of the fastest call."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """Seconds that half of the calls needed at most."""
        return statistics.median(self.seconds)

    @property
    def rate(self) -> float:
        """Images or pixels a second, at best."""
        return self.amount / self.best

    @property
    def gflops(self) -> float:
        """Billions of operations a second, at best."""
        return self.flops / self.best / 1e9

    @property
    def noise(self) -> float:
        """Median over best; 1 on a machine that does nothing else."""
        return self.median / self.best


def measure(
    work: Callable[[], object],
    seconds: float,
    wait: Callable[[], None] | None = None,
    clock: Callable[[], float] = perf_counter,
) -> tuple[float, ...]:
    """Seconds of each call, or of the mean call in each burst where calls are very short.

    Args:
        work: What is timed; the first two calls do not count.
        seconds: How long to go on; at least :data:`LEAST_CALLS` calls are made.
        wait: Waits until the device has done what was given to it.
        clock: Tells the seconds.

    Example:
        >>> ticks = iter(range(100))  # every look at the clock takes a second
        >>> measure(lambda: None, 4, clock=lambda: next(ticks))
        (1.0, 1.0, 1.0)
    """
    work()
    if wait is not None:
        wait()
    begin = clock()
    work()
    if wait is not None:
        wait()
    once = max(clock() - begin, 1e-9)
    shortest = _CPU_BURST if wait is None else _GPU_BURST
    burst = max(1, min(_MOST_CALLS, math.ceil(min(shortest, seconds) / once)))
    found: list[float] = []
    end = clock() + seconds
    while len(found) < LEAST_CALLS or clock() < end:
        begin = clock()
        for _ in range(burst):
            work()
        if wait is not None:
            wait()
        found.append(max(clock() - begin, 1e-9) / burst)
    return tuple(found)


@dataclass(frozen=True)
class Subject:
    """A network that is to be measured, its shapes known to fit.

    Attributes:
        spec: The network.
        trace: Its layers.
        batch: Images at a time.
        untrainable: Why it can only predict; empty if it can learn.
    """

    spec: Spec
    trace: Trace
    batch: int
    untrainable: str = ""

    @property
    def name(self) -> str:
        """Its name, or its specification in one line."""
        return self.spec.name or format_spec(self.spec.chain)

    @property
    def bytes_of_weights(self) -> int:
        """Memory that does not grow with the batch, about."""
        # values, a second copy while they are drawn; then velocities, scratch, a worker's gradients
        return FLOAT_BYTES * self.trace.params * (2 if self.untrainable else 5)

    @property
    def bytes_of_image(self) -> int:
        """Memory that each image of a batch takes, about."""
        sizes = [math.prod(self.trace.input), *(math.prod(row.output) for row in self.trace.rows)]
        if self.untrainable:  # what goes in and comes out, and twice what a layer needs for that
            layers = map(sum, pairwise(sizes))
            return FLOAT_BYTES * (sizes[0] + sizes[-1] + 2 * max(layers))
        return FLOAT_BYTES * sum(sizes)

    def bytes_of_batch(self, images: int) -> int:
        """Memory that it takes with so many images at a time, about."""
        return self.bytes_of_weights + images * self.bytes_of_image

    def check_memory(self, memory: int) -> None:
        """Refuse what would not fit before anything is made.

        Args:
            memory: Bytes of the device.

        Raises:
            SystemFailure: The batch needs more than the device has.
        """
        usable = int(_USABLE * memory)
        needed = self.bytes_of_batch(self.batch)
        if needed <= usable:
            return
        whose, fix = f"a batch of {self.batch} needs", "take a smaller --input or network"
        if self.bytes_of_batch(1) <= usable:
            fix = f"try --batch-size {(usable - self.bytes_of_weights) // self.bytes_of_image}"
        else:
            whose, needed = "even one input at a time needs", self.bytes_of_batch(1)
        raise SystemFailure(
            f"{whose} about {in_words(needed)} of memory, {in_words(usable)} can be used here; "
            f"{fix}",
            needed=needed,
            usable=usable,
        )


def subject(spec: Spec, input: Shape, batch: int | None = None) -> Subject:
    """A network and a batch, checked.

    Args:
        spec: The network.
        input: (C, H, W) of an input, or (n,).
        batch: Images at a time; None means :data:`LARGEST_BATCH`, halved until a training step
            costs :data:`STEP_FLOPS` at most.

    Raises:
        SpecError: A layer cannot have the shape that it gets.

    Example:
        >>> found = subject(Spec.of("conv 8 3 | relu"), (1, 9, 7))
        >>> found.batch, found.untrainable
        (128, "the network's output is 8×7×5, no vector of classes")
    """
    found = trace(spec.chain, input)
    why = ""
    if len(found.output) != 1:
        why = f"the network's output is {times(found.output)}, no vector of classes"
    elif not found.params:
        why = "the network has no parameters to train"
    return Subject(spec, found, batch or _default_batch(found.macs), why)


def _default_batch(macs: int) -> int:
    batch = LARGEST_BATCH
    while batch > 1 and 6 * macs * batch > STEP_FLOPS:
        batch //= 2
    return batch


def device_memory(device: Backend) -> int:
    """Bytes of memory of a device."""
    if not device.is_gpu:
        return physical_memory()
    return next(card.memory for card in backend.gpus() if card.name == device.name)


@dataclass(frozen=True)
class NetworkSpeed:
    """What was measured of a network.

    Attributes:
        subject: The network.
        train: Training steps; None if it can only predict.
        predict: Predictions.
        peak_memory: Bytes; None where the system does not tell.
    """

    subject: Subject
    train: Timing | None
    predict: Timing
    peak_memory: int | None


@dataclass(frozen=True)
class Bench:
    """How to measure.

    Attributes:
        device: Where.
        threads: Workers that share a batch, or the strips of a picture; one on a GPU.
        seconds: How long each part goes on.
        seed: Of weights and images.
        say: Is told the name of each part when it begins.
    """

    device: Backend
    threads: int
    seconds: float = 2.0
    seed: int = 0
    say: Say = field(default=lambda name: None)

    def network(self, what: Subject) -> NetworkSpeed:
        """Measure training and prediction.

        Raises:
            SystemFailure: The batch does not fit into the memory.
        """
        what.check_memory(device_memory(self.device))
        network = Network(what.spec.chain, what.trace.input, device=self.device)
        network.initialise(seed=self.seed)
        rng = np.random.default_rng(self.seed)
        x = rng.random((*network.input, what.batch), dtype=np.float32)
        images = self.device.to_device(x)
        macs, train, peaks = what.trace.macs * what.batch, None, []
        if not what.untrainable:
            labels = self.device.to_device(rng.integers(0, network.output[0], what.batch))
            optimiser = optim.create(
                "sgd", network.parameters.size, self.device.xp, network.dtype, momentum=0.9
            )
            with TrainingStep(network, optimiser, threads=self.threads, seed=self.seed) as step:
                train = self._timed(
                    "train", lambda: step(images, labels, lr=_LEARNING_RATE), what.batch, 6 * macs
                )
                peaks.append(peak_memory(self.device))
        with Predictor(network, threads=self.threads) as predict:
            predicted = self._timed("predict", lambda: predict(images), what.batch, 2 * macs)
            peaks.append(peak_memory(self.device))
        peak = max((peak for peak in peaks if peak is not None), default=None)
        return NetworkSpeed(what, train, predicted, peak)

    def filters(self) -> tuple[Timing, ...]:
        """Measure filters on a colour picture of 8 bits, results in 8 bits too."""
        image = self.device.to_device(picture(PICTURE))
        pixels = PICTURE[0] * PICTURE[1]
        found = []
        for name, kernel, rule in (
            ("sobel-x", "sobel-x", "abs"),
            ("gaussian-5", "gaussian-5", "clip"),
            ("general-7x7", general_kernel(), "clip"),
        ):

            def work(kernel: Any = kernel, rule: str = rule) -> Array:
                return convolve(image, kernel, levels=Levels(np.uint8, rule), threads=self.threads)

            found.append(self._timed(name, work, pixels))
        return tuple(found)

    def _timed(self, name: str, work: Callable[[], object], amount: int, flops: int = 0) -> Timing:
        self.say(name)
        wait = self.device.synchronize if self.device.is_gpu else None
        begin, queued = perf_counter(), seconds_in_queue()
        seconds = measure(work, self.seconds, wait)
        waiting = (seconds_in_queue() - queued) / max(perf_counter() - begin, 1e-9)
        return Timing(name, seconds, amount, flops, waiting)


def seconds_in_queue() -> float:
    """How long the calling thread has waited for a core so far; 0 where Linux does not tell.

    Example:
        >>> seconds_in_queue() >= 0
        True
    """
    try:
        return int(Path("/proc/thread-self/schedstat").read_text("ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def picture(shape: tuple[int, int, int]) -> Array:
    """A colour picture with slopes, stripes and edges, the same everywhere.

    Args:
        shape: Rows, columns, channels.

    Example:
        >>> picture((2, 3, 3)).tolist()[1]
        [[13, 42, 71], [20, 49, 78], [27, 56, 85]]
    """
    y, x, c = np.ogrid[: shape[0], : shape[1], : shape[2]]
    found: Array = ((7 * x + 13 * y + 29 * c + (x * y >> 5)) & 255).astype(np.uint8)
    return found


def general_kernel() -> Array:
    """7×7 weights that no product of a column and a row gives; they sum to about 1.

    Example:
        >>> general_kernel().shape, int(np.linalg.matrix_rank(general_kernel()))
        ((7, 7), 7)
    """
    row, column = np.ogrid[:7, :7]
    weights = (5 * row * row + 3 * row * column + 7 * column * column) % 11 - 2.0
    found: Array = (weights / weights.sum()).astype(np.float32)
    return found
