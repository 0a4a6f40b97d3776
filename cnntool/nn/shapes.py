"""A network walked through for one input: every layer's shape, parameters, arithmetic and field.

Nothing is computed but integers. What a layer cannot do is an error that names it, its place in the
text, its input, the formula with numbers, and two ways out.
"""

from __future__ import annotations

from math import prod

from cnntool.errors import SpecError
from cnntool.grammar import shown
from cnntool.nn.facts import MAX_NUMBERS, Facts, Misfit, Shape, times
from cnntool.nn.fields import Field
from cnntool.nn.layer_rows import LayerRow, Trace
from cnntool.nn.layer_values import settings
from cnntool.nn.layer_words import LAYERS
from cnntool.nn.nodes import (
    Chain,
    Concat,
    Layer,
    Node,
    Pooled,
    Residual,
    Skip,
    check_size,
    unrolled,
)
from cnntool.nn.spec_text import format_layer, outline


def trace(chain: Chain, input: Shape, batch: int = 1) -> Trace:
    """Walk through a network.

    Args:
        chain: Its tree.
        input: (C, H, W) of one input, or (n,).
        batch: Inputs at a time; only the memory of activations grows with it.

    Raises:
        SpecError: A layer cannot have the shape that it gets, or the network is too large.

    Example:
        >>> from cnntool.nn.spec import parse
        >>> found = trace(parse("conv 6 5 pad=2 | relu | maxpool 2"), (1, 28, 28))
        >>> [(row.name, row.output) for row in found.rows]
        [('0.conv', (6, 28, 28)), ('1.relu', (6, 28, 28)), ('2.maxpool', (6, 14, 14))]
        >>> found.params, found.macs, found.rows[-1].receptive_field
        (156, 117600, (6, 6))
    """
    check_size(chain)
    if len(input) not in (1, 3) or min(input) < 1 or prod(input) > MAX_NUMBERS:
        raise SpecError(
            f"an input of {'×'.join(map(str, input)) or 'nothing'} is none; write CxHxW such as "
            "1x28x28, or the length of a vector"
        )
    whole = (input[1], input[2]) if len(input) == 3 else (1, 1)
    walk = _Walk(batch)
    walk.chain(chain, input, Field(whole, grid=len(input) == 3), "", numbered=True)
    return Trace(input, tuple(walk.rows))


