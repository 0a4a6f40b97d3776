"""A network that computes: layers, and their weights in one flat array."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool import backend
from cnntool.backend import Array, Backend
from cnntool.errors import ModelFileError, ShapeError
from cnntool.nn import init, processes
from cnntool.nn.builder import build
from cnntool.nn.facts import Shape, times
from cnntool.nn.layer import Backward
from cnntool.nn.layers.joints import Sequence
from cnntool.nn.nodes import Chain, Layer
from cnntool.nn.run import Run
from cnntool.nn.shapes import trace
from cnntool.nn.teams import Team, ThreadTeam, Work

OUTPUT_WORDS = ("softmax", "sigmoid")
"""Last layers that losses contain: training and explanations read what comes before them."""


class Network:
    """A network for inputs of one shape.

    All parameters stand in one flat array, all buffers (running statistics) in another;
    ``tensors`` are views of them. So an optimiser's step, a checkpoint and a sum over threads are
    one operation each.

    Args:
        chain: Its tree.
        input: (C, H, W) of an input, or (n,).
        device: Where it computes.
        dtype: float32; float64 for checks of gradients.
        fuse: Whether layers that often stand together are computed as one.
        frozen: Names of layers that do not learn.

    Attributes:
        chain: The tree.
        trace: The walk through it: names, shapes, counts.
        device: Where it computes.
        parameters: What training changes, flat.
        buffers: What is kept beside it, flat.
        tensors: Both by name, shaped.
        places: Where each parameter stands in ``parameters``.
        frozen: Where those stand that do not learn.

    Raises:
        SpecError: A layer cannot have the shape that it gets.

    Example:
        >>> from cnntool.nn import parse
        >>> net = Network(parse("conv 6 5 | relu | maxpool 2 | flatten | dense 10"), (1, 28, 28))
        >>> net.initialise(seed=1)
        >>> net.predict(np.ones((1, 28, 28, 3), np.float32)).shape
        (10, 3)
    """

    def __init__(
        self,
        chain: Chain,
        input: Shape,
        *,
        device: Backend | None = None,
        dtype: Any = np.float32,
        fuse: bool = True,
        frozen: Collection[str] = (),
    ) -> None:
        self.chain, self.trace = chain, trace(chain, input)
        self.device = backend.get("cpu") if device is None else device
        self.dtype = np.dtype(dtype)
        xp = self.device.xp
        self.places: dict[str, slice] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        kept: dict[str, slice] = {}
        for row in self.trace.rows:
            for tensors, places in ((row.parameters, self.places), (row.buffers, kept)):
                for tensor in tensors:
                    name = f"{row.name}.{tensor.name}"
                    start = _length(places)
                    places[name] = slice(start, start + tensor.size)
                    shapes[name] = tensor.shape
        self.parameters = xp.zeros(_length(self.places), dtype=self.dtype)
        self.buffers = xp.zeros(_length(kept), dtype=self.dtype)
        self._shapes, self._kept, self._shared = shapes, kept, False
        self.tensors: dict[str, Array] = {
            **self.views(self.parameters, self.places),
            **self.views(self.buffers, kept),
        }
        self.layers: Sequence = build(chain, self.trace, fuse=fuse, frozen=frozen)
        self.frozen = [
            place for name, place in self.places.items() if name.rpartition(".")[0] in frozen
        ]

    @property
    def input(self) -> Shape:
        """Shape of one input."""
        return self.trace.input

    @property
    def output(self) -> Shape:
        """Shape of one output."""
        return self.trace.output

    def views(self, flat: Array, places: Mapping[str, slice] | None = None) -> dict[str, Array]:
        """Parts of a flat array, such as gradients, by name and shaped."""
        places = self.places if places is None else places
        return {name: flat[place].reshape(self._shapes[name]) for name, place in places.items()}

    def initialise(self, seed: int = 0, scheme: str | None = None) -> None:
        """Fill all weights with random numbers.

        Args:
            seed: Same seed, same weights.
            scheme: A key of :data:`cnntool.nn.init.SCHEMES`; None picks by the network.
        """
        host = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}
        init.initialise(self.trace.rows, host, scheme or init.scheme_for(self.chain), seed)
        self.load(host)

    def load(self, values: Mapping[str, Array]) -> None:
        """Copy all weights from arrays by name.

        Raises:
            ModelFileError: A name or shape that does not fit; nothing is changed then.
        """
        missing = [name for name in self.tensors if name not in values]
        unknown = [name for name in values if name not in self.tensors]
        if missing or unknown:
            found = f"{missing[0]} is missing" if missing else f"{unknown[0]} belongs to no layer"
            raise ModelFileError(
                f"the weights do not fit the network: {found} ({len(missing)} missing, "
                f"{len(unknown)} unknown); take the specification that they were trained with"
            )
        for name, value in values.items():
            if tuple(value.shape) != self._shapes[name]:
                raise ModelFileError(
                    f"the weights do not fit the network: {name} has shape {tuple(value.shape)}, "
                    f"the network needs {self._shapes[name]}"
                )
        for name, value in values.items():
            self.tensors[name][...] = self.device.to_device(value).astype(self.dtype, copy=False)

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of all weights by name, in main memory."""
        return {name: np.array(self.device.to_host(x)) for name, x in self.tensors.items()}

    def forward(self, x: Array, run: Run, *, logits: bool = False) -> tuple[Array, Backward | None]:
        """The outputs of a batch, and their gradient's function.

        Args:
            x: (C, H, W, N) or (n, N), on the network's device, of its type.
            run: The pass; :meth:`run` makes one.
            logits: Whether a last softmax or sigmoid is left out.

        Raises:
            ShapeError: The batch does not have the network's input shape.
        """
        self.check_inputs(x)
        layers = self.layers
        if logits and self.ends_in_probabilities:
            layers = Sequence(layers.parts[:-1])
        return layers.forward(x, run)

    def check_inputs(self, x: Array) -> None:
        """Refuse inputs of another shape.

        Raises:
            ShapeError: They do not fit.
        """
        found = tuple(x.shape[:-1])
        if found != self.input:
            raise ShapeError(
                f"the network takes inputs {times(self.input)}, got "
                f"{times(found) if found else 'a single number'}; resize them, or build the "
                "network for this size"
            )

    @property
    def ends_in_probabilities(self) -> bool:
        """Whether the last layer is a softmax or sigmoid."""
        last = self.chain.items[-1]
        return isinstance(last, Layer) and last.word in OUTPUT_WORDS

    def run(self, **options: Any) -> Run:
        """A pass with this network's weights; see :class:`Run` for the options."""
        return Run(tensors=self.tensors, **options)

    def predict(
        self, x: Array, *, threads: int = 1, batch: int = 64, logits: bool = False
    ) -> Array:
        """Outputs for any number of inputs; nothing is learned and nothing is random.

        For many inputs on several cores :class:`cnntool.nn.predictor.Predictor` is faster.

        Args:
            x: (C, H, W, N) or (n, N), on the network's device; smaller types are converted.
            threads: Threads that share the work of single operations.
            batch: Most inputs at a time; the memory grows with it.
            logits: Whether a last softmax or sigmoid is left out.

        Raises:
            ShapeError: The inputs do not have the network's shape.
        """
        self.check_inputs(x)
        xp, count, batch = self.device.xp, x.shape[-1], max(1, batch)
        y = xp.empty((*self.output, count), dtype=self.dtype)
        run = self.run(threads=threads)
        for first in range(0, count, batch):
            part = xp.ascontiguousarray(x[..., first : first + batch])
            y[..., first : first + batch] = self.forward(
                part.astype(self.dtype, copy=False), run, logits=logits
            )[0]
        return y

    def team(self, workers: int, work: Work, *others: Network) -> Team:
        """Workers for this network, which see its weights however they change.

        Args:
            workers: How many; one on a GPU.
            work: What each does with its part of a batch.
            others: More networks that they work with.
        """
        if self.device.is_gpu:
            return ThreadTeam(1, work)
        networks = (self, *others)
        tensors = (t for one in networks for row in one.trace.rows for t in row.buffers)
        reduced = max((4 * tensor.size for tensor in tensors), default=0)
        found = processes.team(workers, work, reduced=reduced + 16)
        if found.workers > 1:
            for one in networks:
                one._share(found)
        return found

    def _share(self, team: Team) -> None:
        """Move the weights to where workers see them."""
        if self._shared:
            return
        for name in ("parameters", "buffers"):
            old = getattr(self, name)
            new = team.empty(old.shape, old.dtype)
            new[...] = old
            setattr(self, name, new)
        self._shared = True
        self.tensors.update(self.views(self.parameters, self.places))
        self.tensors.update(self.views(self.buffers, self._kept))


def _length(places: dict[str, slice]) -> int:
    """Where the last place ends: they lie in the order in which they were made."""
    return int(next(reversed(places.values()), slice(0)).stop)
