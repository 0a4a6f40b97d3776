"""What a pass carries along, and what layers are told of themselves."""

import numpy as np
import pytest

from cnntool.nn import parse, trace
from cnntool.nn.layer import FixedLayer, padding_of, settings_of
from cnntool.nn.run import Run


class Twice(FixedLayer):
    def _value(self, x, run):
        return 2 * x

    def _value_vjp(self, x, run):
        return 2 * x, lambda grad: 2 * grad


def twice(**options):
    return Twice(trace(parse("relu"), (3,)).rows[0], **options)


def test_gradients_are_needed_in_training_or_for_the_input():
    assert not Run(tensors={}).needs_gradients
    assert Run(tensors={}, training=True).needs_gradients
    assert Run(tensors={}, input_gradient=True).needs_gradients


def test_gradients_are_stored_where_there_is_a_place():
    run = Run(tensors={}, gradients={"a": np.zeros(2)})
    run.put("a", np.array([1.0, 2.0]))
    assert run.gradients["a"].tolist() == [1, 2]
    Run(tensors={}).put("a", np.ones(2))


def test_layers_without_parameters():
    x = np.ones(3)
    y, backward = twice().forward(x, Run(tensors={}))
    assert y.tolist() == [2, 2, 2]
    assert backward is None
    for first, wanted in ((False, False), (True, True)):
        _, backward = twice(first=first).forward(
            x, Run(tensors={}, training=True, input_gradient=wanted)
        )
        assert backward(x).tolist() == [2, 2, 2]
    y, backward = twice(first=True).forward(x, Run(tensors={}, training=True))
    assert y.tolist() == [2, 2, 2]
    assert backward(x) is None


def test_rows_tell_their_settings():
    conv, add = trace(parse("residual(conv 2 3 pad=same)"), (2, 4, 5)).rows
    assert settings_of(conv).pair("kernel") == (3, 3)
    assert padding_of(conv) == (1, 1, 1, 1)
    with pytest.raises(TypeError, match=r"0\.add stands for a whole Residual, not a layer"):
        settings_of(add)
    with pytest.raises(TypeError, match=r"0\.add has no padding"):
        padding_of(add)
