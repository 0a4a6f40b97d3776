"""A network opened: every layer seen, any layer an end, gradients from there to the picture."""

from __future__ import annotations

from cnntool.backend import Array
from cnntool.errors import NameNotFound
from cnntool.nn.builder import build
from cnntool.nn.layer import Backward
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.layers.joints import Block, Concat, Pooled, Residual, Sequence, Skip
from cnntool.nn.layers.pooling import MaxPool
from cnntool.nn.layers.tap import Tap
from cnntool.nn.network import Network
from cnntool.nn.observer import Observer


class ObservedNetwork:
    """The layers of a network one by one, with its weights, for those who want to look inside.

    It predicts, and neither trains nor changes anything. Layers are never joined, so it is somewhat
    slower than the network itself, and its numbers differ from that by rounding.

    Args:
        network: Its weights are used in place; later changes of them count.

    Attributes:
        network: The network.
        rows: Row of each layer by its name, in the order in which they run.
        layers: The layers, a tap behind each.

    Example:
        The gradient of the largest number of a map in the middle, at the input:

        >>> import numpy as np
        >>> from cnntool.nn import parse
        >>> net = Network(parse("conv 4 3 | relu | flatten | dense 3"), (1, 5, 6))
        >>> net.initialise(seed=1)
        >>> opened = ObservedNetwork(net)
        >>> list(opened.rows)
        ['0.conv', '1.relu', '2.flatten', '3.dense']
        >>> x = np.ones((1, 5, 6, 2), np.float32)
        >>> maps, backward = opened.forward(x, end="1.relu", gradient=True)
        >>> grad = np.zeros_like(maps)
        >>> grad[2, 1, 3] = 1  # of the neuron in row 1 and column 3 of map 2, for both pictures
        >>> backward(grad).shape
        (1, 5, 6, 2)

        An :class:`Observer` sees every layer on the way, and can change what it sees.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.rows = {row.name: row for row in network.trace.rows}
        self.layers = build(network.chain, network.trace, taps=True)
        self._ways: dict[str, Sequence] = {}

    def forward(
        self,
        x: Array,
        observer: Observer | None = None,
        *,
        end: str | None = None,
        gradient: bool = False,
        threads: int = 1,
    ) -> tuple[Array, Backward | None]:
        """The output of the network, or of a layer, and its gradient's function.

        What the layer does not need is not computed: branches beside it, layers behind it.

        Args:
            x: (C, H, W, N) or (n, N), on the network's device, of its type.
            observer: Who looks on.
            end: Name of the layer; None: the last one but a softmax or sigmoid at the end, so that
                scores come out as they are before.
            gradient: Whether the gradient's function is given; it gives that at the input.
            threads: Threads that one operation may use where no gradient is wanted.

        Raises:
            ShapeError: The batch does not have the network's input shape.
            NameNotFound: There is no such layer.
        """
        self.network.check_inputs(x)
        run = self.network.run(observer=observer, input_gradient=gradient, threads=threads)
        return self._to(end or self.last).forward(x, run)

    @property
    def last(self) -> str:
        """The layer whose output are the scores: the last one but a softmax or sigmoid."""
        names = list(self.rows)
        return names[-2] if self.network.ends_in_probabilities and len(names) > 1 else names[-1]

    def row(self, name: str) -> LayerRow:
        """The row of a layer.

        Raises:
            NameNotFound: There is no such layer.
        """
        if name not in self.rows:
            raise NameNotFound.among("layer", name, self.rows)
        return self.rows[name]

    def path(self, name: str) -> list[LayerRow]:
        """Rows of the layers that lead from the input to a layer, that one last.

        Joints that are passed as a whole count as one; branches beside the way do not count.

        Raises:
            NameNotFound: There is no such layer.

        Example:
            >>> from cnntool.nn import parse
            >>> chain = parse("conv 2 1 | residual(relu | conv 2 1) | concat(tanh, relu)")
            >>> net = Network(chain, (1, 3, 4))
            >>> [row.name for row in ObservedNetwork(net).path("2.branch1.relu")]
            ['0.conv', '1.add', '2.branch1.relu']
        """
        return [part.row for part in self._to(name).parts if isinstance(part, Tap)]

    def _to(self, name: str) -> Sequence:
        """The blocks from the input to the output of a layer."""
        if name not in self._ways:
            self.row(name)
            way = _way(self.layers, name)
            if way is None:
                raise RuntimeError(f"{name} has a row and no tap")
            self._ways[name] = Sequence(way)
        return self._ways[name]


def _way(block: Block, name: str) -> list[Block] | None:
    """Blocks from the input of ``block`` to the tap of a layer in it; None if it has none."""
    if isinstance(block, Sequence):
        passed: list[Block] = []
        for part in block.parts:
            if isinstance(part, Tap) and part.row.name == name:
                return [*passed, part]
            inner = _way(part, name)
            if inner is not None:
                return [*passed, *inner]
            passed.append(part)
    for branch in _branches(block):
        inner = _way(branch, name)
        if inner is not None:
            pool = [MaxPool(block.pool_row)] if isinstance(block, Pooled) else []
            return [*pool, *inner]
    return None


def _branches(block: Block) -> tuple[Block, ...]:
    """What reads the input of a joint; of a layer nothing."""
    if isinstance(block, Residual):
        return (block.main,) if block.shortcut is None else (block.main, block.shortcut)
    if isinstance(block, Concat):
        return block.branches
    return (block.body,) if isinstance(block, Skip | Pooled) else ()