class _Walk:
    """Collects the rows; shape and field go in and out of every step."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.rows: list[LayerRow] = []

    def chain(
        self, chain: Chain, shape: Shape, field: Field, path: str, *, numbered: bool = False
    ) -> tuple[Shape, Field]:
        """All nodes of a chain.

        In a branch whose layers all have different words, the words alone are their names.
        """
        nodes = list(unrolled(chain))
        words = [node.word for node in nodes if isinstance(node, Layer)]
        numbered = numbered or len(set(words)) < len(nodes)
        for number, node in enumerate(nodes):
            here = f"{path}{number}." if numbered else path
            shape, field = self.node(node, shape, field, here)
        return shape, field

    def node(self, node: Node, shape: Shape, field: Field, path: str) -> tuple[Shape, Field]:
        """One node; ``path`` ends in a dot."""
        if isinstance(node, Layer):
            return self.layer(node, shape, field, path)
        if isinstance(node, Residual):
            return self.residual(node, shape, field, path)
        if isinstance(node, Concat):
            return self.concat(node, shape, field, path)
        if isinstance(node, Skip):
            return self.skip(node, shape, field, path)
        if isinstance(node, Pooled):
            return self.pooled(node, shape, field, path)
        raise TypeError(f"{type(node).__name__} is no node of an unrolled chain")

    def layer(self, layer: Layer, shape: Shape, field: Field, path: str) -> tuple[Shape, Field]:
        """One layer."""
        name = f"{path}{layer.word}"
        try:
            facts = LAYERS[layer.word].rule(settings(layer), shape)
        except Misfit as misfit:
            raise _impossible(name, layer, shape, misfit) from misfit
        return self.add(name, format_layer(layer), layer, facts, shape, facts.field(field))

    def add(
        self, name: str, spec: str, node: Node, facts: Facts, shape: Shape, field: Field
    ) -> tuple[Shape, Field]:
        """A row."""
        row = LayerRow(
            name=name,
            spec=spec,
            node=node,
            facts=facts,
            input=shape,
            field=field,
            batch=self.batch,
        )
        self.rows.append(row)
        return facts.output, field

    def join(
        self, name: str, node: Node, output: Shape, shape: Shape, field: Field
    ) -> tuple[Shape, Field]:
        """The row that adds or joins branches."""
        return self.add(name, outline(node), node, Facts(output=output), shape, field)

    def residual(
        self, node: Residual, shape: Shape, field: Field, path: str
    ) -> tuple[Shape, Field]:
        """Branches, and their sum."""
        name = f"{path}add"
        main, main_field = self.chain(node.main, shape, field, f"{path}main.")
        short, short_field = shape, field
        if node.shortcut is not None:
            short, short_field = self.chain(node.shortcut, shape, field, f"{path}shortcut.")
        if main != short:
            what = "its input" if node.shortcut is None else "shortcut"
            fix = (
                _shortcut(shape, main)
                if node.shortcut is None
                else "give both the same strides and pads"
            )
            raise _impossible(
                name,
                node,
                shape,
                Misfit(
                    f"it adds {times(main)} of main and {times(short)} of {what}",
                    f"{fix}, or let main give {times(short)}",
                ),
            )
        return self.join(name, node, main, shape, main_field.join([short_field]))

    def concat(self, node: Concat, shape: Shape, field: Field, path: str) -> tuple[Shape, Field]:
        """Branches, and their maps in one stack."""
        ends = [
            self.chain(branch, shape, field, f"{path}branch{number}.")
            for number, branch in enumerate(node.branches)
        ]
        output = self.stacked(f"{path}concat", node, shape, [found for found, _ in ends])
        joined = ends[0][1].join([other for _, other in ends[1:]])
        return self.join(f"{path}concat", node, output, shape, joined)

    def skip(self, node: Skip, shape: Shape, field: Field, path: str) -> tuple[Shape, Field]:
        """The body, and its input in front of it."""
        result, below = self.chain(node.body, shape, field, f"{path}skip.")
        output = self.stacked(f"{path}concat", node, shape, [shape, result])
        return self.join(f"{path}concat", node, output, shape, field.join([below]))

    def stacked(self, name: str, node: Node, shape: Shape, parts: list[Shape]) -> Shape:
        """The shape of several stacked along their first axis."""
        for number, part in enumerate(parts):
            if part[1:] != parts[0][1:] or len(part) != len(parts[0]):
                skip = isinstance(node, Skip)
                first = "its input" if skip else "branch 0"
                other = "what is inside" if skip else f"branch {number}"
                raise _impossible(
                    name,
                    node,
                    shape,
                    Misfit(
                        f"it joins {times(parts[0])} of {first} and {times(part)} of {other}, "
                        "whose rows and columns must agree",
                        "take pad=same and equal strides, or upsample behind what shrinks",
                    ),
                )
        return (sum(part[0] for part in parts), *parts[0][1:])

    def pooled(self, node: Pooled, shape: Shape, field: Field, path: str) -> tuple[Shape, Field]:
        """Max pooling, the body, unpooling to the stored positions."""
        pool = Layer("maxpool", (("kernel", node.kernel),), node.place)
        small, small_field = self.layer(pool, shape, field, path)
        found, body = self.chain(node.body, small, small_field, f"{path}pooled.")
        name = f"{path}unpool"
        if found != small:
            raise _impossible(
                name,
                node,
                found,
                Misfit(
                    f"it puts {times(small)} values back to where the maxima were",
                    f"let the layers inside give {times(small)}, such as conv {small[0]} 3 pad=1 "
                    "at their end, or use maxpool and upsample",
                ),
            )
        facts = Facts(output=shape)
        return self.add(name, outline(node), node, facts, found, field.unpool(body, node.kernel))


def _shortcut(shape: Shape, main: Shape) -> str:
    """What would make main's output and the input fit, as advice."""
    if len(main) != 3 or len(shape) != 3:
        return "give it a shortcut with the same output"
    stride = -(-shape[1] // main[1])
    if all(-(-shape[axis] // stride) == main[axis] for axis in (1, 2)):
        return f"give it a shortcut such as conv {main[0]} 1" + (f" {stride}" if stride > 1 else "")
    other = "" if main[0] == shape[0] else f" and a shortcut such as conv {main[0]} 1"
    return f"take pad=same in main{other}"


def _impossible(name: str, node: Node, shape: Shape, misfit: Misfit) -> SpecError:
    """The error of a layer that cannot have its input."""
    place = f" ({node.place})" if node.place.lines else ""
    return SpecError(
        f"layer {_short(name)} '{shown(outline(node))}'{place} gets {times(shape)}: "
        f"{misfit.reason}; {misfit.fix}",
        layer=name,
        input=shape,
        line=node.place.line,
        column=node.place.column,
    )


def _short(name: str) -> str:
    """A path with its middle left out if it is long."""
    parts = name.split(".")
    return name if len(parts) <= 8 else ".".join([*parts[:3], "…", *parts[-4:]])
