"""The maps of every layer against a computation by hand."""

import numpy as np
import pytest
from reference_explain import bars_subject, passed, subject
from trained_models import bars, changed, trained

from cnntool.errors import ModelFileError, NameNotFound
from cnntool.explain.activations import activations

IMAGE = bars(1, seed=6)[0][0]


def test_all_layers():
    found, by_hand = activations(bars_subject(), IMAGE), passed(IMAGE)
    assert list(found) == ["0.conv", "1.relu", "2.maxpool", "3.flatten", "4.dense"]
    for name, expected in (
        ("0.conv", by_hand.conv),
        ("1.relu", by_hand.relu),
        ("2.maxpool", by_hand.pool),
        ("3.flatten", by_hand.pool.ravel()),
        ("4.dense", by_hand.scores),
    ):
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-4, err_msg=name)


def test_one_layer_is_the_same_as_among_all():
    one = bars_subject()
    every = activations(one, IMAGE)
    for name, maps in every.items():
        alone = activations(one, IMAGE, name, threads=2)
        assert list(alone) == [name]
        np.testing.assert_allclose(alone[name], maps, rtol=1e-6)


def test_a_softmax_at_the_end_is_a_layer_too():
    one = subject("flatten | dense 4 | softmax", (3, 2, 5))
    found = activations(one, np.full((3, 2, 5), 77, np.uint8))
    assert found["2.softmax"].sum() == pytest.approx(1)


def test_joined_layers():
    one = subject("residual(conv 3 3 pad=1 | relu) | concat(conv 2 1, relu) | flatten | dense 2",
                  (3, 4, 5))  # fmt: skip
    image = np.random.default_rng(1).integers(0, 256, (3, 4, 5)).astype(np.uint8)
    found = activations(one, image)
    inner = one.inputs(image[..., None])[..., 0]
    np.testing.assert_allclose(found["0.add"], found["0.main.relu"] + inner, rtol=1e-5)
    expected = np.concatenate([found["1.branch0.conv"], found["1.branch1.relu"]])
    np.testing.assert_array_equal(found["1.concat"], expected)


def test_wrong_names_and_broken_networks():
    with pytest.raises(NameNotFound, match="unknown layer"):
        activations(bars_subject(), IMAGE, "9.conv")
    broken = changed(tensors={k: np.full_like(v, 3e38) for k, v in trained().tensors.items()})
    with pytest.raises(ModelFileError, match="not finite"):
        activations(bars_subject(broken), IMAGE)
