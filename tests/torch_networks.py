"""Narrow copies of torchvision's networks, with weights and logits that torch made.

The files come from tests/golden/make_torch_weights.py.
"""

import dataclasses
import pathlib

import numpy as np
from safetensors.numpy import load_file

from cnntool.nn.nodes import Chain, Concat, Layer, Repeat, Residual

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
NETWORKS = ("alexnet", "vgg11", "resnet18", "resnet50", "googlenet")
CLASSES = 7


def narrow(node):
    """The same with 1/16 of the maps and 1/256 of the hidden numbers."""
    if isinstance(node, Chain):
        return dataclasses.replace(node, items=tuple(map(narrow, node.items)))
    if isinstance(node, Repeat):
        return dataclasses.replace(node, body=narrow(node.body))
    if isinstance(node, Residual):
        short = None if node.shortcut is None else narrow(node.shortcut)
        return dataclasses.replace(node, main=narrow(node.main), shortcut=short)
    if isinstance(node, Concat):
        return dataclasses.replace(node, branches=tuple(map(narrow, node.branches)))
    assert isinstance(node, Layer)
    out = dict(node.given).get("out")
    if out is None or (node.word == "dense" and out == CLASSES):
        return node
    out = max(1, out // (256 if node.word == "dense" else 16))
    return dataclasses.replace(node, given=tuple({**dict(node.given), "out": out}.items()))


def golden(name):
    """State dict, pictures (C, H, W, N) as the network wants them, logits (classes, N)."""
    state = load_file(GOLDEN / f"torch_{name}.safetensors")
    pictures, logits = state.pop("pictures"), state.pop("logits")
    x = (pictures.transpose(1, 2, 3, 0).astype(np.float32) - 128) / 64
    return state, np.ascontiguousarray(x), logits.T
