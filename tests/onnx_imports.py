"""What tests of imported ONNX files share: networks, their outputs, reasons for refusals."""

import numpy as np
import pytest
from onnx_files import graph_file
from small_models import numbers

from cnntool.errors import ModelFileError
from cnntool.exchange.importing import Wishes
from cnntool.exchange.onnx_import import import_onnx
from cnntool.nn import parse
from cnntool.nn.network import Network
from cnntool.nn.saved_model import SavedModel


def model(spec, input=(3, 8, 6), **fields):
    return SavedModel(spec=spec, input=input, tensors=numbers(spec, input), **fields)


def outputs(saved, x):
    network = Network(parse(saved.spec), saved.input)
    network.load(saved.tensors)
    return network.predict(x)


def refusal(path, wishes=None):
    """The reason why a file is not imported, without its name."""
    with pytest.raises(ModelFileError) as error:
        import_onnx(path, wishes or Wishes())
    text = str(error.value)
    assert "\n" not in text and error.value.exit_code == 4
    return text.partition("net.onnx': ")[2]


def layers(nodes, arrays=(), shape=(3, 8, 6), *, file, wishes=None, **options):
    """The specification that a file becomes."""
    options.setdefault("opset", 17)
    saved, _ = import_onnx(file(graph_file(nodes, arrays, shape, **options)), wishes or Wishes())
    return saved.spec


def random(*shape):
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


W = {"w": random(4, 3, 3, 3), "b": random(4)}
"""Weights of a convolution of three maps."""
