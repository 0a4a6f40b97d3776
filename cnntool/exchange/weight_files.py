"""Weights alone: arrays by name in a plain safetensors file, with the network as texts beside them.

The file is one that any program of its kind reads: arrays as torch orders their axes (outputs,
inputs, rows, columns). Networks that torch has too get torch's names, others the specification's.
"""

from __future__ import annotations

from cnntool.errors import NameNotFound, OptionError, SpecError
from cnntool.exchange.onnx_export import PREFIX
from cnntool.models.torch_names import KNOWN, torch_names
from cnntool.nn.modelfile import model_texts
from cnntool.nn.saved_model import SavedModel
from cnntool.nn.tensor_file import encode

NAMES = ("auto", "torch", "spec")
"""Whose names arrays get: torch's where the network is one of its own, torch's, or ours."""


def names_of(model: SavedModel, whose: str = "auto") -> dict[str, str]:
    """What each array is called in a file for others.

    Args:
        model: The network.
        whose: One of :data:`NAMES`.

    Returns:
        Our name -> the name in the file.

    Raises:
        OptionError: torch's names are wanted, and torch has no such network.
    """
    own = {name: name for name in model.tensors}
    if whose == "spec":
        return own
    try:
        return torch_names(model.name, model.trace())
    except (NameNotFound, SpecError) as error:
        if whose == "auto":
            return own
        raise OptionError(
            "torch's names are known for networks that are built like "
            f"{', '.join(KNOWN)}; leave --names out"
        ) from error


def encode_weights(model: SavedModel, *, names: str = "auto", where: str = "the file") -> bytes:
    """The bytes of a safetensors file with the weights.

    Args:
        model: The network.
        names: One of :data:`NAMES`.
        where: What messages call the file.

    Raises:
        OptionError: torch's names are wanted, and torch has no such network.
        ModelFileError: A text or name cannot be written.
    """
    called = names_of(model, names)
    texts = {f"{PREFIX}{name}": text for name, text in model_texts(model).items()}
    tensors = {called[name]: array for name, array in model.tensors.items()}
    return encode(tensors, {"format": "pt", **texts}, where=where)
