"""Filters of every kind of layer as planes."""

import numpy as np
import pytest
from reference_explain import subject

from cnntool.errors import NameNotFound, OptionError
from cnntool.explain.weights import filters

SPEC = (
    "conv 4 3 | relu | conv 6 2x3 groups=2 bias=no | depthwise 3 | separable 5 2 | batchnorm | "
    "deconv 3 2 2 | local 2 2 | flatten | dropout 0.1 | dense 4 | relu | dense 2"
)


@pytest.fixture(scope="module")
def one():
    return subject(SPEC, (3, 10, 12))


@pytest.mark.parametrize(("name", "shape", "coloured"), [
    ("0.conv", (4, 3, 3, 3), True),
    ("2.conv", (6, 2, 2, 3), False),
    ("3.depthwise", (6, 1, 3, 3), False),
    ("4.separable", (6, 1, 2, 2), False),
    ("12.dense", (2, 4, 1, 1), False),
])  # fmt: skip
def test_planes_are_the_weights(one, name, shape, coloured):
    found = filters(one, name)
    assert found.planes.shape == shape and found.coloured == coloured
    part = "depthwise." if "separable" in name else ""
    stored = one.plain.tensors[f"{name}.{part}weight"]
    np.testing.assert_array_equal(found.stored, stored)
    np.testing.assert_array_equal(found.planes.ravel(), stored.ravel())


def test_transposed_filters_are_turned_to_their_outputs(one):
    found = filters(one, "6.deconv")
    stored = one.plain.tensors["6.deconv.weight"]  # input maps first
    assert stored.shape == (5, 3, 2, 2) and found.planes.shape == (3, 5, 2, 2)
    np.testing.assert_array_equal(found.planes[2, 4], stored[4, 2])
    np.testing.assert_array_equal(found.stored, stored)


def test_local_filters_are_those_of_the_middle(one):
    stored = one.plain.tensors["7.local.weight"]
    rows, columns = stored.shape[4:]
    found = filters(one, "7.local")
    np.testing.assert_array_equal(found.planes, stored[..., rows // 2, columns // 2])
    assert found.stored.shape == stored.shape


def test_dense_filters_lie_as_the_maps_lay(one):
    found = filters(one, "10.dense")
    before = one.network.rows["8.flatten"].input
    assert found.planes.shape == (4, *before) and found.sees == "map"
    stored = one.plain.tensors["10.dense.weight"]
    assert found.planes[3, 1, 2, 0] == stored[3, (1 * before[1] + 2) * before[2] + 0]
    assert filters(one, "12.dense").sees == "input"


@pytest.mark.parametrize(("spec", "input", "name", "coloured"), [
    ("pad 1 | conv 2 3", (3, 5, 6), "1.conv", True),
    ("avgpool 2 | conv 2 2", (3, 5, 6), "1.conv", True),
    ("flatten | dense 2", (3, 2, 4), "1.dense", True),
    ("concat(conv 2 1, conv 2 3 pad=1)", (3, 5, 6), "0.branch1.conv", True),
    ("skip(conv 3 1) | conv 2 1", (3, 5, 6), "0.skip.conv", True),
    ("conv 3 3 | conv 2 2", (3, 5, 6), "1.conv", False),  # of maps, not of red, green, blue
    ("conv 3 3 | conv 2 2", (1, 5, 6), "1.conv", False),
    ("relu | conv 2 2", (3, 5, 6), "1.conv", False),
])  # fmt: skip
def test_colours(spec, input, name, coloured):
    assert filters(subject(spec, input), name).coloured is coloured


def test_layers_without_filters(one):
    with pytest.raises(
        OptionError,
        match=r"layer 1\.relu has no filters; these have: 0\.conv, 2\.conv, 3\.depthwise, 4\.sepa",
    ):
        filters(one, "1.relu")
    with pytest.raises(OptionError, match=r"layer 5\.batchnorm has no filters"):
        filters(one, "5.batchnorm")
    with pytest.raises(OptionError, match=r"these have: none here"):
        filters(subject("flatten", (1, 2, 1)), "0.flatten")
    with pytest.raises(NameNotFound, match="unknown layer"):
        filters(one, "conv")
