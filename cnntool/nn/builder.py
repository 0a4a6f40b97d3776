"""From the tree of a network to layers that compute, joined as the tree says.

The rows of a trace come in the order in which layers run, so the tree is walked in that order and
takes one row after another. What often stands together is made one layer: a convolution with its
batch normalisation, ReLU and max pool, a dense layer or sum with its ReLU.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Sequence as Sequenced

from cnntool.nn import nodes
from cnntool.nn.layer_rows import LayerRow, Trace
from cnntool.nn.layer_values import settings
from cnntool.nn.layers.convolution import Conv, NormalizedConv
from cnntool.nn.layers.dense import Dense
from cnntool.nn.layers.frozen import Frozen
from cnntool.nn.layers.joints import Block, Concat, Pooled, Residual, Sequence, Skip
from cnntool.nn.layers.normalization import BatchNorm
from cnntool.nn.layers.table import LAYER_TYPES
from cnntool.nn.layers.tap import Tap

Unrolled = nodes.Layer | nodes.Residual | nodes.Concat | nodes.Skip | nodes.Pooled

NO_POOL = (1, 1)


def build(
    chain: nodes.Chain,
    trace: Trace,
    *,
    fuse: bool = True,
    taps: bool = False,
    frozen: Collection[str] = (),
) -> Sequence:
    """The layers of a network.

    Args:
        chain: Its tree.
        trace: The walk through it.
        fuse: Whether to join layers.
        taps: Whether a run's observer sees every layer's output: a :class:`Tap` stands behind each,
            and none are joined.
        frozen: Names of layers that do not learn.

    Example:
        >>> from cnntool.nn import parse, trace
        >>> net = parse("conv 6 5 | relu | maxpool 2 | flatten | dense 10")
        >>> [part.name for part in build(net, trace(net, (1, 28, 28))).parts]
        ['0.conv', '3.flatten', '4.dense']
    """
    return _Builder(trace, fuse and not taps, taps, frozen).chain(chain, first=True)


class _Builder:
    """Takes the rows one after another."""

    def __init__(self, trace: Trace, fuse: bool, taps: bool, frozen: Collection[str]) -> None:
        self._rows, self._taken = trace.rows, 0
        self.fuse, self.taps, self.frozen = fuse, taps, frozen

    def row(self) -> LayerRow:
        """The row of the next layer."""
        self.last = self._rows[self._taken]
        self._taken += 1
        return self.last

    def learning(self, rows: Sequenced[LayerRow]) -> set[bool]:
        """Whether layers learn: False, True or both; empty if none has weights."""
        return {row.name not in self.frozen for row in rows if row.parameters}

    def chain(self, chain: nodes.Chain, *, first: bool) -> Sequence:
        """The layers of a chain; ``first`` while nothing before them learns."""
        waiting = list(nodes.unrolled(chain))
        parts: list[Block] = []
        while waiting:
            taken = self.fused(waiting) if self.fuse else 1
            before = self._taken
            if taken > 1 and len(self.learning(self._rows[before : before + taken])) > 1:
                taken = 1  # one of them learns, another one does not
            group, waiting = waiting[:taken], waiting[taken:]
            part = self.group(group, first) if taken > 1 else self.node(group[0], first)
            learning = self.learning(self._rows[before : self._taken])
            parts.append(Frozen(part, first=first) if learning == {False} else part)
            if self.taps:
                parts.append(Tap(self.last))
            first = first and True not in learning
        return Sequence(parts)

    def fused(self, waiting: Sequenced[Unrolled]) -> int:
        """How many nodes from the first on are one layer."""
        head, second, third = (*waiting[:3], None, None)[:3]
        if isinstance(head, nodes.Residual) or _is(head, "dense"):
            return 2 if _is(second, "relu") else 1
        if not isinstance(head, nodes.Layer) or head.word != "conv":
            return 1
        if settings(head).whole("depth"):
            return 1
        if _is(second, "batchnorm"):
            return 3 if _is(third, "relu") else 2
        if not _is(second, "relu"):
            return 1
        return 2 if pool_window(third) == NO_POOL else 3

    def group(self, group: Sequenced[Unrolled], first: bool) -> Block:
        """A layer with what follows it."""
        head, *behind = group
        if isinstance(head, nodes.Residual):
            found = self.residual(head, first, relu=True)
            self.row()
            return found
        row = self.row()
        rows = [self.row() for _ in behind]
        if _is(head, "dense"):
            return Dense(row, first=first, relu=True)
        if _is(behind[0], "batchnorm"):
            conv = Conv(row, first=first)
            return NormalizedConv(conv, BatchNorm(rows[0]), relu=len(behind) > 1)
        pool = pool_window(behind[1]) if len(behind) > 1 else NO_POOL
        return Conv(row, first=first, relu=True, pool=pool)

    def node(self, node: Unrolled, first: bool) -> Block:
        """One node."""
        if isinstance(node, nodes.Layer):
            return LAYER_TYPES[node.word](self.row(), first=first)
        if isinstance(node, nodes.Residual):
            return self.residual(node, first)
        if isinstance(node, nodes.Concat):
            branches = [self.chain(branch, first=first) for branch in node.branches]
            return Concat(self.row(), branches)
        if isinstance(node, nodes.Skip):
            body = self.chain(node.body, first=first)
            return Skip(self.row(), body)
        pool_row = self.row()
        body = self.chain(node.body, first=first)
        if self.taps:
            body = Sequence([Tap(pool_row), *body.parts])
        return Pooled(pool_row, self.row(), body)

    def residual(self, node: nodes.Residual, first: bool, *, relu: bool = False) -> Residual:
        """A sum of branches."""
        main = self.chain(node.main, first=first)
        short = None if node.shortcut is None else self.chain(node.shortcut, first=first)
        return Residual(self.row(), main, short, relu=relu)


def _is(node: nodes.Node | None, word: str) -> bool:
    return isinstance(node, nodes.Layer) and node.word == word


def pool_window(node: nodes.Node | None) -> tuple[int, int]:
    """The window of a max pool whose windows lie side by side without padding; (1, 1) if none."""
    if not isinstance(node, nodes.Layer) or node.word != "maxpool":
        return NO_POOL
    given = settings(node)
    kernel = given.pair("kernel")
    plain = (
        given.pair("stride") == kernel
        and given.sides("pad") == (0, 0, 0, 0)
        and given.pair("dilation") == (1, 1)
        and not given.flag("ceil")
        and not given.whole("depth")
    )
    return kernel if plain else NO_POOL
