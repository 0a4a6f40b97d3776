"""From a tree back to text, in one spelling: what is given by its place first, then keys."""

from __future__ import annotations

from cnntool.nn.layer_words import LAYERS
from cnntool.nn.nodes import Chain, Concat, Layer, Node, Pooled, Repeat, Residual, Skip
from cnntool.nn.values import Pair


def format_layer(layer: Layer) -> str:
    """One layer.

    Example:
        >>> from cnntool.nn.layer_values import layer
        >>> format_layer(layer("conv", out=8, kernel=(3, 5), stride=2, bias=False))
        'conv 8 3x5 2 bias=no'
    """
    entry, given = LAYERS[layer.word], dict(layer.given)
    parts = [entry.word]
    for setting in entry.settings:
        if setting.name in given or setting.spelled:
            text = setting.kind.write(given.get(setting.name, setting.default))
            parts.append(text if setting.label else f"{setting.name}={text}")
    return " ".join(parts)


def format_node(node: Node) -> str:
    """One item of a chain."""
    if isinstance(node, Layer):
        return format_layer(node)
    if isinstance(node, Repeat):
        return f"({format_chain(node.body)})*{node.times}"
    if isinstance(node, Residual):
        shortcut = "" if node.shortcut is None else f", {format_chain(node.shortcut)}"
        return f"residual({format_chain(node.main)}{shortcut})"
    if isinstance(node, Concat):
        return f"concat({', '.join(map(format_chain, node.branches))})"
    if isinstance(node, Skip):
        return f"skip({format_chain(node.body)})"
    return f"pooled {Pair().write(node.kernel)} ({format_chain(node.body)})"


def format_chain(chain: Chain) -> str:
    """A whole network in one line."""
    return " | ".join(map(format_node, chain.items))


def outline(node: Node) -> str:
    """One item without what is in its parentheses.

    Example:
        >>> outline(Skip(Chain((Layer("relu"),))))
        'skip(…)'
    """
    if isinstance(node, Layer):
        return format_layer(node)
    if isinstance(node, Pooled):
        return f"pooled {Pair().write(node.kernel)} (…)"
    return {Residual: "residual(…)", Concat: "concat(…)", Skip: "skip(…)"}.get(type(node), "(…)")
