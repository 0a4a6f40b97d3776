"""Networks: their language and what is known of them without computing anything.

A network is a text, read into a tree of layers; a walk through the tree with the shape of an input
gives every layer's output, parameters, arithmetic and receptive field::

    >>> from cnntool.nn import parse, trace
    >>> net = parse("conv 8 3 | relu | maxpool 2 | flatten | dense 10")
    >>> found = trace(net, (1, 28, 28))
    >>> found.output, found.params, found.macs
    ((10,), 13610, 62192)

* :mod:`tokens`, :mod:`spec_parser`, :mod:`spec_text`, :mod:`spec`: text to tree and back
* :mod:`nodes`: the tree
* :mod:`layer_words`: the closed table of layers; :mod:`settings`, :mod:`values`,
  :mod:`layer_values`: what they take
* :mod:`window_rules`, :mod:`pool_rules`, :mod:`other_rules`, :mod:`windows`: shapes and counts
* :mod:`shapes`, :mod:`layer_rows`, :mod:`fields`: the walk, its rows, receptive fields
* :mod:`calculator`, :mod:`solver`: one layer forwards and backwards

All of it is arithmetic with integers: this part of the package never loads NumPy.
"""

from __future__ import annotations

from cnntool.nn.layer_rows import LayerRow, Trace
from cnntool.nn.shapes import trace
from cnntool.nn.spec import Spec, format_spec, parse

__all__ = ["LayerRow", "Spec", "Trace", "format_spec", "parse", "trace"]
