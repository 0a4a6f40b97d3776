"""One step of training: outputs, loss, gradients of all weights, update."""

from __future__ import annotations

from types import TracebackType

from cnntool import ops
from cnntool.backend import Array, array_module
from cnntool.errors import OptionError
from cnntool.nn.network import Network
from cnntool.nn.optimiser import Optimiser
from cnntool.nn.staging import Staging
from cnntool.nn.teams import Shard, Team


class TrainingStep:
    """Steps of one training.

    Args:
        network: What learns.
        optimiser: What changes its parameters.
        threads: Workers that share every batch; on a GPU it is one.
        seed: Of dropout.
        label_smoothing: Share of the targets that is spread over all classes.

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
        label_smoothing: float = 0.0,
    ) -> None:
        if not 0 <= label_smoothing < 1:
            raise OptionError(
                f"label smoothing is a share from 0 to below 1, got {label_smoothing}"
            )
        self.network, self.optimiser = network, optimiser
        self.seed, self.label_smoothing, self.number = seed, label_smoothing, 0
        self._team = network.team(threads, self._work)
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

    def __call__(self, x: Array, labels: Array, lr: float) -> Array | float:
        """Learn from one batch.

        Args:
            x: (C, H, W, N) or (n, N), on the network's device; smaller types are converted.
            labels: Class numbers (N,).
            lr: Learning rate.

        Returns:
            The mean loss of the batch before the step; on a GPU 0-d and on the device, because
            asking for its value waits for the device.
        """
        loss, gradients = self.gradients(x, labels)
        self.optimiser.update(self.network.parameters, gradients, lr)
        self.number += 1
        return loss

    def gradients(self, x: Array, labels: Array) -> tuple[Array | float, Array]:
        """The mean loss of a batch, and the gradient of all parameters, flat.

        The gradients' memory is used again by the next call.
        """
        images = x.shape[-1]
        if self.network.device.is_gpu:
            self._on_device = x, labels
            self._team.run(images, self.number, self.seed)
            return self._losses, self._flat[0]
        fits = self._inputs.holds(x), self._labels.holds(labels)
        if not all(fits):
            self._team.close()  # new workers will see the new memory
        self._inputs.put(x)
        self._labels.put(labels)
        losses = self._team.run(images, self.number, self.seed)
        total = self._flat[0]
        for other in self._flat[1 : len(losses)]:
            total += other
        return sum(losses[1:], losses[0]), total

    def _zeros(self, team: Team) -> Array:
        network = self.network
        if network.device.is_gpu:
            return network.device.xp.zeros(network.parameters.size, dtype=network.dtype)
        return team.empty((network.parameters.size,), network.dtype)

    def _work(self, shard: Shard, numbers: tuple[int, ...]) -> float:
        network, (number, seed) = self.network, numbers
        x, labels = self._on_device or (self._inputs.array, self._labels.array)
        xp = array_module(x)
        part = xp.ascontiguousarray(x[..., shard.images]).astype(network.dtype, copy=False)
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
        loss, loss_backward = ops.cross_entropy_vjp(
            y, labels[shard.images], label_smoothing=self.label_smoothing, divisor=x.shape[-1]
        )
        if backward is not None:
            backward(loss_backward())
        self._losses = loss
        return 0.0 if network.device.is_gpu else float(loss)
