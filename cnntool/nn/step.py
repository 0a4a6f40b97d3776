"""One step of training: outputs, loss, gradients of all weights, update."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.nn.facts import times
from cnntool.nn.loss import Loss
from cnntool.nn.network import Network
from cnntool.nn.optimiser import Optimiser
from cnntool.nn.staging import Staging
from cnntool.nn.teams import Shard, Team

Prepare = Callable[[Array, Array, int, int, int], tuple[Array, Array]]
"""From inputs and labels as they are stored to what the network takes, and what it should say.

Gets part of a batch (…, n) and its labels, the number of the step, that of the part's first input
in the batch, and how many inputs the batch has. It must give the same for an input however the
batch is split. It may move the labels of pixels, but only if the step was told so.
"""

LARGEST_SEED = 2**63 - 1
"""Workers are told the seed as 64 bits."""


class TrainingStep:
    """Steps of one training.

    Args:
        network: What learns: to give each input a class, or each of its pixels.
        optimiser: What changes its parameters.
        threads: Workers that share every batch; on a GPU it is one.
        seed: Of dropout, from 0 to :data:`LARGEST_SEED`.
        loss: What is made small.
        prepare: What each worker does to its part of a batch first: see :data:`Prepare`.
        moves_labels: Whether that changes labels, so that how many count is known only then.

    Raises:
        OptionError: The seed is out of range.

    Example:
        >>> import numpy as np
        >>> from cnntool.nn import optim, parse
        >>> net = Network(parse("dense 3"), (2,))
        >>> net.initialise(seed=1)
        >>> x, labels = np.eye(2, dtype=np.float32), np.array([2, 0])
        >>> with TrainingStep(net, optim.create("sgd", net.parameters.size)) as step:
        ...     losses = [float(step(x, labels, lr=1.0)) for _ in range(3)]
        >>> losses[0] > losses[1] > losses[2]
        True
    """

    def __init__(
        self,
        network: Network,
        optimiser: Optimiser,
        *,
        threads: int = 1,
        seed: int = 0,
        loss: Loss | None = None,
        prepare: Prepare | None = None,
        moves_labels: bool = False,
    ) -> None:
        if not 0 <= seed <= LARGEST_SEED:
            raise OptionError(f"a seed is a whole number from 0 to {LARGEST_SEED}, got {seed}")
        self.network, self.optimiser = network, optimiser
        self.seed, self.number, self.loss = seed, 0, loss or Loss()
        self._prepare, self._moves_labels = prepare, moves_labels
        self._team = network.team(threads, self._work)
        self._told = self._team.empty((self._team.workers, 2), np.int64)
        self._flat = [self._zeros(self._team) for _ in range(self._team.workers)]
        self._gradients = [network.views(flat) for flat in self._flat]
        self._inputs, self._labels = Staging(self._team), Staging(self._team)
        self._on_device: tuple[Array, Array] | None = None
        self._losses: Array = None

    def __enter__(self) -> TrainingStep:
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
        self._team.close()

    @property
    def right(self) -> int:
        """How many inputs (or pixels) of the last batch were told rightly; 0 on a GPU."""
        return int(self._told[:, 0].sum())

    @property
    def counted(self) -> int:
        """How many inputs (or pixels) of the last batch have a class; 0 on a GPU."""
        return int(self._told[:, 1].sum())

    def __call__(self, x: Array, labels: Array, lr: float) -> Array | float:
        """Learn from one batch.

        Args:
            x: (C, H, W, N) or (n, N), on the network's device; smaller types are converted.
            labels: Class numbers (N,), or of pixels (H, W, N); the loss's ``ignore`` is none.
            lr: Learning rate.

        Returns:
            The mean loss of the batch before the step; on a GPU 0-d and on the device, because
            asking for its value waits for the device.

        Raises:
            ShapeError: Inputs or labels do not have the network's shapes, or there are none.
            InputError: A label is no class (looked for on a CPU only).
            SystemFailure: A worker cannot be made, or was killed.
        """
        loss, gradients = self.gradients(x, labels)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            self.optimiser.update(self.network.parameters, gradients, lr)
        self.number += 1
        return loss

    def gradients(self, x: Array, labels: Array) -> tuple[Array | float, Array]:
        """The mean loss of a batch, and the gradient of all parameters, flat.

        The gradients' memory is used again by the next call.
        """
        images = self._checked(x, labels)
        self._told[...] = 0
        if self.network.device.is_gpu:
            self._on_device = x, labels
            self._team.run(images, self.number, self.seed)
            self._on_device = None
            return self._losses, self._without_frozen(self._flat[0])
        fits = self._inputs.holds(x), self._labels.holds(labels)
        if not all(fits):
            self._team.close()  # new workers will see the new memory
        self._inputs.put(x)
        self._labels.put(labels)
        losses = self._team.run(images, self.number, self.seed)
        total = self._flat[0]
        for other in self._flat[1 : len(losses)]:
            total += other
        return sum(losses[1:], losses[0]), self._without_frozen(total)

    def _without_frozen(self, gradients: Array) -> Array:
        """Zeros where nothing is learned: what was there was the optimiser's scratch."""
        for place in self.network.frozen:
            gradients[place] = 0
        return gradients

    def _checked(self, x: Array, labels: Array) -> int:
        """How many inputs there are, if they and their labels fit the network."""
        self.network.check_inputs(x)
        images = int(x.shape[-1])
        wanted = (*self.network.output[1:], images)
        if self.network.output[0] < 2:
            raise ShapeError(
                "a network with a single output cannot be trained to tell classes; give it one "
                "output a class, two for yes and no"
            )
        if not images:
            raise ShapeError("a batch without inputs has nothing to learn from; leave it out")
        if tuple(labels.shape) != wanted:
            raise ShapeError(
                f"labels of shape {tuple(labels.shape)} do not fit {images} inputs of a network "
                f"with outputs {times(self.network.output)}; they must have shape {wanted}"
            )
        return images

    def _zeros(self, team: Team) -> Array:
        network = self.network
        if network.device.is_gpu:
            return network.device.xp.zeros(network.parameters.size, dtype=network.dtype)
        return team.empty((network.parameters.size,), network.dtype)

    def _work(self, shard: Shard, numbers: tuple[int, ...]) -> float:
        # a training that diverges is told by its loss, not by a warning of every operation
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return self._learn(shard, numbers)

    def _learn(self, shard: Shard, numbers: tuple[int, ...]) -> float:
        network, (number, seed) = self.network, numbers
        x, labels = self._on_device or (self._inputs.array, self._labels.array)
        xp = array_module(x)
        part, targets = xp.ascontiguousarray(x[..., shard.images]), labels[..., shard.images]
        if self._prepare is not None:
            first, images = shard.images.start, x.shape[-1]
            part, targets = self._prepare(part, targets, number, first, images)
        part = part.astype(network.dtype, copy=False)
        run = network.run(
            gradients=self._gradients[shard.number],
            training=True,
            seed=seed,
            step=number,
            offset=shard.images.start,
            all_reduce=shard.all_reduce,
            threads=shard.threads,
            keeps_statistics=shard.number == 0,
        )
        y, backward = network.forward(part, run, logits=True)
        measure = self._measure(labels, targets, shard)
        loss, loss_backward = self.loss.vjp(y, targets, measure, x.shape[-1])
        if not network.device.is_gpu:
            right, counted = (y.argmax(axis=0) == targets).sum(), targets != self.loss.ignore
            self._told[shard.number] = right, counted.sum()
        if backward is not None:
            backward(loss_backward())
        self._losses = loss
        return 0.0 if network.device.is_gpu else float(loss)

    def _measure(self, labels: Array, targets: Array, shard: Shard) -> Array | float:
        """What means over the whole batch divide by."""
        if not self._moves_labels or shard.all_reduce is None:
            return self.loss.measure(targets if self._moves_labels else labels)
        counts = bool((targets != self.loss.ignore).any())
        own = float(self.loss.measure(targets)) if counts else 0.0
        return float(shard.all_reduce(np.array([own]))[0]) or 1.0
