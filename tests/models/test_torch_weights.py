"""Weights that torch made, loaded by name, give torch's logits.

The files come from tests/golden/make_torch_weights.py.
"""

import dataclasses
import pathlib

import numpy as np
import pytest
from safetensors.numpy import load_file

from cnntool.models import create
from cnntool.models.torch_names import rename
from cnntool.nn.network import Network
from cnntool.nn.nodes import Chain, Concat, Layer, Repeat, Residual

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
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


@pytest.fixture(params=NETWORKS)
def case(request):
    state, x, logits = golden(request.param)
    chain = narrow(create(request.param, classes=CLASSES).chain)
    return request.param, chain, state, x, logits


def test_files_are_what_they_should_be(case):
    _, _, state, x, logits = case
    assert x.dtype == logits.dtype == np.float32
    assert x.shape[0] == 3 and x.shape[1] != x.shape[2] and logits.shape == (CLASSES, x.shape[3])
    assert {str(array.dtype) for key, array in state.items() if "num_batches" not in key} == {
        "float32"
    }
    # what tells the pictures apart is much larger than what a test lets pass
    assert np.ptp(logits, axis=1).max() > 0.3 * abs(logits).max()


@pytest.mark.parametrize("fuse", [True, False])
def test_logits_are_those_of_torch(case, fuse):
    name, chain, state, x, logits = case
    net = Network(chain, x.shape[:3], fuse=fuse)
    net.load(rename(state, name, net.trace))
    found = net.predict(x)
    assert found.dtype == np.float32 and found.shape == logits.shape
    assert abs(found - logits).max() <= 1e-4 * abs(logits).max()
