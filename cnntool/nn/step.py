"""One step of training: outputs, loss, gradients of all weights, update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cnntool import ops
from cnntool.backend import Array
from cnntool.nn.network import Network
from cnntool.nn.optimiser import Optimiser
from cnntool.nn.shards import Shard, Shards

Loss = Callable[[Array, Array, float], tuple[Array, Callable[[], Array]]]


@dataclass
class TrainingStep:
    """Steps of one training.

    Args:
        network: What learns.
        optimiser: What changes its parameters.
        shards: Threads that share every batch; ignored on a GPU.
        seed: Of dropout.

    Example:
        >>> from cnntool.nn import optim, parse
        >>> net = Network(parse("dense 3"), (2,))
        >>> net.initialise(seed=1)
        >>> step = TrainingStep(net, optim.create("sgd", net.parameters.size), Shards(1))
        >>> x, labels = np.eye(2, dtype=np.float32), np.array([2, 0])
        >>> losses = [float(step(x, labels, lr=1.0)) for _ in range(3)]
        >>> losses[0] > losses[1] > losses[2]
        True
    """

    network: Network
    optimiser: Optimiser
    shards: Shards
    seed: int = 0
    label_smoothing: float = 0.0
    number: int = 0

    def __post_init__(self) -> None:
        xp, count = self.network.device.xp, self.shards.threads
        if self.network.device.is_gpu:
            count = 1
        size = self.network.parameters.size
        self._flat = [xp.zeros(size, dtype=self.network.dtype) for _ in range(count)]
        self._gradients = [self.network.views(flat) for flat in self._flat]

    def __call__(self, x: Array, labels: Array, lr: float) -> Array:
        """Learn from one batch.

        Args:
            x: (C, H, W, N) or (n, N), on the network's device; smaller types are converted.
            labels: Class numbers (N,).
            lr: Learning rate.

        Returns:
            The mean loss of the batch before the step, 0-d, on the device: asking for its value
            waits for a GPU.
        """
        loss, gradients = self.gradients(x, labels)
        self.optimiser.update(self.network.parameters, gradients, lr)
        self.number += 1
        return loss

    def gradients(self, x: Array, labels: Array) -> tuple[Array, Array]:
        """The mean loss of a batch, and the gradient of all parameters, flat."""
        network, xp = self.network, self.network.device.xp
        divisor = ops.cross_entropy_divisor(labels)

        def work(shard: Shard) -> Array:
            part = xp.ascontiguousarray(x[..., shard.images]).astype(network.dtype, copy=False)
            run = network.run(
                gradients=self._gradients[shard.number],
                training=True,
                seed=self.seed,
                step=self.number,
                offset=shard.images.start,
                all_reduce=shard.all_reduce,
                threads=shard.threads,
                keeps_statistics=shard.number == 0,
            )
            y, backward = network.forward(part, run, logits=True)
            loss, loss_backward = ops.cross_entropy_vjp(
                y,
                labels[shard.images],
                label_smoothing=self.label_smoothing,
                divisor=divisor,
            )
            if backward is not None:
                backward(loss_backward())
            return loss

        if network.device.is_gpu:
            losses = [work(Shard(0, slice(0, x.shape[-1])))]
        else:
            losses = self.shards.map(x.shape[-1], work)
        total = self._flat[0]
        for other in self._flat[1 : len(losses)]:
            total += other
        loss = losses[0]
        for other in losses[1:]:
            loss = loss + other
        return loss, total
