"""Outputs of a network for any number of inputs, shared out to workers."""

from __future__ import annotations

from types import TracebackType

from cnntool.backend import Array
from cnntool.nn.network import Network
from cnntool.nn.staging import Staging
from cnntool.nn.teams import Shard


class Predictor:
    """A network applied; nothing is learned and nothing is random.

    Args:
        network: What is applied. Later changes of its weights count.
        threads: Workers that share the images, or the work on one if there are fewer.
        batch: Most images at a time of a worker; the memory grows with it.
        logits: Whether a last softmax or sigmoid is left out.

    Example:
        >>> import numpy as np
        >>> from cnntool.nn import parse
        >>> net = Network(parse("dense 3 | softmax"), (2,))
        >>> with Predictor(net) as predict:
        ...     predict(np.ones((2, 4), np.float32)).shape
        (3, 4)
    """

    def __init__(
        self, network: Network, *, threads: int = 1, batch: int = 64, logits: bool = False
    ) -> None:
        self.network, self.batch, self.logits = network, max(1, batch), logits
        self._team = network.team(threads, self._work)
        self._inputs, self._outputs = Staging(self._team), Staging(self._team)

    def __enter__(self) -> Predictor:
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

    def __call__(self, x: Array) -> Array:
        """Outputs (…, N) for (C, H, W, N) or (n, N) on the network's device, any type.

        Raises:
            ShapeError: The inputs do not have the network's shape.
        """
        network = self.network
        network.check_inputs(x)
        if network.device.is_gpu or self._team.workers == 1 or x.shape[-1] < self._team.workers:
            with self._team.memory():
                return network.predict(
                    x, threads=self._team.workers, batch=self.batch, logits=self.logits
                )
        xp, many = network.device.xp, self.batch * self._team.workers
        y = xp.empty((*network.output, x.shape[-1]), dtype=network.dtype)
        for first in range(0, x.shape[-1], many):
            part = x[..., first : first + many]
            y[..., first : first + many] = self._together(part)
        return y

    def _together(self, x: Array) -> Array:
        """Outputs of one round of all workers; the memory is used again."""
        shape = (*self.network.output, x.shape[-1])
        out = self.network.dtype.itemsize
        for size in shape:
            out *= size
        if not self._inputs.holds(x) or not self._outputs.has(out):
            self._team.close()  # new workers will see the new memory
        self._inputs.put(x)
        y = self._outputs.describe(shape, self.network.dtype)
        self._team.run(x.shape[-1])
        return y

    def _work(self, shard: Shard, numbers: tuple[int, ...]) -> float:
        part = self._inputs.array[..., shard.images]
        y = self.network.predict(part, threads=shard.threads, batch=self.batch, logits=self.logits)
        self._outputs.array[..., shard.images] = y
        return 0.0
