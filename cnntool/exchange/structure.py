"""A graph of values turned into the nested chains of a specification.

Where values meet again (a sum, a stack of maps) the nearest value that all ways to them go through
is where they parted: the immediate dominator of the joint, found as the nearest common ancestor in
the tree of dominators. What lies between becomes the branches of ``residual``, ``concat``, ``skip``
or ``pooled``, and so on inside of them. A graph whose ways cross cannot be written so, and is
refused.

References:
    Cooper, Harvey, Kennedy 2001, A simple, fast dominance algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnntool.nn.facts import Shape
from cnntool.nn.nodes import MAX_DEPTH, Chain, Concat, Layer, Node, Pooled, Residual, Skip

Weights = Mapping[str, NDArray[np.float32]]

ITSELF = Layer("dropout", (("p", 0.0),))
"""A layer that gives what it gets: a branch needs one at least."""


class NotNested(ValueError):
    """A graph that chains cannot describe; the text says what is wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A layer with its arrays by their own names.

    Attributes:
        layer: The layer.
        weights: Its parameters and buffers.
    """

    layer: Layer
    weights: Weights = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Value:
    """What flows between layers.

    Attributes:
        shape: Without the batch.
        parents: What it is made from; none for the network's input.
        pieces: Layers that make it from its only parent.
        join: How it is made from several: ``add``, ``concat``, or ``unpool`` from what the layers
            inside give and the values before pooling.
        label: What the file calls it, for messages.
        above: The nearest value that all ways from the input go through.
        depth: How many such values lie above it.
    """

    shape: Shape
    parents: tuple[Value, ...] = ()
    pieces: list[Piece] = field(default_factory=list)
    join: str = ""
    label: str = ""
    above: Value | None = None
    depth: int = 0

    def __post_init__(self) -> None:
        if self.parents:
            self.above = self.parents[0]
            for parent in self.parents[1:]:
                self.above = _common(self.above, parent)
            if self.join == "unpool":
                self.above = self.parents[1]
            self.depth = self.above.depth + 1


def _common(a: Value, b: Value) -> Value:
    """The nearest value that all ways to both go through."""
    while a is not b:
        if a.depth < b.depth:
            a, b = b, a
        if a.above is None:
            raise NotNested("values that come from different inputs meet")
        a = a.above
    return a


def _grouped(parents: tuple[Value, ...], start: Value) -> tuple[Value, ...]:
    """Neighbours that part later than the rest, as stacks of their own: exporters melt them."""
    found: list[Value] = []
    run: list[Value] = []
    common = start
    for parent in parents:
        together = _common(common, parent) if run else start
        if run and together is not start:
            run.append(parent)
            common = together
            continue
        found += _stacked(run)
        run, common = [parent], parent
    return tuple(found + _stacked(run))


def _stacked(run: list[Value]) -> list[Value]:
    if len(run) < 2:
        return run
    maps = sum(value.shape[0] for value in run)
    shape = (maps, *run[0].shape[1:])
    return [Value(shape, tuple(run), join="concat", label=run[0].label)]


@dataclass(frozen=True, slots=True)
class Nested:
    """A network as chains.

    Attributes:
        chain: The tree; each of its layers is an object of its own.
        pieces: The layers with their arrays, in the order in which the tree's run.
    """

    chain: Chain
    pieces: tuple[Piece, ...]


def nested(output: Value, start: Value) -> Nested:
    """The chains from ``start`` to ``output``.

    Raises:
        NotNested: They cross, or are nested too deep.

    Example:
        >>> x = Value((2, 3, 4))
        >>> y = Value((2, 3, 4), (x,), [Piece(Layer("relu"))])
        >>> total = Value((2, 3, 4), (y, x), join="add")
        >>> nested(total, x).chain.items[0].main.items
        (Layer(word='relu', given=()),)
    """
    walk = _Walk()
    items = walk.between(output, start, 0)
    return Nested(Chain(tuple(items or [ITSELF])), tuple(walk.pieces(items)))


class _Walk:
    """Goes back from values to what they come from, each of them once."""

    def __init__(self) -> None:
        self.seen: dict[int, Value] = {}  # kept alive, so that no other gets the same number
        self.found: dict[int, Piece] = {}

    def between(self, value: Value, start: Value, depth: int) -> list[Node]:
        """Nodes that make ``value`` from ``start``."""
        if depth > MAX_DEPTH:
            raise NotNested(f"branches lie more than {MAX_DEPTH} deep in one another")
        parts: list[list[Node]] = []
        while value is not start:
            if id(value) in self.seen:
                raise NotNested(f"'{value.label}' goes into branches that meet in different places")
            self.seen[id(value)] = value
            if value.above is None:
                raise NotNested("a way from the output does not lead to the input")
            if value.join:
                parts.append([self.joint(value, value.above, depth)])
            else:
                parts.append([self.layer(piece) for piece in value.pieces])
            value = value.above
        return [node for part in reversed(parts) for node in part]

    def layer(self, piece: Piece) -> Layer:
        """The layer of a piece, which is found again by what it is, not by what it says."""
        self.found[id(piece.layer)] = piece
        return piece.layer

    def joint(self, value: Value, start: Value, depth: int) -> Node:
        """The node that makes a value from several."""
        if value.join == "unpool":
            return self.pooled(value, depth)
        parents = value.parents if value.join == "add" else _grouped(value.parents, start)
        ends = [self.between(parent, start, depth + 1) for parent in parents]
        if value.join == "add":
            main, short = sorted(ends, key=len, reverse=True)  # equal ones stay in their order
            if not main:
                raise NotNested(f"'{value.label}' adds a value to itself")
            return Residual(Chain(tuple(main)), Chain(tuple(short)) if short else None)
        if len(ends) == 2 and not ends[0] and ends[1]:
            return Skip(Chain(tuple(ends[1])))
        return Concat(tuple(Chain(tuple(end or [ITSELF])) for end in ends))

    def pooled(self, value: Value, depth: int) -> Node:
        """Max pooling, what runs inside, and unpooling."""
        inside, before = value.parents
        pool = inside
        while pool.above is not None and pool.above is not before:
            pool = pool.above
        words = [piece.layer.word for piece in pool.pieces]
        if pool.above is not before or words != ["maxpool"]:
            raise NotNested(f"'{value.label}' unpools to maxima of another place")
        kernel = dict(pool.pieces[0].layer.given)["kernel"]
        if not isinstance(kernel, tuple):
            raise TypeError("a pooling window has rows and columns")
        self.seen[id(pool)] = pool
        body = self.between(inside, pool, depth + 1)
        return Pooled((kernel[0], kernel[1]), Chain(tuple(body or [ITSELF])))

    def pieces(self, items: Sequence[Node]) -> list[Piece]:
        """All layers in the order in which they run."""
        found: list[Piece] = []
        for node in items:
            if isinstance(node, Layer):
                found += [self.found[id(node)]] if id(node) in self.found else [Piece(node)]
            elif isinstance(node, Residual):
                found += self.pieces(node.main.items)
                found += self.pieces(node.shortcut.items) if node.shortcut else []
            elif isinstance(node, Concat):
                found += [piece for branch in node.branches for piece in self.pieces(branch.items)]
            elif isinstance(node, Skip | Pooled):
                found += self.pieces(node.body.items)
        return found
