"""Weights that torch made, loaded by name, give torch's logits.

The files come from tests/golden/make_torch_weights.py.
"""

import numpy as np
import pytest
from torch_networks import CLASSES, NETWORKS, golden, narrow

from cnntool.models import create
from cnntool.models.torch_names import rename
from cnntool.nn.network import Network


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
