"""What one pass through a network carries along: arrays, mode, place in the batch, shared sums.

Layers keep nothing of a pass, so one network serves many threads: each thread has a :class:`Run` of
its own for its shard of the batch.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from cnntool.backend import Array
from cnntool.nn.observer import Observer
from cnntool.ops.normalization import AllReduce


@dataclass(kw_only=True)
class Run:
    """One pass of one shard of a batch.

    Attributes:
        tensors: Parameters and buffers of the network by name (``3.main.0.conv.weight``).
        gradients: Where gradients of parameters go, by name; None unless training.
        training: Whether gradients will be asked for, and batch statistics and dropout are on.
        input_gradient: Whether the gradient of the network's own input is wanted; without
            ``training`` it is that of prediction.
        seed: Of all random choices of this training.
        step: Number of this training step.
        offset: Number of the shard's first image in the whole batch.
        all_reduce: Sum over the shards of a split batch; None if this is all of it.
        threads: Threads that one operation may use: more than one only where the batch is not
            split.
        keeps_statistics: Whether this shard changes buffers (running means); the first one does.
        observer: Who looks on, if the network was built with taps.
    """

    tensors: Mapping[str, Array]
    gradients: Mapping[str, Array] | None = None
    training: bool = False
    input_gradient: bool = False
    seed: int = 0
    step: int = 0
    offset: int = 0
    all_reduce: AllReduce | None = field(default=None, repr=False)
    threads: int = 1
    keeps_statistics: bool = True
    observer: Observer | None = field(default=None, repr=False)

    @property
    def needs_gradients(self) -> bool:
        """Whether layers must give their gradients' functions."""
        return self.training or self.input_gradient

    def seed_of(self, name: str) -> int:
        """A seed for one layer: different for every layer name.

        Example:
            >>> run = Run(tensors={}, seed=1)
            >>> run.seed_of("2.dropout") == run.seed_of("2.dropout") != run.seed_of("4.dropout")
            True
        """
        return self.seed << 32 | zlib.crc32(name.encode())

    def put(self, name: str, gradient: Array) -> None:
        """Store the gradient of a parameter; each is stored once a pass."""
        if self.gradients is not None:
            self.gradients[name][...] = gradient
