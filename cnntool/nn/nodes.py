"""What a specification says, as a tree: layers in chains, and chains side by side.

The tree holds words and numbers only. Two texts that mean the same give equal trees: places in the
text do not count, and settings that are left out equal settings that are written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cnntool.errors import SpecError
from cnntool.grammar import NOWHERE, Place

MAX_LAYERS = 10_000
"""Most layers of a network, repeated groups counted as often as they run."""

MAX_DEPTH = 64
"""Deepest nesting of parentheses."""

Value = int | float | bool | str | tuple[int, ...] | None
"""A setting: a number, several (sizes, sides), yes or no, a word; None where it follows another."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: a word and its settings.

    Attributes:
        word: A key of :data:`cnntool.nn.layer_words.LAYERS`.
        given: Settings that differ from the defaults, in the order of that table.
        place: Where it stands.
    """

    word: str
    given: tuple[tuple[str, Value], ...] = ()
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """Nodes one after another; never empty."""

    items: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise SpecError("a chain of layers is empty; put at least one layer into it")


@dataclass(frozen=True, slots=True)
class Repeat:
    """A group that stands ``times`` times in a row, at least twice, with weights of its own."""

    body: Chain
    times: int
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Residual:
    """``main`` plus ``shortcut``; without a shortcut plus the input."""

    main: Chain
    shortcut: Chain | None = None
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Concat:
    """Branches that read the same input; their channels are joined in order."""

    branches: tuple[Chain, ...]
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Skip:
    """The input's channels in front of those of ``body``."""

    body: Chain
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Pooled:
    """Max pooling, ``body``, and unpooling to where the maxima were.

    Attributes:
        kernel: Rows and columns of the window, which is also the stride.
        body: What runs at the smaller size.
    """

    kernel: tuple[int, int]
    body: Chain
    place: Place = field(default=NOWHERE, compare=False, repr=False)


Node = Layer | Repeat | Residual | Concat | Skip | Pooled


def chains(node: Node) -> tuple[Chain, ...]:
    """The chains inside a node, in the order of the text.

    Example:
        >>> len(chains(Residual(Chain((Layer("relu"),)))))
        1
    """
    if isinstance(node, Residual):
        return (node.main,) if node.shortcut is None else (node.main, node.shortcut)
    if isinstance(node, Concat):
        return node.branches
    return () if isinstance(node, Layer) else (node.body,)


def layer_count(chain: Chain, depth: int = 0) -> int:
    """How many layers run: what stands in a repeated group counts every time.

    Adding and joining branches count as a layer each, ``pooled`` as two.

    Raises:
        SpecError: The network is nested too deep.

    Example:
        >>> layer_count(Chain((Repeat(Chain((Layer("relu"),)), 3), Layer("flatten"))))
        4
    """
    if depth > MAX_DEPTH:
        raise SpecError(f"the network is nested more than {MAX_DEPTH} deep; nest it less")
    total = 0
    for node in chain.items:
        inside = sum(layer_count(part, depth + 1) for part in chains(node))
        if isinstance(node, Repeat):
            total += node.times * inside
        else:
            total += inside + (2 if isinstance(node, Pooled) else 1)
    return total


def check_size(chain: Chain) -> None:
    """Refuse a network that is too large to walk through.

    Raises:
        SpecError: It has more than :data:`MAX_LAYERS` layers or is nested too deep.
    """
    if layer_count(chain) > MAX_LAYERS:
        raise SpecError(f"the network has more than {MAX_LAYERS} layers; repeat less often")


def unrolled(chain: Chain) -> Iterator[Layer | Residual | Concat | Skip | Pooled]:
    """The nodes of a chain in the order in which they run, repeated groups written out.

    Example:
        >>> chain = Chain((Repeat(Chain((Layer("relu"), Layer("tanh"))), 2),))
        >>> [node.word for node in unrolled(chain)]
        ['relu', 'tanh', 'relu', 'tanh']
    """
    for node in chain.items:
        if isinstance(node, Repeat):
            for _ in range(node.times):
                yield from unrolled(node.body)
        else:
            yield node


def leaves(chain: Chain) -> Iterator[Layer]:
    """Every layer of the text once, branches included, in the order of the text."""
    for node in chain.items:
        if isinstance(node, Layer):
            yield node
        for part in chains(node):
            yield from leaves(part)
